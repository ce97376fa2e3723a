# SPDX-License-Identifier: Apache-2.0
"""Memories that no bitstream can initialise: their contents come over the link."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.load import LoadLayout

__all__ = ["Loader", "load_stream"]


def load_stream(n_words: int) -> stream.Signature:
    """A stream of words for memories of `n_words` words."""
    return stream.Signature(LoadLayout(n_words))


class Loader(wiring.Component):
    """Makes words of bytes, low byte first, and counts them through.

    Members
    -------
    i : stream of 8 bits
        What follows the last word is taken and forgotten. Not to be withdrawn while `busy`.
    o : stream of `LoadLayout`
    restart : in
        Back to the first word; not while `busy`.
    flush : in
        Forget half a word, unless `busy`.
    busy : out
        A word is offered.
    loaded : out
        All words have been taken since reset or `restart`.
    total : out
        Sum of the words taken since then, modulo 2**16.
    """

    i: stream.Interface
    o: stream.Interface
    restart: Signal
    flush: Signal
    busy: Signal
    loaded: Signal
    total: Signal

    def __init__(self, n_words: int):
        if not 1 <= n_words <= 1 << 23:
            raise ValueError(f"Loader: {n_words} words, must be 1 to {1 << 23}")
        self._n_words = n_words
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(load_stream(n_words)),
                "restart": In(1),
                "flush": In(1),
                "busy": Out(1),
                "loaded": Out(1),
                "total": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        i, o = self.i, self.o
        low = Signal(8)
        half = Signal()  # the low byte is here
        m.d.comb += [
            self.busy.eq(half & i.valid & ~self.loaded),
            o.valid.eq(self.busy),
            o.p.data.eq(Cat(low, i.payload)),
            i.ready.eq(~self.busy | o.ready),
        ]
        with m.If(i.valid & ~half):
            m.d.sync += low.eq(i.payload)
        with m.If(i.valid & i.ready):
            m.d.sync += half.eq(~half)
        with m.If(self.busy & o.ready):
            m.d.sync += [
                o.p.address.eq(o.p.address + 1),
                self.total.eq(self.total + o.p.data),
                self.loaded.eq(o.p.address == self._n_words - 1),
            ]
        with m.If(self.flush & ~self.busy):
            m.d.sync += half.eq(0)
        with m.If(self.restart):
            m.d.sync += [o.p.address.eq(0), self.total.eq(0), self.loaded.eq(0)]
        return m
