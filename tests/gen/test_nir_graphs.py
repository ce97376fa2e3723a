# SPDX-License-Identifier: Apache-2.0
"""Any directed graph: its shapes, its cycles, its joins, and that it computes what it says."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikefab.gen.errors import InputError
from spikefab.gen.network import Network
from spikefab.gen.network_file import load_saved_network, save_network
from spikefab.gen.nir_import import import_nir
from spikefab.gen.operations import Bias, Conv, Delay
from spikefab.sim.reference import run_reference
from tests.nir_graphs import Drawn, direct, drawn_graphs

Edge = tuple[str, str]


def _check(drawn: Drawn, seed: int, folder: Path | None = None) -> None:
    """Import and reference against the equations; the order of edges changes nothing."""
    order = list(range(len(drawn.edges)))
    networks = []
    for _ in range(2):
        networks.append(import_nir(drawn.graph(order), dialect="nir-literal", dt=1.0))
        random.Random(seed).shuffle(order)
    network = networks[0]
    assert [_edges(a) for a in networks] == [_edges(network)] * 2
    late = {(p.source, p.target) for p in network.projections if p.recurrent}
    layers = network.layers()  # Raises where a cycle has no recurrent edge.
    for source, target in late:
        assert source in _reached(network, target), "a recurrent edge outside of any cycle"
    expected = direct(drawn, [population.name for population, _ in layers], late).out
    x = {i.name: drawn.input[i.name][None] for i in network.inputs}
    found = run_reference(network, x)
    for population, _ in layers:
        values = found.spikes[population.name][0]
        if not population.neuron.spiking:
            assert found.mem is not None
            values = found.mem[population.name][0]
        # Spikes are exact; membranes that were fed back for some steps fill float32.
        limit = 0 if population.neuron.spiking else 1e-6
        np.testing.assert_allclose(
            values, expected[population.name], rtol=limit, atol=limit, err_msg=population.name
        )
    if folder is not None:
        save_network(network, folder / "network.npz")
        again = load_saved_network(folder / "network.npz")
        assert _edges(again) == _edges(network)
        assert (again.inputs, again.outputs) == (network.inputs, network.outputs)
        second = run_reference(again, x)
        for name, values in found.spikes.items():
            np.testing.assert_array_equal(values, second.spikes[name])


def _edges(network: Network) -> list[tuple[str, str, str, bool]]:
    return [(p.name, p.source, p.target, p.recurrent) for p in network.projections]


def _reached(network: Network, start: str) -> set[str]:
    found = {start}
    for _ in network.populations:
        found |= {p.target for p in network.projections if p.source in found}
    return found


@settings(max_examples=60, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(drawn=drawn_graphs(), seed=st.integers(0, 999))
def test_drawn_graphs_compute_what_they_say(drawn: Drawn, seed: int, tmp_path: Path) -> None:
    _check(drawn, seed, tmp_path)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, derandomize=True)
@given(drawn=drawn_graphs(), seed=st.integers(0, 999))
def test_many_drawn_graphs_compute_what_they_say(drawn: Drawn, seed: int) -> None:
    _check(drawn, seed)


BAD: list[Any] = [
    np.nan, None, "x", b"same", np.zeros(0), np.array(np.nan), -1, 0, 1.5, np.ones((2, 3, 4)),
    np.array(["a"]), np.array([1j]), (1,), {}, np.inf, 1e300, 2**70, np.ones((1, 1, 1, 1, 1)),
    np.array(None), [[1], [2, 3]], np.array([0, 0]), 7,
]  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    drawn_graphs(), st.randoms(use_true_random=False), st.sampled_from(["norse", "sinabs", None])
)
def test_a_broken_graph_ends_in_words(
    drawn: Drawn, random: random.Random, dialect: str | None
) -> None:
    """Values of every wrong kind, edges and nodes lost or invented: a network, or a refusal."""
    for _ in range(random.randint(1, 3)):
        name, change = random.choice(list(drawn.nodes)), random.randint(0, 4)
        if change <= 1:
            key = random.choice([k for k in vars(drawn.nodes[name]) if k != "metadata"])
            setattr(drawn.nodes[name], key, random.choice(BAD))
        elif change == 2 and drawn.edges:
            drawn.edges.pop(random.randrange(len(drawn.edges)))
        elif change == 3:
            drawn.edges.append((name, random.choice([*drawn.nodes, "ghost", "a", "b"])))
        elif len(drawn.nodes) > 1:
            del drawn.nodes[name]
    graph = nir.NIRGraph({}, [], type_check=False)
    graph.nodes, graph.edges = drawn.nodes, drawn.edges
    with contextlib.suppress(InputError):
        assert import_nir(graph, dialect=dialect, dt=random.choice([1.0, None])).layers()


# One case each.


def _lif(n: int, **values: Any) -> nir.LIF:
    full = {"tau": 2.0, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | values
    own = next((v.shape for v in full.values() if isinstance(v, np.ndarray)), (n,))
    return nir.LIF(**{key: np.broadcast_to(v, own) for key, v in full.items()})


def _in(*shape: int) -> nir.Input:
    return nir.Input(np.array(shape))


def _out(*shape: int) -> nir.Output:
    return nir.Output(np.array(shape))


def _fc(n_out: int, n_in: int, bias: float | None = None) -> nir.NIRNode:
    weight = np.arange(n_out * n_in).reshape(n_out, n_in) / 4 - 1
    return nir.Linear(weight) if bias is None else nir.Affine(weight, np.full(n_out, bias))


def _import(nodes: dict[str, Any], edges: str, **others: Any) -> Network:
    pairs = [tuple(edge.split(">")) for edge in edges.split()]
    graph = nir.NIRGraph(nodes, pairs, type_check=False)  # type: ignore[arg-type]
    return import_nir(graph, **({"dialect": "nir-literal", "dt": 1.0} | others))


def _refused(nodes: dict[str, Any], edges: str, **others: Any) -> str:
    with pytest.raises(InputError) as caught:
        _import(nodes, edges, **others)
    return str(caught.value)


def _noted(network: Network, text: str) -> bool:
    return any(text in note for note in network.notes)


def _kinds(network: Network) -> list[tuple[str, list[str]]]:
    return [(p.name, [type(op).__name__ for op in p.operations]) for p in network.projections]


def test_a_bias_where_ways_join_counts_once() -> None:
    nodes = {"in": _in(2), "a": _fc(3, 2), "b": _fc(3, 2, 0.5), "join": _fc(3, 3, 2.0),
             "l": _lif(3), "out": _out(3)}  # fmt: skip
    network = _import(nodes, "in>a in>b a>join b>join join>l l>out")
    assert _kinds(network) == [("a+join", ["Dense", "Dense", "Bias"]),
                               ("b+join", ["Dense", "Bias", "Dense"])]  # fmt: skip
    a, b, join = (nodes[n] for n in ("a", "b", "join"))
    total = join.weight @ (b.bias) + join.bias  # type: ignore[union-attr]
    np.testing.assert_array_equal(sum(p.bias for p in network.projections), total)
    np.testing.assert_array_equal(
        sum(p.weight for p in network.projections),
        join.weight @ (a.weight + b.weight),  # type: ignore[union-attr]
    )


def test_a_shared_bias_goes_with_what_acts_at_once() -> None:
    """In a cycle it is the feed-forward connection's, so that it acts in the first step too."""
    nodes = {"in": _in(2), "w": _fc(2, 2), "join": _fc(2, 2, 1.0), "l": _lif(2), "out": _out(2)}
    network = _import(nodes, "l>w w>join in>join join>l l>out")
    assert _kinds(network) == [("join", ["Dense", "Bias"]), ("w+join", ["Dense", "Dense"])]
    assert [p.recurrent for p in network.projections] == [False, True]


