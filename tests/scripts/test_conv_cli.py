# SPDX-License-Identifier: Apache-2.0
"""A convolutional graph through the commands: kernels in memory, numbers outside."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np


def spiking(*shape: int) -> nir.IF:
    return nir.IF(r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))


def write_graph(file: Path) -> None:
    """Two convolutions, a pooling between them, and a dense layer behind them."""
    rng = np.random.default_rng(0)
    nodes = {
        "input": nir.Input(np.array([2, 8, 7])),
        "conv": nir.Conv2d((8, 7), rng.normal(0.1, 0.3, (3, 2, 3, 3)), 1, 1, 1, 1, np.zeros(3)),
        "maps": spiking(3, 8, 7),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "deep": nir.Conv2d((4, 3), rng.normal(0.1, 0.3, (4, 3, 3, 3)), 1, 1, 1, 1, np.zeros(4)),
        "more": spiking(4, 4, 3),
        "flat": nir.Flatten({"input": np.array([4, 4, 3])}, 0, -1),
        "dense": nir.Linear(rng.normal(0.1, 0.3, (5, 48))),
        "classes": spiking(5),
        "output": nir.Output(np.array([5])),
    }
    graph = nir.NIRGraph(nodes=nodes, edges=list(pairwise(nodes)), type_check=False)
    nir.write(file, graph)


def test_a_convolutional_network_from_its_file_to_the_verilog(
    spikefab: Any, tmp_path: Path
) -> None:
    write_graph(tmp_path / "g.nir")
    rng = np.random.default_rng(1)
    x = (rng.random((3, 5, 2, 8, 7)) < 0.2).astype(np.uint8)
    np.savez(tmp_path / "d.npz", x=x, y=np.array([0, 1, 2]))
    data = ("--data", tmp_path / "d.npz")
    how = ("--dialect", "snntorch-subtract", "--weight-bits", "6")
    made = spikefab(
        "compile", tmp_path / "g.nir", *how, *data, "--device", "ecp5-25f", "-o", tmp_path / "d",
        "--json",
    )  # fmt: skip
    assert made.status == 0, made.err
    kinds = [entry["structure"] and entry["structure"]["kind"] for entry in made.values["layers"]]
    assert kinds[:2] == ["convolution"] * 2
    assert made.values["layers"][0]["event_cycles"] == [4, 9]
    ran = spikefab(
        "simulate", tmp_path / "d", *data, "--engine", "rtl", "-o", tmp_path / "out.npz",
        "--record", "mem", "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert ran.values["equals_golden"]
    assert ran.values["output_spikes"] > 0
    for key in ("cycles_per_inference", "interval_cycles"):
        assert ran.values[key] == made.values["predicted"][key]
    with np.load(tmp_path / "out.npz") as out:
        assert out["mem_maps"].shape == (3, 5, 3 * 8 * 7)
        assert out["spikes"].shape == (3, 5, 5)
    # Without data the report takes the design's own vectors, which are by address.
    assert spikefab("report", tmp_path / "d").status == 0
    assert (tmp_path / "d" / "report.html").is_file()
