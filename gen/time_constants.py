# SPDX-License-Identifier: Apache-2.0
"""From a time constant to what a state keeps in a step, with float32's noise taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikefab.gen.dialect import Dialect

__all__ = ["Leak", "leak_of", "show_values", "snap_one", "tidy"]

Array = np.ndarray

NEAR_ONE = 1e-6
"""Constants that float32 puts this close to 1 are 1."""
UNITY = 4096
"""What lava's 12-bit decays are parts of."""


@dataclass(frozen=True, eq=False)
class Leak:
    """One leaking state of n neurons."""

    ratio: Array
    """dt/tau, float64 (n,)."""
    decay: Array
    """What it keeps in a step."""
    pull: Array
    """What it takes on, in a step, of the value that it leaks towards: dt/tau, and not 1 - decay,
    in Euler's step, where a decay that is rounded to 1 still pulls."""


def leak_of(
    where: str,
    name: str,
    tau: Array,
    dialect: Dialect,
    dt: float,
    problems: list[str],
    notes: list[str],
    *,
    given: Array | None = None,
) -> Leak | None:
    """The leak of time constant `tau`, called `name`; None, with a problem, where it is none.

    `given`: the decay itself, where the user stated that and not tau.
    """
    with np.errstate(divide="ignore"):
        ratio = np.where(np.isinf(tau), 0.0, tidy(dt / tau))
    if dialect.decay == "exp":
        decay = np.exp(-ratio)
    elif dialect.decay == "round12":
        decay = 1.0 - np.rint(UNITY * ratio) / UNITY
    else:
        decay = 1.0 - ratio
    if given is not None:
        decay = given
        if dialect.decay == "round12":
            decay = 1.0 - np.rint(UNITY * (1.0 - given)) / UNITY
    if np.any(decay < 0):
        problems.append(
            f"{where}: {name} = {show_values(tau)} s is below dt = {dt:g} s: 1 - dt/tau = "
            f"{show_values(decay)} is no leak; give the dt that the network was trained with (--dt)"
        )
        return None
    decay = np.where(np.abs(decay - 1) <= NEAR_ONE, 1.0, decay)
    if np.any(ratio > 10):
        notes.append(
            f"{where}: {name}/dt = {show_values(tau / dt)}: the state forgets within a step; "
            "check dt"
        )
    return Leak(ratio, decay, ratio if dialect.decay == "euler" else 1.0 - decay)


def snap_one(values: Array) -> Array:
    """1 where a value is 1 but for float32's noise."""
    return np.where(np.abs(values - 1) <= NEAR_ONE, 1.0, values)


def tidy(values: Array) -> Array:
    """The short numbers that a float32 file rounded, where there are such within its precision."""
    unique, index = np.unique(values, return_inverse=True)
    short = unique.copy()
    for i, value in enumerate(unique):
        if not np.isfinite(value):
            continue
        for candidate in (round(value * 4096) / 4096, float(f"{value:.4g}")):
            if abs(candidate - value) <= 2.5e-7 * abs(value):
                short[i] = candidate
                break
    return short[index].reshape(values.shape)


def show_values(values: Array) -> str:
    """One number, or the range of several."""
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:g}" if low == high else f"{low:g}…{high:g}"
