# SPDX-License-Identifier: Apache-2.0
"""What a rotating store must give back: one arbitrary word is followed."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Mux, Signal, Value
from proofs.harness import Harness

from spikefab.hdl.store import RotatingStore

__all__ = ["store_harness"]


def store_harness(depth: int, width: int = 2, store: Any = None, uniform: bool = False) -> Harness:
    """A popped word is the last that was pushed in its place, or the initial one, under every
    schedule that the store's contract allows. Where all words start alike (`uniform`), `clear` may
    say a cycle ahead that a push clears its word instead."""
    h = Harness()
    m = h.m
    init = [1 if uniform else (k + 1) % (1 << width) for k in range(depth)]
    m.submodules.dut = dut = RotatingStore(width, init) if store is None else store
    pop, push, word = h.input(1, "pop"), h.input(1, "push"), h.input(width, "word")
    clear = h.input(1, "clear") if uniform else Const(0)
    m.d.comb += [dut.pop.eq(pop), dut.push.eq(push), dut.data.eq(word), dut.clear.eq(clear)]
    clears = h.before(clear, "clears")
    h.assume(~clears | push)
    place = h.constant(range(max(depth, 2)), "place")
    h.assume(place < depth)

    # Which word is popped, and which is pushed; how many are out.
    popped, pushed = Signal(range(max(depth, 2))), Signal(range(max(depth, 2)))
    out = Signal(range(depth + 1))
    with m.If(pop):
        m.d.sync += popped.eq(_next(popped, depth))
    with m.If(push):
        m.d.sync += pushed.eq(_next(pushed, depth))
    m.d.sync += out.eq(out + pop - push)
    h.assume(~push | (out != 0) | pop)
    if RotatingStore.is_ring(depth):
        _turn(h, depth, pop, push, out, popped, pushed)
    else:
        settle = RotatingStore.MEMORY_SETTLE
        # Words that are out, or came back less than `settle` cycles ago.
        unsettled, recent = out, push
        for k in range(settle - 1):
            recent = h.before(recent, f"pushed_{k + 1}_ago")
            unsettled = unsettled + recent
        h.assume(~pop | (unsettled < depth))
    h.assume(~h.first | ~(pop | push))

    expected, written = Signal(width), Signal()
    m.d.comb += expected.eq(1 if uniform else place + 1)
    kept = Signal(width)
    with m.If(push & (pushed == place)):
        m.d.sync += [kept.eq(Mux(clears, init[0], word)), written.eq(1)]
    with m.If(written):
        m.d.comb += expected.eq(kept)
    h.check("last_write_is_read", ~pop | (popped != place) | (dut.head == expected))
    h.cover("written_and_read", pop & (popped == place) & written)
    h.cover("all_out", out == depth)
    h.cover("pop_and_push", pop & push & written)
    return h


def _turn(
    h: Harness, depth: int, pop: Signal, push: Signal, out: Signal, popped: Signal, pushed: Signal
) -> None:
    """A ring's turn: words pop alone until the first comes back, then with a push each, then the
    rest is pushed; the next turn begins when all are back."""
    popping, pushing = Signal(), Signal()
    h.m.d.comb += [popping.eq(popped != 0), pushing.eq(pushed != 0)]
    all_popped = ~popping & (out != 0)
    h.assume(~(pop & all_popped))
    h.assume(~(pop & ~push & pushing))
    h.assume(~(push & ~pop) | all_popped)


def _next(index: Signal, depth: int) -> Value:
    return Mux(index == depth - 1, 0, index + 1)
