# SPDX-License-Identifier: Apache-2.0
"""A first-in first-out queue on streams: registers when shallow, a memory when deep."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

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
            fifo = SyncFIFOBuffered(width=Shape.cast(self.shape).width, depth=self.depth)
            m.submodules.fifo = fifo
            m.d.comb += [
                fifo.w_data.eq(Value.cast(self.i.payload)),
                fifo.w_en.eq(self.i.valid),
                self.i.ready.eq(fifo.w_rdy),
                Value.cast(self.o.payload).eq(fifo.r_data),
                self.o.valid.eq(fifo.r_rdy),
                fifo.r_en.eq(self.o.ready),
            ]
        return m

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
