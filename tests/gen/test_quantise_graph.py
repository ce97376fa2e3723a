# SPDX-License-Identifier: Apache-2.0
"""Graphs in integers equal the float graphs where their weights already are integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from float_graphs import cuba_neuron, make_graph, population, projection
from float_networks import make_network, make_neuron

from spikefab.gen.dialect import parse_dialect
from spikefab.gen.errors import InputError
from spikefab.gen.network import Network, Output
from spikefab.gen.quantise import QuantiseOptions, quantise, quantise_with_report
from spikefab.gen.stop import with_stop
from spikefab.hdl.params import InputParams, StopParams
from spikefab.sim.activity import record_activity
from spikefab.sim.fidelity import compare_to_reference
from spikefab.sim.golden import run_golden
from spikefab.sim.reference import run_reference

DIALECTS = [
    "nir-literal",
    "snntorch-subtract",
    "snntorch-subtract,reset_delay=false",
    "snntorch-zero",
    "norse",
    "norse,bias_at_t0=true",
    "norse,bias_at_t0=never",
    "sinabs,norm_input=false",
    "sinabs,multi_spike=false,norm_input=false",
    "spikingjelly",
    "rockpool,state=clear,multi_spike=false",
    "nir-literal,reset_time=next-discard",
]
OPTIONS = QuantiseOptions(weight_bits=6)


def samples(seed: int = 1, most: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(1, most + 1, (6, 12, 10)) * (rng.random((6, 12, 10)) < 0.3)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_graphs_on_a_grid_equal_the_float_graph(dialect: str, seed: int) -> None:
    network = make_graph(dialect, seed)
    qnet = quantise(network, OPTIONS)
    assert all(layer.weight_exact for layer in qnet.layers)
    assert [q.name for q in qnet.layers] == ["a", "b", "c"]
    assert [(out.name, out.source) for out in qnet.outputs] == [("out", "c"), ("side", "b")]
    assert [(i.name, i.shape) for i in qnet.inputs] == [("ears", (2, 3)), ("eyes", (4,))]
    a, b, c = qnet.layers
    assert [(e.source, e.recurrent) for e in a.edges] == [
        ("a", True), ("b", True), ("ears", False),
    ]  # fmt: skip
    assert [e.source for e in b.edges] == ["eyes", "a"]
    assert [e.source for e in c.edges] == ["a", "b"]
    assert (c.neuron.current is not None, a.neuron.current) == (True, None)
    x = samples()
    reference, golden = run_reference(network, x).spikes, run_golden(qnet, x).spikes
    for name in "abc":
        assert reference[name].any()
        np.testing.assert_array_equal(golden[name], reference[name])
    fidelity = compare_to_reference(network, qnet, x, local=True)
    for layer in fidelity.layers:
        assert layer.local is not None
        assert (layer.whole.spikes, layer.local.spikes) == (0, 0)
        assert layer.whole.membrane == pytest.approx(0, abs=1e-5)
        assert layer.local.membrane == pytest.approx(0, abs=1e-5)


def test_a_recurrent_bias_acts_when_the_dialect_says() -> None:
    for value, first, later in ((True, True, True), (False, False, True), ("never", False, False)):
        network = make_graph(f"norse,bias_at_t0={str(value).lower()}")
        (own,) = [p.bias for p in network.projections if p.name == "a-a"]
        (given,) = [p.bias for p in network.projections if p.name == "ears-a"]
        neuron = quantise(network, OPTIONS).layers[0].neuron
        lsb = quantise(network, OPTIONS).layers[0].scale / 2**neuron.fraction_bits
        np.testing.assert_allclose(np.array(neuron.bias) * lsb, given + own * first)
        late = np.broadcast_to(neuron.bias_late, own.shape) * lsb
        np.testing.assert_allclose(late, own * (later and not first))


@pytest.mark.parametrize("dialect", ["spyx", "snntorch-subtract,output_lag=true"])
def test_what_lags_and_is_fed_back_is_taken_a_step_later(dialect: str) -> None:
    """The float network's recurrence carries the lagging output of the same step."""
    network = make_graph(dialect)
    network = replace(network, outputs=(Output(name="out", source="c"),))
    assert network.early == {"a", "b"}
    qnet = quantise(network, OPTIONS)
    assert [q.neuron.output_lag for q in qnet.layers] == [False, False, True]
    assert [e.recurrent for e in qnet.layers[2].edges] == [True, True]
    x = samples()
    reference, golden = run_reference(network, x).spikes, run_golden(qnet, x).spikes
    for name in "ab":
        assert reference[name][:, 1:].any()
        assert not reference[name][:, 0].any()
        np.testing.assert_array_equal(golden[name][:, :-1], reference[name][:, 1:])
    np.testing.assert_array_equal(golden["c"], reference["c"])
    for layer in compare_to_reference(network, qnet, x, local=True).layers:
        assert layer.local is not None
        assert (layer.whole.spikes, layer.local.spikes) == (0, 0)
    shown = replace(network, outputs=(Output(name="out", source="a"),))
    with pytest.raises(InputError, match="node 'a': an output that lags a step, and is fed back"):
        quantise(shown, OPTIONS)


