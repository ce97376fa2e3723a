# SPDX-License-Identifier: Apache-2.0
"""A graph with two inputs, a recurrence and three outputs through the commands."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

HOW = ("--dialect", "norse", "--dt", "1e-3")


def leaky(n: int) -> dict[str, np.ndarray]:
    return {"tau": np.full(n, 2e-3), "r": np.ones(n), "v_leak": np.zeros(n)}


def lif(n: int) -> nir.LIF:
    return nir.LIF(**leaky(n), v_threshold=np.ones(n), v_reset=np.zeros(n))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`classes` spike, `level` is an LI under two names; `hidden` feeds itself."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("graph")
    nodes = {
        "ears": nir.Input(np.array([2, 3])),
        "eyes": nir.Input(np.array([4])),
        "flat": nir.Flatten({"input": np.array([2, 3])}, 0, -1),
        "from_ears": nir.Linear(rng.normal(0.3, 0.5, (5, 6))),
        "from_eyes": nir.Linear(rng.normal(0.3, 0.5, (5, 4))),
        "hidden": lif(5),
        "own": nir.Linear(rng.normal(0, 0.4, (5, 5))),
        "to_classes": nir.Affine(rng.normal(0.2, 0.5, (3, 5)), rng.normal(0, 0.1, 3)),
        "classes": lif(3),
        "to_level": nir.Linear(rng.normal(0.2, 0.5, (2, 5))),
        "level": nir.LI(**leaky(2)),
        "a_class": nir.Output(np.array([3])),
        "b_level": nir.Output(np.array([2])),
        "c_level": nir.Output(np.array([2])),
    }
    ways = (
        ("ears", "flat", "from_ears", "hidden", "to_classes", "classes", "a_class"),
        ("eyes", "from_eyes", "hidden", "own", "hidden", "to_level", "level", "b_level"),
        ("level", "c_level"),
    )
    edges = [edge for way in ways for edge in pairwise(way)]
    nir.write(folder / "g.nir", nir.NIRGraph(nodes=nodes, edges=edges, type_check=False))
    np.savez(
        folder / "d.npz",
        x_ears=(rng.random((6, 12, 2, 3)) < 0.4).astype(np.uint8),
        x_eyes=rng.integers(1, 3, (6, 12, 4)) * (rng.random((6, 12, 4)) < 0.5),
        y=rng.integers(0, 3, 6),
    )
    return folder


def test_check_draws_every_population(graph: Path, spikefab: Any) -> None:
    ran = spikefab("check", graph / "g.nir", *HOW, "--data", graph / "d.npz", "--json")
    layers = ran.values["fidelity"]["layers"]
    assert [layer["name"] for layer in layers] == ["hidden", "classes", "level"]
    assert all(len(layer["whole"]["membrane_by_step"]) == 12 for layer in layers)
    said = spikefab("check", graph / "g.nir", *HOW, "--data", graph / "d.npz").out
    assert "step by step:" in said
    assert "between membranes" in said


def test_a_graph_from_its_file_to_results_by_node(
    graph: Path, spikefab: Any, tmp_path: Path
) -> None:
    data = ("--data", graph / "d.npz")
    made = spikefab(
        "compile", graph / "g.nir", *HOW, *data, "--device", "ecp5-25f", "-o", tmp_path / "d",
    )  # fmt: skip
    assert made.status == 0, made.err
    arrays = {}
    for engine in ("float", "golden"):
        out = tmp_path / f"{engine}.npz"
        ran = spikefab(
            "simulate", tmp_path / "d", *data, "--engine", engine, "-o", out, "--record", "mem",
            "--json",
        )  # fmt: skip
        assert ran.status == 0, ran.err
        with np.load(out) as found:
            arrays[engine] = dict(found)
        assert {name: a.shape for name, a in arrays[engine].items()} == {
            "spikes_a_class": (6, 12, 3),
            "spikes_b_level": (6, 12, 2),
            "spikes_c_level": (6, 12, 2),
            "mem_a_class": (6, 12, 3),
            "mem_b_level": (6, 12, 2),
            "mem_c_level": (6, 12, 2),
            "mem_hidden": (6, 12, 5),
        }
        assert arrays[engine]["spikes_a_class"].dtype == np.int16
        assert arrays[engine]["spikes_a_class"].any()
        assert not arrays[engine]["spikes_b_level"].any()
        np.testing.assert_array_equal(arrays[engine]["mem_c_level"], arrays[engine]["mem_b_level"])
        assert 0 <= ran.values["accuracy"] <= 1
    for given in ((), data):
        assert spikefab("report", tmp_path / "d", *given).status == 0
        page = (tmp_path / "d" / "report.html").read_text()
        for words in ("<title>hidden to hidden, a step later</title>", ">ears to hidden<",
                      "<title>read as b_level, c_level</title>"):  # fmt: skip
            assert words in page
    differ = arrays["golden"]["spikes_a_class"] != arrays["float"]["spikes_a_class"]
    assert differ.mean() < 0.05


def test_each_input_has_its_own_limit(graph: Path, spikefab: Any, tmp_path: Path) -> None:
    """The data had one event an ear, and two an eye."""
    data = ("--data", graph / "d.npz")
    made = spikefab(
        "compile", graph / "g.nir", *HOW, *data, "--device", "ecp5-25f", "-o", tmp_path / "d",
        "--json",
    )  # fmt: skip
    limits = {node["name"]: node["max_events"] for node in made.values["inputs"]}
    assert limits == {"ears": 1, "eyes": 2}
    assert "| ears | 0 to 5 | events, at most 1 an" in (tmp_path / "d" / "README.md").read_text()
    with np.load(graph / "d.npz") as found:
        arrays = dict(found)
    arrays["x_ears"] = 2 * arrays["x_ears"]
    np.savez(tmp_path / "d.npz", **arrays)
    for engine in ("float", "golden", "rtl"):
        ran = spikefab("simulate", tmp_path / "d", "--data", tmp_path / "d.npz", "--engine", engine)
        assert ran.status == 2
        assert "x_ears holds 2 events for one input in one step; this design takes" in ran.err


def test_what_the_data_lack_is_named(graph: Path, spikefab: Any, tmp_path: Path) -> None:
    with np.load(graph / "d.npz") as found:
        arrays = dict(found)
    for changes, words in (
        ({"x_eyes": None}, "no array 'x_eyes' (found ['x_ears', 'y'])"),
        ({"y": np.full(6, 3)}, "output node 'a_class', the first, has 3 outputs"),
        ({"x_ears": arrays["x_ears"][:, :5]}, "x_eyes has 6 samples of 12 steps, x_ears has 6 of"),
    ):
        changed = {k: v for k, v in (arrays | changes).items() if v is not None}
        np.savez(tmp_path / "d.npz", **changed)
        ran = spikefab("check", graph / "g.nir", *HOW, "--data", tmp_path / "d.npz")
        assert (ran.status, words in ran.err) == (2, True), ran.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--input", "static"), "--input static: the network has 2 inputs, which take plain"),
        (("--graded",), "--graded: the network has 2 inputs, which take plain spikes only so far"),
    ],
)
def test_codings_that_need_one_input(
    options: tuple[str, ...], words: str, graph: Path, spikefab: Any
) -> None:
    ran = spikefab("check", graph / "g.nir", *HOW, *options)
    assert (ran.status, words in ran.err) == (2, True), ran.err
