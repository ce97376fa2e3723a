# SPDX-License-Identifier: Apache-2.0
"""Proofs and faults of what stands between layers: forks, merges, rings of events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from amaranth.hdl import Elaboratable, Module
from proofs.cases import Fault, Proof
from proofs.collisions import CollidingMemory, colliding_memories
from proofs.faults import BrokenOutput, StuckInput, broken_by
from proofs.harness import Harness
from proofs.models import ShiftQueue
from proofs.routes import fork_harness, merge_harness, ring_harness

from spikefab.hdl.delay import EventRing
from spikefab.hdl.event import EventLayout
from spikefab.hdl.route import Fork, Merge, MergePort, Window

__all__ = ["ROUTE_FAULTS", "ROUTE_PROOFS"]

FORK = "each consumer takes each item once, whenever it will; an item a cycle where all keep up"
MERGE = (
    "a step of each port in turn and one token, in order; a recurrent port's step is one later, "
    "and that of a sample's end is dropped; not stuck"
)
RING = (
    "an event leaves as many steps later as its address's delay, once, before the step's token; "
    "nothing outlives its sample; not stuck"
)

LOOP = MergePort(n=2, windows=(Window(0, 2, 0),), recurrent=True)
PART = MergePort(n=2, windows=(Window(1, 1, 2),))
SPLIT = MergePort(n=2, windows=(Window(0, 1, 1), Window(1, 1, 0)))


@contextmanager
def _models() -> Iterator[None]:
    """A merge is built with the model of its queue."""
    with mock.patch("spikefab.hdl.route.Queue", ShiftQueue):
        yield


@contextmanager
def _rings(fields: int = EventRing.FIELDS) -> Iterator[None]:
    """A ring has words of at most `fields` addresses, in memories that collide."""
    with (
        colliding_memories(),
        mock.patch("spikefab.hdl.delay.Memory", CollidingMemory),
        mock.patch.object(EventRing, "FIELDS", fields),
    ):
        yield


def _merge(name: str, size: str, *ports: MergePort, slow: bool = True) -> Proof:
    return Proof(
        name=f"merge-{name}", block="Merge", size=f"{size}, queue's model", claim=MERGE,
        build=lambda: merge_harness(Merge(ports, 3)), around=_models, slow=slow,
    )  # fmt: skip


def _ring(name: str, size: str, delays: list[int], fields: int) -> Proof:
    return Proof(
        name=f"ring-{name}", block="EventRing", size=size, claim=RING, cover_depth=40,
        build=lambda: ring_harness(delays), around=lambda: _rings(fields), slow=True,
    )  # fmt: skip


ROUTE_PROOFS: list[Proof] = [
    *(
        Proof(
            name=f"fork-{n}", block="Fork", size=f"{n} consumers", claim=FORK,
            build=lambda n=n: fork_harness(n), slow=n > 2,
        )
        for n in (2, 3)
    ),
    _merge("forward", "2 feed-forward ports, 3 addresses", SPLIT, PART),
    _merge("loop-first", "a recurrent port, then a feed-forward one", LOOP, PART, slow=False),
    _merge("loop-last", "a feed-forward port, then a recurrent one", PART, LOOP),
    _merge("loop-and-two", "a recurrent port, then 2 feed-forward ones", LOOP, SPLIT, PART),
    _ring("2", "2 addresses, delays of 0 and 2 steps", [0, 2], 16),
    _ring("3", "3 addresses, delays of 1, 2 and 0 steps", [1, 2, 0], 16),
    _ring("words", "3 addresses in words of 2, delays of 1, 2 and 0 steps", [1, 2, 0], 2),
]  # fmt: skip


class _ForkThatForgets(Fork):
    """A fork that does not note who has taken an item."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ready = [self.o[k].ready for k in range(self.n)]
        for k in range(self.n):
            m.d.comb += [
                self.o[k].payload.eq(self.i.payload),
                self.o[k].valid.eq(self.i.valid),
            ]
        m.d.comb += self.i.ready.eq(ready[0] & ready[1])
        return m


