# SPDX-License-Identifier: Apache-2.0
"""A ring of events: a stream whose events leave steps later than they came, by their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from spikefab.hdl.collision import NO_COLLISION
from spikefab.hdl.event import event_stream

__all__ = ["EventRing"]


class EventRing(wiring.Component):
    """Holds events back: one of address a that comes in step t leaves in step t + delays[a].

    A slot of the ring holds a step's events, a bit an address. An event that is late sets its bit
    in a slot ahead; a token moves the ring on by one slot, and all that is in it leaves, in order
    of address, before anything else of the new step comes in. A sample's last token clears the
    ring.

    Each address sends at most one event a step.

    Members
    -------
    i, o : streams, EventLayout(n)
    clearing : out
        What a sample that has ended would have brought to later steps is cleared.
    """

    FIELDS = 16
    """Most addresses of a word."""
    DIRECT = 2
    """Cycles from the acceptance of an event without a delay to its offer."""
    LATE = 3
    """Cycles that an event with a delay takes."""
    TOKEN = 1
    """Cycles from the acceptance of a token to its offer."""
    FETCH = 2
    """Cycles until a word's events can leave."""

    i: stream.Interface
    o: stream.Interface
    clearing: Signal

    def __init__(self, delays: Sequence[int]):
        self.delays = list(delays)
        self.slots = max(self.delays)
        self.fields = self.fields_of(len(self.delays))
        self.words = self.words_of(len(self.delays))
        shape = event_stream(len(self.delays))
        super().__init__({"i": In(shape), "o": Out(shape), "clearing": Out(1)})

    @classmethod
    def fields_of(cls, n: int) -> int:
        """Addresses of a word: a power of two."""
        return min(cls.FIELDS, 1 << ceil_log2(n))

    @classmethod
    def words_of(cls, n: int) -> int:
        """Words of a slot."""
        return -(-n // cls.fields_of(n))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fields, words, low = self.fields, self.words, ceil_log2(self.fields)
        top = self.slots * words

        # Of each address: whether it is late, and in which slot behind the first one. The longest
        # delay comes round to the first, which has been emptied.
        entry = data.StructLayout({"late": 1, "ahead": bits_for(top - 1)})
        init = [(1 if d else 0) | (d % self.slots * words) << 1 for d in self.delays]
        table: Any = Memory(shape=entry.size, depth=len(init), init=init)
        m.submodules.table = table
        lookup = table.read_port()
        found: Any = data.View(entry, lookup.data)
        ring: Any = Memory(shape=fields, depth=top, init=[], attrs=NO_COLLISION)
        m.submodules.ring = ring
        read, write = ring.read_port(), ring.write_port()

        item: Any = Signal(self.i.payload.shape(), name="item")
        first = Signal(range(top))
        word = Signal(range(words))
        at = Signal(range(top))
        left = Signal(fields)
        base, ahead = Signal(range(2 * top)), Signal(range(top))
        high: Value = item.address[low:] if words > 1 else Const(0)
        bit: Value = (Const(1, fields) << item.address[:low])[:fields] if low else Const(1)
        lowest = left & (~left + 1)
        index = Cat(Cat(lowest[k] for k in range(fields) if k >> b & 1).any() for b in range(low))

        m.d.comb += [
            lookup.addr.eq(self.i.payload.address),
            base.eq(first + ahead),
            read.addr.eq(Mux(base >= top, base - top, base)),
            write.addr.eq(at),
            self.o.payload.eq(item),
        ]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += item.eq(self.i.payload)
                    m.next = "LOOK"
                    with m.If(self.i.payload.token):
                        m.next = "TOKEN"
            with m.State("LOOK"):
                m.d.comb += ahead.eq(found.ahead + high)
                m.d.sync += at.eq(read.addr)
                m.next = "SEND"
                with m.If(found.late):
                    m.next = "ADD"
            with m.State("ADD"):
                m.d.comb += [write.data.eq(read.data | bit), write.en.eq(1)]
                m.next = "TAKE"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "TAKE"
            with m.State("TOKEN"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += [word.eq(0), at.eq(0)]
                with m.If(self.o.ready):
                    m.d.sync += first.eq(Mux(first == top - words, 0, first + words))
                    m.next = "READ"
                    with m.If(item.last):
                        m.next = "CLEAR"
            with m.State("READ"):
                m.d.comb += ahead.eq(word)
                m.d.sync += at.eq(read.addr)
                m.next = "KEEP"
            with m.State("KEEP"):
                m.d.comb += write.en.eq(1)
                m.d.sync += left.eq(read.data)
                m.next = "LEAVE"
            with m.State("LEAVE"):
                m.d.comb += [
                    self.o.valid.eq(left != 0),
                    self.o.payload.token.eq(0),
                    self.o.payload.last.eq(0),
                    self.o.payload.address.eq(Cat(index, word) if words > 1 else index),
                ]
                with m.If(left == 0):
                    m.d.sync += word.eq(word + 1)
                    m.next = "READ"
                    with m.If(word == words - 1):
                        m.next = "TAKE"
                with m.Elif(self.o.ready):
                    m.d.sync += left.eq(left & ~lowest)
            with m.State("CLEAR"):
                m.d.comb += [write.en.eq(1), self.clearing.eq(1)]
                m.d.sync += at.eq(at + 1)
                with m.If(at == top - 1):
                    m.next = "TAKE"
        return m
