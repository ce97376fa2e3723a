# SPDX-License-Identifier: Apache-2.0
"""A network in integers as a value: what it refuses, and its file."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from designs import make_network

from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import CurrentParams, NeuronParams, SynapseParams


def layer(name: str, n: int, *edges: tuple[str, int, bool], **fields: Any) -> QLayer:
    """A layer of `n` neurons whose edges (source, its size, recurrent) have drawn weights."""
    rng = np.random.default_rng(len(name) + n)
    made = [
        dense_edge(source, rng.integers(-8, 8, (n, size)), recurrent=recurrent)
        for source, size, recurrent in edges
    ]
    neuron = NeuronParams(n=n, fraction_bits=1, membrane_width=12, saturate=True, **fields)
    n_in = sum(size for _, size, _ in edges)
    synapse = SynapseParams(n_in=n_in, n_out=n, weight_width=4, acc_min=-8 * n_in, acc_max=7 * n_in)
    return QLayer(
        name=name, edges=tuple(made), synapse=synapse, neuron=neuron, scale=np.full(1, 0.5)
    )


def graph() -> QNetwork:
    """Two inputs, a recurrent population, a skip, a back edge, two outputs."""
    current = CurrentParams(leak_num=(3,), leak_shift=2, width=14, order="add-use-decay")
    return QNetwork(
        name="graph",
        inputs=(QInput(name="ears", shape=(2, 3), max_events=4), QInput(name="eyes", shape=(5,))),
        layers=(
            layer("a", 4, ("a", 4, True), ("b", 3, True), ("ears", 6, False), current=current),
            layer("b", 3, ("eyes", 5, False), ("a", 4, False), count_width=2),
            layer("c", 2, ("b", 3, False), spiking=False, reset="none"),
        ),
        outputs=(QOutput(name="out c", source="c"), QOutput(name="out a", source="a")),
        steps=7,
    )


def test_what_a_graph_says_of_itself() -> None:
    qnet = graph()
    assert not qnet.is_chain
    assert make_network([4, 3, 2]).is_chain
    assert (qnet.n_inputs, qnet.input_shape, qnet.sample_shape) == (11, (11,), (11,))
    assert dict(qnet.input_ranges) == {"ears": slice(0, 6), "eyes": slice(6, 11)}
    assert (qnet.n_outputs, [q.name for q in qnet.output_layers]) == (6, ["c", "a"])
    assert (qnet.input_name, qnet.output_name) == ("ears+eyes", "out c+out a")
    assert [qnet.source_max(name) for name in ("ears", "eyes", "a", "b", "c")] == [4, 1, 1, 3, 0]
    a = qnet.layers[0]
    assert a.columns == (slice(0, 4), slice(4, 7), slice(7, 13))
    for edge, part in zip(a.edges, a.columns, strict=True):
        np.testing.assert_array_equal(a.weights[:, part], edge.weights)
    other = a.with_weights(a.weights + 1)
    np.testing.assert_array_equal(other.weights, a.weights + 1)
    assert [(e.source, e.recurrent) for e in other.edges] == [
        (e.source, e.recurrent) for e in a.edges
    ]


def test_a_graph_survives_its_file(tmp_path: Path) -> None:
    qnet = graph()
    qnet.save(tmp_path / "a.npz")
    again = QNetwork.load(tmp_path / "a.npz")
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (again.inputs, again.outputs, again.steps) == (qnet.inputs, qnet.outputs, 7)
    for a, b in zip(qnet.layers, again.layers, strict=True):
        assert (a.name, a.neuron, a.synapse, a.bound) == (b.name, b.neuron, b.synapse, b.bound)
        assert [(e.source, e.recurrent) for e in a.edges] == [
            (e.source, e.recurrent) for e in b.edges
        ]
        np.testing.assert_array_equal(a.weights, b.weights)
        np.testing.assert_array_equal(a.scale, b.scale)


def late(layer: QLayer, k: int, delays: np.ndarray) -> QLayer:
    """The layer with delays on edge k."""
    edges = list(layer.edges)
    edges[k] = replace(edges[k], delays=delays)
    return replace(layer, edges=tuple(edges))


def format_of(path: Path) -> int:
    with np.load(path) as file:
        return int(json.loads(str(file["meta"]))["format"])


def rewritten(path: Path, new: Path, **changes: Any) -> Path:
    """The same file with other values in its `meta`."""
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"])) | changes
    np.savez(new, **arrays | {"meta": np.array(json.dumps(meta))})
    return new


def test_delays_survive_their_file(tmp_path: Path) -> None:
    qnet = graph()
    rng = np.random.default_rng(2)
    a = late(qnet.layers[0], 2, rng.integers(0, 9, 6))
    b = late(qnet.layers[1], 1, rng.integers(0, 9, (3, 4)))
    qnet = replace(qnet, layers=(a, b, qnet.layers[2]))
    qnet.save(tmp_path / "a.npz")
    again = QNetwork.load(tmp_path / "a.npz").layers
    assert a.delays is not None
    assert b.delays is not None
    assert (a.delays[:, :7] == 0).all()
    np.testing.assert_array_equal(a.delays[:, 7:], np.tile(a.edges[2].delays, (4, 1)))
    np.testing.assert_array_equal(again[0].delays, a.delays)
    np.testing.assert_array_equal(again[1].delays, b.delays)
    np.testing.assert_array_equal(a.with_weights(a.weights + 1).delays, a.delays)
    assert again[1].edges[0].delays is None
    # A reader that knows no delays must not run it without them.
    assert format_of(tmp_path / "a.npz") == 3
    still = late(qnet.layers[0], 2, np.zeros(6, int))
    replace(graph(), layers=(still, *graph().layers[1:])).save(tmp_path / "still.npz")
    assert format_of(tmp_path / "still.npz") == 2
    older = rewritten(tmp_path / "a.npz", tmp_path / "older.npz", format=2)
    np.testing.assert_array_equal(QNetwork.load(older).layers[0].delays, a.delays)
    assert again[2].delays is None
    with pytest.raises(ValueError, match=r"delays of 0 to 1024 steps; they must be 0 to 1023"):
        late(a, 2, np.array([0, 0, 0, 0, 0, 1024]))
    with pytest.raises(ValueError, match=r"delays int64 \(5,\); they must be integers \(6,\)"):
        late(a, 2, np.zeros(5, int))


def test_a_chain_of_the_first_format_is_read(tmp_path: Path) -> None:
    qnet = make_network([6, 5, 4])
    meta = {
        "format": 1,
        "name": qnet.name,
        "input_name": "input",
        "input_shape": [6],
        "output_name": "output",
        "input_max": 1,
        "input": asdict(qnet.input),
        "stop": None,
        "steps": None,
        "dialect": "",
        "dt": 1e-4,
        "layers": [
            {
                "name": q.name,
                "synapse": asdict(q.synapse),
                "neuron": {
                    k: v for k, v in asdict(q.neuron).items() if k not in ("current", "bias_late")
                },
                "weight_exact": False,
                "ternary": False,
                "bound": None,
            }
            for q in qnet.layers
        ],
    }
    arrays = {f"weights_{k}": q.weights for k, q in enumerate(qnet.layers)}
    arrays |= {f"scale_{k}": q.scale for k, q in enumerate(qnet.layers)}
    np.savez(tmp_path / "old.npz", meta=np.array(json.dumps(meta)), **arrays)
    QNetwork.load(tmp_path / "old.npz").save(tmp_path / "old_again.npz")
    qnet.save(tmp_path / "new.npz")
    assert (tmp_path / "old_again.npz").read_bytes() == (tmp_path / "new.npz").read_bytes()
    np.savez(tmp_path / "newer.npz", meta=np.array(json.dumps(meta | {"format": 4})), **arrays)
    with pytest.raises(ValueError, match="format 4, this version reads 1 to 3"):
        QNetwork.load(tmp_path / "newer.npz")


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([layer("a", 4, ("in", 3, False)), layer("a", 4, ("in", 3, False))], "must differ"),
        ([layer("a", 4, ("on", 3, False))], "its source 'on' is not in the network"),
        ([layer("a", 4, ("in", 2, False))], r"\(4, 2\) weights from 'in'; it takes \(4, 3\)"),
        ([layer("a", 4, ("in", 3, False), ("a", 4, False))], "the edge must be recurrent"),
        ([layer("a", 4, ("in", 3, True))], "the edge from input 'in' is recurrent"),
        ([layer("a", 4, ("in", 3, False), ("a", 4, True))], "recurrent ones first"),
        ([layer("b", 4, ("in", 3, False))], "its source 'a' is no layer"),
        (
            [
                replace(
                    layer("a", 4, ("in", 3, False)),
                    synapse=SynapseParams(n_in=9, n_out=4, weight_width=4, acc_min=0, acc_max=9),
                )
            ],
            "synapse.n_in is 9, its edges have 3",
        ),
    ],
)
def test_what_does_not_fit_is_refused(layers: list[QLayer], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        QNetwork(
            name="bad",
            inputs=(QInput(name="in", shape=(3,)),),
            layers=tuple(layers),
            outputs=(QOutput(name="out", source="a"),),
        )


def test_outputs_and_sources_in_order() -> None:
    a, b = layer("a", 4, ("in", 3, False)), layer("b", 2, ("a", 4, False), ("in", 3, False))
    given: dict[str, Any] = {"name": "bad", "inputs": (QInput(name="in", shape=(3,)),)}
    with pytest.raises(ValueError, match=r"'b': edges must be .* in the network's order"):
        QNetwork(layers=(a, b), outputs=(QOutput(name="out", source="a"),), **given)
    with pytest.raises(ValueError, match="needs outputs of different names"):
        QNetwork(layers=(a,), outputs=(QOutput(name="o", source="a"),) * 2, **given)
