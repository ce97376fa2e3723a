# SPDX-License-Identifier: Apache-2.0
"""Event words from the host become items of the core's input stream."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import event_stream

__all__ = ["EventSource", "word_bytes"]


def word_bytes(n_addresses: int) -> int:
    """Bytes of an event word: the two highest codes of 7, 15 or 23 bits are the tokens."""
    return 1 if n_addresses <= 126 else 2 if n_addresses <= 32766 else 3


class EventSource(wiring.Component):
    """Reads words, offers items, and keeps one sample in the core at a time.

    The first item of a sample waits for `done` of the sample before: so the counters of a
    sample are its own, and a flush has one sample to end. A word with an illegal address is left
    out and reported. Where events have values, an event's word is followed by a byte with its own.

    Members
    -------
    i : stream of 8 bits
        Bytes of words, low byte first.
    o : event stream
        To the core. A word takes 2 cycles more than its bytes, 3 with values.
    first : out
        The item that is being accepted is a sample's first.
    done : in
        The sample that is in the core has left it, and its result has been taken; where it ends
        early perhaps before its last token has been accepted.
    flush : in
        Forget what comes and what has not been offered; end a sample that has begun with a
        `last` token.
    idle : out
        No sample has begun or waits for `done`, no item is offered. With `flush` it stays so.
    bad : out
        One cycle for each word that was left out; `hold` delays it.
    """

    i: stream.Interface
    o: stream.Interface
    first: Signal
    done: Signal
    flush: Signal
    idle: Signal
    bad: Signal
    hold: Signal

    def __init__(self, n_inputs: int, value_width: int = 0):
        """`value_width`: bits of an event's value, at most 8; 0: events have none."""
        self._n_inputs, self._value_width = n_inputs, value_width
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(event_stream(n_inputs, unsigned(value_width))),
                "first": Out(1),
                "done": In(1),
                "flush": In(1),
                "idle": Out(1),
                "bad": Out(1),
                "hold": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n_bytes = word_bytes(self._n_inputs)
        word = Signal(8 * n_bytes)
        n_read = Signal(2)
        begun = Signal()  # an item of the sample was accepted, its last token was not
        running = Signal()  # an item of the sample was accepted, `done` has not come
        token = word[1:-1].all() & ~word[-1]
        o = self.o
        m.d.comb += [
            o.p.token.eq(token),
            o.p.last.eq(token & word[0]),
            o.p.address.eq(~token.replicate(len(o.p.address)) & word[:-1]),
            self.first.eq(o.valid & o.ready & ~begun),
        ]
        with m.If(self.done):
            m.d.sync += running.eq(0)
        with m.FSM():
            with m.State("GATHER"):
                m.d.comb += self.i.ready.eq(1)
                m.d.comb += self.idle.eq(~begun & ~running)
                with m.If(self.flush):
                    m.d.sync += [n_read.eq(0), word.eq((1 << (8 * n_bytes - 1)) - 1)]
                    with m.If(begun):
                        m.next = "OFFER"
                with m.Elif(self.i.valid):
                    m.d.sync += [word.eq(Cat(word, self.i.payload)[8:]), n_read.eq(n_read + 1)]
                    with m.If(n_read == n_bytes - 1):
                        m.d.sync += n_read.eq(0)
                        m.next = "VALUE" if self._value_width else "CHECK"
            if self._value_width:
                with m.State("VALUE"):
                    m.d.comb += self.i.ready.eq(~token)
                    with m.If(self.flush):
                        m.next = "GATHER"
                    with m.Elif(token | self.i.valid):
                        m.d.sync += o.p.payload.eq(self.i.payload)
                        m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(self.flush):
                    m.next = "GATHER"
                with m.Elif(~token & (word >= self._n_inputs)), m.If(~self.hold):
                    m.d.comb += self.bad.eq(1)
                    m.next = "GATHER"
                with m.Elif(begun | ~running):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += o.valid.eq(1)
                with m.If(o.ready):
                    m.d.sync += begun.eq(~o.p.last)
                    with m.If(~begun):
                        m.d.sync += running.eq(1)
                    m.next = "GATHER"
        return m
