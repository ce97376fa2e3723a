# SPDX-License-Identifier: Apache-2.0
"""From a neuron's continuous equation to one time step, as a dialect does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from spikefab.gen.dialect import Dialect
from spikefab.gen.network import Current, Neuron
from spikefab.gen.time_constants import Leak, leak_of, show_values, snap_one, tidy

__all__ = ["NEURON_PARAMETERS", "Kind", "discretise"]

Array = np.ndarray

FLOAT32_TINY = float(np.finfo(np.float32).tiny)

Kind = Literal["IF", "LIF", "LI", "I", "CubaLIF", "CubaLI", "Threshold"]

NEURON_PARAMETERS: dict[Kind, tuple[str, ...]] = {
    "IF": ("r", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "LI": ("tau", "r", "v_leak"),
    "I": ("r",),
    "CubaLIF": ("tau_mem", "tau_syn", "r", "v_leak", "w_in", "v_threshold", "v_reset"),
    "CubaLI": ("tau_mem", "tau_syn", "r", "v_leak", "w_in"),
    "Threshold": ("threshold",),
}
"""The parameters of each node, as NIR names them."""

SPIKING: tuple[Kind, ...] = ("IF", "LIF", "CubaLIF", "Threshold")

_NORSE = "Norse 1.1.0 writes dt/tau_mem_inv instead of 1/tau_mem_inv"


def discretise(
    where: str,
    kind: Kind,
    parameters: Mapping[str, Array],
    dialect: Dialect,
    dt: float,
    problems: list[str],
    notes: list[str],
    *,
    recurrent: bool = False,
) -> Neuron | None:
    """The neuron's step in a dialect.

    `where` names the node in messages. `parameters` holds `NEURON_PARAMETERS[kind]`, each float64
    (n,), and optionally `v_init`, and `decay` and `decay_syn` (given instead of tau or tau_mem,
    and tau_syn, which must then agree). `recurrent`: the node feeds itself, which some frameworks
    have another class for.
    What is wrong is added to `problems` (the result is then None), what was assumed to `notes`.
    """
    p = {name: np.asarray(value, float) for name, value in parameters.items()}
    job = _Job(where, kind, p, dialect, dt, problems, notes)
    return job.run(recurrent) if job.in_range() else None


class _Job:
    """One node on its way to a time step."""

    def __init__(
        self,
        where: str,
        kind: Kind,
        p: dict[str, Array],
        dialect: Dialect,
        dt: float,
        problems: list[str],
        notes: list[str],
    ):
        self.where, self.kind, self.p, self.dt = where, kind, p, dt
        self.asked, self.problems, self.notes = dialect, problems, notes
        self.n = len(p[NEURON_PARAMETERS[kind][0]])
        self.cuba = kind in ("CubaLIF", "CubaLI")
        self.taus = [name for name in NEURON_PARAMETERS[kind] if name.startswith("tau")]

    def in_range(self) -> bool:
        """Whether every parameter is a number that its equation can take."""
        found = len(self.problems)
        for name, value in self.p.items():
            # snnTorch's beta = 1 is written as tau = dt/0 and r = tau/dt.
            allowed = self._endless(name) & np.isposinf(value)
            if not np.all(np.isfinite(value) | allowed):
                self._fail(f"{name} holds NaN or infinity; every value must be finite")
        if len(self.problems) > found:
            return False
        for name in (*self.taus, "v_threshold"):
            if name not in self.p:
                continue
            value = self.p[name]
            if name == "v_threshold" and self.asked.only_compares:
                value = value[value > 0]  # Where it is only compared it may be anything.
            if np.any(value <= 0):
                self._fail(f"{name} = {np.min(value):g}: must be > 0")
            elif np.any(value < FLOAT32_TINY):
                self._fail(
                    f"{name} = {np.min(value):g}: frameworks compute in float32, which "
                    f"begins at {FLOAT32_TINY:.3g}"
                )
        return len(self.problems) == found

    def _endless(self, name: str) -> Array:
        """Where `name` may be infinite: a time constant, and the factor that goes with it."""
        tau = {"r": self.taus[0] if self.taus else "", "w_in": "tau_syn"}.get(name, name)
        return np.isposinf(self.p[tau]) if tau in self.taus else np.zeros(self.n, bool)

    def _fail(self, problem: str) -> None:
        self.problems.append(f"{self.where}: {problem}")

    def _note(self, note: str) -> None:
        self.notes.append(f"{self.where}: {note}")

    def run(self, recurrent: bool) -> Neuron | None:
        self.dialect = self._of_node(recurrent)
        found = len(self.problems)
        p, n = self.p, self.n
        ones, zeros = np.ones(n), np.zeros(n)
        decay, gain, offset, current = ones, ones, zeros, None
        if self.kind == "Threshold":
            decay = zeros
        elif not self.taus:
            gain = self._gain_without_tau()
        else:
            self._repair_norse()
            leaks = [self._leak(name) for name in self.taus]
            if any(leak is None for leak in leaks):
                return None
            mem = leaks[0]
            assert mem is not None
            decay = mem.decay
            gain = self._gain(mem)
            offset = np.where(p["v_leak"] == 0, 0.0, mem.pull * p["v_leak"])
            if self.cuba:
                syn = leaks[1]
                assert syn is not None
                current = self._current(syn)
        if len(self.problems) > found:
            return None
        spiking = self.kind in SPIKING
        threshold = p.get("v_threshold", p.get("threshold", ones)) if spiking else ones
        v_reset = self._v_reset() if spiking else zeros
        source = {name: p[name] for name in (*self.taus, "r", "v_leak", "w_in") if name in p}
        with np.errstate(divide="ignore"):
            for name in self.taus:
                source[f"{name}_steps"] = tidy(p[name] / self.dt)
                source[f"{name}_inv"] = tidy(1 / p[name])
        return Neuron(
            spiking=spiking,
            decay=decay,
            gain=gain,
            offset=offset,
            threshold=threshold,
            v_reset=v_reset,
            v_init=p.get("v_init", self._start(v_reset)),
            v_min=self._lower_clamp(threshold, spiking),
            dialect=self.dialect,
            parameters=source | {"dt": np.full(n, self.dt)},
            current=current,
        )

    def _of_node(self, recurrent: bool) -> Dialect:
        """The dialect with what it means for a node of this kind; a note where that shows."""
        unit = not self.cuba or bool(np.all(self.p["r"] == 1) and np.all(self.p["w_in"] == 1))
        dialect = self.asked.for_node(self.kind, recurrent=recurrent, unit_jump=unit)
        plain = self.asked.for_node("LIF")
        if self.kind in ("IF", "LIF", "CubaLIF") and dialect.reset_time != plain.reset_time:
            what = f"a {self.kind} that feeds itself" if recurrent else f"a {self.kind}"
            self._note(f"reset_time = {dialect.reset_time}: {self.asked.reset_time}'s for {what}")
        if self.cuba and self.asked.synapse_order == "norse":
            how = "an exported LIFCell" if unit else "Norse's import of a graph"
            self._note(f"synapse_order = {dialect.synapse_order}: taken for {how}, by its r, w_in")
        return dialect

    def _repair_norse(self) -> None:
        """dt/tau_inv read as seconds is below one step: no trained network has that."""
        taus = [self.p[name] for name in self.taus]
        if self.dialect.input_gain != "dt/tau" or "decay" in self.p or np.any(self.p["r"] != 1):
            return
        if all(np.all(tau < self.dt) and np.all(tau < 1e-3) for tau in taus):
            for name in self.taus:
                self.p[name] = self.p[name] / self.dt
                self._note(
                    f"{name} is below dt; read as {name}/dt = {show_values(self.p[name])} s "
                    f"({_NORSE})"
                )

    def _leak(self, name: str) -> Leak | None:
        given = self.p.get("decay_syn" if name == "tau_syn" else "decay")
        return leak_of(
            self.where, name, self.p[name], self.dialect, self.dt, self.problems, self.notes,
            given=given,
        )  # fmt: skip

    def _gain_without_tau(self) -> Array:
        r = self.p["r"]
        if self.dialect.input_gain != "r*dt/tau":
            return np.ones_like(r)
        if np.all(r == 1):
            if self.dt != 1:
                self._note("r = 1: each input adds its weight once (exporters' v += x)")
            return np.ones_like(r)
        return snap_one(r * self.dt)

    def _gain(self, leak: Leak) -> Array:
        """What the membrane takes of its input."""
        d, p = self.dialect, self.p
        gain = np.ones(self.n)
        if d.input_gain == "r*dt/tau" or (d.input_gain == "dt/tau" and self.cuba):
            gain = _literal(p["r"], leak.ratio)
            if d.preset.startswith("snntorch") and np.any(gain != 1):
                self._note(
                    f"r is not tau/dt: the input is scaled by r*dt/tau = {show_values(gain)}, "
                    "as snnTorch's own import does"
                )
        elif d.input_gain == "dt/tau":
            gain = leak.ratio
        elif d.input_gain == "li-decay" and self.kind == "LI":
            gain = leak.decay
        if d.decay_input is True and not self.cuba:
            gain = gain * leak.ratio
            if np.any(leak.ratio < 1) and np.all(snap_one(p["r"] * leak.ratio) == 1):
                self._note(
                    "r = tau/dt, as SpikingJelly writes it for decay_input=False; "
                    "if so, add decay_input=false to --dialect"
                )
        if d.norm_input:
            gain = gain * (1.0 - leak.decay)
        self._check_gain(gain, "r", self.taus[0])
        return gain

    def _current(self, leak: Leak) -> Current:
        """The synaptic current's step. Norse's import has it leak towards v_leak, as a membrane."""
        d, p = self.dialect, self.p
        gain = np.ones(self.n)
        leaks = d.input_gain == "dt/tau" and d.synapse_order == "decay-add-use"
        if leaks or d.input_gain == "r*dt/tau":
            gain = _literal(p["w_in"], leak.ratio)
        elif d.input_gain == "dt/tau":
            gain = p["w_in"]
        self._check_gain(gain, "w_in", "tau_syn")
        if not leaks or np.all(p["v_leak"] == 0):
            return Current(decay=leak.decay, gain=gain)
        return Current(
            decay=leak.decay, gain=gain, offset=leak.pull * p["v_leak"], init=p["v_leak"]
        )

    def _check_gain(self, gain: Array, factor: str, tau: str) -> None:
        if np.all(gain != 0):
            return
        by_factor = self.dialect.input_gain == "r*dt/tau" and np.any(self.p[factor] == 0)
        what = f"{factor} = {show_values(self.p[factor])}"
        cure = f"set {factor}"
        if not by_factor:
            what, cure = f"{tau} = {show_values(self.p[tau])} s", "use an IF node"
        self._fail(
            f"{what} leaves an input gain of 0 in dialect {self.asked}; {cure}, or input_gain=one"
        )

    def _v_reset(self) -> Array:
        v_reset = self.p.get("v_reset", np.zeros(self.n))
        if not isinstance(self.dialect.v_reset, str):
            v_reset = np.full(self.n, float(self.dialect.v_reset))
        if self.dialect.reset == "value":
            return v_reset
        if np.any(v_reset != 0) and self.kind != "Threshold":
            self._note(
                f"v_reset = {show_values(v_reset)} is ignored: the dialect has "
                f"reset={self.dialect.reset}"
            )
        return np.zeros(self.n)

    def _start(self, v_reset: Array) -> Array:
        """Where the membrane begins: SpikingJelly's at v_reset, Norse's at v_leak."""
        if self.dialect.decay_input != "none" and self.dialect.reset == "value":
            return v_reset
        if self.dialect.input_gain == "dt/tau" and self.taus:
            return self.p["v_leak"]
        return np.zeros(self.n)

    def _lower_clamp(self, threshold: Array, spiking: bool) -> Array | None:
        v_min = self.dialect.v_min
        if isinstance(v_min, str):
            return -threshold if v_min == "-threshold" and spiking else None
        return np.full(self.n, float(v_min))


def _literal(factor: Array, ratio: Array) -> Array:
    """factor * dt/tau; 1 where both are without end, as snnTorch writes a beta of 1."""
    with np.errstate(invalid="ignore"):
        product = np.where(ratio > 0, factor, 0) * ratio
    return np.where(np.isinf(factor), 1.0, snap_one(tidy(product)))
