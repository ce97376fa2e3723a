# SPDX-License-Identifier: Apache-2.0
"""The golden model against one neuron at a time in plain Python, read off the numeric contract."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings
from scalar import ScalarNeuron
from strategies import DrawnNetwork, networks

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import CurrentParams, NeuronParams, ParamError, SynapseOrder, SynapseParams
from spikefab.sim import golden
from spikefab.sim.encode import encode
from spikefab.sim.golden import run_golden


def scalar_run(
    qnet: QNetwork, x: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Spikes and membranes of every population, a neuron, a step and a synapse at a time."""
    shape = x.shape[:2]
    spikes = {q.name: np.zeros((*shape, q.neuron.n), np.int16) for q in qnet.layers}
    mem = {q.name: np.zeros((*shape, q.neuron.n), np.int64) for q in qnet.layers}
    for sample in range(shape[0]):
        neurons = {
            q.name: [ScalarNeuron(q.neuron, i) for i in range(q.neuron.n)] for q in qnet.layers
        }
        for t in range(shape[1]):
            counts = [int(c) for c in x[sample, t].reshape(-1)]
            for q in qnet.layers:
                rows, out = q.weights.tolist(), []
                for i, neuron in enumerate(neurons[q.name]):
                    total = sum(w * c for w, c in zip(rows[i], counts, strict=True))
                    out.append(neuron.step(total))
                    mem[q.name][sample, t, i] = neuron.v
                spikes[q.name][sample, t] = out
                counts = out
    return spikes, mem


def check(qnet: QNetwork, x: np.ndarray) -> None:
    spikes, mem = scalar_run(qnet, encode(qnet.input, x))
    result = run_golden(qnet, x, record=[q.name for q in qnet.layers])
    for q in qnet.layers:
        assert result.spikes[q.name].dtype == np.int16
        assert result.mem[q.name].dtype == np.int64
        np.testing.assert_array_equal(result.spikes[q.name], spikes[q.name])
        np.testing.assert_array_equal(result.mem[q.name], mem[q.name])


@seed(1)
@settings(max_examples=120, deadline=None, database=None)
@given(networks(max_layers=3, max_neurons=7, max_samples=2, max_steps=6))
def test_drawn_networks(drawn: DrawnNetwork) -> None:
    check(drawn.qnet, drawn.x)


@pytest.mark.slow
@seed(2)
@settings(max_examples=3000, deadline=None, database=None)
@given(networks(max_layers=4, max_neurons=16, max_samples=2, max_steps=10))
def test_drawn_networks_in_a_long_sweep(drawn: DrawnNetwork) -> None:
    check(drawn.qnet, drawn.x)


@pytest.mark.parametrize(
    ("order", "s", "i"),
    [
        ("decay-add-use", [4, 3, 2, -3], [4, 3, 2, -3]),
        ("add-use-decay", [4, 3, 2, -3], [3, 2, 1, -3]),
        ("add-decay-use", [3, 2, 1, -3], [3, 2, 1, -3]),
    ],
)
def test_the_currents_of_the_contracts_table(
    order: SynapseOrder, s: list[int], i: list[int]
) -> None:
    """A membrane that keeps nothing shows what acts on it."""
    current = CurrentParams(order=order, width=4, leak_num=(3,), leak_shift=2)
    qnet = one(1, 4, 8, spiking=False, reset="none", leak_num=(0,), bias=(-4,), current=current)
    # Inputs 4, 0, 0, -4, the last one through a late bias.
    neurons = golden._Layer(qnet.layers[0]).neurons
    state, out = neurons.start(1), np.zeros((1, 1), bool)
    for x, used, kept in zip((4, 0, 0, -4), s, i, strict=True):
        neurons.step(state, np.array([[x]], neurons.int), out)
        assert state.i is not None
        assert (state.v.item() + 4, state.i.item()) == (used, kept)


