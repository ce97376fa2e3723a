# SPDX-License-Identifier: Apache-2.0
"""The lists of latency coding: a value's entry goes into its step's list, the lists come out."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import EventLayout, event_stream
from spikefab.hdl.params import InputParams

__all__ = ["FillLists", "ListEntry", "ListHead", "WalkLists", "spike_steps"]


def spike_steps(params: InputParams) -> list[int]:
    """The step in which each value spikes: round((steps - 1) * (1 - value / largest)).

    The largest value is odd, so that nothing lies halfway. A value of 0 never spikes, and is never
    asked for.
    """
    largest, final = params.max_value, params.steps - 1
    return [
        (2 * final * (largest - value) + largest) // (2 * largest) for value in range(largest + 1)
    ]


class ListLink(data.StructLayout):
    """Where an entry is, if it is `there`; two banks of `n` entries."""

    def __init__(self, n: int):
        super().__init__({"there": unsigned(1), "at": range(2 * n)})


class ListHead(data.StructLayout):
    """A list's last entry, and the one before."""

    def __init__(self, n: int):
        super().__init__({"first": ListLink(n), "second": ListLink(n)})


class ListEntry(data.StructLayout):
    """An input, and the entry two before it in its list."""

    def __init__(self, n: int):
        address = EventLayout(n)["address"].width
        super().__init__({"address": unsigned(address), "link": ListLink(n)})


