# SPDX-License-Identifier: Apache-2.0
"""The control frames that a board sends: who it is, what it has received, what it has counted."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.collision import NO_COLLISION
from spikefab.hdl.frames import FrameItem, FromBoard

__all__ = ["COUNTERS", "IDENTITY_BYTES", "Replies"]

COUNTERS = ("frames", "crc_errors", "dropped", "overruns")
"""Totals since configuration, 16 bits each, in the order of the COUNTERS frame."""

AT_NONCE, AT_STATE, AT_COUNTERS, SIZE = 0, 40, 56, 64
"""Places of the payloads' bytes: nonce and identity, the state (not in the memory), the counters.
The state begins at a multiple of 8."""

IDENTITY_BYTES = AT_STATE - AT_NONCE - 2
"""Bytes of an identity."""


class Replies(wiring.Component):
    """Makes the payloads of IDENT, ACK and COUNTERS frames. Requests add up until they are served.

    IDENT is nonce, identity and state; ACK the state without the sum. The nonce, the identity and
    the totals lie in one memory, which configuration initialises and reset leaves alone.

    Members
    -------
    ident, ack, counters : in
        One cycle: send such a frame. IDENT goes first.
    nak, poll : in
        One cycle, with `ack`: set the flag in the next ACK frame.
    count : in
        One cycle, a bit for each of `COUNTERS`: add 1. Some ten cycles apart.
    counting : out
        Those that have not been added yet.
    nonce : in stream of 8 bits, always ready
        A byte of the nonce; `nonce_high`: the second one.
    expected, freed, synced, loaded, total : in
        What the frames say.
    o : stream of `FrameItem`
    """

    ident: Signal
    ack: Signal
    counters: Signal
    nak: Signal
    poll: Signal
    count: Signal
    counting: Signal
    nonce: stream.Interface
    nonce_high: Signal
    expected: Signal
    freed: Signal
    synced: Signal
    loaded: Signal
    total: Signal
    o: stream.Interface

    def __init__(self, identity: bytes):
        """`identity` is what is constant in the payload of IDENT: `IDENTITY_BYTES` bytes."""
        if len(identity) != IDENTITY_BYTES:
            raise ValueError(f"identity of {len(identity)} bytes, must be {IDENTITY_BYTES}")
        self._identity = identity
        flags = ("ident", "ack", "counters", "nak", "poll", "nonce_high", "synced", "loaded")
        super().__init__(
            {
                **{name: In(1) for name in flags},
                "count": In(len(COUNTERS)),
                "counting": Out(len(COUNTERS)),
                "nonce": In(stream.Signature(8, always_ready=True)),
                "expected": In(8),
                "freed": In(8),
                "total": In(16),
                "o": Out(stream.Signature(FrameItem())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        o = self.o
        init = bytes(AT_NONCE + 2) + self._identity + bytes(SIZE - AT_STATE)
        memory: Memory[Any, Any] = Memory(
            shape=8, depth=SIZE, init=list(init), attrs={"ram_style": "block", **NO_COLLISION}
        )
        m.submodules.memory = memory
        w = memory.write_port()
        r = memory.read_port()

        wants_ident, wants_ack, wants_counters = Signal(), Signal(), Signal()
        nak, poll = Signal(), Signal()
        sent_nak, sent_poll = Signal(), Signal()  # as they were when the frame began
        kind = Signal(3)
        place = Signal(range(SIZE))
        sending = Signal()
        byte = Signal(8)
        loaded = Signal()  # `byte` is the one at `place`
        moved = o.valid & o.ready
        state = Array(
            [
                self.expected,
                self.freed,
                Cat(sent_nak, self.synced, sent_poll, self.loaded, Const(0, 4)),
                self.total[:8],
                *[self.total[8:]] * 5,
            ]
        )
        m.d.comb += [
            o.valid.eq(loaded),
            o.p.data.eq(byte),
            o.p.kind.eq(kind),
            o.p.boundary.eq(
                (place == SIZE - 1)
                | (place == AT_STATE + 4)
                | ((place == AT_STATE + 2) & (kind == FromBoard.ACK & 7))
            ),
        ]
        with m.If(moved):
            m.d.sync += [place.eq(place + 1), loaded.eq(0), sending.eq(~o.p.boundary)]
        with m.If(~sending):
            m.d.sync += sending.eq(wants_ident | wants_counters | wants_ack)
            m.d.sync += [sent_nak.eq(nak), sent_poll.eq(poll)]
            with m.If(wants_ident):
                m.d.sync += [place.eq(AT_NONCE), kind.eq(FromBoard.IDENT & 7), wants_ident.eq(0)]
            with m.Elif(wants_counters):
                m.d.sync += [place.eq(AT_COUNTERS), kind.eq(FromBoard.COUNTERS & 7)]
                m.d.sync += wants_counters.eq(0)
            with m.Else():
                m.d.sync += [place.eq(AT_STATE), kind.eq(FromBoard.ACK & 7), wants_ack.eq(0)]
                with m.If(wants_ack):
                    m.d.sync += [nak.eq(0), poll.eq(0)]

        # The memory either reads a byte to send, or counts: low byte, then perhaps the high one.
        which = Signal(range(len(COUNTERS)))
        high = Signal()
        counter = Cat(high, which, Const(AT_COUNTERS >> 3, 3))
        m.d.comb += [
            r.addr.eq(place),
            w.addr.eq(counter),
            w.data.eq(r.data + 1),
        ]
        done = Signal()
        with m.FSM():
            with m.State("IDLE"):
                for k in reversed(range(len(COUNTERS))):
                    with m.If(self.counting[k]):
                        m.d.sync += which.eq(k)
                with m.If(sending & ~loaded):
                    m.next = "SEND"
                with m.Elif(self.counting.any()):
                    m.next = "READ"
            with m.State("SEND"):
                is_state = place[3:] == AT_STATE >> 3
                m.d.sync += [byte.eq(Mux(is_state, state[place[:3]], r.data)), loaded.eq(1)]
                m.next = "IDLE"
            with m.State("READ"):
                m.d.comb += r.addr.eq(counter)
                m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += r.addr.eq(counter)
                with m.If(~self.nonce.valid):
                    m.d.comb += w.en.eq(1)
                    m.d.sync += high.eq(0)
                    m.next = "IDLE"
                    with m.If(r.data.all() & ~high):
                        m.d.sync += high.eq(1)
                        m.next = "READ"
                    with m.Else():
                        m.d.comb += done.eq(1)
        with m.If(self.nonce.valid):
            m.d.comb += [
                w.en.eq(1),
                w.addr.eq(AT_NONCE + self.nonce_high),
                w.data.eq(self.nonce.payload),
            ]
        # Last, so that a request in the cycle in which one is served is kept
        served = Cat(done & (which == k) for k in range(len(COUNTERS)))
        m.d.sync += self.counting.eq(self.count | (self.counting & ~served))
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
