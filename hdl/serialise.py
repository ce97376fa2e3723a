# SPDX-License-Identifier: Apache-2.0
"""From bit masks to events: the spikes of a group of neurons leave one a cycle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from spikefab.hdl.conv_params import GridParams
from spikefab.hdl.event import EventLayout, event_stream
from spikefab.hdl.neuron import GroupOutput
from spikefab.hdl.params import LayerParams
from spikefab.hdl.queue import Queue
from spikefab.hdl.shared_params import SharedParams
from spikefab.hdl.shiftadd import multiply

__all__ = ["CHUNK", "CHUNKS_DEPTH", "MembraneSerialiser", "SpikeSerialiser", "queue_depth"]

CHUNK = 8
"""Lanes that the last stage of the serialiser looks at; wider masks pass it chunk by chunk."""

CHUNKS_DEPTH = 2
"""Chunks that wait between the two stages, so that neither hangs on the other's logic."""


def queue_depth(groups: int) -> int:
    """Groups that may wait: two whole passes, so that a step's update overlaps with the events of
    the step before."""
    return 2 * groups


def lowest(bits: Value) -> Value:
    """The lowest set bit alone."""
    return (bits & -bits)[: len(bits)]


def at_most_one(bits: list[Value]) -> Value:
    """Whether no bit is set, or one alone: without a carry chain."""
    parts: list[tuple[Value, Value]]
    parts = [(~bit, Const(1)) for bit in bits]  # none of the part's bits; at most one of them
    while len(parts) > 1:
        pairs = [parts[k : k + 2] for k in range(0, len(parts), 2)]
        parts = [
            (p[0][0] & p[1][0], (p[0][0] & p[1][1]) | (p[0][1] & p[1][0])) if p[1:] else p[0]
            for p in pairs
        ]
    return parts[0][1]


def chosen(one_hot: Value, values: list[Value]) -> Value:
    """The value at the set bit of a one-hot selection, 0 where none is set."""
    found: list[Value] = [Mux(bit, value, 0) for bit, value in zip(one_hot, values, strict=True)]
    # As a tree: a chain over hundreds of lanes is deeper than Python recurses.
    while len(found) > 1:
        found = [reduce(or_, found[k : k + 2]) for k in range(0, len(found), 2)]
    return found[0]


