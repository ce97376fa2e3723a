# SPDX-License-Identifier: Apache-2.0
"""What acts on a membrane in a step, as intervals: the step's sum, or a synaptic current."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikefab.hdl.params import CurrentParams, NeuronParams

__all__ = ["LIMIT", "Interval", "StepInputs", "leaked"]

Interval = tuple[np.ndarray, np.ndarray]

LIMIT = 1 << 42
"""Intervals are cut here; two bits above the widest membrane, and times 2**20 still an int64."""


def leaked(params: NeuronParams | CurrentParams, num: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The leak of a membrane or of a current."""
    product = v * num
    if params.leak_rounding == "floor":
        return product >> params.leak_shift
    if params.leak_rounding == "nearest":
        return (product + ((1 << params.leak_shift) >> 1)) >> params.leak_shift
    return np.sign(product) * (np.abs(product) >> params.leak_shift)


class StepInputs:
    """What a step adds to each membrane at least and at most, under any input.

    A current is followed as the sum that a step makes of it, before it decays: in each order of its
    update that is ``t' = leak_i(t) + X``. It starts at the first step's X. `acc` is
    `accumulator_range` of the layer; intervals are int64 (n,), ends included.
    """

    def __init__(self, neuron: NeuronParams, acc: Interval):
        self.p, self.c = neuron, neuron.current
        self.bias = self._constant(neuron.bias)
        given = self._constant(self.c.bias) if self.c else 0
        wide = [end.astype(np.int64) << neuron.fraction_bits for end in acc]
        self.x_first = wide[0] + given, wide[1] + given
        late = self._constant(neuron.bias_late)
        self.x = self.x_first[0] + late, self.x_first[1] + late
        self.num = self._constant(self.c.leak_num) if self.c else late

    def _constant(self, values: tuple[int, ...]) -> np.ndarray:
        cut = [max(-LIMIT, min(LIMIT, value)) for value in values]
        return np.broadcast_to(np.array(cut, np.int64), (self.p.n,))

    @property
    def first(self) -> Interval:
        """In a sample's first step."""
        return self._used(self.x_first)

    @property
    def changes(self) -> bool:
        """A sample's first step is not as the others."""
        return any(self.p.bias_late)

    def ever(self) -> Interval | None:
        """In any other step, however long the sample; None where a current grows for ever."""
        if self.c is None:
            return self._used(self.x)
        found = self.sums()
        return None if found is None else self._used(found)

    def stepwise(self, steps: int) -> Iterator[tuple[Interval, bool]]:
        """In step 0, 1, … `steps` - 1, and whether all later ones are the same."""
        t, settled = self.x_first, False
        for k in range(steps):
            if k and not settled:
                new = self._next(t)
                settled = bool((new[0] == t[0]).all() and (new[1] == t[1]).all())
                t = new
            yield self._used(t), settled

    def stored(self, steps: int | None) -> tuple[Interval, int | None] | None:
        """The current as it is kept between steps, 0 included, and the steps that this holds for,
        None being for ever; None where there is no such interval."""
        assert self.c is not None
        found, held = self.sums(), None
        if found is None:
            if steps is None:
                return None
            lo, hi = t = self.x_first
            for _ in range(steps - 1):
                new = self._next(t)
                if (new[0] == t[0]).all() and (new[1] == t[1]).all():
                    break
                t = new
                lo, hi = np.minimum(lo, t[0]), np.maximum(hi, t[1])
            found, held = (lo, hi), steps
        if self.c.order != "decay-add-use":
            found = self._leak(found)
        return (np.minimum(found[0], 0), np.maximum(found[1], 0)), held

    def sums(self) -> Interval | None:
        """The current before it decays, in any step: the least interval that holds the first
        step's and that no step leaves. ``leak(t) - t`` never rises: halving finds the ends."""
        high = _first_held(lambda t: self._leak_one(t) + self.x[1] <= t, self.x_first[1])
        low = _first_held(lambda t: self._leak_one(-t) + self.x[0] >= -t, -self.x_first[0])
        if high is None or low is None:
            return None
        return -low, high

    def _next(self, t: Interval) -> Interval:
        kept = self._leak(t) if self.c else (0, 0)
        return (
            np.clip(kept[0] + self.x[0], -LIMIT, LIMIT),
            np.clip(kept[1] + self.x[1], -LIMIT, LIMIT),
        )

    def _used(self, t: Interval) -> Interval:
        if self.c is not None and self.c.order == "add-decay-use":
            t = self._leak(t)
        return t[0] + self.bias, t[1] + self.bias

    def _leak(self, t: Interval) -> Interval:
        return self._leak_one(t[0]), self._leak_one(t[1])

    def _leak_one(self, t: np.ndarray) -> np.ndarray:
        assert self.c is not None
        return leaked(self.c, self.num, t)


def _first_held(holds, start: np.ndarray) -> np.ndarray | None:  # type: ignore[no-untyped-def]
    """The smallest number from `start` on at which `holds` is true; it stays true behind it."""
    low, high = start - 1, np.full_like(start, LIMIT)
    if (start > LIMIT).any() or not holds(high).all():
        return None
    while (high - low > 1).any():
        middle = (low + high) >> 1
        there = holds(middle) & (middle > low)
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return high
