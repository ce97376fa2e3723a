# SPDX-License-Identifier: Apache-2.0
"""The golden model: `docs/numeric-contract.md` in numpy, batched over samples.

What every simulator, netlist and board must equal, bit for bit. It shares the parameter object
with the hardware and no arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from spikefab.gen.qnetwork import QLayer, QNetwork
from spikefab.gen.samples import check_counts, check_samples
from spikefab.sim.encode import encode
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

        self.threshold = self.constant(p.threshold)
        self.reset_value = self.constant(p.v_reset if p.reset == "value" else (0,))
        self.leak_num = self.constant(p.leak_num)
        self.leaks = p.leak_num != (1,) or p.leak_shift != 0
        low, high = [], []
        if p.v_min is not None:
            low.append(self.constant(p.v_min))
        if p.saturate:
            top = 1 << (p.membrane_width - 1)
            low.append(self.int(-top))
            high.append(self.int(top - 1))
        self.low, self.high = low, high

    def constant(self, values: tuple[int, ...]) -> Any:
        """One number for all neurons, or one a neuron."""
        return self.int(values[0]) if len(values) == 1 else np.array(values, self.int)

    def run(self, events: np.ndarray, trace: np.ndarray | None) -> np.ndarray:
        """`events` (steps, samples, n_in) to spike counts (steps, samples, n), bool or int16."""
        p = self.neuron
        n_steps, n_samples = events.shape[:2]
        currents = self.currents(events.reshape(n_steps * n_samples, -1))
        currents = currents.reshape(n_steps, n_samples, p.n)
        out: np.ndarray = np.zeros(currents.shape, np.bool_ if p.count_width == 1 else np.int16)
        v = np.empty((n_samples, p.n), self.int)
        v[:] = self.constant(p.v_init)
        work, flags = np.empty_like(v), np.empty_like(out[0])
        for t in range(n_steps):
            self.step(v, currents[t], out[t], work, flags)
            if trace is not None:
                trace[:, t] = v
        return out

    def currents(self, events: np.ndarray) -> np.ndarray:
        """What steps' events (steps, n_in) and the bias add to membranes, (steps, n)."""
        p = self.neuron
        sums = events.astype(self.float) @ self.weights
        currents: np.ndarray = sums.astype(self.int)
        if p.fraction_bits:
            currents <<= p.fraction_bits
        if any(p.bias):
            currents += self.constant(p.bias)
        return currents

    def step(
        self,
        v: np.ndarray,
        current: np.ndarray,
        out: np.ndarray,
        work: np.ndarray,
        flags: np.ndarray,
    ) -> None:
        """One step of the membranes `v`, in place; the spike counts go to `out`. `work` and `flags`
        are scratch space: arrays made anew cost small batches more than the arithmetic."""
        p = self.neuron
        before, spikes = (out, flags) if p.output_lag else (flags, out)
        if p.spiking and (p.reset_time != "same" or p.output_lag):
            self.compare(v, before)
        if p.spiking and p.reset_time == "next-before-leak":
            self.reset(v, before, work)
        if self.leaks:
            self.leak(v, work)
        if p.spiking and p.reset_time == "next-after-leak":
            self.reset(v, before, work)
        v += current
        if p.spiking:
            if p.count_width > 1:
                self.count(v, spikes, work)
            elif p.reset_time == "same" or p.reset_correction or not p.output_lag:
                self.compare(v, spikes)
            if p.reset_time == "same":
                self.reset(v, spikes, work)
            elif p.reset_correction:
                np.subtract(spikes, before, out=work, dtype=self.int)
                work *= self.threshold if p.reset == "subtract" else v
                v -= work
        for low in self.low:
            np.maximum(v, low, out=v)
        for high in self.high:
            np.minimum(v, high, out=v)

    def compare(self, v: np.ndarray, out: np.ndarray) -> None:
        if self.neuron.compare == "gt":
            np.greater(v, self.threshold, out=out)
        else:
            np.greater_equal(v, self.threshold, out=out)

    def count(self, v: np.ndarray, out: np.ndarray, work: np.ndarray) -> None:
        """The largest k up to `max_count` whose (k-1) thresholds below v still spike."""
        np.subtract(v, int(self.neuron.compare == "gt"), out=work)
        work //= self.threshold
        np.clip(work, 0, self.neuron.max_count, out=out, casting="unsafe")

    def reset(self, v: np.ndarray, spikes: np.ndarray, work: np.ndarray) -> None:
        if self.neuron.reset == "subtract":
            np.multiply(spikes, self.threshold, out=work)
            v -= work
        else:
            np.copyto(v, self.reset_value, where=spikes.astype(np.bool_, copy=False))

    def leak(self, v: np.ndarray, work: np.ndarray) -> None:
        p = self.neuron
        signed = p.leak_rounding == "toward-zero"
        if signed:
            np.sign(v, out=work)
            np.abs(v, out=v)
        v *= self.leak_num
        if p.leak_rounding == "nearest" and p.leak_shift:
            v += 1 << (p.leak_shift - 1)
        if p.leak_shift:
            v >>= p.leak_shift
        if signed:
            v *= work
