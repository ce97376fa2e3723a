# SPDX-License-Identifier: Apache-2.0
"""What a placed design takes, against what its part holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spikefab.boards.target import Capacity, Target, targets

__all__ = ["Usage", "bigger_part", "budget_table", "capacities", "over", "used"]

_CELLS = {
    "ecp5": {"comb": "TRELLIS_COMB", "ff": "TRELLIS_FF", "ram": "DP16KD", "dsp": "MULT18X18D"},
    "ice40": {
        "lc": "ICESTORM_LC", "ebr": "ICESTORM_RAM", "spram": "ICESTORM_SPRAM",
        "dsp": "ICESTORM_DSP",
    },
}  # fmt: skip

_TITLES = {
    "comb": "COMB cells",
    "ff": "flip-flops",
    "ram": "block RAMs (18 kbit)",
    "dsp": "multipliers",
    "lc": "logic cells",
    "ebr": "block RAMs (4 kbit)",
    "spram": "SPRAMs (256 kbit)",
    "io": "pins",
}

_ROW = re.compile(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """Cells by the place-and-route tool's own names: needed, and what it says the part has."""

    cells: dict[str, tuple[int, int]]

    @classmethod
    def from_log(cls, log: str) -> Usage | None:
        """From the "Device utilisation" table, which comes before placement; None when absent."""
        _, found, table = log.partition("Device utilisation:")
        rows = {name: (int(n), int(of)) for name, n, of in _ROW.findall(table)}
        return cls(rows) if found and rows else None


def capacities(target: Target) -> dict[str, int]:
    """What the part holds, by the keys of `report.json`."""
    c: Capacity = target.capacity
    if target.family == "ecp5":
        return {"comb": c.lut, "ff": c.ff, "ram": c.ram, "dsp": c.dsp}
    return {"lc": c.lut, "ebr": c.ram, "spram": c.spram, "dsp": c.dsp}


def used(target: Target, usage: Usage) -> dict[str, int]:
    """What the design takes, by the keys of `report.json`."""
    return {key: usage.cells.get(cell, (0, 0))[0] for key, cell in _CELLS[target.family].items()}


def _rows(target: Target, usage: Usage) -> dict[str, tuple[int, int]]:
    have = capacities(target)
    rows = {key: (need, have[key]) for key, need in used(target, usage).items()}
    pins = usage.cells.get("TRELLIS_IO") or usage.cells.get("SB_IO")
    if pins:
        rows["io"] = pins
    return rows


def over(target: Target, usage: Usage) -> list[str]:
    """Keys of the resources of which the design needs more than there are."""
    return [key for key, (need, have) in _rows(target, usage).items() if need > have]


def budget_table(target: Target, usage: Usage) -> str:
    """Needed against available, a line a resource, those that do not fit marked."""
    rows = _rows(target, usage)
    lines = [f"  {'resource':<22}{'needed':>9}{'available':>11}"]
    for key, (need, have) in rows.items():
        mark = "  too many" if need > have else ""
        lines.append(f"  {_TITLES[key]:<22}{need:>9,}{have:>11,}{mark}")
    return "\n".join(lines)


def bigger_part(target: Target, usage: Usage) -> Target | None:
    """The smallest target of the same kind that would hold the design, the same family first.

    Logic is filled to 85 % at most: above that, placement and timing suffer.
    """
    need = used(target, usage)
    luts = need.get("comb", need.get("lc", 0))
    ffs = need.get("ff", luts)
    rams, dsps, sprams = need.get("ram", need.get("ebr", 0)), need["dsp"], need.get("spram", 0)

    def fits(other: Target) -> bool:
        c, ram, spram = other.capacity, rams, sprams
        if other.family != target.family:
            if target.family == "ecp5":
                return False
            # Four iCE40 blocks have the width of one ECP5 block; 15 of those hold one SPRAM.
            ram, spram = -(-rams // 4) + 15 * sprams, 0
        return (
            luts <= 0.85 * c.lut and ffs <= 0.85 * c.ff
            and ram <= c.ram and dsps <= c.dsp and spram <= c.spram
        )  # fmt: skip

    found = [t for t in targets().values() if t.kind == target.kind and fits(t)]
    found = [t for t in found if t.name != target.name]
    return min(found, key=lambda t: (t.family != target.family, t.capacity.lut), default=None)
