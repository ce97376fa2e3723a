# SPDX-License-Identifier: Apache-2.0
"""Bounds hold for every input, and are reached where that is easy to say."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import networks, neuron_params

from spikefab.gen.bounds import accumulator_range, current_bound, membrane_bound, signed_width
from spikefab.hdl.params import CurrentParams, NeuronParams, Rounding, SynapseOrder
from spikefab.sim.golden import run_golden


def leak(p: NeuronParams | CurrentParams, num: int, v: int) -> int:
    return {
        "floor": (v * num) >> p.leak_shift,
        "nearest": (v * num + ((1 << p.leak_shift) >> 1)) >> p.leak_shift,
        "toward-zero": (abs(v * num) >> p.leak_shift) * (1 if v > 0 else -1),
    }[p.leak_rounding]


def inject(p: NeuronParams, index: int, i: int, a: int, first: bool) -> tuple[int, int]:
    """What the step's sum `a` adds to a membrane, and the new synaptic current."""

    def pick(values: tuple[int, ...]) -> int:
        return values[index] if len(values) > 1 else values[0]

    x = (a << p.fraction_bits) + (0 if first else pick(p.bias_late))
    c = p.current
    if c is None:
        return x, 0
    x, num = x + pick(c.bias), pick(c.leak_num)
    if c.order == "decay-add-use":
        i = leak(c, num, i) + x
        return i, i
    kept = leak(c, num, i + x)
    return (i + x if c.order == "add-use-decay" else kept), kept


def update(p: NeuronParams, i: int, v: int, a: int, s: int | None = None) -> tuple[int, int, int]:
    """One neuron's step, straight from the contract's page: (u, w, k). Plain Python integers.

    `s`: what acts on the membrane; None: the sum `a` of the step itself."""

    def pick(values: tuple[int, ...]) -> int:
        return values[i] if len(values) > 1 else values[0]

    def above(x: int) -> int:
        return int(x > th if p.compare == "gt" else x >= th)

    def reset(x: int, k: int) -> int:
        if p.reset == "subtract":
            return x - k * th
        return x if k == 0 else (pick(p.v_reset) if p.reset == "value" else 0)

    th, num = pick(p.threshold), pick(p.leak_num)
    r = above(v) if p.spiking else 0
    v1 = reset(v, r) if p.reset_time == "next-before-leak" and p.spiking else v
    leaked = leak(p, num, v1)
    if p.reset_time == "next-after-leak" and p.spiking:
        leaked = reset(leaked, r)
    u = leaked + (a << p.fraction_bits if s is None else s) + pick(p.bias)
    if p.reset_time == "next-discard" and p.spiking:
        u = reset(u, r)
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
    bound, current = membrane_bound(p, (lo, hi), steps), None
    if p.current is not None:
        current = current_bound(p, (lo, hi), steps)
        assert current is not None
    assert bound is not None
    finite = bound.steps is None and (current is None or current.steps is None)
    length = 60 if finite else steps
    for i in range(n):
        for mode in ("most", "least", "ends", "any", "any"):
            v = p.v_init[i] if len(p.v_init) > 1 else p.v_init[0]
            assert bound.lo[i] <= v <= bound.hi[i]
            c = 0
            for t in range(length):
                a = {
                    "most": hi[i],
                    "least": lo[i],
                    "ends": rng.choice([lo[i], hi[i]]),
                    "any": rng.integers(lo[i], hi[i] + 1),
                }[mode]
                s, c = inject(p, i, c, int(a), t == 0)
                if current is not None:
                    assert current.lo[i] <= c <= current.hi[i]
                u, v, _ = update(p, i, v, int(a), s)
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


def brute_currents(
    p: NeuronParams, lo: int, hi: int, steps: int | None = None
) -> tuple[set[int], set[int]]:
    """Every current and every membrane that can occur, in `steps` steps or for ever."""
    start = (0, p.v_init[0])
    seen, new, first, t = {start}, {start}, True, 0
    while new and t != steps:
        made = set()
        for i, v in new:
            for a in range(lo, hi + 1):
                s, kept = inject(p, 0, i, a, first)
                made.add((kept, update(p, 0, v, a, s)[1]))
        # What the first step makes is reached again from the start with a late bias or not.
        new = made - seen if steps is None else made
        seen |= made
        first, t = False, t + 1
    return {i for i, _ in seen}, {v for _, v in seen}


