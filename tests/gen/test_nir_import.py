# SPDX-License-Identifier: Apache-2.0
"""NIR graphs: what is understood, what is assumed, and each refusal."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from spikefab.gen.errors import InputError
from spikefab.gen.load import load_network
from spikefab.gen.network import Network
from spikefab.gen.nir_import import import_nir

Nodes = dict[str, nir.NIRNode]


def _f(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def _lif(n: int, **values: Any) -> nir.LIF:
    full = {"tau": 1e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | values
    return nir.LIF(**{k: np.full(n, v, np.float32) for k, v in full.items()})


def _li(n: int) -> nir.LI:
    return nir.LI(tau=np.full(n, 1e-3), r=np.ones(n), v_leak=np.zeros(n))


def _if(n: int) -> nir.IF:
    return nir.IF(r=np.ones(n), v_threshold=np.ones(n), v_reset=np.zeros(n))


def _linear(n_out: int, n_in: int, value: float = 0.5) -> nir.Linear:
    return nir.Linear(np.full((n_out, n_in), value, np.float32))


def _sizes(n_in: int, n_out: int) -> tuple[nir.Input, nir.Output]:
    return nir.Input(np.array([n_in])), nir.Output(np.array([n_out]))


def _chain(nodes: Nodes) -> nir.NIRGraph:
    return nir.NIRGraph(nodes=nodes, edges=list(itertools.pairwise(nodes)), type_check=False)


def _good() -> Nodes:
    a, b = _sizes(3, 2)
    return {"in": a, "fc1": _linear(4, 3), "lif.1": _lif(4), "fc2": _linear(2, 4),
            "lif.2": _lif(2), "out": b}  # fmt: skip


def _problems(
    graph: nir.NIRGraph | Path, dialect: str | None = "snntorch", dt: float | None = None
) -> str:
    read: Callable[..., Network] = load_network if isinstance(graph, Path) else import_nir
    with pytest.raises(InputError) as caught:
        read(graph, dialect=dialect, dt=dt)
    return str(caught.value)


# What is understood.


def test_edges_in_any_order_and_dotted_names(tmp_path: Path) -> None:
    nodes = _good()
    for edges in itertools.permutations(itertools.pairwise(nodes)):
        network = import_nir(nir.NIRGraph(nodes, list(edges)), dialect="snntorch")
        assert [p.name for p, _ in network.layers()] == ["lif.1", "lif.2"]
    nir.write(tmp_path / "a.b.nir", _chain(nodes))
    network = load_network(tmp_path / "a.b.nir", dialect="snntorch", steps=12)
    assert (network.name, network.input_name, network.output_name) == ("a.b", "in", "out")
    assert (network.input_shape, network.steps, network.dt) == ((3,), 12, 1e-4)
    assert [p.name for p in network.projections] == ["fc1", "fc2"]
    assert any("dt = 0.0001 s: the default of snntorch" in note for note in network.notes)


@pytest.mark.parametrize("drop", ["in", "out", "both"])
def test_missing_ends_are_put_there(drop: str) -> None:
    nodes = _good()
    for name in ("in", "out") if drop == "both" else (drop,):
        del nodes[name]
    network = import_nir(_chain(nodes), dialect="snntorch")
    assert network.input_shape == (3,)
    assert network.input_name == ("input" if drop != "out" else "in")
    assert network.output_name == ("output" if drop != "in" else "out")
    assert any("has no" in note for note in network.notes)


def test_missing_input_takes_its_shape_from_the_neurons() -> None:
    network = import_nir(_chain({"a": _lif(5), "fc": _linear(2, 5), "b": _lif(2)}), dialect="norse")
    assert network.input_shape == (5,)
    np.testing.assert_array_equal(network.projections[0].weight, np.eye(5))


@pytest.mark.parametrize("shape", [(), (1,)])
def test_single_parameters_are_spread(shape: tuple[int, ...]) -> None:
    node = nir.LIF(*(np.full(shape, v, np.float32) for v in (2e-3, 2.0, 0.0, 0.5, 0.0)))
    nodes = _good() | {"lif.1": node}
    neuron = import_nir(_chain(nodes), dialect="norse").populations[0].neuron
    np.testing.assert_allclose(neuron.decay, np.full(4, 0.5))
    np.testing.assert_array_equal(neuron.threshold, np.full(4, 0.5))


def test_linear_maps_are_folded() -> None:
    rng = np.random.default_rng(0)
    a, b, s = rng.normal(size=(4, 3)), rng.normal(size=(2, 4)), rng.normal(size=4)
    c, d = rng.normal(size=4), rng.normal(size=2)
    ends = _sizes(3, 2)
    nodes = {"in": ends[0], "a": nir.Affine(a, c), "s": nir.Scale(s), "b": nir.Affine(b, d),
             "lif": _lif(2), "out": ends[1]}  # fmt: skip
    network = import_nir(_chain(nodes), dialect="snntorch")
    (projection,) = network.projections
    x = rng.normal(size=3)
    expected = b @ (s * (a @ x + c)) + d
    np.testing.assert_allclose(projection.weight @ x + projection.bias, expected)
    assert projection.name == "a+s+b"
    assert any("folded" in note for note in network.notes)


@pytest.mark.parametrize(
    ("start", "shape"), [(0, (2, 3, 4)), (1, (2, 3, 4)), (1, (24,)), (-3, (2, 3, 4))]
)
def test_flatten_with_and_without_batch_axis(start: int, shape: tuple[int, ...]) -> None:
    nodes = {"in": nir.Input(np.array(shape)),
             "flat": nir.Flatten({"input": None}, start_dim=start),
             "fc": _linear(2, 24), "lif": _lif(2), "out": _sizes(1, 2)[1]}  # fmt: skip
    network = import_nir(_chain(nodes), dialect="snntorch")
    assert network.input_shape == shape
    assert network.projections[0].weight.shape == (2, 24)


def test_neuron_after_input_gets_identity_weights() -> None:
    ends = _sizes(3, 3)
    network = import_nir(_chain({"in": ends[0], "lif": _lif(3), "out": ends[1]}), dialect="norse")
    np.testing.assert_array_equal(network.projections[0].weight, np.eye(3))
    assert network.projections[0].name == "identity"


def test_axes_of_length_one_are_ignored() -> None:
    nodes = _good() | {"out": nir.Output(np.array([1, 1, 2])), "in": nir.Input(np.array([1, 3]))}
    network = import_nir(_chain(nodes), dialect="snntorch")
    assert network.input_shape == (1, 3)


# How it is discretised.


def _neuron(dialect: str, node: nir.NIRNode, dt: float | None = None) -> dict[str, float]:
    ends = _sizes(1, 1)
    network = import_nir(_chain({"in": ends[0], "n": node, "out": ends[1]}), dialect=dialect, dt=dt)
    neuron = network.populations[0].neuron
    assert all(np.shape(getattr(neuron, key)) == (1,) for key in ("decay", "gain", "offset"))
    return {key: float(getattr(neuron, key)[0])
            for key in ("decay", "gain", "offset", "threshold", "v_reset", "v_init")}  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "values", "dt", "expected"),
    [
        ("nir-literal", {"tau": 1e-3, "r": 3.0, "v_leak": 0.5}, 1e-4,
         {"decay": 0.9, "gain": 0.3, "offset": 0.05, "v_reset": 0.0}),
        ("snntorch", {"tau": 1e-3, "r": 10.0}, None, {"decay": 0.9, "gain": 1.0}),
        ("snntorch", {"tau": 1e-3, "r": 1.0}, None, {"decay": 0.9, "gain": 0.1}),
        ("norse", {"tau": 1e-2, "r": 7.0, "v_leak": 0.5}, None,
         {"decay": 0.9, "gain": 0.1, "offset": 0.05, "v_init": 0.5}),
        ("sinabs", {"tau": 10.0}, None, {"decay": np.exp(-0.1), "gain": 1 - np.exp(-0.1)}),
        ("sinabs,norm_input=false", {"tau": 10.0}, None, {"decay": np.exp(-0.1), "gain": 1.0}),
        ("spikingjelly", {"tau": 2e-4, "v_leak": 0.25, "v_reset": 0.25}, None,
         {"decay": 0.5, "gain": 0.5, "offset": 0.125, "v_reset": 0.25, "v_init": 0.25}),
        ("spikingjelly,decay_input=false", {"tau": 2e-4, "r": 2.0}, None,
         {"decay": 0.5, "gain": 1.0}),
        ("norse,v_reset=-0.5", {"tau": 1e-2, "v_reset": 0.5}, None, {"v_reset": -0.5}),
        ("snntorch", {"tau": 1e-3, "v_reset": 0.5}, None, {"v_reset": 0.0}),
        ("spyx", {"tau": 10.0, "r": 0.9}, None, {"decay": 0.9, "gain": 1.0}),
        ("rockpool,state=clear", {"tau": 1e-2}, None, {"decay": np.exp(-0.1), "gain": 1.0}),
    ],
)  # fmt: skip
def test_constants(
    dialect: str, values: dict[str, float], dt: float | None, expected: dict[str, float]
) -> None:
    found = _neuron(dialect, _lif(1, **values), dt)
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("dialect", "r", "dt", "gain"),
    [("norse", 1, None, 1), ("sinabs", 1, None, 1), ("spikingjelly", 1e4, None, 1),
     ("nir-literal", 1e4, 1e-4, 1), ("nir-literal", 5, 0.5, 2.5), ("nir-literal", 1, 1e-4, 1)],
)  # fmt: skip
def test_if_gain(dialect: str, r: float, dt: float | None, gain: float) -> None:
    node = nir.IF(r=_f(r), v_threshold=_f(1), v_reset=_f(0))
    assert _neuron(dialect, node, dt)["gain"] == gain
    assert _neuron(dialect, node, dt)["decay"] == 1


def test_float32_noise_is_removed() -> None:
    for beta in (0.5, 0.75, 0.9, 0.9375, 0.99):
        tau = np.float32(1e-4) / np.float32(1 - np.float32(beta))
        found = _neuron("snntorch", _lif(1, tau=tau, r=tau / np.float32(1e-4)))
        assert np.float32(found["decay"]) == np.float32(beta)
        assert found["gain"] == 1.0
    assert _neuron("snntorch", _lif(1, tau=200.0, r=2e6))["decay"] == 1.0


def test_snntorch_beta_of_one() -> None:
    """tau = dt/(1-1) and r = tau/dt are infinite; the neuron is an IF."""
    found = _neuron("snntorch", _lif(1, tau=np.inf, r=np.inf))
    assert (found["decay"], found["gain"], found["offset"]) == (1.0, 1.0, 0.0)


def test_lower_clamp() -> None:
    ends = _sizes(2, 2)
    nodes = {"in": ends[0], "n": _lif(2, v_threshold=3.0), "out": ends[1]}
    for dialect, expected in (("sinabs", None), ("sinabs,v_min=-threshold", -3), (
                              "sinabs,v_min=-0.5", -0.5)):  # fmt: skip
        clamp = import_nir(_chain(nodes), dialect=dialect).populations[0].neuron.v_min
        assert (clamp is None) == (expected is None)
        assert clamp is None or clamp.tolist() == [expected] * 2


# Which framework wrote it.


def _single(node: nir.NIRNode, name: str = "n", **metadata: str) -> nir.NIRGraph:
    n = int(node.r.size)
    ends = _sizes(n, n)
    nodes = {"in": ends[0], name: node, "out": ends[1]}
    return nir.NIRGraph(nodes, list(itertools.pairwise(nodes)), metadata=metadata, type_check=False)


@pytest.mark.parametrize(
    ("graph", "dialect", "dt"),
    [
        (_single(_lif(2, tau=1e-3, r=10.0)), "snntorch-subtract", 1e-4),
        (_single(_lif(2, tau=np.inf, r=np.inf)), "snntorch-subtract", 1e-4),
        (_single(nir.IF(_f(1e3, 1e3), _f(1, 1))), "spikingjelly", 1e-3),
        (_single(_lif(2), made_by="Norse 1.1.0"), "norse", 1e-3),
        (_single(_lif(2, tau=9.0), tool="sinabs"), "sinabs", 1.0),
    ],
)
def test_exporter_is_recognised(graph: nir.NIRGraph, dialect: str, dt: float) -> None:
    network = import_nir(graph)
    assert (str(network.dialect), network.dt) == (dialect, pytest.approx(dt))
    assert any(note.startswith(f"dialect = {dialect}: recognised") for note in network.notes)


def test_snntorch_is_recognised_by_its_synapses() -> None:
    def cuba(r: float) -> nir.CubaLIF:
        tau, syn, zero, one = (np.full(2, v) for v in (1e-3, 2e-4, 0.0, 1.0))
        return nir.CubaLIF(tau_syn=syn, tau_mem=tau, r=r * one, v_leak=zero, v_threshold=one,
                           w_in=2 * one)  # fmt: skip

    assert import_nir(_single(cuba(10.0))).dialect.preset == "snntorch-subtract"
    assert "give --dialect, one of" in _problems(_single(cuba(9.0)), dialect=None)


@pytest.mark.parametrize("node", [_lif(2), _if(2), _lif(2, tau=1e-3, r=10.001)])
def test_unknown_exporter_is_asked_for(node: nir.NIRNode) -> None:
    assert "give --dialect, one of nir-literal, snntorch-subtract" in _problems(
        _single(node), dialect=None
    )


def test_rockpool_is_recognised() -> None:
    network = import_nir(_single(_lif(2), "1_LIFNeuronTorch"))
    assert str(network.dialect) == "rockpool"


def test_suspicious_combinations_are_noted() -> None:
    notes = import_nir(_single(_lif(1, tau=4e-4, r=4.0)), dialect="spikingjelly").notes
    assert any("as SpikingJelly writes it for decay_input=False" in note for note in notes)
    notes = import_nir(_single(_lif(1, v_reset=0.5)), dialect="snntorch").notes
    assert any("v_reset = 0.5 is ignored: the dialect has reset=subtract" in n for n in notes)
    notes = import_nir(_single(_lif(1, tau=8e-6)), dialect="norse").notes
    assert any("read as tau/dt" in note for note in notes)


# What is refused. Each message names the node.


def _with(**changes: Any) -> nir.NIRGraph:
    return _chain(_good() | {k.replace("_", "."): v for k, v in changes.items()})


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (_with(fc1=_linear(4, 5)), "node 'fc1' (Linear): weight (4, 5) takes 5 inputs, but gets "
         "shape (3,); the shapes must agree"),
        (_with(fc1=_linear(4, 3, np.nan)), "node 'fc1' (Linear): weight holds 12 NaN or infinite"),
        (_with(fc1=_linear(4, 3, np.inf)), "node 'fc1' (Linear): weight holds 12 NaN or infinite"),
        (_with(fc1=nir.Affine(np.ones((4, 3)), np.full(4, np.nan))), "node 'fc1' (Affine): bias"),
        (_with(fc1=nir.Affine(np.ones((4, 3)), np.ones(3))), "node 'fc1' (Affine): bias has shape "
         "(3,); it must be (4,)"),
        (_with(fc1=nir.Linear(np.ones((2, 4, 3)))), "node 'fc1' (Linear): weight has shape (2, 4,"),
        (_with(fc1=nir.Linear(np.ones((4, 3), complex))), "node 'fc1' (Linear): weight does"),
        (_with(lif_1=_lif(4, r=0)), "node 'lif.1' (LIF): r = 0 leaves an input gain of 0"),
        (_with(lif_1=_lif(5)), "node 'lif.1' (LIF): tau has shape (5,); it must be (4,)"),
        (_with(lif_1=_lif(4, tau=0)), "node 'lif.1' (LIF): tau = 0: must be > 0"),
        (_with(lif_1=_lif(4, tau=-1)), "node 'lif.1' (LIF): tau = -1: must be > 0"),
        (_with(lif_1=_lif(4, v_threshold=np.nan)), "node 'lif.1' (LIF): v_threshold holds NaN"),
        (_with(lif_1=_lif(4, v_leak=np.inf)), "node 'lif.1' (LIF): v_leak holds NaN or infinity"),
        (_with(lif_1=_lif(4, tau=np.inf)), "node 'lif.1' (LIF): tau = inf s leaves an input gain"),
        (_with(lif_1=_lif(4, tau=5e-5)), "node 'lif.1' (LIF): tau = 5e-05 s is below dt = 0.0001"),
        (_with(fc1=nir.Scale(np.ones(5))), "node 'fc1' (Scale): scale has shape (5,), but gets"),
        (_with(fc1=nir.Scale(np.full(3, np.nan))), "node 'fc1' (Scale): scale holds 3 NaN"),
        (_with(out=nir.Output(np.array([7]))), "node 'out' (Output): shape (7,), but 'lif.2' has"),
        (_with(**{"in": nir.Input(np.array([0]))}), "node 'in': shape (0,): every axis must"),
        (_with(**{"in": nir.Input(np.array([1, 1, 3, 2]))}), "node 'fc1' (Linear): weight (4, 3)"),
        (_chain({"a": nir.LIF(*(np.ones(()) for _ in range(5)))}), "node 'a' (LIF): its size is "
         "unknown"),
        (nir.NIRGraph({}, [], type_check=False), "the graph has no nodes"),
    ],
)  # fmt: skip
def test_refuses_nodes(graph: nir.NIRGraph, message: str) -> None:
    assert message in _problems(graph)


def _edges(extra: list[tuple[str, str]], drop: tuple[str, str] | None = None) -> nir.NIRGraph:
    graph = _chain(_good() | {"fc3": _linear(4, 4)} if any("fc3" in e for e in extra) else _good())
    edges = [e for e in itertools.pairwise(_good()) if e != drop]
    return nir.NIRGraph(graph.nodes, edges + extra, type_check=False)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (_edges([("lif.2", "fc1")]), "node 'fc1' (Linear): is fed shape (3,) by 'in' and (2,) by "
         "'lif.2'; what is added up must agree"),
        (_edges([("in", "fc3"), ("fc3", "lif.1")]), "node 'fc3' (Linear): weight (4, 4) takes 4"),
        (_edges([("in", "fc1"), ("fc1", "fc3"), ("fc3", "fc3"), ("fc3", "lif.1")]),
         "node 'fc3': is part of a cycle without a neuron ('fc3'); a cycle needs one to hold"),
        (_edges([("lif.2", "ghost")]), "edge 'lif.2' -> 'ghost': there is no node 'ghost'"),
        (_edges([("ghost", "fc1")]), "edge 'ghost' -> 'fc1': there is no node 'ghost'; the nodes"),
        (_edges([], drop=("lif.1", "fc2")), "nodes 'fc2', 'lif.2', 'out': not connected to 'in'"),
        (_edges([("out", "fc3")]), "node 'out': an Output node must not feed another node"),
        (_chain({"a": _lif(3), "in": _sizes(3, 3)[0], "b": _lif(3)}), "node 'in': an Input node"),
        (_chain({"a": _sizes(3, 3)[0], "l": _lif(3), "b": _sizes(3, 3)[0]}), "node 'b': an Input"),
    ],
)  # fmt: skip
def test_refuses_edges(graph: nir.NIRGraph, message: str) -> None:
    assert message in _problems(graph)


def test_duplicate_edges_are_one() -> None:
    assert isinstance(import_nir(_edges([("in", "fc1")]), dialect="norse"), Network)


def test_a_threshold_must_be_above_0_where_it_is_subtracted() -> None:
    graph = _with(lif_1=_lif(4, v_threshold=np.array([1, 0, -1, 2])))
    text = _problems(graph, "snntorch-subtract")
    assert "node 'lif.1' (LIF): v_threshold = -1: must be > 0" in text
    (neuron,) = [
        p.neuron for p in import_nir(graph, dialect="nir-literal").populations if p.name == "lif.1"
    ]
    assert neuron.threshold.tolist() == [1, 0, -1, 2]


def test_every_problem_at_once() -> None:
    nodes = _good() | {"fc1": _linear(4, 3, np.nan), "lif.1": _lif(4),
                       "fc2": nir.Affine(np.ones((2, 4)), np.ones(9)),
                       "lif.2": _lif(2, v_threshold=-1, tau=-2)}  # fmt: skip
    text = _problems(_chain(nodes), "lava-dl,reset=subtract")
    for part in ("'fc1' (Linear): weight holds", "'fc2' (Affine): bias", "tau = -2: must",
                 "v_threshold = -1: must"):  # fmt: skip
        assert part in text


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_dt(dt: float) -> None:
    assert "must be a number of seconds > 0" in _problems(_chain(_good()), dt=dt)


@pytest.mark.parametrize(
    ("dialect", "message"), [("norse,compare=eq", "compare = 'eq' is not one of gt, ge")]
)  # fmt: skip
def test_refuses_dialects(dialect: str, message: str) -> None:
    assert message in _problems(_chain(_good()), dialect)


# Files.


@pytest.fixture
def nir_file(tmp_path: Path) -> Path:
    nir.write(tmp_path / "net.nir", _chain(_good()))
    return tmp_path / "net.nir"


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.99])
def test_refuses_truncated(nir_file: Path, keep: float) -> None:
    whole = nir_file.read_bytes()
    nir_file.write_bytes(whole[: int(len(whole) * keep)])
    assert f"{nir_file}: cannot be read, it is truncated or damaged" in _problems(nir_file)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x89HDX\r\n\x1a\n" * 20])
def test_refuses_not_hdf5(nir_file: Path, content: bytes) -> None:
    nir_file.write_bytes(content)
    assert f"{nir_file}: is not HDF5, so it is no .nir graph" in _problems(nir_file)


def test_refuses_missing_folder_and_other_suffix(nir_file: Path) -> None:
    assert "does not exist" in _problems(nir_file.with_name("absent.nir"))
    (nir_file.parent / "folder.nir").mkdir()
    assert "is a folder" in _problems(nir_file.parent / "folder.nir")
    assert "is neither a .nir graph nor a .toml config" in _problems(nir_file.with_suffix(".onnx"))
    with pytest.raises(InputError, match=r"steps = 0: must be >= 1"):
        load_network(nir_file, steps=0)


def test_refuses_other_hdf5(nir_file: Path) -> None:
    with h5py.File(nir_file, "w") as file:
        file["weights"] = np.zeros(3)
    assert "holds no NIR graph (no group 'node'; it has weights)" in _problems(nir_file)


def test_refuses_damaged_structure(nir_file: Path) -> None:
    with h5py.File(nir_file, "a") as file:
        del file["node/nodes/fc1/weight"]
    assert "node 'fc1' (Linear): has no weight; export the graph again" in _problems(nir_file)
    with h5py.File(nir_file, "a") as file:
        del file["node/nodes/fc1/type"]
        del file["node/edges"]
    text = _problems(nir_file)
    assert "node 'fc1' has no type" in text
    assert "the graph has no 'edges'" in text


def test_older_schemas_lack_parameters(tmp_path: Path) -> None:
    ends, ones = _sizes(2, 2), np.ones(2)
    cuba = nir.CubaLIF(tau_syn=2e-3 * ones, tau_mem=4e-3 * ones, r=4 * ones, v_leak=0 * ones,
                       v_threshold=ones, v_reset=0 * ones, w_in=ones)  # fmt: skip
    path = tmp_path / "net.nir"
    nir.write(path, _chain({"in": ends[0], "n": cuba, "out": ends[1]}))
    whole = load_network(path, dialect="nir-literal", dt=1e-3).populations[0].neuron
    with h5py.File(path, "a") as file:
        del file["node/nodes/n/w_in"]
        del file["node/nodes/n/v_reset"]
    old = load_network(path, dialect="nir-literal", dt=1e-3).populations[0].neuron
    assert old.current is not None
    assert whole.current is not None
    assert old.current.gain.tolist() == whole.current.gain.tolist() == [0.5, 0.5]
    assert old.v_reset.tolist() == [0, 0]


def test_refuses_texts_for_numbers(nir_file: Path) -> None:
    with h5py.File(nir_file, "a") as file:
        del file["node/nodes/lif.1/tau"]
        file["node/nodes/lif.1/tau"] = "long"
    assert "node 'lif.1' (LIF): tau does not hold numbers" in _problems(nir_file)


# Real graphs.


@pytest.mark.parametrize(
    ("name", "dialect", "dt", "decay"),
    [
        ("nirpaper_lif_norse", "norse", 1e-4, [0.96]),
        ("nirpaper_lif_rockpool", "rockpool,state=clear", 1e-4, [np.exp(-0.04)]),
        ("nirpaper_two_lif_neurons", "nir-literal", 1e-4, [0.99, 0.99]),
        ("nirhist_lif_norse__3a3afb6f", "norse", 1e-4, [0.96]),
    ],
)
def test_real_graphs_import(
    name: str, dialect: str, dt: float, decay: list[float], shared_data: Path
) -> None:
    network = load_network(shared_data / "nir" / f"{name}.nir", dialect=dialect, dt=dt)
    found = [float(p.neuron.decay[0]) for p, _ in network.layers()]
    assert found == pytest.approx(decay, abs=1e-7)


BRAILLE = {
    "nir/NIRTorch_tests_braille": "lif1.lif",
    "nir/nirhist_braille__047410e9": "lif1.lif",
    "nir/nirhist_braille_v2__50b2fc28": "lif1.lif",
    "nir/nirpaper_braille_noDelay_bias_zero": "lif1.lif",
    "nir/nirpaper_braille_noDelay_noBias_subtract": "lif1.lif",
    "nir/spyx_braille_noDelay_bias_zero_subgraph": "lif1.lif1",
    "nir_unreadable/nirhist_braille_subgraph__77b4a802": "hidden.lif",
    "nir_unreadable/nirpaper_braille_noDelay_bias_zero_subgraph": "lif1.lif1",
}
"""Recurrent graphs, as a cycle or nested, and the node that feeds itself."""


@pytest.mark.parametrize("name", BRAILLE)
@pytest.mark.parametrize("dialect", ["snntorch-zero", "norse", "spyx"])
def test_braille_graphs_import(name: str, dialect: str, shared_data: Path) -> None:
    network = load_network(shared_data / f"{name}.nir", dialect=dialect, dt=1e-4)
    (first, into), (last, onward) = network.layers()
    assert (first.name, last.name) == (BRAILLE[name], "lif2")
    assert first.neuron.current is not None
    assert network.input_shape == (12,)
    assert [(p.source, p.recurrent) for p in into] == [("input", False), (first.name, True)]
    assert [(p.source, p.recurrent) for p in onward] == [(first.name, False)]
    assert (into[1].n_source, into[1].n_target, last.n) == (first.n, first.n, 7)
    assert any(f"is fed back by {first.name!r}" in note for note in network.notes)


@pytest.mark.parametrize(
    ("name", "dialect", "note"),
    [
        ("nir/nirhist_braille_v2__50b2fc28", "norse",
         "edge 'lif1' -> 'fc2': there is no node 'lif1'; 'lif1.output' is taken"),
        ("nir/nirhist_braille_v2__50b2fc28", "norse",
         "node 'input' (Input): shape (256, 12), but 12 values are taken: the first axis is read "
         "as 256 time steps"),
        ("nir_unreadable/nirhist_braille_subgraph__77b4a802", "norse",
         "node 'hidden.input': states shape (12,), but gets (38,): that is taken"),
        ("nir_unreadable/nirpaper_braille_noDelay_bias_zero_subgraph", "norse",
         "the edges name 'lif1.lif', which does not exist, and none names 'lif1.lif1'"),
        ("nir_unreadable/nirhist_scnn_mnist__669fbfad", "sinabs",
         "node 'input' (Input): shape (1, 2, 34, 34) is read as (2, 34, 34), without its batch"),
        ("nir_unreadable/nirhist_scnn_mnist__669fbfad", "sinabs",
         "start_dim = 1 is taken to count the batch axis: (8, 4, 4) becomes (128,)"),
    ],
)  # fmt: skip
def test_what_is_understood_is_noted(name: str, dialect: str, note: str, shared_data: Path) -> None:
    network = load_network(shared_data / f"{name}.nir", dialect=dialect)
    assert any(note in found for found in network.notes)


def test_a_repaired_graph_equals_the_one_that_its_authors_repaired(shared_data: Path) -> None:
    """The NIR paper's nested graph has edges to a node that is not there; spyx has its repair."""
    broken = shared_data / "nir_unreadable/nirpaper_braille_noDelay_bias_zero_subgraph.nir"
    whole = shared_data / "nir/spyx_braille_noDelay_bias_zero_subgraph.nir"
    a, b = (load_network(path, dialect="snntorch-zero") for path in (broken, whole))
    for p, q in zip(a.projections, b.projections, strict=True):
        assert (p.name, p.source, p.target, p.recurrent) == (q.name, q.source, q.target,
                                                             q.recurrent)  # fmt: skip
        np.testing.assert_array_equal(p.weight, q.weight)
        np.testing.assert_array_equal(p.bias, q.bias)


