# SPDX-License-Identifier: Apache-2.0
"""The golden model's graphs against single neurons that take their events one by one."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from designs import make_network
from graphs import DrawnGraph, graphs
from hypothesis import given, seed, settings
from scalar import ScalarNeuron

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import NeuronParams, SynapseParams
from spikefab.sim import golden
from spikefab.sim.golden import run_golden
from spikefab.sim.golden_order import groups

Events = list[tuple[str, int]]
"""(source, its address), one entry an event."""


def by_events(
    qnet: QNetwork, x: np.ndarray, order: random.Random
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Spikes and membranes of every population. In each step its neurons take the events of all
    sources, one at a time, in any order."""
    shape = x.shape[:2]
    spikes = {q.name: np.zeros((*shape, q.neuron.n), np.int16) for q in qnet.layers}
    mem = {q.name: np.zeros((*shape, q.neuron.n), np.int64) for q in qnet.layers}
    for sample in range(shape[0]):
        neurons = {
            q.name: [ScalarNeuron(q.neuron, i) for i in range(q.neuron.n)] for q in qnet.layers
        }
        # What each step's neurons are hit by: (population, edge, address) of a source's event.
        due: list[list[tuple[str, int, int, int]]] = [[] for _ in range(shape[1])]
        for t in range(shape[1]):
            now: Events = []
            at = 0
            for node in qnet.inputs:
                for address in range(node.n):
                    now += [(node.name, address)] * int(x[sample, t, at])
                    at += 1
            for q in qnet.layers:
                send(due, t, now, q, recurrent=False)
                work = [weights for name, *weights in due[t] if name == q.name]
                order.shuffle(work)
                fired: Events = []
                for i, neuron in enumerate(neurons[q.name]):
                    total = 0
                    for k, address, target in work:
                        if target == i:
                            total += int(q.edges[k].weights[i, address])
                    count = neuron.step(total)
                    spikes[q.name][sample, t, i] = count
                    mem[q.name][sample, t, i] = neuron.v
                    fired += [(q.name, i)] * count
                now += fired
            for q in qnet.layers:
                send(due, t, now, q, recurrent=True)
    return spikes, mem


def send(due: list[Any], t: int, events: Events, q: QLayer, *, recurrent: bool) -> None:
    """The events of step t on their ways to the neurons of a population."""
    for k, edge in enumerate(q.edges):
        late = np.broadcast_to(0 if edge.delays is None else edge.delays, edge.weights.shape)
        if edge.recurrent != recurrent:
            continue
        for address in [address for source, address in events if source == edge.source]:
            for target in range(q.neuron.n):
                at = t + recurrent + int(late[target, address])
                if at < len(due):
                    due[at].append((q.name, k, address, target))


def check(qnet: QNetwork, x: np.ndarray) -> None:
    spikes, mem = by_events(qnet, x, random.Random(5))
    result = run_golden(qnet, x, record=[q.name for q in qnet.layers])
    assert list(result.spikes) == [q.name for q in qnet.layers]
    for q in qnet.layers:
        np.testing.assert_array_equal(result.spikes[q.name], spikes[q.name], err_msg=q.name)
        np.testing.assert_array_equal(result.mem[q.name], mem[q.name], err_msg=q.name)


@seed(1)
@settings(max_examples=120, deadline=None, database=None)
@given(graphs())
def test_drawn_graphs(drawn: DrawnGraph) -> None:
    check(*drawn)


@seed(2)
@settings(max_examples=60, deadline=None, database=None)
@given(graphs(currents=True))
def test_drawn_graphs_with_currents(drawn: DrawnGraph) -> None:
    check(*drawn)


@seed(4)
@settings(max_examples=60, deadline=None, database=None)
@given(graphs(delays=4, max_steps=9))
def test_drawn_graphs_with_delays(drawn: DrawnGraph) -> None:
    check(*drawn)


@pytest.mark.slow
@seed(3)
@settings(max_examples=2000, deadline=None, database=None)
@given(graphs(max_layers=6, max_neurons=9, max_steps=9, max_inputs=3, currents=True, delays=5))
def test_drawn_graphs_in_a_long_sweep(drawn: DrawnGraph) -> None:
    check(*drawn)


def relay(name: str, *edges: tuple[str, bool], n: int = 1) -> QLayer:
    """Neurons that repeat in each step what comes in, identity weights from every source."""
    made = [dense_edge(source, np.eye(n), recurrent=recurrent) for source, recurrent in edges]
    neuron = NeuronParams(
        n=n, fraction_bits=0, membrane_width=8, leak_num=(0,), reset="zero", compare="ge",
        saturate=True,
    )  # fmt: skip
    synapse = SynapseParams(
        n_in=n * len(made), n_out=n, weight_width=2, acc_min=0, acc_max=len(made)
    )
    return QLayer(name=name, edges=tuple(made), synapse=synapse, neuron=neuron, scale=np.ones(1))


