# SPDX-License-Identifier: Apache-2.0
"""Layers that share an engine: golden = the emitted Verilog, cycle for cycle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from shared_networks import DrawnShare, shared_networks
from test_networks import BUDGETS, TARGETS

from spikefab.gen.cost import predict_cycles
from spikefab.gen.emit import emit
from spikefab.gen.plan import Plan, make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.sim.compare import first_mismatch
from spikefab.sim.encode import encode
from spikefab.sim.golden import run_golden
from spikefab.sim.rtl import simulate_rtl

FAMILY = st.sampled_from(sorted(TARGETS))
COMMON = {
    "deadline": None,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
    "database": None,
}


def check(plan: Plan, family: str, x: np.ndarray, out: Path, *, shuffle: int | None = 5) -> None:
    """Every spike and membrane of every layer, in any order of events, and every cycle count."""
    qnet = plan.qnet
    design = emit(plan, out / "design", target=TARGETS[family])
    names = [layer.name for layer in qnet.layers]
    golden = run_golden(qnet, x, record=names)
    result = simulate_rtl(design, x, record=names, back_pressure=0.4, seed=1)
    labels = ("golden", "rtl")
    assert first_mismatch(golden.spikes, result.hidden, labels=labels) is None
    assert result.mem is not None
    found = first_mismatch(golden.mem, result.mem, labels=labels, quantity="membrane")
    assert found is None
    if shuffle is not None:
        other = simulate_rtl(design, x, record=names, shuffle=shuffle)
        assert first_mismatch(golden.spikes, other.hidden, labels=labels) is None
        np.testing.assert_array_equal(other.spikes, result.spikes)
    whole = golden if qnet.stop is None else run_golden(qnet, x, full=True)
    spikes = [whole.spikes[name] for name in names]
    predicted = predict_cycles(
        plan.core, x, spikes, golden.steps_used, encoded=encode(qnet.input, x)
    )
    np.testing.assert_array_equal(result.cycles, predicted.cycles)
    np.testing.assert_array_equal(result.interval, predicted.interval)


def share(
    qnet: QNetwork,
    shared: Sequence[tuple[int, int]],
    lanes: Sequence[int],
    folds: Sequence[int],
    family: str,
) -> Plan:
    return make_plan(qnet, BUDGETS[family], lanes=lanes, folds=folds, share=shared)


def check_drawn(drawn: DrawnShare, family: str, out: Path) -> None:
    plan = share(drawn.qnet, drawn.shared, drawn.lanes, drawn.folds, family)
    assert plan.core.shared == tuple(drawn.shared)
    check(plan, family, drawn.x, out)


@seed(41)
@settings(max_examples=10, **COMMON)
@given(drawn=shared_networks(), family=FAMILY)
def test_drawn_chains(
    drawn: DrawnShare, family: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_drawn(drawn, family, tmp_path_factory.mktemp("shared"))


@pytest.mark.slow
@seed(410)
@settings(max_examples=100, **COMMON)
@given(drawn=shared_networks(), family=FAMILY)
def test_many_drawn_chains(
    drawn: DrawnShare, family: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_drawn(drawn, family, tmp_path_factory.mktemp("shared"))
