# SPDX-License-Identifier: Apache-2.0
"""One population's update in float32: each framework's own formula, in its order of operations.

The order matters because float32 sums depend on it. Which formula applies follows from the
dialect's fields; the preset decides nothing but which of several inputs are added up first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikefab.gen.network import Neuron

__all__ = ["FloatNeurons", "State"]

Array = np.ndarray
Membrane = Callable[[Array, Array, "Array | None"], Array]
Synapse = Callable[[Array, Array, "Array | None"], "tuple[Array, Array]"]


@dataclass(eq=False)
class State:
    """What samples × neurons remember from step to step."""

    v: Array
    """Membrane, (samples, n)."""
    i: Array | None
    """Synaptic current, (samples, n); None where there is none."""


class FloatNeurons:
    """The neurons of one population: `step` takes a state one time step further.

    `x` is the current of feed-forward connections, `y` that of recurrent ones (None for none):
    several frameworks add them to the state one after the other.
    """

    def __init__(self, neuron: Neuron):
        kind = ("Cuba" if neuron.current else "") + ("LIF" if neuron.spiking else "LI")
        self.neuron, self.dialect = neuron, neuron.dialect.for_node(kind)
        d = self.dialect
        self.spiking = neuron.spiking
        self.delayed = neuron.spiking and d.reset_time != "same"
        self.lags = neuron.spiking and d.output_lag
        self._threshold = neuron.threshold.astype(np.float32)
        self._v_reset = neuron.v_reset.astype(np.float32)
        self._v_min = None if neuron.v_min is None else neuron.v_min.astype(np.float32)
        self._decay = neuron.decay.astype(np.float32)
        self._drive = _driven(neuron)
        self._integrate: Membrane = _membrane(neuron)
        self._synapse: Synapse | None = None if neuron.current is None else _synapse(neuron)
        self._together = _adds_inputs_first(neuron)

    def start(self, samples: int) -> State:
        """The state before the first step."""
        n, current = self.neuron, self.neuron.current
        shape = (samples, len(n.decay))
        v = np.broadcast_to(n.v_init.astype(np.float32), shape).copy()
        if current is None:
            return State(v, None)
        init = np.zeros(shape[1]) if current.init is None else current.init
        return State(v, np.broadcast_to(init.astype(np.float32), shape).copy())

    def due(self, state: State) -> Array:
        """Spikes that the membrane is due for before a step: those that lag, or reset late."""
        return self._exceeds(state.v).astype(np.float32)

    def step(self, state: State, x: Array, y: Array | None = None) -> Array:
        """One step; returns what the population puts out: spike counts, or its membrane."""
        if y is not None and self._together:
            x, y = x + y, None
        if self._synapse is not None:
            assert state.i is not None
            state.i, x = self._synapse(state.i, x, y)
            y = None
        if not self.spiking:
            state.v = self._clamp(self._integrate(state.v, x, y))
            return self.membrane(state)
        v, d = state.v, self.dialect
        r = self.due(state) if self.delayed or self.lags else None
        if r is not None and d.reset_time == "next-before-leak":
            v = self._reset(v, r)
        if r is not None and d.reset_time == "next-after-leak":
            v = self._reset_leaked(v, x, y, r)
        else:
            v = self._integrate(v, x, y)
        if r is not None and d.reset_time == "next-discard":
            v = self._reset(v, r)
        s = self._count(v)
        if not self.delayed:
            v = self._reset(v, s)
        elif d.reset_correction and r is not None:
            # snnTorch's own: s - r may be -1, which puts a threshold (or the membrane) back.
            v = v - (s - r) * (self._threshold if d.reset == "subtract" else v)
        state.v = self._clamp(v)
        return r if self.lags and r is not None else s

    def membrane(self, state: State) -> Array:
        """The membrane in the network's units, float32."""
        return state.v

    def _reset_leaked(self, v: Array, x: Array, y: Array | None, r: Array) -> Array:
        """The reset acts on the leaked membrane; the step's input is kept."""
        if self.dialect.reset == "subtract":
            return self._integrate(v, x, y) - r * self._threshold
        # No framework does this otherwise: v_reset (0 for `zero`) in place of the leaked membrane.
        return self._drive(np.where(r > 0, self._v_reset, self._leaked(v)), x, y)

    def _leaked(self, v: Array) -> Array:
        return self._decay * v

    def _exceeds(self, v: Array) -> Array:
        return v >= self._threshold if self.dialect.compare == "ge" else v > self._threshold

    def _count(self, v: Array) -> Array:
        spike = self._exceeds(v)
        if not self.dialect.multi_spike:
            return spike.astype(np.float32)
        ratio = v / self._threshold
        times = np.trunc(ratio) if self.dialect.compare == "ge" else np.ceil(ratio) - 1
        return np.where(spike, np.maximum(times, 1), 0).astype(np.float32)

    def _reset(self, v: Array, times: Array) -> Array:
        if self.dialect.reset == "subtract":
            return v - times * self._threshold
        return np.where(times > 0, self._v_reset, v)  # v_reset is 0 where the reset is `zero`

    def _clamp(self, v: Array) -> Array:
        # sinabs' own two operations: they round.
        return v if self._v_min is None else np.maximum(v - self._v_min, 0) + self._v_min


