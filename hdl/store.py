# SPDX-License-Identifier: Apache-2.0
"""Storage that is read and written in one fixed rotation: accumulators and membranes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.collision import NO_COLLISION
from spikefab.hdl.params import Family

__all__ = ["RING_MAX", "RotatingStore", "ring_max"]

RING_MAX = 4
"""Most words that are kept in a ring of registers; more go to a memory."""

RING_MAX_ICE40 = 8
"""The same on iCE40, whose smallest memory is a block RAM 16 bits wide: there are 176 logic cells
to each on a UP5K, more than eight words of it take."""


def ring_max(family: Family) -> int:
    """Most words that are kept in a ring of registers on a family's parts."""
    return RING_MAX_ICE40 if family == "ice40" else RING_MAX


class RotatingStore(wiring.Component):
    """`depth` words, popped 0, 1, … depth-1, 0, … and pushed back in the same order.

    Up to `ring_max` words live in a shift register that turns by one word a pop or push: no
    address, no multiplexer, and no read-after-write hazard by construction. More words live in
    a memory whose next word is fetched ahead, so that `head` is valid without waiting.

    Members
    -------
    pop : in
        The word on `head` is being taken; `head` is the next word in the next cycle.
    head : out, `width` bits
        The next word to pop.
    push, data : in
        Puts back the word that was popped longest ago.
    clear : in
        A push comes in the next cycle, and puts back the initial word instead of `data`. Only where
        all words start alike (`uniform`). A cycle early, because it reaches every register.

    The user keeps to the rotation: every pop is followed by one push, in order, in the same
    cycle or later. Where a word is popped again `depth` pops later:

    * ring: all pushes of the turn before have happened, or happen in the same cycles as the pops
      that follow (`ring`: pop and push always in one cycle, or in bursts of `depth`);
    * memory: its push was at least `MEMORY_SETTLE` cycles earlier.

    No pop and no push comes in the first cycle after reset. Reset restores a ring to `init`; a
    memory holds `init` after configuration only.
    """

    MEMORY_SETTLE = 2

    pop: Signal
    head: Signal
    push: Signal
    data: Signal
    clear: Signal

    def __init__(self, width: int, init: Sequence[int], family: Family = ""):
        self.width = width
        self.family = family
        self.depth = len(init)
        self.init = list(init)
        super().__init__(
            {
                "pop": In(1),
                "head": Out(width),
                "push": In(1),
                "data": In(width),
                "clear": In(1),
            },
        )
        self.uniform = len(set(self.init)) == 1

    @staticmethod
    def is_ring(depth: int, family: Family = "") -> bool:
        """Whether `depth` words are kept in registers."""
        return depth <= ring_max(family)

    @staticmethod
    def is_quick(depth: int, family: Family = "") -> bool:
        """Whether `head` comes early enough in its cycle for an addition. A block RAM's does on
        iCE40: some 3 ns, where the rest of the cycle takes 30."""
        return family == "ice40" or RotatingStore.is_ring(depth, family)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.is_ring(self.depth, self.family):
            self._ring(m)
        else:
            self._memory(m)
        return m

    def _ring(self, m: Module) -> None:
        slots = [
            # The last one is cleared as it is reset, by the registers' own input for it.
            Signal(self.width, init=v, name=f"slot{k}", reset_less=k == self.depth - 1)
            for k, v in enumerate(self.init)
        ]
        # Reset comes through the same register: no logic, and one net, between it and them.
        clear = Signal(init=1)
        m.d.sync += clear.eq(self.clear)
        m.d.comb += self.head.eq(slots[0])
        turn = self.pop | self.push
        with m.If(turn):
            for slot, behind in pairwise(slots):
                m.d.sync += slot.eq(behind)
        with m.If(clear):
            m.d.sync += slots[-1].eq(self.init[-1])
        with m.Elif(turn):
            m.d.sync += slots[-1].eq(self.data)

    def _memory(self, m: Module) -> None:
        # The next word is read in every cycle, also in that in which it is written; but it is
        # popped `MEMORY_SETTLE` cycles after that, and has been read again by then.
        memory: Any = Memory(shape=self.width, depth=self.depth, init=self.init, attrs=NO_COLLISION)
        m.submodules.memory = memory
        clear = Signal()
        m.d.sync += clear.eq(self.clear)
        read, write = memory.read_port(), memory.write_port()
        r = Signal(range(self.depth))
        r_next = Signal.like(r)
        m.d.comb += [
            r_next.eq(Mux(self.pop, Mux(r == self.depth - 1, 0, r + 1), r)),
            read.addr.eq(r_next),
            self.head.eq(read.data),
            write.data.eq(Mux(clear, self.init[0], self.data)),
            write.en.eq(self.push),
        ]
        m.d.sync += r.eq(r_next)
        w = Signal(range(self.depth))
        m.d.comb += write.addr.eq(w)
        with m.If(self.push):
            m.d.sync += w.eq(Mux(w == self.depth - 1, 0, w + 1))
