# SPDX-License-Identifier: Apache-2.0
"""The cost model of graphs: the cycle at which every item moves, exactly as the hardware does it.

Each block is a process that says when it offers and when it takes items, and waits for what other
blocks have not said yet. Blocks take their streams in a fixed order (`hdl.route`), so that it does
not matter in which order the processes run: the times follow from the graph alone (Kahn, 1974).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from itertools import pairwise

import numpy as np

from spikefab.gen.cost_layer import Counts, LayerClock, Pass
from spikefab.hdl.core import needs_merge, port_delays
from spikefab.hdl.delay import EventRing
from spikefab.hdl.params import INPUT, CoreParams, PortParams, streams
from spikefab.hdl.queue import REGISTERS_MAX, Queue
from spikefab.hdl.route import Merge

__all__ = ["GraphClock", "Sample", "input_runs"]

EVENT, MISS, TOKEN, LAST = range(4)
"""Items: an event, one that lies in no window of the port, a token, a sample's last token."""

Run = tuple[int, tuple[int, ...]]
"""Events in a row, and what they are to each consumer of the input."""
Sample = list[list[Run]]
"""A sample's events, step by step."""

Waiting = Generator["_Signal", None, int]
"""A part of a process: gives what it waits for, returns a time."""


class _Signal:
    """What processes wait for."""

    def __init__(self, scheduler: _Scheduler):
        self.scheduler = scheduler
        self.waiting: list[Iterator[_Signal]] = []

    def change(self) -> None:
        if self.waiting:
            self.scheduler.ready.extend(self.waiting)
            self.waiting.clear()


class _Scheduler:
    """Runs processes until all of them wait."""

    def __init__(self) -> None:
        self.ready: deque[Iterator[_Signal]] = deque()

    def run(self) -> None:
        while self.ready:
            process = self.ready.popleft()
            signal = next(process, None)
            if signal is not None:
                signal.waiting.append(process)


class _Wire(_Signal):
    """A stream between a source and one consumer: at most one item is on it."""

    def __init__(self, scheduler: _Scheduler):
        super().__init__(scheduler)
        self.kind = EVENT
        self.address = 0
        self.offered: int | None = None
        self.taken: int | None = None

    def put(self, at: int, kind: int, address: int) -> None:
        self.offered, self.kind, self.address, self.taken = at, kind, address, None
        self.change()

    def take(self, at: int) -> None:
        self.offered, self.taken = None, at
        self.change()


class _Delay:
    """A queue in front of a port: `hdl.queue`."""

    def __init__(self, graph: GraphClock, i: _Wire, o: _Wire, depth: int):
        self.i, self.o = i, o
        self.latency = Queue.latency(depth)
        # A deep queue offers an item that is not in its memory any more.
        self.deep = depth > REGISTERS_MAX
        self.room = depth - self.deep
        self.items: deque[tuple[int, int, int]] = deque()
        self.left: deque[int] = deque([-1] * self.room, maxlen=self.room)
        self.n_in, self.n_out = 0, 0
        self.progress = _Signal(graph.scheduler)
        graph.start(self.take())
        graph.start(self.give())

    def take(self) -> Iterator[_Signal]:
        while True:
            while self.i.offered is None:
                yield self.i
            while self.n_in - self.n_out >= self.room:
                yield self.progress
            at = max(self.i.offered, self.left[self.n_in - self.n_out] + 1)
            self.n_in += 1
            self.items.append((at, self.i.kind, self.i.address))
            self.i.take(at)
            self.progress.change()

    def give(self) -> Iterator[_Signal]:
        at = -1
        while True:
            while not self.items:
                yield self.progress
            put, kind, address = self.items.popleft()
            offered = max(put + self.latency, at + 1)
            if self.deep:
                self._leave(offered - 1)
            self.o.put(offered, kind, address)
            while self.o.taken is None:
                yield self.o
            at = self.o.taken
            if not self.deep:
                self._leave(at)

    def _leave(self, at: int) -> None:
        self.left.append(at)
        self.n_out += 1
        self.progress.change()


