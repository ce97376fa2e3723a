# SPDX-License-Identifier: Apache-2.0
"""Weights onto an integer grid: found where they already are on one, chosen where they are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Grid", "find_grid", "fit_binary", "fit_grid", "fit_ternary"]

ON_GRID = 1e-4
"""Weight LSBs that float32 arithmetic may put a weight off its grid."""
CLIPS = np.array([1.0, *np.geomspace(1.05, 0.25, 24)])
"""Shares of the largest weight that the top of the grid is tried at."""
SAMPLES = 128
"""Recorded steps that the search weighs errors with: more no longer move the choice."""
FREE = 1.05
"""Cost that a scale may have more when it makes the threshold a whole number of LSBs: 5 % of the
squared error is 2.5 % of the error, and saves up to ten bits a membrane."""


@dataclass(frozen=True)
class Grid:
    """Integer weights and what they stand for: ``weights * scale[:, None]``."""

    weights: np.ndarray
    """int8 (n_out, n_in)."""
    scale: np.ndarray
    """float64 (1,) or (n_out,)."""
    exact: bool


def find_grid(w: np.ndarray, bits: int, per_channel: bool, ternary: bool = False) -> Grid | None:
    """The grid that `w` (n_out, n_in) already is on, or None.

    Of all grids that fit `bits` the coarsest is taken, so that the integers are smallest. One bit
    is binary: -1 and +1, and no weight may be 0.
    """
    rows = w if per_channel else w.reshape(1, -1)
    scales = np.array([_row_scale(row, bits, ternary) for row in rows])
    if np.isnan(scales).any():
        return None
    # A silent row takes the scale of its neighbours: any fits.
    known = scales[scales > 0]
    scales[scales == 0] = known.max() if known.size else 1.0
    return Grid(np.rint(w / scales[:, None]).astype(np.int8), scales, True)


def _row_scale(row: np.ndarray, bits: int, ternary: bool) -> float:
    """The coarsest scale that puts every weight of `row` on the grid, else NaN; 0 if all are 0,
    and the grid has a 0."""
    if bits == 1 and not row.all():
        return float("nan")
    peak = row[np.abs(row).argmax()] if row.size else 0.0
    if peak == 0:
        return 0.0
    low, high = (-1, 1) if ternary or bits == 1 else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    probe = row[np.flatnonzero(row)[:512]]
    for k in range(1, -low + 1):
        scale = abs(peak) / k
        for part in (probe, row):
            ratio = part / scale
            whole = np.rint(ratio)
            if np.abs(ratio - whole).max() > ON_GRID or whole.min() < low or whole.max() > high:
                break
            if bits == 1 and not whole.all():
                break  # all but 0, and 0 is not there
        else:
            # Least squares averages the float noise of the single weight that was tried.
            refined = float(row @ whole / (whole @ whole))
            return _plain(refined)
    return float("nan")


def _plain(scale: float) -> float:
    """`scale`, or the fraction of a power of two that it is up to float32 noise."""
    mantissa, exponent = np.frexp(scale)
    short = np.rint(mantissa * 4096) / 4096
    return float(np.ldexp(short if abs(short - mantissa) < 1e-7 else mantissa, exponent))


def fit_grid(
    w: np.ndarray,
    bits: int,
    per_channel: bool,
    x: np.ndarray | None = None,
    unit: float | None = None,
) -> Grid:
    """The grid of `bits`, 2 or more, that costs least when `w` (n_out, n_in) is rounded to it.

    The cost is the error of the input sums, ``||(w - wq) x||**2`` over recorded source counts `x`
    (steps, n_in), or that of the weights where there are none. `unit`: a value (the threshold)
    that shall be a whole number of LSBs, or of a small fraction of one, where that is nearly free.
    """
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    x = _thin(x)
    w32 = w.astype(np.float32)
    peak = np.abs(w).max(axis=1) if per_channel else np.array([np.abs(w).max()])
    peak = np.where(peak > 0, peak, max(float(peak.max()), 1e-30))

    def cost(scale: np.ndarray) -> np.ndarray:
        s = scale[:, None].astype(np.float32)
        error = _error(w32 - np.clip(np.rint(w32 / s), low, high) * s, x)
        return error if per_channel else error.sum(keepdims=True)

    best = peak / max(high, 1)
    least = np.full(len(peak), np.inf)
    for clip in CLIPS:
        scale = peak * clip / max(high, 1)
        error = cost(scale)
        better = error < least
        best, least = np.where(better, scale, best), np.where(better, error, least)
    if unit is not None:
        best = _whole_unit(best, unit, cost, FREE * least)
    weights = np.clip(np.rint(w / best[:, None]), low, high).astype(np.int8)
    return Grid(weights, best, False)


def _whole_unit(
    best: np.ndarray, unit: float, cost: Callable[[np.ndarray], np.ndarray], most: np.ndarray
) -> np.ndarray:
    """Scales near `best` of which `unit` is a multiple, or a multiple of a half, a quarter…"""
    found = np.zeros(len(best), bool)
    result = best
    for fraction in range(7):
        nearest = np.rint(unit * 2.0**fraction / best)
        for away in (0, 1, -1, 2, -2):
            scale = unit * 2.0**fraction / np.maximum(nearest + away, 1)
            take = ~found & (cost(scale) <= most)
            result = np.where(take, scale, result)
            found |= take
            if found.all():
                return result
    return result


def fit_ternary(
    w: np.ndarray, per_channel: bool, x: np.ndarray | None = None, unit: float | None = None
) -> Grid:
    """-1, 0 and 1 times a scale: the cut below which a weight becomes 0 is searched.

    For each cut the scale is the mean magnitude of the weights above it, which is the best one
    (Li, Zhang, Liu: Ternary weight networks, 2016). Cost and `unit` as in `fit_grid`.
    """
    x = _thin(x)
    w32 = w.astype(np.float32)
    magnitude = np.abs(w32) if per_channel else np.abs(w32).reshape(1, -1)
    mean = magnitude.mean(axis=1)
    mean = np.where(mean > 0, mean, 1.0)
    n_rows = len(mean)
    best_scale, best_cut = mean.astype(np.float64), np.zeros(n_rows)
    least = np.full(n_rows, np.inf)
    for factor in np.linspace(0.0, 2.4, 33):
        cut = mean * factor
        kept = magnitude > cut[:, None]
        count = kept.sum(axis=1)
        scale = np.where(count > 0, (magnitude * kept).sum(axis=1) / np.maximum(count, 1), mean)
        q = np.sign(w32) * (np.abs(w32) > cut[:, None]) * scale[:, None]
        error = _error(w32 - q, x)
        error = error if per_channel else error.sum(keepdims=True)
        better = error < least
        best_scale = np.where(better, scale, best_scale)
        best_cut = np.where(better, cut, best_cut)
        least = np.where(better, error, least)
    weights = (np.sign(w) * (np.abs(w) > best_cut[:, None])).astype(np.int8)

    def cost(scale: np.ndarray) -> np.ndarray:
        error = _error(w32 - weights * scale[:, None].astype(np.float32), x)
        return error if per_channel else error.sum(keepdims=True)

    if unit is not None:
        best_scale = _whole_unit(best_scale, unit, cost, FREE * least)
    return Grid(weights, best_scale, False)


def fit_binary(
    w: np.ndarray, per_channel: bool, x: np.ndarray | None = None, unit: float | None = None
) -> Grid:
    """-1 and +1 times a scale: the weights' signs, and the scale that costs least with them.

    That is the mean magnitude where there is no `x` (Rastegari et al.: XNOR-Net, 2016). There is
    no 0: a weight of 0 becomes +1. A channel of zeros alone takes the smallest scale of the others.
    Cost and `unit` as in `fit_grid`.
    """
    x = _thin(x)
    w32 = w.astype(np.float32)
    weights = np.where(w < 0, -1, 1).astype(np.int8)
    signs = weights.astype(np.float32)

    def shared(a: np.ndarray) -> np.ndarray:
        return a if per_channel else a.sum(keepdims=True)

    def cost(scale: np.ndarray) -> np.ndarray:
        return shared(_error(w32 - signs * scale[:, None].astype(np.float32), x))

    # |w - s b|**2 is least at s = (w b) / (b b), over weights and sums alike.
    mean = shared(np.abs(w).mean(axis=1)) / (1 if per_channel else len(w))
    top, bottom = shared((w * weights).sum(axis=1)), shared(np.full(len(w), float(w.shape[1])))
    if x is not None:
        sums, units = w32 @ x.T, signs @ x.T
        top = top + shared(np.einsum("ij,ij->i", sums, units, dtype=np.float64))
        bottom = bottom + shared(np.einsum("ij,ij->i", units, units, dtype=np.float64))
    # Where signs alone turn the recorded sums round, no scale helps them.
    scale = np.where(top > 0, top / bottom, mean)
    least = scale[scale > 0].min(initial=np.inf)
    scale[scale == 0] = least if np.isfinite(least) else 1.0
    if unit is not None:
        scale = _whole_unit(scale, unit, cost, FREE * cost(scale))
    return Grid(weights, scale, False)


def _thin(x: np.ndarray | None) -> np.ndarray | None:
    """At most `SAMPLES` recorded steps in which something happened, evenly spread."""
    if x is None:
        return None
    x = x[x.any(axis=1)]
    if not len(x):
        return None
    chosen = np.linspace(0, len(x) - 1, min(len(x), SAMPLES)).astype(int)
    return x[chosen].astype(np.float32)


def _error(difference: np.ndarray, x: np.ndarray | None) -> np.ndarray:
    """Squared error a row: of the sums that `x` makes, as if every input had also spiked once.

    Without that once, the weights of inputs that were silent in a short recording would be free.
    """
    error = np.einsum("ij,ij->i", difference, difference, dtype=np.float64)
    if x is not None:
        sums = difference @ x.T
        error += np.einsum("ij,ij->i", sums, sums, dtype=np.float64)
    return error
