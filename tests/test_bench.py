# SPDX-License-Identifier: Apache-2.0
"""The benchmarks run, and say what they are documented to say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.scripts.pipeline import Samples, prepare
from spikefab.sim.golden import run_golden


def bench(root: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_documented_commands_are_all_there_are(root: Path) -> None:
    commands = set(re.findall(r"^    (\w+)\b", bench(root, "--help"), flags=re.MULTILINE))
    listed = re.findall(
        r"^\| `(\w+)[^`]*` \|", (root / "bench/README.md").read_text(), re.MULTILINE
    )
    used = re.findall(r"`python -m bench (\w+)", (root / "docs/performance.md").read_text())
    assert commands == set(listed) == set(used)


def test_golden_prints_its_time_in_json(root: Path) -> None:
    (table,) = json.loads(bench(root, "golden", "--samples", "30", "--pairs", "1", "--json"))
    seconds: dict[str, Any] = table["figures"][0]
    assert 0 < seconds["value"] < 20
    assert seconds["met"] is None  # the bar is for 10,000 samples


@pytest.fixture
def figures(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root))
    from bench import figures

    return figures


def test_a_bar_that_is_missed_says_so(figures: Any) -> None:
    table = figures.Table(
        title="title",
        figures=[
            figures.at_most("COMB", 7_000, 7_000, "14,236"),
            figures.at_least("MHz", 109.95, 110, digits=1),
            figures.Figure(what="RAM", value=3),
        ],
        anchor="others",
        notes=["  a note"],
    )
    assert table.text().splitlines() == [
        "title",
        "         here  bar             others",
        "  COMB  7,000  ≤ 7,000 met     14,236",
        "  MHz   110.0  ≥ 110.0 MISSED",
        "  RAM       3",
        "  a note",
    ]
    assert [figure["met"] for figure in table.values()["figures"]] == [True, False, None]


def test_a_quarter_of_the_small_parts_network_is_active(root: Path) -> None:
    """Its figure is for 25 % input and hidden rates: 20 to 30 % in every layer."""
    network = load_network(root / "bench/up5k_32_64_128_64_12.toml")
    x = (np.random.default_rng(0).random((8, 32, 32)) < 0.25).astype(np.uint8)
    samples = Samples(x=x, y=None, given=True)
    options = QuantiseOptions(weight_bits=4, fraction_bits=2, membrane_bits=12, steps=32)
    qnet = prepare(network, options, samples).qnet
    assert all(layer.weight_exact for layer in qnet.layers)
    for name, spikes in run_golden(qnet, x).spikes.items():
        assert 0.2 < spikes.mean() < 0.3, name
