# SPDX-License-Identifier: Apache-2.0
"""Cells of a part, and how many synthesis takes for adders, comparisons and memories."""

from __future__ import annotations

from dataclasses import dataclass

from spikefab.hdl.params import Family
from spikefab.hdl.shiftadd import trailing_zeros

__all__ = [
    "Budget",
    "Resources",
    "adder",
    "bits_for",
    "choice",
    "compare",
    "logic",
    "memory",
    "rom",
]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Cells of a part."""

    lut: int = 0
    """Logic cells. ECP5's COMB: a look-up table each, or a bit of a carry chain, or a sixth of 16
    words of 4 bits of LUT RAM. iCE40's LC: a table, a bit of a carry chain and a flip-flop."""
    ff: int = 0
    """Flip-flops. On iCE40 those that no table of their own precedes are in `lut` as well."""
    ram: int = 0
    """Block RAMs."""
    dsp: int = 0
    """Multipliers."""
    spram: int = 0
    """Single-port RAMs."""

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            lut=self.lut + other.lut,
            ff=self.ff + other.ff,
            ram=self.ram + other.ram,
            dsp=self.dsp + other.dsp,
            spram=self.spram + other.spram,
        )

    def __mul__(self, n: int) -> Resources:
        return Resources(
            lut=self.lut * n,
            ff=self.ff * n,
            ram=self.ram * n,
            dsp=self.dsp * n,
            spram=self.spram * n,
        )


@dataclass(frozen=True, kw_only=True)
class Budget(Resources):
    """What a device has."""

    family: Family
    """`ecp5` or `ice40`."""

    def exceeded(self, need: Resources) -> str:
        """The first resource of which `need` takes more, in words; empty where it fits."""
        if need.lut > self.lut:
            return "logic"
        if need.ff > self.ff:
            return "flip-flops"
        if need.ram > self.ram:
            return "block RAM"
        if need.spram > self.spram:
            return "SPRAM"
        return ""


def logic(family: str, tables: int = 0, registers: int = 0, behind: int = 0) -> Resources:
    """Tables, and registers of which `behind` each follow a table that feeds nothing else: on iCE40
    these two are one cell, and any other register is a cell of its own."""
    alone = registers - behind if family == "ice40" else 0
    return Resources(lut=tables + alone, ff=registers)


def bits_for(n: int) -> int:
    """Bits of a number below `n`."""
    return (n - 1).bit_length()


def adder(width: int, family: str) -> int:
    """Cells of a carry chain. ECP5's carry cells have two bits; its lowest sum is a table's."""
    if family == "ice40" or width <= 2:
        return max(0, width)
    return 2 * -(-width // 2) + 1


def compare(width: int, level: int) -> int:
    """Tables that compare with a constant: three bits each, none for the zeros below the level."""
    return max(1, -(-(width - trailing_zeros(level, width) - 1) // 3))


def choice(n: int) -> int:
    """Tables a bit that choose one of `n` words by its number."""
    return n - 1 if n <= 4 else -(-2 * n // 3)


def memory(
    width: int, depth: int, family: str, *, safe: bool = True, forwards: bool = False
) -> Resources:
    """A memory with one write and one read port, and the register behind it.

    Yosys (`memory_libmap`) takes the cheapest of registers, LUT RAM and block RAM by the prices in
    its libraries; this is the same sum. `safe`: what is read while it is written does not matter
    (`hdl.collision`). Otherwise logic around a block RAM makes such a read give the old word, or
    with `forwards` the new one.
    """
    extra = 1 if safe else 4 if forwards else 7
    blocks, price = _blocks(width, depth, family, extra)
    cheapest = width * depth
    rows = -(-depth // 16)
    tables = rows * -(-width // 4)
    kind = "registers"
    if family == "ecp5":
        cost = 4 * tables + _decoding(rows, width) + 2
        if cost < cheapest:
            kind, cheapest = "tables", int(cost)
    if price < cheapest:
        kind = "blocks"
    around = 0 if safe else 1
    if kind == "blocks":
        kept = around * (2 * width + bits_for(depth) + 3)
        return Resources(ram=blocks) + logic(family, around * (width + 8), kept, width * around)
    if kind == "tables":
        chosen = width * choice(rows) + (2 * rows if rows > 1 else 0)
        return logic(family, 6 * tables + chosen, width, width if rows > 1 else 0)
    words = width * depth
    return logic(family, words // 2 + width + 2 * depth, words + width, width)


def rom(width: int, depth: int, family: str) -> Resources:
    """Constants and the register behind them: tables, or block RAM where that is cheaper by Yosys'
    prices."""
    blocks, price = _blocks(width, depth, family, 1, written=False)
    if price < width * depth // 16:
        return Resources(ram=blocks)
    if depth <= 2:
        # Each bit is the address bit, its inverse or a constant.
        return Resources()
    return logic(family, width * -(-depth // 16), width, width)


def _blocks(
    width: int, depth: int, family: str, extra: int, *, written: bool = True
) -> tuple[int, float]:
    """Block RAMs of a memory and Yosys' price for them, in the cheapest of a block's shapes."""
    # Bits a word and address bits; bits that are written together; price.
    shapes: tuple[tuple[int, int], ...]
    shapes, byte, each = ((1, 14), (2, 13), (4, 12), (9, 11), (18, 10), (36, 9)), 9, 128
    if family == "ice40":
        shapes, byte, each = ((2, 11), (4, 10), (8, 9), (16, 8)), 1, 64
    byte = byte if written else 1
    found = []
    for unit, address in shapes:
        rows = -(-depth // (1 << address))
        part = min(unit, byte)
        columns = -(-width // part) * part
        n = -(-rows * columns // unit)
        found.append((each * n + _decoding(rows, width) + 2 * extra, n))
    price, n = min(found)
    return n, price


def _decoding(rows: int, width: int) -> float:
    """Yosys' price of choosing between rows of memories."""
    return ((rows - 1) * width + rows) / 2 if rows > 1 else 0
