# SPDX-License-Identifier: Apache-2.0
"""A layer's part of the cost model: when its registers are loaded.

Follows `hdl.accumulate`, `hdl.neuron` and `hdl.serialise` as a max-plus recurrence: an item moves
on in the first cycle in which it is there and the next stage is free.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.params import LayerParams
from spikefab.hdl.queue import Queue
from spikefab.hdl.replay import Replay
from spikefab.hdl.serialise import CHUNK, CHUNKS_DEPTH, SpikeSerialiser, queue_depth
from spikefab.hdl.timing import NeuronTiming

__all__ = ["Counts", "LayerClock", "Output", "Pass", "chunk_counts"]

Counts = list[list[int]]
"""A step's spikes of each chunk of each row."""

Output = Generator[tuple[int, bool], int, None]
"""A step's output, item by item: gives when it is offered and whether it is the token, takes when
it is accepted."""


def chunk_counts(layer: LayerParams, spikes: np.ndarray) -> np.ndarray:
    """Events a chunk: (samples, steps, rows, chunks a row)."""
    if layer.graded:
        spikes = spikes != 0
    n_chunks = -(-layer.row_lanes // CHUNK)
    shape = spikes.shape[:2]
    lanes = np.zeros((*shape, layer.rows * layer.row_lanes), np.int64)
    lanes[..., : layer.neuron.n] = spikes
    padded = np.zeros((*shape, layer.rows, n_chunks * CHUNK), np.int64)
    padded[..., : layer.row_lanes] = lanes.reshape(*shape, layer.rows, layer.row_lanes)
    return padded.reshape(*shape, layer.rows, n_chunks, CHUNK).sum(axis=-1)


class Pass:
    """A pass of the neuron array that has begun."""

    def __init__(self, begun: int, rows: list[tuple[int, list[int]]]):
        self.begun = begun
        self.rows = rows
        """Rows that are queued, by their numbers, with their spikes a chunk."""


class LayerClock:
    """When each register of a layer was last loaded; times are cycles of acceptance."""

    def __init__(self, params: LayerParams):
        self.groups = params.groups
        self.rows = params.rows
        self.n = params.neuron.n
        self.row_lanes = params.row_lanes
        self.spiking = params.neuron.spiking
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

    def begun(self, at: int, counts: Counts | None) -> Pass:
        """The pass that began at a cycle; what it never queues gives its room back."""
        if counts is None:
            return Pass(at, [(row, []) for row in range(self.rows)])
        rows = []
        for row, chunks in enumerate(counts):
            waiting = [c for c in chunks if c]
            if waiting or row == self.rows - 1:
                rows.append((row, waiting))
            else:
                self.returns.append(at + self.done + row)
        return Pass(at, rows)

    def output(self, begun: Pass) -> Output:
        """What the layer puts out for a pass; passes in their order."""
        return self._spikes(begun) if self.spiking else self._membranes(begun)

    def _spikes(self, begun: Pass) -> Output:
        for row, waiting in begun.rows:
            end = row == self.rows - 1
            there = max(begun.begun + self.done + row + self.queue, self.entry + 1)
            if self.split:
                # Taken up when the entry before has given its last chunk.
                self.entry = there = max(there, self.chunk)
                there += 1
            for index, count in enumerate(waiting or [0]):
                final = end and index >= len(waiting) - 1
                if self.split:
                    self.chunk = there = max(there, self.loads[0] + 1)
                    load = max(there + Queue.latency(CHUNKS_DEPTH), self.emitted)
                    self.loads = [*self.loads[1:], load]
                else:
                    self.entry = there = load = max(there, self.emitted)
                ready = load + 1
                for item in range(count + final):
                    self.emitted = ready = max(ready, self.accepted)
                    self.accepted = yield ready + 1, item == count
                    ready += 1
                there += 1
            self.returns.append(self.entry)

    def _membranes(self, begun: Pass) -> Output:
        """Every neuron, then the token."""
        for row, _ in begun.rows:
            end = row == self.rows - 1
            there = max(begun.begun + self.done + row + self.queue, self.entry + 1)
            size = self.n - row * self.row_lanes if end else self.row_lanes
            for item in range(size + end):
                # The item goes to the output register when that is free.
                self.entry = there = max(there, self.accepted)
                self.accepted = yield there + 1, item == size
            self.returns.append(self.entry)