ORDERS = get_args(SynapseOrder)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rounding", get_args(Rounding))
@pytest.mark.parametrize("fields", [
    {"spiking": False, "reset": "none", "leak_num": (1,), "leak_shift": 1},
    {"spiking": False, "reset": "none", "leak_num": (1,), "leak_shift": 1, "bias_late": (9,)},
    {"spiking": False, "reset": "none", "leak_num": (0,), "bias_late": (-20,)},
    {"leak_num": (1,), "leak_shift": 1, "reset": "zero", "threshold": (5,), "bias": (-2,)},
    {"leak_num": (1,), "leak_shift": 2, "reset": "zero", "reset_time": "next-discard",
     "threshold": (20,)},
])  # fmt: skip
def test_bound_of_a_current_is_reached(
    order: SynapseOrder, rounding: Rounding, fields: dict
) -> None:
    current = CurrentParams(order=order, width=40, leak_num=(3,), leak_shift=2,
                            leak_rounding=rounding, bias=(1,))  # fmt: skip
    p = NeuronParams(**{"n": 1, "fraction_bits": 0, "membrane_width": 40, "current": current}
                     | fields)  # fmt: skip
    acc = np.array([-3]), np.array([4])
    bound, around = current_bound(p, acc), membrane_bound(p, acc)
    assert bound is not None
    assert around is not None
    assert (bound.steps, around.steps) == (None, None)
    currents, membranes = brute_currents(p, -3, 4)
    assert (bound.lo[0], bound.hi[0]) == (min(currents), max(currents))
    assert bound.width == signed_width(min(currents), max(currents))
    assert around.lo[0] <= min(membranes)
    assert max(membranes) <= around.hi[0]
    if not p.spiking and not any(p.bias_late):
        # The inputs that bring the current to its end keep it there, and the membrane follows. A
        # first step without its late bias is not told from the others.
        assert around.layer == (min(membranes), max(membranes))


@pytest.mark.parametrize("order", ORDERS)
def test_current_that_keeps_all_needs_the_number_of_steps(order: SynapseOrder) -> None:
    current = CurrentParams(order=order, width=40)
    p = NeuronParams(n=1, spiking=False, reset="none", fraction_bits=0, membrane_width=40,
                     current=current, bias_late=(2,))  # fmt: skip
    acc = np.array([-1]), np.array([2])
    assert current_bound(p, acc) is None
    assert membrane_bound(p, acc) is None
    bound, around = current_bound(p, acc, 5), membrane_bound(p, acc, 5)
    assert bound is not None
    assert around is not None
    assert (bound.steps, around.steps) == (5, 5)
    currents, membranes = brute_currents(p, -1, 2, 5)
    assert (bound.lo[0], bound.hi[0]) == (min(currents), max(currents))
    # Sums of sums, step by step and not five times the largest current.
    assert around.layer == (min(membranes), max(membranes))


@pytest.mark.parametrize("rounding", get_args(Rounding))
@pytest.mark.parametrize("num", [1, 1000, 65535, 65536])
def test_ends_of_a_slow_current(rounding: Rounding, num: int) -> None:
    """The ends are fixed points: one more is not, unless the first step alone gets there."""
    c = CurrentParams(order="decay-add-use", width=40, leak_num=(num,), leak_shift=16,
                      leak_rounding=rounding)  # fmt: skip
    p = NeuronParams(n=1, fraction_bits=3, membrane_width=40, current=c)
    bound = current_bound(p, (np.array([-9]), np.array([31])))
    assert (bound is None) == (num == 65536)
    if bound is not None:
        low, high = int(bound.lo[0]), int(bound.hi[0])
        assert leak(c, num, high) + 31 * 8 == high
        assert leak(c, num, high - 1) + 31 * 8 > high - 1
        assert leak(c, num, low) - 9 * 8 == low
        assert leak(c, num, low + 1) - 9 * 8 < low + 1


def test_current_wider_than_any_register_has_no_bound() -> None:
    c = CurrentParams(order="decay-add-use", width=40, leak_num=((1 << 20) - 1,), leak_shift=20)
    p = NeuronParams(n=1, fraction_bits=24, membrane_width=40, current=c)
    assert current_bound(p, (np.array([-9]), np.array([31]))) is None


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
