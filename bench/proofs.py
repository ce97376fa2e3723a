# SPDX-License-Identifier: Apache-2.0
"""what is proved of the engine, the serialiser and the queues

Lists the proofs, which are tests; with --run it makes them, with z3 through yowasp-sby.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time

from bench.figures import Figure, Table
from bench.runs import HERE, BenchError

__all__ = ["add_arguments", "run"]

COMMAND = ["-m", "pytest", "-q", "tests/proofs", "-m", "slow or not slow"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", action="store_true", help="make the proofs")


def run(options: argparse.Namespace) -> list[Table]:
    listed = _pytest("--collect-only")
    names = re.findall(r"^tests/proofs/\S+::.+$", listed, flags=re.MULTILINE)
    figures = [Figure(what="proofs", value=len(names))]
    if options.run:
        start = time.perf_counter()
        out = _pytest()
        passed = re.search(r"(\d+) passed", out)
        figures.append(Figure(what="hold", value=int(passed[1]) if passed else 0))
        figures.append(Figure(what="seconds", value=time.perf_counter() - start))
    command = " ".join(["python", *COMMAND[:-1], f"'{COMMAND[-1]}'"])
    return [
        Table(
            title=f"proofs: {command}",
            figures=figures,
            notes=["  " + name.removeprefix("tests/proofs/") for name in names],
        )
    ]


def _pytest(*more: str) -> str:
    done = subprocess.run(
        [sys.executable, *COMMAND, *more], cwd=HERE.parent, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise BenchError(f"pytest: exit status {done.returncode}\n{done.stdout}")
    return done.stdout
