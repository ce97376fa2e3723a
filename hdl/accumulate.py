# SPDX-License-Identifier: Apache-2.0
"""The sparse accumulate engine: events in, one step's input sums out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import event_stream
from spikefab.hdl.params import LayerParams
from spikefab.hdl.shiftadd import multiply
from spikefab.hdl.store import RotatingStore

__all__ = ["AccumulateEngine", "GroupSums", "pack_weights"]


class GroupSums(data.StructLayout):
    """The input sums of one group of neurons, one a lane.

    Members
    -------
    end : 1
        The pass's last group.
    last : 1
        The pass closes the sample's last step.
    sums : lanes x signed(acc_width)
        Weight LSBs.
    """

    def __init__(self, lanes: int, acc_width: int):
        super().__init__(
            {
                "end": unsigned(1),
                "last": unsigned(1),
                "sums": data.ArrayLayout(signed(acc_width), lanes),
            }
        )


def pack_weights(weights: Sequence[Sequence[int]], lanes: int, weight_width: int) -> list[int]:
    """The weight memory's words: word ``a * groups + g`` holds the weights from source a to the
    neurons of group g, lane 0 in the lowest bits.

    `weights`: n_out rows of n_in signed integers.
    """
    n_out, n_in = len(weights), len(weights[0])
    groups = -(-n_out // lanes)
    mask = (1 << weight_width) - 1
    words = [0] * (n_in * groups)
    for neuron, row in enumerate(weights):
        group, lane = divmod(neuron, lanes)
        shift = lane * weight_width
        for source, weight in enumerate(row):
            words[source * groups + group] |= (int(weight) & mask) << shift
    return words


class AccumulateEngine(wiring.Component):
    """Adds the weights of every event of a step; at the end of the step hands the sums on.

    An event takes `groups` = ceil(fan-out / lanes) cycles, a token takes `groups` cycles too, in
    which the sums leave and the accumulators restart from zero; items follow each other without
    a bubble. A sum never overflows within a step (`SynapseParams.acc_width`), so the order of
    events cannot change it.

    Read-after-write: every item visits the groups in the same order, so that a group comes up
    again `groups` cycles later, when its accumulator has been written back.

    Members
    -------
    i : in stream, EventLayout(n_in)
        Events and end-of-step tokens.
    start : out stream, 1 bit
        Offered with a token that could start now; the token is accepted when `start` is. The
        payload is the token's `last`.
    o : out stream without back-pressure, GroupSums
        `groups` consecutive items a token; the first `LATENCY` cycles after `start`.
    """

    LATENCY = 3

    i: stream.Interface
    start: stream.Interface
    o: stream.Interface

    def __init__(self, params: LayerParams, weights: Sequence[Sequence[int]]):
        self.params = params
        self.words = pack_weights(weights, params.lanes, params.synapse.weight_width)
        self.sums = GroupSums(params.lanes, params.synapse.acc_width)
        super().__init__(
            {
                "i": In(event_stream(params.synapse.n_in)),
                "start": Out(stream.Signature(unsigned(1))),
                "o": Out(stream.Signature(self.sums, always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, groups = self.params, self.params.groups
        width = p.synapse.weight_width
        item = self.i.payload

        # Issue: one weight word a cycle.
        active, token, last = Signal(), Signal(), Signal()
        address = Signal(range(len(self.words)))
        group = Signal(range(groups))
        final = Signal()
        free = Signal()
        accept = Signal()
        m.d.comb += [
            final.eq(group == groups - 1),
            free.eq(~active | final),
            self.i.ready.eq(free & (~item.token | self.start.ready)),
            self.start.valid.eq(free & self.i.valid & item.token),
            self.start.payload.eq(item.last),
            accept.eq(self.i.valid & self.i.ready),
        ]
        with m.If(accept):
            m.d.sync += [
                active.eq(1),
                token.eq(item.token),
                last.eq(item.last),
                address.eq(multiply(item.address, groups)),
                group.eq(0),
            ]
        with m.Elif(final):
            m.d.sync += active.eq(0)
        with m.Else():
            m.d.sync += [address.eq(address + 1), group.eq(group + 1)]

        # Fetch: the memory's output, then a register of its own (block RAM is slow to its pins).
        memory: Any = Memory(shape=p.lanes * width, depth=len(self.words), init=self.words)
        m.submodules.weights = memory
        port = memory.read_port()
        m.d.comb += port.addr.eq(address)
        word = Signal(p.lanes * width)
        slots = [Signal(4, name=f"slot{k}") for k in range(2)]
        m.d.sync += [
            word.eq(port.data),
            slots[0].eq(Cat(active, token, final, last)),
            slots[1].eq(slots[0]),
        ]
        valid, is_token, is_end, is_last = slots[1]

        # Accumulate, or hand over and clear.
        total = p.lanes * p.synapse.acc_width
        m.submodules.sums = store = RotatingStore(total, [0] * groups)
        old = Signal(total)
        if RotatingStore.is_ring(groups):
            m.d.comb += [old.eq(store.head), store.pop.eq(valid)]
        else:
            m.d.sync += old.eq(store.head)
            m.d.comb += store.pop.eq(slots[0][0])
        olds = data.View(self.sums["sums"].shape, old)
        new = []
        for lane in range(p.lanes):
            weight = word.word_select(lane, width).as_signed()
            total_lane = Signal(signed(p.synapse.acc_width), name=f"sum{lane}")
            m.d.comb += total_lane.eq(olds[lane] + weight)
            new.append(total_lane)
        m.d.comb += [
            store.push.eq(valid),
            store.data.eq(Mux(is_token, Const(0, total), Cat(*new))),
            self.o.valid.eq(valid & is_token),
            self.o.payload.end.eq(is_end),
            self.o.payload.last.eq(is_last),
            self.o.payload.sums.eq(olds),
        ]
        return m
