# SPDX-License-Identifier: Apache-2.0
"""The sparse accumulate engine: events in, one step's input sums out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import event_stream
from spikefab.hdl.load import LoadPort, load_columns
from spikefab.hdl.params import LayerParams, SynapseParams
from spikefab.hdl.products import product_stages, products
from spikefab.hdl.shiftadd import multiply
from spikefab.hdl.store import RotatingStore
from spikefab.hdl.weights import WeightMemory

__all__ = ["AccumulateEngine", "GroupSums"]


class GroupSums(data.StructLayout):
    """The input sums of one row of neurons, one a neuron datapath.

    Members
    -------
    end : 1
        The pass's last row.
    last : 1
        The pass closes the sample's last step.
    sums : row_lanes x signed(acc_width)
        Weight LSBs.
    """

    def __init__(self, row_lanes: int, acc_width: int):
        super().__init__(
            {
                "end": unsigned(1),
                "last": unsigned(1),
                "sums": data.ArrayLayout(signed(acc_width), row_lanes),
            }
        )


class AccumulateEngine(wiring.Component):
    """Adds the weights of every event of a step; at the end of the step hands the sums on.

    An event takes `groups` = ceil(fan-out / lanes) cycles. A token takes `rows` cycles, in which
    the sums leave, as many at a time as there are neuron datapaths, and the accumulators restart
    from zero. Items follow each other without a bubble. A sum never overflows within a step
    (`SynapseParams.acc_width`), so the order of events cannot change it.

    Read-after-write: every item visits the groups in the same order, so that a group comes up
    again `groups` cycles later, when its accumulator has been written back.

    Members
    -------
    i : in stream, EventLayout(n_in, unsigned(payload_width))
        Events and end-of-step tokens. An event's value multiplies its weights.
    start : out stream, 1 bit
        Offered with a token that could start now; the token is accepted when `start` is. The
        payload is the token's `last`.
    o : out stream without back-pressure, GroupSums
        `rows` consecutive items a token; the first `latency` cycles after `start`.
    load : in, LoadPort
        Only where the weights can be loaded.
    """

    i: stream.Interface
    start: stream.Interface
    o: stream.Interface
    load: Any

    def __init__(self, params: LayerParams, weights: Sequence[Sequence[int]]):
        self.params = params
        self.memory = WeightMemory(params, weights)
        self.sums = GroupSums(params.row_lanes, params.synapse.acc_width)
        payload = unsigned(params.synapse.payload_width)
        ports: dict[str, Any] = {
            "i": In(event_stream(params.synapse.n_in, payload)),
            "start": Out(stream.Signature(unsigned(1))),
            "o": Out(stream.Signature(self.sums, always_ready=True)),
        }
        if params.loaded:
            depth = params.synapse.n_in * params.groups
            ports["load"] = In(LoadPort(load_columns(params), depth))
        super().__init__(ports)

    @staticmethod
    def latency(synapse: SynapseParams) -> int:
        """Cycles from the acceptance of a token to its first group of sums."""
        stages = product_stages(synapse)
        return 1 + WeightMemory.latency(synapse) + stages

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, groups = self.params, self.params.groups
        width = p.synapse.operand_width
        item = self.i.payload

        # Issue: one weight word a cycle.
        active, token, last = Signal(), Signal(), Signal()
        address = Signal(range(len(self.memory.words)))
        group = Signal(range(groups))
        row = Signal(range(p.folds))  # of the group's sums
        turn = Signal()  # the group is done with
        final = Signal()
        free = Signal()
        accept = Signal()
        final_row = p.rows - (groups - 1) * p.folds - 1
        m.d.comb += [
            turn.eq(final | ~token | (row == p.folds - 1)),
            final.eq((group == groups - 1) & (~token | (row == final_row))),
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
                row.eq(0),
            ]
        with m.Elif(final):
            m.d.sync += active.eq(0)
        with m.Elif(turn):
            m.d.sync += [address.eq(address + 1), group.eq(group + 1), row.eq(0)]
        with m.Else():
            m.d.sync += row.eq(row + 1)

        # Fetch: the weights come `WeightMemory.latency` cycles later, their products with the
        # event's value some more; what is to be done with them goes along.
        m.submodules.weights = memory = self.memory
        m.d.comb += memory.address.eq(address)
        if p.loaded:
            wiring.connect(m, wiring.flipped(self.load), memory.load)
        weights = [memory.word.word_select(k, width).as_signed() for k in range(p.lanes)]
        slot = data.StructLayout(
            {"valid": 1, "token": 1, "turn": 1, "end": 1, "last": 1, "row": row.shape()}
        )
        ahead: list[Signal] = []
        now: Value = Cat(active, token, turn & active, final, last, row)
        for k in range(self.latency(p.synapse) - 1):
            ahead.append(Signal(slot, name=f"slot{k}"))
            m.d.sync += Value.cast(ahead[-1]).eq(now)
            now = Value.cast(ahead[-1])
        slots: Any = ahead
        terms = self._products(m, weights, accept) if p.synapse.payload_width else weights

        # Accumulate, or hand over and clear.
        total = p.lanes * p.synapse.acc_width
        m.submodules.sums = store = RotatingStore(total, [0] * groups, p.family)
        old = Signal(total)
        if RotatingStore.is_quick(groups, p.family):
            m.d.comb += [old.eq(store.head), store.pop.eq(slots[-1].turn)]
        else:
            m.d.sync += old.eq(store.head)
            m.d.comb += store.pop.eq(slots[-2].turn)
        olds = data.View(data.ArrayLayout(signed(p.synapse.acc_width), p.lanes), old)
        new = []
        for lane in range(p.lanes):
            total_lane = Signal(signed(p.synapse.acc_width), name=f"sum{lane}")
            m.d.comb += total_lane.eq(olds[lane] + terms[lane])
            new.append(total_lane)
        # A register of its own: it leads to the enables of every membrane.
        handing = Signal()
        m.d.sync += handing.eq(slots[-2].valid & slots[-2].token)
        m.d.comb += [
            store.push.eq(slots[-1].turn),
            store.clear.eq(slots[-2].turn & slots[-2].token),
            store.data.eq(Cat(*new)),
            self.o.valid.eq(handing),
            self.o.payload.end.eq(slots[-1].end),
            self.o.payload.last.eq(slots[-1].last),
            Value.cast(self.o.payload.sums).eq(self._row(old, slots[-1].row)),
        ]
        return m

    def _row(self, sums: Value, row: Value) -> Value:
        """The sums of one row of a group."""
        width = self.params.row_lanes * self.params.synapse.acc_width
        return Array(sums[k : k + width] for k in range(0, len(sums), width))[row]

    def _products(self, m: Module, weights: Sequence[Value], accept: Value) -> list[Value]:
        """Each weight times the value of its event."""
        bits = self.params.synapse.payload_width
        item: Any = self.i.payload
        value = Signal(bits)
        with m.If(accept):
            m.d.sync += value.eq(item.payload)
        synapse = self.params.synapse
        return products(m, synapse, weights, value, WeightMemory.latency(synapse))
