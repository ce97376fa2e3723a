# SPDX-License-Identifier: Apache-2.0
"""The check on every frame: CRC-16/IBM-3740 (polynomial 0x1021, initial value 0xFFFF).

It goes over type, sequence number and payload, and follows them high byte first, so that the CRC
over a whole sound frame is 0. Python has it as `binascii.crc_hqx(data, 0xFFFF)`.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.cobs import ByteOrEnd

__all__ = ["CRCAppender", "FrameCRC"]

INITIAL = 0xFFFF


class FrameCRC(wiring.Component):
    """The CRC of the bytes so far, a byte every other cycle.

    The polynomial has few terms, so that a byte folds into 24 exclusive ors of up to four bits
    instead of the eight steps of the definition; a register in between keeps them that few.

    Members
    -------
    start : in
        Forget all bytes; not while `busy`, and goes before `valid`.
    valid, data : in
        A byte; not while `busy`.
    busy : out
        The cycle after a byte: it is not in `crc` yet.
    crc : out
    """

    start: Signal
    valid: Signal
    data: Signal
    busy: Signal
    crc: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "valid": In(1),
                "data": In(8),
                "busy": Out(1),
                "crc": Out(16, init=INITIAL),  # type: ignore[call-arg]
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        top = self.data ^ self.crc[8:]
        folded = Signal(8)
        m.d.sync += [self.busy.eq(self.valid & ~self.start), folded.eq(top ^ (top >> 4))]
        shifted = Cat(Const(0, 8), self.crc[:8])
        with m.If(self.busy):
            m.d.sync += self.crc.eq(shifted ^ (folded << 12) ^ (folded << 5) ^ folded)
        with m.If(self.start):
            m.d.sync += self.crc.eq(INITIAL)
        return m


class CRCAppender(wiring.Component):
    """Passes frames on with two bytes more: their CRC. An item every other cycle, no latency.

    Members
    -------
    i, o : streams of `ByteOrEnd`
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {"i": In(stream.Signature(ByteOrEnd())), "o": Out(stream.Signature(ByteOrEnd()))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = FrameCRC()
        n_sent = Signal(2)  # CRC bytes sent
        moved = Signal()
        m.d.comb += [
            self.o.valid.eq(self.i.valid & ~crc.busy),
            moved.eq(self.o.valid & self.o.ready),
            # Its own high byte shifts the CRC: the low one is the next to go.
            self.o.p.data.eq(Mux(self.i.p.end, crc.crc[8:], self.i.p.data)),
            self.o.p.end.eq(self.i.p.end & n_sent[1]),
            self.i.ready.eq(self.o.ready & ~crc.busy & (~self.i.p.end | n_sent[1])),
            crc.data.eq(self.o.p.data),
            crc.valid.eq(moved),
            crc.start.eq(moved & self.o.p.end),
        ]
        with m.If(moved & self.i.p.end):
            m.d.sync += n_sent.eq(Mux(n_sent[1], 0, n_sent + 1))
        return m
