#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the proofs, and prints a line of `docs/proofs.md` for each.

    python tests/proofs/table.py [--quick] [NAME ...]

Without names all of them, in half an hour and more; `--quick` those of the normal test set.
Prints a line each as it comes, and exits with 1 when one does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from proofs.cases import Proof
from proofs.catalogue import PROOFS
from proofs.solver import Result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    known = {proof.name: proof for proof in PROOFS}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no such proof: {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in options.names] or [
        proof for proof in PROOFS if not (options.quick and proof.slow)
    ]
    print("| proof | block | size | method | clauses | s | |\n|---|---|---|---|---|---|---|")
    held = True
    for proof in chosen:
        with tempfile.TemporaryDirectory() as folder:
            result = proof.run(Path(folder))
        held &= result.status == "PASS"
        print(_row(proof, result), flush=True)
    return 0 if held else 1


def _row(proof: Proof, result: Result) -> str:
    clauses = f"{result.clauses:,}" if result.clauses else ""
    verdict = "holds" if result.status == "PASS" else " ".join([result.status, *result.failing])
    cells = [f"`{proof.name}`", proof.block, proof.size, proof.method, clauses]
    return "| " + " | ".join([*cells, f"{result.seconds:.0f}", verdict]) + " |"


if __name__ == "__main__":
    sys.exit(main())
