# SPDX-License-Identifier: Apache-2.0
"""The check on every frame: CRC-16/IBM-3740 (polynomial 0x1021, initial value 0xFFFF).

It goes over type, sequence number and payload, and follows them high byte first, so that the CRC
over a whole sound frame is 0. Python has it as `binascii.crc_hqx(data, 0xFFFF)`.
"""

from __future__ import annotations

from amaranth import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740  # type: ignore[import-untyped]
from amaranth.lib.wiring import In, Out

from spikefab.hdl.cobs import ByteOrEnd

__all__ = ["FRAME_CRC", "CRCAppender"]

FRAME_CRC = CRC16_IBM_3740(8)
"""Parameters of the check, byte by byte."""


class CRCAppender(wiring.Component):
    """Passes frames on with two bytes more: their CRC. One item a cycle, no latency.

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
        start = Signal()
        crc = FRAME_CRC.create()
        # Started by reset: it costs no logic, as `crc.start` would.
        m.submodules.crc = ResetInserter(start)(crc)
        n_sent = Signal(2)  # CRC bytes sent
        moved = Signal()
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            moved.eq(self.o.valid & self.o.ready),
            crc.data.eq(self.i.p.data),
            crc.valid.eq(moved & ~self.i.p.end),
            start.eq(moved & self.i.p.end & (n_sent == 2)),
            self.o.p.end.eq(self.i.p.end & (n_sent == 2)),
            self.i.ready.eq(self.o.ready & (~self.i.p.end | (n_sent == 2))),
        ]
        with m.If(~self.i.p.end):
            m.d.comb += self.o.p.data.eq(self.i.p.data)
        with m.Elif(n_sent == 0):
            m.d.comb += self.o.p.data.eq(crc.crc[8:])
        with m.Else():
            m.d.comb += self.o.p.data.eq(crc.crc[:8])
        with m.If(moved & self.i.p.end):
            m.d.sync += n_sent.eq(n_sent + 1)
            with m.If(n_sent == 2):
                m.d.sync += n_sent.eq(0)
        return m