def _adds_inputs_first(neuron: Neuron) -> bool:
    """Whether all inputs are summed up before they meet the state.

    snnTorch's, Norse's, rockpool's and spyx's recurrent classes add them to it one after the
    other. Of equal fields sinabs' and rockpool's differ, in the last bit, by this alone.
    """
    d = neuron.dialect
    if d.preset == "sinabs" or d.norm_input:
        return True
    if neuron.current is not None:
        return d.input_gain == "dt/tau" and d.synapse_order == "decay-add-use"
    return "tau" in neuron.parameters and (d.decay_input != "none" or d.input_gain == "dt/tau")


def _driven(neuron: Neuron) -> Membrane:
    """``leaked + gain * x + offset``; factors of 1 and offsets of 0 cost nothing."""
    gain, offset = neuron.gain.astype(np.float32), neuron.offset.astype(np.float32)
    if neuron.dialect.norm_input and ("tau" in neuron.parameters or neuron.current is not None):
        gain = np.float32(1) - neuron.decay.astype(np.float32)  # sinabs rounds alpha first
    scaled, shifted = bool(np.any(gain != 1)), bool(np.any(offset != 0))

    def drive(leaked: Array, x: Array, y: Array | None) -> Array:
        u = leaked + (gain * x if scaled else x)
        if y is not None:
            u = u + (gain * y if scaled else y)
        return u + offset if shifted else u

    return drive


def _membrane(neuron: Neuron) -> Membrane:
    """The framework's formula for a membrane's leak and input."""
    d = neuron.dialect
    source = {name: value.astype(np.float32) for name, value in neuron.parameters.items()}
    decay = neuron.decay.astype(np.float32)
    cuba = neuron.current is not None
    leaks = ("tau_mem" if cuba else "tau") in source
    if leaks and not cuba and d.decay_input != "none" and not d.norm_input and d.decay == "euler":
        # SpikingJelly: tau in steps, one expression.
        tau, rest = source["tau_steps"], source["v_leak"]
        if d.decay_input is True:
            return lambda v, x, _: v + (x - (v - rest)) / tau
        return lambda v, x, _: v - (v - rest) / tau + x
    if leaks and d.input_gain == "dt/tau" and d.decay == "euler":
        # Norse: dt * tau_inv * ((v_leak + x) - v), in one of two orders.
        rate = source["dt"] * source["tau_mem_inv" if cuba else "tau_inv"]
        rest = source["v_leak"]
        if cuba and d.synapse_order == "decay-add-use":
            r = source["r"]
            return lambda v, x, _: v + rate * ((r * x + rest) - v)
        if cuba:
            r = source["r"]
            return lambda v, x, _: v + rate * ((rest - v) + r * x)
        if not neuron.spiking:
            return lambda v, x, _: v + rate * ((rest - v) + x)
        return lambda v, x, _: v + rate * ((x + rest) - v)
    if d.input_gain == "li-decay" and not cuba and not neuron.spiking and "tau" in source:
        # rockpool's ExpSyn: the input is added, then all decays; it leaks towards 0.
        offset = neuron.offset.astype(np.float32)
        return lambda v, x, y: ((v + x) if y is None else (v + x) + y) * decay + offset
    drive = _driven(neuron)
    if np.all(decay == 1):
        return drive
    # The others: beta * v + x.
    return lambda v, x, y: drive(decay * v, x, y)


def _synapse(neuron: Neuron) -> Synapse:
    """The framework's formula for a synaptic current: `(i, x, y) -> (new i, what is used)`."""
    d, current = neuron.dialect, neuron.current
    assert current is not None
    decay, gain = current.decay.astype(np.float32), current.gain.astype(np.float32)
    offset = None if current.offset is None else current.offset.astype(np.float32)
    scaled = bool(np.any(gain != 1))

    def add(i: Array, x: Array, y: Array | None) -> Array:
        i = i + (gain * x if scaled else x)
        if y is not None:
            i = i + (gain * y if scaled else y)
        return i if offset is None else i + offset

    literal_norse = d.input_gain == "dt/tau" and d.decay == "euler"
    if literal_norse:
        dt = neuron.parameters["dt"].astype(np.float32)
        rate = dt * neuron.parameters["tau_syn_inv"].astype(np.float32)
    if d.synapse_order == "add-use-decay":

        def jump(i: Array, x: Array, y: Array | None) -> tuple[Array, Array]:
            used = add(i, x, y)
            return (used + -rate * used if literal_norse else decay * used), used

        return jump
    if d.synapse_order == "add-decay-use":

        def decay_all(i: Array, x: Array, y: Array | None) -> tuple[Array, Array]:
            i = add(i, x, y) * decay
            return i, i

        return decay_all
    if literal_norse:
        w_in = neuron.parameters["w_in"].astype(np.float32)
        rest = neuron.parameters["v_leak"].astype(np.float32)

        def leak_towards(i: Array, x: Array, _: Array | None) -> tuple[Array, Array]:
            i = i + rate * ((rest - i) + w_in * x)
            return i, i

        return leak_towards

    def decay_first(i: Array, x: Array, y: Array | None) -> tuple[Array, Array]:
        i = add(decay * i, x, y)
        return i, i

    return decay_first