def test_a_bias_that_forks_counts_on_each_way() -> None:
    nodes = {"in": _in(2), "a": _fc(2, 2, 1.0), "s": nir.Scale(np.full(2, 2.0)), "l": _lif(2),
             "out": _out(2)}  # fmt: skip
    network = _import(nodes, "in>a a>l a>s s>l l>out")
    assert _kinds(network) == [("a", ["Dense", "Bias"]), ("a+s", ["Dense", "Bias", "Scale"])]


def test_a_neuron_that_feeds_itself_is_the_recurrent_class() -> None:
    """snnTorch's RLeaky discards the step's input; Leaky does not. A longer cycle is no RLeaky."""
    nodes = {"in": _in(2), "l": _lif(2), "k": _lif(2), "w": _fc(2, 2), "out": _out(2)}
    network = _import(nodes, "in>l l>l l>k k>w w>l k>out", dialect="snntorch-zero")
    found = {p.name: p.neuron.dialect.reset_time for p in network.populations}
    assert found == {"l": "next-discard", "k": "next-before-leak"}
    assert [(p.source, p.target) for p in network.projections if p.recurrent] == [
        ("l", "l"), ("k", "l")]  # fmt: skip


def test_several_inputs_and_outputs_by_name() -> None:
    nodes = {"z": _in(3), "x2": _in(2), "x10": _in(2), "a": _fc(3, 2), "l": _lif(3), "k": _lif(3),
             "o1": _out(3), "o2": _out(3), "o3": _out(3)}  # fmt: skip
    network = _import(nodes, "z>l x2>a x10>a a>l l>k k>o2 l>o1 l>o3")
    assert [(i.name, i.shape) for i in network.inputs] == [("x2", (2,)), ("x10", (2,)), ("z", (3,))]
    assert [(o.name, o.source) for o in network.outputs] == [("o1", "l"), ("o2", "k"), ("o3", "l")]
    assert [(p.source, p.target) for p in network.projections] == [
        ("x2", "l"), ("x10", "l"), ("z", "l"), ("l", "k")]  # fmt: skip


