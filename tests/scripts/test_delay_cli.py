# SPDX-License-Identifier: Apache-2.0
"""Networks with delays through the commands: NIR's Delay nodes, and a delay a synapse from TOML."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from spikefab.gen.load import load_network
from spikefab.gen.qnetwork import QNetwork
from spikefab.sim.reference import run_reference

HOW = ("--dialect", "norse", "--dt", "1e-3")


def lif(n: int) -> nir.LIF:
    tau, ones, zeros = np.full(n, 2e-3), np.ones(n), np.zeros(n)
    return nir.LIF(tau=tau, r=ones, v_leak=zeros, v_threshold=0.5 * ones, v_reset=zeros)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`g.nir`: delays of inputs, of neurons, in the loop round `hidden`, on one of two ways to
    `classes`. `net.toml`: a delay a synapse. Weights are multiples of 1/8."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("delays")

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-3, 8, shape) / 8

    nodes = {
        "in": nir.Input(np.array([6])),
        "axons": nir.Delay(np.array([0, 3, 1, 0, 2, 5]) * 1e-3),
        "to_hidden": nir.Affine(weights(7, 6), weights(7)),
        "hidden": lif(7),
        "round": nir.Delay(np.full(7, 2e-3)),
        "own": nir.Linear(weights(7, 7) - 0.5),
        "to_classes": nir.Linear(weights(3, 7)),
        "dendrites": nir.Delay(np.array([4, 0, 1]) * 1e-3),
        "straight": nir.Linear(weights(3, 6)),
        "classes": lif(3),
        "out": nir.Output(np.array([3])),
    }
    ways = (
        ("in", "axons", "to_hidden", "hidden", "to_classes", "dendrites", "classes", "out"),
        ("hidden", "round", "own", "hidden"),
        ("in", "straight", "classes"),
    )
    edges = [edge for way in ways for edge in pairwise(way)]
    nir.write(folder / "g.nir", nir.NIRGraph(nodes=nodes, edges=edges, type_check=False))
    np.savez(folder / "w.npz", w=weights(5, 6), d=rng.integers(0, 6, (5, 6)))
    (folder / "net.toml").write_text(
        '[network]\nname = "late"\ninput = 6\ndialect = "norse"\ndt = 1e-3\n'
        '[[layer]]\nname = "hidden"\nsize = 5\ntau = 2e-3\nthreshold = 0.5\nbias = 0.125\n'
        'weights = { file = "w.npz", key = "w" }\ndelays = { file = "w.npz", key = "d" }\n'
        '[[layer]]\nname = "classes"\nsize = 3\ntau = 2e-3\nthreshold = 0.5\ndelays = 2\n'
        "weights = { seed = 1, bits = 4, scale = 0.125 }\n"
    )
    np.savez(folder / "x.npz", x=(rng.random((4, 14, 6)) < 0.4).astype(np.uint8))
    return folder


@pytest.mark.parametrize(("file", "how"), [("g.nir", HOW), ("net.toml", ())])
def test_delays_from_a_file_to_the_verilog(
    file: str, how: tuple[str, ...], folder: Path, spikefab: Any, tmp_path: Path
) -> None:
    data = ("--data", folder / "x.npz")
    made = spikefab(
        "compile", folder / file, *how, *data, "--device", "ecp5-25f", "-o", tmp_path / "d"
    )
    assert made.status == 0, made.err
    spikes = {}
    for engine in ("float", "golden", "rtl"):
        out = tmp_path / f"{engine}.npz"
        ran = spikefab("simulate", tmp_path / "d", *data, "--engine", engine, "-o", out, "--json")
        assert ran.status == 0, ran.err
        with np.load(out) as found:
            spikes[engine] = found["spikes"]
    assert spikes["golden"].any()
    np.testing.assert_array_equal(spikes["golden"], spikes["float"])
    np.testing.assert_array_equal(spikes["rtl"], spikes["golden"])
    qnet = QNetwork.load(tmp_path / "d" / "network.npz")
    late = [[edge.longest for edge in layer.edges] for layer in qnet.layers]
    assert late == ([[2, 5], [0, 4]] if file == "g.nir" else [[5], [2]])
    assert "    delays of up to 5 steps in a ring of " in made.err + made.out
    assert "draining" in (tmp_path / "d" / "README.md").read_text()


def test_a_delay_a_synapse_is_what_the_file_says(folder: Path) -> None:
    """The first population's input, a synapse at a time."""
    network = load_network(folder / "net.toml")
    with np.load(folder / "w.npz") as found:
        w, d = found["w"], found["d"]
    for source, target in ((0, 0), (3, 4), (5, 2)):
        x = np.zeros((1, 9, 6), int)
        x[0, 1, source] = 1
        quiet = run_reference(network, 0 * x, record=["hidden"])
        found = run_reference(network, x, record=["hidden"])
        assert quiet.mem is not None
        assert found.mem is not None
        change = (found.mem["hidden"] - quiet.mem["hidden"])[0, :, target]
        first = np.flatnonzero(change)[0] if w[target, source] else None
        assert first is None or first == 1 + d[target, source]
