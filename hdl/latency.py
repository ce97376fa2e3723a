# SPDX-License-Identifier: Apache-2.0
"""Latency coding: an input spikes once, the sooner the larger its value."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import EventLayout, event_stream
from spikefab.hdl.latency_lists import FillLists, ListEntry, ListHead, WalkLists
from spikefab.hdl.params import InputParams
from spikefab.hdl.queue import Queue

__all__ = ["LatencyCoder"]


class LatencyCoder(wiring.Component):
    """Puts each value of a frame in the list of the step in which it spikes; then walks the lists.

    A value takes one cycle coming in and one going out, a step `OVERHEAD` + 1 more; inputs that are
    0 take none. There is room for two frames: the next one comes in, an event a cycle, while this
    one goes out.

    An entry names the entry *two* before it in its list, and the list's head the last two: the
    address of a read is then known a cycle before it is needed, and no path leads from a memory's
    output to its address.

    Members
    -------
    i : in stream, EventLayout(n_inputs, unsigned(payload_width))
        Frames: events in any order, then a token with `last`. Each address comes at most once, and
        an event of value 0 is the same as none. What exceeds `n_inputs` events is dropped.
    o : out stream, EventLayout(n_inputs)
        `steps` steps a frame.

    Reset empties the lists, which takes `steps` cycles.
    """

    FILL = 3
    """Cycles from a frame's token to the first move that can begin its walk."""
    OVERHEAD = 2
    """Moves with which a step begins: its list's head."""
    LATENCY = 1
    """Moves from an entry's read to the queue."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, params: InputParams, n_inputs: int, queue: int):
        self.params, self.n_inputs, self.queue = params, n_inputs, queue
        super().__init__(
            {
                "i": In(event_stream(n_inputs, unsigned(params.payload_width))),
                "o": Out(event_stream(n_inputs)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n, steps = self.n_inputs, self.params.steps
        entries: Any = Memory(shape=ListEntry(n), depth=2 * n, init=[])
        m.submodules.entries = entries
        m.submodules.fill = fill = FillLists(self.params, n)
        m.submodules.walk = walk = WalkLists(steps, n)
        m.submodules.queue = queue = Queue(EventLayout(n), self.queue)
        put, get = entries.write_port(), entries.read_port()
        wiring.connect(m, wiring.flipped(self.i), fill.i)
        wiring.connect(m, walk.o, queue.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += [
            put.en.eq(fill.put),
            put.addr.eq(fill.at),
            put.data.eq(fill.entry),
            get.en.eq(walk.move),
            get.addr.eq(walk.at),
            walk.entry.eq(get.data),
            fill.done.eq(walk.done),
            fill.hold.eq(walk.clearing),
        ]
        ready = Signal(2)  # banks whose lists are whole
        m.d.comb += walk.ready.eq(ready.bit_select(walk.bank, 1))
        for k in range(2):
            heads: Any = Memory(shape=ListHead(n), depth=max(2, steps), init=[])
            m.submodules[f"heads{k}"] = heads
            read, write = heads.read_port(), heads.write_port()
            walked = walk.bank == k
            with m.If(fill.closed & (fill.bank == k)):
                m.d.sync += ready[k].eq(1)
            with m.If(walk.done & walked):
                m.d.sync += ready[k].eq(0)
            # A bank is walked, or it is filled.
            clear = walk.clearing | (walk.clear & walked)
            m.d.comb += [
                read.en.eq(Mux(ready[k], walk.look & walk.move, 1)),
                read.addr.eq(Mux(ready[k], walk.step, fill.look)),
                write.en.eq(clear | (fill.put & (fill.bank == k))),
                write.addr.eq(Mux(clear, walk.step, fill.step)),
                write.data.eq(Mux(clear, 0, fill.head)),
            ]
            with m.If(walked):
                m.d.comb += walk.head.eq(read.data)
            with m.If(fill.bank == k):
                m.d.comb += fill.old.eq(read.data)
        return m
