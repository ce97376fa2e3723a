# SPDX-License-Identifier: Apache-2.0
"""The float reference on graphs: against plain sums over single neurons, and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from float_networks import make_neuron
from hypothesis import HealthCheck, assume, given, settings
from plain_network import Drawn, drawn_networks, evaluate, to_network

from spikefab.gen.dialect import parse_dialect
from spikefab.gen.errors import InputError
from spikefab.gen.network import Current, Input, Network, Output, Population, Projection
from spikefab.gen.operations import Delay, Dense
from spikefab.sim.reference import run_reference


def _agrees(drawn: Drawn) -> None:
    network = to_network(drawn)
    outputs, mem, near = evaluate(drawn)
    largest = max(1, *(np.abs(v).max() for v in (*mem.values(), *outputs.values())))
    # float32 has 24 bits: what grows without bound, or comes so close, tells nothing.
    assume(largest < 1e4)
    assume(near > 1e-5 * largest)
    result = run_reference(network, drawn.x, record=True)
    assert result.mem is not None
    for cell, population in zip(drawn.cells, network.populations, strict=True):
        if population.neuron.spiking:
            np.testing.assert_array_equal(result.spikes[cell.name], outputs[cell.name])
        np.testing.assert_allclose(
            result.mem[cell.name], mem[cell.name], rtol=1e-5, atol=2e-6 * largest, err_msg=cell.name
        )


@settings(
    derandomize=True, max_examples=200, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(drawn_networks())
def test_drawn_graphs_agree_with_single_neurons(drawn: Drawn) -> None:
    _agrees(drawn)


@pytest.mark.slow
@settings(
    derandomize=True, max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(drawn_networks())
def test_many_drawn_graphs_agree_with_single_neurons(drawn: Drawn) -> None:
    _agrees(drawn)


def _net(dialect: str, *, li: bool = False, size: int = 1, **values: float) -> Network:
    """`in` -> `a` -> `b`, all weights 1, of IF neurons; `a` may be an integrator."""
    parsed = parse_dialect(dialect)
    a, b = (
        Population(name=name, shape=(size,), neuron=make_neuron(size, parsed, spiking, **values))
        for name, spiking in (("a", not li), ("b", True))
    )
    eye = np.eye(size)
    return Network(
        name="net",
        inputs=(Input(name="in", shape=(size,)),),
        outputs=(Output(name="out", source="b"),),
        populations=(a, b),
        projections=(
            Projection.dense(name="ia", source="in", target="a", weight=eye),
            Projection.dense(name="ab", source="a", target="b", weight=eye),
        ),
        dialect=parsed,
        dt=1.0,
    )


def _with(network: Network, *projections: Projection) -> Network:
    return replace(network, projections=(*network.projections, *projections))


def _spikes(network: Network, x: list[int], of: str = "b") -> list[int]:
    return run_reference(network, np.array(x).reshape(1, -1, 1)).spikes[of][0, :, 0].tolist()


def test_an_integrator_passes_its_membrane_on() -> None:
    """`a` counts its input, and `b`, without memory of its own, compares that with 2."""
    network = _net("nir-literal,reset=zero", li=True)
    b = make_neuron(1, network.dialect, decay=0.0, threshold=2.0)
    network = replace(network, populations=(network.populations[0],
                                            replace(network.populations[1], neuron=b)))  # fmt: skip
    assert _spikes(network, [1, 1, 0, 1, 0, -2]) == [0, 0, 0, 1, 1, 0]


def test_feedback_comes_a_step_later_and_a_delay_on_top() -> None:
    """A spike of `b` holds `a` back in the next step, or in that after d more."""
    feedback = {"name": "ba", "source": "b", "target": "a", "recurrent": True}
    inhibit = Dense(weight=np.array([[-2.0]]))
    network = _net("norse,compare=ge", threshold=1.0)
    assert _spikes(network, [1] * 6) == [1] * 6
    once = _with(network, Projection(operations=(inhibit,), **feedback))
    assert _spikes(once, [1] * 6) == [1, 0, 0, 1, 0, 0]
    line = Delay(shape=(1,), steps=np.array([2]))
    late = _with(network, Projection(operations=(line, inhibit), **feedback))
    assert _spikes(late, [1] * 8) == [1, 1, 1, 0, 0, 0, 0, 0]


def test_a_recurrent_edge_may_lead_forward() -> None:
    """From the input, or from a population that lies before, it is a step of delay."""
    network = _net("norse,compare=ge", threshold=1.0)
    skip = Projection.dense(
        name="ib", source="in", target="b", weight=np.eye(1) * 0.5, recurrent=True
    )
    assert _spikes(_with(network, skip), [1, 0, 1, 0, 0]) == [1, 0, 1, 0, 0]
    network = replace(network, projections=(network.projections[0],
                      replace(network.projections[1], recurrent=True)))  # fmt: skip
    assert _spikes(network, [1, 0, 1, 0, 0]) == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("rule", "mem"), [("true", [1, 2, 3]), ("false", [0, 1, 2]), ("never", [0, 0, 0])]
)
@pytest.mark.parametrize("source", ["b", "a", "in"])
def test_bias_of_a_recurrent_edge_at_the_first_step(rule: str, mem: list[int], source: str) -> None:
    """Back from the same or another population, or from before: the same rule."""
    network = _net(f"norse,bias_at_t0={rule}", threshold=100.0)
    edge = Projection.dense(
        name="r", source=source, target="b", weight=np.eye(1), bias=np.ones(1), recurrent=True
    )
    result = run_reference(_with(network, edge), np.zeros((1, 3, 1), int), record=True)
    assert result.mem is not None
    assert result.mem["b"][0, :, 0].tolist() == mem


@pytest.mark.parametrize(
    ("order", "mem"),
    [
        # Both keep half. 2 comes in, and 0.5 by feedback a step later; half the current is used:
        # currents of 2, 1 + 0.5 and 0.75; or 1, (1 + 0.5)/2 and 0.375.
        ("add-use-decay", [1, 1.25, 1]),
        ("decay-add-use", [1, 1.25, 1]),
        ("add-decay-use", [0.5, 0.625, 0.5]),
    ],
)
def test_feedback_drives_a_synaptic_current(order: str, mem: list[float]) -> None:
    dialect = parse_dialect(f"snntorch,reset_delay=true,synapse_order={order}")
    half = np.full(1, 0.5)
    cell = make_neuron(1, dialect, spiking=False, decay=0.5, gain=0.5)
    cell = replace(cell, current=Current(decay=half, gain=np.ones(1)))
    relay = make_neuron(1, dialect, decay=0.0, threshold=0.25)
    network = _net("snntorch")
    network = replace(
        network,
        populations=(
            replace(network.populations[0], neuron=cell),
            replace(network.populations[1], neuron=relay),
        ),
        projections=(
            network.projections[0],
            Projection.dense(name="ib", source="in", target="b", weight=np.eye(1)),
            Projection.dense(name="ba", source="b", target="a", weight=half[None], recurrent=True),
        ),
    )
    result = run_reference(network, np.array([2, 0, 0]).reshape(1, 3, 1), record=True)
    assert result.mem is not None
    assert result.spikes["b"].ravel().tolist() == [1, 0, 0]
    assert result.mem["a"][0, :, 0].tolist() == mem


def test_state_is_carried_from_sample_to_sample() -> None:
    """Two samples in a row are one of twice the length, however the samples are split."""
    x = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 0]])[..., None]
    kept = run_reference(_net("norse,state=carry", threshold=1.5), x, record=True)
    cleared = run_reference(_net("norse", threshold=1.5), x)
    whole = run_reference(_net("norse", threshold=1.5), x.reshape(1, 9, 1), record=True)
    assert kept.mem is not None
    assert whole.mem is not None
    np.testing.assert_array_equal(kept.spikes["a"].ravel(), whole.spikes["a"].ravel())
    np.testing.assert_array_equal(kept.mem["b"].ravel(), whole.mem["b"].ravel())
    assert kept.spikes["a"].tolist() != cleared.spikes["a"].tolist()


def _two_inputs() -> Network:
    network = _net("norse", size=2)
    more = Projection.dense(name="ja", source="jn", target="a", weight=np.ones((2, 3)))
    network = replace(network, inputs=(*network.inputs, Input(name="jn", shape=(3,))))
    return _with(network, more)


def test_several_inputs_are_given_by_name_or_in_a_row() -> None:
    rng = np.random.default_rng(2)
    x = {"in": rng.integers(0, 2, (4, 5, 2)), "jn": rng.integers(0, 2, (4, 5, 3))}
    named = run_reference(_two_inputs(), x)
    row = run_reference(_two_inputs(), np.concatenate([x["in"], x["jn"]], axis=2))
    assert named.spikes["b"].any()
    np.testing.assert_array_equal(named.spikes["b"], row.spikes["b"])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"in": (1, 4, 2)}, r"given for 'in'; the network's inputs are 'in', 'jn'"),
        ({"in": (1, 4, 2), "jn": (1, 4, 2)}, r"of 'jn' has shape \(1, 4, 2\); it must be"),
        ({"in": (1, 4, 2), "jn": (1, 5, 3)}, r"differs in samples or steps: 'in' \(1, 4\), 'jn'"),
        ((1, 4, 6), r"has shape \(1, 4, 6\); it must be \(samples, steps, 5\)"),
    ],
)
def test_refuses_inputs(x: dict | tuple, message: str) -> None:
    data = np.zeros(x, int) if isinstance(x, tuple) else {
        name: np.zeros(shape, int) for name, shape in x.items()
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        run_reference(_two_inputs(), data)
