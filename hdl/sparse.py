# SPDX-License-Identifier: Apache-2.0
"""The address generator of sparse connections: a source's own words, one a cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from spikefab.hdl.address import Visit
from spikefab.hdl.event import event_stream
from spikefab.hdl.params import LayerParams
from spikefab.hdl.shared_params import Phase
from spikefab.hdl.sparse_params import SparseParams

__all__ = ["SparseAddresses"]


class SparseAddresses(wiring.Component):
    """The visits of sparse connections.

    An event takes a cycle for each word of weights that its source has, one where it has none. A
    token takes `rows` cycles, and a sample's last one a cycle more for each word of the slots that
    it does not hand over: they are cleared. Words count from the slot that is handed over next.
    Items follow each other without a bubble: where the next one's words begin is looked up ahead,
    in the first of two stages. Which word each entry adds to is in a memory, where the words of a
    source do not follow each other.

    With `phases` a token visits the words of its own one alone. Its address says which that is:
    those of the tokens, phase by phase, are behind the sources'.

    Members
    -------
    i : in stream, EventLayout(n_in, unsigned(payload_width))
    start, o :
        As `ConvAddresses` has them.
    clearing : out, only with several slots
        Slots are cleared behind a sample.
    """

    AHEAD = 2
    """Cycles from an item's acceptance to the cycle in which it can begin."""
    LATENCY = 3
    """Cycles from an item's beginning to its first visit: the word of sums is looked up."""

    i: stream.Interface
    start: stream.Interface
    o: stream.Interface
    clearing: Signal

    def __init__(self, params: LayerParams, sparse: SparseParams, phases: Sequence[Phase] = ()):
        self.params, self.sparse, self.phases = params, sparse, tuple(phases)
        self.n_words, self.n_weights = sparse.words, sparse.n_entries
        self.n_in = sparse.n_in + len(self.phases)
        self.visit = Visit(params, sparse.n_words, self.n_weights, sparse.slots)
        payload = unsigned(params.synapse.payload_width)
        super().__init__(
            {
                "i": In(event_stream(self.n_in, payload)),
                "start": Out(stream.Signature(unsigned(1))),
                "o": Out(stream.Signature(self.visit, always_ready=True)),
                **({"clearing": Out(1)} if sparse.slots > 1 else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, sparse = self.params, self.sparse
        item: Any = self.i.payload

        # First stage: where the source's words begin, and how many there are; a phase's likewise.
        starts = [*sparse.starts, *(phase.first_word for phase in self.phases)]
        counts = [*map(len, sparse.rows), *(phase.words for phase in self.phases)]
        words = [row[0] if row else 0 for row in sparse.rows]
        words += [phase.first_word for phase in self.phases]
        span = data.StructLayout(
            {
                "start": bits_for(max(starts)),
                "count": bits_for(max(counts)),
                **({"word": bits_for(sparse.n_words - 1)} if sparse.runs else {}),
            }
        )
        init = [
            start
            | count << span["start"].width
            | (word << span["start"].width + span["count"].width if sparse.runs else 0)
            for start, count, word in zip(starts, counts, words, strict=True)
        ]
        memory: Any = Memory(shape=span.size, depth=len(init), init=init)
        m.submodules.spans = memory
        port = memory.read_port()
        found: Any = data.View(span, port.data)
        free, free1, free2 = Signal(), Signal(name="free1"), Signal(name="free2")
        valid1, valid2 = Signal(name="valid1"), Signal(name="valid2")
        kept1: Any = Signal(item.shape(), name="item1")
        m.d.comb += [
            self.i.ready.eq(free1),
            free1.eq(~valid1 | free2),
            port.addr.eq(item.address),
            port.en.eq(free1),
        ]
        with m.If(free1):
            m.d.sync += [valid1.eq(self.i.valid), kept1.eq(item)]

        # Second stage: memories are slow to their pins.
        kept: Any = Signal(item.shape(), name="item2")
        first = Signal(span["start"].width)
        more = Signal(span["count"].width)
        first_word = Signal(range(sparse.n_words))
        hit = Signal()
        m.d.comb += free2.eq(~valid2 | free)
        with m.If(free2):
            m.d.sync += [
                valid2.eq(valid1),
                kept.eq(kept1),
                first.eq(found.start if self.phases else Mux(kept1.token, 0, found.start)),
                hit.eq(kept1.token | (found.count != 0)),
                more.eq(found.count - 1),
            ]
            if sparse.runs:
                m.d.sync += first_word.eq(
                    found.word if self.phases else Mux(kept1.token, 0, found.word)
                )

        # Entry after entry; a token, word after word.
        now: Any = Signal(self.visit, name="now")
        active, final = Signal(), Signal()
        real, ready = Signal(), Signal()
        at = Signal(range(max(sparse.n_words, self.n_weights)))
        left = Signal.like(more, name="left")
        clearing = now.clear if sparse.slots > 1 else Const(0)
        # Whether a count is at its end is known with it: the whole generator hangs on that.
        last_entry, last_word, very_last = (
            Signal(name=f"last_{what}") for what in ("entry", "word", "of_all")
        )
        handed = self._handed(m, kept, now, last_entry, last_word, valid2 & free)
        done, ends = handed, cast("Value", final)
        if sparse.slots > 1:
            done = Mux(now.last, very_last, handed)
            ends = now.token & handed & ~clearing
        if self.phases:
            closing = Signal()
            ends = final & closing
            with m.If(valid2 & free):
                m.d.sync += closing.eq(kept.address == self.n_in - 1)
        m.d.comb += [
            now.turn.eq(~now.token | clearing | handed | (now.row == p.folds - 1)),
            final.eq(Mux(now.token, done, ~real | last_entry)),
            now.end.eq(ends),
            ready.eq(~active | final),
            free.eq(ready & (~kept.token | self.start.ready)),
            self.start.valid.eq(ready & valid2 & kept.token),
            self.start.payload.eq(kept.last),
            now.weights.eq(at),
        ]
        with m.If(valid2 & free):
            m.d.sync += [
                active.eq(1),
                now.token.eq(kept.token),
                now.last.eq(kept.last),
                now.row.eq(0),
                real.eq(hit),
                at.eq(first),
                left.eq(more),
                last_entry.eq(more == 0),
                last_word.eq(self.n_words == 1),
                very_last.eq(sparse.n_words == 1),
            ]
            if sparse.runs:
                m.d.sync += now.word.eq(first_word)
            if p.synapse.payload_width:
                m.d.sync += now.value.eq(kept.payload)
            if sparse.slots > 1:
                m.d.sync += now.clear.eq(0)
        with m.Elif(final):
            m.d.sync += active.eq(0)
        with m.Elif(~now.turn):
            m.d.sync += now.row.eq(now.row + 1)
        with m.Else():
            m.d.sync += [
                at.eq(at + 1),
                left.eq(left - 1),
                last_entry.eq(left == 1),
                last_word.eq(at == self.n_words - 2),
                very_last.eq(at == sparse.n_words - 2),
                now.row.eq(0),
            ]
            if sparse.runs:
                m.d.sync += now.word.eq(now.word + 1)
            if sparse.slots > 1:
                m.d.sync += now.clear.eq(now.clear | (now.token & handed))
        if sparse.slots > 1:
            m.d.comb += self.clearing.eq(active & now.clear)
        self._look_up(m, active & real, now, at)
        return m

    def _handed(
        self,
        m: Module,
        kept: Any,
        now: Any,
        last_entry: Signal,
        last_word: Signal,
        begins: Value,
    ) -> Value:
        """A token is at the last row of its last word. Rows without a neuron, at the end of that
        word, are left out."""
        if not self.phases:
            last_row = self.params.rows - 1 - (self.n_words - 1) * self.params.folds
            return last_word & (now.row == last_row)
        rows = [phase.rows - 1 - (phase.words - 1) * self.params.folds for phase in self.phases]
        last: Value = Const(rows[0])
        if len(set(rows)) > 1:
            last = Signal(range(self.params.folds), name="last_row")
            with m.If(begins), m.Switch(kept.address):
                for k, row in enumerate(rows):
                    with m.Case(self.sparse.n_in + k):
                        m.d.sync += last.eq(row)
        return last_entry & (now.row == last)

    def _look_up(self, m: Module, valid: Value, now: Any, at: Signal) -> None:
        """Each entry's word of sums, from a memory and its register; as late where it is known."""
        waiting: Any = Signal(self.visit, name="waiting")
        visit: Any = Signal(self.visit, name="visit")
        there = Signal(2)
        m.d.sync += [there.eq(Cat(valid, there)), waiting.eq(now), visit.eq(waiting)]
        m.d.comb += [self.o.valid.eq(there[1]), self.o.payload.eq(visit)]
        if self.sparse.runs:
            return
        words = [word for row in self.sparse.rows for word in row]
        memory: Any = Memory(shape=bits_for(self.sparse.n_words - 1), depth=len(words), init=words)
        m.submodules.words = memory
        port = memory.read_port()
        m.d.comb += port.addr.eq(at)
        counted = Signal.like(port.data, name="counted")
        m.d.sync += [counted.eq(at), visit.word.eq(Mux(waiting.token, counted, port.data))]
