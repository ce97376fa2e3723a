# SPDX-License-Identifier: Apache-2.0
"""The cost model: the cycle at which every token leaves, exactly as the hardware does it.

A chain's is here, that of any other graph in `gen.cost_graph`; both follow the hardware as a
max-plus recurrence over what each register does. A layer's step takes ``events * groups + rows``
cycles, more only where a pass of the neuron array must wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikefab.gen.cost_coder import Take, coded_samples, coder_clock
from spikefab.gen.cost_graph import GraphClock, input_runs
from spikefab.gen.cost_layer import LayerClock, chunk_counts, count_chunks, event_addresses
from spikefab.gen.cost_shared import SharedClock
from spikefab.hdl.params import INPUT, CoreParams, InputParams
from spikefab.hdl.shared_params import SharedParams, shared_units
from spikefab.hdl.stop import EarlyStop

__all__ = ["Cycles", "predict_cycles"]


@dataclass(frozen=True, eq=False)
class Cycles:
    """Clock cycles a sample, int64 (samples,)."""

    cycles: np.ndarray
    """From acceptance of a sample's first item to acceptance of its last output token, input
    always offered, output always ready, the sample alone in the pipeline."""
    interval: np.ndarray
    """From a sample's first item to the next one's, back to back; behind the last sample comes the
    first one again."""


NEVER = 1 << 62

Addresses = list[list[list[int]]] | None


def predict_cycles(
    params: CoreParams,
    x: np.ndarray,
    spikes: list[np.ndarray],
    steps_used: np.ndarray | None = None,
    *,
    encoded: np.ndarray | None = None,
) -> Cycles:
    """Predicts from what happens: `x` the samples as the core's input takes them, `spikes` a layer
    (samples, steps, n) spike counts, as the golden model gives them. Where a layer has a structure,
    the last axis of `x` is the input's addresses, and a step's events come in their order.

    With an early stop, `steps_used` (samples,) is when samples end, and `spikes` go on behind it
    (`full` of the golden model): steps are in flight when the stop is known.

    `encoded`: what a coder makes of `x`, (samples, steps, *shape) as `sim.encode` gives it; needed
    with the codings rate, latency and delta.
    """
    n_samples = len(x)
    if params.stop is None or steps_used is None:
        steps_used = np.full(n_samples, spikes[0].shape[1])
    events: Any = _items(params.input, x)
    addresses = _addresses(params, x, spikes, encoded)
    if params.input.spiking:
        assert encoded is not None, "a coder's spikes come from sim.encode"
        events = coded_samples(params, x, encoded)
    chunks: list[np.ndarray | None] = [
        chunk_counts(layer, s) if layer.neuron.spiking else None
        for layer, s in zip(params.layers, spikes, strict=True)
    ]
    for first_layer, last_layer in params.shared:
        shared = SharedParams(params.layers[first_layer : last_layer + 1])
        for k, phase in enumerate(shared.phases, first_layer):
            chunks[k] = count_chunks(spikes[k], phase.rows, shared.row_lanes)
    if not params.is_chain:
        return _graph_cycles(params, x, chunks, addresses)
    alone = np.zeros(n_samples, np.int64)
    first = np.zeros(n_samples + 1, np.int64)
    stream = _Pipeline(params)
    for sample in range(n_samples + 1):
        following = sample % n_samples
        own = [None if c is None else c[following] for c in chunks]
        used = int(steps_used[following])
        where = [None if a is None else a[following] for a in addresses]
        first[sample], _ = stream.sample(events[following], own, used, where)
        if sample < n_samples:
            start, end = _Pipeline(params).sample(events[sample], own, used, where)
            alone[sample] = end - start
    return Cycles(cycles=alone, interval=np.diff(first))


def _graph_cycles(
    params: CoreParams, x: np.ndarray, chunks: list[np.ndarray | None], addresses: list[Addresses]
) -> Cycles:
    runs = input_runs(params, x)
    steps = [[None if c is None else c[s].tolist() for c in chunks] for s in range(len(x))]
    where = [[None if a is None else a[s] for a in addresses] for s in range(len(x))]
    alone = []
    for sample, counts, own in zip(runs, steps, where, strict=True):
        (start,), (end,) = GraphClock(params).run([sample], [counts], [own])
        alone.append(end - start)
    again = [*runs, runs[0]], [*steps, steps[0]], [*where, where[0]]
    first, _ = GraphClock(params).run(*again)
    return Cycles(cycles=np.array(alone, np.int64), interval=np.diff(first).astype(np.int64))


def _addresses(
    params: CoreParams, x: np.ndarray, spikes: list[np.ndarray], encoded: np.ndarray | None
) -> list[Addresses]:
    """The addresses of the events of the input and of each layer, sample by sample, step by step;
    None where each event costs the same."""
    needed = {
        port.source
        for layer, ports in zip(params.layers, params.layer_ports, strict=True)
        for port in ports
        if layer.structure is not None or any(port.delays)
    }
    found: list[Addresses] = []
    if INPUT in needed:
        x = encoded if params.input.spiking and encoded is not None else x
        x = x.reshape(len(x), 1 if params.input.coding == "static" else x.shape[1], -1)
        items = x != 0 if params.input.payload_width and not params.input.spiking else x
        each = np.arange(x.shape[2])
        found.append([[np.repeat(each, step).tolist() for step in sample] for sample in items])
    else:
        found.append(None)
    for k, (layer, own) in enumerate(zip(params.layers, spikes, strict=True)):
        wanted = k in needed and layer.neuron.spiking
        found.append(event_addresses(layer, own) if wanted else None)
    return found


def _items(coding: InputParams, x: np.ndarray) -> np.ndarray:
    """Input events (samples, tokens of a sample)."""
    x = x.reshape(len(x), 1 if coding.framed else x.shape[1], -1)
    # Values that are zero are not sent.
    return (x != 0).sum(axis=2) if coding.payload_width else x.sum(axis=2)


class _Unit:
    """What has an engine of its own: a layer, or several that share one."""

    def __init__(self, params: CoreParams, layers: range):
        self.layers = layers
        self.clock: LayerClock | SharedClock
        if len(layers) > 1:
            self.clock = SharedClock(SharedParams(params.layers[layers[0] : layers[-1] + 1]))
        else:
            self.clock = LayerClock(params.layers[layers[0]])


class _Pipeline:
    """The whole core's clock."""

    def __init__(self, params: CoreParams):
        self.units = [
            _Unit(params, unit) for unit in shared_units(len(params.layers), params.shared)
        ]
        self.first = self.units[0].clock
        self.coder = coder_clock(params)
        self.coder_ends = params.input.coding == "rate"
        self.latency = 0 if params.stop is None else EarlyStop.LATENCY
        self.offered = 0  # when the next input item is offered: it follows the one before
        self.used = 0  # steps after which the sample ends
        self.end = 0  # when its last output token left
        self.stopped = NEVER  # first cycle in which the front knows
        self.where: list[list[list[int]] | None] = []

    def sample(
        self,
        events: Any,
        chunks: list[np.ndarray | None],
        used: int,
        where: list[list[list[int]] | None],
    ) -> tuple[int, int]:
        """Streams one sample in; returns when its first item and its last output token pass.

        `where`: the addresses of the events that the input, and each layer, sends in each step.
        """
        layer0 = self.first
        self.where = where
        if self.coder is not None:
            self.used, self.stopped = used, NEVER
            start = self.coder.sample(events, self._taker(chunks), lambda: self.stopped)
            return start, self.end
        start = -1
        self.used, self.stopped = used, NEVER
        n_tokens = len(events)
        for t, n_events in enumerate(events):
            first = self._events(int(n_events), t)
            if layer0.replay:
                token, begun = layer0.frame(self.offered)
                start = first if n_events else token
                self.offered = token + 1
                self._replay(begun, chunks)
                break
            cut = self.offered >= self.stopped
            token, begun = layer0.token(self.offered, t == n_tokens - 1)
            if t == 0:
                start = first if n_events else token
            self.offered = token + 1
            self._step(begun, t, chunks)
            if cut:
                # The gate drops the rest, an item a cycle.
                self.offered += int(events[t + 1 :].sum()) + n_tokens - t - 1
                break
        return start, self.end

    def _events(self, count: int, t: int) -> int:
        """A step's events at the core's input; when the first one is taken."""
        layer0 = self.first
        first = -1
        own = self.where[0]
        if own is not None:
            for address in own[t]:
                at = layer0.event(self.offered, address)
                first = at if first < 0 else first
                self.offered = at + 1
        elif count and layer0.ahead is not None:
            for _ in range(count):
                at = layer0.event(self.offered)
                first = at if first < 0 else first
                self.offered = at + 1
        elif count:
            first = max(self.offered, layer0.engine_free)
            layer0.engine_free = first + count * layer0.groups
            self.offered = layer0.engine_free - layer0.groups + 1
        return first

    def _taker(self, chunks: list[np.ndarray | None]) -> Take:
        """The first layer as the coder sees it, for one sample."""
        layer0 = self.first
        t, cut = 0, False
        own = self.where[0]
        order = [iter(step) for step in own or ()]

        def take(offered: int, token: bool) -> int:
            nonlocal t, cut
            if cut:
                return offered
            if not token:
                return layer0.event(offered, next(order[t]) if order else 0)
            # Rate coding ends by itself, the others by a gate.
            cut = not self.coder_ends and offered >= self.stopped
            at, begun = layer0.token(offered)
            self._step(begun, t, chunks)
            t += 1
            return at

        return take

    def _replay(self, token: int, chunks: list[np.ndarray | None]) -> None:
        """The steps of the frame whose token began at `token`."""
        layer = self.first
        ready = token + layer.sums + layer.rows
        for t in range(layer.replay):
            cut = ready >= self.stopped
            begin = layer.begin(ready)
            ready = begin + layer.rows
            self._step(begin, t, chunks)
            if cut:
                break
        layer.replay_free = ready + 1

    def _step(self, token: int, t: int, chunks: list[np.ndarray | None]) -> None:
        """Step `t`, of which the first layer's pass begins at `token`."""
        out = self._emit(0, token, t, chunks)
        if t == self.used - 1:
            self.end = out + self.latency
            if self.latency:
                # A register between the decision and the front.
                self.stopped = self.end

    def _emit(self, u: int, token: int, t: int, chunks: list[np.ndarray | None]) -> int:
        """What unit `u` puts out for the pass that began at `token`; the time its token left."""
        unit = self.units[u]
        following = self.units[u + 1].clock if u + 1 < len(self.units) else None
        last = t == self.used - 1
        for phase, k in enumerate(unit.layers):
            own, sent = chunks[k], self.where[k + 1]
            addresses = iter(() if sent is None else sent[t])
            inside = k != unit.layers[-1]
            clock = unit.clock
            output = clock.output(clock.begun(token, None if own is None else own[t].tolist()))
            offered, is_token = next(output)
            begun = 0
            while True:
                out = offered
                if inside:
                    assert isinstance(clock, SharedClock)
                    if is_token:
                        out, token = clock.token(offered, last, phase + 1)
                    else:
                        out = clock.event(offered, next(addresses, 0), phase + 1)
                elif following is not None and is_token:
                    out, begun = following.token(offered, last)
                elif following is not None:
                    out = following.event(offered, next(addresses, 0))
                try:
                    offered, is_token = output.send(out)
                except StopIteration:
                    break
        if following is not None:
            return self._emit(u + 1, begun, t, chunks)
        return out
