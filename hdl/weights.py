# SPDX-License-Identifier: Apache-2.0
"""The weight memory: one word of weights a cycle, a weight a lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from spikefab.hdl.memory_layout import SHAPES, Tile, plan_blocks

__all__ = ["WeightMemory", "pack_weights"]


def pack_weights(weights: Sequence[Sequence[int]], lanes: int, weight_width: int) -> list[int]:
    """The weight memory's words: word ``a * groups + g`` holds the weights from source a to the
    neurons of group g, lane 0 in the lowest bits.

    `weights`: n_out rows of n_in signed integers.
    """
    n_out, n_in = len(weights), len(weights[0])
    groups = -(-n_out // lanes)
    mask = (1 << weight_width) - 1
    words = [0] * (n_in * groups)
    for neuron, row in enumerate(weights):
        group, lane = divmod(neuron, lanes)
        shift = lane * weight_width
        for source, weight in enumerate(row):
            words[source * groups + group] |= (int(weight) & mask) << shift
    return words


class WeightMemory(wiring.Component):
    """Constant words, read one a cycle.

    With a `family` the memory is cut into its block RAMs here (`plan_blocks`), one Amaranth memory
    a block, so that synthesis has nothing left to choose; without one it is one memory.

    Members
    -------
    address : in
    word : out, `width` bits
        The word at `address`, `LATENCY` cycles later, from a register.
    """

    LATENCY = 2

    address: Signal
    word: Signal

    def __init__(self, words: Sequence[int], width: int, family: str = ""):
        self.words, self.width, self.family = list(words), width, family
        super().__init__({"address": In(range(len(self.words))), "word": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = len(self.words)
        if self.family:
            tile = plan_blocks(depth, self.width, self.family)
        else:
            tile = Tile(0, depth, 0, self.width)
        # Block RAM is slow to its pins: a register of its own behind it.
        m.d.sync += self.word.eq(self._read(m, tile))
        return m

    def _read(self, m: Module, tile: Tile) -> Value:
        """The word's bits of a tile, one cycle after the address."""
        if tile.cut is None:
            return self._block(m, tile)
        if tile.cut == "columns":
            return Cat(*[self._read(m, part) for part in tile.parts])
        return self._choose(m, tile.parts)

    def _block(self, m: Module, tile: Tile) -> Value:
        bits = ceil_log2(tile.depth)
        size = 1 << bits
        # A band is addressed by the low bits alone, wherever it starts.
        turned = tile.row % size != 0
        words = [0] * (size if turned else tile.depth)
        mask = (1 << tile.width) - 1
        for row in range(tile.row, tile.row + tile.depth):
            words[row % size] = self.words[row] >> tile.column & mask
        memory: Any = Memory(
            shape=tile.width,
            depth=len(words),
            init=words,
            attrs={"ram_style": "block"} if self.family else {},
        )
        m.submodules[f"block_{tile.row}_{tile.column}"] = memory
        port = memory.read_port()
        m.d.comb += port.addr.eq(self.address[:bits])
        data: Value = port.data
        return data

    def _choose(self, m: Module, bands: Sequence[Tile]) -> Value:
        """The band in which the address was a cycle ago."""
        if len(bands) == 1:
            return self._read(m, bands[0])
        middle = len(bands) // 2
        unit, start = SHAPES[self.family][0][0], bands[middle].row
        above = Signal(name=f"above_{start}_{bands[0].column}")
        m.d.sync += above.eq((self.address >> ceil_log2(unit)) >= start // unit)
        return Mux(above, self._choose(m, bands[middle:]), self._choose(m, bands[:middle]))
