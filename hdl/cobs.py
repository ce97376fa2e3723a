# SPDX-License-Identifier: Apache-2.0
"""Consistent overhead byte stuffing: frames without zero bytes, separated by zero bytes.

S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", SIGCOMM 1997. Frames here have at
most 253 bytes, so that the code 0xFF, a block without a zero at its end, never occurs.
"""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.collision import NO_COLLISION

__all__ = ["MAX_FRAME", "ByteOrEnd", "COBSDecoder", "COBSEncoder", "DecodedByte"]

MAX_FRAME = 253
"""Bytes of the longest frame before encoding."""


class ByteOrEnd(data.StructLayout):
    """An item of a stream of frames: a byte (`end` = 0), or the end of a frame without a byte."""

    def __init__(self) -> None:
        super().__init__({"data": 8, "end": 1})


class DecodedByte(data.StructLayout):
    """A byte, or the end of a frame; with `end`, `bad` says that the frame is damaged."""

    def __init__(self) -> None:
        super().__init__({"data": 8, "end": 1, "bad": 1})


class COBSDecoder(wiring.Component):
    """Encoded bytes to frames. Empty frames vanish. Combinational from `i` to `o`.

    Members
    -------
    i : stream of 8 bits, always ready
        Encoded bytes, at most one every other cycle.
    error : in
        A byte was lost: the frame under way is bad.
    o : stream of `DecodedByte`, always ready
    """

    i: stream.Interface
    error: Signal
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "error": In(1),
                "o": Out(stream.Signature(DecodedByte(), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(8, init=1)  # bytes up to the next code, which counts
        inside = Signal()  # the frame's first code has been seen
        poisoned = Signal()
        byte, o = self.i.payload, self.o
        ended = left == 1
        m.d.comb += o.p.bad.eq(~ended | poisoned)
        with m.If(self.i.valid):
            with m.If(byte == 0):
                m.d.comb += [o.valid.eq(inside | poisoned), o.p.end.eq(1)]
                m.d.sync += [left.eq(1), inside.eq(0), poisoned.eq(0)]
            with m.Else():
                # A code, or a byte; the code of a block that is not the first means a zero too.
                m.d.comb += [o.valid.eq(inside), o.p.data.eq(Mux(ended, 0, byte))]
                m.d.sync += [left.eq(Mux(ended, byte, left - 1)), inside.eq(1)]
        with m.Elif(self.error):
            m.d.sync += poisoned.eq(1)
        return m


class COBSEncoder(wiring.Component):
    """Frames to encoded bytes, delimiter included. One frame is filled while one is sent.

    A code byte is the distance to the next zero, known only when that zero comes. It is then
    written where the previous zero would have been: one memory write a byte, no second pass.

    Members
    -------
    i : stream of `ByteOrEnd`
        A frame of 1 to 253 bytes, then its end.
    o : stream of 8 bits
        Encoded bytes; a byte every second cycle at most.
    idle : out
        Nothing is being sent: a frame that ends now goes out at once.
    nearly_full : out
        The frame that is being filled has `NEARLY_FULL` - 1 bytes or more.
    """

    NEARLY_FULL = 224
    """A multiple of 32 is cheap to see."""

    i: stream.Interface
    o: stream.Interface
    idle: Signal
    nearly_full: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(ByteOrEnd())),
                "o": Out(stream.Signature(8)),
                "idle": Out(1),
                "nearly_full": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory[Any, Any] = Memory(shape=8, depth=512, init=[], attrs=NO_COLLISION)
        m.submodules.memory = memory
        w = memory.write_port()
        r = memory.read_port()

        half = Signal()  # the half of the memory that is being filled
        place = Signal(8, init=1)  # of the next byte
        zero = Signal(8)  # of the code that is still open
        ending = Signal()  # the last code is written, the delimiter is not
        full = Signal()  # a whole frame waits for the sender
        closes = Signal()
        take = Signal()
        m.d.comb += [
            self.i.ready.eq(~full & ~ending),
            self.nearly_full.eq(place[5:].all()),  # place >= NEARLY_FULL
            closes.eq(ending | self.i.p.end | (self.i.p.data == 0)),
            w.en.eq((self.i.valid & ~full) | ending),
            # Behind the last code `zero` is `place`: their difference is the delimiter.
            w.addr.eq(Cat(Mux(closes, zero, place), half)),
            w.data.eq(Mux(closes, place - zero, self.i.p.data)),
        ]
        with m.If(ending):
            m.d.sync += [ending.eq(0), full.eq(1)]
        with m.Elif(w.en):
            m.d.sync += ending.eq(self.i.p.end)
            with m.If(~self.i.p.end):
                m.d.sync += place.eq(place + 1)
            with m.If(closes):
                m.d.sync += zero.eq(place)

        sending = Signal()
        loaded = Signal()  # the memory's output is the byte at `here`
        here = Signal(8)
        m.d.comb += [
            self.idle.eq(~sending & ~full & ~ending),
            take.eq(full & ~sending),
            r.addr.eq(Cat(here, ~half)),
            self.o.valid.eq(loaded),
            self.o.payload.eq(r.data),
        ]
        m.d.sync += loaded.eq(sending)
        with m.If(take):
            m.d.sync += [half.eq(~half), place.eq(1), zero.eq(0), full.eq(0)]
            m.d.sync += [sending.eq(1), here.eq(0)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [here.eq(here + 1), loaded.eq(0)]
            with m.If(r.data == 0):
                m.d.sync += sending.eq(0)
        return m
