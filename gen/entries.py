# SPDX-License-Identifier: Apache-2.0
"""The words of weights that are kept: of sparse connections, and of synapses with delays."""

from __future__ import annotations

import numpy as np

from spikefab.hdl.sparse_params import SparseParams

__all__ = ["sparse_words"]

FILL = 1.25
"""Words of weights that are kept for one that is not all 0, where a source's words then follow each
other: they need no memory that says which they are."""


def sparse_words(
    weights: np.ndarray, lanes: int, delays: np.ndarray | None = None
) -> tuple[SparseParams, list[list[int]]]:
    """`hdl.sparse_params.compress` in numpy: the words of weights (n_out, n_in) that are not all 0,
    with `delays` (n_out, n_in) once for each delay in them; where a source has one delay, those
    between them too, if they are few. Raises `ParamError` where they are too many."""
    late = np.zeros(weights.shape, np.int64) if delays is None else delays
    plain = _entries(weights, late, lanes)
    if plain is None:
        words = -(-len(weights) // lanes)
        none: tuple[tuple[int, ...], ...] = ((),) * (weights.shape[1] - 1)
        return SparseParams(words=words, rows=((0,), *none)), [[0] * lanes]
    rows, values, slots = plain
    words = -(-len(weights) // lanes)
    axonal = delays is not None and all(len({word // words for word in row}) < 2 for row in rows)
    ends = [(row[0], row[-1] + 1) if row else (0, 0) for row in rows]
    filled = sum(b - a for a, b in ends)
    if axonal and len(values) < filled <= FILL * len(values):
        more = np.zeros((filled, lanes), np.int64)
        starts = np.cumsum([0, *(b - a for a, b in ends)]).tolist()
        at = [s + word - row[0] for s, row in zip(starts, rows, strict=False) for word in row]
        more[at] = values
        rows, values = [tuple(range(a, b)) for a, b in ends], more
    return SparseParams(words=words, rows=tuple(rows), slots=slots), values.tolist()


def _entries(
    weights: np.ndarray, delays: np.ndarray, lanes: int
) -> tuple[list[tuple[int, ...]], np.ndarray, int] | None:
    """Rows, the weights of each entry, slots; None where all weights are 0."""
    n_out, n_in = weights.shape
    words = -(-n_out // lanes)
    target, source = np.nonzero(weights)
    if not len(target):
        return None
    value, late = weights[target, source], delays[target, source].astype(np.int64)
    slots = int(late.max()) + 1
    # One number an entry that sorts by source, then word, then delay.
    key = (source.astype(np.int64) * words + target // lanes) * slots + late
    entries, at = np.unique(key, return_inverse=True)
    rest, step = np.divmod(entries, slots)
    origin, word = np.divmod(rest, words)
    ends = np.searchsorted(origin, np.arange(1, n_in)).tolist()
    found = (step * words + word).tolist()
    rows = [tuple(found[a:b]) for a, b in zip([0, *ends], [*ends, len(found)], strict=True)]
    values = np.zeros((len(entries), lanes), np.int64)
    values[at, target % lanes] = value
    return rows, values, slots
