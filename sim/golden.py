# SPDX-License-Identifier: Apache-2.0
"""The golden model: `docs/numeric-contract.md` in numpy, batched over samples.

What every simulator, netlist and board must equal, bit for bit. It shares the parameter object
with the hardware and no arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from spikefab.gen.qnetwork import QLayer, QNetwork
from spikefab.gen.samples import check_counts, check_samples
from spikefab.hdl.params import NeuronParams
from spikefab.sim.encode import encode

__all__ = ["GoldenResult", "run_golden"]

CHUNK_BYTES = 64 << 20
"""Working memory a chunk of samples may take in the widest layer: more only misses caches."""


@dataclass(frozen=True, eq=False)
class GoldenResult:
    """Spikes and membranes a population, keyed by its name."""

    spikes: dict[str, np.ndarray]
    """int16 (samples, steps, n); zeros for an integrator."""
    mem: dict[str, np.ndarray]
    """int64 (samples, steps, n), membrane LSBs after the step, for recorded populations and
    always for an integrator."""


def run_golden(
    qnet: QNetwork,
    x: np.ndarray,
    *,
    record: Collection[str] = (),
    encoded: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> GoldenResult:
    """Runs samples through the integer network.

    `x`: integers (samples, steps, *input_shape), events an input a step, 0 to `input_max`; where
    the input is framed, values (samples, *input_shape). `encoded`: `x` went through
    `sim.encode.encode` already. `record`: populations whose membranes to keep.
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
    runners = [_Layer(layer) for layer in qnet.layers]
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
        if progress is not None:
            progress(stop, n_samples)
    return GoldenResult(spikes, mem)


class _Layer:
    """One layer's weights and constants in the number types that hold its sums exactly."""

    def __init__(self, layer: QLayer):
        self.neuron = p = layer.neuron
        magnitude = max(-layer.synapse.acc_min, layer.synapse.acc_max)
        # A float product of integers is exact while every partial sum stays below the mantissa;
        # BLAS is an order of magnitude faster than integer matrix products.
        self.float = np.float32 if magnitude < 1 << 24 else np.float64
        self.weights = np.ascontiguousarray(layer.weights.T.astype(self.float))
        current = (magnitude << p.fraction_bits).bit_length()
        bias = max(abs(b) for b in p.bias).bit_length()
        threshold = max(p.threshold).bit_length() + p.count_width
        product = p.membrane_width + max(p.leak_num).bit_length()
        bits = max(current, bias, threshold, product) + 3
        self.int = np.int32 if bits < 32 else np.int64

    def constant(self, values: tuple[int, ...]) -> np.ndarray | int:
        return values[0] if len(values) == 1 else np.array(values, self.int)

    def run(self, events: np.ndarray, trace: np.ndarray | None) -> np.ndarray:
        """`events` (steps, samples, n_in) to spikes (steps, samples, n) int16."""
        p = self.neuron
        n_steps, n_samples = events.shape[:2]
        flat = events.reshape(n_steps * n_samples, -1).astype(self.float)
        sums = (flat @ self.weights).astype(self.int).reshape(n_steps, n_samples, p.n)
        out = np.zeros((n_steps, n_samples, p.n), np.int16)
        v = np.empty((n_samples, p.n), self.int)
        v[:] = self.constant(p.v_init)
        for t in range(n_steps):
            v, spiked = self.step(v, sums[t])
            if trace is not None:
                trace[:, t] = v
            if spiked is not None:
                out[t] = spiked
        return out

    def step(self, v: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """One step: (new membrane, spike counts or None)."""
        p = self.neuron
        threshold = self.constant(p.threshold)
        reset = np.asarray(self.constant(p.v_reset) if p.reset == "value" else 0, self.int)
        late = p.spiking and (p.reset_time != "same" or p.output_lag)
        before = _above(v, threshold, p) if late else None

        def apply(x: np.ndarray, k: np.ndarray) -> np.ndarray:
            if p.reset == "subtract":
                return x - k * threshold
            return np.where(k != 0, reset, x)

        if p.reset_time == "next-before-leak" and before is not None:
            v = apply(v, before)
        u = self.leak(v)
        if p.reset_time == "next-after-leak" and before is not None:
            u = apply(u, before)
        u = u + (sums << p.fraction_bits) + self.constant(p.bias)
        k: np.ndarray | None = None
        if p.spiking:
            k = _spike_count(u, threshold, p)
            if p.reset_time == "same":
                u = apply(u, k)
            elif p.reset_correction:
                assert before is not None
                change = k - before
                u = u - change * (threshold if p.reset == "subtract" else u)
        if p.v_min is not None:
            u = np.maximum(u, self.constant(p.v_min))
        if p.saturate:
            top = 1 << (p.membrane_width - 1)
            u = np.clip(u, -top, top - 1)
        return u.astype(self.int, copy=False), before if p.output_lag else k

    def leak(self, v: np.ndarray) -> np.ndarray:
        p = self.neuron
        num = self.constant(p.leak_num)
        if p.leak_shift == 0 and isinstance(num, int):
            return v * num if num != 1 else v
        product = v * num
        if p.leak_rounding == "floor":
            return product >> p.leak_shift
        if p.leak_rounding == "nearest":
            half = (1 << p.leak_shift) >> 1
            return (product + half) >> p.leak_shift
        return np.sign(v) * (np.abs(product) >> p.leak_shift)


def _above(v: np.ndarray, threshold: np.ndarray | int, p: NeuronParams) -> np.ndarray:
    above = v > threshold if p.compare == "gt" else v >= threshold
    return above.astype(v.dtype)


def _spike_count(u: np.ndarray, threshold: np.ndarray | int, p: NeuronParams) -> np.ndarray:
    """The largest k up to `max_count` whose (k-1) thresholds below u still compare as a spike."""
    if p.count_width == 1:
        return _above(u, threshold, p)
    whole = u // threshold if p.compare == "ge" else (u - 1) // threshold
    return np.clip(whole, 0, p.max_count)
