# SPDX-License-Identifier: Apache-2.0
"""Bounds hold for every input, and are reached where that is easy to say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import networks, neuron_params

from spikefab.gen.bounds import accumulator_range, membrane_bound, signed_width
from spikefab.hdl.params import NeuronParams, Rounding
from spikefab.sim.golden import run_golden


def update(p: NeuronParams, i: int, v: int, a: int) -> tuple[int, int, int]:
    """One neuron's step, straight from the contract's page: (u, w, k). Plain Python integers."""

    def pick(values: tuple[int, ...]) -> int:
        return values[i] if len(values) > 1 else values[0]

    def above(x: int) -> int:
        return int(x > th if p.compare == "gt" else x >= th)

    def reset(x: int, k: int) -> int:
        if p.reset == "subtract":
            return x - k * th
        return x if k == 0 else (pick(p.v_reset) if p.reset == "value" else 0)

    th, num, s = pick(p.threshold), pick(p.leak_num), p.leak_shift
    r = above(v) if p.spiking else 0
    v1 = reset(v, r) if p.reset_time == "next-before-leak" and p.spiking else v
    leaked = {
        "floor": (v1 * num) >> s,
        "nearest": (v1 * num + ((1 << s) >> 1)) >> s,
        "toward-zero": (abs(v1 * num) >> s) * (1 if v1 > 0 else -1),
    }[p.leak_rounding]
    if p.reset_time == "next-after-leak" and p.spiking:
        leaked = reset(leaked, r)
    u = leaked + (a << p.fraction_bits) + pick(p.bias)
    k = 0
    if p.spiking:
        while k < p.max_count and above(u - k * th):
            k += 1
    w = reset(u, k) if p.reset_time == "same" and p.spiking else u
    if p.reset_correction:
        w = w - (k - r) * (th if p.reset == "subtract" else w)
    if p.v_min is not None:
        w = max(w, pick(p.v_min))
    return u, w, k


@pytest.mark.parametrize(
    ("lo", "hi", "width"),
    [(0, 0, 2), (-2, 1, 2), (-3, 0, 3), (0, 2, 3), (0, 127, 8), (0, 128, 9), (-128, 5, 8),
     (-129, 0, 9)],
)  # fmt: skip
def test_width_is_the_smallest_that_holds_both_ends(lo: int, hi: int, width: int) -> None:
    assert signed_width(lo, hi) == width


def test_sums_are_bounded_by_the_actual_weights() -> None:
    weights = np.array([[3, -2, 0], [-128, -128, -128], [127, 127, 127]], np.int8)
    lo, hi = accumulator_range(weights, 2)
    assert lo.tolist() == [-4, -768, 0]
    assert hi.tolist() == [6, 0, 762]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_input_leaves_the_bound(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.integers(1, 4))
    lo = -rng.integers(0, 40, n)
    hi = rng.integers(0, 40, n)
    p = data.draw(neuron_params(n, 40, rng, data.draw(st.booleans())))
    steps = data.draw(st.sampled_from([1, 2, 7, 30]))
    bound = membrane_bound(p, (lo, hi), steps)
    assert bound is not None
    length = steps if bound.steps is not None else 60
    for i in range(n):
        for mode in ("most", "least", "ends", "any", "any"):
            v = p.v_init[i] if len(p.v_init) > 1 else p.v_init[0]
            assert bound.lo[i] <= v <= bound.hi[i]
            for _ in range(length):
                a = {
                    "most": hi[i],
                    "least": lo[i],
                    "ends": rng.choice([lo[i], hi[i]]),
                    "any": rng.integers(lo[i], hi[i] + 1),
                }[mode]
                u, v, _ = update(p, i, v, int(a))
                assert bound.lo[i] <= v <= bound.hi[i]
                assert bound.u_lo[i] <= u <= bound.u_hi[i]


@given(networks(max_neurons=12))
@settings(max_examples=50, deadline=None)
def test_golden_membranes_stay_within_the_layers_bound(drawn) -> None:  # type: ignore[no-untyped-def]
    names = [layer.name for layer in drawn.qnet.layers]
    mem = run_golden(drawn.qnet, drawn.x, record=names).mem
    for layer in drawn.qnet.layers:
        top = 1 << (layer.neuron.membrane_width - 1)
        lo, hi = layer.bound or (-top, top - 1)
        assert lo <= mem[layer.name].min()
        assert mem[layer.name].max() <= hi


def brute(p: NeuronParams, lo: int, hi: int) -> set[int]:
    """Every membrane that can occur, for ever."""
    seen, new = set(), {p.v_init[0]}
    while new:
        seen |= new
        new = {update(p, 0, v, a)[1] for v in new for a in range(lo, hi + 1)} - seen
    return seen


@pytest.mark.parametrize("fields", [
    {"leak_num": (3,), "leak_shift": 2},
    {"leak_num": (7,), "leak_shift": 3, "leak_rounding": "nearest"},
    {"leak_num": (15,), "leak_shift": 4, "leak_rounding": "toward-zero", "bias": (3,)},
    {"leak_num": (1,), "leak_shift": 1, "reset": "zero", "v_init": (-60,)},
    {"reset": "zero", "v_min": (-9,)},
    {"reset": "subtract", "v_min": (-20,), "count_width": 5, "compare": "ge"},
    {"leak_num": (3,), "leak_shift": 2, "reset_time": "next-after-leak"},
    {"leak_num": (3,), "leak_shift": 2, "reset": "zero", "reset_time": "next-before-leak"},
    {"reset": "zero", "reset_time": "next-before-leak", "v_min": (-9,)},
    {"leak_num": (0,), "reset": "zero", "reset_time": "next-before-leak",
     "reset_correction": True, "threshold": (4,), "v_init": (10,)},
    {"leak_num": (0,), "reset_time": "next-after-leak", "reset_correction": True,
     "threshold": (4,)},
])  # fmt: skip
def test_bound_that_holds_for_ever_is_reached(fields: dict) -> None:
    p = NeuronParams(**{"n": 1, "fraction_bits": 0, "membrane_width": 40, "threshold": (20,)}
                     | fields)  # fmt: skip
    bound = membrane_bound(p, (np.array([-7]), np.array([11])))
    assert bound is not None
    assert bound.steps is None
    reached = brute(p, -7, 11)
    assert bound.layer == (min(reached), max(reached))


@pytest.mark.parametrize("shift", [6, 10, 14, 16])
@pytest.mark.parametrize("rounding", ["floor", "nearest", "toward-zero"])
def test_slow_leaks_have_a_bound_near_the_fixed_point(shift: int, rounding: Rounding) -> None:
    p = NeuronParams(n=1, spiking=False, reset="none", fraction_bits=0, membrane_width=40,
                     leak_num=((1 << shift) - 1,), leak_shift=shift,
                     leak_rounding=rounding)  # fmt: skip
    bound = membrane_bound(p, (np.array([-3]), np.array([5])))
    assert bound is not None
    assert bound.steps is None
    # Without rounding: 5 / (1 - decay); rounding moves it by at most one such step more.
    assert 0.99 * 4 * 2**shift <= bound.hi[0] <= 1.2 * 6 * 2**shift
    assert -1.2 * 4 * 2**shift <= bound.lo[0] <= -0.99 * 2 * 2**shift


def test_leak_of_one_needs_the_number_of_steps() -> None:
    p = NeuronParams(n=1, spiking=False, reset="none", fraction_bits=2, membrane_width=40)
    acc = (np.array([-3]), np.array([5]))
    assert membrane_bound(p, acc) is None
    bound = membrane_bound(p, acc, 20)
    assert bound is not None
    assert bound.steps == 20
    assert bound.layer == (-3 * 4 * 20, 5 * 4 * 20)


def test_reset_that_doubles_is_bounded_by_the_steps_only() -> None:
    p = NeuronParams(n=1, fraction_bits=0, membrane_width=40, threshold=(4,), reset="zero",
                     reset_time="next-after-leak", reset_correction=True)  # fmt: skip
    acc = (np.array([-5]), np.array([8]))
    bound = membrane_bound(p, acc, 6)
    assert bound is not None
    v = w = 0
    seen = {0}
    for _ in range(6):
        seen = {update(p, 0, v, a)[1] for v in seen for a in range(-5, 9)} | {0}
        v, w = min(v, *seen), max(w, *seen)
    assert (bound.lo[0], bound.hi[0]) == (v, w)


def test_width_holds_constants_that_nothing_reaches() -> None:
    p = NeuronParams(n=1, fraction_bits=0, membrane_width=40, leak_num=(1,), leak_shift=1,
                     threshold=(50,), reset="value", v_reset=(-100,), v_min=(-300,))  # fmt: skip
    bound = membrane_bound(p, (np.array([-3]), np.array([5])))
    assert bound is not None
    assert bound.layer == (-6, 9)
    assert bound.width == 10


def test_one_neuron_without_a_bound_leaves_the_layer_without() -> None:
    p = NeuronParams(n=2, fraction_bits=0, membrane_width=40, leak_num=(1, 2), leak_shift=1,
                     threshold=(3,))  # fmt: skip
    acc = (np.array([-3, -3]), np.array([5, 5]))
    assert membrane_bound(p, acc) is None
    assert membrane_bound(replace(p, v_min=(-8,), reset="zero"), acc) is not None
