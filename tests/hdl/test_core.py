# SPDX-License-Identifier: Apache-2.0
"""The core against the golden model, its cycles against the cost model."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from helpers import build_core, core_params, drive, from_items, to_items

from spikefab.gen.cost import predict_cycles
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import NeuronParams, SynapseParams
from spikefab.sim.golden import run_golden


def draw_network(seed: int) -> tuple[QNetwork, list[int], np.ndarray]:
    """A small network anywhere in the numeric contract, lanes for it, and samples."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    sizes = [r.randint(1, 20) for _ in range(r.randint(2, 4))]
    input_max = most = r.choice([1, 1, 3])
    layers, lanes = [], []
    for k, (n_in, n) in enumerate(pairwise(sizes)):
        output = k == len(sizes) - 2
        bits = r.randint(1, 8)
        low, high = -(1 << (bits - 1)), max(1, 1 << (bits - 1))
        weights = rng.integers(low, high, size=(n, n_in))
        if bits == 1:
            weights = np.where(weights < 0, -1, 1)
        neuron = draw_neuron(r, n, spiking=not output or r.random() < 0.7)
        synapse = SynapseParams(
            n_in=n_in,
            n_out=n,
            weight_width=bits,
            acc_min=int(np.minimum(weights, 0).sum(1).min()) * most,
            acc_max=int(np.maximum(weights, 0).sum(1).max()) * most,
        )
        layers.append(
            QLayer(
                name=f"layer{k}",
                edges=(dense_edge(f"layer{k - 1}" if k else "in", weights),),
                synapse=synapse,
                neuron=neuron,
                scale=np.ones(1),
            )
        )
        lanes.append(r.randint(1, n))
        most = neuron.max_count
    qnet = QNetwork(
        name="drawn",
        inputs=(QInput(name="in", shape=(sizes[0],)),),
        layers=tuple(layers),
        outputs=(QOutput(name="out", source=layers[-1].name),),
        input_max=input_max,
    )
    shape = (r.randint(1, 3), r.randint(1, 6), sizes[0])
    active = rng.random(shape) < r.choice([0.1, 0.5, 0.9])
    return qnet, lanes, active * rng.integers(1, input_max + 1, size=shape)


def draw_neuron(r: random.Random, n: int, *, spiking: bool) -> NeuronParams:
    """Any legal neuron; its membrane saturates, so that every width is safe."""
    reset_time = r.choice(["same", "next-before-leak", "next-after-leak"]) if spiking else "same"
    reset = r.choice(["subtract", "zero", "value"]) if spiking else "none"
    lag = spiking and r.random() < 0.2
    single = reset_time != "same" or lag or not spiking
    width, shift = r.randint(6, 18), r.randint(0, 6)
    a_neuron = r.random() < 0.4

    def values(low: int, high: int) -> tuple[int, ...]:
        if a_neuron and r.random() < 0.7:
            return tuple(r.randint(low, high) for _ in range(n))
        return (r.randint(low, high),)

    return NeuronParams(
        n=n,
        spiking=spiking,
        fraction_bits=r.choice([0, 1, 3]),
        membrane_width=width,
        saturate=True,
        leak_num=values(0, 1 << shift),
        leak_shift=shift,
        leak_rounding=r.choice(["floor", "nearest", "toward-zero"]),
        threshold=values(1, max(2, 1 << (width - 3))),
        bias=values(-3, 5),
        v_init=values(-5, 5),
        v_reset=values(-5, 5),
        v_min=values(-20, 0) if r.random() < 0.3 else None,
        compare=r.choice(["gt", "ge"]),
        reset=reset,
        reset_time=reset_time,
        reset_correction=reset_time != "same" and reset != "value" and r.random() < 0.4,
        output_lag=lag,
        count_width=1 if single else r.choice([1, 1, 2, 3]),
    )


def check(qnet: QNetwork, lanes: list[int], x: np.ndarray, **pauses: float) -> None:
    """Every output spike, or membrane, equals the golden model's."""
    golden, last = run_golden(qnet, x), qnet.layers[-1]
    items = to_items(x, random.Random(1))
    out, _, _ = drive(build_core(qnet, lanes), items, x.shape[0] * x.shape[1], **pauses)
    counts, payloads = from_items(out, (*x.shape[:2], qnet.n_outputs))
    if last.neuron.spiking:
        np.testing.assert_array_equal(counts, golden.spikes[last.name])
    else:
        assert (counts == 1).all()
        np.testing.assert_array_equal(payloads, golden.mem[last.name])


@pytest.mark.parametrize("seed", range(16))
def test_core_equals_golden_at_full_rate(seed: int) -> None:
    check(*draw_network(seed))


