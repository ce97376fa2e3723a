# SPDX-License-Identifier: Apache-2.0
"""loads the bitstream onto the board, with openFPGALoader"""

from __future__ import annotations

import argparse
from pathlib import Path

from spikefab.boards.flash import flash
from spikefab.gen.design import Design
from spikefab.scripts.console import Output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", type=Path, help="a design directory, built")
    parser.add_argument("--dry-run", action="store_true", help="only print the command")
    parser.add_argument("--cable", metavar="NAME", help="another programmer than the board's own")
    parser.add_argument(
        "--persist", action="store_true", help="write the board's flash: stays after power goes"
    )


def run(options: argparse.Namespace, output: Output) -> int:
    command = flash(
        Design.load(options.dir),
        dry_run=options.dry_run,
        cable=options.cable,
        persist=options.persist,
        echo=output.say,
    )
    output.result({"command": command, "dry_run": options.dry_run})
    return 0
