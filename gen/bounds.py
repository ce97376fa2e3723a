# SPDX-License-Identifier: Apache-2.0
"""How far a step's sum and a membrane can go: interval arithmetic on the actual weights.

Each neuron's membrane is followed as an interval through the update of
`docs/numeric-contract.md`, split where a comparison splits it, with the integer rounding of the
leak. Every function of the update is monotone between the splits, so the ends suffice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikefab.gen.current_bound import LIMIT, Interval, StepInputs, leaked
from spikefab.hdl.params import MAX_MEMBRANE_WIDTH, NeuronParams

__all__ = [
    "CurrentBound",
    "MembraneBound",
    "accumulator_range",
    "current_bound",
    "membrane_bound",
    "signed_width",
]

PLAIN_ROUNDS = 64
NARROW_ROUNDS = 512
MAX_STEPS = 1 << 14
"""Longest samples that are followed step by step."""


@dataclass(frozen=True)
class MembraneBound:
    """Intervals, ends included, that hold for any legal input."""

    lo: np.ndarray
    """int64 (n,): the stored membrane, its initial value included."""
    hi: np.ndarray
    u_lo: np.ndarray
    """int64 (n,): the membrane that is compared with the threshold."""
    u_hi: np.ndarray
    steps: int | None
    """Steps a sample that it holds for; None: for ever."""
    width: int
    """Bits that hold every membrane of the layer, and its constants even where nothing reaches
    them; at least 2."""

    @property
    def layer(self) -> tuple[int, int]:
        """Smallest and largest membrane of the layer."""
        return int(self.lo.min()), int(self.hi.max())


@dataclass(frozen=True)
class CurrentBound:
    """Intervals, ends included, that hold for any legal input."""

    lo: np.ndarray
    """int64 (n,): the synaptic current as it is kept between steps, 0 included."""
    hi: np.ndarray
    steps: int | None
    """Steps a sample that it holds for; None: for ever."""
    width: int
    """Bits that hold every current of the layer, at least 2."""


def signed_width(lo: int, hi: int) -> int:
    """Bits of the smallest two's complement number that holds `lo` to `hi`, at least 2."""
    return max(2, max((~lo).bit_length() if lo < 0 else 0, hi.bit_length() if hi > 0 else 0) + 1)


def accumulator_range(weights: np.ndarray, source_max: int) -> Interval:
    """Smallest and largest sum of a step, int64 (n_out,), in whatever order events come.

    `source_max`: most events a source in a step. Every partial sum is inside, for it holds a
    subset of the events.
    """
    wide = weights.astype(np.int64)
    return (
        np.minimum(wide, 0).sum(axis=1) * source_max,
        np.maximum(wide, 0).sum(axis=1) * source_max,
    )


def current_bound(
    neuron: NeuronParams, acc: Interval, steps: int | None = None
) -> CurrentBound | None:
    """The interval of every synaptic current under any input, each end reached by some; None where
    there is none of at most 40 bits.

    The arguments are those of `membrane_bound`; `neuron.current.width` is ignored.
    """
    if steps is not None and steps > MAX_STEPS:
        steps = None
    found = StepInputs(neuron, acc).stored(steps)
    if found is None:
        return None
    (lo, hi), held = found
    width = signed_width(int(lo.min()), int(hi.max()))
    return CurrentBound(lo, hi, held, width) if width <= MAX_MEMBRANE_WIDTH else None


def membrane_bound(
    neuron: NeuronParams, acc: Interval, steps: int | None = None
) -> MembraneBound | None:
    """The interval of every membrane under any input, or None where there is no finite one.

    `acc`: `accumulator_range` of the layer. A bound that holds for ever is tried first; where
    none is found (a leak of 1, mostly), one that holds for `steps` steps. `neuron`'s own
    `membrane_width` and `saturate` are ignored.
    """
    update = _Update(neuron, acc)
    held: int | None = None
    found = None if update.inputs is None else _for_ever(update)
    if found is None and steps is not None and steps <= MAX_STEPS:
        found, held = _for_steps(update, steps), steps
    if found is None or not _finite(found).all():
        return None
    lo, hi = found
    _, u = update(lo, hi)
    if update.steps.changes:
        early = update(update.init, update.init, update.steps.first)[1]
        u = np.minimum(u[0], early[0]), np.maximum(u[1], early[1])
    constants = (*neuron.v_init, *neuron.v_reset, *(neuron.v_min or ()))
    width = signed_width(min(int(lo.min()), *constants), max(int(hi.max()), *constants))
    return MembraneBound(lo, hi, u[0], u[1], held, width)


