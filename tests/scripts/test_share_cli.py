# SPDX-License-Identifier: Apache-2.0
"""A deep network on a small part, through the commands: layers that share an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

LAYERS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`net.toml`: five layers of twelve neurons; `x.npz`: samples for it."""
    folder = tmp_path_factory.mktemp("deep")
    text = '[network]\nname = "deep"\ninput = 8\ndialect = "snntorch-subtract"\nsteps = 6\n'
    for k in range(LAYERS):
        text += (
            f'[[layer]]\nname = "layer{k}"\nsize = 12\nbeta = 0.875\nthreshold = 0.5\n'
            f"weights = {{ seed = {k + 1}, bits = 4, scale = 0.09 }}\n"
        )
    (folder / "net.toml").write_text(text)
    rng = np.random.default_rng(0)
    np.savez(folder / "x.npz", x=(rng.random((3, 6, 8)) < 0.5).astype(np.uint8))
    return folder


def test_a_deep_network_on_a_small_part(folder: Path, spikefab: Any, tmp_path: Path) -> None:
    network = (folder / "net.toml", "--data", folder / "x.npz", "--device", "hx1k")
    refused = spikefab("compile", *network, "--share", "never", "-o", tmp_path / "never")
    assert refused.status == 2
    assert "hx1k has too few logic cells" in refused.err
    assert not (tmp_path / "never").exists()
    made = spikefab("compile", *network, "-o", tmp_path / "d")
    assert made.status == 0, made.err
    assert "shares its engine with" in made.out + made.err
    assert "too much logic with an engine a layer" in made.out + made.err
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    assert sum("shared" in layer for layer in manifest["layers"]) >= 2
    assert "share an engine" in (tmp_path / "d" / "README.md").read_text()
    spikes = {}
    for engine in ("golden", "rtl"):
        out = tmp_path / f"{engine}.npz"
        ran = spikefab(
            "simulate", tmp_path / "d", "--data", folder / "x.npz", "--engine", engine,
            "--record", "mem", "-o", out, "--json",
        )  # fmt: skip
        assert ran.status == 0, ran.err
        with np.load(out) as found:
            spikes[engine] = dict(found)
    assert spikes["golden"]["spikes"].any()
    for key, values in spikes["golden"].items():
        np.testing.assert_array_equal(spikes["rtl"][key], values)
    predicted = manifest["predicted"]["cycles_per_inference"]
    assert spikes["rtl"]["cycles"].mean() == pytest.approx(predicted)
