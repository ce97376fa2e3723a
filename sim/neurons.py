# SPDX-License-Identifier: Apache-2.0
"""One population's step in the golden model: `docs/numeric-contract.md`, batched over samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikefab.hdl.params import CurrentParams, NeuronParams

__all__ = ["NeuronState", "Neurons"]


@dataclass(eq=False, slots=True)
class NeuronState:
    """A batch's state between steps, and scratch space: arrays made anew cost small batches more
    than the arithmetic."""

    v: np.ndarray
    """Membranes (samples, n)."""
    i: np.ndarray | None
    """Synaptic currents (samples, n), where there are any."""
    work: np.ndarray
    flags: np.ndarray
    first: bool = True
    """The next step is the samples' first."""


class Neurons:
    """A population's constants in the number type that holds every intermediate value exactly."""

    def __init__(self, params: NeuronParams, largest: int):
        """`largest`: the largest magnitude of a step's sum, weight LSBs."""
        self.neuron = p = params
        bits = _sum_bits(p, largest)
        self.int = np.int32 if bits < 32 else np.int64
        self.dtype: Any = np.bool_ if p.count_width == 1 else np.int16
        """Of spike counts."""

        self.threshold = self._constant(p.threshold)
        self.reset_value = self._constant(p.v_reset if p.reset == "value" else (0,))
        self.late = self._constant(p.bias_late) if any(p.bias_late) else None
        self.bias: Any = None
        """What is added to the membrane apart from the input."""
        self.input_bias = self._constant(p.bias) if any(p.bias) else None
        if p.current is not None:
            self.bias, given = self.input_bias, p.current.bias
            self.input_bias = self._constant(given) if any(given) else None
        low, high = [], []
        if p.v_min is not None:
            low.append(self._constant(p.v_min))
        if p.saturate:
            top = 1 << (p.membrane_width - 1)
            low.append(self.int(-top))
            high.append(self.int(top - 1))
        self.low, self.high = low, high
        self.leaks = [(each, self._constant(each.leak_num)) for each in (p, p.current) if each]
        # Asked for in every step: small batches feel each look at a parameter.
        self._keeps = p.leak_num == (1,) and not p.leak_shift
        self._reset_at = p.reset_time if p.spiking else ""
        self._compares_before = p.spiking and (p.reset_time != "same" or p.output_lag)
        self._compares = p.spiking and (
            p.reset_time == "same" or p.reset_correction or not p.output_lag
        )

    def _constant(self, values: tuple[int, ...]) -> Any:
        """One number for all neurons, or one a neuron."""
        return self.int(values[0]) if len(values) == 1 else np.array(values, self.int)

    def start(self, samples: int) -> NeuronState:
        """The state before samples' first step."""
        shape = samples, self.neuron.n
        v = np.empty(shape, self.int)
        v[:] = self._constant(self.neuron.v_init)
        i = None if self.neuron.current is None else np.zeros(shape, self.int)
        return NeuronState(v=v, i=i, work=np.empty_like(v), flags=np.empty(shape, self.dtype))

    def inputs(self, sums: np.ndarray) -> np.ndarray:
        """What sums of weights (…, n) and the bias that goes with them put in, membrane LSBs."""
        inputs: np.ndarray = sums.astype(self.int)
        if self.neuron.fraction_bits:
            inputs <<= self.neuron.fraction_bits
        if self.input_bias is not None:
            inputs += self.input_bias
        return inputs

    def step(self, state: NeuronState, inputs: np.ndarray, out: np.ndarray) -> None:
        """One step of `state`, in place; the spike counts (samples, n) go to `out`. `inputs`
        (samples, n), of `inputs`, may be overwritten."""
        p, v, work, reset_at = self.neuron, state.v, state.work, self._reset_at
        before, spikes = (out, state.flags) if p.output_lag else (state.flags, out)
        if self._compares_before:
            self._compare(v, before)
        if self.late is not None and not state.first:
            inputs += self.late
        state.first = False
        if state.i is not None:
            inputs = self._current(state.i, inputs, work)
        if reset_at == "next-before-leak":
            self._reset(v, before, work)
        if not self._keeps:
            self._leak(0, v, work)
        if reset_at == "next-after-leak":
            self._reset(v, before, work)
        v += inputs
        if self.bias is not None:
            v += self.bias
        if p.spiking:
            if reset_at == "next-discard":
                self._reset(v, before, work)
            if p.count_width > 1:
                self._count(v, spikes, work)
            elif self._compares:
                self._compare(v, spikes)
            if reset_at == "same":
                self._reset(v, spikes, work)
            elif p.reset_correction:
                np.subtract(spikes, before, out=work, dtype=self.int)
                work *= self.threshold if p.reset == "subtract" else v
                v -= work
        for low in self.low:
            np.maximum(v, low, out=v)
        for high in self.high:
            np.minimum(v, high, out=v)

    def _current(self, i: np.ndarray, inputs: np.ndarray, work: np.ndarray) -> np.ndarray:
        """One step of the synaptic currents `i`, in place; what acts on the membrane."""
        assert self.neuron.current is not None
        order = self.neuron.current.order
        if order == "decay-add-use":
            self._leak(1, i, work)
            i += inputs
            return i
        i += inputs
        if order == "add-use-decay":
            inputs[:] = i
        self._leak(1, i, work)
        return inputs if order == "add-use-decay" else i

    def _compare(self, v: np.ndarray, out: np.ndarray) -> None:
        if self.neuron.compare == "gt":
            np.greater(v, self.threshold, out=out)
        else:
            np.greater_equal(v, self.threshold, out=out)

    def _count(self, v: np.ndarray, out: np.ndarray, work: np.ndarray) -> None:
        """The largest k up to `max_count` whose (k-1) thresholds below v still spike."""
        np.subtract(v, int(self.neuron.compare == "gt"), out=work)
        work //= self.threshold
        np.clip(work, 0, self.neuron.max_count, out=out, casting="unsafe")

    def _reset(self, v: np.ndarray, spikes: np.ndarray, work: np.ndarray) -> None:
        if self.neuron.reset == "subtract":
            np.multiply(spikes, self.threshold, out=work)
            v -= work
        else:
            np.copyto(v, self.reset_value, where=spikes.astype(np.bool_, copy=False))

    def _leak(self, which: int, v: np.ndarray, work: np.ndarray) -> None:
        """0: the membrane's leak, 1: the current's."""
        p, num = self.leaks[which]
        if p.leak_num == (1,) and not p.leak_shift:
            return
        signed = p.leak_rounding == "toward-zero"
        if signed:
            np.sign(v, out=work)
            np.abs(v, out=v)
        v *= num
        if p.leak_rounding == "nearest" and p.leak_shift:
            v += 1 << (p.leak_shift - 1)
        if p.leak_shift:
            v >>= p.leak_shift
        if signed:
            v *= work


def _sum_bits(p: NeuronParams, largest: int) -> int:
    """Bits of the widest intermediate value, with its sign and a few additions."""

    def bits(values: tuple[int, ...]) -> int:
        return max(abs(value) for value in values).bit_length()

    current = max((largest << p.fraction_bits).bit_length(), bits(p.bias_late))
    product = p.membrane_width + bits(p.leak_num)
    if p.current is not None:
        c: CurrentParams = p.current
        current = max(current, bits(c.bias), c.width) + 2
        product = max(product, current + bits(c.leak_num))
    threshold = bits(p.threshold) + p.count_width
    return max(current, bits(p.bias), threshold, product) + 3
