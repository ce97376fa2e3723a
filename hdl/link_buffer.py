# SPDX-License-Identifier: Apache-2.0
"""The receive buffer of the host link: whole frames or nothing."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.collision import NO_COLLISION

__all__ = ["FREED_UNIT", "TRAILER", "FrameBuffer"]

BLOCK = 7
FREED_UNIT = 1 << BLOCK
"""The host is told in multiples of so many bytes what has left the buffer."""


TRAILER = 2
"""Bytes at the end of a frame, its CRC, that come with it and are not kept."""


class FrameBuffer(wiring.Component):
    """A queue of bytes in a ring of `depth` bytes, a power of two; it takes frames or nothing.

    Bytes are written behind the last kept one; `keep` makes them part of the queue, without the
    last `TRAILER`. What is written stays out of the block of `FREED_UNIT` bytes in front of the one
    that is being read: `depth` less `FREED_UNIT` bytes fit, those that were read from that block
    among them, and a trailer.

    Members
    -------
    i : stream of 8 bits, always ready
    end : in
        One cycle, after a frame's last byte and not with one.
    keep : in
        With `end`: keep the frame.
    overflow : out
        A byte of the frame did not fit. Such a frame must not be kept.
    clear : in
        Back to the reset state; not with `i` or `end`.
    o : stream of 8 bits
        Kept bytes, one every second cycle at most. Offered bytes may be cleared.
    freed : out
        Bytes that have left since reset or `clear`, divided by 128, modulo `depth` / 128.
    """

    i: stream.Interface
    end: Signal
    keep: Signal
    overflow: Signal
    clear: Signal
    o: stream.Interface
    freed: Signal

    def __init__(self, depth: int):
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "end": In(1),
                "keep": In(1),
                "overflow": Out(1),
                "clear": In(1),
                "o": Out(stream.Signature(8)),
                "freed": Out(range(depth // FREED_UNIT)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory[Any, Any] = Memory(shape=8, depth=self._depth, init=[], attrs=NO_COLLISION)
        m.submodules.memory = memory
        w = memory.write_port()
        r = memory.read_port()

        base = Signal(range(self._depth))  # the first byte that is not kept
        w_next = Signal(range(self._depth))
        r_next = Signal(range(self._depth))
        loaded = Signal()  # the memory's output is the byte at `r_next`
        full = w_next[BLOCK:] == (r_next[BLOCK:] - 1)[: len(self.freed)]
        m.d.comb += [
            w.en.eq(self.i.valid & ~full),
            w.addr.eq(w_next),
            w.data.eq(self.i.payload),
            r.addr.eq(r_next),
            self.o.payload.eq(r.data),
            self.o.valid.eq(loaded),
            self.freed.eq(r_next[BLOCK:]),
        ]
        with m.If(self.keep):
            m.d.sync += base.eq(w_next - TRAILER)
        with m.If(w.en):
            m.d.sync += w_next.eq(w_next + 1)
        with m.If(self.end):
            m.d.sync += self.overflow.eq(0)
        with m.Elif(self.i.valid & full):
            m.d.sync += self.overflow.eq(1)
        # What is read was kept, and so written, in an earlier cycle: reads never meet writes.
        m.d.sync += loaded.eq(r_next != base)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [loaded.eq(0), r_next.eq(r_next + 1)]
        back = Signal()
        m.d.sync += back.eq(self.end)
        with m.If(back):
            m.d.sync += w_next.eq(base)
        with m.If(self.clear):
            m.d.sync += [s.eq(0) for s in (base, w_next, r_next, loaded, back, self.overflow)]
        return m