def test_a_nested_graph_is_dissolved() -> None:
    inner = nir.NIRGraph(
        {"input": _in(3), "lif": _lif(3), "w": _fc(3, 3), "output": _out(3)},
        [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")],
    )
    outer = nir.NIRGraph(
        {"i": _in(3), "deep": inner, "fc": _fc(3, 3), "o": _out(3)},
        [("i", "deep"), ("deep", "fc"), ("fc", "o")],
    )
    nodes = {"in": _in(2), "fc": _fc(3, 2), "g": outer, "l": _lif(3), "out": _out(3)}
    network = _import(nodes, "l>out g>l fc>g in>fc")
    assert [(p.name, p.source, p.target, p.recurrent) for p in network.projections] == [
        ("fc", "in", "g.deep.lif", False), ("g.deep.w", "g.deep.lif", "g.deep.lif", True),
        ("g.fc", "g.deep.lif", "l", False)]  # fmt: skip


def test_ends_of_a_nested_graph_by_name_and_without_nodes() -> None:
    two = nir.NIRGraph({"a": _in(2), "b": _in(2), "l": _lif(2), "o": _out(2)},
                       [("a", "l"), ("b", "l"), ("l", "o")])  # fmt: skip
    nodes = {"x": _in(2), "y": _in(2), "g": two, "out": _out(2)}
    text = _refused(nodes, "x>g y>g g>out")
    assert "node 'g' (NIRGraph): has 2 Input nodes ('a', 'b'); one is needed" in text
    bare = nir.NIRGraph({"fc": _fc(2, 2), "l": _lif(2)}, [("fc", "l")], type_check=False)
    network = _import({"x": _in(2), "g": bare, "out": _out(2)}, "x>g g>out")
    assert _noted(network, "node 'g' (NIRGraph): has no Input node; 'fc' is taken")
    assert _noted(network, "node 'g' (NIRGraph): has no Output node; 'l' is taken")
    assert _kinds(network) == [("g.fc", ["Dense"])]


def test_edges_of_older_exporters() -> None:
    nodes = {"in": _in(2), "l.input": _in(2), "l.lif": _lif(2), "l.w": _fc(2, 2),
             "l.output": _out(2), "out": _out(2)}  # fmt: skip
    edges = "in>l l.input>l.lif l.lif>l.w l.w>l.lif l.lif>l.output l>out"
    network = _import(nodes, edges)
    assert network.output_name == "out"
    assert _kinds(network) == [("identity", []), ("l.w", ["Dense"])]
    assert _noted(network, "edge 'l' -> 'out': there is no node 'l'; 'l.output' is taken")
    only = {"in": _in(2), "g.l": _lif(2), "out": _out(2)}
    network = _import(only, "in>g g>out")
    assert [p.name for p in network.populations] == ["g.l"]
    assert _noted(network, "edge 'in' -> 'g': there is no node 'g'; 'g.l' is taken")
    several = {"in": _in(2), "x": _lif(2), "y": _lif(2), "out": _out(2)}
    assert "edge 'in' -> 'l': there is no node 'l'; the" in _refused(several, "in>l l>out")
    del several["y"]
    assert _noted(_import(several, "in>l l>out"), "node 'x': the edges name 'l', which does not")
    text = _refused(nodes | {"k": _lif(2)}, edges + " l>k k>ghost")
    assert "edge 'k' -> 'ghost': there is no node 'ghost'; the nodes are" in text


@pytest.mark.parametrize("end", ["linear", "scale", "sum", "delay", "input"])
def test_an_output_without_a_neuron_reads_what_comes(end: str) -> None:
    nodes: dict[str, Any] = {"in": _in(2), "l": _lif(2), "k": _lif(2), "out": _out(2),
                             "fc": _fc(2, 2, 1.0), "s": nir.Scale(np.full(2, 0.5)),
                             "d": nir.Delay(np.ones(2))}  # fmt: skip
    edges = {
        "linear": "in>l l>fc fc>out",
        "scale": "in>l l>s s>out",
        "sum": "in>l in>k l>out k>out",
        "delay": "in>l l>d d>out",
        "input": "in>out",
    }[end]
    used = {name: node for name, node in nodes.items() if name in edges.replace(">", " ").split()}
    network = _import(used, edges)
    (output,) = network.outputs
    assert (output.name, output.source) == ("out", "out")
    neuron = network.populations[-1].neuron
    assert (neuron.spiking, neuron.decay.tolist()) == (False, [0, 0])
    assert _noted(network, "node 'out' (Output): is fed by")
    x = np.array([[[2, 0], [0, 3], [0, 0]]])
    mem = run_reference(network, x).mem
    assert mem is not None
    spikes = np.array([[1.0, 0], [0, 1], [0, 0]])  # 2 > 1, then 0 + 3 > 1, membranes reset
    expected = {
        "linear": spikes @ used["fc"].weight.T + 1 if "fc" in used else None,
        "scale": spikes / 2, "sum": spikes * 2, "delay": np.vstack([np.zeros(2), spikes[:2]]),
        "input": x[0],
    }[end]  # fmt: skip
    np.testing.assert_array_equal(mem["out"][0], expected)


def test_a_flatten_before_an_output_is_no_readout() -> None:
    nodes = {"in": _in(1, 2, 2), "l": _lif(1), "f": nir.Flatten({"input": None}, 0),
             "out": _out(4)}  # fmt: skip
    network = _import(nodes, "in>l l>f f>out")
    assert network.outputs[0].source == "l"
    assert network.populations[0].shape == (1, 2, 2)


@pytest.mark.parametrize(
    "own", [(), (1,), (2,), (2, 1, 1), (1, 3, 2), (2, 3, 2), (1, 2, 3, 2), (1, 2)]
)
def test_parameters_shared_per_channel_and_per_neuron(own: tuple[int, ...]) -> None:
    value = 1 + np.arange(int(np.prod(own))).reshape(own) / 4
    nodes = {"in": _in(2, 3, 2), "l": _lif(1, v_threshold=value), "out": _out(2, 3, 2)}
    network = _import(nodes, "in>l l>out")
    spread = value if value.size != 2 else value.reshape(2, 1, 1)
    expected = np.broadcast_to(spread if value.ndim != 4 else value[0], (2, 3, 2)).reshape(-1)
    np.testing.assert_array_equal(network.populations[0].neuron.threshold, expected)


@pytest.mark.parametrize("own", [(3,), (2, 3), (3, 1, 1), (2, 2, 3), (12,)])
def test_parameters_that_fit_no_way(own: tuple[int, ...]) -> None:
    nodes = {"in": _in(2, 3, 2), "l": _lif(1, v_threshold=np.ones(own)), "out": _out(2, 3, 2)}
    assert (f"node 'l' (LIF): v_threshold has shape {own}; it must be (2, 3, 2), (2,) for one a "
            "channel, or one number") in _refused(nodes, "in>l l>out")  # fmt: skip


def test_a_flat_input_takes_the_shape_of_the_neurons() -> None:
    conv = nir.Conv2d(None, np.ones((1, 2, 2, 2)), 1, 0, 1, 1, np.zeros(1))
    nodes = {"in": _in(3), "fc": _fc(12, 3), "l": _lif(1, tau=np.full((2, 3, 2), 2.0)),
             "c": conv, "k": _lif(1), "out": _out(1, 2, 1)}  # fmt: skip
    network = _import(nodes, "in>fc fc>l l>c c>k k>out")
    assert [p.shape for p in network.populations] == [(2, 3, 2), (1, 2, 1)]


def _conv(**values: Any) -> nir.Conv2d:
    full: dict[str, Any] = {
        "input_shape": None, "weight": np.ones((4, 2, 3, 2)), "stride": (1, 1), "padding": (0, 0),
        "dilation": (1, 1), "groups": 1, "bias": np.arange(4.0)}  # fmt: skip
    return nir.Conv2d(**(full | values))


@pytest.mark.parametrize(
    ("values", "shape", "padding"),
    [
        ({}, (4, 3, 5), ((0, 0), (0, 0))),
        ({"padding": "valid"}, (4, 3, 5), ((0, 0), (0, 0))),
        ({"padding": "same"}, (4, 5, 6), ((1, 1), (0, 1))),
        ({"padding": "same", "dilation": (2, 3)}, (4, 5, 6), ((2, 2), (1, 2))),
        ({"padding": (2, 1)}, (4, 7, 7), ((2, 2), (1, 1))),
        ({"padding": 1, "stride": 2}, (4, 3, 4), ((1, 1), (1, 1))),
        ({"padding": np.array(b"same")}, (4, 5, 6), ((1, 1), (0, 1))),
        ({"groups": 2, "weight": np.ones((4, 1, 3, 2))}, (4, 3, 5), ((0, 0), (0, 0))),
        ({"stride": np.array([2, 3]), "dilation": np.array([2, 1])}, (4, 1, 2), ((0, 0), (0, 0))),
        ({"input_shape": (6, 5)}, (4, 3, 5), ((0, 0), (0, 0))),
    ],
)
def test_convolutions(values: dict[str, Any], shape: tuple[int, ...], padding: Any) -> None:
    nodes = {"in": _in(2, 5, 6), "c": _conv(), "l": _lif(1), "out": _out(*shape)}
    for key, value in values.items():
        setattr(nodes["c"], key, value)
    network = _import(nodes, "in>c c>l l>out")
    conv, bias = network.projections[0].operations
    assert isinstance(conv, Conv)
    assert isinstance(bias, Bias)
    assert (conv.out_shape, conv.padding) == (shape, padding)
    np.testing.assert_array_equal(bias.value.reshape(shape)[:, 0, 0], np.arange(4))
    assert _noted(network, "states input shape (6, 5), but gets (5, 6)") == ("input_shape" in
                                                                            values)  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"padding": "same", "stride": (2, 2)}, "padding = 'same' with stride (2, 2) is not def"),
        ({"padding": "full"}, "padding = 'full': must be 'same', 'valid' or whole numbers >= 0"),
        ({"padding": (-1, 0)}, "padding = (-1, 0): must be one or 2 whole numbers >= 0"),
        ({"stride": 0}, "stride = 0: must be one or 2 whole numbers >= 1"),
        ({"stride": (1, 2, 3)}, "stride = (1, 2, 3): must be one or 2 whole numbers >= 1"),
        ({"stride": 1.5}, "stride = 1.5: must be"),
        ({"dilation": (1, "x")}, "dilation = (1, 'x'): must be"),
        ({"groups": 3}, "groups = 3 does not divide its 4 output channels"),
        ({"groups": 2}, "takes (channels, height, width), 4 of them by its weight and groups, but "
         "gets shape (2, 5, 6); the shapes must agree"),
        ({"weight": np.ones((4, 2, 3))}, "weight has shape (4, 2, 3); it must be (outputs, inputs/"
         "groups, kernel height, kernel width)"),
        ({"weight": np.ones((4, 2, 3, 9))}, "its window spans (3, 9), more than the padded input "
         "(5, 6); make it smaller or pad more"),
        ({"weight": np.full((4, 2, 3, 2), np.nan)}, "weight holds 48 NaN or infinite of 48"),
        ({"bias": np.ones(3)}, "bias has shape (3,); it must be (4,), one an output"),
    ],
)  # fmt: skip
def test_convolutions_that_are_refused(values: dict[str, Any], message: str) -> None:
    nodes = {"in": _in(2, 5, 6), "c": _conv(), "l": _lif(1), "out": _out(7)}
    for key, value in values.items():
        setattr(nodes["c"], key, value)
    assert f"node 'c' (Conv2d): {message}" in _refused(nodes, "in>c c>l l>out")


