# SPDX-License-Identifier: Apache-2.0
"""Address generators: which weights an event adds to which sums, one word a cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from spikefab.hdl.conv_params import ConvJoin, ConvParams
from spikefab.hdl.event import event_stream
from spikefab.hdl.params import LayerParams
from spikefab.hdl.shiftadd import multiply

__all__ = ["ConvAddresses", "Visit"]

CHANNEL_TABLE_MAX = 16
"""Input channels whose first weights are looked up; those of more are multiplied out."""


class Visit(data.StructLayout):
    """What is done in a cycle to one word of sums.

    Members
    -------
    token : 1
        The word is handed over; else weights are added to it.
    turn : 1
        The word is written: an event's always, a token's with its last row.
    end, last : 1
        Of a token: its last visit; it closes a sample.
    row : row of the word, of a token
    word : address of the sums
    weights : address of the weights, 0 for a token
    value : the event's value, only where events have one
    clear : 1, of a token, only with several `slots`
        The word is written with 0, and not handed over.
    """

    def __init__(self, params: LayerParams, n_words: int, n_weights: int, slots: int = 1):
        """`n_words`: words of sums in all slots; `slots`: steps whose sums are kept at a time."""
        members = {
            "token": unsigned(1),
            "turn": unsigned(1),
            "end": unsigned(1),
            "last": unsigned(1),
            "row": unsigned(bits_for(params.folds - 1)),
            "word": unsigned(bits_for(n_words - 1)),
            "weights": unsigned(bits_for(n_weights - 1)),
        }
        if params.synapse.payload_width:
            members["value"] = unsigned(params.synapse.payload_width)
        if slots > 1:
            members["clear"] = unsigned(1)
        super().__init__(members)


class ConvAddresses(wiring.Component):
    """The visits of a convolution, or of several that share their sums.

    An event takes as many cycles as it has kernel positions that exist, times the words of its
    group's output channels; an event that hits nothing takes one. A token takes `rows` cycles.
    Items follow each other without a bubble: the start of the next one is looked up and added up
    ahead, in two stages.

    Members
    -------
    i : in stream, EventLayout(n_in, unsigned(payload_width))
        Addresses as `ConvJoin` has them.
    start : out stream, 1 bit
        Offered with a token whose first visit could be in the next cycle; it begins when `start`
        is accepted. The payload is the token's `last`.
    o : out stream without back-pressure, Visit
        Registers' outputs.
    """

    AHEAD = 2
    """Cycles from an item's acceptance to the cycle in which it can begin."""
    LATENCY = 1
    """Cycles from an item's beginning to its first visit."""

    i: stream.Interface
    start: stream.Interface
    o: stream.Interface

    def __init__(self, params: LayerParams, join: ConvJoin):
        join.check_lanes(params.lanes)
        self.params, self.join = params, join
        self.spans = [conv.span(params.lanes) for conv in join.convs]
        self.position = join.out_grid.groups(params.lanes)  # words of an output position
        self.n_words = join.out_grid.words(params.lanes)
        self.n_weights = join.first_weights(params.lanes)[-1]
        self.n_in = join.n_in
        self.visit = Visit(params, self.n_words, self.n_weights)
        payload = unsigned(params.synapse.payload_width)
        super().__init__(
            {
                "i": In(event_stream(self.n_in, payload)),
                "start": Out(stream.Signature(unsigned(1))),
                "o": Out(stream.Signature(self.visit, always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.params
        item: Any = self.i.payload

        # First stage: what row, column and channel have to say.
        free, free1, free2 = Signal(), Signal(name="free1"), Signal(name="free2")
        valid1, valid2 = Signal(name="valid1"), Signal(name="valid2")
        kept1: Any = Signal(item.shape(), name="item1")
        parts = self._parts(m, item.address)
        held = [Signal(part.shape(), name=f"part{k}") for k, part in enumerate(parts)]
        m.d.comb += [self.i.ready.eq(free1), free1.eq(~valid1 | free2)]
        with m.If(free1):
            m.d.sync += [valid1.eq(self.i.valid), kept1.eq(item)]
            m.d.sync += [register.eq(part) for register, part in zip(held, parts, strict=True)]

        # Second stage: first weights and first sums.
        port1, weights_c, word_c, weights_y, word_y, count_y, weights_x, word_x, count_x = held
        port2 = Signal.like(port1, name="port2")
        kept: Any = Signal(item.shape(), name="item2")
        first_weights = Signal(self.visit["weights"].width)
        first_word = Signal(self.visit["word"].width)
        more_y, more_x = self._counts()
        hit = Signal()
        m.d.comb += free2.eq(~valid2 | free)
        with m.If(free2):
            m.d.sync += [
                valid2.eq(valid1),
                kept.eq(kept1),
                port2.eq(port1),
                first_weights.eq(Mux(kept1.token, 0, weights_c + (weights_y + weights_x))),
                first_word.eq(Mux(kept1.token, 0, word_c + (word_y + word_x))),
                hit.eq(kept1.token | ((count_y != 0) & (count_x != 0))),
                more_y.eq(count_y - 1),
                more_x.eq(count_x - 1),
            ]

        # The visits: words of a position, columns, rows of the kernel.
        visit: Any = self.o.payload
        active = Signal()
        final = Signal(init=1)  # the whole generator hangs on it: a register, as `active` is
        begin, ready = Signal(), Signal()
        real, turn = Signal(), Signal()
        token = Signal()
        last = Signal()
        rows = Signal.like(more_y, name="rows")
        columns = Signal.like(more_x, name="columns")
        all_columns = Signal.like(more_x, name="all_columns")
        port = Signal.like(port2, name="port")
        k = Signal(range(max(self.spans)))  # words left of a position
        row_weights = Signal.like(visit.weights, name="row_weights")
        row_word = Signal.like(visit.word, name="row_word")
        # Whether a count is at its end is known with it.
        last_word, last_column, last_row = (
            Signal(name=f"last_{what}") for what in ("word", "column", "row")
        )
        single_column = Signal()
        token_end = Signal()
        m.d.comb += [
            turn.eq(~token | (visit.row == p.folds - 1)),
            ready.eq(~active | final),
            free.eq(ready & (~kept.token | self.start.ready)),
            self.start.valid.eq(ready & valid2 & kept.token),
            self.start.payload.eq(kept.last),
            begin.eq(valid2 & free),
        ]
        spans = [Const(span - 1, range(max(self.spans))) for span in self.spans]
        single = [Const(span == 1, 1) for span in self.spans]
        next_row, next_column = ~token & last_word & last_column, ~token & last_word
        step = self._step(port, next_row, next_column)
        weights = Signal.like(visit.weights, name="next_weights")
        word = Signal.like(visit.word, name="next_word")
        m.d.comb += [
            weights.eq(Mux(next_row, row_weights, visit.weights) + step[0]),
            word.eq(Mux(next_row, row_word, visit.word) + step[1]),
        ]
        penultimate = visit.word == self.n_words - 2
        word_next = Mux(last_word, self._of(port, single), k == 1)
        column_next = Mux(last_word, Mux(last_column, single_column, columns == 1), last_column)
        row_next = Mux(next_row, rows == 1, last_row)
        with m.If(begin):
            m.d.sync += [
                active.eq(1),
                token.eq(kept.token),
                last.eq(kept.last),
                real.eq(hit),
                port.eq(port2),
                visit.weights.eq(first_weights),
                row_weights.eq(first_weights),
                visit.word.eq(first_word),
                row_word.eq(first_word),
                k.eq(self._of(port2, spans)),
                last_word.eq(self._of(port2, single)),
                rows.eq(more_y),
                last_row.eq(more_y == 0),
                columns.eq(more_x),
                last_column.eq(more_x == 0),
                all_columns.eq(more_x),
                single_column.eq(more_x == 0),
                token_end.eq(self.n_words == 1),
                final.eq(
                    Mux(
                        kept.token,
                        self.n_words * p.folds == 1,
                        ~hit | (self._of(port2, single) & (more_x == 0) & (more_y == 0)),
                    )
                ),
                visit.row.eq(0),
            ]
            if p.synapse.payload_width:
                m.d.sync += visit.value.eq(kept.payload)
        with m.Elif(final):
            m.d.sync += active.eq(0)
        with m.Elif(~turn):
            m.d.sync += [
                visit.row.eq(visit.row + 1),
                final.eq(token_end & (visit.row == p.folds - 2)),
            ]
        with m.Else():
            m.d.sync += [
                visit.weights.eq(weights),
                visit.word.eq(word),
                token_end.eq(penultimate),
                visit.row.eq(0),
                k.eq(Mux(last_word, self._of(port, spans), k - 1)),
                last_word.eq(word_next),
                last_column.eq(column_next),
                last_row.eq(row_next),
                final.eq(
                    Mux(
                        token,
                        penultimate & (p.folds == 1),
                        word_next & column_next & row_next,
                    )
                ),
            ]
            with m.If(next_row):
                m.d.sync += [
                    row_weights.eq(weights),
                    row_word.eq(word),
                    rows.eq(rows - 1),
                    columns.eq(all_columns),
                ]
            with m.Elif(next_column):
                m.d.sync += columns.eq(columns - 1)
        m.d.comb += [
            self.o.valid.eq(active & real),
            visit.token.eq(token),
            visit.turn.eq(turn),
            visit.end.eq(final),
            visit.last.eq(last),
        ]
        return m

    def _counts(self) -> tuple[Signal, Signal]:
        """How many rows, and columns, of the kernel are left."""
        most = [
            max(1, *(entry.count for conv in self.join.convs for entry in conv.axes[axis]))
            for axis in range(2)
        ]
        return Signal(range(most[0]), name="more_y"), Signal(range(most[1]), name="more_x")

    def _of(self, port: Value, values: Sequence[Any]) -> Any:
        """The value of a port: one is as good as a constant."""
        return values[0] if len(values) == 1 else Array(values)[port]

    def _step(self, port: Value, next_row: Value, next_column: Value) -> tuple[Value, Value]:
        """By how much the addresses of weights and sums change."""
        rows, columns = [], []
        words = self.position
        for conv, weights in zip(self.join.convs, self.spans, strict=True):
            (out_y, kernel_y), (out_x, kernel_x) = conv.steps
            rows.append((kernel_y * conv.kernel[1] * weights, out_y * conv.out_size[1] * words))
            columns.append((kernel_x * weights - (weights - 1), out_x * words - (weights - 1)))
        found = []
        for kind in range(2):
            row = self._of(port, [Const(each[kind]) for each in rows])
            column = self._of(port, [Const(each[kind]) for each in columns])
            found.append(Mux(next_row, row, Mux(next_column, column, 1)))
        return found[0], found[1]

    def _parts(self, m: Module, address: Value) -> list[Value]:
        """The port of an event; first weights and word of its channel; first weights, first word
        and count of its row and of its column."""
        convs, bits = self.join.convs, self.join.address_bits
        port = address[bits:] if len(convs) > 1 else Const(0)
        firsts = self.join.first_weights(self.params.lanes)
        ports = []
        for n, (conv, first) in enumerate(zip(convs, firsts, strict=False)):
            grid, at = conv.in_grid, ("", f"{n}_")[len(convs) > 1]
            c = address[: grid.c_bits]
            x = address[grid.c_bits : grid.c_bits + grid.x_bits]
            y = address[grid.c_bits + grid.x_bits : grid.c_bits + grid.x_bits + grid.y_bits]
            ports.append(
                [
                    *self._channel(m, conv, f"{at}channel", c),
                    *self._axis(m, conv, f"{at}row", 0, y, 0),
                    *self._axis(m, conv, f"{at}column", 1, x, first),
                ]
            )
        return [port, *(self._of(port, part) for part in zip(*ports, strict=True))]

    def _channel(self, m: Module, conv: ConvParams, name: str, c: Value) -> list[Value]:
        """First weights and first word of an input channel."""
        channels, lanes = conv.in_shape[0], self.params.lanes
        size = conv.kernel[0] * conv.kernel[1] * conv.span(lanes)
        words = [conv.first_word(k, lanes) for k in range(channels)]
        word = self._table(m, f"{name}_words", c, words)
        if channels > CHANNEL_TABLE_MAX:
            return [multiply(c, size)[: bits_for(conv.weight_words(lanes) - 1)], word]
        return [self._table(m, f"{name}_weights", c, [k * size for k in range(channels)]), word]

    def _axis(
        self, m: Module, conv: ConvParams, name: str, axis: int, at: Value, first: int
    ) -> list[Value]:
        """First weights, from `first` on, first word and count of an input row or column."""
        entries = conv.axes[axis]
        weights, words = conv.span(self.params.lanes), self.position
        if axis == 0:
            weights, words = weights * conv.kernel[1], words * conv.out_size[1]
        columns = {
            "weights": [first + entry.kernel * weights for entry in entries],
            "words": [entry.output * words for entry in entries],
            "counts": [entry.count for entry in entries],
        }
        return [self._table(m, f"{name}_{what}", at, values) for what, values in columns.items()]

    def _table(self, m: Module, name: str, index: Value, values: Sequence[int]) -> Value:
        """A constant of an index, in look-up tables."""
        width = bits_for(max(values))
        if len(set(values)) == 1:
            return Const(values[0], width)
        memory: Any = Memory(
            shape=width, depth=len(values), init=values, attrs={"ram_style": "logic"}
        )
        m.submodules[name] = memory
        port = memory.read_port(domain="comb")
        m.d.comb += port.addr.eq(index)
        return port.data
