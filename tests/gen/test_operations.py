# SPDX-License-Identifier: Apache-2.0
"""Each operation against loops, its matrix against its values, and how projections compose."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefab.gen import operations
from spikefab.gen.errors import InputError
from spikefab.gen.network import Input, Network, Output, Population, Projection
from spikefab.gen.operations import (
    AvgPool,
    Bias,
    Conv,
    Delay,
    Dense,
    Operation,
    Scale,
    SumPool,
    Window,
)
from tests.float_networks import make_network, make_neuron

RNG = np.random.default_rng(7)


def _conv(**others: object) -> Conv:
    values: dict[str, object] = {
        "image": (2, 5, 6),
        "weight": RNG.integers(-8, 9, (4, 2, 3, 2)) / 8,
        "stride": (2, 1),
        "padding": ((1, 0), (2, 1)),
        "dilations": (1, 2),
    }
    return Conv(**(values | others))  # type: ignore[arg-type]


ALL: list[Operation] = [
    Dense(weight=RNG.integers(-8, 9, (3, 5)) / 8),
    Scale(shape=(2, 3), factor=RNG.integers(-8, 9, 6) / 8),
    _conv(),
    _conv(groups=2, weight=RNG.integers(-8, 9, (4, 1, 3, 2)) / 8),
    _conv(image=(2, 1, 9), flat=True, weight=RNG.integers(-8, 9, (3, 2, 1, 3)) / 8,
          stride=(1, 2), padding=((0, 0), (1, 1)), dilations=(1, 1)),
    SumPool(image=(3, 5, 4), size=(2, 3), stride=(2, 1), padding=((1, 1), (0, 0))),
    AvgPool(image=(3, 4, 4), size=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))),
    AvgPool(image=(1, 4, 5), size=(2, 4), stride=(1, 1), padding=((1, 1), (1, 1))),
]  # fmt: skip


@pytest.mark.parametrize("op", ALL, ids=lambda op: type(op).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_are_the_matrix_times_the_input(op: Operation, dtype: type) -> None:
    x = RNG.integers(-4, 5, (7, op.n_in)).astype(dtype)
    y = op.apply(x)
    assert y.dtype == dtype
    assert y.shape == (7, op.n_out) == (7, int(np.prod(op.out_shape)))
    matrix = op.matrix()
    assert (matrix.shape, matrix.dtype) == ((op.n_out, op.n_in), np.float64)
    np.testing.assert_array_equal(y, x @ matrix.T)  # Sums of small eighths are exact.
    assert op.apply(x[:0]).shape == (0, op.n_out)


def test_a_convolution_is_its_loops() -> None:
    for op in (_conv(), _conv(groups=2, weight=RNG.integers(-8, 9, (4, 1, 3, 2)) / 8)):
        x = RNG.integers(-4, 5, op.image)
        n_out, n_in = op.weight.shape[:2]
        y = np.zeros(op.out_shape)
        for o, r, c in np.ndindex(*y.shape):
            for i, a, b in np.ndindex(n_in, 3, 2):
                row, column = r * 2 + a - 1, c + b * 2 - 2
                if 0 <= row < 5 and 0 <= column < 6:
                    channel = o // (n_out // op.groups) * n_in + i
                    y[o, r, c] += op.weight[o, i, a, b] * x[channel, row, column]
        np.testing.assert_array_equal(op.apply(x.reshape(1, -1).astype(float)).reshape(y.shape), y)


def test_pooling_is_its_loops() -> None:
    x = RNG.integers(0, 5, (2, 5, 4)).astype(float)
    for kind, area in ((SumPool, 1), (AvgPool, 6)):
        op = kind(image=(2, 5, 4), size=(2, 3), stride=(2, 1), padding=((1, 1), (1, 1)))
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        expected = [
            padded[c, r * 2 : r * 2 + 2, k : k + 3].sum() / area
            for c, r, k in itertools.product(range(2), range(3), range(4))
        ]
        assert op.out_shape == (2, 3, 4)
        np.testing.assert_allclose(op.apply(x.reshape(1, -1))[0], expected, rtol=1e-15)


def test_bias_and_delay_leave_the_linear_part_alone() -> None:
    bias = Bias(shape=(2, 2), value=np.arange(4.0))
    np.testing.assert_array_equal(bias.apply(np.ones((3, 4))), np.ones((3, 4)) + np.arange(4))
    np.testing.assert_array_equal(bias.matrix(), np.eye(4))
    delay = Delay(shape=(3,), steps=np.array([0, 2, 5]))
    np.testing.assert_array_equal(delay.apply(np.ones((2, 3))), np.ones((2, 3)))


def test_a_large_batch_is_unfolded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for op in (_conv(), SumPool(image=(2, 5, 6), size=(2, 2))):
        x = RNG.integers(-4, 5, (9, op.n_in)).astype(np.float32)
        whole = op.apply(x)
        monkeypatch.setattr(operations, "CHUNK_VALUES", 500)
        assert len(op._chunks(x, 200)) == 5
        np.testing.assert_array_equal(op.apply(x), whole)
        monkeypatch.undo()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_the_grid_is_where_the_window_fits(data: st.DataObject) -> None:
    number = st.integers(1, 3)
    size, taps = data.draw(st.integers(3, 9)), data.draw(number)
    stride, step = data.draw(number), data.draw(number)
    before, after = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))
    span = step * (taps - 1) + 1
    places = [p for p in range(0, size + before + after, stride)
              if p + span <= size + before + after]  # fmt: skip
    if not places:
        return
    op: Window = Conv(
        image=(1, 1, size), weight=np.ones((1, 1, 1, taps)), stride=(1, stride),
        padding=((0, 0), (before, after)), dilations=(1, step), flat=True,
    )  # fmt: skip
    assert op.out_shape == (1, len(places))
    assert op.apply(np.ones((1, size))).shape == (1, len(places))


# Projections.


def _projection(*ops: Operation, **others: object) -> Projection:
    return Projection(name="a+b", source="x", target="y", operations=ops, **others)  # type: ignore[arg-type]


def test_operations_compose_to_one_matrix_and_bias() -> None:
    conv = _conv()
    pool = SumPool(image=conv.out_image, size=(2, 2), stride=(1, 1))
    ops = [
        conv,
        Bias(shape=conv.out_shape, value=RNG.integers(-8, 9, conv.n_out) / 8),
        Scale(shape=conv.out_shape, factor=RNG.integers(-2, 3, conv.n_out) / 2),
        pool,
        Bias(shape=pool.out_shape, value=RNG.integers(-8, 9, pool.n_out) / 8),
        Dense(weight=RNG.integers(-8, 9, (3, pool.n_out)) / 8),
    ]
    projection = _projection(*ops)
    assert (projection.n_source, projection.n_target) == (conv.n_in, 3)
    x = y = RNG.integers(-4, 5, (5, conv.n_in)).astype(float)
    for op in ops:
        y = op.apply(y)
    np.testing.assert_array_equal(x @ projection.weight.T + projection.bias, y)


def test_dense_projections_and_the_identity() -> None:
    weight, bias = RNG.normal(size=(3, 4)), np.array([0.0, 1, 0])
    dense = Projection.dense(name="a", source="x", target="y", weight=weight, bias=bias)
    assert dense.weight.tolist() == weight.tolist()
    assert dense.bias.tolist() == bias.tolist()
    assert [type(op) for op in dense.operations] == [Dense, Bias]
    silent = Projection.dense(name="a", source="x", target="y", weight=weight, bias=np.zeros(3))
    assert len(silent.operations) == 1
    assert silent.bias.tolist() == [0, 0, 0]
    identity = _projection(n_source=3)
    assert identity.weight.tolist() == np.eye(3).tolist()
    assert (identity.n_target, identity.bias.tolist()) == (3, [0, 0, 0])
    with pytest.raises(InputError, match="an identity needs n_source"):
        _projection()


def test_what_does_not_compose_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    delay = _projection(Delay(shape=(2,), steps=np.array([0, 1])))
    assert delay.delayed
    with pytest.raises(InputError, match=r"node 'a\+b': holds a delay"):
        _ = delay.weight
    prompt = _projection(Delay(shape=(2,), steps=np.array([0, 0])))
    assert not prompt.delayed
    assert prompt.weight.tolist() == np.eye(2).tolist()
    monkeypatch.setattr("spikefab.gen.network.MAX_COMPOSED", 11)
    with pytest.raises(InputError, match=r"it has 12 weights, more than 11; make the layer"):
        _ = _projection(Dense(weight=np.ones((3, 4)))).weight


# Networks.


def _network(edges: list[tuple[str, str, bool]]) -> Network:
    base = make_network([np.ones((2, 2))])
    return Network(
        name="graph",
        inputs=(Input(name="x", shape=(2,)),),
        outputs=(Output(name="y", source="c"),),
        populations=tuple(
            Population(name=n, shape=(2,), neuron=make_neuron(2, base.dialect)) for n in "abc"
        ),
        projections=tuple(
            Projection.dense(name=f"{a}{b}", source=a, target=b, weight=np.eye(2), recurrent=r)
            for a, b, r in edges
        ),
        dialect=base.dialect,
        dt=1e-4,
    )


def test_layers_are_in_topological_order() -> None:
    network = _network([("b", "c", False), ("x", "b", False), ("b", "a", False), ("c", "a", False),
                        ("a", "b", True)])  # fmt: skip
    assert [(p.name, [e.name for e in into]) for p, into in network.layers()] == [
        ("b", ["xb", "ab"]), ("c", ["bc"]), ("a", ["ba", "ca"])]  # fmt: skip
    assert (network.size("x"), network.size("a"), network.n_inputs) == (2, 2, 2)
    with pytest.raises(InputError, match="nodes 'a', 'b', 'c': a cycle has no recurrent edge"):
        _network([("x", "a", False), ("a", "b", False), ("b", "a", False),
                  ("b", "c", False)]).layers()  # fmt: skip


def test_several_ends_have_no_single_name() -> None:
    one = _network([("x", "a", False), ("a", "b", False), ("b", "c", False)])
    more = Network(**(vars(one) | {
        "inputs": (*one.inputs, Input(name="z", shape=(3,))),
        "outputs": (*one.outputs, Output(name="w", source="a")),
    }))  # fmt: skip
    assert more.n_inputs == 5
    with pytest.raises(InputError, match="nodes 'x', 'z': 2 inputs, not one"):
        _ = more.input_name
    with pytest.raises(InputError, match="nodes 'y', 'w': 2 outputs, not one"):
        _ = more.output_name
    assert (one.input_name, one.input_shape, one.output_name) == ("x", (2,), "y")
