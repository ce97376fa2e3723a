# SPDX-License-Identifier: Apache-2.0
"""The golden model: `docs/numeric-contract.md` in numpy, batched over samples.

What every simulator, netlist and board must equal, bit for bit. It shares the parameter object
with the hardware and no arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from spikefab.gen.qnetwork import QLayer, QNetwork
from spikefab.gen.samples import check_counts, check_samples
from spikefab.sim.encode import encode
from spikefab.sim.neurons import Neurons
from spikefab.sim.stop import clear_after, leads, scores, steps_used

__all__ = ["GoldenResult", "run_golden"]

CHUNK_BYTES = 8 << 20
"""Working memory a chunk of samples may take in the widest layer: more only misses caches."""

_runners: WeakKeyDictionary[QLayer, _Layer] = WeakKeyDictionary()
"""Layers never change: what was made of one serves as long as it lives."""


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
    x: np.ndarray,
    *,
    record: Collection[str] = (),
    encoded: bool = False,
    full: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> GoldenResult:
    """Runs samples through the integer network.

    `x`: integers (samples, steps, *input_shape), events an input a step, 0 to `input_max`; where
    the input is framed, values (samples, *input_shape). `encoded`: `x` went through
    `sim.encode.encode` already. `record`: populations whose membranes to keep. `full`: what an
    early stop cuts off stays: every row is as without it, and `steps_used` says where it ends.
    `progress(done, total)` is called a chunk. Raises `InputError` for samples that the network
    does not take.
    """
    if encoded:
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
    runners = [_runner(layer) for layer in qnet.layers]
    used = np.full(n_samples, n_steps, np.int32)
    last = qnet.layers[-1].name
    for start in range(0, n_samples, chunk):
        stop = min(start + chunk, n_samples)
        # Time first: each step is then one contiguous block.
        events = np.ascontiguousarray(
            x[start:stop].reshape(stop - start, n_steps, -1).swapaxes(0, 1)
        )
        for layer, runner in zip(qnet.layers, runners, strict=True):
            trace = mem[layer.name][start:stop] if layer.name in mem else None
            events = runner.run(events, trace)
            spikes[layer.name][start:stop] = events.swapaxes(0, 1)
        if qnet.stop is not None:
            output = None if qnet.layers[-1].neuron.spiking else mem[last][start:stop]
            score = scores(spikes[last][start:stop], output)
            used[start:stop] = steps_used(qnet.stop, leads(score))
        if progress is not None:
            progress(stop, n_samples)
    if qnet.stop is not None and not full:
        for recorded in (spikes, mem):
            for values in recorded.values():
                clear_after(values, used)
    return GoldenResult(spikes, mem, used)


def _runner(layer: QLayer) -> _Layer:
    if layer not in _runners:
        _runners[layer] = _Layer(layer)
    return _runners[layer]


class _Layer:
    """One layer's weights in the number type that holds its sums exactly, and its neurons."""

    def __init__(self, layer: QLayer):
        magnitude = max(-layer.synapse.acc_min, layer.synapse.acc_max)
        # A float product of integers is exact while every partial sum stays below the mantissa;
        # BLAS is an order of magnitude faster than integer matrix products.
        self.float = np.float32 if magnitude < 1 << 24 else np.float64
        self.weights = np.ascontiguousarray(layer.weights.T.astype(self.float))
        self.neurons = Neurons(layer.neuron, magnitude)

    def run(self, events: np.ndarray, trace: np.ndarray | None) -> np.ndarray:
        """`events` (steps, samples, n_in) to spike counts (steps, samples, n), bool or int16."""
        n_steps, n_samples = events.shape[:2]
        neurons = self.neurons
        sums = events.reshape(n_steps * n_samples, -1).astype(self.float) @ self.weights
        inputs = neurons.inputs(sums).reshape(n_steps, n_samples, -1)
        out: np.ndarray = np.zeros(inputs.shape, neurons.dtype)
        state = neurons.start(n_samples)
        for t in range(n_steps):
            neurons.step(state, inputs[t], out[t])
            if trace is not None:
                trace[:, t] = state.v
        return out
