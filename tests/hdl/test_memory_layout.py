# SPDX-License-Identifier: Apache-2.0
"""Memories cut into block RAMs: as few as any split, nothing left out, nothing twice."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from spikefab.hdl.memory_layout import SHAPES, Tile, plan_blocks

# Depth in units of the shallowest block, and width; from the vendors' memory guides.
BLOCKS = {
    "ecp5": ((1, 36), (2, 18), (4, 9), (8, 4), (16, 2), (32, 1)),
    "ice40": ((1, 16), (2, 8), (4, 4), (8, 2)),
}
UNIT = {"ecp5": 512, "ice40": 256}


@cache
def fewest(width: int, units: int, family: str) -> tuple[int, int]:
    """Blocks and choices of the best split, by trying every cut at every bit and every unit."""
    if any(width <= bits and units <= depth for depth, bits in BLOCKS[family]):
        return 1, 0
    found = []
    for w in range(1, width // 2 + 1):
        a, b = fewest(w, units, family), fewest(width - w, units, family)
        found.append((a[0] + b[0], a[1] + b[1]))
    for u in range(1, units // 2 + 1):
        a, b = fewest(width, u, family), fewest(width, units - u, family)
        found.append((a[0] + b[0], a[1] + b[1] + width))
    return min(found)


@pytest.mark.parametrize("family", BLOCKS)
def test_no_split_takes_fewer_blocks(family: str) -> None:
    unit = UNIT[family]
    for width in range(1, 80):
        for units in range(1, 24):
            tile = plan_blocks(units * unit, width, family)
            assert (tile.n_blocks, tile.choices) == fewest(width, units, family), (width, units)


@pytest.mark.parametrize("family", BLOCKS)
@pytest.mark.parametrize(("width", "units"), [(300, 5), (130, 40), (3, 150), (40, 110), (160, 12)])
def test_large_memories(family: str, width: int, units: int) -> None:
    """Whose widest columns and deepest bands are taken off without a search."""
    tile = plan_blocks(units * UNIT[family], width, family)
    assert (tile.n_blocks, tile.choices) == fewest(width, units, family)


@pytest.mark.parametrize(
    ("depth", "width", "blocks", "choices"),
    [
        (784, 512, 29, 0),  # 784 inputs to 128 neurons of 4 bits on 128 lanes
        (1568, 256, 29, 0),  # on 64
        (12_544, 32, 23, 170),  # on 8; the best grid of one shape takes 25
        (100_352, 4, 25, 24),  # on one
        (128, 40, 2, 0),
        (1, 1, 1, 0),
    ],
)
def test_known_memories(depth: int, width: int, blocks: int, choices: int) -> None:
    tile = plan_blocks(depth, width, "ecp5")
    assert (tile.n_blocks, tile.choices) == (blocks, choices)


@pytest.mark.parametrize("family", BLOCKS)
@pytest.mark.parametrize(
    ("depth", "width"), [(1, 1), (700, 50), (1537, 33), (3000, 45), (12_544, 32), (9000, 7)]
)
def test_every_bit_lies_in_one_block_that_holds_it(depth: int, width: int, family: str) -> None:
    covered = np.zeros((depth, width), np.int8)
    whole = plan_blocks(depth, width, family)
    for tile in whole.blocks():
        assert any(tile.depth <= d and tile.width <= w for d, w in SHAPES[family])
        covered[tile.row : tile.row + tile.depth, tile.column : tile.column + tile.width] += 1
    assert (covered == 1).all()
    check_parts(whole)


def check_parts(tile: Tile) -> None:
    """Parts fill their tile in order, and are cut otherwise than it."""
    if tile.cut is None:
        assert not tile.parts
        return
    along = tile.row if tile.cut == "rows" else tile.column
    for part in tile.parts:
        assert part.cut != tile.cut
        if tile.cut == "rows":
            assert (part.row, part.column, part.width) == (along, tile.column, tile.width)
            along += part.depth
        else:
            assert (part.column, part.row, part.depth) == (along, tile.row, tile.depth)
            along += part.width
        check_parts(part)
    assert along == (tile.row + tile.depth if tile.cut == "rows" else tile.column + tile.width)


def test_huge_memories_are_planned_at_once() -> None:
    assert plan_blocks(65_536 * 8, 2048, "ecp5").n_blocks >= 65_536 * 8 * 2048 // 18_432
