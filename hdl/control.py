# SPDX-License-Identifier: Apache-2.0
"""What the host link does with a received frame: keep it, answer it, or start over."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.frames import Header, ToBoard
from spikefab.hdl.link_replies import COUNTERS

__all__ = ["LinkControl"]


class LinkControl(wiring.Component):
    """Go-back-N receiver, and the flush that SYNC asks for.

    EVENTS frames are kept in sequence only; one with another number is acknowledged again, and
    refused. SYNC raises `flush` until the core is `quiet`, then the board identifies itself;
    EVENTS frames are refused meanwhile, and for as long as the board is neither `loaded` nor
    being loaded.

    Members
    -------
    header : stream of `Header`, always ready
        Of each received frame.
    payload : stream of 8 bits, always ready
        Its payload, before the header; `index` as in `FrameReceiver`.
    overflow : in
        The frame did not fit into the buffer.
    keep : out
        Keep the frame, in the header's cycle; else it is dropped.
    freed : in
        Units that have left the buffer, modulo `n_units`; the host is told when it changes.
    bad_word : in
        A word of a kept frame was left out.
    quiet : in
        No sample is in the core, and no word of its memories on the way.
    loaded : in
        The core's memories have their contents; the host is told when that changes.
    flush : out
    events, scores, load : out
        Which frames the host wants; that it sends the memories' contents. As SYNC said, from the
        end of the flush on.
    restart : out
        With `ident`: it begins to send them.
    ident, ack, counters, nak, poll, count, nonce, nonce_high : out
        Requests to `Replies`.
    n_expected, synced : out
        What the replies say.
    """

    header: stream.Interface
    payload: stream.Interface
    index: Signal
    overflow: Signal
    keep: Signal
    freed: Signal
    bad_word: Signal
    quiet: Signal
    loaded: Signal
    flush: Signal
    events: Signal
    scores: Signal
    load: Signal
    restart: Signal
    ident: Signal
    ack: Signal
    counters: Signal
    nak: Signal
    poll: Signal
    count: Signal
    nonce: stream.Interface
    nonce_high: Signal
    n_expected: Signal
    synced: Signal

    def __init__(self, n_units: int):
        flags_in = ("overflow", "bad_word", "quiet", "loaded")
        flags_out = ("keep", "flush", "events", "scores", "load", "restart", "ident", "ack",
                     "counters", "nak", "poll", "nonce_high", "synced")  # fmt: skip
        super().__init__(
            {
                "header": In(stream.Signature(Header(), always_ready=True)),
                "payload": In(stream.Signature(8, always_ready=True)),
                "index": In(3),
                "n_expected": Out(8),
                "freed": In(range(n_units)),
                "count": Out(len(COUNTERS)),
                "nonce": Out(stream.Signature(8, always_ready=True)),
                **{name: In(1) for name in flags_in},
                **{name: Out(1) for name in flags_out},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        header = self.header.p
        counts = {name: Signal(name=f"counts_{name}") for name in COUNTERS}
        m.d.comb += self.count.eq(Cat(*(counts[name] for name in COUNTERS)))
        m.d.comb += counts["dropped"].eq(self.bad_word)

        def is_kind(kind: ToBoard) -> Signal:
            return (header.kind == kind) & ~header.other

        # SYNC's argument, before it is known whether the frame is sound. A damaged one, or one that
        # comes while a flush goes on, may spoil the nonce of an answer: the host then asks again.
        flags = Signal(3)
        argument = Signal()
        m.d.comb += [
            argument.eq(self.payload.valid & is_kind(ToBoard.SYNC)),
            self.nonce.valid.eq(argument & ~self.index[2]),
            self.nonce.payload.eq(self.payload.payload),
            self.nonce_high.eq(self.index[0]),
        ]
        with m.If(argument & (self.index == 4)):
            m.d.sync += flags.eq(self.payload.payload)

        before = Signal(2)
        m.d.sync += before.eq(Cat(self.freed[0], self.loaded))
        with m.If(before != Cat(self.freed[0], self.loaded)):
            m.d.comb += self.ack.eq(1)
        with m.If(self.flush & self.quiet):
            m.d.comb += self.ident.eq(1)
            m.d.comb += self.restart.eq(flags[2])
            m.d.sync += [self.flush.eq(0), self.synced.eq(1)]
            m.d.sync += Cat(self.events, self.scores, self.load).eq(flags)

        with m.If(self.header.valid):
            m.d.comb += counts["frames"].eq(header.ok)
            with m.If(~header.ok):
                m.d.comb += [self.ack.eq(1), self.nak.eq(1), counts["crc_errors"].eq(1)]
            with m.Elif(is_kind(ToBoard.EVENTS)):
                m.d.comb += self.ack.eq(1)
                with m.If(~self.synced | ~(self.loaded | self.load) | ~header.expected):
                    m.d.comb += [self.nak.eq(1), counts["dropped"].eq(1)]
                with m.Elif(self.overflow):
                    m.d.comb += [self.nak.eq(1), counts["overruns"].eq(1)]
                with m.Else():
                    m.d.comb += self.keep.eq(1)
                    m.d.sync += self.n_expected.eq(self.n_expected + 1)
            with m.Elif(is_kind(ToBoard.SYNC)):
                # Below the end of a flush: a SYNC in that very cycle starts another one.
                m.d.sync += [self.flush.eq(1), self.synced.eq(0)]
                m.d.sync += self.n_expected.eq(0)
            with m.Elif(is_kind(ToBoard.POLL)):
                m.d.comb += [self.ack.eq(1), self.poll.eq(1)]
            with m.Elif(is_kind(ToBoard.QUERY)):
                m.d.comb += self.counters.eq(1)
            with m.Else():
                m.d.comb += counts["dropped"].eq(1)
        return m