@pytest.mark.parametrize("order", ["decay-add-use", "add-use-decay", "add-decay-use"])
@pytest.mark.parametrize("decay_syn", [0.0, 1.0])
def test_currents_that_keep_all_or_nothing_equal_the_float_ones(
    order: str, decay_syn: float
) -> None:
    parsed = parse_dialect(f"nir-literal,synapse_order={order}")
    rng = np.random.default_rng(3)
    neuron = cuba_neuron(4, parsed, decay_syn=decay_syn, gain_syn=0.5, gain=0.25, offset=1 / 8)
    w = rng.integers(-6, 8, (4, 5)) / 4
    network = replace(
        make_network([w]),
        populations=(population("lif0", neuron),),
        projections=(projection("input", "lif0", w, bias=rng.integers(-3, 9, 4) / 4),),
    )
    qnet = quantise(network, QuantiseOptions(weight_bits=4, steps=9))
    assert qnet.layers[0].neuron.current is not None
    x = (rng.random((8, 9, 5)) < 0.6).astype(np.uint8)
    whole = compare_to_reference(network, qnet, x).layers[0].whole
    assert whole.spikes == 0
    assert whole.membrane == pytest.approx(0, abs=1e-5)
    assert run_golden(qnet, x).spikes["lif0"].any()


def test_a_current_that_leaks_stays_near_the_float_one() -> None:
    parsed = parse_dialect("snntorch-subtract")
    rng = np.random.default_rng(4)
    neuron = cuba_neuron(6, parsed, decay_syn=0.8, decay=0.9)
    w = rng.integers(-8, 12, (6, 10)) / 32
    x = (rng.random((20, 50, 10)) < 0.3).astype(np.uint8)
    off = []
    for one in (neuron, cuba_neuron(6, parsed, decay_syn=0.8, decay=0.9, spiking=False)):
        network = replace(
            make_network([w]),
            populations=(population("lif0", one),),
            projections=(projection("input", "lif0", w),),
        )
        options = QuantiseOptions(weight_bits=6, leak_tolerance=0.001)
        qnet, report = quantise_with_report(network, options)
        assert qnet.steps is None  # the leaks bound it
        current = report.layers[0].current
        assert current is not None
        assert current.leak == (0.8, 0.8)
        assert current.leak_error <= 0.001
        assert f"; {current.width}-bit currents, leak 0.7" in report.lines()[0] or (
            f"; {current.width}-bit currents, leak 0.8" in report.lines()[0]
        )
        off.append(compare_to_reference(network, qnet, x).layers[0].whole)
    assert off[0].share < 0.02
    assert off[0].spikes > 0
    # An integrator's membrane moves by sums of weights, times 5 and 10: by 10 and more.
    assert 0 < off[1].membrane < 0.1


def test_a_synaptic_time_constant_that_no_shift_holds_is_told() -> None:
    neuron = cuba_neuron(1, parse_dialect("norse"), decay_syn=1 - 1e-5, decay=0.5)
    network = replace(make_network([np.ones((1, 1))]), populations=(population("lif0", neuron),))
    options = QuantiseOptions(weight_bits=2, leak_tolerance=0.001, steps=50)
    lines = quantise_with_report(network, options)[1].lines()
    assert any("lif0: a synaptic time constant is off by" in line for line in lines)
    assert not any(": a time constant is off by" in line for line in lines)


