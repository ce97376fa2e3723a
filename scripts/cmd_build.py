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
    output.table("placed and routed", placed_rows(report))


def placed_rows(report: dict[str, object]) -> list[tuple[str, str]]:
    """What was placed, in words: device, Fmax against the clock, each resource."""
    resources, capacity, seeds = report["resources"], report["capacity"], report["fmax_mhz_seeds"]
    assert isinstance(resources, dict)
    assert isinstance(capacity, dict)
    assert isinstance(seeds, list)
    each = ", ".join(f"{f:.1f}" for f in seeds)
    failed = report.get("seeds_failed") or []
    assert isinstance(failed, list)
    if failed:
        each += f"; not routed: {', '.join(map(str, failed))}"
    rows = [
        ("device", str(report["device"])),
        ("Fmax, median", f"{report['fmax_mhz']:.1f} MHz; seeds: {each}"),
    ]
    if report["clock_mhz"]:
        rows.append(("clock asked for", f"{report['clock_mhz']:g} MHz"))
    rows += [(key.upper(), f"{used:,} of {capacity[key]:,}") for key, used in resources.items()]
    return rows