def test_images_with_and_without_batch_and_channel_axes() -> None:
    pool = nir.SumPool2d(np.array([2]), np.array([2]), np.array([0]))
    for shape, out in (((4, 6), (1, 2, 3)), ((1, 4, 6), (1, 2, 3)), ((1, 3, 4, 6), (3, 2, 3))):
        nodes = {"in": _in(*shape), "p": pool, "l": _lif(1), "out": _out(*out)}
        assert _import(nodes, "in>p p>l l>out").populations[0].shape == out
    signal = nir.Conv1d(8, np.ones((3, 2, 2)), 1, 0, 1, 1, np.zeros(3))
    nodes = {"in": _in(1, 2, 8), "c": signal, "l": _lif(1), "out": _out(3, 7)}
    assert _import(nodes, "in>c c>l l>out").populations[0].shape == (3, 7)
    nodes = {"in": _in(24), "p": pool, "l": _lif(1), "out": _out(6)}
    assert "node 'p' (SumPool2d): takes (channels, height, width), but gets shape (24,)" in (
        _refused(nodes, "in>p p>l l>out"))  # fmt: skip


def test_delays_are_whole_steps() -> None:
    def graph(*delay: float) -> dict[str, Any]:
        return {"in": _in(2), "d": nir.Delay(np.array(delay, np.float32)), "l": _lif(2),
                "out": _out(2)}  # fmt: skip

    network = _import(graph(3e-3, 0), "in>d d>l l>out", dt=1e-4, dialect="snntorch")
    (delay,) = network.projections[0].operations
    assert isinstance(delay, Delay)
    assert (delay.steps.tolist(), delay.steps.dtype) == ([30, 0], np.int64)
    assert network.projections[0].delayed
    assert not _import(graph(0, 0), "in>d d>l l>out").projections[0].operations
    assert "node 'd' (Delay): delay = 0.0025 s is 2.5 steps of dt = 0.001 s; it must be" in (
        _refused(graph(2.5e-3, 0), "in>d d>l l>out", dt=1e-3))  # fmt: skip
    assert "node 'd' (Delay): delay = -1: must be >= 0" in _refused(graph(-1, 0), "in>d d>l l>out")


