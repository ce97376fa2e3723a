# SPDX-License-Identifier: Apache-2.0
"""How far the best output is ahead of the second best, kept up to date event by event."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import EventLayout, membrane_payload
from spikefab.hdl.params import CoreParams

__all__ = ["MembraneLead", "SpikeLead"]


class _Lead(wiring.Component):
    """What both kinds have.

    Members
    -------
    i, accept : in
        An item of the output stream, and whether it enters a register in this cycle.
    held, take : in
        The item in the register, and whether it is there and leaves in this cycle.
    lead : out
        Best score less the second best, unsigned: valid while a token is in the register.
    """

    i: Any
    accept: Signal
    held: Any
    take: Signal
    lead: Signal

    def __init__(self, params: CoreParams):
        self.params = params
        item = EventLayout(params.n_outputs, membrane_payload(params.output_width))
        super().__init__(
            {
                "i": In(item),
                "accept": In(1),
                "held": In(item),
                "take": In(1),
                "lead": Out(params.score_width),
            }
        )


class SpikeLead(_Lead):
    """Of spike counts, which stay at their largest value; a token with `last` clears them.

    A count grows by one, so that only its equality with the second best matters: the best one is
    known by its address. Counts are in a memory beside a bit an output which says that it has been
    written in this sample: these bits are cleared at once.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n, width = self.params.n_outputs, self.params.score_width
        memory: Memory[Any, Any] = Memory(shape=width, depth=n, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        held = self.held
        counted = Signal(n)
        count, second = Signal(width), Signal(width)
        best = Signal.like(held.address)
        event = Signal()
        m.d.comb += [
            read.addr.eq(self.i.address),
            read.en.eq(self.accept),
            count.eq(Mux(counted.bit_select(held.address, 1), read.data, 0)),
            event.eq(self.take & ~held.token & ~count.all()),
            write.addr.eq(held.address),
            write.data.eq(count + 1),
            write.en.eq(event),
        ]
        with m.If(event):
            m.d.sync += counted.bit_select(held.address, 1).eq(1)
            with m.If(held.address == best):
                m.d.sync += self.lead.eq(self.lead + 1)
            with m.Elif(count == second):
                with m.If(self.lead == 0):
                    m.d.sync += [best.eq(held.address), self.lead.eq(1)]
                with m.Else():
                    m.d.sync += [second.eq(count + 1), self.lead.eq(self.lead - 1)]
        with m.If(self.take & held.token & held.last):
            m.d.sync += [counted.eq(0), second.eq(0), self.lead.eq(0)]
        return m


class MembraneLead(_Lead):
    """Of an integrator's membranes, each sent once a step."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.params.score_width
        lowest = -(1 << (width - 1))
        best = Signal(signed(width), init=lowest)
        second = Signal(signed(width), init=lowest)
        value = self.i.payload
        with m.If(self.accept):
            with m.If(self.i.token):
                m.d.sync += [best.eq(lowest), second.eq(lowest), self.lead.eq(best - second)]
            with m.Elif(value > best):
                m.d.sync += [best.eq(value), second.eq(best)]
            with m.Elif(value > second):
                m.d.sync += second.eq(value)
        return m
