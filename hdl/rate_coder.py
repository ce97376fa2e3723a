# SPDX-License-Identifier: Apache-2.0
"""Rate coding of frames: a list of values, walked once a step."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import EventLayout, event_stream
from spikefab.hdl.params import InputParams
from spikefab.hdl.queue import Queue
from spikefab.hdl.rate import RateDecision

__all__ = ["RateCoder"]


class RateCoder(wiring.Component):
    """Keeps a frame's values as a list, and walks it once a step: entries that spike are events.

    An entry takes one cycle of the walk in each step, whether it spikes or not, a token one cycle a
    step, and inputs that are 0 none. The memory holds two frames: the next one comes in, an event a
    cycle, while this one is walked.

    Members
    -------
    i : in stream, EventLayout(n_inputs, unsigned(payload_width))
        Frames: events in any order, then a token with `last`. Each address comes at most once, and
        an event of value 0 is the same as none. What exceeds `n_inputs` events is dropped.
    o : out stream, EventLayout(n_inputs)
        `steps` steps a frame.
    stop : in, only if `stoppable`
        The frame that is walked is decided: the step that is walked is its last.
    ended : out, only if `stoppable`
        The walk of a frame ends.
    """

    LATENCY = 1 + RateDecision.LATENCY
    """Moves of the pipeline from an entry's read to the queue."""

    i: stream.Interface
    o: stream.Interface
    stop: Signal
    ended: Signal

    def __init__(self, params: InputParams, n_inputs: int, queue: int, *, stoppable: bool = False):
        self.params, self.n_inputs, self.queue = params, n_inputs, queue
        self.stoppable = stoppable
        super().__init__(
            {
                "i": In(event_stream(n_inputs, unsigned(params.payload_width))),
                "o": Out(event_stream(n_inputs)),
                **({"stop": In(1), "ended": Out(1)} if stoppable else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n, steps = self.n_inputs, self.params.steps
        entry = data.StructLayout(
            {"address": EventLayout(n)["address"].width, "value": self.params.payload_width}
        )
        memory: Any = Memory(shape=entry, depth=2 * n, init=[])
        m.submodules.entries = memory
        bases = Array([0, n])
        full = Signal(2)  # banks that hold a whole frame
        stops = Array([Signal(range(2 * n + 1), name=f"stop{k}") for k in range(2)])

        # Fill one bank.
        item = self.i.payload
        write = memory.write_port()
        bank = Signal()
        to = Signal(range(2 * n + 1))
        accept = Signal()
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(bank, 1)),
            accept.eq(self.i.valid & self.i.ready),
            write.addr.eq(to),
            write.data.address.eq(item.address),
            write.data.value.eq(item.payload),
            write.en.eq(accept & ~item.token & item.payload.any() & (to != Mux(bank, 2 * n, n))),
        ]
        with m.If(write.en):
            m.d.sync += to.eq(to + 1)
        with m.If(accept & item.token):
            m.d.sync += [
                stops[bank].eq(to),
                full.bit_select(bank, 1).eq(1),
                bank.eq(~bank),
                to.eq(bases[~bank]),
            ]

        # Walk the other, once a step.
        read = memory.read_port()
        walked = Signal()
        at = Signal(range(2 * n + 1))
        step = Signal(range(steps))
        enable, issue, token, last = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            issue.eq(full.bit_select(walked, 1)),
            token.eq(at == stops[walked]),
            last.eq((step == steps - 1) | (self.stop if self.stoppable else 0)),
            read.addr.eq(at),
            read.en.eq(enable),
        ]
        with m.If(enable & issue):
            m.d.sync += at.eq(at + 1)
            with m.If(token):
                m.d.sync += [at.eq(bases[walked]), step.eq(step + 1)]
                with m.If(last):
                    m.d.sync += [
                        full.bit_select(walked, 1).eq(0),
                        walked.eq(~walked),
                        at.eq(bases[~walked]),
                        step.eq(0),
                    ]

        if self.stoppable:
            m.d.comb += self.ended.eq(enable & issue & token & last)

        # Decide, and put what comes of it in the queue.
        slot = data.StructLayout({"valid": 1, "token": 1, "last": 1})
        slots: list[Any] = [Signal(slot, name=f"slot{k}") for k in range(self.LATENCY)]
        addresses = [
            Signal.like(Value.cast(item.address), name=f"address{k}") for k in range(len(slots) - 1)
        ]
        m.submodules.decision = decision = RateDecision(self.params, n)
        m.submodules.queue = queue = Queue(EventLayout(n), self.queue)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += [
            decision.enable.eq(enable),
            decision.address.eq(read.data.address),
            decision.value.eq(read.data.value),
            decision.token.eq(slots[0].valid & slots[0].token),
            decision.last.eq(slots[0].last),
            queue.i.valid.eq(slots[-1].valid & (slots[-1].token | decision.spike)),
            queue.i.payload.token.eq(slots[-1].token),
            queue.i.payload.last.eq(slots[-1].token & slots[-1].last),
            queue.i.payload.address.eq(Mux(slots[-1].token, 0, addresses[-1])),
            enable.eq(~queue.i.valid | queue.i.ready),
        ]
        with m.If(enable):
            m.d.sync += [
                slots[0].valid.eq(issue),
                slots[0].token.eq(token),
                slots[0].last.eq(last),
                *(b.eq(a) for a, b in pairwise(slots)),
                *(b.eq(a) for a, b in pairwise([read.data.address, *addresses])),
            ]
        return m
