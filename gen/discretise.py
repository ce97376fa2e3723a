# SPDX-License-Identifier: Apache-2.0
"""From a neuron's continuous equation to one time step, as a dialect does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from spikefab.gen.dialect import Dialect
from spikefab.gen.network import Neuron

__all__ = ["NEURON_PARAMETERS", "Kind", "dialect_problems", "discretise"]

FLOAT32_TINY = float(np.finfo(np.float32).tiny)

Kind = Literal["IF", "LIF", "LI"]

NEURON_PARAMETERS: dict[Kind, tuple[str, ...]] = {
    "IF": ("r", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "LI": ("tau", "r", "v_leak"),
}
"""The parameters of each node, as NIR names them."""

NEAR_ONE = 1e-6
"""Constants that float32 puts this close to 1 are 1."""

_NORSE = "Norse 1.1.0 writes dt/tau_mem_inv instead of 1/tau_mem_inv"


def dialect_problems(dialect: Dialect) -> list[str]:
    """What no network can be run with in this version, each with the cure."""
    problems = []
    if dialect.state == "carry":
        problems.append(
            f"dialect {dialect}: state=carry keeps membranes from sample to sample, which is not "
            f"supported; clear them with --dialect {dialect.preset or dialect},state=clear"
        )
    if dialect.decay == "round12":
        problems.append(
            f"dialect {dialect}: decay=round12 (lava's 12-bit decay) is not supported; "
            "choose decay=euler or decay=exp"
        )
    return problems


def discretise(
    where: str,
    kind: Kind,
    parameters: Mapping[str, np.ndarray],
    dialect: Dialect,
    dt: float,
    problems: list[str],
    notes: list[str],
) -> Neuron | None:
    """The neuron's step in a dialect.

    `where` names the node in messages. `parameters` holds `NEURON_PARAMETERS[kind]`, each float64
    (n,), and optionally `decay` (given instead of tau, which must then agree) and `v_init`.
    What is wrong is added to `problems` (the result is then None), what was assumed to `notes`.
    """
    p = {name: np.asarray(value, float) for name, value in parameters.items()}
    found = len(problems)
    _check_ranges(where, kind, p, problems)
    if len(problems) > found:
        return None
    n = len(p["r"])
    spiking = kind != "LI"
    ones, zeros = np.ones(n), np.zeros(n)

    if kind == "IF":
        decay, offset = ones, zeros
        gain = _if_gain(where, p["r"], dialect, dt, notes)
        source = {"r": p["r"]}
    else:
        steps_tau = p["tau"] / dt
        euler = dialect.decay == "euler"
        if dialect.input_gain == "dt/tau" and np.all(steps_tau < 1) and np.all(p["tau"] < 1e-3):
            # dt/tau_inv read as seconds is below one step: no trained network has that.
            p["tau"] = p["tau"] / dt
            steps_tau = p["tau"] / dt
            notes.append(
                f"{where}: tau is below dt; read as tau/dt = {_show(p['tau'])} s ({_NORSE})"
            )
        with np.errstate(divide="ignore"):
            ratio = np.where(np.isinf(steps_tau), 0.0, _tidy(1.0 / steps_tau))
        decay = p["decay"] if "decay" in p else (1.0 - ratio if euler else np.exp(-ratio))
        if np.any(decay < 0):
            problems.append(
                f"{where}: tau = {_show(p['tau'])} s is below dt = {dt:g} s: 1 - dt/tau = "
                f"{_show(decay)} is no leak; give the dt that the network was trained with (--dt)"
            )
            return None
        decay = np.where(np.abs(decay - 1) <= NEAR_ONE, 1.0, decay)
        if np.any(steps_tau < 0.1):
            notes.append(
                f"{where}: tau/dt = {_show(steps_tau)}: the membrane forgets within a step; "
                "check dt"
            )
        gain = _lif_gain(where, p, ratio, decay, dialect, problems, notes)
        # `ratio` and not 1 - decay: a decay that is rounded to 1 still pulls towards v_leak.
        pull = ratio if euler else 1.0 - decay
        offset = np.where(p["v_leak"] == 0, 0.0, pull * p["v_leak"])
        source = {name: p[name] for name in ("tau", "r", "v_leak")}
    if len(problems) > found:
        return None

    threshold = p["v_threshold"] if spiking else ones
    v_reset = p["v_reset"] if spiking else zeros
    if not isinstance(dialect.v_reset, str):
        v_reset = np.full(n, float(dialect.v_reset))
    hard = spiking and dialect.reset == "value"
    if spiking and not hard and np.any(v_reset != 0):
        notes.append(
            f"{where}: v_reset = {_show(v_reset)} is ignored: the dialect has reset={dialect.reset}"
        )
    if not hard:
        v_reset = zeros
    start = zeros
    if dialect.decay_input != "none" and hard:
        start = v_reset  # SpikingJelly's membrane starts at v_reset
    elif dialect.input_gain == "dt/tau" and kind != "IF":
        start = p["v_leak"]  # Norse's at v_leak
    return Neuron(
        spiking=spiking,
        decay=decay,
        gain=gain,
        offset=offset,
        threshold=threshold,
        v_reset=v_reset,
        v_init=p.get("v_init", start),
        v_min=_lower_clamp(dialect, threshold, spiking),
        dialect=dialect,
        parameters=source | {"dt": np.full(n, dt)},
    )


def _check_ranges(where: str, kind: Kind, p: dict[str, np.ndarray], problems: list[str]) -> None:
    found = len(problems)
    # snnTorch's beta = 1 is written as tau = dt/0 and r = tau/dt.
    endless = np.isposinf(p["tau"]) if kind != "IF" else np.zeros(len(p["r"]), bool)
    for name, value in p.items():
        allowed = endless & np.isposinf(value) if name in ("tau", "r") else False
        if not np.all(np.isfinite(value) | allowed):
            problems.append(f"{where}: {name} holds NaN or infinity; every value must be finite")
    if len(problems) > found:
        return
    for name in ("tau", "v_threshold"):
        if name in p and np.any(p[name] <= 0):
            problems.append(f"{where}: {name} = {np.min(p[name]):g}: must be > 0")
        elif name in p and np.any(p[name] < FLOAT32_TINY):
            problems.append(
                f"{where}: {name} = {np.min(p[name]):g}: frameworks compute in float32, which "
                f"begins at {FLOAT32_TINY:.3g}"
            )


def _if_gain(
    where: str, r: np.ndarray, dialect: Dialect, dt: float, notes: list[str]
) -> np.ndarray:
    if dialect.input_gain != "r*dt/tau":
        return np.ones_like(r)
    if np.all(r == 1):
        if dt != 1:
            notes.append(f"{where}: r = 1: each input adds its weight once (exporters' v += x)")
        return np.ones_like(r)
    return _snap_one(r * dt)


def _lif_gain(
    where: str,
    p: dict[str, np.ndarray],
    ratio: np.ndarray,
    decay: np.ndarray,
    dialect: Dialect,
    problems: list[str],
    notes: list[str],
) -> np.ndarray:
    gain = np.ones_like(ratio)
    if dialect.input_gain == "dt/tau":
        gain = ratio
    elif dialect.input_gain == "r*dt/tau":
        gain = np.where(
            np.isinf(p["r"]), 1.0, _snap_one(_tidy(np.where(ratio > 0, p["r"], 0) * ratio))
        )
        if dialect.preset.startswith("snntorch") and np.any(gain != 1):
            notes.append(
                f"{where}: r is not tau/dt: the input is scaled by r*dt/tau = {_show(gain)}, "
                "as snnTorch's own import does"
            )
    if dialect.decay_input is True:
        gain = gain * ratio
        if np.any(ratio < 1) and np.all(np.abs(p["r"] * ratio - 1) <= NEAR_ONE):
            notes.append(
                f"{where}: r = tau/dt, as SpikingJelly writes it for decay_input=False; "
                "if so, add decay_input=false to --dialect"
            )
    if dialect.norm_input:
        gain = gain * (1.0 - decay)
    if np.any(gain == 0):
        by_r = dialect.input_gain == "r*dt/tau" and np.any(p["r"] == 0)
        what = f"r = {_show(p['r'])}" if by_r else f"tau = {_show(p['tau'])} s"
        cure = "set r" if by_r else "use an IF node"
        problems.append(
            f"{where}: {what} leaves an input gain of 0 in dialect {dialect}; {cure}, or "
            "input_gain=one"
        )
    return gain


def _lower_clamp(dialect: Dialect, threshold: np.ndarray, spiking: bool) -> np.ndarray | None:
    if dialect.v_min == "none":
        return None
    if isinstance(dialect.v_min, str):
        return -threshold if spiking else None
    return np.full(len(threshold), float(dialect.v_min))


def _snap_one(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values - 1) <= NEAR_ONE, 1.0, values)


def _tidy(values: np.ndarray) -> np.ndarray:
    """The short number that a float32 file rounded, where there is one within its precision."""
    unique, index = np.unique(values, return_inverse=True)
    tidy = unique.copy()
    for i, value in enumerate(unique):
        for short in (round(value * 4096) / 4096, float(f"{value:.4g}")):
            if np.isfinite(value) and abs(short - value) <= 2.5e-7 * abs(value):
                tidy[i] = short
                break
    return tidy[index].reshape(values.shape)


def _show(values: np.ndarray) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:g}" if low == high else f"{low:g}…{high:g}"
