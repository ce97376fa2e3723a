# SPDX-License-Identifier: Apache-2.0
"""The cost model: the cycle at which every token leaves, exactly as the hardware does it.

Follows `hdl.accumulate`, `hdl.neuron` and `hdl.serialise` as a max-plus recurrence: an item moves
on in the first cycle in which it is there and the next stage is free. A layer's step takes
``events * groups + rows`` cycles, more only where a pass of the neuron array must wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikefab.gen.cost_coder import Take, coded_samples, coder_clock
from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.params import CoreParams, InputParams, LayerParams
from spikefab.hdl.queue import Queue
from spikefab.hdl.replay import Replay
from spikefab.hdl.serialise import CHUNK, CHUNKS_DEPTH, SpikeSerialiser, queue_depth
from spikefab.hdl.stop import EarlyStop
from spikefab.hdl.timing import NeuronTiming

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


def predict_cycles(
    params: CoreParams,
    x: np.ndarray,
    spikes: list[np.ndarray],
    steps_used: np.ndarray | None = None,
    *,
    encoded: np.ndarray | None = None,
) -> Cycles:
    """Predicts from what happens: `x` the samples as the core's input takes them, `spikes` a layer
    (samples, steps, n) spike counts, as the golden model gives them.

    With an early stop, `steps_used` (samples,) is when samples end, and `spikes` go on behind it
    (`full` of the golden model): steps are in flight when the stop is known.

    `encoded`: what a coder makes of `x`, (samples, steps, *shape) as `sim.encode` gives it; needed
    with the codings rate, latency and delta.
    """
    n_samples = len(x)
    if params.stop is None or steps_used is None:
        steps_used = np.full(n_samples, spikes[0].shape[1])
    events: Any = _items(params.input, x)
    if params.input.spiking:
        assert encoded is not None, "a coder's spikes come from sim.encode"
        events = coded_samples(params, x, encoded)
    chunks = [
        _chunk_counts(layer, s) if layer.neuron.spiking else None
        for layer, s in zip(params.layers, spikes, strict=True)
    ]
    alone = np.zeros(n_samples, np.int64)
    first = np.zeros(n_samples + 1, np.int64)
    stream = _Pipeline(params)
    for sample in range(n_samples + 1):
        following = sample % n_samples
        own = [None if c is None else c[following] for c in chunks]
        used = int(steps_used[following])
        first[sample], _ = stream.sample(events[following], own, used)
        if sample < n_samples:
            start, end = _Pipeline(params).sample(events[sample], own, used)
            alone[sample] = end - start
    return Cycles(cycles=alone, interval=np.diff(first))


def _items(coding: InputParams, x: np.ndarray) -> np.ndarray:
    """Input events (samples, tokens of a sample)."""
    x = x.reshape(len(x), 1 if coding.framed else x.shape[1], -1)
    # Values that are zero are not sent.
    return (x != 0).sum(axis=2) if coding.payload_width else x.sum(axis=2)


def _chunk_counts(layer: LayerParams, spikes: np.ndarray) -> np.ndarray:
    """Spikes a chunk: (samples, steps, rows, chunks a row)."""
    n_chunks = -(-layer.row_lanes // CHUNK)
    shape = spikes.shape[:2]
    lanes = np.zeros((*shape, layer.rows * layer.row_lanes), np.int64)
    lanes[..., : layer.neuron.n] = spikes
    padded = np.zeros((*shape, layer.rows, n_chunks * CHUNK), np.int64)
    padded[..., : layer.row_lanes] = lanes.reshape(*shape, layer.rows, layer.row_lanes)
    return padded.reshape(*shape, layer.rows, n_chunks, CHUNK).sum(axis=-1)


class _LayerClock:
    """When each register of a layer was last loaded; times are cycles of acceptance."""

    def __init__(self, params: LayerParams):
        self.groups = params.groups
        self.rows = params.rows
        self.n = params.neuron.n
        self.row_lanes = params.row_lanes
        timing = NeuronTiming(params.neuron, params.rows, params.family)
        self.spacing = timing.spacing
        self.replay = params.replay
        # From a token's acceptance to the arrival of its first group of sums.
        self.sums = AccumulateEngine.latency(params.synapse)
        # From a pass's start to its first group at the queue's input.
        self.done = (Replay.LATENCY if params.replay else self.sums) + timing.output
        if params.neuron.spiking:
            self.done += SpikeSerialiser.latency(params.row_lanes)
        self.queue = Queue.latency(queue_depth(params.rows))
        self.split = params.row_lanes > CHUNK
        self.engine_free = 0  # first cycle in which the engine takes an item
        self.pass_free = 0  # first cycle in which the neuron array starts a pass
        self.replay_free = 0  # first cycle in which the replay takes a frame's pass
        # When room for a group came back: its entry left the queue, or it was never queued.
        self.returns = [-1] * queue_depth(params.rows)
        self.entry = -1  # when the previous entry left the queue
        self.chunk = -1  # when the previous chunk was chosen
        # When the latest chunks left the queue between the serialiser's stages: as many as it has.
        self.loads = [-1] * CHUNKS_DEPTH
        self.emitted = -1  # when the previous chunk's last item was loaded for output
        self.accepted = -1  # when the previous output item was taken

    def event(self, ready: int) -> int:
        """The cycle in which an event that is offered from `ready` is accepted."""
        at = max(ready, self.engine_free)
        self.engine_free = at + self.groups
        return at

    def token(self, ready: int) -> int:
        """The same for a token, with which a pass starts."""
        at = self.begin(max(ready, self.engine_free))
        self.engine_free = at + self.rows
        return at

    def frame(self, ready: int) -> int:
        """The same for the token of a frame that is replayed."""
        at = max(ready, self.engine_free, self.replay_free)
        self.engine_free = at + self.rows
        return at

    def begin(self, ready: int) -> int:
        """The cycle in which a pass that could start from `ready` does."""
        self.returns.sort()
        room = self.returns[self.rows - 1] + 1
        del self.returns[: self.rows]
        at = max(ready, self.pass_free, room)
        self.pass_free = at + self.spacing
        return at


class _Pipeline:
    """The whole core's clock."""

    def __init__(self, params: CoreParams):
        self.layers = [_LayerClock(layer) for layer in params.layers]
        self.coder = coder_clock(params)
        self.coder_ends = params.input.coding == "rate"
        self.latency = 0 if params.stop is None else EarlyStop.LATENCY
        self.offered = 0  # when the next input item is offered: it follows the one before
        self.used = 0  # steps after which the sample ends
        self.end = 0  # when its last output token left
        self.stopped = NEVER  # first cycle in which the front knows

    def sample(self, events: Any, chunks: list[np.ndarray | None], used: int) -> tuple[int, int]:
        """Streams one sample in; returns when its first item and its last output token pass."""
        layer0 = self.layers[0]
        if self.coder is not None:
            self.used, self.stopped = used, NEVER
            start = self.coder.sample(events, self._taker(chunks), lambda: self.stopped)
            return start, self.end
        start = max(self.offered, layer0.engine_free)
        self.used, self.stopped = used, NEVER
        n_tokens = len(events)
        for t, n_events in enumerate(events):
            self._events(int(n_events))
            if layer0.replay:
                token = layer0.frame(self.offered)
                start = token if not n_events else start
                self.offered = token + 1
                self._replay(token, chunks)
                break
            cut = self.offered >= self.stopped
            token = layer0.token(self.offered)
            start = token if t == 0 and not n_events else start
            self.offered = token + 1
            self._step(token, t, chunks)
            if cut:
                # The gate drops the rest, an item a cycle.
                self.offered += int(events[t + 1 :].sum()) + n_tokens - t - 1
                break
        return start, self.end

    def _events(self, count: int) -> None:
        """A step's events at the core's input."""
        if count:
            layer0 = self.layers[0]
            first = max(self.offered, layer0.engine_free)
            layer0.engine_free = first + count * layer0.groups
            self.offered = layer0.engine_free - layer0.groups + 1

    def _taker(self, chunks: list[np.ndarray | None]) -> Take:
        """The first layer as the coder sees it, for one sample."""
        layer0 = self.layers[0]
        t, cut = 0, False

        def take(offered: int, token: bool) -> int:
            nonlocal t, cut
            if cut:
                return offered
            if not token:
                return layer0.event(offered)
            # Rate coding ends by itself, the others by a gate.
            cut = not self.coder_ends and offered >= self.stopped
            at = layer0.token(offered)
            self._step(at, t, chunks)
            t += 1
            return at

        return take

    def _replay(self, token: int, chunks: list[np.ndarray | None]) -> None:
        """The steps of the frame whose token was accepted at `token`."""
        layer = self.layers[0]
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

    def _emit(self, k: int, token: int, t: int, chunks: list[np.ndarray | None]) -> int:
        """What layer `k` puts out for the pass that began at `token`; the time its token left."""
        layer = self.layers[k]
        following = self.layers[k + 1] if k + 1 < len(self.layers) else None
        own = chunks[k]
        if own is None:
            return self._membranes(layer, token)
        step = own[t].tolist()
        out = 0
        for group, counts in enumerate(step):
            end = group == layer.rows - 1
            waiting = [c for c in counts if c]
            done = token + layer.done + group
            if not waiting and not end:
                layer.returns.append(done)
                continue
            there = max(done + layer.queue, layer.entry + 1)
            if layer.split:
                # Taken up when the entry before has given its last chunk.
                layer.entry = there = max(there, layer.chunk)
                there += 1
            for index, count in enumerate(waiting or [0]):
                final = end and index >= len(waiting) - 1
                if layer.split:
                    layer.chunk = there = max(there, layer.loads[0] + 1)
                    load = max(there + Queue.latency(CHUNKS_DEPTH), layer.emitted)
                    layer.loads = [*layer.loads[1:], load]
                else:
                    layer.entry = there = load = max(there, layer.emitted)
                ready = load + 1
                for item in range(count + final):
                    is_token = item == count
                    ready = max(ready, layer.accepted)
                    layer.emitted = ready
                    offered = ready + 1
                    if following is None:
                        layer.accepted = offered
                    elif is_token:
                        layer.accepted = following.token(offered)
                    else:
                        layer.accepted = following.event(offered)
                    ready += 1
                there += 1
            layer.returns.append(layer.entry)
            out = layer.accepted
        if following is not None:
            return self._emit(k + 1, out, t, chunks)
        return out

    def _membranes(self, layer: _LayerClock, token: int) -> int:
        """An integrator's output: every neuron, then the token; nothing comes after it."""
        for group in range(layer.rows):
            end = group == layer.rows - 1
            there = max(token + layer.done + group + layer.queue, layer.entry + 1)
            size = layer.n - group * layer.row_lanes if end else layer.row_lanes
            first = max(there, layer.accepted)
            # The output register takes one item a cycle and the consumer is always ready.
            layer.accepted = first + size + end
            layer.entry = layer.accepted - 1
            layer.returns.append(layer.entry)
        return layer.accepted