@pytest.mark.parametrize(
    "name",
    ["nir/nirpaper_cnn_sinabs", "nir/nirhist_scnn_mnist__232ebad8",
     "nir_unreadable/nirhist_scnn_mnist__669fbfad"],
)  # fmt: skip
def test_convolutional_graphs_import(name: str, shared_data: Path) -> None:
    network = load_network(shared_data / f"{name}.nir", dialect="sinabs")
    assert network.input_shape == (2, 34, 34)
    assert [p.shape for p in network.populations] == [
        (16, 16, 16), (16, 16, 16), (8, 8, 8), (256,), (10,)]  # fmt: skip
    found = [[type(op).__name__ for op in p.operations] for p in network.projections]
    assert found == [["Conv"], ["Conv"], ["SumPool", "Conv"], ["SumPool", "Dense"], ["Dense"]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nir/nirhist_braille__c381ba29", "node 'lif1' (CubaLIF): is fed shape (16,) by 'fc1' and "
         "(63,) by 'lif1r'; what is added up must agree"),
        ("nir/nirhist_braille__c381ba29", "node 'fc2' (Affine): weight (63, 63) takes 63 inputs, "
         "but gets shape (16,); the shapes must agree"),
        ("nir_unreadable/NIR-demo-repo_norse_demo_scnn_model", "the graph has no 'edges'"),
    ],
)  # fmt: skip
def test_real_graphs_refused(name: str, message: str, shared_data: Path) -> None:
    """Not even its own shapes fit together; and a file without edges."""
    assert message in _problems(shared_data / f"{name}.nir", dialect="norse")


def test_graph_that_nir_refuses_is_understood(shared_data: Path) -> None:
    """Its parameters mix shapes () and (1,), which nir 1.0.8 does not take."""
    path = shared_data / "nir_unreadable" / "nirhist_lif_norse__2b0feb3d.nir"
    network = load_network(path, dialect="norse")
    assert any("All parameters must have the same shape" in note for note in network.notes)
    assert network.populations[0].neuron.threshold == pytest.approx([0.1])


def test_every_shared_graph_is_imported(shared_data: Path) -> None:
    refused = {"nirhist_braille__c381ba29", "NIR-demo-repo_norse_demo_scnn_model"}
    paths = sorted(shared_data.glob("nir*/*.nir"))
    assert len(paths) >= 18
    for path in paths:
        for dialect in ("nir-literal", "snntorch", "sinabs", "spikingjelly", "rockpool", "spyx"):
            dt = 1e-6 if "sinabs" not in dialect else None
            if path.stem in refused:
                with pytest.raises(InputError):
                    load_network(path, dialect=dialect, dt=dt)
            else:
                assert load_network(path, dialect=dialect, dt=dt).layers()
