# SPDX-License-Identifier: Apache-2.0
"""Where event streams part and meet: one source of several layers, several sources of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import NO_PAYLOAD, EventLayout, event_stream
from spikefab.hdl.queue import Queue

__all__ = ["Fork", "Merge", "MergePort", "Window"]


class Fork(wiring.Component):
    """Gives every item of one stream to several consumers.

    Each takes it when it will; the item leaves when all have taken it. No latency; an item a cycle
    where all keep up.

    Members
    -------
    i : in stream of `shape`
    o : array of `n` out streams of `shape`
    """

    i: stream.Interface
    o: Any

    def __init__(self, shape: EventLayout, n: int):
        if n < 2:
            raise ValueError(f"Fork: {n} consumers, must be 2 or more")
        self.n = n
        signature = stream.Signature(shape)
        super().__init__({"i": In(signature), "o": Out(signature).array(n)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken, done = Signal(self.n), Signal(self.n)
        for k in range(self.n):
            m.d.comb += [
                self.o[k].payload.eq(self.i.payload),
                self.o[k].valid.eq(self.i.valid & ~taken[k]),
                done[k].eq(taken[k] | self.o[k].ready),
            ]
        m.d.comb += self.i.ready.eq(done.all())
        with m.If(self.i.valid):
            m.d.sync += taken.eq(Mux(done.all(), 0, done))
        return m


@dataclass(frozen=True)
class Window:
    """Addresses of a port's stream that pass, and where they go."""

    base: int
    """The first of them."""
    size: int
    """How many; 0: only the tokens count."""
    offset: int
    """The address that the first of them leaves with."""


@dataclass(frozen=True, kw_only=True)
class MergePort:
    """One of the streams that a `Merge` brings together."""

    n: int
    """Addresses of the stream."""
    windows: tuple[Window, ...]
    """What passes; other events are dropped."""
    payload: Shape = NO_PAYLOAD
    """Of the stream. Where only the merged stream has one, an event of this port carries 1."""
    recurrent: bool = False
    """The stream's step t is part of the merged stream's step t + 1."""

    def __post_init__(self) -> None:
        for w in self.windows:
            if not (w.base >= 0 and w.size >= 0 and w.base + w.size <= self.n and w.offset >= 0):
                raise ValueError(f"MergePort.windows: {w} does not lie in {self.n} addresses")


