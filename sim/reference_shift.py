# SPDX-License-Identifier: Apache-2.0
"""One population's update as lava-dl has it: integers, whose leak is a shift towards zero.

A unit of the network is 4096 LSBs, lava-dl's 64 (its `scale`) times 64. Inputs are truncated to
LSBs, thresholds to 1/64. The integers are held in float64, which is exact up to 2**53.
"""

from __future__ import annotations

import numpy as np

from spikefab.gen.network import Neuron
from spikefab.sim.reference_neuron import FloatNeurons, State

__all__ = ["LSBS", "ShiftNeurons"]

Array = np.ndarray

SCALE = 64
LSBS = 64 * SCALE
"""LSBs of one unit."""
UNITY = 4096
"""A decay of 1."""


class ShiftNeurons(FloatNeurons):
    """The neurons of one population with ``decay=round12``."""

    def __init__(self, neuron: Neuron):
        super().__init__(neuron)
        self._together = True
        self._threshold = np.trunc(neuron.threshold * SCALE) * SCALE
        self._v_reset = np.trunc(neuron.v_reset * LSBS)
        self._v_min = None if neuron.v_min is None else np.trunc(neuron.v_min * LSBS)
        self._offset = np.trunc(neuron.offset * LSBS)
        self._keeps = np.rint(neuron.decay * UNITY)
        self._gain = neuron.gain.astype(np.float32)
        self._synapse = None
        if neuron.current is not None:
            current = neuron.current
            self._current_keeps = np.rint(current.decay * UNITY)
            self._current_gain = current.gain.astype(np.float32)
            self._current_offset = np.zeros(len(current.decay))
            if current.offset is not None:
                self._current_offset = np.trunc(current.offset * LSBS)
            self._synapse = self._update_current
        self._integrate, self._drive = self._update_membrane, self._add_input

    def start(self, samples: int) -> State:
        state = super().start(samples)
        i = None if state.i is None else np.trunc(state.i.astype(np.float64) * LSBS)
        return State(np.trunc(state.v.astype(np.float64) * LSBS), i)

    def membrane(self, state: State) -> Array:
        return (state.v / LSBS).astype(np.float32)

    def _leaked(self, v: Array) -> Array:
        return np.trunc(v * self._keeps / UNITY)

    def _add_input(self, leaked: Array, x: Array, y: Array | None) -> Array:
        assert y is None
        if self._synapse is None:
            x = _lsbs(self._gain * x)
        elif np.any(self._gain != 1):
            x = np.trunc(self._gain * x)
        return leaked + x + self._offset

    def _update_membrane(self, v: Array, x: Array, y: Array | None) -> Array:
        return self._add_input(self._leaked(v), x, y)

    def _update_current(self, i: Array, x: Array, y: Array | None) -> tuple[Array, Array]:
        assert y is None
        x = _lsbs(self._current_gain * x) + self._current_offset
        if self.dialect.synapse_order == "add-use-decay":
            return self._current_leaked(i + x), i + x
        if self.dialect.synapse_order == "add-decay-use":
            i = self._current_leaked(i + x)
        else:
            i = self._current_leaked(i) + x
        return i, i

    def _current_leaked(self, i: Array) -> Array:
        return np.trunc(i * self._current_keeps / UNITY)


def _lsbs(x: Array) -> Array:
    """Truncated to LSBs; the product is float32's, as lava-dl has it."""
    return np.trunc(np.float32(LSBS) * x).astype(np.float64)
