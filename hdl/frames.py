# SPDX-License-Identifier: Apache-2.0
"""Frames of the host link: type byte, sequence number, payload, CRC (`docs/protocol.md`)."""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Module, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.cobs import MAX_FRAME, ByteOrEnd, DecodedByte
from spikefab.hdl.crc import FRAME_CRC

__all__ = [
    "FRAME_OVERHEAD",
    "MAX_PAYLOAD",
    "FrameItem",
    "FrameReceiver",
    "FrameSender",
    "FromBoard",
    "Header",
    "ToBoard",
]

FRAME_OVERHEAD = 4
"""Type, sequence number and two bytes of CRC."""

MAX_PAYLOAD = MAX_FRAME - FRAME_OVERHEAD


class ToBoard(IntEnum):
    """Type bytes, host to board."""

    SYNC = 0x01
    EVENTS = 0x02
    POLL = 0x03
    QUERY = 0x04


class FromBoard(IntEnum):
    """Type bytes, board to host; those from EVENTS on advance the sequence number."""

    IDENT = 0x80
    ACK = 0x81
    COUNTERS = 0x82
    EVENTS = 0x84
    RESULT = 0x85
    SCORES = 0x86


class FrameItem(data.StructLayout):
    """A byte of a payload on its way to the host.

    `kind` is the low bits of its frame's type; `boundary` marks the last byte of a word, behind
    which the frame may end.
    """

    def __init__(self) -> None:
        super().__init__({"data": 8, "kind": 3, "boundary": 1})


class Header(data.StructLayout):
    """What is known of a received frame at its end. `argument` is the payload's last three bytes,
    `length` that of the payload; only `ok` means anything where it is 0."""

    def __init__(self) -> None:
        super().__init__({"ok": 1, "type": 8, "seq": 8, "length": 8, "argument": 24})


class FrameReceiver(wiring.Component):
    """Checks frames and takes them apart. The payload is passed on before the check is known.

    Members
    -------
    i : stream of `DecodedByte`, always ready
        At most one item every other cycle.
    payload : stream of 8 bits, always ready
        The payload's bytes, two bytes late, so that the CRC is left out.
    header : stream of `Header`, always ready
        One for each frame, the cycle after its end; it says whether the frame is sound.
    """

    i: stream.Interface
    payload: stream.Interface
    header: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(DecodedByte(), always_ready=True)),
                "payload": Out(stream.Signature(8, always_ready=True)),
                "header": Out(stream.Signature(Header(), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start = Signal()
        crc = FRAME_CRC.create()
        # Started by reset: it costs no logic, as `crc.start` would.
        m.submodules.checksum = ResetInserter(start)(crc)
        i, header = self.i, self.header.p
        place = Signal(8)  # in the frame; stays at 255 in one that is too long
        recent = Signal(40)  # the last five bytes, the latest one on top
        m.d.comb += [
            crc.data.eq(i.p.data),
            crc.valid.eq(i.valid & ~i.p.end),
            start.eq(i.valid & i.p.end),
            self.payload.payload.eq(recent[24:32]),
            self.payload.valid.eq(i.valid & ~i.p.end & (place >= FRAME_OVERHEAD)),
            header.argument.eq(recent[:24]),
        ]
        m.d.sync += self.header.valid.eq(i.valid & i.p.end)
        with m.If(i.valid & i.p.end):
            sized = (place >= FRAME_OVERHEAD) & (place <= MAX_FRAME)
            m.d.sync += [
                header.ok.eq(crc.match_detected & ~i.p.bad & sized),
                header.length.eq(place - FRAME_OVERHEAD),
                place.eq(0),
            ]
        with m.Elif(i.valid):
            with m.If(place != 255):
                m.d.sync += place.eq(place + 1)
            m.d.sync += recent.eq(Cat(recent[8:], i.p.data))
            with m.If(place == 0):
                m.d.sync += header.type.eq(i.p.data)
            with m.If(place == 1):
                m.d.sync += header.seq.eq(i.p.data)
        return m


class FrameSender(wiring.Component):
    """Wraps payload bytes into frames: one frame for bytes of one kind, as many as wait.

    A frame of data ends behind a word when it is nearly full, when a word of another kind follows,
    and when nothing follows while the line is idle or a control frame waits: so no event stays in
    an open frame, and no control frame waits for an event that never comes.

    Members
    -------
    control, data : streams of `FrameItem`
        Control frames go first. Words have at most 25 bytes; a control frame has one word.
    idle : in
        The line is idle.
    cut : in
        End an open frame of data now, even within a word; accept no byte of `data`.
    o : stream of `ByteOrEnd`
    """

    control: stream.Interface
    data: stream.Interface
    idle: Signal
    cut: Signal
    o: stream.Interface

    NEARLY_FULL = 224
    """Payload bytes from which on no other word is added; a multiple of 32 is cheap to see."""

    def __init__(self) -> None:
        super().__init__(
            {
                "control": In(stream.Signature(FrameItem())),
                "data": In(stream.Signature(FrameItem())),
                "idle": In(1),
                "cut": In(1),
                "o": Out(stream.Signature(ByteOrEnd())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        o = self.o
        kind = Signal(3)
        seq = Signal(8)  # of the next frame of data
        n_bytes = Signal(8)
        between = Signal()  # the last byte sent ended a word
        same = self.data.valid & (self.data.p.kind == kind)
        nearly_full = n_bytes >= self.NEARLY_FULL
        lonely = ~self.data.valid & (self.control.valid | self.idle)
        ends = self.cut | (between & ((self.data.valid & ~same) | nearly_full | lonely))

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [n_bytes.eq(0), between.eq(0)]
                with m.If(self.control.valid):
                    m.d.sync += kind.eq(self.control.p.kind)
                    m.next = "TYPE"
                with m.Elif(self.data.valid & ~self.cut):
                    m.d.sync += kind.eq(self.data.p.kind)
                    m.next = "TYPE"
            with m.State("TYPE"):
                m.d.comb += [o.valid.eq(1), o.p.data.eq(0x80 | kind)]
                with m.If(kind == FromBoard.IDENT & 7):
                    m.d.sync += seq.eq(0)
                with m.If(o.ready):
                    m.next = "SEQ"
            with m.State("SEQ"):
                m.d.comb += [o.valid.eq(1), o.p.data.eq(seq)]
                with m.If(o.ready):
                    with m.If(kind[2]):
                        m.d.sync += seq.eq(seq + 1)
                        m.next = "DATA"
                    with m.Else():
                        m.next = "CONTROL"
            with m.State("CONTROL"):
                m.d.comb += [
                    o.valid.eq(self.control.valid),
                    o.p.data.eq(self.control.p.data),
                    self.control.ready.eq(o.ready),
                ]
                with m.If(o.valid & o.ready & self.control.p.boundary):
                    m.next = "END"
            with m.State("DATA"):
                with m.If(ends):
                    m.next = "END"
                with m.Else():
                    m.d.comb += [
                        o.valid.eq(self.data.valid),
                        o.p.data.eq(self.data.p.data),
                        self.data.ready.eq(o.ready),
                    ]
                    with m.If(o.valid & o.ready):
                        m.d.sync += [n_bytes.eq(n_bytes + 1), between.eq(self.data.p.boundary)]
            with m.State("END"):
                m.d.comb += [o.valid.eq(1), o.p.end.eq(1)]
                with m.If(o.ready):
                    m.next = "IDLE"
        return m