class _Ring:
    """A ring of events in front of a port: `hdl.delay`."""

    def __init__(self, graph: GraphClock, i: _Wire, o: _Wire, delays: Sequence[int]):
        self.i, self.o = i, o
        self.delays = delays
        n = len(delays)
        self.fields, self.words = EventRing.fields_of(n), EventRing.words_of(n)
        self.clear = max(delays) * self.words
        graph.start(self.run())

    def run(self) -> Iterator[_Signal]:
        at, step = 0, 0
        held: dict[int, set[int]] = {}  # addresses by the step in which they leave
        while True:
            while self.i.offered is None:
                yield self.i
            at, kind, address = max(self.i.offered, at), self.i.kind, self.i.address
            self.i.take(at)
            if kind in (TOKEN, LAST):
                at = (yield from self._give(at + EventRing.TOKEN, kind, 0)) + 1
                step += 1
                if kind == LAST:
                    held.clear()
                    at += self.clear
                else:
                    leaving = held.pop(step, set())
                    for word in range(self.words):
                        at += EventRing.FETCH
                        span = range(word * self.fields, (word + 1) * self.fields)
                        for late in sorted(leaving.intersection(span)):
                            at = (yield from self._give(at, EVENT, late)) + 1
                        at += 1
            elif self.delays[address]:
                held.setdefault(step + self.delays[address], set()).add(address)
                at += EventRing.LATE
            else:
                at = (yield from self._give(at + EventRing.DIRECT, kind, address)) + 1

    def _give(self, at: int, kind: int, address: int) -> Waiting:
        self.o.put(at, kind, address)
        while self.o.taken is None:
            yield self.o
        return self.o.taken


class _Port:
    """A port of a merge."""

    def __init__(self, wire: _Wire, recurrent: bool, windows: Sequence[PortParams]):
        self.wire = wire
        self.recurrent = recurrent
        self.windows = windows
        self.draining = False
        self.drained = -1
        """When the last item of a sample that has ended was dropped."""

    @property
    def address(self) -> int:
        """Of the event on the wire, behind the merge."""
        address = self.wire.address
        for window in self.windows:
            if window.base <= address < window.base + window.size:
                return address - window.base + window.offset
        return 0


def input_runs(params: CoreParams, x: np.ndarray) -> list[Sample]:
    """The events of samples (samples, steps, …) in order of address, as each consumer of the input
    sees them."""
    found: list[list[tuple[int, int]]] = []  # what passes to each consumer
    for ports in params.layer_ports:
        for group in streams(ports):
            if group[0].source == INPUT:
                spans = [(port.base, port.base + port.size) for port in group]
                found.append(spans)
    cuts = {0, params.n_inputs}
    for spans in found:
        cuts |= {edge for span in spans or () for edge in span}
    edges = sorted(cuts)
    x = x.reshape(*x.shape[:2], -1)
    # Values that are zero are not sent.
    items = (x != 0) if params.input.payload_width else x
    parts = list(pairwise(edges))
    counts = np.stack([items[..., a:b].sum(axis=2) for a, b in parts], axis=-1)
    kinds = [
        tuple(EVENT if any(low <= a < high for low, high in spans) else MISS for spans in found)
        for a, _ in parts
    ]
    return [
        [[(n, kind) for n, kind in zip(step, kinds, strict=True) if n] for step in sample]
        for sample in counts.tolist()
    ]