def test_a_cycle_needs_a_neuron() -> None:
    nodes = {"in": _in(2), "a": _fc(2, 2), "b": _fc(2, 2), "d": nir.Delay(np.ones(2)),
             "l": _lif(2), "out": _out(2)}  # fmt: skip
    assert "node 'a': is part of a cycle without a neuron ('a', 'b', 'd'); a cycle needs one" in (
        _refused(nodes, "in>a a>b b>d d>a b>l l>out"))  # fmt: skip


def test_ends_are_put_where_there_are_none() -> None:
    nodes = {"a": _fc(2, 3), "b": _fc(2, 5), "l": _lif(2), "w": _fc(2, 2)}
    network = _import(nodes, "a>l b>l l>w w>l")
    assert [(i.name, i.shape) for i in network.inputs] == [("input", (3,)), ("input2", (5,))]
    assert [(o.name, o.source) for o in network.outputs] == [("output", "l")]
    assert _noted(network, "the graph has no Input node: 'input2' is put before 'b'")
    assert _noted(network, "the graph has no Output node: 'output' is put after 'l'")
    assert "no Input node, and every node is fed by another" in _refused(
        {"a": _fc(2, 2), "l": _lif(2)}, "a>l l>a"
    )
    ring = {"in": _in(2), "a": _lif(2), "b": _lif(2)}
    assert "no Output node, and every node feeds another" in _refused(ring, "in>a a>b b>a")
    conv = {"c": _conv(input_shape=(5, 6)), "l": _lif(1)}
    assert _import(conv, "c>l").input_shape == (2, 5, 6)
    assert "node 'c' (Conv2d): its size is unknown" in _refused({"c": _conv(), "l": _lif(1)}, "c>l")


