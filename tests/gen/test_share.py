# SPDX-License-Identifier: Apache-2.0
"""The mapper lets layers share engines where the device is too small, and only there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shared_networks import alike_chain

from spikefab.boards.target import find_target
from spikefab.gen.emit import TargetInfo, emit
from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget, estimate_core, estimate_unit
from spikefab.gen.plan import FILL, Plan, make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.hdl.params import CurrentParams
from spikefab.hdl.shared_params import SharedParams, shared_units
from spikefab.scripts.pipeline import target_budget

UP5K = target_budget(find_target("up5k", "device"))
LARGE = target_budget(find_target("ecp5-85f", "device"))


def deep(layers: int = 12, neurons: int = 24) -> QNetwork:
    """Layers that drive each other, and an integrator behind them."""
    rng = np.random.default_rng(1)
    return alike_chain(rng, 24, [neurons] * layers, "snntorch-subtract", integrator=True)


def slowest(plan: Plan) -> float:
    """Cycles of events and passes on the busiest engine."""
    units = shared_units(len(plan.core.layers), plan.core.shared)
    return max(sum(plan.step_cycles()[k] for k in unit) for unit in units)


def test_a_deep_network_fits_where_layers_share() -> None:
    alone = make_plan(deep(), UP5K, share="never")
    assert alone.core.shared == ()
    assert UP5K.exceeded(alone.resources) == "logic"
    plan = make_plan(deep(), UP5K)
    assert plan.core.shared
    assert not UP5K.exceeded(plan.resources)
    assert plan.resources.lut <= FILL["ice40"] * UP5K.lut
    assert "too much logic with an engine a layer" in plan.reasons[0]
    assert "together" in plan.storage_reasons[0]
    assert "together" not in plan.storage_reasons[-1]
    assert plan.hash != alone.hash


def test_what_fits_does_not_share() -> None:
    for qnet, budget in ((deep(), LARGE), (deep(3), UP5K)):
        plan, alone = (make_plan(qnet, budget, share=share) for share in ("auto", "never"))
        assert plan.core == alone.core
        assert plan.hash == alone.hash


def test_more_room_is_used() -> None:
    """On a larger device the slowest engine has less to do."""
    qnet = deep(8)
    budgets = [replace(UP5K, lut=lut, ff=lut, ram=60) for lut in (1500, 2600)]
    small, large = (make_plan(qnet, budget) for budget in budgets)
    for plan, budget in zip((small, large), budgets, strict=True):
        assert plan.core.shared
        assert not budget.exceeded(plan.resources)
    assert slowest(large) < slowest(small)


def test_lanes_and_folds_are_limits() -> None:
    plan = make_plan(deep(), UP5K, lanes=4, folds=2)
    for first, last in plan.core.shared:
        shared = SharedParams(plan.core.layers[first : last + 1])
        assert shared.lanes <= 4
        assert shared.folds <= 2


def test_only_what_is_alike_shares() -> None:
    """A layer with a current stands between two runs."""
    qnet = deep(9)
    layers = list(qnet.layers)
    current = CurrentParams(order="decay-add-use", width=20)
    layers[4] = replace(layers[4], neuron=replace(layers[4].neuron, current=current))
    budget = replace(UP5K, lut=3000, ff=3000, ram=60)
    plan = make_plan(replace(qnet, layers=tuple(layers)), budget)
    assert plan.core.shared
    assert all(last < 4 or first > 4 for first, last in plan.core.shared)


def test_nothing_helps_a_device_that_is_far_too_small() -> None:
    tiny = Budget(family="ice40", lut=300, ff=300, ram=2)
    plan, alone = (make_plan(deep(4), tiny, share=share) for share in ("auto", "never"))
    assert plan.core == alone.core


def test_given_runs() -> None:
    qnet = deep(4)
    plan = make_plan(qnet, LARGE, lanes=[4, 4, 2, 2, 1], folds=[2, 2, 1, 1, 1],
                     share=[(0, 1), (2, 3)])  # fmt: skip
    assert plan.core.shared == ((0, 1), (2, 3))
    units = shared_units(5, plan.core.shared)
    whole = sum((estimate_unit(plan.core, unit, "ecp5") for unit in units[1:]),
                estimate_unit(plan.core, units[0], "ecp5"))  # fmt: skip
    assert 0 <= estimate_core(plan.core, "ecp5").lut - whole.lut < 100
    with pytest.raises(InputError, match="first and last layer, in order"):
        make_plan(qnet, LARGE, lanes=2, share=[(2, 3), (0, 1)])
    with pytest.raises(InputError, match="give the lanes"):
        make_plan(qnet, LARGE, share=[(0, 1)])
    with pytest.raises(InputError, match="another kind"):
        make_plan(qnet, LARGE, lanes=2, share=[(3, 4)])


def test_the_manifest_says_who_shares(tmp_path: Path) -> None:
    plan = make_plan(deep(4), LARGE, lanes=[4, 4, 4, 4, 1], share=[(1, 3)])
    info = TargetInfo(kind="device", name="ecp5-85f", device="LFE5U-85F", family="ecp5")
    design = emit(plan, tmp_path / "design", target=info)
    manifest = json.loads((design.path / "manifest.json").read_text())
    entries = manifest["layers"]
    assert ["shared" in entry for entry in entries] == [False, True, True, True, False]
    assert entries[2]["shared"]["layers"] == ["layer1", "layer2", "layer3"]
    assert (
        entries[2]["shared"] | {"module": "layers1_3", "phase": 1, "first_place": 24}
        == (entries[2]["shared"])
    )
    files = {entry["weights"] for entry in entries}
    assert files == {f"memory/layer{k}_weights.hex" for k in (0, 4)} | {
        "memory/layers1_3_weights.hex"
    }
    lines = (design.path / "memory/layers1_3_weights.hex").read_text().split()
    shared = SharedParams(plan.core.layers[1:4])
    assert len(lines) == shared.engine.weight_words
    for file in files:
        assert (design.path / file).is_file()
