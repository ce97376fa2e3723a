# SPDX-License-Identifier: Apache-2.0
"""What a queue must do: one arbitrary item is followed through it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Signal, unsigned
from proofs.harness import Harness

from spikefab.hdl.queue import Queue

__all__ = ["queue_harness"]


def queue_harness(depth: int, width: int = 2, queue: Any = None) -> Harness:
    """The n-th item out is the n-th item in, for any n; nothing waits for ever.

    The item to follow is chosen freely among all that come in: its value and the number of items
    before it are noted when it is accepted.
    """
    h = Harness()
    m = h.m
    m.submodules.dut = dut = Queue(unsigned(width), depth) if queue is None else queue
    item, offer, take, choose = (
        h.input(width, "item"), h.input(1, "offer"), h.input(1, "take"), h.input(1, "choose"),
    )  # fmt: skip
    m.d.comb += [dut.i.payload.eq(item), dut.i.valid.eq(offer), dut.o.ready.eq(take)]
    put, got = offer & dut.i.ready, dut.o.valid & take

    inside = Signal(range(depth + 2))
    chosen, value, ahead = Signal(), Signal(width), Signal(range(depth + 2))
    m.d.sync += inside.eq(inside + put - got)
    with m.If(put & choose & ~chosen):
        m.d.sync += [chosen.eq(1), value.eq(item), ahead.eq(inside - got)]
    with m.Elif(chosen & got & (ahead != 0)):
        m.d.sync += ahead.eq(ahead - 1)
    leaves = chosen & (ahead == 0) & got
    gone = Signal()
    with m.If(leaves):
        m.d.sync += gone.eq(1)

    h.check("nothing_from_nowhere", ~dut.o.valid | (inside != 0))
    h.check("no_more_than_it_holds", inside <= depth)
    h.check("as_it_came", gone | ~leaves | (dut.o.payload == value))
    h.stays_offered(dut.o.valid, dut.o.ready, dut.o.payload, "o")
    h.answers("offered_within_its_latency", inside != 0, dut.o.valid, Queue.latency(depth) - 1)
    h.answers("room_is_offered", inside != depth, dut.i.ready, 1)
    h.cover("full", inside == depth)
    h.cover("item_leaves_a_full_queue", leaves & ~gone & (inside == depth))
    h.cover("emptied_again", gone & (inside == 0))
    return h
