# SPDX-License-Identifier: Apache-2.0
"""Direct coding: one pass of sums is the input current of several steps."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.accumulate import GroupSums
from spikefab.hdl.params import LayerParams
from spikefab.hdl.store import RotatingStore

__all__ = ["Replay"]


class Replay(wiring.Component):
    """Keeps the sums of a pass and hands them on `replay` times, a pass a step.

    While it does, the engine in front of it adds up the next frame.

    Members
    -------
    start : in stream, 1 bit
        A pass is about to come; accepted when the frame before has been handed on as a whole.
    i : in stream without back-pressure, GroupSums
        Its groups.
    begin : out stream, 1 bit
        Offered when a step's pass could start; the payload is 1 with the frame's last step.
    o : out stream without back-pressure, GroupSums
        `groups` consecutive items a step; the first `LATENCY` cycles after `begin`.
    stop : in, only if `stoppable`
        The frame's sample is decided: the next step that is offered is its last.
    ended : out, only if `stoppable`
        The frame's last step begins.
    """

    LATENCY = 1

    start: stream.Interface
    i: stream.Interface
    begin: stream.Interface
    o: stream.Interface
    stop: Signal
    ended: Signal

    def __init__(self, params: LayerParams, *, stoppable: bool = False):
        self.params, self.stoppable = params, stoppable
        self.sums = GroupSums(params.lanes, params.synapse.acc_width)
        super().__init__(
            {
                "start": In(stream.Signature(unsigned(1))),
                "i": In(stream.Signature(self.sums, always_ready=True)),
                "begin": Out(stream.Signature(unsigned(1))),
                "o": Out(stream.Signature(self.sums, always_ready=True)),
                **({"stop": In(1), "ended": Out(1)} if stoppable else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        groups, steps = self.params.groups, self.params.replay
        width = self.params.lanes * self.params.synapse.acc_width
        m.submodules.store = store = RotatingStore(width, [0] * groups, self.params.family)
        sums = Value.cast(self.i.payload["sums"])

        busy = Signal()  # from `start` to the last step's last group
        full = Signal()  # the frame's sums are all here
        left = Signal(range(steps + 1))  # steps that have not begun
        running = Signal()  # a step's groups are leaving
        last = Signal()  # they are the last step's
        group = Signal(range(groups))
        final = Signal()
        ending = Signal()  # the step that is offered is the last
        begun = Signal()
        m.d.comb += [
            final.eq(group == groups - 1),
            self.start.ready.eq(~busy),
            self.begin.valid.eq(full & (left != 0) & (~running | final)),
            self.begin.payload.eq(ending),
            begun.eq(self.begin.valid & self.begin.ready),
            self.o.valid.eq(running),
            self.o.payload.end.eq(final),
            self.o.payload.last.eq(last),
            Value.cast(self.o.payload["sums"]).eq(store.head),
            # The sums go round: what leaves comes back for the next step.
            store.pop.eq(running),
            store.push.eq(running | self.i.valid),
            store.data.eq(Mux(running, store.head, sums)),
        ]
        with m.If(self.start.valid & self.start.ready):
            m.d.sync += [busy.eq(1), left.eq(steps)]
        with m.If(self.i.valid & self.i.payload.end):
            m.d.sync += full.eq(1)
        with m.If(running):
            m.d.sync += group.eq(Mux(final, 0, group + 1))
            with m.If(final):
                m.d.sync += running.eq(0)
                with m.If(last):
                    m.d.sync += [busy.eq(0), full.eq(0)]
        with m.If(begun):
            m.d.sync += [running.eq(1), left.eq(Mux(ending, 0, left - 1)), last.eq(ending)]
        if not self.stoppable:
            m.d.comb += ending.eq(left == 1)
            return m
        # What is offered stays: a stop that comes while a step waits acts on the next one.
        waiting, cut = Signal(), Signal()
        m.d.comb += [
            ending.eq((left == 1) | Mux(waiting, cut, self.stop)),
            self.ended.eq(begun & ending),
        ]
        m.d.sync += [waiting.eq(self.begin.valid & ~self.begin.ready), cut.eq(ending)]
        return m
