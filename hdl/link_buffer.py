# SPDX-License-Identifier: Apache-2.0
"""The receive buffer of the host link: whole frames or nothing."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["FREED_UNIT", "FrameBuffer"]


FREED_UNIT = 128
"""The host is told in multiples of so many bytes what has left the buffer."""


class FrameBuffer(wiring.Component):
    """A queue of bytes in a ring of `depth` bytes, a power of two; it takes frames or nothing.

    Bytes are written behind the last kept one; `keep` makes them part of the queue, `drop` forgets
    them. `i`, `keep`, `drop` and `clear` never come in the same cycle. `depth - 1` bytes fit.

    Members
    -------
    i : stream of 8 bits, always ready
    keep, drop : in
    overflow : out
        A byte since the last `keep` or `drop` did not fit. Such a frame must not be kept.
    clear : in
        Back to the reset state.
    o : stream of 8 bits
        Kept bytes, one every second cycle at most. Offered bytes may be cleared.
    freed : out
        Bytes that have left since reset or `clear`, divided by 128, modulo `depth` / 128.
    """

    i: stream.Interface
    keep: Signal
    drop: Signal
    overflow: Signal
    clear: Signal
    o: stream.Interface
    freed: Signal

    def __init__(self, depth: int):
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "keep": In(1),
                "drop": In(1),
                "overflow": Out(1),
                "clear": In(1),
                "o": Out(stream.Signature(8)),
                "freed": Out(range(depth // FREED_UNIT)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory[Any, Any] = Memory(shape=8, depth=self._depth, init=[])
        m.submodules.memory = memory
        w = memory.write_port()
        r = memory.read_port()

        base = Signal(range(self._depth))  # the first byte that is not kept
        w_next = Signal(range(self._depth))
        r_next = Signal(range(self._depth))
        r_before = Signal(range(self._depth), init=self._depth - 1)  # r_next - 1: never written
        loaded = Signal()  # the memory's output is the byte at `r_next`
        full = w_next == r_before
        m.d.comb += [
            w.en.eq(self.i.valid & ~full),
            w.addr.eq(w_next),
            w.data.eq(self.i.payload),
            r.addr.eq(r_next),
            self.o.payload.eq(r.data),
            self.o.valid.eq(loaded),
            self.freed.eq(r_next[7:]),
        ]
        with m.If(self.keep):
            m.d.sync += base.eq(w_next)
        with m.If(w.en):
            m.d.sync += w_next.eq(w_next + 1)
        with m.If(self.keep | self.drop):
            m.d.sync += self.overflow.eq(0)
        with m.Elif(self.i.valid & full):
            m.d.sync += self.overflow.eq(1)
        # What is read was kept, and so written, in an earlier cycle: reads never meet writes.
        m.d.sync += loaded.eq(r_next != base)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [loaded.eq(0), r_next.eq(r_next + 1), r_before.eq(r_next)]
        with m.If(self.drop):
            m.d.sync += w_next.eq(base)
        with m.If(self.clear):
            m.d.sync += [
                s.eq(s.init) for s in (base, w_next, r_next, r_before, loaded, self.overflow)
            ]
        return m