def network(*layers: QLayer, outputs: tuple[str, ...] = ()) -> QNetwork:
    names = outputs or (layers[-1].name,)
    return QNetwork(
        name="graph",
        inputs=(QInput(name="in", shape=(1,)),),
        layers=layers,
        outputs=tuple(QOutput(name=f"out {name}", source=name) for name in names),
    )


def pulse(steps: int) -> np.ndarray:
    x = np.zeros((1, steps, 1), np.uint8)
    x[0, 0] = 1
    return x


def test_a_recurrent_edge_takes_one_step_and_carries_nothing_into_the_first() -> None:
    """A pulse comes back every step of a loop that is closed by one recurrent edge, and runs round
    one of two recurrent edges in two steps."""
    once = network(relay("a", ("b", True), ("in", False)), relay("b", ("a", False)))
    assert run_golden(once, pulse(4)).spikes["b"][0, :, 0].tolist() == [1, 1, 1, 1]
    twice = network(relay("a", ("b", True), ("in", False)), relay("b", ("a", True)))
    result = run_golden(twice, pulse(5)).spikes
    assert result["a"][0, :, 0].tolist() == [1, 0, 1, 0, 1]
    assert result["b"][0, :, 0].tolist() == [0, 1, 0, 1, 0]
    for qnet in (once, twice):
        check(qnet, pulse(5))


def test_a_recurrent_edge_off_every_cycle_is_a_delay() -> None:
    later = network(relay("a", ("in", False)), relay("b", ("a", True)))
    assert run_golden(later, pulse(3)).spikes["b"][0, :, 0].tolist() == [0, 1, 0]
    earlier = network(
        relay("b", ("a", True), ("in", False)), relay("a", ("in", False)), outputs=("b",)
    )
    assert [[q.name for q in group] for group in groups(earlier)] == [["a"], ["b"]]
    assert run_golden(earlier, pulse(3)).spikes["b"][0, :, 0].tolist() == [1, 1, 0]
    assert run_golden(earlier, pulse(1)).spikes["b"][0, :, 0].tolist() == [1]
    for qnet in (later, earlier):
        check(qnet, pulse(4))


def test_what_runs_together() -> None:
    qnet = network(
        relay("a", ("in", False)),
        relay("b", ("c", True), ("a", False)),
        relay("c", ("b", False)),
        relay("d", ("d", True), ("c", False)),
        relay("e", ("a", False), ("d", False)),
    )
    assert [[q.name for q in group] for group in groups(qnet)] == [
        ["a"], ["b", "c"], ["d"], ["e"],
    ]  # fmt: skip
    check(qnet, pulse(6))


def test_the_rest_of_the_network_does_not_change_a_part_of_it() -> None:
    """A chain gives the same spikes alone and beside a cycle that it feeds."""
    chain = make_network([6, 5, 4], threshold=(12,))
    rng = np.random.default_rng(3)
    loop = replace(
        chain.layers[1],
        name="loop",
        edges=(
            dense_edge("loop", rng.integers(-8, 8, (4, 4)), recurrent=True),
            dense_edge("population1", rng.integers(-8, 8, (4, 4))),
        ),
        synapse=SynapseParams(n_in=8, n_out=4, weight_width=4, acc_min=-64, acc_max=56),
    )
    more = replace(
        chain,
        layers=(*chain.layers, loop),
        outputs=(*chain.outputs, QOutput(name="loop", source="loop")),
    )
    x = (rng.random((7, 9, 6)) < 0.5).astype(np.uint8)
    alone, beside = run_golden(chain, x), run_golden(more, x)
    for name in alone.spikes:
        assert alone.spikes[name].any()
        np.testing.assert_array_equal(alone.spikes[name], beside.spikes[name])
    check(more, x)


def test_samples_on_a_cycle_do_not_touch_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    qnet = network(relay("a", ("a", True), ("b", True), ("in", False)), relay("b", ("a", False)))
    x = (np.random.default_rng(0).random((9, 5, 1)) < 0.2).astype(np.uint8)
    whole = run_golden(qnet, x, record=["a"])
    monkeypatch.setattr(golden, "CHUNK_BYTES", 4 * 5 * 2)
    parts = run_golden(qnet, x, record=["a"])
    order = np.random.default_rng(1).permutation(9)
    mixed = run_golden(qnet, x[order], record=["a"])
    for name in ("a", "b"):
        np.testing.assert_array_equal(parts.spikes[name], whole.spikes[name])
        np.testing.assert_array_equal(mixed.spikes[name], whole.spikes[name][order])
    np.testing.assert_array_equal(parts.mem["a"], whole.mem["a"])


def test_an_input_has_its_own_most() -> None:
    qnet = network(relay("a", ("in", False), n=1))
    assert run_golden(qnet, pulse(2)).spikes["a"].any()
    with pytest.raises(InputError, match="holds 2 events for one input"):
        run_golden(qnet, 2 * pulse(2))