def test_what_leads_nowhere_is_left_out_or_refused() -> None:
    nodes = {"in": _in(2), "l": _lif(2), "k": _lif(2), "out": _out(2)}
    network = _import(nodes, "in>l l>k l>out")
    assert [p.name for p in network.populations] == ["l"]
    assert _noted(network, "node 'k' (LIF): leads to no output; it is left out")
    assert "nodes 'k': not connected to 'in'" in _refused(nodes, "in>l k>l l>out")
    assert "node 'x' (Input): leads to no output; connect it or remove it" in (
        _refused(nodes | {"x": _in(2)}, "in>l l>out x>k"))  # fmt: skip


def test_a_node_that_does_not_spike_hands_on_its_membrane() -> None:
    li = nir.LI(tau=np.full(2, 2.0), r=np.full(2, 2.0), v_leak=np.zeros(2))
    nodes = {"in": _in(2), "i": li, "t": nir.Threshold(np.full(2, 1.25)), "out": _out(2)}
    network = _import(nodes, "in>i i>t t>out")
    x = np.array([[[1, 0], [1, 2], [0, 1], [0, 0]]])
    found = run_reference(network, x)
    # Membranes 1, 1.5, 0.75, 0.375 and 0, 2, 2, 1.
    assert found.spikes["t"][0].T.tolist() == [[0, 1, 0, 0], [0, 1, 1, 0]]


