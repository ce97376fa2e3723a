# SPDX-License-Identifier: Apache-2.0
"""what is proved of the engine, the serialiser and the queues

Lists the proofs, which are tests; with --run it makes them, with z3 through yowasp-sby.
`docs/proofs.md` says what each is about; `tests/proofs/table.py` makes its table.
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

KINDS = {
    "test_it_holds": "proofs",
    "test_it_is_about_something": "proofs whose covers are reached",
    "test_it_finds_a_fault": "broken components that a check has to find",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", action="store_true", help="make the proofs")


def run(options: argparse.Namespace) -> list[Table]:
    listed = _pytest("--collect-only")
    names = re.findall(r"^tests/proofs/\S+::.+$", listed, flags=re.MULTILINE)
    figures = [
        Figure(what=what, value=sum(f"::{test}[" in name for name in names))
        for test, what in KINDS.items()
    ]
    assert all(figure.value for figure in figures), listed
    figures.append(Figure(what="tests in all, with those of the certificate", value=len(names)))
    if options.run:
        start = time.perf_counter()
        out = _pytest()
        passed = re.search(r"(\d+) passed", out)
        figures.append(Figure(what="tests that pass", value=int(passed[1]) if passed else 0))
        figures.append(Figure(what="seconds", value=time.perf_counter() - start))
    command = " ".join(["python", *COMMAND[:-1], f"'{COMMAND[-1]}'"])
    return [
        Table(
            title=f"proofs: {command}",
            figures=figures,
            notes=["  " + name[name.index("[") + 1 : -1] for name in names if "_holds[" in name],
        )
    ]


def _pytest(*more: str) -> str:
    done = subprocess.run(
        [sys.executable, *COMMAND, *more], cwd=HERE.parent, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise BenchError(f"pytest: exit status {done.returncode}\n{done.stdout}")
    return done.stdout
