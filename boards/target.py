# SPDX-License-Identifier: Apache-2.0
"""Parts and boards that a design can be made for, with what they hold."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from amaranth.vendor import LatticeECP5Platform, LatticeICE40Platform

from spikefab.boards import icebreaker, ulx3s
from spikefab.boards.board import Board
from spikefab.gen.errors import InputError

__all__ = ["Capacity", "Family", "Target", "find_target", "targets"]

Family = Literal["ecp5", "ice40"]


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a part holds."""

    lut: int
    """Four-input look-up tables (COMB cells on ECP5, logic cells on iCE40)."""
    ff: int
    """Flip-flops."""
    ram: int
    """Block RAMs: DP16KD of 18 kbit on ECP5, 4 kbit on iCE40."""
    dsp: int
    """Multipliers: MULT18X18D on ECP5, SB_MAC16 on iCE40."""
    spram: int = 0
    """256 kbit single-port RAMs (UP5K)."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bare part, or a board with a part on it."""

    name: str
    """Name on the command line."""
    title: str
    family: Family
    device: str
    """The vendor's name of the part: `LFE5U-25F`, `iCE40UP5K`."""
    package: str
    """Package as the vendor's ordering code spells it: `BG381`, `SG48`."""
    speed: str | None
    """Speed grade (ECP5); None on iCE40, where the part's name has it."""
    capacity: Capacity
    board: Board | None = None
    """None: a bare part, placed with unconstrained pins."""

    @property
    def kind(self) -> Literal["board", "device"]:
        return "device" if self.board is None else "board"

    @property
    def nextpnr_flags(self) -> tuple[str, ...]:
        """Part, package and speed grade for `nextpnr-ecp5` or `nextpnr-ice40`."""
        # Amaranth's own tables from ordering codes to options; private, hence the pinned version.
        vendor: Any = LatticeECP5Platform if self.family == "ecp5" else LatticeICE40Platform
        part: str = vendor._nextpnr_device_options[self.device]
        packages: dict[str, str] = vendor._nextpnr_package_options
        if self.family == "ecp5":
            return (part, "--package", packages[self.package].upper(), "--speed", self.speed or "6")
        return (part, "--package", self.package.lower() + packages.get(self.device, ""))


# Lattice FPGA-DS-02012 (ECP5), FPGA-DS-02008 (UltraPlus), FPGA-DS-02029 (LP/HX): family tables.
_CAPACITY: dict[str, Capacity] = {
    "LFE5U-12F": Capacity(lut=12_000, ff=12_000, ram=32, dsp=28),
    "LFE5U-25F": Capacity(lut=24_288, ff=24_288, ram=56, dsp=28),
    "LFE5U-45F": Capacity(lut=43_848, ff=43_848, ram=108, dsp=72),
    "LFE5U-85F": Capacity(lut=83_640, ff=83_640, ram=208, dsp=156),
    "iCE40UP5K": Capacity(lut=5_280, ff=5_280, ram=30, dsp=8, spram=4),
    "iCE40HX1K": Capacity(lut=1_280, ff=1_280, ram=16, dsp=0),
    "iCE40HX8K": Capacity(lut=7_680, ff=7_680, ram=32, dsp=0),
    "iCE40LP8K": Capacity(lut=7_680, ff=7_680, ram=32, dsp=0),
}

_PARTS: tuple[tuple[str, Family, str, str, str | None], ...] = (
    ("ecp5-25f", "ecp5", "LFE5U-25F", "BG381", "6"),
    ("ecp5-45f", "ecp5", "LFE5U-45F", "BG381", "6"),
    ("ecp5-85f", "ecp5", "LFE5U-85F", "BG381", "6"),
    ("up5k", "ice40", "iCE40UP5K", "SG48", None),
    ("hx1k", "ice40", "iCE40HX1K", "TQ144", None),
    ("hx8k", "ice40", "iCE40HX8K", "CT256", None),
    ("lp8k", "ice40", "iCE40LP8K", "CM225", None),
)


def _of_board(board: Board) -> Target:
    return Target(
        name=board.name,
        title=board.title,
        family="ecp5" if issubclass(board.platform_class, LatticeECP5Platform) else "ice40",
        device=board.device,
        package=board.package,
        speed=board.speed,
        capacity=_CAPACITY[board.device],
        board=board,
    )


@cache
def targets() -> dict[str, Target]:
    """Every target by name: the boards, then the bare parts."""
    found = [_of_board(board) for board in (*icebreaker.BOARDS, *ulx3s.BOARDS)]
    for name, family, device, package, speed in _PARTS:
        ending = f"-{speed}" if speed else ""
        found.append(
            Target(
                name=name,
                title=f"{device}{ending} in {package}",
                family=family,
                device=device,
                package=package,
                speed=speed,
                capacity=_CAPACITY[device],
            )
        )
    return {target.name: target for target in found}


def find_target(name: str, kind: Literal["board", "device"] | None = None) -> Target:
    """The target of that name (of that kind); `InputError` lists the choices."""
    found = targets().get(name)
    if found is not None and kind in (None, found.kind):
        return found
    what = kind or "target"
    choices = [t.name for t in targets().values() if kind in (None, t.kind)]
    if found is not None:
        raise InputError(
            f"{what} {name!r}: {name} is a {found.kind}, use `--{found.kind} {name}`; "
            f"{what}s are {', '.join(choices)}"
        )
    near = difflib.get_close_matches(name.lower(), choices, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(f"{what} {name!r}: unknown; {hint}{what}s are {', '.join(choices)}")
