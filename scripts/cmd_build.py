# SPDX-License-Identifier: Apache-2.0
"""a bitstream and report.json, with Yosys and nextpnr

Synthesis, place and route with several seeds, and the bitstream of the best one; Fmax is the median
over the seeds. Logs stay in DIR/build. A board whose clock is missed is an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikefab.boards.flow import build
from spikefab.gen.design import Design
from spikefab.scripts.console import Output
from spikefab.scripts.measured import read_measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", type=Path, help="a design directory")
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="place and route runs (default: 3)"
    )
    parser.add_argument(
        "--clock", type=float, metavar="MHZ", help="clock that a bare part must reach"
    )


def run(options: argparse.Namespace, output: Output) -> int:
    design = Design.load(options.dir)
    report = build(
        design,
        seeds=options.seeds,
        clock_mhz=options.clock,
        measured=read_measured(design),
        progress=output.note,
    )
    show(report, output)
    output.result(report)
    return 0


def show(report: dict[str, object], output: Output) -> None:
    """The report as a table."""
    resources, capacity = report["resources"], report.get("capacity", {})
    assert isinstance(resources, dict)
    assert isinstance(capacity, dict)
    rows = [("device", str(report["device"]))]
    seeds = report["fmax_mhz_seeds"]
    assert isinstance(seeds, list)
    each = ", ".join(f"{f:.1f}" for f in seeds)
    rows.append(("Fmax", f"{report['fmax_mhz']:.1f} MHz (median of {each})"))
    for key, used in resources.items():
        of = f" of {capacity[key]:,}" if key in capacity else ""
        rows.append((key, f"{used:,}{of}"))
    output.table("placed and routed", rows)
