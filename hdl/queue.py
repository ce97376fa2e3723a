# SPDX-License-Identifier: Apache-2.0
"""A first-in first-out queue on streams: registers when shallow, a memory when deep."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.collision import NO_COLLISION

__all__ = ["Queue"]

REGISTERS_MAX = 4


class Queue(wiring.Component):
    """Items leave in the order in which they came.

    Members
    -------
    i, o : streams of `shape`
        Latency 1 cycle up to four items deep, 2 cycles deeper. Throughput 1 item a cycle (every
        other cycle where `depth` is 1). A full queue takes no item, whatever the other end does:
        `ready` is a register's output.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: data.StructLayout | Shape, depth: int):
        self.shape, self.depth = shape, depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @staticmethod
    def latency(depth: int) -> int:
        """Cycles from an item's acceptance by an empty queue to its offer at the other end."""
        return 1 if depth <= REGISTERS_MAX else 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.depth <= REGISTERS_MAX:
            self._registers(m)
        else:
            self._memory(m)
        return m

    def _memory(self, m: Module) -> None:
        """All items but the offered one, which is on the memory's output."""
        depth = self.depth - 1
        # A word is read where there are some, and written where one is free: never the same one.
        memory: Any = Memory(
            shape=Shape.cast(self.shape).width, depth=depth, init=[], attrs=NO_COLLISION
        )
        m.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port()
        level = Signal(range(depth + 1))
        head, tail = Signal(range(depth)), Signal(range(depth))
        put, take = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(level != depth),
            put.eq(self.i.valid & self.i.ready),
            take.eq((level != 0) & (~self.o.valid | self.o.ready)),
            write.addr.eq(tail),
            write.data.eq(Value.cast(self.i.payload)),
            write.en.eq(put),
            read.addr.eq(head),
            read.en.eq(take),
            Value.cast(self.o.payload).eq(read.data),
        ]
        with m.If(put):
            m.d.sync += tail.eq(Mux(tail == depth - 1, 0, tail + 1))
        with m.If(take):
            m.d.sync += head.eq(Mux(head == depth - 1, 0, head + 1))
        with m.If(put & ~take):
            m.d.sync += level.eq(level + 1)
        with m.If(take & ~put):
            m.d.sync += level.eq(level - 1)
        with m.If(take):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

    def _registers(self, m: Module) -> None:
        """An item stays where it was written: its register's enable hangs on the input alone, and
        is quick however wide the item is."""
        slots = [Signal(Shape.cast(self.shape), name=f"slot{k}") for k in range(self.depth)]
        level = Signal(range(self.depth + 1))
        head, tail = Signal(range(self.depth)), Signal(range(self.depth))
        put, take = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(level != self.depth),
            self.o.valid.eq(level != 0),
            Value.cast(self.o.payload).eq(Array(slots)[head]),
            put.eq(self.i.valid & self.i.ready),
            take.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += level.eq(level + put - take)
        for k, slot in enumerate(slots):
            # A free register may take what is not yet an item.
            with m.If((tail == k) & self.i.ready):
                m.d.sync += slot.eq(Value.cast(self.i.payload))
        with m.If(put):
            m.d.sync += tail.eq(Mux(tail == self.depth - 1, 0, tail + 1))
        with m.If(take):
            m.d.sync += head.eq(Mux(head == self.depth - 1, 0, head + 1))