class GraphClock:
    """The whole core's clock; good for one run."""

    def __init__(self, params: CoreParams):
        self.params = params
        self.scheduler = _Scheduler()
        self.takers: dict[int, list[_Wire]] = {k: [] for k in range(INPUT, len(params.layers))}
        self.layers = [_LayerProcess(self, k) for k in range(len(params.layers))]
        self.first: list[int] = []
        self.ends: list[int] = []
        ports = [self.port(k) for k in sorted(params.output_layers)]
        self.start(_Sink(self, ports, len(ports) > 1).run())

    def port(
        self,
        source: int,
        recurrent: bool = False,
        depth: int = 0,
        windows: Sequence[PortParams] = (),
    ) -> _Port:
        """A new consumer of a source."""
        wire = _Wire(self.scheduler)
        self.takers[source].append(wire)
        if depth:
            i, wire = wire, _Wire(self.scheduler)
            _Delay(self, i, wire, depth)
        delays = port_delays(self.params, tuple(windows)) if windows else []
        if delays:
            i, wire = self.takers[source][-1], _Wire(self.scheduler)
            _Ring(self, i, wire, delays)
        return _Port(wire, recurrent, windows)

    def start(self, process: Iterator[_Signal]) -> None:
        self.scheduler.ready.append(process)

    def run(
        self,
        samples: Sequence[Sample],
        counts: Sequence[Sequence[list[Counts] | None]],
        addresses: Sequence[Sequence[list[list[int]] | None]],
    ) -> tuple[list[int], list[int]]:
        """Streams samples in, back to back, with the spikes of each layer: when the first item of
        each passes, and its last output token. `addresses`: of the events of the input and of each
        layer, where they matter."""
        for k, layer in enumerate(self.layers):
            own = [sample[k] for sample in counts]
            sent = [sample[k + 1] for sample in addresses]
            layer.sent = [step for sample in sent for step in sample or ()]
            layer.steps = [
                None if sample is None else sample[t]
                for sample, events in zip(own, samples, strict=True)
                for t in range(len(events))
            ]
            self.start(layer.take())
            self.start(layer.give())
        self.start(self._feed(samples, [sample[0] for sample in addresses]))
        self.scheduler.run()
        assert len(self.first) == len(self.ends) == len(samples), "the processes are stuck"
        return self.first, self.ends

    def offer(
        self, wires: Sequence[_Wire], at: int, kinds: Sequence[int], address: int = 0
    ) -> Waiting:
        """An item to all consumers; returns when all have taken it."""
        for wire, kind in zip(wires, kinds, strict=True):
            wire.put(at, kind, address)
        for wire in wires:
            while wire.taken is None:
                yield wire
            at = max(at, wire.taken)
        return at

    def _feed(
        self, samples: Sequence[Sample], addresses: Sequence[list[list[int]] | None]
    ) -> Iterator[_Signal]:
        wires = self.takers[INPUT]
        at = -1
        for steps, sent in zip(samples, addresses, strict=True):
            new = True
            for t, runs in enumerate(steps):
                order = iter(() if sent is None else sent[t])
                token = (LAST if t == len(steps) - 1 else TOKEN,) * len(wires)
                for count, kinds in (*runs, (1, token)):
                    for _ in range(count):
                        address = 0 if kinds is token else next(order, 0)
                        at = yield from self.offer(wires, at + 1, kinds, address)
                        if new:
                            self.first.append(at)
                            new = False


