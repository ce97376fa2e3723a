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

    EVENTS frames are kept in sequence only; one that was kept before is acknowledged again, one
    from further on is refused. SYNC raises `flush` until the source is `quiet`, then the board
    identifies itself; EVENTS frames are refused meanwhile.

    Members
    -------
    header : stream of `Header`, always ready
        Of each received frame.
    overflow : in
        The frame did not fit into the buffer.
    keep, drop : out
        What becomes of the frame, in the header's cycle.
    freed : in
        Units that have left the buffer, modulo `n_units`; the host is told when it changes.
    bad_word : in
        A word of a kept frame was left out.
    quiet : in
        No sample is in the core.
    flush : out
    events, scores : out
        Which frames the host wants; set by SYNC.
    ident, ack, counters, nak, poll : out
        Requests to `Replies`.
    nonce, n_expected, synced, totals : out
        What the replies say.
    """

    header: stream.Interface
    overflow: Signal
    keep: Signal
    drop: Signal
    freed: Signal
    bad_word: Signal
    quiet: Signal
    flush: Signal
    events: Signal
    scores: Signal
    ident: Signal
    ack: Signal
    counters: Signal
    nak: Signal
    poll: Signal
    nonce: Signal
    n_expected: Signal
    synced: Signal
    totals: Signal

    def __init__(self, n_units: int):
        flags_in = ("overflow", "bad_word", "quiet")
        flags_out = ("keep", "drop", "flush", "events", "scores", "ident", "ack", "counters",
                     "nak", "poll", "synced")  # fmt: skip
        super().__init__(
            {
                "header": In(stream.Signature(Header(), always_ready=True)),
                "nonce": Out(16),
                "n_expected": Out(8),
                "freed": In(range(n_units)),
                "totals": Out(16 * len(COUNTERS)),
                **{name: In(1) for name in flags_in},
                **{name: Out(1) for name in flags_out},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        header = self.header.p
        totals = {name: Signal(16, name=name) for name in COUNTERS}
        m.d.comb += self.totals.eq(Cat(*(totals[name] for name in COUNTERS)))
        # The receiver holds the argument until the next frame. A frame that comes while the flush
        # goes on spoils the nonce of the answer: the host takes no notice and asks again.
        m.d.comb += self.nonce.eq(header.argument[:16])
        counts = {name: Signal(name=f"counts_{name}") for name in COUNTERS}
        for name in COUNTERS:
            m.d.sync += totals[name].eq(totals[name] + counts[name])

        m.d.comb += counts["dropped"].eq(self.bad_word)
        freed = Signal()
        m.d.sync += freed.eq(self.freed[0])
        with m.If(freed != self.freed[0]):
            m.d.comb += self.ack.eq(1)
        with m.If(self.flush & self.quiet):
            m.d.comb += self.ident.eq(1)
            m.d.sync += [self.flush.eq(0), self.synced.eq(1)]

        ahead = Signal(8)  # how far the frame is in front of the expected one
        m.d.comb += ahead.eq(header.seq - self.n_expected)
        with m.If(self.header.valid):
            m.d.comb += [self.drop.eq(~self.keep), counts["frames"].eq(header.ok)]
            with m.If(~header.ok):
                m.d.comb += [self.ack.eq(1), self.nak.eq(1), counts["crc_errors"].eq(1)]
            with m.Elif((header.type == ToBoard.EVENTS) & (header.length != 0)):
                m.d.comb += self.ack.eq(1)
                with m.If(~self.synced | ((ahead != 0) & ~ahead[-1])):
                    m.d.comb += [self.nak.eq(1), counts["dropped"].eq(1)]
                with m.Elif(ahead != 0):
                    m.d.comb += counts["dropped"].eq(1)  # a repetition
                with m.Elif(self.overflow):
                    m.d.comb += [self.nak.eq(1), counts["overruns"].eq(1)]
                with m.Else():
                    m.d.comb += self.keep.eq(1)
                    m.d.sync += self.n_expected.eq(self.n_expected + 1)
            with m.Elif((header.type == ToBoard.SYNC) & (header.length == 3)):
                # Below the end of a flush: a SYNC in that very cycle starts another one.
                m.d.sync += [self.flush.eq(1), self.synced.eq(0)]
                m.d.sync += self.n_expected.eq(0)
                m.d.sync += Cat(self.events, self.scores).eq(header.argument[16:18])
            with m.Elif((header.type == ToBoard.POLL) & (header.length == 0)):
                m.d.comb += [self.ack.eq(1), self.poll.eq(1)]
            with m.Elif((header.type == ToBoard.QUERY) & (header.length == 0)):
                m.d.comb += self.counters.eq(1)
            with m.Else():
                m.d.comb += counts["dropped"].eq(1)
        return m
