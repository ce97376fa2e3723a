# SPDX-License-Identifier: Apache-2.0
"""The control frames that a board sends: who it is, what it has received, what it has counted."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.frames import FrameItem, FromBoard

__all__ = ["COUNTERS", "Replies"]

COUNTERS = ("frames", "crc_errors", "dropped", "overruns")
"""Totals since configuration, 16 bits each, in the order of the COUNTERS frame."""


class Replies(wiring.Component):
    """Makes the payloads of IDENT, ACK and COUNTERS frames. Requests add up until they are served.

    Members
    -------
    ident, ack, counters : in
        One cycle: send such a frame. IDENT goes first.
    nak, poll : in
        One cycle, with `ack`: set the flag in the next ACK frame.
    nonce, expected, freed, synced, totals : in
        What the frames say.
    o : stream of `FrameItem`
    """

    ident: Signal
    ack: Signal
    counters: Signal
    nak: Signal
    poll: Signal
    nonce: Signal
    expected: Signal
    freed: Signal
    synced: Signal
    totals: Signal
    o: stream.Interface

    def __init__(self, identity: bytes):
        """`identity` is the payload of IDENT behind the nonce, at most 62 bytes."""
        self._identity = identity
        super().__init__(
            {
                "ident": In(1),
                "ack": In(1),
                "counters": In(1),
                "nak": In(1),
                "poll": In(1),
                "nonce": In(16),
                "expected": In(8),
                "freed": In(8),
                "synced": In(1),
                "totals": In(16 * len(COUNTERS)),
                "o": Out(stream.Signature(FrameItem())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        o = self.o
        wants_ident, wants_ack, wants_counters = Signal(), Signal(), Signal()
        nak, poll = Signal(), Signal()
        sent_nak, sent_poll = Signal(), Signal()  # as they were when the ACK began
        # All payloads lie in one table; each ends with a byte that is marked so.
        ident = [self.nonce[:8], self.nonce[8:], *(Const(b, 8) for b in self._identity)]
        counters = [self.totals.word_select(n, 8) for n in range(2 * len(COUNTERS))]
        ack = [self.expected, self.freed, Cat(sent_nak, self.synced, sent_poll, Const(0, 5))]
        at_counters = len(ident)
        at_ack = at_counters + len(counters)
        n_bytes = at_ack + len(ack)
        sending = Signal()
        place = Signal(range(n_bytes))
        # A register between the table and the CRC, which would be a long path together.
        byte = Signal(8)
        loaded = Signal()
        moved = o.valid & o.ready
        m.d.sync += [
            byte.eq(Cat(*ident, *counters, *ack).word_select(place, 8)),
            loaded.eq(sending & ~moved),
        ]
        m.d.comb += [
            o.valid.eq(loaded),
            o.p.data.eq(byte),
            o.p.boundary.eq(
                (place == at_counters - 1) | (place == at_ack - 1) | (place == n_bytes - 1)
            ),
        ]
        kind = Signal(3)
        m.d.comb += o.p.kind.eq(kind)
        with m.If(~sending):
            m.d.sync += sending.eq(wants_ident | wants_counters | wants_ack)
            with m.If(wants_ident):
                m.d.sync += [place.eq(0), kind.eq(FromBoard.IDENT & 7), wants_ident.eq(0)]
            with m.Elif(wants_counters):
                m.d.sync += [place.eq(at_counters), kind.eq(FromBoard.COUNTERS & 7)]
                m.d.sync += wants_counters.eq(0)
            with m.Else():
                m.d.sync += [place.eq(at_ack), kind.eq(FromBoard.ACK & 7), wants_ack.eq(0)]
                with m.If(wants_ack):
                    m.d.sync += [sent_nak.eq(nak), sent_poll.eq(poll), nak.eq(0), poll.eq(0)]
        with m.Elif(moved):
            m.d.sync += [place.eq(place + 1), sending.eq(~o.p.boundary)]
        # Last, so that a request in the cycle in which one is served is kept
        for request, wanted in (
            (self.ident, wants_ident),
            (self.ack, wants_ack),
            (self.counters, wants_counters),
            (self.nak, nak),
            (self.poll, poll),
        ):
            with m.If(request):
                m.d.sync += wanted.eq(1)
        return m
