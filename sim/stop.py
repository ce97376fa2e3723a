# SPDX-License-Identifier: Apache-2.0
"""Early stop in the golden model: which step ends each sample, and what remains of it."""

from __future__ import annotations

import numpy as np

from spikefab.hdl.params import StopParams

__all__ = ["MAX_COUNT", "clear_after", "leads", "margins_of", "scores", "steps_used"]

MAX_COUNT = 65_535
"""A spike count stays there."""


def scores(spikes: np.ndarray, mem: np.ndarray | None = None) -> np.ndarray:
    """What the class is chosen by, after each step: int64 (samples, steps, outputs).

    The spikes counted so far, or an integrator's membranes `mem`.
    """
    if mem is not None:
        return mem.astype(np.int64, copy=False)
    return np.minimum(np.cumsum(spikes, axis=1, dtype=np.int64), MAX_COUNT)


def leads(score: np.ndarray) -> np.ndarray:
    """Best score less the second best, int64 (samples, steps)."""
    top = np.partition(score, -2, axis=-1)[..., -2:]
    lead: np.ndarray = top[..., 1] - top[..., 0]
    return lead


def margins_of(stop: StopParams, steps: int) -> np.ndarray:
    """The margin of each of `steps` steps, int64."""
    margins = stop.margins[:steps]
    return np.array(margins + (stop.margins[-1],) * (steps - len(margins)), np.int64)


def steps_used(stop: StopParams | None, lead: np.ndarray) -> np.ndarray:
    """Steps after which each sample ends, int32 (samples,), of `lead` (samples, steps)."""
    n_samples, n_steps = lead.shape
    if stop is None:
        return np.full(n_samples, n_steps, np.int32)
    margins = margins_of(stop, n_steps)
    decided = (lead >= margins) & (margins > 0)
    decided[:, -1] = True
    used: np.ndarray = decided.argmax(axis=1) + 1
    return used.astype(np.int32)


def clear_after(values: np.ndarray, used: np.ndarray) -> None:
    """Sets the rows of `values` (samples, steps, n) behind each sample's end to 0, in place."""
    values[np.arange(values.shape[1]) >= used[:, None]] = 0