@pytest.mark.parametrize("seed", range(30, 38))
@pytest.mark.parametrize(("pause_in", "pause_out"), [(0.0, 0.7), (0.5, 0.5)])
def test_core_equals_golden_under_back_pressure(
    seed: int, pause_in: float, pause_out: float
) -> None:
    check(*draw_network(seed), pause_in=pause_in, pause_out=pause_out, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_core_equals_golden_in_a_long_sweep(seed: int) -> None:
    r = random.Random(seed)
    pauses = {"pause_in": r.choice([0.0, 0.4]), "pause_out": r.choice([0.0, 0.4, 0.8])}
    check(*draw_network(seed), **pauses, seed=seed)


def measure(qnet: QNetwork, lanes: list[int], x: np.ndarray) -> tuple[list[int], list[int]]:
    """Cycles of (first item in a sample, last token out), back to back."""
    items = to_items(x)
    out, times_in, times_out = drive(build_core(qnet, lanes), items, x.shape[0] * x.shape[1])
    firsts = [t for k, t in enumerate(times_in) if k == 0 or items[k - 1][1]]
    lasts = [t for item, t in zip(out, times_out, strict=True) if item[0] and item[1]]
    return firsts, lasts


@pytest.mark.parametrize("seed", range(24))
def test_cost_model_predicts_every_cycle(seed: int) -> None:
    qnet, lanes, x = draw_network(seed)
    golden = run_golden(qnet, x)
    spikes = [golden.spikes[layer.name] for layer in qnet.layers]
    predicted = predict_cycles(core_params(qnet, lanes), x, spikes)
    firsts, _ = measure(qnet, lanes, np.concatenate([x, x[:1]]))
    assert np.diff(firsts).tolist() == predicted.interval.tolist()
    (first,), (last,) = measure(qnet, lanes, x[:1])
    assert last - first == predicted.cycles[0]


def dense(n_in: int, n: int) -> QNetwork:
    """One layer of the commonest neuron: snnTorch's Leaky, reset by subtraction."""
    weights = np.random.default_rng(0).integers(-8, 8, size=(n, n_in))
    neuron = NeuronParams(
        n=n,
        fraction_bits=4,
        membrane_width=16,
        leak_num=(15,),
        leak_shift=4,
        threshold=(400,),
        reset_time="next-after-leak",
        saturate=True,
    )
    synapse = SynapseParams(
        n_in=n_in,
        n_out=n,
        weight_width=4,
        acc_min=int(np.minimum(weights, 0).sum(1).min()),
        acc_max=int(np.maximum(weights, 0).sum(1).max()),
    )
    layer = QLayer(
        name="layer", edges=(dense_edge("in", weights),), synapse=synapse, neuron=neuron,
        scale=np.ones(1),
    )  # fmt: skip
    return QNetwork(
        name="dense", inputs=(QInput(name="in", shape=(n_in,)),), layers=(layer,),
        outputs=(QOutput(name="out", source="layer"),),
    )  # fmt: skip


@pytest.mark.parametrize(("n", "lanes"), [(16, 16), (16, 8), (18, 6), (32, 8), (40, 4), (9, 1)])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_a_step_costs_its_events_and_one_pass(n: int, lanes: int, rate: float) -> None:
    """events x groups + groups + c cycles, c at most 8."""
    qnet = dense(24, n)
    groups = -(-n // lanes)
    x = (np.random.default_rng(1).random((6, 1, 24)) < rate).astype(np.uint8)
    firsts, _ = measure(qnet, [lanes], x)
    for events, interval in zip(x.sum(axis=(1, 2)), np.diff(firsts), strict=False):
        least = int(events) * groups + groups
        assert least <= interval <= least + 8


def test_events_follow_each_other_without_a_bubble() -> None:
    qnet = dense(24, 16)
    items = to_items(np.ones((1, 1, 24), np.uint8))
    _, times, _ = drive(build_core(qnet, [8]), items, 1)
    assert np.diff(times).tolist() == [2] * 24


def test_membranes_return_to_their_initial_values_after_a_sample() -> None:
    qnet = dense(24, 16)
    neuron = replace(qnet.layers[0].neuron, v_init=(123,))
    qnet = replace(qnet, layers=(replace(qnet.layers[0], neuron=neuron),))
    x = (np.random.default_rng(3).random((3, 4, 24)) < 0.4).astype(np.uint8)
    check(qnet, [5], np.concatenate([x, x]))


def test_the_order_of_events_within_a_step_changes_nothing() -> None:
    qnet, lanes, x = draw_network(7)
    outs = []
    for seed in range(3):
        items = to_items(x, random.Random(seed))
        out, _, _ = drive(build_core(qnet, lanes), items, x.shape[0] * x.shape[1])
        outs.append(out)
    assert outs[0] == outs[1] == outs[2]
