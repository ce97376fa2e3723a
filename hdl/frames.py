# SPDX-License-Identifier: Apache-2.0
"""Frames of the host link: type byte, sequence number, payload, CRC (`docs/protocol.md`)."""

from __future__ import annotations

from enum import IntEnum

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.cobs import MAX_FRAME, ByteOrEnd, DecodedByte
from spikefab.hdl.crc import FrameCRC

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
    """What is known of a received frame at its end; only `ok` means anything where it is 0.

    `kind` is the low bits of the type, `other` says that the rest of it is not 0; `expected`: the
    frame has the expected sequence number.
    """

    def __init__(self) -> None:
        super().__init__({"ok": 1, "kind": 3, "other": 1, "expected": 1})


class FrameReceiver(wiring.Component):
    """Checks frames and takes them apart. The payload is passed on before the check is known.

    Members
    -------
    i : stream of `DecodedByte`, always ready
        At most one item every other cycle.
    n_expected : in
        The sequence number that the next frame should have; constant during a frame.
    payload : stream of 8 bits, always ready
        The payload's bytes, and the two of the CRC behind it.
    index : out
        Which byte that is: 2 for the first, 3, 4, … 7 for all later ones.
    header : stream of `Header`, always ready
        One for each frame, the cycle after its end; it says whether the frame is sound. `kind` and
        `other` are right while the payload comes.
    """

    i: stream.Interface
    n_expected: Signal
    payload: stream.Interface
    index: Signal
    header: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(DecodedByte(), always_ready=True)),
                "n_expected": In(8),
                "payload": Out(stream.Signature(8, always_ready=True)),
                "index": Out(3),
                "header": Out(stream.Signature(Header(), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = crc = FrameCRC()
        i, header = self.i, self.header.p
        place = Signal(3)  # in the frame; stays at 7
        m.d.comb += [
            crc.data.eq(i.p.data),
            crc.valid.eq(i.valid),
            crc.start.eq(i.valid & i.p.end),
            self.payload.payload.eq(i.p.data),
            self.payload.valid.eq(i.valid & ~i.p.end & place[1:].any()),
            self.index.eq(place),
        ]
        m.d.sync += self.header.valid.eq(i.valid & i.p.end)
        with m.If(i.valid & i.p.end):
            # The CRC over a sound frame is 0; two bytes without type or number have one too.
            m.d.sync += [header.ok.eq((crc.crc == 0) & ~i.p.bad & place[2]), place.eq(0)]
        with m.Elif(i.valid):
            with m.If(~place.all()):
                m.d.sync += place.eq(place + 1)
            with m.If(place == 0):
                m.d.sync += [header.kind.eq(i.p.data[:3]), header.other.eq(i.p.data[3:].any())]
            with m.If(place == 1):
                m.d.sync += header.expected.eq(i.p.data == self.n_expected)
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
    nearly_full : in
        The open frame is to end behind the word: no other one may fit.
    cut : in
        End an open frame of data now, even within a word; accept no byte of `data`.
    o : stream of `ByteOrEnd`
    """

    control: stream.Interface
    data: stream.Interface
    idle: Signal
    nearly_full: Signal
    cut: Signal
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "control": In(stream.Signature(FrameItem())),
                "data": In(stream.Signature(FrameItem())),
                "idle": In(1),
                "nearly_full": In(1),
                "cut": In(1),
                "o": Out(stream.Signature(ByteOrEnd())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        o = self.o
        kind = Signal(3)
        is_data = kind[2]
        seq = Signal(8)  # of the next frame of data
        between = Signal()  # the last byte sent ended a word
        item = Mux(is_data, self.data.payload.as_value(), self.control.payload.as_value())
        item_view = data.View(FrameItem(), item)
        same = self.data.valid & (self.data.p.kind == kind)
        lonely = ~self.data.valid & (self.control.valid | self.idle)
        full = self.nearly_full | (self.data.valid & ~same) | lonely
        ends = (is_data & self.cut) | (between & (~is_data | full))

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += between.eq(0)
                m.d.sync += kind.eq(Mux(self.control.valid, self.control.p.kind, self.data.p.kind))
                with m.If(self.control.valid | (self.data.valid & ~self.cut)):
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
                    m.d.sync += seq.eq(seq + is_data)
                    m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.comb += o.p.data.eq(item_view.data)
                with m.If(ends):
                    m.next = "END"
                with m.Else():
                    m.d.comb += [
                        o.valid.eq(Mux(is_data, self.data.valid, self.control.valid)),
                        self.data.ready.eq(o.ready & is_data),
                        self.control.ready.eq(o.ready & ~is_data),
                    ]
                    with m.If(o.valid & o.ready):
                        m.d.sync += between.eq(item_view.boundary)
            with m.State("END"):
                m.d.comb += [o.valid.eq(1), o.p.end.eq(1)]
                with m.If(o.ready):
                    m.next = "IDLE"
        return m
