# SPDX-License-Identifier: Apache-2.0
"""Designs measured through the command line: compiled, simulated, placed with several seeds."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "HERE",
    "BenchError",
    "Measured",
    "add_build",
    "folder_for",
    "measure",
    "random_events",
    "spikefab",
]

HERE = Path(__file__).resolve().parent


class BenchError(Exception):
    """A command that a figure rests on has failed."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the commands say of one design, as their `--json` has it."""

    folder: Path
    simulated: dict[str, Any]
    report: dict[str, Any]
    """`report.json`; empty where nothing was built."""

    @property
    def cycles(self) -> float:
        """Cycles an inference, counted in the simulation of the Verilog."""
        return float(self.simulated["cycles_per_inference"])

    @property
    def interval(self) -> float:
        return float(self.simulated["interval_cycles"])

    @property
    def fmax(self) -> float:
        """MHz, the median over the seeds; 0 where nothing was built."""
        return float(self.report.get("fmax_mhz", 0.0))

    def resource(self, *names: str) -> int:
        """The first of the resources that the family has."""
        found = self.report.get("resources", {})
        return next((int(found[name]) for name in names if name in found), 0)

    @property
    def clock(self) -> float:
        """MHz at which timing is met: the clock asked for, or what the median seed reaches."""
        met = self.report.get("clock_met")
        return float(self.report["clock_mhz"]) if met else self.fmax

    @property
    def seeds(self) -> str:
        each = ", ".join(f"{f:.1f}" for f in self.report.get("fmax_mhz_seeds", ()))
        failed = ", ".join(map(str, self.report.get("seeds_failed", ())))
        each += f"; seeds that failed: {failed}" if failed else ""
        return f"MHz of the seeds: {each}" if each else "not built"


def add_build(parser: argparse.ArgumentParser) -> None:
    """Options of every command that places a design."""
    parser.add_argument("--seeds", type=int, default=3, help="place and route runs; 0 builds none")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the designs in DIR")
    parser.add_argument(
        "--compile",
        default="",
        metavar="OPTIONS",
        help='more options of `spikefab compile`, in one text: "--membrane-bits 12"',
    )


@contextmanager
def folder_for(keep: Path | None) -> Iterator[Path]:
    """Where designs go: the folder asked for, or one that is gone afterwards."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Path(folder)


def spikefab(*arguments: object) -> dict[str, Any]:
    """Runs a command with `--json` and gives what it says; its progress goes to standard error."""
    words = [str(argument) for argument in arguments]
    print("$ spikefab " + shlex.join(words), file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "spikefab.scripts.main", *words, "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise BenchError(f"spikefab {words[0]}: exit status {done.returncode}, see above")
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def random_events(file: Path, rate: float, samples: int, steps: int, n: int) -> Path:
    """Data in which each input spikes in each step with probability `rate`; always the same."""
    x = np.random.default_rng(0).random((samples, steps, n)) < rate
    np.savez_compressed(file, x=x.astype(np.uint8))
    return file


def measure(
    folder: Path,
    network: Path,
    data: Path,
    options: argparse.Namespace,
    compile_options: Sequence[object],
    simulate_options: Sequence[object] = (),
) -> Measured:
    """Compiles a network, simulates its Verilog on the data, and builds it."""
    extra = shlex.split(options.compile)
    spikefab("compile", network, "--data", data, "-o", folder, *compile_options, *extra)
    simulated = spikefab("simulate", folder, "--data", data, *simulate_options, "--engine", "rtl")
    report = _build(folder, options.seeds) if options.seeds else {}
    return Measured(folder=folder, simulated=simulated, report=report)


def _build(folder: Path, seeds: int) -> dict[str, Any]:
    """`report.json`; a board whose clock is missed has one too."""
    try:
        return spikefab("build", folder, "--seeds", seeds)
    except BenchError:
        file = folder / "report.json"
        if not file.is_file():
            raise
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return report
