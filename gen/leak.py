# SPDX-License-Identifier: Apache-2.0
"""Leaks as integers over a power of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["LeakRatio", "leak_ratio"]

MAX_SHIFT = 16
"""Shifts above it only widen the multiplier; used where the tolerance cannot be met without."""
LIMIT_SHIFT = 20
"""The numeric contract's limit."""
NEAR = 1e-6
"""float32 arithmetic puts constants this close to 0 or 1 that mean 0 or 1."""


@dataclass(frozen=True)
class LeakRatio:
    """``num / 2**shift`` for each neuron of a layer; the shift is common."""

    num: np.ndarray
    """int64 (n,), 0 to ``2**shift``."""
    shift: int
    exact: bool
    """True: every ratio is the decay itself, to float32 precision."""
    error: float
    """Largest relative change of the time constant: ``|ratio - decay| / (1 - decay)``."""

    @property
    def value(self) -> np.ndarray:
        """float64 (n,): what the integers keep each step."""
        return self.num / (1 << self.shift)


def leak_ratio(decay: np.ndarray, tolerance: float) -> LeakRatio:
    """The smallest shift whose ratios are exact or, failing that, keep every time constant.

    `decay`: (n,), 0 to 1. `tolerance`: largest ``|ratio - decay| / (1 - decay)``. A decay that
    some shift up to 16 represents is always exact. Where no shift up to 20 keeps the tolerance,
    the result is that of shift 20, and its `error` says what is left; a decay below 1 never
    becomes 1, which would lose the leak altogether, unless 1 is nearer than any other choice.
    """
    decay = np.asarray(decay, np.float64)
    decay = np.where(np.abs(decay - 1) <= NEAR, 1.0, np.where(np.abs(decay) <= NEAR, 0.0, decay))
    ratios = [_at_shift(decay, shift) for shift in range(LIMIT_SHIFT + 1)]
    exact = next((r for r in ratios[: MAX_SHIFT + 1] if r.exact), None)
    close = next((r for r in ratios if r.error <= tolerance), None)
    return exact or close or ratios[-1]


def _at_shift(decay: np.ndarray, shift: int) -> LeakRatio:
    top = 1 << shift
    num = np.rint(decay * top).astype(np.int64)
    off = np.abs(num / top - decay)
    lost = np.divide(off, 1 - decay, out=np.zeros_like(off), where=decay < 1)
    # A float32 near 1 is known to 2**-24; one that was computed, to a few times that.
    return LeakRatio(num, shift, bool((off <= 2.0**-22).all()), float(lost.max(initial=0.0)))
