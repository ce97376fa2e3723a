# SPDX-License-Identifier: Apache-2.0
"""Layers that share an engine: golden = the emitted Verilog, cycle for cycle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shared_networks import shared_network
from test_networks import BUDGETS, LOADED, TARGETS

from spikefab.gen.cost import predict_cycles
from spikefab.gen.emit import emit
from spikefab.gen.plan import Plan, make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.sim.compare import first_mismatch
from spikefab.sim.encode import encode
from spikefab.sim.golden import run_golden
from spikefab.sim.rtl import simulate_rtl


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
    if shuffle is not None and qnet.input.coding == "spikes":
        other = simulate_rtl(design, x, record=names, shuffle=shuffle)
        assert first_mismatch(golden.spikes, other.hidden, labels=labels) is None
        np.testing.assert_array_equal(other.spikes, result.spikes)
    np.testing.assert_array_equal(result.steps_used, golden.steps_used)
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
    storage: Any = "block",
) -> Plan:
    if storage == "loaded":
        storage = LOADED[family]
    return make_plan(qnet, BUDGETS[family], lanes=lanes, folds=folds, storage=storage, share=shared)


def check_drawn(number: int, out: Path) -> None:
    drawn, family = shared_network(number), sorted(TARGETS)[number % 2]
    plan = share(drawn.qnet, drawn.shared, drawn.lanes, drawn.folds, family, drawn.storage)
    assert plan.core.shared == tuple(drawn.shared)
    check(plan, family, drawn.x, out)


@pytest.mark.parametrize("number", range(4))
def test_drawn_chains(number: int, tmp_path: Path) -> None:
    check_drawn(number, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(100, 160))
def test_many_drawn_chains(number: int, tmp_path: Path) -> None:
    check_drawn(number, tmp_path)
