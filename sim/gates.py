# SPDX-License-Identifier: Apache-2.0
"""The netlist of a design's core after synthesis for its target, ready for simulation."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from spikefab.gen.design import Design
from spikefab.gen.errors import InputError
from spikefab.gen.synth import FAMILIES, synth_script
from spikefab.sim.toolchain import Progress, cells, modules, run_yosys, yosys_share

__all__ = ["cells_used", "family_of", "netlist"]


def netlist(
    verilog: Path,
    family: str,
    folder: Path,
    *,
    top: str = "spikefab_core",
    device: str = "",
    progress: Progress | None = None,
) -> Path:
    """Synthesises `top` of a Verilog file for a family (`ecp5`, `ice40`).

    Gives `folder/netlist.v`, of the family's cells only. Raises `InputError` naming every cell
    that no model of `sim/cells` or Yosys gives a behaviour. A netlist that was made before from
    the very same Verilog, script and version of Yosys is used again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = (
        synth_script("design.v", family, top, device=device)
        + "tee -q -o cells.json stat -json\nwrite_verilog -noattr netlist.v\n"
    )
    digest = hashlib.sha256()
    for part in (
        script.encode(),
        verilog.read_bytes(),
        str(yosys_share().stat().st_mtime).encode(),
    ):
        digest.update(part + b"\0")
    mark, out = folder / "netlist.inputs", folder / "netlist.v"
    if not (
        out.is_file() and mark.is_file() and mark.read_text(encoding="utf-8") == digest.hexdigest()
    ):
        mark.unlink(missing_ok=True)
        out.unlink(missing_ok=True)
        if progress is not None:
            progress(f"synthesis of {top} for {family}")
        shutil.copyfile(verilog, folder / "design.v")
        run_yosys(script, folder, progress=progress)
        _check_cells(folder, family)
        mark.write_text(digest.hexdigest(), encoding="utf-8")
    return out


def family_of(design: Design) -> str:
    """The family whose cells a design's target has: `ecp5` or `ice40`."""
    family = str(design.manifest["target"].get("family"))
    if family not in FAMILIES:
        raise InputError(
            f"{design.path}: family {family!r} has no cell models; they exist for "
            f"{', '.join(FAMILIES)}"
        )
    return family


def cells_used(folder: Path) -> dict[str, int]:
    """Cells of the netlist in `folder`, by type."""
    report = json.loads((folder / "cells.json").read_text(encoding="utf-8"))
    used: dict[str, int] = report["design"]["num_cells_by_type"]
    return used


def _check_cells(folder: Path, family: str) -> None:
    known = {
        name for path in cells(family, folder) for name in modules(path.read_text(encoding="utf-8"))
    }
    missing = sorted(set(cells_used(folder)) - known - {"$scopeinfo"})  # a note, not a cell
    if missing:
        raise InputError(
            f"cell {', '.join(missing)}: no behavioural model for {family}, and without one it "
            "would read as 0; add one to sim/cells, or keep the design from using it"
        )