def test_a_late_bias_is_absent_in_each_samples_first_step() -> None:
    integrator = {"spiking": False, "reset": "none"}
    x = np.zeros((2, 4, 1), int)
    mem = run_golden(one(1, 2, bias=(1,), bias_late=(10,), **integrator), x).mem["neuron"]
    assert mem[..., 0].tolist() == [[1, 12, 23, 34]] * 2
    current = CurrentParams(order="decay-add-use", width=8, leak_num=(0,))
    qnet = one(1, 2, bias=(1,), bias_late=(10,), current=current, **integrator)
    assert run_golden(qnet, x).mem["neuron"][..., 0].tolist() == [[1, 12, 23, 34]] * 2


def test_a_discarding_reset_loses_the_input_of_its_step_and_no_current() -> None:
    current = CurrentParams(order="decay-add-use", width=8, leak_num=(1,), leak_shift=1)
    x = np.array([8, 8, 0, 0])[None, :, None]
    kind: dict[str, Any] = {"threshold": (7,), "reset": "zero", "reset_time": "next-discard"}
    result = run_golden(one(1, 4, 8, current=current, **kind), x, record=["neuron"])
    # i = 8, 12, 6, 3: the second step's 12 is lost from the membrane.
    assert result.mem["neuron"].ravel().tolist() == [8, 0, 6, 9]
    assert result.spikes["neuron"].ravel().tolist() == [1, 0, 0, 1]


def one(weight: int, width: int, input_max: int = 1, **neuron: Any) -> QNetwork:
    """One neuron behind one synapse."""
    values: dict[str, Any] = {"n": 1, "fraction_bits": 0, "membrane_width": 12, **neuron}
    layer = QLayer(
        name="neuron",
        edges=(dense_edge("in", np.array([[weight]])),),
        synapse=SynapseParams(
            n_in=1,
            n_out=1,
            weight_width=width,
            acc_min=min(0, weight) * input_max,
            acc_max=max(0, weight) * input_max,
        ),
        neuron=NeuronParams(**values),
        scale=np.ones(1),
    )
    return QNetwork(
        name="one",
        inputs=(QInput(name="in", shape=(1,)),),
        layers=(layer,),
        outputs=(QOutput(name="out", source="neuron"),),
        input_max=input_max,
    )


def legal_kinds() -> Iterator[dict[str, Any]]:
    """Every combination of the fields that name an order of operations."""
    for compare, reset, time, correction, lag, width in itertools.product(
        ("gt", "ge"),
        ("subtract", "zero", "value"),
        ("same", "next-before-leak", "next-after-leak", "next-discard"),
        (False, True),
        (False, True),
        (1, 2),
    ):
        kind: dict[str, Any] = {
            "compare": compare,
            "reset": reset,
            "reset_time": time,
            "reset_correction": correction,
            "output_lag": lag,
            "count_width": width,
        }
        try:
            NeuronParams(n=1, fraction_bits=0, membrane_width=8, **kind)
        except ParamError:
            continue
        yield kind


KINDS = list(legal_kinds())


def test_every_kind_of_neuron_is_drawn() -> None:
    # 2 comparisons x (same: 3 resets x (lag or not, single) + 3 multi; 2 late times x (2 resets
    # with or without correction + value) x lag or not; discarding: the same without subtraction).
    assert len(KINDS) == 2 * (3 * 2 + 3 + 2 * (2 * 2 + 1) * 2 + (2 + 1) * 2)