def _finite(v: Interval) -> np.ndarray:
    top = 1 << (MAX_MEMBRANE_WIDTH + 1)
    return (v[0] > -top) & (v[1] < top)


def _for_steps(update: _Update, steps: int) -> Interval:
    lo = hi = update.init
    widest: Interval | None = None
    for inputs, settled in update.steps.stepwise(steps):
        widest = inputs if widest is None else _hull(widest, inputs, np.ones(update.p.n, bool))
        new = update.grow(lo, hi, inputs)
        if settled and (new[0] == lo).all() and (new[1] == hi).all():
            break
        lo, hi = new
    update.inputs = widest
    return lo, hi


def _for_ever(update: _Update) -> Interval | None:
    """An interval that one more step does not leave: by iteration, then by leaps checked after.

    Any interval that holds the initial value and that the update maps into itself is a bound.
    """
    lo, hi = update.start
    for _ in range(PLAIN_ROUNDS):
        before = lo, hi
        lo, hi = update.grow(lo, hi)
        if (before[0] == lo).all() and (before[1] == hi).all():
            return lo, hi
        if not _finite((lo, hi)).all():
            return None
    step_lo, step_hi = before[0] - lo, hi - before[1]
    either = np.maximum(step_lo, step_hi)
    done = (step_lo == 0) & (step_hi == 0)
    out = lo, hi
    leap, d_lo, d_hi = np.zeros_like(lo), step_lo, step_hi

    def jump(
        factor: np.ndarray | int, d_lo: np.ndarray, d_hi: np.ndarray
    ) -> tuple[Interval, np.ndarray]:
        """The interval that reaches `factor` growths further, and where it is a bound."""
        cut = LIMIT // np.maximum(factor, 1)
        far = lo - np.minimum(d_lo, cut) * factor, hi + np.minimum(d_hi, cut) * factor
        w = update.grow(*far)
        return far, (w[0] >= far[0]) & (w[1] <= far[1]) & _finite(far)

    # Each side by its own last growth; then, for the rest, both sides by the larger.
    for try_lo, try_hi in ((step_lo, step_hi), (either, either)):
        for power in range(42):
            if done.all():
                break
            far, holds = jump(1 << power, try_lo, try_hi)
            new = holds & ~done
            out = _where(new, far, out)
            leap = np.where(new, 1 << power, leap)
            d_lo, d_hi = _where(new, (try_lo, try_hi), (d_lo, d_hi))
            done |= new
    if not done.all():
        return None
    # Powers of two overshoot: a smaller leap often holds too.
    for factor in (0.84, 0.71, 0.59):
        far, holds = jump((leap * factor).astype(np.int64), d_lo, d_hi)
        out = _where(holds, far, out)
    out_lo, out_hi = out
    # The image of such an interval is one too, and tighter.
    for _ in range(NARROW_ROUNDS):
        (w_lo, w_hi), _ = update(out_lo, out_hi)
        new_lo, new_hi = np.minimum(w_lo, update.start[0]), np.maximum(w_hi, update.start[1])
        if (new_lo == out_lo).all() and (new_hi == out_hi).all():
            break
        out_lo, out_hi = new_lo, new_hi
    return out_lo, out_hi