def _merge_fault(kind: str, found_by: str, slow: bool = True) -> Fault:
    def build() -> Harness:
        merge = Merge([LOOP, PART], 3)
        broken = BrokenOutput(merge, kind)
        return broken_by(merge_harness(merge, broken), broken)

    return Fault(name=f"merge {kind}", build=build, found_by=found_by, around=_models, slow=slow)


def _other_merge(name: str, other: list[MergePort], found_by: str) -> Fault:
    """A merge of other ports than those that it is held against."""

    def build() -> Harness:
        return merge_harness(Merge([LOOP, PART], 3), Merge(other, 3))

    return Fault(name=f"merge {name}", build=build, found_by=found_by, around=_models, slow=True)


def _stuck_merge() -> Harness:
    merge = Merge([LOOP, PART], 3)
    broken = StuckInput(merge, "i0")
    harness = merge_harness(merge, _Named(broken))
    return broken_by(harness, broken)


class _Named(Elaboratable):
    """A broken merge whose ports are asked for by number."""

    def __init__(self, inner: Any):
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def port(self, k: int) -> Any:
        return getattr(self.inner, f"i{k}")

    def elaborate(self, platform: object) -> Module:
        m: Module = self.inner.elaborate(platform)
        return m


def _ring_fault(name: str, other: Any, found_by: str) -> Fault:
    """A ring of delays of 0 and 2 steps, or what stands in for it."""

    def build() -> Harness:
        ring = other()
        harness = ring_harness([0, 2], ring)
        return broken_by(harness, ring) if isinstance(ring, BrokenOutput | StuckInput) else harness

    return Fault(
        name=f"ring {name}", build=build, found_by=found_by, around=_rings, slow=True, depth=30
    )


class _RingThatRemembers(EventRing):
    """A ring that takes a sample's last token for any other."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = EventRing(self.delays)
        ends = self.i.payload.last
        m.d.comb += [
            inner.i.valid.eq(self.i.valid),
            inner.i.payload.eq(self.i.payload),
            inner.i.payload.last.eq(0),
            self.i.ready.eq(inner.i.ready),
            self.o.valid.eq(inner.o.valid),
            self.o.payload.eq(inner.o.payload),
            self.o.payload.last.eq(inner.o.payload.token & ends),
            inner.o.ready.eq(self.o.ready),
        ]
        return m


ROUTE_FAULTS: list[Fault] = [
    Fault(
        name="fork forgets", build=lambda: fork_harness(2, _ForkThatForgets(EventLayout(2), 2)),
        found_by="not_twice_0", slow=True,
    ),
    _merge_fault("loses", "as_it_came", slow=False),
    _merge_fault("repeats", "as_it_came"),
    _merge_fault("swaps", "as_it_came"),
    _merge_fault("falls silent", "something_is_taken"),
    _other_merge("shifts an address", [LOOP, replace(PART, windows=(Window(1, 1, 1),))],
                 "as_it_came"),
    _other_merge("lets too much through", [LOOP, replace(PART, windows=(Window(0, 2, 1),))],
                 "as_it_came"),
    Fault(name="merge gets stuck", build=_stuck_merge, found_by="something_is_taken",
          around=_models, slow=True),
    _ring_fault("is late", lambda: EventRing([0, 1]), "only_when_due"),
    _ring_fault("holds back", lambda: EventRing([1, 2]), "gone_before_the_token"),
    _ring_fault("loses", lambda: BrokenOutput(EventRing([0, 2]), "loses"),
                "gone_before_the_token"),
    _ring_fault("repeats", lambda: BrokenOutput(EventRing([0, 2]), "repeats"), "only_when_due"),
    _ring_fault("gets stuck", lambda: StuckInput(EventRing([0, 2]), "i"), "items_are_taken"),
    _ring_fault("remembers", lambda: _RingThatRemembers([0, 2]), "only_when_due"),
]  # fmt: skip
