# SPDX-License-Identifier: Apache-2.0
"""Early stop from the command line: calibrated, given, simulated, saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefab.gen.design import Design


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Samples whose label is where the network's own answer ends."""
    rng = np.random.default_rng(3)
    path = tmp_path / "many.npz"
    np.savez(path, x=rng.integers(0, 2, (40, 8, 2, 3)), y=rng.integers(0, 3, 40))
    return path


def test_check_and_compile_calibrate(spikefab: Any, net: Path, many: Path, tmp_path: Path) -> None:
    ran = spikefab("check", net, "--data", many, "--early-stop", "10", "--json")
    assert ran.status == 0
    report = ran.values["early_stop"]
    assert (report["samples"], report["calibrated_on"], report["steps"]) == (20, 20, 8)
    assert 1 <= report["mean_steps"] < 8
    out = tmp_path / "design"
    ran = spikefab(
        "compile", net, "--data", many, "--early-stop", "10", "--device", "up5k", "-o", out
    )
    assert ran.status == 0
    assert "early stop: margin" in ran.out
    assert "calibrated on 20 samples, loss 10 points" in ran.out
    manifest = Design.load(out).manifest
    assert manifest["stop"]["margins"] == report["margins"]
    assert "The rest of its input is taken and dropped." in (out / "README.md").read_text()


def test_engines_agree(spikefab: Any, net: Path, many: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "design", tmp_path / "plain"
    common = ("compile", net, "--data", many, "--device", "ecp5-25f", "-o")
    ran = spikefab(*common, out, "--stop-margin", "0,1")
    assert ran.status == 0
    assert "early stop: margins of the steps 0, 1\n" in ran.out
    assert spikefab(*common, plain).status == 0
    assert Design.load(out).manifest["hash"] != Design.load(plain).manifest["hash"]
    saved = {}
    for engine in ("golden", "rtl"):
        file = tmp_path / f"{engine}.npz"
        ran = spikefab("simulate", out, "--data", many, "--engine", engine, "-o", file,
                       "--record", "mem", "--json")  # fmt: skip
        assert ran.status == 0
        with np.load(file) as arrays:
            saved[engine] = dict(arrays)
        assert ran.values["steps_used"] == saved[engine]["steps_used"].mean()
    golden, rtl = saved["golden"], saved["rtl"]
    assert set(golden) == {"spikes", "mem", "mem_hidden", "steps_used"}
    for name in golden:
        np.testing.assert_array_equal(golden[name], rtl[name])
    used = golden["steps_used"]
    assert used.shape == (40,)
    assert 2 <= used.min() < used.max() <= 8
    assert not golden["spikes"][np.arange(8) >= used[:, None]].any()
    predicted = Design.load(out).manifest["predicted"]
    assert rtl["cycles"].mean() == predicted["cycles_per_inference"]
    assert rtl["interval"].mean() == predicted["interval_cycles"]
    assert rtl["cycles"].mean() < Design.load(plain).manifest["predicted"]["cycles_per_inference"]
    ran = spikefab("simulate", out, "--data", many, "--engine", "float")
    assert "float runs all steps" in ran.out
    assert spikefab("report", out, "--data", many).status == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"With its early stop a sample takes {used.mean():.2f} of 8 steps" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--early-stop", "1"), "margins are chosen on samples; give --data"),
        (("--data", "DATA", "--early-stop", "-1"), "--early-stop -1: must be percentage points"),
        (("--data", "DATA", "--early-stop", "nan"), "must be percentage points"),
        (("--stop-margin", "x"), "must be a whole number, or one a step"),
        (("--stop-margin", "70000"), "at most 65535, what a lead can reach"),
    ],
)
def test_refused(
    arguments: tuple[str, ...], words: str, spikefab: Any, net: Path, data: Path
) -> None:
    ran = spikefab("check", net, *(str(data) if a == "DATA" else a for a in arguments))
    assert ran.status != 0
    assert words in " ".join(ran.err.split())