@pytest.mark.parametrize("rounding", ["floor", "nearest", "toward-zero"])
def test_every_membrane_of_every_kind_of_neuron(rounding: str) -> None:
    """Exhaustive: all initial membranes of 6 bits, 3 steps of every input, all kinds."""
    x = np.array(list(itertools.product(range(3), repeat=3)), np.int16)[:, :, None]
    for kind in KINDS:
        for weight, v_min in ((3, None), (-2, -7)):
            layers = [
                one(
                    weight, 4, 2, v_init=(v,), membrane_width=6, saturate=True, threshold=(5,),
                    bias=(1,), leak_num=(3,), leak_shift=2, leak_rounding=rounding,
                    v_reset=(-3,), v_min=None if v_min is None else (v_min,), **kind,
                ).layers[0]
                for v in range(-32, 32)
            ]  # fmt: skip
            # 64 neurons side by side, one for each initial membrane.
            neuron = replace(
                layers[0].neuron, n=64, v_init=tuple(q.neuron.v_init[0] for q in layers)
            )
            layer = replace(
                layers[0],
                neuron=neuron,
                edges=(dense_edge("in", np.full((64, 1), weight)),),
                synapse=replace(layers[0].synapse, n_out=64),
            )
            qnet = QNetwork(
                name="all", inputs=(QInput(name="in", shape=(1,)),), layers=(layer,),
                outputs=(QOutput(name="out", source="neuron"),), input_max=2,
            )  # fmt: skip
            check(qnet, x[::3] if kind["compare"] == "gt" else x[1::3])


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("floor", [-4, -3, -3, -2, -1, 0, 0, 1, 2, 3, 3]),
        ("nearest", [-4, -3, -2, -1, -1, 0, 1, 2, 2, 3, 4]),
        ("toward-zero", [-3, -3, -2, -1, 0, 0, 0, 1, 2, 3, 3]),
    ],
)
def test_the_leaks_of_the_contracts_table(rounding: str, expected: list[int]) -> None:
    for v, after in zip(range(-5, 6), expected, strict=True):
        qnet = one(
            0, 2, v_init=(v,), leak_num=(3,), leak_shift=2, leak_rounding=rounding,
            spiking=False, reset="none",
        )  # fmt: skip
        assert run_golden(qnet, np.zeros((1, 1, 1), int)).mem["neuron"].item() == after


def wide(fraction_bits: int, membrane_width: int) -> QNetwork:
    return one(
        127, 8, 3, fraction_bits=fraction_bits, membrane_width=membrane_width, saturate=True,
        threshold=(2 ** (membrane_width - 4) + 1,), leak_num=(2**10 - 3,), leak_shift=10,
        bias=(-(2 ** (membrane_width - 9)),), reset_time="next-after-leak",
        reset_correction=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fraction_bits", "membrane_width", "kind"),
    [(2, 12, np.int32), (8, 17, np.int32), (12, 24, np.int64), (24, 40, np.int64)],
)
def test_narrow_and_wide_numbers(
    fraction_bits: int, membrane_width: int, kind: type[np.integer]
) -> None:
    """Both number types, with membranes that run into their clamp."""
    qnet = wide(fraction_bits, membrane_width)
    runner = golden._Layer(qnet.layers[0])
    assert runner.neurons.int is kind
    x = np.random.default_rng(0).integers(0, 4, (4, 60, 1))
    x[0] = 3
    check(qnet, x)
    top = run_golden(qnet, x, record=["neuron"]).mem["neuron"].max()
    assert top > 2 ** (membrane_width - 5)


def test_int32_holds_every_intermediate_value_at_its_limit() -> None:
    """From numbers that fit easily to those that need 64 bits, at both ends of the membrane, which
    may be much narrower than the current."""
    kinds: list[dict[str, Any]] = [
        {"spiking": False, "reset": "none"},
        {"threshold": (1,), "reset_time": "next-after-leak", "reset_correction": True},
        {"reset": "zero", "reset_time": "next-before-leak", "reset_correction": True},
    ]
    found = []
    for fraction_bits, weight, kind in itertools.product(range(16), (127, -127), kinds):
        for width in (20, 24 + fraction_bits):
            qnet = one(
                weight, 8, 32767, fraction_bits=fraction_bits, saturate=True,
                membrane_width=width, bias=(1 << (21 + fraction_bits),), **kind,
            )  # fmt: skip
            found.append(golden._Layer(qnet.layers[0]).neurons.int)
            x = np.full((1, 12, 1), 32767)
            x[0, 4:6] = x[0, 8] = 0
            check(qnet, x)
    assert {np.int32, np.int64} == set(found)