class _Update:
    """One step on intervals."""

    def __init__(self, neuron: NeuronParams, acc: Interval):
        self.p = p = replace(neuron, saturate=False)
        self.init = self._constant(p.v_init)
        self.threshold = self._constant(p.threshold)
        self.first = self.threshold + (1 if p.compare == "gt" else 0)  # smallest u that spikes
        self.target = self._constant(p.v_reset) if p.reset == "value" else self.init * 0
        self.floor = None if p.v_min is None else self._constant(p.v_min)
        self.num = self._constant(p.leak_num)
        self.steps = StepInputs(p, acc)
        # What acts on the membrane in every step, but perhaps a sample's first.
        self.inputs = self.steps.ever()
        self.start = self.init, self.init
        if self.steps.changes:
            self.start = self.grow(self.init, self.init, self.steps.first)

    def _constant(self, values: tuple[int, ...]) -> np.ndarray:
        cut = [max(-LIMIT, min(LIMIT, value)) for value in values]
        return np.broadcast_to(np.array(cut, np.int64), (self.p.n,))

    def grow(self, lo: np.ndarray, hi: np.ndarray, inputs: Interval | None = None) -> Interval:
        """The interval and all that one step makes of it."""
        (w_lo, w_hi), _ = self(lo, hi, inputs)
        return np.minimum(lo, w_lo), np.maximum(hi, w_hi)

    def __call__(
        self, lo: np.ndarray, hi: np.ndarray, inputs: Interval | None = None
    ) -> tuple[Interval, Interval]:
        """The stored membranes after a step from any in [lo, hi], and the compared ones."""
        p = self.p
        inputs = self.inputs if inputs is None else inputs
        assert inputs is not None
        w = u = (np.full(p.n, LIMIT), np.full(p.n, -LIMIT))
        delayed = p.spiking and p.reset_time != "same"
        parts = [(lo, hi, 0)]
        if delayed:
            parts = [
                (lo, np.minimum(hi, self.first - 1), 0),
                (np.maximum(lo, self.first), hi, 1),
            ]
        for v_lo, v_hi, r in parts:
            there = v_lo <= v_hi
            v = (v_lo, v_hi)
            if r and p.reset_time == "next-before-leak":
                v = self._reset_once(v)
            x = (leaked(p, self.num, v[0]), leaked(p, self.num, v[1]))
            if r and p.reset_time == "next-after-leak":
                x = self._reset_once(x)
            x = (
                np.clip(x[0] + inputs[0], -LIMIT, LIMIT),
                np.clip(x[1] + inputs[1], -LIMIT, LIMIT),
            )
            if r and p.reset_time == "next-discard":
                x = self.target, self.target
            u = _hull(u, x, there)
            for part, inside in self._compared(x, r):
                w = _hull(w, part, there & inside)
        if self.floor is not None:
            w = (np.maximum(w[0], self.floor), np.maximum(w[1], self.floor))
        return (np.clip(w[0], -LIMIT, LIMIT), np.clip(w[1], -LIMIT, LIMIT)), u

    def _reset_once(self, v: Interval) -> Interval:
        if self.p.reset == "subtract":
            return v[0] - self.threshold, v[1] - self.threshold
        return self.target, self.target

    def _compared(self, u: Interval, r: int) -> list[tuple[Interval, np.ndarray]]:
        """What a membrane in `u` becomes after its comparison: parts, and where each exists."""
        p = self.p
        everywhere = np.ones(p.n, bool)
        if not p.spiking or (p.reset_time != "same" and not p.reset_correction):
            return [(u, everywhere)]
        quiet = (u[0], np.minimum(u[1], self.first - 1))
        fires = (np.maximum(u[0], self.first), u[1])
        if p.reset_time == "same":
            fired = self._reset_count(fires) if p.reset == "subtract" else self._reset_once(fires)
        elif p.reset == "subtract":
            if r:
                quiet = (quiet[0] + self.threshold, quiet[1] + self.threshold)
            fired = fires if r else (fires[0] - self.threshold, fires[1] - self.threshold)
        else:
            if r:
                quiet = (2 * quiet[0], 2 * quiet[1])
            fired = fires if r else (self.init * 0, self.init * 0)
        return [(quiet, u[0] < self.first), (fired, u[1] >= self.first)]

    def _reset_count(self, u: Interval) -> Interval:
        """u - k*threshold, k the spikes of u: a saw tooth, which falls by `threshold` a tooth."""
        slack = 1 if self.p.compare == "gt" else 0
        k_lo, k_hi = (np.minimum((end - slack) // self.threshold, self.p.max_count) for end in u)
        one_tooth = k_lo == k_hi
        top = self.threshold - 1 + slack
        return (
            np.where(one_tooth, u[0] - k_lo * self.threshold, slack),
            np.where(
                one_tooth,
                u[1] - k_hi * self.threshold,
                np.maximum(top, u[1] - k_hi * self.threshold),
            ),
        )


def _where(condition: np.ndarray, a: Interval, b: Interval) -> Interval:
    return np.where(condition, a[0], b[0]), np.where(condition, a[1], b[1])


def _hull(a: Interval, b: Interval, where: np.ndarray) -> Interval:
    return (
        np.where(where, np.minimum(a[0], b[0]), a[0]),
        np.where(where, np.maximum(a[1], b[1]), a[1]),
    )
