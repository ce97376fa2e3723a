# SPDX-License-Identifier: Apache-2.0
"""the accumulate engine on an ECP5-25F, beside Spiker+

784-128-10 neurons, 4-bit weights, reset by subtraction, 100 steps at 10 % input rate, on an
LFE5U-25F-6 with unconstrained pins. Spiker+ 2.0.3 was placed with the same part and tools from its
own VHDL for the same sizes.
"""

from __future__ import annotations

import argparse

from bench.figures import Figure, Table, at_least, at_most
from bench.runs import HERE, add_build, folder_for, measure, random_events

__all__ = ["add_arguments", "run"]

STEPS, RATE = 100, 0.1
BARS = {64: (7_000, 110, 17_000), 128: (11_000, 95, 9_000)}
"""COMB, MHz and cycles an inference for a number of lanes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lanes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--device", default="ecp5-25f", help="another part (no bar)")
    add_build(parser)


def run(options: argparse.Namespace) -> list[Table]:
    tables = []
    with folder_for(options.keep) as folder:
        data = random_events(folder / "events.npz", RATE, 4, STEPS, 784)
        for lanes in options.lanes:
            target = ["--device", options.device, "--lanes", lanes, "--weight-bits", 4]
            found = measure(
                folder / f"lanes{lanes}", HERE / "mnist_784_128_10.toml", data, options, target
            )
            bars = BARS.get(lanes) if options.device == "ecp5-25f" else None
            figures = []
            if found.report:
                comb, mhz = found.resource("comb", "lc"), found.fmax
                what = "COMB" if "comb" in found.report["resources"] else "LC"
                if bars:
                    figures += [
                        at_most(what, comb, bars[0], "14,236"),
                        at_least("Fmax, MHz", mhz, bars[1], "50.8", 1),
                    ]
                else:
                    figures += [
                        Figure(what=what, value=comb, anchor="14,236"),
                        Figure(what="Fmax, MHz", value=mhz, anchor="50.8", digits=1),
                    ]
            cycles = "cycles an inference"
            if bars:
                figures.append(at_most(cycles, found.cycles, bars[2], "92,565"))
            else:
                figures.append(Figure(what=cycles, value=found.cycles, anchor="92,565"))
            if found.report:
                us = found.cycles / found.fmax
                figures.append(Figure(what="µs an inference", value=us, anchor="1,822.1", digits=1))
                figures.append(Figure(what="block RAM", value=found.resource("ram", "ebr"),
                                      anchor="31"))  # fmt: skip
            title = f"784-128-10 on {options.device}, {lanes} lanes"
            tables.append(
                Table(title=title, figures=figures, anchor="Spiker+, measured",
                      notes=[f"  {found.seeds}"])
            )  # fmt: skip
    return tables
