# SPDX-License-Identifier: Apache-2.0
"""Counts instead of spikes between layers: where they pay; the same spikes in fewer cycles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from designs import BUDGETS, TARGETS, make_network, make_samples

from spikefab.gen.cost import predict_cycles
from spikefab.gen.emit import emit
from spikefab.gen.errors import InputError
from spikefab.gen.plan import Plan, make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.hdl.params import LayerParams, ParamError
from spikefab.sim.golden import run_golden
from spikefab.sim.rtl import simulate_rtl

BUDGET = BUDGETS["ecp5"]


def bursting(sizes: list[int] = [9, 14, 12, 5]) -> QNetwork:  # noqa: B006
    """Neurons that spike up to seven times in a step."""
    return make_network(sizes, threshold=(12,), compare="ge", count_width=3)


def marks(plan: Plan) -> list[tuple[bool, int]]:
    """Whether each layer puts values on its events, and the width of those that it takes."""
    return [(layer.graded, layer.synapse.payload_width) for layer in plan.core.layers]


def test_counts_are_sent_where_they_save_events() -> None:
    qnet = bursting()
    assert marks(make_plan(qnet, BUDGET)) == [(False, 0)] * 3
    assert marks(make_plan(qnet, BUDGET, rates=[0.9, 0.5, 0.1])) == [
        (True, 0), (False, 3), (False, 0),
    ]  # fmt: skip
    assert marks(make_plan(qnet, BUDGET, rates=[0.9, 0.5, 0.5])) == [
        (True, 0), (True, 3), (False, 3),
    ]  # fmt: skip
    # The input's values have their own width.
    coded = replace(qnet, input_max=15, input=replace(qnet.input, payload_width=4))
    first = replace(coded.layers[0], synapse=replace(coded.layers[0].synapse, payload_width=4))
    coded = replace(coded, layers=(first, *coded.layers[1:]))
    assert marks(make_plan(coded, BUDGET, graded=True)) == [(True, 4), (True, 3), (False, 3)]
    assert marks(make_plan(coded, BUDGET, graded=False)) == [(False, 4), (False, 0), (False, 0)]


def test_a_full_device_keeps_spikes() -> None:
    rates = [0.9, 0.5, 0.5]
    least = make_plan(bursting(), BUDGET, lanes=5, rates=rates, graded=False).resources
    tight = replace(BUDGET, lut=int(least.lut / 0.6) + 10)
    assert not make_plan(bursting(), tight, lanes=5, rates=rates).core.layers[0].graded
    assert make_plan(bursting(), BUDGET, lanes=5, rates=rates).core.layers[0].graded


def test_refusals() -> None:
    with pytest.raises(InputError, match="no population but the outputs spikes more than once"):
        make_plan(make_network([4, 5, 2]), BUDGET, graded=True)
    core = make_plan(bursting(), BUDGET, graded=True).core
    last = replace(core.layers[-1], graded=True)
    with pytest.raises(ParamError, match="outputs = 2: must be layers that are not graded"):
        replace(core, layers=(*core.layers[:-1], last))
    single: LayerParams = make_plan(make_network([4, 5, 2]), BUDGET).core.layers[0]
    with pytest.raises(ParamError, match="graded = True: must be False where a neuron spikes once"):
        replace(single, graded=True)
    plain = replace(core.layers[1], synapse=replace(core.layers[1].synapse, payload_width=0))
    with pytest.raises(ParamError, match="payload_width = 0: must be 3, as its sources' events"):
        replace(core, layers=(core.layers[0], plain, core.layers[2]))


def test_the_same_spikes_in_fewer_cycles(tmp_path: Path) -> None:
    """Spike for spike and cycle for cycle as predicted."""
    qnet = bursting()
    x = make_samples(qnet, 4, 6, rate=0.5)
    names = [layer.name for layer in qnet.layers]
    golden = run_golden(qnet, x)
    spikes = [golden.spikes[name] for name in names]
    assert spikes[0].max() > 2
    plan = make_plan(qnet, BUDGET, lanes=[14, 5, 2], graded=True)
    result = simulate_rtl(emit(plan, tmp_path / "graded", target=TARGETS["ecp5-25f"]), x)
    np.testing.assert_array_equal(result.spikes, spikes[-1])
    predicted = predict_cycles(plan.core, x, spikes)
    np.testing.assert_array_equal(result.cycles, predicted.cycles)
    np.testing.assert_array_equal(result.interval, predicted.interval)
    plain = make_plan(qnet, BUDGET, lanes=[14, 5, 2], graded=False)
    assert (predicted.interval < predict_cycles(plain.core, x, spikes).interval).all()