def test_a_current_that_rests_at_v_leak() -> None:
    """Norse's import: the current begins at v_leak and leaks towards it."""
    parsed = parse_dialect("norse,synapse_order=decay-add-use")
    neuron = cuba_neuron(2, parsed, decay_syn=0.0, rest=0.5, gain=0.5)
    assert neuron.current is not None
    network = replace(
        make_network([np.eye(2)]),
        populations=(population("lif0", neuron),),
        projections=(projection("input", "lif0", np.eye(2) / 4),),
    )
    x = (np.random.default_rng(5).random((4, 10, 2)) < 0.5).astype(np.uint8)
    qnet = quantise(network, QuantiseOptions(weight_bits=3, steps=10))
    whole = compare_to_reference(network, qnet, x).layers[0].whole
    assert (whole.spikes, whole.membrane) == (0, pytest.approx(0, abs=1e-6))
    elsewhere = replace(neuron.current, init=np.full(2, 1.0))
    odd = replace(network, populations=(population("lif0", replace(neuron, current=elsewhere)),))
    with pytest.raises(InputError, match="node 'lif0': its synaptic current begins at 1 and rests"):
        quantise(odd)


def test_outputs_that_show_one_population_are_names_for_it() -> None:
    network = make_graph("norse")
    again = replace(network, outputs=(*network.outputs, Output(name="again", source="c")))
    qnet = quantise(again, OPTIONS)
    shown = [("out", "c"), ("side", "b"), ("again", "c")]
    assert [(out.name, out.source) for out in qnet.outputs] == shown
    assert [layer.name for layer in qnet.output_layers] == ["c", "b"]
    assert qnet.n_outputs == quantise(network, OPTIONS).n_outputs


def test_what_no_output_depends_on_is_left_out_and_named() -> None:
    qnet, report = quantise_with_report(make_graph("norse"), OPTIONS)
    assert [q.name for q in qnet.layers] == ["a", "b", "c"]
    assert report.lines()[-1] == "d: no output depends on it; it is left out"


def test_each_input_has_its_own_most() -> None:
    network = make_graph("norse")
    one = quantise(network, OPTIONS)
    own = quantise(network, replace(OPTIONS, input_max={"ears": 3}))
    all_same = quantise(network, replace(OPTIONS, input_max=3))
    assert [i.max_events for i in own.inputs] == [3, 1]
    assert [i.max_events for i in all_same.inputs] == [None, None]
    assert (one.source_max("eyes"), own.source_max("eyes"), all_same.source_max("eyes")) == (
        1,
        1,
        3,
    )
    tops = [[q.layers[k].synapse.acc_max for q in (one, own, all_same)] for k in (0, 1)]
    assert tops[0][0] < tops[0][1] == tops[0][2]
    assert tops[1][0] == tops[1][1] < tops[1][2]
    x = samples(most=3)
    with pytest.raises(InputError, match="input 'eyes': x holds"):
        run_golden(own, x)
    x[0, 0, 7] = 9  # beyond what any of them takes
    with pytest.raises(InputError, match="input 'eyes': x holds 9 events for one input"):
        run_golden(own, x)
    x[:, :, 6:] = np.minimum(x[:, :, 6:], 1)
    spikes = run_golden(own, x).spikes
    np.testing.assert_array_equal(spikes["c"], run_reference(network, x).spikes["c"])


def test_feedback_of_several_spikes_a_step_is_in_the_range_of_sums() -> None:
    """Each layer's sums hold all that its sources, feedback among them, can bring."""
    network = make_graph("sinabs,norm_input=false", decay=0.5)
    for options in (OPTIONS, replace(OPTIONS, membrane_bits=14)):
        qnet = quantise(network, options)
        assert max(q.neuron.max_count for q in qnet.layers) > 1
        for q in qnet.layers:
            most = np.concatenate([np.full(e.n_source, qnet.source_max(e.source)) for e in q.edges])
            wide = q.weights.astype(int)
            assert q.synapse.acc_max >= (np.maximum(wide, 0) @ most).max()
            assert q.synapse.acc_min <= (np.minimum(wide, 0) @ most).min()


