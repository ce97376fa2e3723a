# SPDX-License-Identifier: Apache-2.0
"""Early stop: a sample ends as soon as its best output leads by a margin."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.coder import QUEUE
from spikefab.hdl.event import EventLayout, event_stream, membrane_payload
from spikefab.hdl.params import CoreParams
from spikefab.hdl.rate_coder import RateCoder
from spikefab.hdl.stop_lead import MembraneLead, SpikeLead

__all__ = ["EarlyStop", "StepGate"]


class EarlyStop(wiring.Component):
    """Ends a sample at the core's output, and tells the core's front to send no more of it.

    After a step's token has come in, the two highest scores are known (`StopParams`). Where the
    first leads by the step's margin, this token leaves as the sample's last, and everything up to
    the `last` token that the front sends is swallowed, an item a cycle.

    Members
    -------
    i : in stream, EventLayout(n_outputs, signed(output_width))
        From the last layer.
    o : out stream, the same
        `LATENCY` cycles later, an item a cycle.
    ended : in
        The front sends a sample's last token, or begins its last step.
    stop : out
        The sample at the front, the one of which the last token has not been sent, is decided.
    decided : out
        Items are being swallowed.
    """

    LATENCY = 2

    i: stream.Interface
    o: stream.Interface
    ended: Signal
    stop: Signal
    decided: Signal

    def __init__(self, params: CoreParams):
        assert params.stop is not None
        self.params = params
        self.item = EventLayout(params.n_outputs, membrane_payload(params.output_width))
        super().__init__(
            {
                "i": In(stream.Signature(self.item)),
                "o": Out(stream.Signature(self.item)),
                "ended": In(1),
                "stop": Out(1),
                "decided": Out(1),
            }
        )

    @staticmethod
    def max_ahead(params: CoreParams) -> int:
        """No fewer than the samples of which the last token is between the front and here.

        A layer holds a token in its engine, two in its queue, and one in each of at most four
        places of its serialiser; the replay one more; a coder one in each register and in its
        queue; here is one.
        """
        coder = RateCoder.LATENCY + QUEUE if params.input.coding == "rate" else 0
        return 8 * len(params.layers) + 7 + coder

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lead = MembraneLead(self.params) if self.params.output_width else SpikeLead(self.params)
        m.submodules.lead = lead
        held: Any = Signal(self.item)
        valid = Signal()
        take, leave = Signal(), Signal()  # the held item moves; what is offered is gone
        reached = Signal()
        ends = Signal()
        o = self.o.payload
        m.d.comb += [
            leave.eq(~self.o.valid | self.o.ready),
            take.eq(~valid | leave | self.decided),
            self.i.ready.eq(take),
            lead.i.eq(self.i.payload),
            lead.accept.eq(self.i.valid & self.i.ready),
            lead.held.eq(held),
            lead.take.eq(valid & take),
            ends.eq(valid & take & held.token & held.last),
        ]
        with m.If(take):
            m.d.sync += [valid.eq(self.i.valid), held.eq(self.i.payload)]
        with m.If(leave):
            m.d.sync += [
                self.o.valid.eq(valid & ~self.decided),
                o.eq(held),
                o.last.eq(held.token & (held.last | reached)),
            ]
        with m.If(valid & take & held.token):
            m.d.sync += self.decided.eq((self.decided | reached) & ~held.last)
        m.d.comb += reached.eq(self._reached(m, lead.lead, valid & take & held.token, held.last))

        # Samples of which the front has sent the end, and this has not seen it.
        ahead, following = Signal(range(self.max_ahead(self.params) + 1)), Signal()
        level = Signal.like(ahead)
        m.d.comb += [
            level.eq(ahead + self.ended - ends),
            self.stop.eq(self.decided & ~following),
        ]
        m.d.sync += [ahead.eq(level), following.eq(level != 0)]
        return m

    def _reached(self, m: Module, lead: Signal, token: Any, last: Any) -> Any:
        """Whether `lead` is the margin of the step whose `token` is here."""
        assert self.params.stop is not None
        margins = self.params.stop.margins
        step = Signal(range(max(2, len(margins))))
        with m.If(token):
            m.d.sync += step.eq(Mux(last, 0, Mux(step == len(margins) - 1, step, step + 1)))
        margin = Signal(len(lead))
        m.d.comb += margin.eq(Array(Const(k, len(lead)) for k in margins)[step])
        return (lead >= margin) & (margin != 0)


class StepGate(wiring.Component):
    """Cuts off what a decided sample still sends, in front of a first layer without replay.

    Once `stop` is seen, the next token is passed on as the sample's last, and all that follows is
    dropped up to and with the sample's own last token, an item a cycle. Passes items on without
    a register. The events in front of that token pass too: the layers then run whole steps only,
    and what they do is what they would have done without a stop.

    Members
    -------
    i, o : event streams
    stop : in
        The sample of which the last token has not left is decided.
    ended : out
        A sample's last token leaves.
    closed : out
        It has left, and the rest of the sample is still to come.
    """

    i: stream.Interface
    o: stream.Interface
    stop: Signal
    ended: Signal
    closed: Signal

    def __init__(self, item: EventLayout):
        signature = event_stream(item.n_addresses, item.payload)
        super().__init__(
            {
                "i": In(signature),
                "o": Out(signature),
                "stop": In(1),
                "ended": Out(1),
                "closed": Out(1),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        i, o = self.i, self.o
        closed = self.closed
        # What is offered stays: a stop that comes while a token waits acts on the next one.
        waiting, cut, ending = Signal(), Signal(), Signal()
        m.d.comb += [
            ending.eq(i.p.token & (i.p.last | Mux(waiting, cut, self.stop))),
            o.p.eq(i.p),
            o.p.last.eq(ending),
            o.valid.eq(i.valid & ~closed),
            i.ready.eq(closed | o.ready),
            self.ended.eq(o.valid & o.ready & ending),
        ]
        m.d.sync += [waiting.eq(o.valid & ~o.ready), cut.eq(ending)]
        with m.If(i.valid & i.ready & i.p.token):
            m.d.sync += closed.eq((closed | ending) & ~i.p.last)
        return m