def test_too_many_ways_are_refused() -> None:
    nodes: dict[str, Any] = {"in": _in(1), "l": _lif(1), "out": _out(1)}
    edges, last = "l>out", ["in"]
    for i in range(11):
        for side in "ab":
            nodes[f"{side}{i}"] = nir.Scale(np.ones(1))
            edges += "".join(f" {source}>{side}{i}" for source in last)
        last = [f"a{i}", f"b{i}"]
    edges += "".join(f" {source}>l" for source in last)
    assert "node 'l': more than 1024 ways through nodes without state lead" in (
        _refused(nodes, edges))  # fmt: skip


def test_every_problem_of_a_graph_at_once() -> None:
    nodes = {"in": _in(2, 5, 6), "c": _conv(groups=3), "f": nir.Flatten({"input": None}, 7),
             "fc": _fc(3, 4), "l": _lif(3, tau=-1.0), "d": nir.Delay(np.full(3, 0.5)),
             "k": _lif(9), "out": _out(3)}  # fmt: skip
    text = _refused(nodes, "in>c c>f f>fc fc>l l>d d>k k>out in>f")
    for part in ("node 'c' (Conv2d): groups = 3", "node 'f' (Flatten): start_dim 7",
                 "node 'l' (LIF): tau = -1: must be > 0", "node 'd' (Delay): delay = 0.5 s",
                 "node 'k' (LIF): tau has shape (9,); it must be (3,), or one number"):  # fmt: skip
        assert part in text
