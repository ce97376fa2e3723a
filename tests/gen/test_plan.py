# SPDX-License-Identifier: Apache-2.0
"""The mapper: limits kept, budgets kept, more room never slower, and why."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from conv_networks import chain, pruned
from designs import make_network
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from strategies import DrawnNetwork, networks

from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget, estimate_core
from spikefab.gen.plan import DEFAULT_RATE, FILL, MAX_AUTO_LANES, Plan, make_plan
from spikefab.gen.qnetwork import QNetwork, QOutput
from spikefab.gen.storage import Choice
from spikefab.hdl.sparse_params import SparseParams

ECP5 = Budget(lut=24_288, ff=24_288, ram=56, dsp=28, family="ecp5")
UP5K = Budget(lut=5_280, ff=5_280, ram=30, dsp=8, family="ice40")


def lanes(plan: Plan) -> list[int]:
    return [layer.lanes for layer in plan.core.layers]


def groups(plan: Plan) -> list[int]:
    return [layer.groups for layer in plan.core.layers]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 12, 100])
def test_a_limit_is_kept_and_clamped_to_the_fan_out(limit: int) -> None:
    plan = make_plan(make_network([9, 20, 7]), ECP5, lanes=limit)
    for n, got in zip((20, 7), lanes(plan), strict=True):
        assert 1 <= got <= min(limit, n)
        # As few cycles an event as the limit allows.
        assert -(-n // got) == -(-n // min(limit, n))
    assert plan.reasons == (f"{limit} asked for",) * 2


def test_a_limit_a_layer() -> None:
    plan = make_plan(make_network([9, 20, 7]), ECP5, lanes=[20, 2])
    assert lanes(plan) == [20, 2]
    assert groups(plan) == [1, 4]
    assert plan.reasons == ("20 asked for", "2 asked for")


def test_lanes_that_save_no_cycle_are_not_built() -> None:
    """20 neurons on 15 lanes take two cycles an event; 10 lanes do too."""
    assert lanes(make_plan(make_network([4, 20]), ECP5, lanes=15)) == [10]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([4], "--lanes: 1 numbers for 2 layers (population0, population1); give one for all, or "
         "one a layer"),
        ([4, 4, 4], "--lanes: 3 numbers for 2 layers (population0, population1); give one for "
         "all, or one a layer"),
        (0, "--lanes: 0; a layer needs at least 1"),
        ([4, -2], "--lanes: -2; a layer needs at least 1"),
    ],
)  # fmt: skip
def test_refused_lanes(asked: int | list[int], words: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        make_plan(make_network([4, 6, 3]), ECP5, lanes=asked)


def check_auto(qnet: QNetwork, budget: Budget, rates: list[float] | None = None) -> Plan:
    plan = make_plan(qnet, budget, rates=rates, share="never")
    assert plan.resources == estimate_core(plan.core, budget.family)
    narrowest = make_plan(qnet, budget, lanes=1, share="never")
    fill = FILL[budget.family]
    fits = not replace(
        budget, lut=int(fill * budget.lut), ff=int(fill * budget.ff)
    ).exceeded(narrowest.resources)  # fmt: skip
    if fits:
        assert plan.resources.lut <= fill * budget.lut
        assert plan.resources.ff <= fill * budget.ff
        assert plan.resources.ram <= budget.ram
    for layer, reason in zip(plan.core.layers, plan.reasons, strict=True):
        assert layer.lanes <= MAX_AUTO_LANES
        assert reason
    slowest = int(np.argmax(plan.step_cycles()))
    assert "slow" in plan.reasons[slowest]
    return plan


@seed(3)
@settings(max_examples=60, deadline=None, database=None)
@given(
    networks(max_layers=3),
    st.integers(300, 40_000),
    st.integers(4, 200),
    st.sampled_from(["ecp5", "ice40"]),
)
def test_auto_keeps_within_any_budget(
    drawn: DrawnNetwork, logic: int, ram: int, family: str
) -> None:
    small = Budget(lut=logic, ff=logic, ram=ram, dsp=8, family=family)
    check_auto(drawn.qnet, small)


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_more_budget_is_never_slower(family: str) -> None:
    qnet = make_network([64, 100, 40, 10])
    before = float("inf")
    seen = set()
    for logic in range(1_000, 60_000, 1_500):
        budget = Budget(lut=logic, ff=logic, ram=60, dsp=8, family=family)
        slowest = max(check_auto(qnet, budget).step_cycles())
        assert slowest <= before
        before = slowest
        seen.add(slowest)
    assert len(seen) > 5


def test_auto_widens_the_layer_that_is_slowest() -> None:
    """Rates from data decide: lanes go where the events are."""
    qnet = make_network([50, 50, 50])
    budget = Budget(lut=6_000, ff=6_000, ram=56, dsp=0, family="ecp5")
    front = check_auto(qnet, budget, [0.9, 0.01])
    back = check_auto(qnet, budget, [0.01, 0.9])
    assert lanes(front)[0] > lanes(front)[1]
    assert lanes(back)[0] < lanes(back)[1]
    assert front.rates == (0.9, 0.01)
    assert make_plan(qnet, budget).rates == (DEFAULT_RATE,) * 2


def test_auto_looks_past_widths_that_block_ram_forbids() -> None:
    """On iCE40 more than eight groups keep their sums in block RAM, fewer in registers."""
    small = replace(UP5K, spram=4, ram=14)
    network = make_network([784, 128], saturate=False)
    narrow = [
        lanes
        for lanes in (8, 10, 12, 14)
        if make_plan(network, small, lanes=lanes).resources.ram > small.ram
    ]
    assert narrow
    assert groups(make_plan(network, small))[0] <= 8


def test_auto_shares_neuron_datapaths_where_block_ram_is_short() -> None:
    """Narrower membranes take fewer blocks; the steps that they make longer are not the slowest."""
    qnet = make_network([32, 64, 128, 64, 12])
    tight = replace(UP5K, spram=4, ram=24)
    rates = [0.25] * 4
    plan = make_plan(qnet, tight, rates=rates)
    assert plan.resources.ram <= tight.ram
    assert max(layer.folds for layer in plan.core.layers) > 1
    apart = make_plan(qnet, tight, rates=rates, folds=1)
    assert max(plan.step_cycles()) < max(apart.step_cycles())


@pytest.mark.parametrize("asked", [3, 10**15])
def test_more_folds_than_lanes_are_all_lanes(asked: int) -> None:
    plan = make_plan(make_network([4, 7, 3]), ECP5, lanes=3, folds=asked)
    assert [(layer.lanes, layer.folds) for layer in plan.core.layers] == [(3, 3), (3, 3)]


def test_reasons() -> None:
    roomy = make_plan(make_network([8, 8, 4]), ECP5)
    assert "one lane a neuron: no layer is slower" in roomy.reasons
    tight = make_plan(make_network([60, 60]), replace(ECP5, lut=2000))
    assert tight.reasons == ("the slowest layer; more lanes would take too much logic",)
    tight = make_plan(make_network([60, 60]), replace(ECP5, ff=2000))
    assert tight.reasons == ("the slowest layer; more lanes would take too much flip-flops",)
    tight = make_plan(make_network([400, 60]), replace(ECP5, ram=6))
    assert tight.reasons == ("the slowest layer; more lanes would take too much block RAM",)
    wide = make_plan(make_network([2, 300]), replace(ECP5, lut=10**7, ff=10**7, ram=10**4))
    assert lanes(wide)[0] <= MAX_AUTO_LANES
    assert wide.reasons == (f"the slowest layer; `auto` stops at {MAX_AUTO_LANES} lanes",)


def test_words_of_zeros_are_left_out_where_they_are_most() -> None:
    plan = make_plan(pruned(), ECP5, lanes=2)
    for layer, busy in zip(plan.core.layers, plan.busy, strict=True):
        assert isinstance(layer.structure, SparseParams)
        assert busy < layer.synapse.n_in * DEFAULT_RATE * layer.groups / 2
    # A word of many weights is seldom all zero, and one word a source costs a cycle anyway.
    assert all(layer.structure is None for layer in make_plan(pruned(), ECP5, lanes=30).core.layers)
    assert make_plan(make_network([9, 20]), ECP5, lanes=1).core.layers[0].structure is None


def test_lanes_and_cycles_of_maps() -> None:
    """Lanes divide channels; a step's cycles are those of the kernel positions that exist."""
    qnet = chain()
    plan = make_plan(qnet, ECP5, rates=[0.5, *[0.0] * 4])
    c1 = plan.core.layers[0]
    assert [layer.lanes for layer in plan.core.layers][:1] == [4]
    assert plan.reasons[0] == "one lane a channel: no layer is slower"
    # Each input of 10 x 10 behind 5 x 5 at a stride of 2, a row and column of zeros around.
    hits = [sum(0 <= 2 * o + k - 1 < 10 and 2 * o + k - 1 == y for o in range(4) for k in range(5))
            for y in range(10)]  # fmt: skip
    assert plan.busy[0] == 0.5 * 2 * sum(max(1, a * b) for a in hits for b in hits)
    assert plan.step_cycles()[0] == plan.busy[0] + c1.rows
    # Of a layer that waits, more lanes share a datapath, while it stays the faster one.
    cycles = plan.step_cycles()
    assert max(cycles) == cycles[0]
    tight = make_plan(qnet, replace(ECP5, lut=1500), rates=[0.5, *[0.0] * 4])
    assert max(tight.step_cycles()) >= max(cycles)


