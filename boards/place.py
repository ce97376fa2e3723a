# SPDX-License-Identifier: Apache-2.0
"""Place and route of one netlist with several seeds, as many at once as there are cores."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefab.boards.budget import Usage, bigger_part, budget_table, over
from spikefab.boards.target import Target
from spikefab.boards.tools import Progress, find_tool, tail
from spikefab.gen.errors import InputError

__all__ = ["Placement", "place_all"]


class _SeedFailed(InputError):
    """The tool gave up with this seed; another one may do."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One seed's result."""

    seed: int
    fmax_mhz: float
    """Of the slowest clock; infinite where no register-to-register path exists."""
    usage: Usage
    path: str
    """The slowest path, for people: its start, its end, its length."""
    seconds: float
    config: str
    """Name of the routed configuration in the work folder."""


_PATIENCE_SECONDS = 30.0
"""How often a run that takes long says that it is alive."""


def place_all(
    target: Target,
    seeds: Sequence[int],
    *,
    netlist: str,
    constraints: str | None,
    freq_mhz: float,
    work: Path,
    progress: Progress | None = None,
) -> list[Placement]:
    """Places and routes in the folder `work`; logs are `nextpnr-<seed>.log` there.

    A seed with which the tool gives up is left out: the others count.

    Parameters
    ----------
    netlist, constraints
        Paths relative to `work`: a YoWASP tool has a `/tmp` of its own. No constraints: the tool
        chooses the pins.
    freq_mhz
        What the tool strives for; a miss is not an error here.

    Raises
    ------
    InputError
        The design does not fit (with the budget and the cures), or the tool failed with each seed.
    """
    tool = find_tool(f"yowasp-nextpnr-{target.family}")
    stop = threading.Event()
    failed: list[_SeedFailed] = []

    def place(seed: int) -> Placement | None:
        if stop.is_set():
            return None
        try:
            return _place(target, tool, seed, netlist, constraints, freq_mhz, work, stop, progress)
        except _SeedFailed as failure:
            failed.append(failure)
            if progress:
                progress(f"seed {seed}: {Path(tool).name} gave up, see nextpnr-{seed}.log")
            return None
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as pool:
        futures = [pool.submit(place, seed) for seed in seeds]
        try:
            found = [future.result() for future in futures]
        finally:
            # A design that is too big, or the user's Ctrl-C, ends the others.
            stop.set()
    placements = [placement for placement in found if placement is not None]
    if failed and not placements:
        raise failed[0]
    return placements


def _place(
    target: Target,
    tool: str,
    seed: int,
    netlist: str,
    constraints: str | None,
    freq_mhz: float,
    work: Path,
    stop: threading.Event,
    progress: Progress | None,
) -> Placement | None:
    ecp5 = target.family == "ecp5"
    config = f"seed{seed}.{'config' if ecp5 else 'asc'}"
    report, log = work / f"nextpnr-{seed}.json", work / f"nextpnr-{seed}.log"
    command = [
        tool, *target.nextpnr_flags, "--json", netlist, "--seed", str(seed),
        "--freq", f"{freq_mhz:.6g}", "--timing-allow-fail", "--quiet",
        "--report", report.name, "--log", log.name, "--textcfg" if ecp5 else "--asc", config,
    ]  # fmt: skip
    if ecp5:
        # Routes wide memories in a fraction of the default router's time, and mends slow paths.
        command += ["--router", "router2", "--tmg-ripup"]
    kind = "lpf" if ecp5 else "pcf"
    command += [f"--{kind}", constraints] if constraints else [f"--{kind}-allow-unconstrained"]
    start = time.monotonic()
    with (work / f"nextpnr-{seed}.out").open("w") as out:
        process = subprocess.Popen(
            command, cwd=work, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        try:
            usage = _watch(process, log, target, stop, seed, progress)
        finally:
            process.kill()
            process.wait()
    if usage is not None and over(target, usage):
        raise _too_big(target, usage)
    if stop.is_set() and process.returncode:
        return None
    if process.returncode or usage is None:
        text = (
            log.read_text(encoding="utf-8")
            if log.is_file()
            else (work / f"nextpnr-{seed}.out").read_text(encoding="utf-8")
        )
        message = f"{Path(tool).name} failed with seed {seed} on {target.name}:\n"
        if usage:
            message += f"{budget_table(target, usage)}\n"
        message += tail(text)
        if usage:
            message += (
                "\n  A part that is nearly full may fail to place or route: try fewer lanes "
                "(`--lanes`), a bigger part, or more seeds"
            )
        raise _SeedFailed(message)
    fmax, path = _timing(json.loads(report.read_text(encoding="utf-8")))
    seconds = time.monotonic() - start
    if progress:
        progress(f"seed {seed}: {fmax:.1f} MHz, placed and routed in {seconds:.0f} s")
    return Placement(
        seed=seed, fmax_mhz=fmax, usage=usage, path=path, seconds=seconds, config=config
    )


def _watch(
    process: subprocess.Popen[bytes],
    log: Path,
    target: Target,
    stop: threading.Event,
    seed: int,
    progress: Progress | None,
) -> Usage | None:
    """Waits for the tool, but not for one that tries to place what can't fit."""
    usage = None
    start = said = time.monotonic()
    while process.poll() is None and not stop.is_set():
        if progress and time.monotonic() - said >= _PATIENCE_SECONDS:
            said = time.monotonic()
            progress(f"seed {seed}: at it for {said - start:.0f} s")
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            if usage is None and log.is_file():
                usage = Usage.from_log(_complete(log.read_text(encoding="utf-8", errors="replace")))
                if usage is not None and over(target, usage):
                    return usage
    return (
        Usage.from_log(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else None
    )


def _complete(log: str) -> str:
    """The log, once something follows the utilisation table; else nothing."""
    _, _, after = log.partition("Device utilisation:")
    return log if "\n\n" in after else ""


def _timing(report: dict[str, Any]) -> tuple[float, str]:
    """Fmax of the slowest clock, and its slowest path."""
    if not report["fmax"]:
        return float("inf"), "no path between registers"
    clock, figures = min(report["fmax"].items(), key=lambda item: item[1]["achieved"])
    for entry in report["critical_paths"]:
        if entry["from"].split()[-1] == entry["to"].split()[-1] == clock:
            hops = entry["path"]
            delay = sum(hop["delay"] for hop in hops)
            logic = sum(hop["type"] == "logic" for hop in hops)
            first, last = hops[0]["from"], hops[-1]["to"]
            text = (
                f"{first['cell']}.{first['port']} -> {last['cell']}.{last['port']}, "
                f"{delay:.1f} ns through {logic} cells"
            )
            return float(figures["achieved"]), text
    return float(figures["achieved"]), f"in clock {clock}"


def _too_big(target: Target, usage: Usage) -> InputError:
    part = bigger_part(target, usage)
    cures = "fewer lanes (`--lanes`) or narrower weights (`--weight-bits`)"
    if over(target, usage) == ["io"]:
        cures = "a board, whose link needs two pins (`--board`), or a part with more pins"
    if part is not None:
        same = "would hold it" if part.family == target.family else "would probably hold it"
        cures += f"; a bigger part: `--{part.kind} {part.name}` {same}"
    else:
        cures += "; no bigger part that spikefab knows would hold it"
    return InputError(
        f"{target.name} ({target.device}): the design is too big\n"
        f"{budget_table(target, usage)}\n  cures: {cures}"
    )
