# SPDX-License-Identifier: Apache-2.0
"""the boards and parts that designs can be made for"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from spikefab.boards.target import targets
from spikefab.scripts.console import Output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(options: argparse.Namespace, output: Output) -> int:
    del options
    rows, values = [], []
    for target in targets().values():
        c = target.capacity
        spram = f", {c.spram} SPRAM" if c.spram else ""
        what = f"{target.title}: {c.lut:,} tables, {c.ram} block RAMs, {c.dsp} multipliers{spram}"
        rows.append((f"--{target.kind} {target.name}", what))
        values.append(
            {"name": target.name, "kind": target.kind, "device": target.device, **asdict(c)}
        )
    output.table("targets", rows)
    output.result({"targets": values})
    return 0
