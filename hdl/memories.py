# SPDX-License-Identifier: Apache-2.0
"""What a weight memory can be made of: block RAM, logic, or memories that are loaded.

Each component has `address` in and `word` out, the word at the address `LATENCY` cycles later, from
a register; a new address in every cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from spikefab.hdl.load import WORD, LoadPort
from spikefab.hdl.memory_layout import SHAPES, SPRAM_DEPTH, Tile, plan_blocks
from spikefab.hdl.params import Family

__all__ = ["LATENCY", "BlockMemory", "LogicMemory", "LutMemory", "Spram"]

LATENCY = 2
"""Cycles from an address to its word."""


class BlockMemory(wiring.Component):
    """Constant words in block RAM.

    With a `family` the memory is cut into its blocks here (`plan_blocks`), one Amaranth memory a
    block, so that synthesis has nothing left to choose; without one it is one memory.
    """

    address: Signal
    word: Signal

    def __init__(self, words: Sequence[int], width: int, family: Family = ""):
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


class LogicMemory(wiring.Component):
    """Constant words as a function of the address, in look-up tables."""

    address: Signal
    word: Signal

    def __init__(self, words: Sequence[int], width: int):
        self.words, self.width = list(words), width
        super().__init__({"address": In(range(len(self.words))), "word": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Any = Memory(
            shape=self.width,
            depth=len(self.words),
            init=self.words,
            attrs={"ram_style": "logic"},
        )
        m.submodules.constants = memory
        port = memory.read_port()
        # The address is narrower than a word: what waits is the address.
        m.d.sync += port.addr.eq(self.address)
        m.d.comb += self.word.eq(port.data)
        return m


class LutMemory(wiring.Component):
    """Words in LUT RAM: there from configuration on, and written by `load`.

    Members
    -------
    load : in, LoadPort
        A word is written with the clock edge; it must not be read in the same step.
    """

    address: Signal
    word: Signal
    load: Any

    def __init__(self, words: Sequence[int], width: int):
        self.words, self.width = list(words), width
        depth = len(self.words)
        super().__init__(
            {
                "address": In(range(depth)),
                "word": Out(width),
                "load": In(LoadPort(-(-width // WORD), depth)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        address = Signal.like(self.address)
        m.d.sync += address.eq(self.address)
        columns = []
        for k in range(-(-self.width // WORD)):
            width = min(WORD, self.width - k * WORD)
            memory: Any = Memory(
                shape=width,
                depth=len(self.words),
                init=[word >> k * WORD & ((1 << width) - 1) for word in self.words],
                attrs={"ram_style": "distributed"},
            )
            m.submodules[f"column{k}"] = memory
            read, write = memory.read_port(domain="comb"), memory.write_port()
            m.d.comb += [
                read.addr.eq(address),
                write.addr.eq(self.load.row),
                write.data.eq(self.load.data),
                write.en.eq(self.load.write[k]),
            ]
            columns.append(read.data)
        m.d.sync += self.word.eq(Cat(*columns))
        return m


class Spram(wiring.Component):
    """Words in the single-port RAMs of the UltraPlus, which hold nothing before they are loaded.

    Members
    -------
    load : in, LoadPort
        A word is written with the clock edge; no word is read in that cycle.
    """

    address: Signal
    word: Signal
    load: Any

    def __init__(self, depth: int, width: int):
        self.depth, self.width = depth, width
        super().__init__(
            {
                "address": In(range(depth)),
                "word": Out(width),
                "load": In(LoadPort(-(-width // WORD), depth)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns = []
        writes = self.load.write.any()
        address = Signal.like(self.address)
        m.d.comb += address.eq(Mux(writes, self.load.row, self.address))
        bank = address >> ceil_log2(SPRAM_DEPTH)
        was = Signal.like(bank)
        m.d.sync += was.eq(bank)
        for k in range(-(-self.width // WORD)):
            width = min(WORD, self.width - k * WORD)
            value: Value | None = None
            for b, start in enumerate(range(0, self.depth, SPRAM_DEPTH)):
                memory: Any = Memory(
                    shape=width,
                    depth=min(SPRAM_DEPTH, self.depth - start),
                    init=[],
                    attrs={"ram_style": "huge"},
                )
                m.submodules[f"column{k}_{b}"] = memory
                read, write = memory.read_port(), memory.write_port()
                # One port: reads and writes share address and turn.
                m.d.comb += [
                    read.addr.eq(address),
                    read.en.eq(~write.en),
                    write.addr.eq(address),
                    write.data.eq(self.load.data),
                    write.en.eq(self.load.write[k] & (bank == b)),
                ]
                value = read.data if value is None else Mux(was == b, read.data, value)
            assert value is not None
            columns.append(value)
        m.d.sync += self.word.eq(Cat(*columns))
        return m
