# SPDX-License-Identifier: Apache-2.0
"""The cost model against the simulated core: wide layers, slow followers, crowded queues."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from designs import BUDGETS, make_graph, make_network
from helpers import build_core, core_params, drive, to_items

from spikefab.gen.cost import predict_cycles
from spikefab.gen.cost_layer import LayerClock
from spikefab.gen.plan import make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.hdl.core import SpikingCore
from spikefab.hdl.params import CoreParams
from spikefab.sim.golden import run_golden


def measured(qnet: QNetwork, lanes: list[int], x: np.ndarray) -> tuple[list[int], int]:
    """Intervals between the samples' first items, and the last sample's cycles alone."""
    n_steps = x.shape[1]
    items = to_items(np.concatenate([x, x[:1]]))
    _, times, _ = drive(build_core(qnet, lanes), items, (len(x) + 1) * n_steps)
    firsts = [t for k, t in enumerate(times) if k == 0 or items[k - 1][1]]
    _, start, end = drive(build_core(qnet, lanes), to_items(x[-1:]), n_steps)
    return [b - a for a, b in pairwise(firsts)], end[-1] - start[0]


def check(qnet: QNetwork, lanes: list[int], x: np.ndarray) -> None:
    golden = run_golden(qnet, x)
    spikes = [golden.spikes[layer.name] for layer in qnet.layers]
    predicted = predict_cycles(core_params(qnet, lanes), x, spikes)
    intervals, alone = measured(qnet, lanes, x)
    assert predicted.interval.tolist() == intervals
    assert predicted.cycles[-1] == alone


def draw(seed: int) -> tuple[QNetwork, list[int], np.ndarray]:
    """Layers of 20 to 70 neurons on more lanes than a chunk, often before a slow layer."""
    r = random.Random(seed)
    sizes = [r.randint(4, 12), *(r.randint(20, 70) for _ in range(r.randint(1, 2)))]
    sizes += [r.randint(1, 12)] if r.random() < 0.7 else []
    neuron: dict[str, Any] = {"threshold": (r.choice([1, 20, 60]),)}
    if r.random() < 0.4:
        neuron |= {"count_width": 2, "compare": "ge"}
    else:
        neuron |= {"reset_time": r.choice(["same", "next-after-leak", "next-before-leak"])}
    single = {"count_width", "reset_time"}
    integrator = r.random() < 0.3
    if integrator:
        neuron = {k: v for k, v in neuron.items() if k not in single}
    qnet = make_network(sizes, seed=seed, integrator=integrator, **neuron)
    qnet = _widened(qnet)
    lanes = [r.randint(9, n) if n > 9 and r.random() < 0.8 else r.randint(1, n) for n in sizes[1:]]
    rng = np.random.default_rng(seed)
    x = rng.random((3, r.randint(1, 5), sizes[0])) < r.choice([0.1, 0.5, 1.0])
    return qnet, lanes, x.astype(np.uint8)


def _widened(qnet: QNetwork) -> QNetwork:
    """Sums that hold the several spikes a source may fire in a step."""
    layers, most = [], 1
    for layer in qnet.layers:
        s = layer.synapse
        wider = replace(s, acc_min=s.acc_min * most, acc_max=s.acc_max * most)
        layers.append(replace(layer, synapse=wider))
        most = layer.neuron.max_count
    return replace(qnet, layers=tuple(layers))


@pytest.mark.parametrize("seed", range(14))
def test_every_cycle_of_wide_layers(seed: int) -> None:
    check(*draw(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_every_cycle_of_many_wide_layers(seed: int) -> None:
    check(*draw(seed))


@pytest.mark.parametrize("steps", [1, 4])
def test_a_crowded_queue(steps: int) -> None:
    """Every neuron spikes in every step into a layer of one lane: room is what is short."""
    qnet = make_network([3, 40, 9], threshold=(1,), bias=(200,), reset="zero")
    x = np.zeros((3, steps, 3), np.uint8)
    x[1] = 1
    for lanes in ([40, 1], [20, 3], [5, 2]):
        check(qnet, lanes, x)


def test_silence_costs_its_passes() -> None:
    qnet = make_network([5, 24])
    x = np.zeros((2, 7, 5), np.uint8)
    for lanes in (24, 12, 8, 3):
        check(qnet, [lanes], x)
    groups = 8
    predicted = predict_cycles(core_params(qnet, [3]), x, [np.zeros((2, 7, 24), np.int16)])
    assert predicted.interval.min() >= 7 * groups


@pytest.mark.parametrize("seed", range(30))
def test_the_model_of_graphs_is_that_of_chains_where_both_apply(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    qnet, lanes, x = draw(seed)
    params = core_params(qnet, lanes)
    golden = run_golden(qnet, x)
    spikes = [golden.spikes[layer.name] for layer in qnet.layers]
    chain = predict_cycles(params, x, spikes)
    monkeypatch.setattr(CoreParams, "is_chain", property(lambda self: False))
    graph = predict_cycles(params, x, spikes)
    assert graph.cycles.tolist() == chain.cycles.tolist()
    assert graph.interval.tolist() == chain.interval.tolist()


@pytest.mark.parametrize(
    ("n", "lanes", "folds"), [(8, 8, 1), (32, 8, 1), (32, 32, 4), (128, 16, 1), (64, 4, 1)]
)
@pytest.mark.parametrize("n_own", [0, 1, 4, 8])
def test_a_recurrent_step_costs_its_events_and_one_pass(
    n: int, lanes: int, folds: int, n_own: int
) -> None:
    """c is 0 or 1 where the input's events hide the pass that makes the recurrent ones; with fewer
    a step is at most that pass, its spikes, and a cycle."""
    qnet = make_graph({"in": 64}, {"loop": (n, ["*loop", "in"])}, ["loop"])
    core = make_plan(qnet, BUDGETS["ecp5"], lanes=lanes, folds=folds).core
    layer = core.layers[0]
    clock = LayerClock(layer)
    # From a token's acceptance to the offer of the pass's own token, where nobody spikes.
    latency = clock.done + layer.rows - 1 + clock.queue + 2 + (3 if clock.split else 0)
    steps = 20
    spikes = np.zeros((1, 2 * steps, n), np.int16)
    spikes[..., np.linspace(0, n - 1, n_own).astype(int) if n_own else []] = 1
    for n_events in (0, 2, 8, 16, 64):
        x = np.zeros((1, 2 * steps, 64), np.int16)
        x[..., :n_events] = 1
        whole = predict_cycles(core, x, [spikes]).interval[0]
        half = predict_cycles(core, x[:, :steps], [spikes[:, :steps]]).interval[0]
        step = int(whole - half)
        least = (n_events + n_own) * layer.groups + layer.rows
        assert steps * least <= step
        if n_events * layer.groups > latency:
            assert step <= steps * (least + 1)
        else:
            most = max(least + 1, latency + n_own * layer.groups + 1)
            assert step <= steps * most


def test_a_recurrent_layer_in_the_simulator() -> None:
    """The steps of the test above, with the spikes that a network makes."""
    qnet = make_graph({"in": 12}, {"loop": (24, ["*loop", "in"])}, ["loop"], threshold=(25,))
    core = make_plan(qnet, BUDGETS["ecp5"], lanes=8).core
    x = (np.random.default_rng(4).random((2, 6, 12)) < 0.4).astype(np.uint8)
    golden = run_golden(qnet, x)
    assert golden.spikes["loop"].any()
    predicted = predict_cycles(core, x, [golden.spikes["loop"]])
    weights = [layer.weights.tolist() for layer in qnet.layers]
    items = to_items(np.concatenate([x, x[:1]]))
    _, times, _ = drive(SpikingCore(core, weights), items, 3 * 6)
    firsts = [t for k, t in enumerate(times) if k == 0 or items[k - 1][1]]
    assert [b - a for a, b in pairwise(firsts)] == predicted.interval.tolist()
