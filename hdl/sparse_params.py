# SPDX-License-Identifier: Apache-2.0
"""Sparse connections as plain data: compressed rows, a source's words of weights that are not 0.

Everything here is an integer, immutable and checked, as in `hdl.params`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from spikefab.hdl.param_error import require

__all__ = ["SparseParams", "compress"]

MAX_ENTRIES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class SparseParams:
    """Which words of sums each source adds weights to."""

    words: int
    """Words of sums: ceil(neurons / lanes)."""
    rows: tuple[tuple[int, ...], ...]
    """For each source its words, in the order in which they are visited: an entry each, of which
    the weight memory holds a word, in the same order."""

    def __post_init__(self) -> None:
        require(self.words >= 1, "SparseParams.words", self.words, ">= 1")
        require(1 <= len(self.rows) <= MAX_ENTRIES, "len(SparseParams.rows)", len(self.rows),
                f"1 to {MAX_ENTRIES} sources")  # fmt: skip
        bad = [word for row in self.rows for word in row if not 0 <= word < self.words]
        require(not bad, "SparseParams.rows", bad[:3], f"words from 0 to {self.words - 1}")
        require(1 <= self.n_entries <= MAX_ENTRIES, "SparseParams.rows: entries", self.n_entries,
                f"1 to {MAX_ENTRIES}", "use more lanes, or prune more")  # fmt: skip

    @property
    def n_in(self) -> int:
        return len(self.rows)

    @cached_property
    def n_entries(self) -> int:
        return sum(len(row) for row in self.rows)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first entry of each source."""
        found, at = [], 0
        for row in self.rows:
            found.append(at)
            at += len(row)
        return tuple(found)


def compress(weights: Sequence[Sequence[int]], lanes: int) -> tuple[SparseParams, list[list[int]]]:
    """The words of a weight matrix, n_out rows of n_in, that are not all 0, and what they hold:
    `lanes` weights an entry. A matrix of zeros keeps one word."""
    rows = [list(map(int, row)) for row in weights]
    n_in, words = len(rows[0]), -(-len(rows) // lanes)
    rows += [[0] * n_in] * (words * lanes - len(rows))
    found: list[tuple[int, ...]] = []
    entries: list[list[int]] = []
    for source in range(n_in):
        own = []
        for word in range(words):
            values = [row[source] for row in rows[word * lanes : (word + 1) * lanes]]
            if any(values):
                own.append(word)
                entries.append(values)
        found.append(tuple(own))
    if not entries:
        found[0] = (0,)
        entries.append([0] * lanes)
    return SparseParams(words=words, rows=tuple(found)), entries