def test_counts_of_fewer_bits_keep_the_rest_for_the_next_step() -> None:
    network = make_network([np.full((1, 4), 1.5)], "sinabs,norm_input=false", steps=8)
    x = np.zeros((1, 6, 4), np.uint8)
    x[0, 0] = 1  # six thresholds at once
    found = {}
    for bits in (None, 2, 1):
        qnet = quantise(network, QuantiseOptions(weight_bits=4, count_bits=bits))
        found[bits] = run_golden(qnet, x).spikes["lif0"][0, :, 0].tolist()
    assert found == {None: [6, 0, 0, 0, 0, 0], 2: [3, 3, 0, 0, 0, 0], 1: [1, 1, 1, 1, 1, 1]}
    fed_back = make_graph("sinabs,norm_input=false", decay=0.5)
    qnet = quantise(fed_back, replace(OPTIONS, count_bits=2))
    assert {q.neuron.max_count for q in qnet.layers} <= {1, 3}
    assert (
        qnet.layers[0].synapse.acc_width < quantise(fed_back, OPTIONS).layers[0].synapse.acc_width
    )
    with pytest.raises(InputError, match="count_bits = 9: must be 1 to 8"):
        QuantiseOptions(count_bits=9)


def test_calibration_takes_what_all_sources_do() -> None:
    rng = np.random.default_rng(0)
    network = make_graph("norse", decay=0.9)
    changed = tuple(
        replace(p, operations=(replace(p.operations[0], weight=rng.normal(0.1, 0.3, (n, m))),))
        if p.operations
        else p
        for p in network.projections
        for n, m in [(p.n_target, p.n_source)]
    )
    network = replace(network, projections=changed)
    x = samples()
    activity = record_activity(network, x)
    assert {name: counts.shape for name, counts in activity.items()} == {
        "ears": (72, 6), "eyes": (72, 4), "a": (72, 7), "b": (72, 5), "c": (72, 5), "d": (72, 3),
    }  # fmt: skip
    np.testing.assert_array_equal(activity["eyes"], x[:, :, 6:].reshape(72, 4))
    few = QuantiseOptions(weight_bits=3)
    plain, chosen = quantise(network, few), quantise(network, few, activity)
    shares = []
    for qnet in (plain, chosen):
        layers = compare_to_reference(network, qnet, x, local=True).layers
        shares.append(sum(layer.local.share for layer in layers if layer.local is not None))
    assert shares[1] < shares[0]


def test_an_early_stop_is_refused() -> None:
    qnet = quantise(make_graph("norse"), OPTIONS)
    assert with_stop(qnet, None).stop is None
    with pytest.raises(InputError, match="early stop: only a chain of layers can have one so far"):
        with_stop(qnet, StopParams(margins=(2,)))


def feed_membranes(network: Network) -> Network:
    """The graph with an LI in place of b, which feeds a and c."""
    li = make_neuron(5, network.dialect, spiking=False)
    populations = tuple(population("b", li) if p.name == "b" else p for p in network.populations)
    return replace(network, populations=populations)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (
            feed_membranes,
            {},
            r"node 'b': has no spikes to send on to 'c'; it puts out its membrane \(LI, CubaLI, I"
            r"\), a signed number, .*: let it spike, or leave 'c' out and read it at an output; a "
            r"filter alone can be the synaptic current of 'c' \(CubaLIF\)",
        ),
        (
            lambda n: replace(n, projections=n.projections[1:7] + n.projections[8:]),
            {},
            "node 'c': nothing feeds it; leave it out",
        ),
        (
            lambda n: n,
            {"input": InputParams(coding="static", payload_width=3, steps=4)},
            "--input static: only a chain of layers can have it so far, this network branches",
        ),
        (lambda n: n, {"input_max": {"ears": 0}}, "input_max = 0: must be 1 to 32767"),
        (lambda n: n, {"weight_bits": (4, 4)}, "2 entries; the network has 3 layers"),
    ],
    ids=["membranes", "unfed", "static", "input_max", "bits"],
)
def test_what_cannot_be_mapped_is_refused(change: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        quantise(change(make_graph("norse")), QuantiseOptions(**options))
