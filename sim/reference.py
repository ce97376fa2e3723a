# SPDX-License-Identifier: Apache-2.0
"""The float reference: a network as its source framework runs it, in float32, step by step.

Each formula is the framework's own, in its order of operations, because float32 sums depend on
it; which one applies follows from the dialect's fields alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.network import Network, Neuron, Population, Projection

__all__ = ["ReferenceResult", "run_reference"]

Array = np.ndarray
CHUNK_VALUES = 1 << 24
"""Values of the widest layer, over samples and steps, that are held at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceResult:
    """What each population did."""

    spikes: dict[str, Array]
    """int16 (samples, steps, n) by population; 0 for an LI."""
    mem: dict[str, Array] | None
    """float32 (samples, steps, n), after each step: of every population where recorded, else of
    an LI output only; None where there is neither."""


def run_reference(
    network: Network,
    x: Array,
    *,
    record: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReferenceResult:
    """Runs samples through a network.

    `x` holds input counts, int (samples, steps, *input shape). `record` keeps every membrane.
    `progress(done, total)` is called as samples finish. Raises `InputError` on a wrong shape.
    """
    shape = network.input_shape
    if x.ndim < 2 or x.shape[2:] not in (shape, (network.n_inputs,)):
        raise InputError(
            f"input data has shape {x.shape}; it must be (samples, steps, "
            f"{', '.join(map(str, shape))})"
        )
    samples, steps = x.shape[:2]
    chain = network.chain()
    widest = max([network.n_inputs, *(population.n for _, population in chain)])
    chunk = max(1, CHUNK_VALUES // max(1, steps * widest))
    spikes = {p.name: np.zeros((samples, steps, p.n), np.int16) for _, p in chain}
    mem = {
        p.name: np.zeros((samples, steps, p.n), np.float32)
        for _, p in chain
        if record or not p.neuron.spiking
    }
    for start in range(0, samples, chunk):
        part = slice(start, min(start + chunk, samples))
        signal = np.ascontiguousarray(x[part], np.float32).reshape(-1, steps, network.n_inputs)
        for projection, population in chain:
            kept = mem.get(population.name)
            signal = _run_layer(
                projection, population, signal, None if kept is None else kept[part]
            )
            spikes[population.name][part] = signal
        if progress is not None:
            progress(part.stop, samples)
    return ReferenceResult(spikes=spikes, mem=mem or None)


def _run_layer(
    projection: Projection, population: Population, signal: Array, mem: Array | None
) -> Array:
    """One layer over all steps: spike counts, float32 (samples, steps, n); 0 for an LI."""
    samples, steps, n_in = signal.shape
    weight = projection.weight.astype(np.float32)
    current = signal.reshape(-1, n_in) @ weight.T + projection.bias.astype(np.float32)
    current = current.reshape(samples, steps, population.n)
    out = np.zeros_like(current)
    step = _Step(population.neuron)
    v = np.broadcast_to(step.v_init, (samples, population.n)).astype(np.float32)
    for t in range(steps):
        v, out[:, t] = step(v, current[:, t])
        if mem is not None:
            mem[:, t] = v
    return out


class _Step:
    """One neuron update in float32: `(v, x) -> (v, spikes)`."""

    def __init__(self, neuron: Neuron):
        self._neuron, self._dialect = neuron, neuron.dialect
        self.v_init = neuron.v_init.astype(np.float32)
        self._threshold = neuron.threshold.astype(np.float32)
        self._v_reset = neuron.v_reset.astype(np.float32)
        self._v_min = None if neuron.v_min is None else neuron.v_min.astype(np.float32)
        self._integrate = _integrator(neuron)

    def __call__(self, v: Array, x: Array) -> tuple[Array, Array]:
        dialect = self._dialect
        if not self._neuron.spiking:
            v = self._integrate(v, x)
            return self._clamp(v), np.zeros_like(v)
        delayed = dialect.reset_time != "same"
        r = self._exceeds(v).astype(np.float32) if delayed or dialect.output_lag else None
        if r is not None and dialect.reset_time == "next-before-leak":
            v = self._reset(v, r)
        if r is not None and dialect.reset_time == "next-after-leak":
            v = self._integrate_and_reset(v, x, r)
        else:
            v = self._integrate(v, x)
        s = self._count(v)
        if not delayed:
            v = self._reset(v, s)
        elif dialect.reset_correction and r is not None:
            # snnTorch's own: s - r may be -1, which puts a threshold (or the membrane) back.
            v = v - (s - r) * (self._threshold if dialect.reset == "subtract" else v)
        out = r if dialect.output_lag and r is not None else s
        return self._clamp(v), out

    def _integrate_and_reset(self, v: Array, x: Array, r: Array) -> Array:
        """The reset acts on the leaked membrane; the step's input is kept."""
        if self._dialect.reset == "subtract":
            return self._integrate(v, x) - r * self._threshold
        # No framework does this otherwise: v_reset (0 for `zero`) in place of the leaked membrane.
        neuron = self._neuron
        decay, gain, offset = (
            a.astype(np.float32) for a in (neuron.decay, neuron.gain, neuron.offset)
        )
        return np.where(r > 0, self._v_reset, decay * v) + gain * x + offset

    def _exceeds(self, v: Array) -> Array:
        return v >= self._threshold if self._dialect.compare == "ge" else v > self._threshold

    def _count(self, v: Array) -> Array:
        spike = self._exceeds(v)
        if not self._dialect.multi_spike:
            return spike.astype(np.float32)
        ratio = v / self._threshold
        times = np.trunc(ratio) if self._dialect.compare == "ge" else np.ceil(ratio) - 1
        return np.where(spike, np.maximum(times, 1), 0).astype(np.float32)

    def _reset(self, v: Array, times: Array) -> Array:
        if self._dialect.reset == "subtract":
            return v - times * self._threshold
        return np.where(times > 0, self._v_reset, v)  # v_reset is 0 where the reset is `zero`

    def _clamp(self, v: Array) -> Array:
        # sinabs' own two operations: they round.
        return v if self._v_min is None else np.maximum(v - self._v_min, 0) + self._v_min


def _integrator(neuron: Neuron) -> Callable[[Array, Array], Array]:
    """The framework's formula for leak and input."""
    dialect = neuron.dialect
    source = {name: value.astype(np.float32) for name, value in neuron.parameters.items()}
    one = np.float32(1)
    if "tau" in source and dialect.decay_input != "none" and dialect.decay == "euler":
        # SpikingJelly: tau in steps, one expression.
        tau = (neuron.parameters["tau"] / neuron.parameters["dt"]).astype(np.float32)
        rest = source["v_leak"]
        if dialect.decay_input is True:
            return lambda v, x: v + (x - (v - rest)) / tau
        return lambda v, x: v - (v - rest) / tau + x
    if "tau" in source and dialect.input_gain == "dt/tau" and dialect.decay == "euler":
        # Norse: dt * tau_inv * ((v_leak + x) - v).
        rate = source["dt"] * (1 / neuron.parameters["tau"]).astype(np.float32)
        rest = source["v_leak"]
        return lambda v, x: v + rate * ((rest + x) - v)
    decay, offset = neuron.decay.astype(np.float32), neuron.offset.astype(np.float32)
    gain = neuron.gain.astype(np.float32)
    if dialect.norm_input and "tau" in source:
        gain = one - decay  # sinabs rounds alpha first
    # The others: beta*v + x. A factor of 1 and an offset of 0 change no bit.
    return lambda v, x: decay * v + gain * x + offset
