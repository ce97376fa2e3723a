# SPDX-License-Identifier: Apache-2.0
"""the same network as a ULX3S board build, with link and readout

784-128-10 with its UART link, readout and PLL, placed on the board's pins. The figure is the
PLL's clock where timing is met at it, and else what the median seed reaches.
"""

from __future__ import annotations

import argparse

from bench.engine import RATE, STEPS
from bench.figures import Figure, Table, at_least
from bench.runs import HERE, add_build, folder_for, measure, random_events

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", default="ulx3s-25f")
    parser.add_argument("--clock", type=float, default=90.0, help="MHz that the PLL is to make")
    parser.add_argument("--lanes", default="128")
    add_build(parser)


def run(options: argparse.Namespace) -> list[Table]:
    with folder_for(options.keep) as folder:
        data = random_events(folder / "events.npz", RATE, 4, STEPS, 784)
        target = [
            "--board", options.board, "--clock", options.clock, "--lanes", options.lanes,
            "--weight-bits", 4,
        ]  # fmt: skip
        found = measure(folder / "board", HERE / "mnist_784_128_10.toml", data, options, target)
    figures = [Figure(what="cycles an inference", value=found.cycles, anchor="92,565")]
    if found.report:
        figures = [
            at_least("clock at which timing is met, MHz", found.clock, 80, "50.8", 1),
            Figure(what="Fmax, MHz", value=found.fmax, anchor="50.8", digits=1),
            Figure(what="COMB", value=found.resource("comb"), anchor="14,236"),
            *figures,
            Figure(
                what="µs an inference", value=found.cycles / found.clock, anchor="1,822.1", digits=1
            ),
        ]
    return [
        Table(
            title=f"784-128-10 on {options.board}, {options.lanes} lanes, link and readout",
            figures=figures,
            anchor="Spiker+ without a link, measured",
            notes=[f"  {found.seeds}"],
        )
    ]
