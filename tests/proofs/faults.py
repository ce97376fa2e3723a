# SPDX-License-Identifier: Apache-2.0
"""Components broken on purpose: a proof that accepts one of them says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from amaranth.hdl import Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream
from proofs.collisions import colliding_memories
from proofs.harness import Harness

from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.constants import PassControl
from spikefab.hdl.queue import Queue
from spikefab.hdl.store import RotatingStore
from spikefab.hdl.timing import NeuronTiming

__all__ = [
    "BrokenOutput",
    "LateStore",
    "StuckInput",
    "biases_from_the_start",
    "broken_by",
    "early_pops",
    "hasty_currents",
    "hasty_passes",
    "late_store",
    "short_queue",
    "swapped_rows",
]


class BrokenOutput(Elaboratable):
    """A component whose output stream loses, repeats, changes or swaps items, or falls silent,
    whenever the free input `trigger` says so; other ports are the component's."""

    def __init__(self, inner: Any, kind: str):
        self.inner, self.kind = inner, kind
        self.o = stream.Signature(inner.o.payload.shape()).create()
        self.trigger = Signal(name="trigger")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = self.inner
        source, o, trigger = self.inner.o, self.o, self.trigger
        came, went = Value.cast(source.payload), Value.cast(o.payload)
        m.d.comb += [o.valid.eq(source.valid), source.ready.eq(o.ready), went.eq(came)]
        if self.kind == "loses":
            m.d.comb += [o.valid.eq(source.valid & ~trigger), source.ready.eq(o.ready | trigger)]
        elif self.kind == "repeats":
            m.d.comb += source.ready.eq(o.ready & ~trigger)
        elif self.kind == "changes":
            m.d.comb += went.eq(came ^ trigger)
        elif self.kind == "falls silent":
            silent = Signal()
            m.d.sync += silent.eq(silent | trigger)
            m.d.comb += [o.valid.eq(source.valid & ~silent), source.ready.eq(o.ready & ~silent)]
        elif self.kind == "swaps":
            self._swap(m, source, came, went)
        else:
            raise ValueError(self.kind)
        return m

    def _swap(self, m: Module, source: Any, came: Value, went: Value) -> None:
        """An item is held back until the next one has left."""
        held, passed, kept = Signal(), Signal(), Signal(len(came))
        back = held & passed
        aside = self.trigger & ~held & source.valid
        m.d.comb += [
            self.o.valid.eq(back | (source.valid & ~aside)),
            went.eq(Mux(back, kept, came)),
            source.ready.eq(aside | (self.o.ready & ~back)),
        ]
        with m.If(aside):
            m.d.sync += [held.eq(1), kept.eq(came)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [passed.eq(held & ~back), held.eq(held & ~back)]


class StuckInput(Elaboratable):
    """A component that some time, when the free input `trigger` says so, takes no more from the
    input stream `port`; other ports are the component's."""

    def __init__(self, inner: Any, port: str):
        self.inner, self.port = inner, port
        self.stream = stream.Signature(getattr(inner, port).payload.shape()).create()
        self.trigger = Signal(name="trigger")

    def __getattr__(self, name: str) -> Any:
        return self.stream if name == self.port else getattr(self.inner, name)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = self.inner
        stuck = Signal()
        target = getattr(self.inner, self.port)
        m.d.sync += stuck.eq(stuck | self.trigger)
        m.d.comb += [
            target.valid.eq(self.stream.valid & ~stuck),
            Value.cast(target.payload).eq(Value.cast(self.stream.payload)),
            self.stream.ready.eq(target.ready & ~stuck),
        ]
        return m


def broken_by(harness: Harness, component: BrokenOutput | StuckInput) -> Harness:
    """The harness of a broken component, with the trigger among its free inputs."""
    harness.inputs.append(component.trigger)
    return harness


class LateStore(RotatingStore):
    """A store whose words come back late, so that an older one is read: a cycle late in a ring, a
    turn late in a memory."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = RotatingStore(self.width, self.init)
        push, word, clear = self.push, self.data, self.clear
        for k in range(1 if self.is_ring(self.depth) else self.depth):
            later = (
                Signal(name=f"push{k}"),
                Signal(self.width, name=f"word{k}"),
                Signal(name=f"clear{k}"),
            )
            m.d.sync += [later[0].eq(push), later[1].eq(word), later[2].eq(clear)]
            push, word, clear = later
        m.d.comb += [
            inner.pop.eq(self.pop),
            self.head.eq(inner.head),
            inner.push.eq(push),
            inner.data.eq(word),
            inner.clear.eq(clear),
        ]
        return m


@contextmanager
def late_store(module: str) -> Iterator[None]:
    """A module of `spikefab.hdl` builds its stores as `LateStore`."""
    with mock.patch(f"spikefab.hdl.{module}.RotatingStore", LateStore):
        yield


@contextmanager
def early_pops() -> Iterator[None]:
    """A word in a memory may be popped in the cycle after that in which it is pushed."""
    with mock.patch.object(RotatingStore, "MEMORY_SETTLE", 1), colliding_memories():
        yield


@contextmanager
def hasty_passes() -> Iterator[None]:
    """Passes of the neuron array follow each other a cycle too soon."""
    right = NeuronTiming.spacing.fget
    assert right is not None
    with mock.patch.object(NeuronTiming, "spacing", property(lambda timing: right(timing) - 1)):
        yield


@contextmanager
def hasty_currents() -> Iterator[None]:
    """Synaptic currents go back to their store a cycle too soon."""
    right = NeuronTiming.current_store.fget
    assert right is not None
    early = property(lambda timing: right(timing) - 1)
    with mock.patch.object(NeuronTiming, "current_store", early):
        yield


@contextmanager
def biases_from_the_start() -> Iterator[None]:
    """A late bias acts in a sample's first step too."""
    with mock.patch.object(PassControl, "first", return_value=Const(0, 1)):
        yield


@contextmanager
def swapped_rows() -> Iterator[None]:
    """An engine hands out a group's two rows in the wrong order."""
    right = AccumulateEngine._row
    with mock.patch.object(AccumulateEngine, "_row", lambda it, sums, row: right(it, sums, ~row)):
        yield


@contextmanager
def short_queue() -> Iterator[None]:
    """A serialiser that grants twice the groups that its queue holds."""
    with mock.patch(
        "spikefab.hdl.serialise.Queue", lambda shape, depth: Queue(shape, max(depth // 2, 1))
    ):
        yield