def test_large_sums_are_exact() -> None:
    """Beyond the mantissa of float32 the sums are taken in float64."""
    n = 1200
    rng = np.random.default_rng(5)
    weights = rng.integers(-128, 128, (2, n)).astype(np.int8)
    x = rng.integers(0, 2000, (2, 2, n))
    synapse = SynapseParams(
        n_in=n, n_out=2, weight_width=8,
        acc_min=int(np.minimum(weights, 0).astype(int).sum(1).min()) * 2000,
        acc_max=int(np.maximum(weights, 0).astype(int).sum(1).max()) * 2000,
    )  # fmt: skip
    neuron = NeuronParams(n=2, fraction_bits=0, membrane_width=40, spiking=False, reset="none")
    layer = QLayer(
        name="sum", edges=(dense_edge("in", weights),), synapse=synapse, neuron=neuron,
        scale=np.ones(1),
    )  # fmt: skip
    qnet = QNetwork(
        name="sums", inputs=(QInput(name="in", shape=(n,)),), layers=(layer,),
        outputs=(QOutput(name="out", source="sum"),), input_max=2000,
    )  # fmt: skip
    assert golden._Layer(layer).float is np.float64
    expected = np.cumsum(x @ weights.astype(np.int64).T, axis=1)
    np.testing.assert_array_equal(run_golden(qnet, x).mem["sum"], expected)


def test_samples_do_not_touch_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the samples are cut into chunks, and in any order, the result is the same."""
    qnet = wide(4, 16)
    x = np.random.default_rng(3).integers(0, 4, (11, 5, 1))
    whole = run_golden(qnet, x, record=["neuron"])
    calls: list[tuple[int, int]] = []
    for size in (1, 4 * 5, 3 * 4 * 5, 4 * 4 * 5 + 1):
        monkeypatch.setattr(golden, "CHUNK_BYTES", size)
        calls.clear()
        parts = run_golden(
            qnet, x, record=["neuron"], progress=lambda done, total: calls.append((done, total))
        )
        np.testing.assert_array_equal(parts.spikes["neuron"], whole.spikes["neuron"])
        np.testing.assert_array_equal(parts.mem["neuron"], whole.mem["neuron"])
        assert calls[-1] == (11, 11)
        assert len(calls) == -(-11 // max(1, size // 20))
    order = np.random.default_rng(4).permutation(11)
    np.testing.assert_array_equal(
        run_golden(qnet, x[order]).spikes["neuron"], whole.spikes["neuron"][order]
    )


def test_what_is_recorded() -> None:
    spiking = one(3, 4, threshold=(4,))
    assert run_golden(spiking, np.ones((1, 3, 1), int)).mem == {}
    assert set(run_golden(spiking, np.ones((1, 3, 1), int), record=["neuron"]).mem) == {"neuron"}
    integrator = one(3, 4, spiking=False, reset="none")
    result = run_golden(integrator, np.ones((1, 3, 1), int))
    assert result.mem["neuron"].ravel().tolist() == [3, 6, 9]
    assert not result.spikes["neuron"].any()


def test_inputs_of_any_shape_are_read_in_c_order() -> None:
    layer = QLayer(
        name="neuron",
        edges=(dense_edge("in", np.array([[1, 2, 4, 8, 16, 32]])),),
        synapse=SynapseParams(n_in=6, n_out=1, weight_width=8, acc_min=0, acc_max=63),
        neuron=NeuronParams(n=1, fraction_bits=0, membrane_width=12, spiking=False, reset="none"),
        scale=np.ones(1),
    )
    qnet = QNetwork(
        name="shaped", inputs=(QInput(name="in", shape=(2, 3)),), layers=(layer,),
        outputs=(QOutput(name="out", source="neuron"),),
    )  # fmt: skip
    x = np.zeros((1, 1, 2, 3), bool)
    x[0, 0, 1, 0] = True
    assert run_golden(qnet, x).mem["neuron"].item() == 8


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((2, 3, 2), int), r"shape \(2, 3, 2\); the network takes \(samples, steps, 1\)"),
        (np.full((1, 1, 1), 2), "2 events for one input in one step; .* at most 1"),
        (np.full((1, 1, 1), -1), "holds -1; an event count is 0 or more"),
        (np.full((1, 1, 1), 0.5), "not whole numbers"),
        (np.zeros((1, 0, 1), int), "at least one sample and step"),
    ],
)
def test_refused_samples(x: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_golden(one(1, 2), x)


def test_more_steps_than_the_bound_holds_for() -> None:
    with pytest.raises(InputError, match=r"4 steps .* at most 3; compile with --steps 4"):
        run_golden(replace(one(1, 2), steps=3), np.zeros((1, 4, 1), int))
