# SPDX-License-Identifier: Apache-2.0
"""How a memory is cut into block RAMs: the fewest that any split into width and depth gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

__all__ = ["SHAPES", "SPRAM_DEPTH", "Tile", "plan_blocks"]

SHAPES = {
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
}
"""Words and bits of one block RAM with one read port, by family, the shallowest first: its depth
divides all others."""

SPRAM_DEPTH = 16384
"""Words, of 16 bits, of one single-port RAM of the UltraPlus."""

Cut = Literal["rows", "columns"]


@dataclass(frozen=True)
class Tile:
    """A rectangle of a memory: the contents of one block RAM, or parts side by side."""

    row: int
    """First word."""
    depth: int
    """Words."""
    column: int
    """Lowest bit."""
    width: int
    """Bits."""
    cut: Cut | None = None
    """How the parts lie: bands of rows, from the first word on, or columns, from the lowest bit on;
    None: one block."""
    parts: tuple[Tile, ...] = ()

    def blocks(self) -> Iterator[Tile]:
        """The tiles that are one block each."""
        if self.cut is None:
            yield self
        for part in self.parts:
            yield from part.blocks()

    @property
    def n_blocks(self) -> int:
        return sum(1 for _ in self.blocks())

    @property
    def choices(self) -> int:
        """Two-way choices between bands, one a bit: what the split costs in logic."""
        own = self.width * (len(self.parts) - 1) if self.cut == "rows" else 0
        return own + sum(part.choices for part in self.parts)


@cache
def plan_blocks(depth: int, width: int, family: str) -> Tile:
    """Cuts a memory of `depth` words of `width` bits into the fewest block RAMs.

    The search is exact over everything that straight cuts give, one after the other: of rows at
    multiples of the shallowest block's depth, of columns at any bit, each part in its own way.
    Among splits into as few blocks the one with the fewest choices between bands is taken.
    """
    return _tile(0, depth, 0, width, family)


def _tile(row: int, depth: int, column: int, width: int, family: str) -> Tile:
    unit = SHAPES[family][0][0]
    cut, sizes = _split(width, -(-depth // unit), family)
    parts: list[Tile] = []
    at = 0
    for size in sizes:
        if cut == "rows":
            part = _tile(row + at, min(size * unit, depth - at), column, width, family)
            at += part.depth
        else:
            part = _tile(row, depth, column + at, size, family)
            at += size
        parts += part.parts if part.cut == cut else [part]
    return Tile(row, depth, column, width, cut, tuple(parts))


def _split(width: int, units: int, family: str) -> tuple[Cut | None, tuple[int, ...]]:
    """The first cut of `width` bits x `units` of depth: how, and the sizes of the parts."""
    unit, widest = SHAPES[family][0]
    deepest = SHAPES[family][-1][0] // unit
    # The widest column and the deepest bands waste nothing, beside whatever they lie. Of a large
    # memory they are taken off until what is left is small enough to search.
    columns, bands = width // widest - 2, units // deepest - 2
    if columns > 0:
        return "columns", (widest,) * columns + (width - columns * widest,)
    if bands > 0:
        return "rows", (deepest,) * bands + (units - bands * deepest,)
    return _search(width, units, family)[2]


@cache
def _search(
    width: int, units: int, family: str
) -> tuple[int, int, tuple[Cut | None, tuple[int, ...]]]:
    """Blocks and choices of the best split, and its first cut."""
    unit, widest = SHAPES[family][0]
    if any(units * unit <= depth and width <= bits for depth, bits in SHAPES[family]):
        return 1, 0, (None, ())
    options: list[tuple[int, int, tuple[Cut | None, tuple[int, ...]]]] = []
    for column in range(min(width - 1, widest), 0, -1):
        a, b = _search(column, units, family), _search(width - column, units, family)
        options.append((a[0] + b[0], a[1] + b[1], ("columns", (column, width - column))))
    for depth, _ in reversed(SHAPES[family]):
        band = depth // unit
        if band < units:
            a, b = _search(width, band, family), _search(width, units - band, family)
            options.append((a[0] + b[0], a[1] + b[1] + width, ("rows", (band, units - band))))
    return min(options, key=lambda option: option[:2])