class _Groups(wiring.Component):
    """Room for the groups of a pass: reserved as a whole, given back one by one. With `passes` they
    differ: these are the groups of each in turn, of `groups` at most.

    Members
    -------
    reserve : in stream, 1 bit
        Accepted where a whole pass fits.
    back : in, 2 bits
        Groups that have left, or were never queued, in this cycle.
    """

    reserve: stream.Interface
    back: Signal

    def __init__(self, groups: int, depth: int, passes: Sequence[int] = ()):
        self.groups, self.depth, self.passes = groups, depth, tuple(passes)
        super().__init__({"reserve": In(stream.Signature(unsigned(1))), "back": In(2)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        free = Signal(range(self.depth + 1), init=self.depth)
        m.d.comb += self.reserve.ready.eq(free >= self.groups)
        begins = self.reserve.valid & self.reserve.ready
        taken = Mux(begins, self._next(m, begins), 0)
        m.d.sync += free.eq(free + self.back - taken)
        return m

    def _next(self, m: Module, begins: Value) -> Value:
        """The groups of the pass that asks for room."""
        if len(set(self.passes)) < 2:
            return Const(self.passes[0] if self.passes else self.groups)
        at = Signal(range(len(self.passes)), name="pass")
        with m.If(begins):
            m.d.sync += at.eq(Mux(at == len(self.passes) - 1, 0, at + 1))
        return Array(Const(groups, range(self.groups + 1)) for groups in self.passes)[at]


class _Place:
    """Where in a grid the rows of a pass are: row of the position, column, row of the map.

    `of`: the grid; `rows`: rows of a position, of `lanes` neurons.
    """

    def __init__(self, of: GridParams, params: LayerParams):
        self.of, self.lanes = of, params.lanes
        self.rows = params.groups // (of.height * of.width)
        self.real_rows = -(-of.channels // params.lanes)  # the others are padding alone
        self.layout = data.StructLayout(
            {
                "row": unsigned(ceil_log2(self.rows)),
                "x": unsigned(of.x_bits),
                "y": unsigned(of.y_bits),
            }
        )

    def is_end(self, place: Any) -> Value:
        """It is the last row with neurons."""
        x_end, y_end = place.x == self.of.width - 1, place.y == self.of.height - 1
        return (place.row == self.real_rows - 1) & x_end & y_end

    def is_last(self, place: Any, lane: Value) -> Value:
        """The lane is that of the last neuron of its position."""
        rest = (self.of.channels - 1) % self.lanes
        return (place.row == self.real_rows - 1) & (lane == rest)

    def following(self, place: Any, rows: int) -> Value:
        """The place of the next row, of `rows` a position; behind the last one the first one."""
        row_end, x_end = place.row == rows - 1, place.x == self.of.width - 1
        y_end = place.y == self.of.height - 1
        row = Mux(row_end, 0, place.row + 1)[: len(place.row)]
        x = Mux(row_end, Mux(x_end, 0, place.x + 1), place.x)[: len(place.x)]
        y = Mux(row_end & x_end, Mux(y_end, 0, place.y + 1), place.y)[: len(place.y)]
        return Cat(row, x, y)

    def base(self, place: Any) -> Value:
        """Address of the row's first neuron."""
        channel = multiply(place.row, self.lanes) if self.rows > 1 else Const(0)
        bits = self.of.c_bits
        return Cat((channel | Const(0, bits + 1))[:bits], place.x, place.y)

    def padded(self, place: Any, lane: int) -> Value:
        """The lane holds no neuron in this row."""
        real = -(-(self.of.channels - lane) // self.lanes)  # rows in which it does
        return place.row >= real if real < self.rows else Const(0, 1)


class SpikeSerialiser(wiring.Component):
    """Puts out an event for every spike, and the end-of-step token behind them.

    Wide groups are looked through in chunks of `CHUNK` lanes: a register finds the chunks that hold
    spikes, and only these are visited. A pass's spikes leave in the order of their addresses, one
    a cycle while the consumer takes them; a group without spikes takes no time. A neuron that
    spikes k times in a step is k events; where they are `graded`, one of value k.

    With `shared`, of several layers, a pass is a phase: its rows follow those of the phase before,
    and a token comes behind each.

    Members
    -------
    reserve : in stream, 1 bit
        Accepted where the queue has room for a whole pass.
    i : in stream without back-pressure, GroupOutput
    o : out stream, EventLayout(n, unsigned(event_width))
        With a `grid` its addresses; padding of its layout puts out nothing.
    """

    reserve: stream.Interface
    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        params: LayerParams,
        grid: GridParams | None = None,
        shared: SharedParams | None = None,
    ):
        self.params, self.shared = params, shared
        self.place = None if grid is None else _Place(grid, params)
        self.n_addresses = params.neuron.n if grid is None else grid.n_addresses
        self.n_chunks = -(-params.lanes // CHUNK)
        self.depth = queue_depth(params.groups) if shared is None else shared.queue_depth
        super().__init__(
            {
                "reserve": In(stream.Signature(unsigned(1))),
                "i": In(stream.Signature(GroupOutput(params), always_ready=True)),
                "o": Out(event_stream(self.n_addresses, unsigned(params.event_width))),
            }
        )

    @staticmethod
    def latency(lanes: int) -> int:
        """Cycles from a group's arrival to the queue."""
        return 1 if lanes > CHUNK else 0

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.params
        bits = p.neuron.count_width
        address_width = EventLayout(self.n_addresses)["address"].width
        place = self.place
        entry = data.StructLayout(
            {
                "counts": p.lanes * bits,
                "filled": self.n_chunks,
                "group": unsigned(ceil_log2(p.groups)) if place is None else place.layout,
                "end": 1,
                "last": 1,
            }
        )
        m.submodules.groups = groups = self._room()
        m.submodules.queue = queue = Queue(entry, self.depth)
        wiring.connect(m, wiring.flipped(self.reserve), groups.reserve)

        # Only groups that have something to say are queued.
        number: Any = Signal(range(p.groups) if place is None else place.layout)
        arrived = Signal()
        group: Any = Signal(entry)
        counts = Value.cast(self.i.payload["values"])
        if place is not None:
            lanes = [counts.word_select(k, bits) for k in range(p.lanes)]
            counts = Cat(Mux(place.padded(number, k), 0, lane) for k, lane in enumerate(lanes))
        ends: Value = self.i.payload.end
        if self.shared is not None:
            counts, ends = self._phase(self.shared, number, counts)
        width = CHUNK * bits
        chunks = [counts[k * width : (k + 1) * width] for k in range(self.n_chunks)]
        domain = m.d.sync if self.latency(p.lanes) else m.d.comb
        domain += [
            arrived.eq(self.i.valid),
            group.counts.eq(counts),
            group.filled.eq(Cat(chunk.any() for chunk in chunks)),
            group.group.eq(number),
            group.end.eq(ends),
            group.last.eq(self.i.payload.last),
        ]
        with m.If(self.i.valid):
            if place is None:
                m.d.sync += number.eq(Mux(self.i.payload.end, 0, number + 1))
            else:
                m.d.sync += Value.cast(number).eq(place.following(number, place.rows))
        m.d.comb += [
            queue.i.valid.eq(arrived & (group.filled.any() | group.end)),
            queue.i.payload.eq(group),
        ]
        skipped = arrived & ~queue.i.valid
        left = queue.o.valid & queue.o.ready
        m.d.comb += groups.back.eq(skipped + left)

        layout = data.StructLayout(
            {"counts": CHUNK * bits, "base": address_width, "end": 1, "last": 1}
        )
        if self.n_chunks == 1:
            chunk = stream.Signature(layout).create()
            m.d.comb += [
                chunk.valid.eq(queue.o.valid),
                chunk.payload.counts.eq(queue.o.payload.counts),
                chunk.payload.base.eq(self._base(queue.o.payload.group)),
                chunk.payload.end.eq(queue.o.payload.end),
                chunk.payload.last.eq(queue.o.payload.last),
                queue.o.ready.eq(chunk.ready),
            ]
        else:
            m.submodules.chunks = chunks_queue = Queue(layout, CHUNKS_DEPTH)
            self._split(m, queue.o, chunks_queue.i)
            chunk = chunks_queue.o
        self._emit(m, chunk)
        return m

    def _room(self) -> _Groups:
        if self.shared is None:
            return _Groups(self.params.groups, self.depth)
        rows = [phase.rows for phase in self.shared.phases]
        return _Groups(self.shared.most_rows, self.depth, rows)

    def _phase(self, shared: SharedParams, number: Value, counts: Value) -> tuple[Value, Value]:
        """The counts of a row without its padding, and whether it is its phase's last one."""
        bits, lanes = self.params.neuron.count_width, self.params.lanes
        ends = {phase.end: phase.n - (phase.rows - 1) * lanes for phase in shared.phases}
        at_end = {row: number == row for row in ends}
        real = []
        for k in range(lanes):
            padded = Cat(at_end[row] for row, size in ends.items() if k >= size).any()
            real.append(Mux(padded, 0, counts.word_select(k, bits)))
        return Cat(real), Cat(at_end.values()).any()

    def _base(self, group: Any) -> Value:
        """Address of a group's first neuron."""
        if self.place is not None:
            return self.place.base(group)
        return multiply(group, self.params.lanes) if self.params.groups > 1 else Const(0)

    def _split(self, m: Module, entries: stream.Interface, chunk: stream.Interface) -> None:
        """One chunk a cycle, empty ones skipped; `end` goes with the group's final chunk.

        The next chunk to visit is chosen a cycle ahead, and kept as one bit of `take`.
        """
        bits, n = self.params.neuron.count_width, self.n_chunks
        width = CHUNK * bits
        held: Any = Signal(entries.payload.shape())
        valid = Signal()
        take, rest = Signal(n), Signal(n)
        advance, final = Signal(), Signal()
        parts = [held.counts[k * width : (k + 1) * width] for k in range(n)]
        lane = chosen(take, [Const(k * CHUNK, range(n * CHUNK)) for k in range(n)])
        base = self._base(held.group)
        lanes = self.params.lanes
        m.d.comb += [
            final.eq(rest == 0),
            chunk.valid.eq(valid),
            chunk.payload.counts.eq(chosen(take, parts)),
            # A power of two has no bits in common with the lane.
            chunk.payload.base.eq(base + lane if lanes & (lanes - 1) else base | lane),
            chunk.payload.end.eq(held.end & final),
            chunk.payload.last.eq(held.last),
            advance.eq(~valid | (chunk.ready & final)),
            entries.ready.eq(advance),
        ]
        filled = entries.payload.filled
        first, following = lowest(filled), lowest(rest)
        with m.If(advance):
            m.d.sync += [
                valid.eq(entries.valid),
                held.eq(entries.payload),
                take.eq(first),
                rest.eq(filled & ~first),
            ]
        with m.Elif(chunk.ready):
            m.d.sync += [take.eq(following), rest.eq(rest & ~following)]

    def _emit(self, m: Module, chunk: stream.Interface) -> None:
        """One spike, or the token, a cycle."""
        bits = self.params.neuron.count_width
        held: Any = Signal(chunk.payload.shape())
        valid = Signal()
        counts = [held.counts[k * bits : (k + 1) * bits] for k in range(CHUNK)]
        waiting = Cat(count.any() for count in counts)
        take = lowest(waiting)
        rest = Signal(CHUNK * bits)
        token, done, step = Signal(), Signal(), Signal()
        # The queue hangs on it: as few levels as may be.
        whole = bits == 1 or self.params.graded  # an event takes all that a neuron has fired
        single = at_most_one(list(waiting))
        if not whole:
            single &= ~Cat(count[1:] for count in counts).any()
        index = chosen(take, [Const(k, range(CHUNK)) for k in range(CHUNK)])
        address = held.base + index
        if self.params.lanes % CHUNK == 0:
            # A chunk begins at a multiple of its size.
            address = Cat(index, held.base[len(index) :])
        o = self.o.payload
        left = [
            Mux(bit, 0, count) if self.params.graded else (count - bit)[:bits]
            for count, bit in zip(counts, take, strict=True)
        ]
        m.d.comb += [
            rest.eq(Cat(left)),
            token.eq(waiting == 0),
            done.eq(Mux(held.end, token, single)),
            step.eq(~self.o.valid | self.o.ready),
            chunk.ready.eq(~valid | (step & done)),
        ]
        with m.If(step):
            m.d.sync += [
                self.o.valid.eq(valid),
                o.token.eq(token),
                o.last.eq(token & held.last),
                o.address.eq(Mux(token, 0, address)),
                *([o.payload.eq(chosen(take, counts))] if self.params.graded else []),
            ]
        with m.If(chunk.ready):
            m.d.sync += [valid.eq(chunk.valid), held.eq(chunk.payload)]
        with m.Elif(step):
            m.d.sync += held.counts.eq(rest)


class MembraneSerialiser(wiring.Component):
    """Puts out every neuron's membrane as a graded event, and the end-of-step token behind them.

    Members
    -------
    reserve : in stream, 1 bit
        Accepted where the queue has room for a whole pass.
    i : in stream without back-pressure, GroupOutput
    o : out stream, EventLayout(n, signed(membrane_width))
        Addresses 0 to n-1 in order, one a cycle while the consumer takes them, then the token.
        With a `grid` its addresses, position by position; padding of its layout takes no time.
    """

    reserve: stream.Interface
    i: stream.Interface
    o: stream.Interface

    def __init__(self, params: LayerParams, grid: GridParams | None = None):
        self.params = params
        self.place = None if grid is None else _Place(grid, params)
        n = params.neuron.n if grid is None else grid.n_addresses
        self.depth = queue_depth(params.groups)
        super().__init__(
            {
                "reserve": In(stream.Signature(unsigned(1))),
                "i": In(stream.Signature(GroupOutput(params), always_ready=True)),
                "o": Out(event_stream(n, signed(params.neuron.membrane_width))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.params
        width = p.neuron.membrane_width
        entry = data.StructLayout({"values": p.lanes * width, "end": 1, "last": 1})
        m.submodules.groups = groups = _Groups(p.groups, self.depth)
        m.submodules.queue = queue = Queue(entry, self.depth)
        wiring.connect(m, wiring.flipped(self.reserve), groups.reserve)
        m.d.comb += [
            queue.i.valid.eq(self.i.valid),
            queue.i.payload.values.eq(Value.cast(self.i.payload["values"])),
            queue.i.payload.end.eq(self.i.payload.end),
            queue.i.payload.last.eq(self.i.payload.last),
            groups.back.eq(queue.o.valid & queue.o.ready),
        ]
        lane = Signal(range(p.lanes + 1))
        if self.place is not None:
            self._skip_padding(m, queue, groups)
        shape: Any = range(p.neuron.n + 1) if self.place is None else self.place.layout
        address: Any = Signal(shape)
        head, o = queue.o.payload, self.o.payload
        values = [head.values[k * width : (k + 1) * width] for k in range(p.lanes)]
        value = chosen(Cat(lane == k for k in range(p.lanes)), values)
        step, all_out, group_out = Signal(), Signal(), Signal()
        row_out: Value = lane == p.lanes - 1
        if self.place is not None:
            row_out |= self.place.is_last(address, lane)
        m.d.comb += [
            step.eq(~self.o.valid | self.o.ready),
            *([all_out.eq(address == p.neuron.n)] if self.place is None else []),
            group_out.eq(Mux(head.end, all_out, row_out)),
            queue.o.ready.eq(step & group_out),
        ]
        with m.If(step):
            m.d.sync += [
                self.o.valid.eq(queue.o.valid),
                o.token.eq(all_out),
                o.last.eq(all_out & head.last),
                o.address.eq(Mux(all_out, 0, self._address(address, lane))),
                o.payload.eq(Mux(all_out, 0, value.as_signed())),
            ]
            with m.If(queue.o.valid):
                if self.place is None:
                    m.d.sync += [
                        lane.eq(Mux(group_out, 0, lane + 1)),
                        address.eq(Mux(all_out, 0, address + 1)),
                    ]
                else:
                    following = self.place.following(address, self.place.real_rows)
                    m.d.sync += [
                        all_out.eq(row_out & head.end & ~all_out),
                        lane.eq(Mux(row_out | all_out, 0, lane + 1)),
                        Value.cast(address).eq(Mux((row_out & ~all_out), following, address)),
                    ]
        return m

    def _address(self, address: Any, lane: Signal) -> Value:
        return address if self.place is None else self.place.base(address) + lane

    def _skip_padding(self, m: Module, queue: Queue, groups: _Groups) -> None:
        """Rows without a neuron are not queued; the last one with some brings the token."""
        place = self.place
        assert place is not None
        arriving = Signal(place.layout)
        skipped = Signal()
        with m.If(self.i.valid):
            m.d.sync += Value.cast(arriving).eq(place.following(arriving, place.rows))
        m.d.comb += [
            skipped.eq(self.i.valid & place.padded(arriving, 0)),
            queue.i.valid.eq(self.i.valid & ~skipped),
            queue.i.payload.end.eq(place.is_end(arriving)),
            groups.back.eq((queue.o.valid & queue.o.ready) + skipped),
        ]