def test_one_rate_a_source() -> None:
    qnet = make_network([10, 6, 3])
    rates = np.zeros(10)
    rates[3] = 2.0
    plan = make_plan(qnet, UP5K, lanes=[2, 3], rates=[rates, 0.25])
    assert plan.rates == (0.2, 0.25)
    assert plan.step_cycles() == [3 * (1 + 2), 1 * (1 + 1.5)]


def test_step_cycles_are_events_and_a_pass() -> None:
    plan = make_plan(make_network([10, 6, 3]), UP5K, lanes=[2, 3], rates=[0.5, 0.25])
    assert plan.step_cycles() == [3 * (1 + 5), 1 * (1 + 1.5)]


def test_the_hash_says_what_the_design_does_and_nothing_else() -> None:
    qnet = make_network([10, 6, 3])
    kept: Choice = "block"
    plan = make_plan(qnet, ECP5, lanes=2, storage=kept)
    assert len(plan.hash) == 16
    same = replace(
        qnet, name="other", dialect="norse", dt=1.0,
        outputs=(QOutput(name="y", source=qnet.layers[-1].name),),
        layers=tuple(replace(q, scale=np.array([3.0]), bound=(0, 1)) for q in qnet.layers),
    )  # fmt: skip
    assert make_plan(same, UP5K, lanes=2, rates=[0.3, 0.3], storage=kept).hash == plan.hash
    weights = qnet.layers[1].weights.copy()
    weights[2, 5] ^= 1
    others = [
        make_plan(qnet, ECP5, lanes=[2, 1], storage=kept),
        make_plan(qnet, ECP5, lanes=2, storage="logic"),
        make_plan(
            replace(qnet, layers=(qnet.layers[0], qnet.layers[1].with_weights(weights))),
            ECP5, lanes=2, storage=kept,
        ),
        make_plan(make_network([10, 6, 3], threshold=(41,)), ECP5, lanes=2, storage=kept),
        make_plan(make_network([10, 6, 3], leak_rounding="nearest"), ECP5, lanes=2, storage=kept),
        make_plan(replace(qnet, input_max=2), ECP5, lanes=2, storage=kept),
    ]  # fmt: skip
    assert len({plan.hash, *(other.hash for other in others)}) == 7
