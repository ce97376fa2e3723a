# SPDX-License-Identifier: Apache-2.0
"""A layer's part of the cost model: when its registers are loaded.

Follows `hdl.accumulate` (`gen.cost_conv` follows `hdl.scatter`), `hdl.neuron` and `hdl.serialise`
as a max-plus recurrence: an item moves on in the first cycle in which it is there and the next
stage is free.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from spikefab.gen.cost_conv import ScatterClock, address_cycles
from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.params import LayerParams
from spikefab.hdl.queue import Queue
from spikefab.hdl.replay import Replay
from spikefab.hdl.scatter import ScatterEngine
from spikefab.hdl.serialise import CHUNK, CHUNKS_DEPTH, SpikeSerialiser, queue_depth
from spikefab.hdl.timing import NeuronTiming

__all__ = [
    "Counts",
    "LayerClock",
    "Output",
    "Pass",
    "chunk_counts",
    "count_chunks",
    "event_addresses",
]

Counts = list[list[int]]
"""A step's spikes of each chunk of each row."""

Output = Generator[tuple[int, bool], int, None]
"""A step's output, item by item: gives when it is offered and whether it is the token, takes when
it is accepted."""


def chunk_counts(layer: LayerParams, spikes: np.ndarray) -> np.ndarray:
    """Events a chunk: (samples, steps, rows, chunks a row)."""
    if layer.graded:
        spikes = spikes != 0
    return count_chunks(_by_place(layer, spikes), layer.rows, layer.row_lanes)


def count_chunks(spikes: np.ndarray, rows: int, row_lanes: int) -> np.ndarray:
    """The same of spikes (samples, steps, places)."""
    n_chunks = -(-row_lanes // CHUNK)
    shape = spikes.shape[:2]
    lanes = np.zeros((*shape, rows * row_lanes), np.int64)
    lanes[..., : spikes.shape[2]] = spikes
    padded = np.zeros((*shape, rows, n_chunks * CHUNK), np.int64)
    padded[..., :row_lanes] = lanes.reshape(*shape, rows, row_lanes)
    return padded.reshape(*shape, rows, n_chunks, CHUNK).sum(axis=-1)


def event_addresses(layer: LayerParams, spikes: np.ndarray) -> list[list[list[int]]]:
    """The addresses of a layer's events in the order in which they leave: sample by sample, step by
    step."""
    placed = _by_place(layer, spikes != 0 if layer.graded else spikes).astype(np.int64)
    addresses = np.arange(layer.neuron.n)
    if layer.grid is not None:
        own = layer.grid.addresses
        addresses = np.array([-1 if n is None else own[n] for n in layer.grid.neurons(layer.lanes)])
    return [[np.repeat(addresses, step).tolist() for step in sample] for sample in placed]


def _by_place(layer: LayerParams, spikes: np.ndarray) -> np.ndarray:
    """Spikes (samples, steps, n) by their place in the layer's layout; padding has none."""
    if layer.grid is None:
        return spikes
    places = layer.grid.neurons(layer.lanes)
    found = np.zeros((*spikes.shape[:2], len(places)), spikes.dtype)
    real = [k for k, number in enumerate(places) if number is not None]
    found[..., real] = spikes[..., [number for number in places if number is not None]]
    return found


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
        self.row_lanes = params.row_lanes
        self.sizes = _row_sizes(params)
        self.spiking = params.neuron.spiking
        timing = NeuronTiming(params.neuron, params.rows, params.family)
        self.spacing = timing.spacing
        self.replay = params.replay
        # Of an event, by its address; None: each takes as many cycles.
        self.cycles = address_cycles(params)
        self.clear = params.clear_cycles
        self.ahead = None if self.cycles is None else ScatterClock()
        # From a token's start to the arrival of its first group of sums.
        self.sums = AccumulateEngine.latency(params.synapse)
        if params.structure is not None:
            self.sums = ScatterEngine.latency(params)
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

    def event(self, ready: int, address: int = 0) -> int:
        """The cycle in which an event that is offered from `ready` is accepted."""
        if self.cycles is not None and self.ahead is not None:
            return self.ahead.item(ready, self.cycles[address])[0]
        at = max(ready, self.engine_free)
        self.engine_free = at + self.groups
        return at

    def token(self, ready: int, last: bool = False) -> tuple[int, int]:
        """The same for a token, and the cycle in which its pass starts. `last`: of a sample; it
        matters where synapses have delays."""
        if self.ahead is not None:
            return self.ahead.item(ready, self.rows + last * self.clear, self.begin)
        at = self.begin(max(ready, self.engine_free))
        self.engine_free = at + self.rows
        return at, at

    def frame(self, ready: int) -> tuple[int, int]:
        """The same for the token of a frame that is replayed."""
        if self.ahead is not None:
            return self.ahead.item(ready, self.rows, lambda at: max(at, self.replay_free))
        at = max(ready, self.engine_free, self.replay_free)
        self.engine_free = at + self.rows
        return at, at

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
            rows: list[tuple[int, list[int]]] = []
            for row, size in enumerate(self.sizes):
                if size:
                    rows.append((row, []))
                else:
                    self.returns.append(at + self.done + row)
            return Pass(at, rows)
        return self.queued(at, counts)

    def queued(self, at: int, counts: Counts) -> Pass:
        """A pass of spikes that began at a cycle."""
        rows: list[tuple[int, list[int]]] = []
        for row, chunks in enumerate(counts):
            waiting = [c for c in chunks if c]
            if waiting or row == len(counts) - 1:
                rows.append((row, waiting))
            else:
                self.returns.append(at + self.done + row)
        return Pass(at, rows)

    def output(self, begun: Pass) -> Output:
        """What the layer puts out for a pass; passes in their order."""
        return self._spikes(begun) if self.spiking else self._membranes(begun)

    def _spikes(self, begun: Pass) -> Output:
        for row, waiting in begun.rows:
            end = row == begun.rows[-1][0]
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
            end = row == begun.rows[-1][0]
            there = max(begun.begun + self.done + row + self.queue, self.entry + 1)
            size = self.sizes[row]
            for item in range(size + end):
                # The item goes to the output register when that is free.
                self.entry = there = max(there, self.accepted)
                self.accepted = yield there + 1, item == size
            self.returns.append(self.entry)


def _row_sizes(params: LayerParams) -> list[int]:
    """Neurons of each row."""
    n, lanes = params.neuron.n, params.row_lanes
    real = [True] * n
    if params.grid is not None:
        real = [number is not None for number in params.grid.neurons(params.lanes)]
    return [sum(real[k : k + lanes]) for k in range(0, params.rows * lanes, lanes)]