class FillLists(wiring.Component):
    """Puts each value of a frame in front of its step's list: three cycles, one value a cycle.

    Members
    -------
    i : in stream, EventLayout(n, unsigned(payload_width))
        Accepted while the bank to be filled is free.
    hold : in
        Nothing is accepted.
    done : in
        The bank that was taken longest ago is free again.
    look : out; old : in
        A step; its head, a cycle later.
    put, bank, step, head, at, entry : out
        The head of `step` in `bank` becomes `head`, the memory of entries holds `entry` at `at`.
    closed : out
        All of `bank` has been put.
    """

    i: stream.Interface
    hold: Signal
    done: Signal
    look: Signal
    old: Any
    put: Signal
    bank: Signal
    step: Signal
    head: Any
    at: Signal
    entry: Any
    closed: Signal

    def __init__(self, params: InputParams, n: int):
        self.params, self.n = params, n
        super().__init__(
            {
                "i": In(event_stream(n, unsigned(params.payload_width))),
                "hold": In(1),
                "done": In(1),
                "look": Out(range(max(2, params.steps))),
                "old": In(ListHead(n)),
                "put": Out(1),
                "bank": Out(1),
                "step": Out(range(max(2, params.steps))),
                "head": Out(ListHead(n)),
                "at": Out(range(2 * n)),
                "entry": Out(ListEntry(n)),
                "closed": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n, item = self.n, self.i.payload
        table: Any = Memory(
            shape=range(max(2, self.params.steps)),
            depth=1 << self.params.payload_width,
            init=spike_steps(self.params),
        )
        m.submodules.table = table
        port = table.read_port()
        accept = Signal()
        taken = Signal(range(3))  # banks between their first item in and their last one out
        m.d.comb += [
            port.addr.eq(item.payload),
            self.look.eq(port.data),
            self.i.ready.eq((taken != 2) & ~self.hold),
            accept.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += taken.eq(taken + (accept & item.token) - self.done)

        slot = data.StructLayout({"event": 1, "token": 1, "address": len(item.address)})
        looked: Any = Signal(slot)
        found: Any = Signal(slot)
        m.d.sync += [
            looked.event.eq(accept & ~item.token & item.payload.any()),
            looked.token.eq(accept & item.token),
            looked.address.eq(item.address),
            found.eq(looked),
            self.step.eq(port.data),
        ]
        # The head that is written while the next one is read: the entry right behind needs it.
        same = Signal()
        previous: Any = Signal(ListHead(n))
        head: Any = Signal(ListHead(n))
        to = Signal(range(2 * n + 1))
        m.d.comb += [
            head.eq(Mux(same, previous, self.old)),
            self.closed.eq(found.token),
            self.put.eq(found.event & (to != Mux(self.bank, 2 * n, n))),
            self.at.eq(to),
            self.entry.address.eq(found.address),
            self.entry.link.eq(head.second),
            self.head.first.there.eq(1),
            self.head.first.at.eq(to),
            self.head.second.eq(head.first),
        ]
        m.d.sync += [same.eq(self.put & (self.step == self.look)), previous.eq(self.head)]
        with m.If(self.put):
            m.d.sync += to.eq(to + 1)
        with m.If(found.token):
            m.d.sync += [to.eq(Mux(self.bank, 0, n)), self.bank.eq(~self.bank)]
        return m


class WalkLists(wiring.Component):
    """Takes the lists of a frame out, step by step, an entry a cycle, and empties them.

    Members
    -------
    ready : in
        The lists of `bank` are whole.
    bank, step, look : out; head : in
        Whose head is wanted; the head, after the move in which `look` is set.
    clear : out
        The head of `step` in `bank` is to be emptied.
    clearing : out
        The heads of `step` in both banks are to be emptied: after reset.
    at : out; entry : in
        An entry's place; the entry, a move later.
    move : out
        Reads happen in cycles in which this is set.
    done : out
        The frame's last step leaves.
    o : out stream, EventLayout(n)
    """

    o: stream.Interface
    ready: Signal
    bank: Signal
    step: Signal
    look: Signal
    head: Any
    clear: Signal
    clearing: Signal
    at: Signal
    entry: Any
    move: Signal
    done: Signal

    def __init__(self, steps: int, n: int):
        self.steps, self.n = steps, n
        super().__init__(
            {
                "o": Out(event_stream(n)),
                "ready": In(1),
                "bank": Out(1),
                "step": Out(range(max(2, steps))),
                "look": Out(1),
                "head": In(ListHead(n)),
                "clear": Out(1),
                "clearing": Out(1),
                "at": Out(range(2 * n)),
                "entry": In(ListEntry(n)),
                "move": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        token, last = Signal(), Signal()
        here: Any = Signal(ListLink(self.n))
        behind: Any = Signal(ListLink(self.n))
        begins = Signal()  # the list's last entry: `behind` is known from the head
        issue, ends = Signal(), Signal()
        m.d.comb += [
            self.move.eq(~self.o.valid | self.o.ready),
            self.at.eq(here.at),
            ends.eq(issue & ~here.there),
            last.eq(self.step == self.steps - 1),
            self.done.eq(self.move & ends & last),
        ]
        with m.FSM(init="CLEAR"):
            with m.State("CLEAR"):
                m.d.comb += self.clearing.eq(1)
                m.d.sync += self.step.eq(self.step + 1)
                with m.If(last):
                    m.d.sync += self.step.eq(0)
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += self.look.eq(1)
                with m.If(self.move & self.ready):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += self.clear.eq(1)
                m.d.sync += begins.eq(1)
                with m.If(self.move):
                    m.d.sync += [here.eq(self.head.first), behind.eq(self.head.second)]
                    m.next = "WALK"
            with m.State("WALK"):
                m.d.comb += issue.eq(1)
                with m.If(self.move):
                    m.d.sync += [begins.eq(0), here.eq(Mux(begins, behind, self.entry.link))]
                    with m.If(ends):
                        m.d.sync += self.step.eq(Mux(last, 0, self.step + 1))
                        m.next = "LOOK"
                with m.If(self.done):
                    m.d.sync += self.bank.eq(~self.bank)
        with m.If(self.move):
            m.d.sync += [
                self.o.valid.eq(issue),
                self.o.payload.token.eq(ends),
                self.o.payload.last.eq(ends & last),
            ]
            m.d.sync += token.eq(ends)
        m.d.comb += self.o.payload.address.eq(Mux(token, 0, self.entry.address))
        return m
