# SPDX-License-Identifier: Apache-2.0
"""The receive buffer of the host link: whole frames or nothing."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.cobs import ByteOrEnd

__all__ = ["FrameBuffer"]


class FrameBuffer(wiring.Component):
    """A queue of frames in a ring of `depth` bytes, a power of two. A frame takes its length plus one byte.

    Bytes are written behind the last kept frame; `keep` makes a frame of them, `drop` forgets
    them. `i`, `keep` and `drop` never come in the same cycle.

    Members
    -------
    i : stream of 8 bits, always ready
    keep, drop : in
    length : in
        With `keep`: bytes of the frame, 1 to 253.
    overflow : out
        Bytes since the last `keep` or `drop` did not fit. Such a frame must not be kept.
    empty : out
        No kept byte is left.
    o : stream of `ByteOrEnd`
        Each frame's bytes; `end` marks its *last byte*. A byte every second cycle at most.
    """

    i: stream.Interface
    keep: Signal
    drop: Signal
    length: Signal
    overflow: Signal
    empty: Signal
    o: stream.Interface

    def __init__(self, depth: int):
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "keep": In(1),
                "drop": In(1),
                "length": In(8),
                "overflow": Out(1),
                "empty": Out(1),
                "o": Out(stream.Signature(ByteOrEnd())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=self._depth, init=[])
        w = memory.write_port()
        r = memory.read_port()

        base = Signal(range(self._depth))  # where the next frame's length goes
        w_next = Signal(range(self._depth), init=1)
        r_next = Signal(range(self._depth))
        r_before = Signal(range(self._depth), init=self._depth - 1)  # r_next - 1: never written
        full = w_next == r_before
        spilt = Signal()
        m.d.comb += [
            w.en.eq((self.i.valid & ~full & ~spilt) | self.keep),
            self.overflow.eq(full | spilt),  # `keep` takes the place at `w_next` too
        ]
        with m.If(self.keep):
            m.d.comb += [w.addr.eq(base), w.data.eq(self.length)]
            m.d.sync += base.eq(w_next)
        with m.Else():
            m.d.comb += [w.addr.eq(w_next), w.data.eq(self.i.payload)]
        with m.If(self.keep | self.drop | w.en):
            m.d.sync += w_next.eq(Mux(self.drop, base, w_next) + 1)
        with m.If(self.keep | self.drop):
            m.d.sync += spilt.eq(0)
        with m.Elif(self.i.valid & full):
            m.d.sync += spilt.eq(1)

        loaded = Signal()  # the memory's output is the byte at `r_next`
        left = Signal(8)  # bytes of the frame that is being read
        waiting = r_next != base
        inside = left != 0
        m.d.comb += [
            r.addr.eq(r_next),
            self.o.p.data.eq(r.data),
            self.o.p.end.eq(left == 1),
            self.o.valid.eq(loaded & inside),
            self.empty.eq(~waiting),
        ]
        # What is read was kept, and so written, in an earlier cycle: reads never meet writes.
        m.d.sync += loaded.eq(waiting)
        with m.If(loaded & (~inside | self.o.ready)):
            m.d.sync += [left.eq(Mux(inside, left - 1, r.data)), loaded.eq(0)]
            m.d.sync += [r_next.eq(r_next + 1), r_before.eq(r_next)]
        return m
