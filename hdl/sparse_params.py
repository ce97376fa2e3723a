# SPDX-License-Identifier: Apache-2.0
"""Sparse connections as plain data: compressed rows, a source's words of weights that are not 0.

Everything here is an integer, immutable and checked, as in `hdl.params`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from spikefab.hdl.param_error import require

__all__ = ["MAX_DELAY", "SparseParams", "compress"]

MAX_ENTRIES = 1 << 16

MAX_DELAY = 1023
"""Steps that a synapse may hold an event back."""

MAX_WORDS = 1 << 16
"""Words of sums in all slots of a ring."""


@dataclass(frozen=True, kw_only=True)
class SparseParams:
    """Which words of sums each source adds weights to, and how many steps ahead."""

    words: int
    """Words of sums: ceil(neurons / lanes)."""
    rows: tuple[tuple[int, ...], ...]
    """For each source its words, in the order in which they are visited: an entry each, of which
    the weight memory holds a word, in the same order. An entry ``d * words + w`` adds to word w of
    the sums that are handed over d steps later than those of the step at hand."""
    slots: int = 1
    """Steps whose sums are kept at a time: one more than the longest delay."""

    def __post_init__(self) -> None:
        require(self.words >= 1, "SparseParams.words", self.words, ">= 1")
        require(1 <= len(self.rows) <= MAX_ENTRIES, "len(SparseParams.rows)", len(self.rows),
                f"1 to {MAX_ENTRIES} sources")  # fmt: skip
        require(1 <= self.slots <= MAX_DELAY + 1, "SparseParams.slots", self.slots,
                f"1 to {MAX_DELAY + 1}: delays of at most {MAX_DELAY} steps",
                "use shorter delays")  # fmt: skip
        require(self.n_words <= max(self.words, MAX_WORDS), "SparseParams: words of all slots",
                self.n_words, f"at most {MAX_WORDS}",
                "use more lanes, or shorter delays")  # fmt: skip
        bad = [word for row in self.rows for word in row if not 0 <= word < self.n_words]
        require(not bad, "SparseParams.rows", bad[:3], f"words from 0 to {self.n_words - 1}")
        require(1 <= self.n_entries <= MAX_ENTRIES, "SparseParams.rows: entries", self.n_entries,
                f"1 to {MAX_ENTRIES}", "use more lanes, or prune more")  # fmt: skip

    @property
    def n_in(self) -> int:
        return len(self.rows)

    @property
    def n_words(self) -> int:
        """Words of sums in all slots."""
        return self.slots * self.words

    @cached_property
    def n_entries(self) -> int:
        return sum(len(row) for row in self.rows)

    @cached_property
    def runs(self) -> bool:
        """Each source's words follow each other: the first one says where they all are."""
        return all(row == tuple(range(row[0], row[0] + len(row))) for row in self.rows if row)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first entry of each source."""
        found, at = [], 0
        for row in self.rows:
            found.append(at)
            at += len(row)
        return tuple(found)


def compress(
    weights: Sequence[Sequence[int]], lanes: int, delays: Sequence[Sequence[int]] | None = None
) -> tuple[SparseParams, list[list[int]]]:
    """The words of a weight matrix, n_out rows of n_in, that are not all 0, and what they hold:
    `lanes` weights an entry. A matrix of zeros keeps one word.

    `delays`: steps by which each weight acts late, as the weights; a word of weights is kept once
    for each delay in it, with 0 for weights of another one.
    """
    rows = [list(map(int, row)) for row in weights]
    late = (
        [[0] * len(row) for row in rows] if delays is None else [list(map(int, d)) for d in delays]
    )
    n_in, words = len(rows[0]), -(-len(rows) // lanes)
    found: list[tuple[int, ...]] = []
    entries: list[list[int]] = []
    longest = 0
    for source in range(n_in):
        own = []
        for word in range(words):
            here = range(word * lanes, min((word + 1) * lanes, len(rows)))
            steps = {late[n][source] for n in here if rows[n][source]}
            for step in sorted(steps):
                values = [rows[n][source] if late[n][source] == step else 0 for n in here]
                own.append(step * words + word)
                entries.append(values + [0] * (lanes - len(values)))
                longest = max(longest, step)
        found.append(tuple(own))
    if not entries:
        found[0] = (0,)
        entries.append([0] * lanes)
    return SparseParams(words=words, rows=tuple(found), slots=longest + 1), entries
