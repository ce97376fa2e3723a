# SPDX-License-Identifier: Apache-2.0
"""Words for memories that are loaded at run time: one address range over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from spikefab.hdl.params import LayerParams

__all__ = ["WORD", "LoadDecoder", "LoadLayout", "LoadPort", "load_columns", "load_words"]

WORD = 16
"""Bits of a loaded word: the width of an SPRAM."""


def load_columns(layer: LayerParams) -> int:
    """Loaded words that lie beside each other in one word of the layer's weight memory."""
    return -(-layer.word_width // WORD) if layer.loaded else 0


def load_words(layers: Sequence[LayerParams]) -> int:
    """Loaded words of all layers."""
    return sum(load_columns(layer) * layer.weight_words for layer in layers)


class LoadLayout(data.StructLayout):
    """One word for the loaded memories.

    Members
    -------
    address : bits for `n_words`
        Layer after layer; in a layer, all words of the lowest 16 bits of its weight memory, then
        those of the next 16 bits, and so on.
    data : 16
        Bits beyond the memory's width have no effect.
    """

    def __init__(self, n_words: int):
        super().__init__({"address": max(1, ceil_log2(n_words)), "data": WORD})


class LoadPort(wiring.Signature):
    """What writes a word into one weight memory.

    Members
    -------
    write : one bit a column
    row : bits for `depth`
    data : 16
    """

    def __init__(self, columns: int, depth: int):
        super().__init__(
            {
                "write": Out(columns),
                "row": Out(range(depth)),
                "data": Out(WORD),
            }
        )


class LoadDecoder(wiring.Component):
    """Finds the memory and the row that a word is for, by subtraction: at most a cycle a column.

    Members
    -------
    i : in stream, LoadLayout
    o : one LoadPort a loaded layer
    """

    i: stream.Interface
    o: Any

    def __init__(self, layers: Sequence[LayerParams]):
        self.layers = [layer for layer in layers if layer.loaded]
        ports = {
            f"o{k}": Out(LoadPort(load_columns(layer), layer.weight_words))
            for k, layer in enumerate(self.layers)
        }
        super().__init__(
            {"i": In(stream.Signature(LoadLayout(load_words(self.layers)))), **ports},
        )

    def port(self, k: int) -> Any:
        """The port of the k-th loaded layer."""
        return getattr(self, f"o{k}")

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depths = [layer.weight_words for layer in self.layers]
        columns = [load_columns(layer) for layer in self.layers]
        sizes = [d for d, n in zip(depths, columns, strict=True) for _ in range(n)]
        item: Any = self.i.payload
        busy = Signal()
        rest = Signal(range(max(2, sum(sizes))))
        word = Signal(WORD)
        column = Signal(range(len(sizes)))
        size = Signal(range(max(sizes) + 1))
        here = Signal()
        m.d.comb += [
            self.i.ready.eq(~busy),
            size.eq(Array(sizes)[column]),
            here.eq(busy & (rest < size)),
        ]
        with m.If(~busy):
            m.d.sync += [
                busy.eq(self.i.valid),
                rest.eq(item.address),
                word.eq(item.data),
                column.eq(0),
            ]
        with m.Else():
            m.d.sync += [
                busy.eq(~here & (column != len(sizes) - 1)),
                rest.eq(rest - size),
                column.eq(column + 1),
            ]
        first = 0
        for k, n in enumerate(columns):
            port = self.port(k)
            m.d.comb += [port.row.eq(rest), port.data.eq(word)]
            for c in range(n):
                m.d.comb += port.write[c].eq(here & (column == first + c))
            first += n
        return m
