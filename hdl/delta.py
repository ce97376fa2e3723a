# SPDX-License-Identifier: Apache-2.0
"""Delta coding: an input spikes when its value has changed enough since the step before."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import EventLayout, event_stream
from spikefab.hdl.params import InputParams
from spikefab.hdl.queue import Queue

__all__ = ["DeltaCoder"]


class DeltaCoder(wiring.Component):
    """Keeps each input's value, and compares the next one with it.

    A change takes one cycle, whether it spikes or not. There is a memory of values for this sample
    and one for the next, which is cleared meanwhile, a value a cycle, in cycles in which nothing is
    written: only samples shorter than that wait for it. Reset clears both.

    Members
    -------
    i : in stream, EventLayout(n_inputs, unsigned(payload_width))
        In each step the inputs whose value is another than in the step before (before a sample's
        first step all are 0), each once, with the new value, which may be 0; then the token.
    o : out stream, EventLayout(n_inputs, twice as many with `off`)
        The same steps: events of inputs that rose by `threshold` or more, and with `off` events of
        `n_inputs` + address where one fell by as much.
    """

    LATENCY = 3
    """Moves of the pipeline from an event's acceptance to the queue."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, params: InputParams, n_inputs: int, queue: int):
        self.params, self.n_inputs, self.queue = params, n_inputs, queue
        self.n_outputs = 2 * n_inputs if params.off else n_inputs
        super().__init__(
            {
                "i": In(event_stream(n_inputs, unsigned(params.payload_width))),
                "o": Out(event_stream(self.n_outputs)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, n, item = self.params, self.n_inputs, self.i.payload
        bits, threshold = p.payload_width, p.threshold
        memory: Any = Memory(shape=bits, depth=2 * n, init=[])
        m.submodules.values = memory
        read, write = memory.read_port(), memory.write_port()
        bases = Array([0, n])
        bank = Signal()
        held = Signal()  # the sample has ended before the other memory is clear
        fresh = Signal(init=1)  # after reset neither is
        enable, accept, ends = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(enable & ~held & ~fresh),
            accept.eq(self.i.valid & self.i.ready),
            ends.eq(accept & item.token & item.last),
        ]

        # The old value out; the new one in, a cycle later. An address comes again behind a token at
        # the earliest, when it is there.
        here = Signal(range(2 * n))
        value = Signal(bits)
        put = Signal()
        m.d.comb += [
            here.eq(item.address + bases[bank]),
            read.addr.eq(here),
            read.en.eq(accept),
        ]
        written = Signal.like(here)
        m.d.sync += put.eq(accept & ~item.token)
        with m.If(accept):
            m.d.sync += [written.eq(here), value.eq(item.payload)]

        # Clear the memory of the sample before, in cycles that leave the port free.
        clearing = Signal(init=1)
        clear = Signal(range(2 * n))
        left = Signal(range(2 * n), init=2 * n - 1)
        switch = Signal()
        m.d.comb += [
            switch.eq((ends | held) & ~clearing),
            write.en.eq(put | clearing),
            write.addr.eq(Mux(put, written, clear)),
            write.data.eq(Mux(put, value, 0)),
        ]
        with m.If(clearing & ~put):
            m.d.sync += [clear.eq(clear + 1), left.eq(left - 1), clearing.eq(left != 0)]
        with m.If(~clearing):
            m.d.sync += fresh.eq(0)
        with m.If(ends):
            m.d.sync += held.eq(1)
        with m.If(switch):
            m.d.sync += [
                held.eq(0),
                bank.eq(~bank),
                clearing.eq(1),
                clear.eq(bases[bank]),
                left.eq(n - 1),
            ]

        # Subtract, compare, and put what spikes in the queue.
        slot = data.StructLayout(
            {"valid": 1, "token": 1, "last": 1, "address": EventLayout(n)["address"].width}
        )
        slots: list[Any] = [Signal(slot, name=f"slot{k}") for k in range(self.LATENCY)]
        change = Signal(signed(bits + 1))
        rose, fell = Signal(), Signal()
        m.submodules.queue = queue = Queue(EventLayout(self.n_outputs), self.queue)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        done = slots[-1]
        spike = rose | fell if p.off else rose
        out: Value = done.address
        if p.off:
            shifted = Signal(range(2 * n))
            with m.If(enable):
                m.d.sync += shifted.eq(slots[-2].address + n)
            out = Mux(fell, shifted, out)
        m.d.comb += [
            enable.eq(~queue.i.valid | queue.i.ready),
            queue.i.valid.eq(done.valid & (done.token | spike)),
            queue.i.payload.token.eq(done.token),
            queue.i.payload.last.eq(done.token & done.last),
            queue.i.payload.address.eq(Mux(done.token, 0, out)),
        ]
        with m.If(enable):
            m.d.sync += [
                slots[0].eq(Cat(accept, item.token, item.last, item.address)),
                *(b.eq(a) for a, b in pairwise(slots)),
                change.eq(value - read.data),
                rose.eq(change >= threshold),
                fell.eq(change <= -threshold),
            ]
        return m
