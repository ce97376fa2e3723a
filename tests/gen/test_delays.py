# SPDX-License-Identifier: Apache-2.0
"""Delays from the float network to integers: every weight acts in its step, or it is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from designs import BUDGETS, make_network
from float_graphs import make_graph, population
from float_networks import make_neuron

from spikefab.gen.delays import late_biases, late_weights, one_delay, undelayed
from spikefab.gen.dialect import parse_dialect
from spikefab.gen.entries import sparse_words
from spikefab.gen.errors import InputError
from spikefab.gen.estimate import estimate_core
from spikefab.gen.late import by_events, connect_late
from spikefab.gen.network import Input, Network, Output, Projection
from spikefab.gen.operations import Bias, Conv, Delay, Dense, Operation, Scale, SumPool
from spikefab.gen.plan import make_plan
from spikefab.gen.ports import connect
from spikefab.gen.qnetwork import DenseConnection, QNetwork, dense_edge
from spikefab.gen.quantise import QuantiseOptions, quantise
from spikefab.gen.structure import Lowering
from spikefab.hdl.params import InputParams, StopParams
from spikefab.hdl.sparse_params import SparseParams, compress
from spikefab.sim.activity import record_activity
from spikefab.sim.fidelity import compare_to_reference
from spikefab.sim.golden import run_golden
from spikefab.sim.reference import run_reference

OPTIONS = QuantiseOptions(weight_bits=6)


def delay(*steps: int) -> Delay:
    return Delay(shape=(len(steps),), steps=np.array(steps))


def insert(network: Network, name: str, at: int, op: Operation) -> Network:
    """The network with an operation more in the first projection of a name."""
    projections = list(network.projections)
    k = next(k for k, p in enumerate(projections) if p.name == name)
    old = projections[k].operations
    projections[k] = replace(projections[k], operations=(*old[:at], op, *old[at:]))
    return replace(network, projections=tuple(projections))


def late_graph(dialect: str, seed: int) -> Network:
    """Delays of sources, of neurons, behind a bias, in a loop, and beside a path without one."""
    network = make_graph(dialect, seed)
    network = insert(network, "ears-a", 0, delay(0, 3, 1, 0, 2, 5))
    network = insert(network, "a-a", 0, delay(2, 2, 2, 2, 2, 2, 2))
    network = insert(network, "b-a", 1, delay(0, 1, 2, 3, 4, 5, 6))
    network = insert(network, "eyes-b", 1, delay(1, 1, 1, 1, 1))
    network = insert(network, "b-c", 0, delay(4, 0, 0, 1, 2))
    return insert(network, "a-c", 2, delay(1, 0, 1, 0, 1))


@pytest.mark.parametrize(
    "dialect",
    ["nir-literal", "snntorch-subtract", "norse", "norse,bias_at_t0=true", "norse,bias_at_t0=never",
     "sinabs,norm_input=false", "spikingjelly"],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 1])
def test_late_graphs_on_a_grid_equal_the_float_graph(dialect: str, seed: int) -> None:
    network = late_graph(dialect, seed)
    qnet = quantise(network, OPTIONS)
    assert all(layer.weight_exact for layer in qnet.layers)
    a, b, c = qnet.layers
    shapes = [[None if e.delays is None else e.delays.shape for e in q.edges] for q in qnet.layers]
    assert shapes == [[(7,), (7, 5), (6,)], [(4,), None], [(5, 7), (5,)]]
    rng = np.random.default_rng(1)
    x = (rng.random((6, 12, 10)) < 0.3).astype(int)
    reference, golden = run_reference(network, x).spikes, run_golden(qnet, x).spikes
    for name in "abc":
        assert reference[name].any()
        np.testing.assert_array_equal(golden[name], reference[name])
    for layer in compare_to_reference(network, qnet, x, local=True).layers:
        assert layer.local is not None
        assert (layer.whole.spikes, layer.local.spikes) == (0, 0)
    # Calibration takes counts in the steps in which they act.
    quantise(network, QuantiseOptions(weight_bits=3), record_activity(network, x))
    bound = [(q.synapse.acc_min, q.synapse.acc_max) for q in quantise(make_graph(dialect, seed),
             OPTIONS).layers]  # fmt: skip
    assert [(q.synapse.acc_min, q.synapse.acc_max) for q in (a, b)] == bound[:2]
    assert c.delays is not None


def projection(*operations: Operation) -> Projection:
    return Projection(name="p", source="in", target="a", operations=operations)


def test_which_weight_acts_when() -> None:
    w, v = np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([[1.0, 0, 2]])
    parts = late_weights(projection(delay(1, 0), Dense(weight=w), delay(0, 0, 2)))
    assert {d: p.tolist() for d, p in parts.items()} == {
        0: [[0, 2], [0, 4], [0, 0]], 1: [[1, 0], [3, 0], [0, 0]],
        2: [[0, 0], [0, 0], [0, 6]], 3: [[0, 0], [0, 0], [5, 0]],
    }  # fmt: skip
    weight, delays = one_delay("p", parts)
    np.testing.assert_array_equal(weight, w)
    assert delays is not None
    assert delays.tolist() == [[1, 0], [1, 0], [3, 2]]
    # Through a second matrix a source has two ways of different delays.
    two = projection(delay(1, 0), Dense(weight=w), delay(0, 0, 2), Dense(weight=v))
    with pytest.raises(InputError, match=r"node 'p': carries value 1 .* delays of 0 and of 2"):
        one_delay("p", late_weights(two))
    weight, delays = one_delay("p", {0: np.eye(2), 3: np.array([[0.0, 1], [0, 0]])})
    assert delays is not None
    assert delays.tolist() == [[0, 3], [0, 0]]
    assert one_delay("p", {0: w})[1] is None
    with pytest.raises(InputError, match=r"node 'p': a delay of 1024 steps; .* at most 1023"):
        late_weights(projection(delay(1024)))


def test_a_bias_behind_a_delay_begins_late() -> None:
    bias = Bias(shape=(2,), value=np.array([1.0, 2]))
    double = Scale(shape=(2,), factor=np.array([2.0, 2]))
    found = late_biases(projection(bias, delay(0, 1), double, bias))
    assert {k: v.tolist() for k, v in found.items()} == {0: [3, 2], 1: [0, 4]}
    network = insert(make_graph("norse"), "ears-a", 2, delay(0, 0, 0, 0, 0, 2, 2))
    with pytest.raises(InputError, match=r"node 'ears-a': its bias .* begins in step 2"):
        quantise(network, OPTIONS)


def test_delays_in_front_of_convolutions() -> None:
    conv = Conv(image=(1, 4, 4), weight=np.arange(8.0).reshape(2, 1, 2, 2) - 3, stride=(2, 2))
    each = np.arange(16) % 3
    bare = undelayed(projection(Delay(shape=(1, 4, 4), steps=each), conv))
    assert bare is not None
    assert bare[0].operations == (conv,)
    np.testing.assert_array_equal(bare[1], each)
    bare = undelayed(projection(conv, Delay(shape=(2, 2, 2), steps=np.full(8, 2))))
    assert bare is not None
    np.testing.assert_array_equal(bare[1], np.full(16, 2))
    assert undelayed(projection(conv, Delay(shape=(2, 2, 2), steps=np.arange(8)))) is None
    pool = SumPool(image=(1, 4, 4), size=(2, 2), stride=(2, 2))
    late = projection(pool, Delay(shape=(1, 2, 2), steps=np.arange(4)))
    assert undelayed(late) is None
    _, delays = one_delay("p", late_weights(late))
    assert delays is not None
    assert delays.tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]


def test_late_convolutions_equal_the_float_graph() -> None:
    """With delays in front, behind, and between a pooling and its kernel."""
    rng = np.random.default_rng(2)
    pool = SumPool(image=(1, 4, 4), size=(2, 2), stride=(2, 2))
    kernels = rng.integers(-3, 8, (2, 1, 2, 2)) / 16
    whole = Conv(image=(1, 4, 4), weight=kernels, stride=(2, 2))
    pooled = Conv(image=(1, 2, 2), weight=kernels[:, :, :1, :1])
    each = Delay(shape=(1, 4, 4), steps=rng.integers(0, 4, 16))
    for operations, dense in (
        ((each, whole), False),
        ((whole, Delay(shape=(2, 2, 2), steps=np.full(8, 2))), False),
        ((whole, Delay(shape=(2, 2, 2), steps=np.arange(8) % 3)), True),
        ((pool, Delay(shape=(1, 2, 2), steps=np.arange(4)), pooled), True),
    ):
        network = float_network(operations)
        qnet = quantise(network, OPTIONS)
        (edge,) = qnet.layers[0].edges
        assert isinstance(edge.connection, DenseConnection) == dense
        assert edge.late
        x = (rng.random((5, 10, 16)) < 0.4).astype(int)
        expected = run_reference(network, x).spikes["a"]
        assert expected.any()
        np.testing.assert_array_equal(run_golden(qnet, x).spikes["a"], expected)


def float_network(operations: tuple[Operation, ...]) -> Network:
    dialect = parse_dialect("norse")
    neuron = make_neuron(8, dialect)
    return Network(
        name="late",
        inputs=(Input(name="in", shape=(16,)),),
        outputs=(Output(name="out", source="a"),),
        populations=(population("a", neuron),),
        projections=(projection(*operations),),
        dialect=dialect,
        dt=1e-4,
    )


def test_entries_are_those_of_the_hardware() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        n_out, n_in = rng.integers(1, 12, 2).tolist()
        weights = rng.integers(-3, 4, (n_out, n_in)) * (rng.random((n_out, n_in)) < rng.random())
        delays = rng.integers(0, 4, (n_out, n_in))
        lanes = int(rng.integers(1, n_out + 1))
        expected = compress(weights.tolist(), lanes, delays.tolist())
        assert sparse_words(weights, lanes, delays) == expected
    # With a delay a source, some words of zeros stay, so that each source's follow each other.
    filled = 0
    for _ in range(100):
        n_out, n_in = rng.integers(1, 30, 2).tolist()
        weights = rng.integers(-3, 4, (n_out, n_in)) * (rng.random((n_out, n_in)) < 0.6)
        delays = np.broadcast_to(rng.integers(0, 4, n_in), weights.shape)
        lanes = int(rng.integers(1, n_out + 1))
        plain = compress(weights.tolist(), lanes, delays.tolist())
        made = sparse_words(weights, lanes, delays)
        assert made[0].n_entries <= 1.25 * plain[0].n_entries
        assert held(*made) == held(*plain)
        if made != plain:
            filled += 1
            assert made[0].runs
            assert not plain[0].runs
    assert filled > 10


def held(sparse: SparseParams, entries: list[list[int]]) -> dict[tuple[int, int], list[int]]:
    """The words that are not all 0, by source and word of sums."""
    places = [(source, word) for source, row in enumerate(sparse.rows) for word in row]
    return {place: words for place, words in zip(places, entries, strict=True) if any(words)}


def late_chain(weights: np.ndarray, delays: np.ndarray, bits: int = 4) -> QNetwork:
    qnet = make_network([weights.shape[1], weights.shape[0]])
    layer = qnet.layers[0]
    edge = dense_edge(layer.edges[0].source, weights, delays=delays)
    synapse = replace(layer.synapse, weight_width=bits)
    return replace(qnet, layers=(replace(layer, edges=(edge,), synapse=synapse),))


def test_the_smaller_ring_is_taken() -> None:
    """48 bits a step of events, or 4 sums of at least 6 bits each."""
    rng = np.random.default_rng(4)
    for n_out, expected in ((40, True), (2, False)):
        qnet = late_chain(rng.integers(-8, 8, (n_out, 33)), rng.integers(0, 6, 33))
        assert by_events(qnet, 0) == expected
        (port,) = connect_late(qnet).ports[0]
        assert (len(port.delays) == 33) == expected
        plan = make_plan(qnet, BUDGETS["ecp5"], lanes=2)
        assert (plan.core.layers[0].slots == 1) == expected
        assert plan.core.drains
        assert plan.core.is_chain != expected
    each = late_chain(rng.integers(-8, 8, (40, 33)), rng.integers(0, 6, (40, 33)))
    assert not by_events(each, 0)
    qnet = late_chain(rng.integers(-8, 8, (40, 33)), rng.integers(0, 6, 33))
    assert not by_events(replace(qnet, input_max=2), 0)
    # A ring is a part of what a design is, and of what it takes.
    longer = late_chain(qnet.layers[0].weights, np.minimum(qnet.layers[0].edges[0].delays + 1, 5))
    plans = [make_plan(q, BUDGETS["ecp5"], lanes=2) for q in (qnet, longer)]
    assert plans[0].hash != plans[1].hash
    without = replace(plans[0].core, ports=())
    assert estimate_core(without, "ecp5").lut < plans[0].resources.lut


def test_what_is_refused() -> None:
    weights, delays = np.ones((4, 3), int), np.arange(12).reshape(4, 3)
    qnet = late_chain(weights, delays)
    assert connect(qnet).ports
    for change, words in (
        ({"input": InputParams(coding="rate", payload_width=3, steps=4, seed=1)}, "--input rate: "),
        ({"stop": StopParams(margins=(2,))}, "--early-stop: "),
    ):
        with pytest.raises(InputError, match=words + ".*synapses with delays"):
            connect(replace(qnet, **change))
    binary = late_chain(weights, delays, bits=1)
    with pytest.raises(InputError, match="binary weights have no 0"):
        Lowering(binary).ring(0, 2)
    each = replace(late_chain(weights, delays[0], bits=1), input_max=2)
    assert Lowering(each).ring(0, 2).slots == 3
    wide = late_chain(np.ones((300, 300), int), np.ones(300, int))
    with pytest.raises(InputError, match="use more lanes"):
        Lowering(wide).ring(0, 1)
    static = InputParams(coding="static", payload_width=3, steps=4)
    with pytest.raises(InputError, match=r"--input static: node 'ears-a' holds a delay"):
        quantise(late_graph("norse", 0), QuantiseOptions(input=static))