class Merge(wiring.Component):
    """Brings several streams together, in a fixed order: a step of one port after another.

    A merged step is a step of each port, in the order of `ports`, and one token. The events of a
    recurrent port are those of the step before: there are none in a sample's first step, in which
    recurrent ports are not waited for. What such a port brings of a sample's last step belongs
    nowhere and is dropped, at once, up to and with the token with `last`; the merged token with
    `last` waits until the sample before has been dropped whole. The order of events is kept within
    a port.

    `last` of the merged token is that of the feed-forward ports, which all have the same.

    Members
    -------
    i0, i1, … : in streams, EventLayout(port.n, port.payload)
        One a port; `port(k)` gives it. A token that is not a step's final one takes a cycle, an
        event that is dropped as well.
    o : out stream, EventLayout(n, payload)
        From a queue of `DEPTH` items: behind it no path leads through the choice of a port and its
        addition. Latency 1 cycle, an item a cycle.
    draining : out
        Items of a sample that has ended are still to be dropped.
    """

    DEPTH = 2
    LATENCY = Queue.latency(DEPTH)

    o: stream.Interface
    draining: Signal

    def __init__(self, ports: Sequence[MergePort], n: int, payload: Shape = NO_PAYLOAD):
        self.ports, self.n, self.payload = tuple(ports), n, payload
        if all(port.recurrent for port in self.ports):
            raise ValueError("Merge: needs a port that is not recurrent: it has the tokens of a "
                             "sample's first step")  # fmt: skip
        for port in self.ports:
            for w in port.windows:
                if w.offset + w.size > n:
                    raise ValueError(f"MergePort.windows: {w} leaves the {n} merged addresses")
        super().__init__(
            {
                **{
                    f"i{k}": In(event_stream(port.n, port.payload))
                    for k, port in enumerate(self.ports)
                },
                "o": Out(event_stream(n, payload)),
                "draining": Out(1),
            }
        )

    def port(self, k: int) -> Any:
        """The stream of the k-th port."""
        return getattr(self, f"i{k}")

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(EventLayout(self.n, self.payload), self.DEPTH)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        out: Any = queue.i.payload
        count = len(self.ports)
        forward = [k for k, port in enumerate(self.ports) if not port.recurrent]
        select = Signal(range(count), init=forward[0])
        first = Signal(init=1)  # the sample's first step
        closing = Signal()  # the step is the sample's last, as a feed-forward port has said
        draining = Signal(count)
        clear = Signal()  # nothing is left of the sample before
        m.d.comb += [self.draining.eq(draining.any()), clear.eq(~self.draining)]

        with m.Switch(select):
            for k, port in enumerate(self.ports):
                with m.Case(k):
                    i = self.port(k)
                    item: Any = i.payload
                    hit, address = self._mapped(port, item.address)
                    last = closing if port.recurrent else item.last
                    after = next((j for j in forward if j > k), None)
                    final: Value = Const(k == count - 1)
                    if after is None and k != count - 1:
                        final = first
                    # A step's other tokens, and events that nobody wants, go nowhere.
                    passes, free, moves = (
                        Signal(name=f"{name}{k}") for name in ("passes", "free", "moves")
                    )
                    held = draining[k] | (passes & item.token & last & ~clear)
                    m.d.comb += [
                        passes.eq(Mux(item.token, final, hit)),
                        queue.i.valid.eq(i.valid & passes & ~held),
                        out.token.eq(item.token),
                        out.last.eq(item.token & last),
                        out.address.eq(Mux(item.token, 0, address)),
                        free.eq((queue.i.ready | ~passes) & ~held),
                        moves.eq(i.valid & free),
                        i.ready.eq(free),
                    ]
                    if self.payload.width:
                        value = item.payload if port.payload.width else Const(1)
                        m.d.comb += out.payload.eq(Mux(item.token, 0, value))
                    with m.If(moves & item.token):
                        if not port.recurrent:
                            m.d.sync += closing.eq(item.last)
                        with m.If(final):
                            m.d.sync += [select.eq(Mux(last, forward[0], 0)), first.eq(last)]
                        with m.Elif(first):
                            m.d.sync += select.eq(count - 1 if after is None else after)
                        with m.Else():
                            m.d.sync += select.eq(min(k + 1, count - 1))
                        for j, other in enumerate(self.ports):
                            if other.recurrent:
                                with m.If(final & last):
                                    m.d.sync += draining[j].eq(1)
        for k, port in enumerate(self.ports):
            if port.recurrent:
                item = self.port(k).payload
                with m.If(draining[k]):
                    m.d.comb += self.port(k).ready.eq(1)
                    with m.If(self.port(k).valid & item.token & item.last):
                        m.d.sync += draining[k].eq(0)
        return m

    def _mapped(self, port: MergePort, address: Value) -> tuple[Value, Value]:
        """Whether an address passes, and what becomes of it."""
        width = EventLayout(self.n)["address"].width
        hit: Value = Const(0)
        out: Value = Const(0)
        for w in port.windows:
            top = w.base + w.size
            inside: Value = Const(w.size > 0)
            if w.base:
                inside = inside & (address >= w.base)
            if top < port.n:
                inside = inside & (address < top)
            moved = address
            if w.offset != w.base:
                moved = (address + (w.offset - w.base) % (1 << width))[:width]
            hit, out = hit | inside, Mux(inside, moved, out)
        return hit, out