class _Consumer:
    """What takes streams: the merge in front of a layer or of the output, or none."""

    def __init__(self, graph: GraphClock, ports: Sequence[_Port], merges: bool):
        self.graph = graph
        self.ports = list(ports)
        self.merges = merges

    def event(self, ready: int, address: int) -> int:
        """When what stands behind takes an event that it is offered from a cycle on."""
        raise NotImplementedError

    def token(self, ready: int, last: bool) -> Waiting:
        """The same for a token."""
        raise NotImplementedError

    def run(self) -> Iterator[_Signal]:
        return self._merged() if self.merges else self._direct()

    def _direct(self) -> Iterator[_Signal]:
        wire = self.ports[0].wire
        while True:
            while wire.offered is None:
                yield wire
            if wire.kind == EVENT:
                wire.take(self.event(wire.offered, wire.address))
            else:
                at = yield from self.token(wire.offered, wire.kind == LAST)
                wire.take(at)

    def _merged(self) -> Iterator[_Signal]:
        forward = [port for port in self.ports if not port.recurrent]
        at = 0  # first cycle in which a port can be taken from
        # When the latest items left the queue behind: as many as it has.
        leaves = deque([-1] * Merge.DEPTH, maxlen=Merge.DEPTH)
        first = True
        last = False
        while True:
            order = forward if first else self.ports
            for port in order:
                wire, final = port.wire, port is order[-1]
                while port.draining:
                    yield wire
                while True:
                    while wire.offered is None:
                        yield wire
                    ready, kind = max(wire.offered, at), wire.kind
                    if kind in (TOKEN, LAST):
                        break
                    if kind == EVENT:
                        ready = max(ready, leaves[0] + 1)
                        leaves.append(self.event(ready + Merge.LATENCY, port.address))
                    wire.take(ready)
                    at = ready + 1
                if not port.recurrent:
                    last = kind == LAST
                if final:
                    ready = max(ready, leaves[0] + 1)
                    if last:
                        for other in self.ports:
                            while other.draining:
                                yield other.wire
                            ready = max(ready, other.drained + 1)
                wire.take(ready)
                at = ready + 1
            first = last
            if last:
                for port in self.ports:
                    if port.recurrent:
                        port.draining = True
                        self.graph.start(self._drain(port, ready + 1))
            left = yield from self.token(ready + Merge.LATENCY, last)
            leaves.append(left)

    def _drain(self, port: _Port, start: int) -> Iterator[_Signal]:
        wire = port.wire
        while port.draining:
            while wire.offered is None:
                yield wire
            port.draining = wire.kind != LAST
            port.drained = max(wire.offered, start)
            wire.take(port.drained)


class _Sink(_Consumer):
    """The core's output, which is always taken."""

    def event(self, ready: int, address: int) -> int:
        return ready

    def token(self, ready: int, last: bool) -> Waiting:
        if last:
            self.graph.ends.append(ready)
        yield from ()
        return ready


class _LayerProcess(_Consumer):
    """A layer with its merge."""

    def __init__(self, graph: GraphClock, k: int):
        params = graph.params
        ports = [
            graph.port(group[0].source, group[0].recurrent, group[0].depth, group)
            for group in streams(params.layer_ports[k])
        ]
        super().__init__(graph, ports, needs_merge(params, k))
        self.clock = LayerClock(params.layers[k])
        self.wires = graph.takers[k]
        self.steps: list[Counts | None] = []
        """What the layer puts out in each step of all samples."""
        self.sent: list[list[int]] = []
        """The addresses of it, where they matter."""
        self.begun: deque[tuple[Pass, bool]] = deque()
        self.n_begun = self.n_done = 0
        self.progress = _Signal(graph.scheduler)

    def take(self) -> Iterator[_Signal]:
        return self.run()

    def event(self, ready: int, address: int) -> int:
        return self.clock.event(ready, address)

    def token(self, ready: int, last: bool) -> Waiting:
        # A pass may begin before the one before has left, but not before the one before that.
        while self.n_done < self.n_begun - 1:
            yield self.progress
        at, begun = self.clock.token(ready, last)
        self.begun.append((self.clock.begun(begun, self.steps[self.n_begun]), last))
        self.n_begun += 1
        self.progress.change()
        return at

    def give(self) -> Iterator[_Signal]:
        """The layer's output."""
        n = len(self.wires)
        event, token, end = ((kind,) * n for kind in (EVENT, TOKEN, LAST))
        while True:
            while not self.begun:
                yield self.progress
            begun, last = self.begun.popleft()
            addresses = iter(self.sent[self.n_done] if self.sent else ())
            output = self.clock.output(begun)
            offered, is_token = next(output)
            while True:
                kinds = (end if last else token) if is_token else event
                address = 0 if is_token else next(addresses, 0)
                at = yield from self.graph.offer(self.wires, offered, kinds, address)
                try:
                    offered, is_token = output.send(at)
                except StopIteration:
                    break
            self.n_done += 1
            self.progress.change()
