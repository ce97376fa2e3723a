# SPDX-License-Identifier: Apache-2.0
"""The golden model: `docs/numeric-contract.md` in numpy, batched over samples.

What every simulator, netlist and board must equal, bit for bit. It shares the parameter object
with the hardware and no arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from spikefab.gen.qnetwork import ConvConnection, DenseConnection, QEdge, QLayer, QNetwork
from spikefab.gen.samples import check_counts, check_samples
from spikefab.sim.conv import convolve
from spikefab.sim.encode import encode
from spikefab.sim.golden_order import groups
from spikefab.sim.neurons import Neurons
from spikefab.sim.stop import clear_after, leads, scores, steps_used

__all__ = ["GoldenResult", "run_golden"]

CHUNK_BYTES = 8 << 20
"""Working memory a chunk of samples may take in the widest layer: more only misses caches."""

_runners: WeakKeyDictionary[QNetwork, _Network] = WeakKeyDictionary()
_layers: WeakKeyDictionary[QLayer, _Layer] = WeakKeyDictionary()
"""Neither changes ever: what was made of one serves as long as it lives."""


@dataclass(frozen=True, eq=False)
class GoldenResult:
    """Spikes and membranes a population, keyed by its name."""

    spikes: dict[str, np.ndarray]
    """int16 (samples, steps, n); zeros for an integrator."""
    mem: dict[str, np.ndarray]
    """int64 (samples, steps, n), membrane LSBs after the step, for recorded populations and
    always for an integrator."""
    steps_used: np.ndarray
    """int32 (samples,): steps after which each sample ended; all steps without an early stop.
    Rows of `spikes` and `mem` behind them are 0."""


def run_golden(
    qnet: QNetwork,
    x: np.ndarray | Mapping[str, np.ndarray],
    *,
    record: Collection[str] = (),
    encoded: bool = False,
    full: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> GoldenResult:
    """Runs samples through the integer network.

    `x`: integers (samples, steps, *input_shape), events an input a step, 0 to `input_max`; where
    the input is framed, values (samples, *input_shape); of several inputs an array by name, or all
    side by side (samples, steps, inputs). `encoded`: `x` went through `sim.encode.encode` already.
    `record`: populations whose membranes to keep. `full`: what an early stop cuts off stays: every
    row is as without it, and `steps_used` says where it ends. `progress(done, total)` is called a
    chunk. Raises `InputError` for samples that the network does not take.
    """
    if encoded and isinstance(x, np.ndarray):
        x = check_counts(x, x.shape[2:], qnet.input_max, qnet.steps)
    else:
        x = encode(qnet.input, check_samples(qnet, x))
    n_samples, n_steps = x.shape[:2]
    spikes = {
        layer.name: np.zeros((n_samples, n_steps, layer.neuron.n), np.int16)
        for layer in qnet.layers
    }
    mem = {
        layer.name: np.zeros((n_samples, n_steps, layer.neuron.n), np.int64)
        for layer in qnet.layers
        if layer.name in record or not layer.neuron.spiking
    }
    widest = max(qnet.n_inputs, *(layer.neuron.n for layer in qnet.layers))
    chunk = max(1, CHUNK_BYTES // (4 * max(1, n_steps) * widest))
    run = _runner(qnet)
    used = np.full(n_samples, n_steps, np.int32)
    for start in range(0, n_samples, chunk):
        stop = min(start + chunk, n_samples)
        # Time first: each step is then one contiguous block.
        events = np.ascontiguousarray(
            x[start:stop].reshape(stop - start, n_steps, -1).swapaxes(0, 1)
        )
        counts = run(events, {name: trace[start:stop] for name, trace in mem.items()})
        for name, kept in spikes.items():
            kept[start:stop] = counts[name].swapaxes(0, 1)
        if qnet.stop is not None:
            (last,) = qnet.output_layers
            output = None if last.neuron.spiking else mem[last.name][start:stop]
            score = scores(spikes[last.name][start:stop], output)
            used[start:stop] = steps_used(qnet.stop, leads(score))
        if progress is not None:
            progress(stop, n_samples)
    if qnet.stop is not None and not full:
        for recorded in (spikes, mem):
            for values in recorded.values():
                clear_after(values, used)
    return GoldenResult(spikes, mem, used)


def _runner(qnet: QNetwork) -> _Network:
    if qnet not in _runners:
        _runners[qnet] = _Network(qnet)
    return _runners[qnet]


class _Network:
    """A network's layers in the order in which they run."""

    def __init__(self, qnet: QNetwork):
        self.inputs = qnet.input_ranges  # not `qnet`, which has to be free to go
        self.groups = [[_layer(layer) for layer in group] for group in groups(qnet)]

    def __call__(self, events: np.ndarray, traces: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Events of all inputs (steps, samples, n_in) to spike counts (steps, samples, n) by
        population, bool or int16. `traces` (samples, steps, n) take membranes."""
        counts = {name: events[:, :, part] for name, part in self.inputs.items()}
        for group in self.groups:
            if len(group) == 1 and not group[0].loops:
                (layer,) = group
                counts[layer.name] = layer.run(counts, traces.get(layer.name))
            else:
                counts |= _run_together(group, counts, traces)
        return counts


def _run_together(
    group: list[_Layer], counts: dict[str, np.ndarray], traces: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Layers on a cycle, step by step. `counts`: spikes of all that drives them from outside."""
    inside = {layer.name for layer in group}
    n_steps, n_samples = next(iter(counts.values())).shape[:2]
    sums = [layer.sums(counts, n_steps, n_samples) for layer in group]
    states = [layer.neurons.start(n_samples) for layer in group]
    out = {
        layer.name: np.zeros((n_steps, n_samples, layer.neurons.neuron.n), layer.neurons.dtype)
        for layer in group
    }
    for t in range(n_steps):
        for layer, total, state in zip(group, sums, states, strict=True):
            for edge in layer.edges:
                at = t - edge.delay
                if edge.source in inside and at >= 0:
                    total[t] += edge(out[edge.source][at])
            layer.neurons.step(state, layer.neurons.inputs(total[t]), out[layer.name][t])
            if layer.name in traces:
                traces[layer.name][:, t] = state.v
    return out


def _layer(layer: QLayer) -> _Layer:
    if layer not in _layers:
        _layers[layer] = _Layer(layer)
    return _layers[layer]


class _Edge:
    """A dense edge, in a number type that holds its layer's sums exactly."""

    def __init__(self, edge: QEdge, dense: DenseConnection, kind: type[np.floating]):
        self.source, self.delay = edge.source, int(edge.recurrent)
        self.weights = np.ascontiguousarray(dense.weights.T.astype(kind))

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """What counts (…, n_source) add to sums, (…, n)."""
        n_source, n = self.weights.shape
        flat = counts.reshape(-1, n_source).astype(self.weights.dtype)
        sums: np.ndarray = flat @ self.weights
        return sums.reshape(*counts.shape[:-1], n)


class _ConvEdge:
    """A convolution."""

    def __init__(self, edge: QEdge, conv: ConvConnection, kind: type[np.floating]):
        self.source, self.delay = edge.source, int(edge.recurrent)
        self.conv, self.kind = conv, kind
        p = conv.params
        # What convolving one step unfolds to.
        self.unfolded = p.in_shape[0] * math.prod((*p.out_size, *p.kernel))

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """What counts (…, n_source) add to sums, (…, n)."""
        p = self.conv.params
        flat = counts.reshape(-1, *p.in_shape)
        sums = np.empty((len(flat), self.conv.n_out), self.kind)
        rows = max(1, CHUNK_BYTES // (4 * self.unfolded))
        for start in range(0, len(flat), rows):
            part = flat[start : start + rows].astype(np.int32)
            sums[start : start + rows] = convolve(p, self.conv.kernel, part).reshape(len(part), -1)
        return sums.reshape(*counts.shape[:-1], self.conv.n_out)


class _LateEdge:
    """The part of an edge whose sources have one delay."""

    def __init__(self, edge: _Edge | _ConvEdge, steps: int, kept: np.ndarray):
        self.source, self.delay = edge.source, edge.delay + steps
        self.edge, self.kept = edge, kept

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """What counts (…, n_source) add to sums, (…, n)."""
        return self.edge(np.where(self.kept, counts, 0))


def _edges(edge: QEdge, kind: type[np.floating]) -> list[_Edge | _ConvEdge | _LateEdge]:
    """An edge, in parts of one delay each."""
    if edge.delays is None or not edge.late:
        return [_edge(edge, kind)]
    if edge.delays.ndim == 1:
        whole = _edge(edge, kind)
        return [_LateEdge(whole, int(d), edge.delays == d) for d in np.unique(edge.delays)]
    found: list[_Edge | _ConvEdge | _LateEdge] = []
    for d in np.unique(edge.delays):
        weights = np.where(edge.delays == d, edge.weights, 0)
        part = _Edge(edge, DenseConnection(weights=weights), kind)
        part.delay += int(d)
        found.append(part)
    return found


def _edge(edge: QEdge, kind: type[np.floating]) -> _Edge | _ConvEdge:
    connection = edge.connection
    if isinstance(connection, ConvConnection):
        return _ConvEdge(edge, connection, kind)
    return _Edge(edge, connection, kind)


class _Layer:
    """One layer's edges and its neurons."""

    def __init__(self, layer: QLayer):
        magnitude = max(-layer.synapse.acc_min, layer.synapse.acc_max)
        # A float product of integers is exact while every partial sum stays below the mantissa;
        # BLAS is an order of magnitude faster than integer matrix products.
        self.float = np.float32 if magnitude < 1 << 24 else np.float64
        self.name = layer.name
        self.edges = [part for edge in layer.edges for part in _edges(edge, self.float)]
        self.neurons = Neurons(layer.neuron, magnitude)
        self.loops = any(edge.source == layer.name for edge in self.edges)

    def sums(self, counts: dict[str, np.ndarray], n_steps: int, n_samples: int) -> np.ndarray:
        """What the sources in `counts` (steps, samples, n_source) put into each step: (steps,
        samples, n)."""
        total: np.ndarray | None = None
        for edge in self.edges:
            if edge.source not in counts:
                continue
            given = counts[edge.source]
            if total is None and not edge.delay:
                total = edge(given)
                continue
            if total is None:
                total = np.zeros((n_steps, n_samples, self.neurons.neuron.n), self.float)
            if edge.delay < n_steps:
                total[edge.delay :] += edge(given[: n_steps - edge.delay])
        if total is None:
            total = np.zeros((n_steps, n_samples, self.neurons.neuron.n), self.float)
        return total

    def run(self, counts: dict[str, np.ndarray], trace: np.ndarray | None) -> np.ndarray:
        """Spike counts (steps, samples, n), bool or int16, of what its sources did."""
        n_steps, n_samples = counts[self.edges[0].source].shape[:2]
        neurons = self.neurons
        inputs = neurons.inputs(self.sums(counts, n_steps, n_samples))
        out: np.ndarray = np.zeros(inputs.shape, neurons.dtype)
        state = neurons.start(n_samples)
        for t in range(n_steps):
            neurons.step(state, inputs[t], out[t])
            if trace is not None:
                trace[:, t] = state.v
        return out
