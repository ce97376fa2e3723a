# SPDX-License-Identifier: Apache-2.0
"""Whole networks, golden = the emitted Verilog in Verilator: drawn ones, and real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_networks import chain, conv_networks, mixed, pruned, skip
from graphs import DrawnGraph, graphs
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from strategies import DrawnNetwork, networks

from spikefab.gen.cost import predict_cycles
from spikefab.gen.design import Design
from spikefab.gen.emit import TargetInfo, emit
from spikefab.gen.estimate import Budget
from spikefab.gen.plan import make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.storage import Choice
from spikefab.sim.compare import first_mismatch
from spikefab.sim.encode import encode
from spikefab.sim.golden import run_golden
from spikefab.sim.rtl import simulate_rtl

TARGETS = {
    "ecp5": TargetInfo(kind="device", name="ecp5-85f", device="LFE5U-85F", family="ecp5"),
    "ice40": TargetInfo(kind="device", name="up5k", device="iCE40UP5K", family="ice40"),
}
BUDGETS = {
    "ecp5": Budget(family="ecp5", lut=83_640, ff=83_640, ram=208, dsp=156),
    # Larger than the part: memories are laid out for it, and time as on it.
    "ice40": Budget(family="ice40", lut=83_640, ff=83_640, ram=208, dsp=8, spram=16),
}


def make_design(
    qnet: QNetwork,
    lanes: int | Sequence[int] | None,
    out: Path,
    folds: Sequence[int] | None = None,
    storage: Choice | Sequence[Choice] = "auto",
    family: str = "ecp5",
    graded: bool = False,
) -> Design:
    """`graded`: where a population can send counts, it does."""
    shown = {output.source for output in qnet.outputs}
    able = any(q.neuron.count_width > 1 and q.name not in shown for q in qnet.layers)
    plan = make_plan(
        qnet, BUDGETS[family], lanes=lanes, folds=folds, storage=storage, graded=graded and able
    )
    return emit(plan, out, target=TARGETS[family])


def check(
    design: Design,
    x: np.ndarray,
    *,
    watch: bool = True,
    back_pressure: float = 0.0,
    shuffle: int | None = None,
) -> None:
    """Every spike and membrane of every layer, and every cycle count. With a seed to `shuffle` each
    step's events, every spike and membrane once more."""
    qnet = design.qnetwork()
    names = [layer.name for layer in qnet.layers]
    golden = run_golden(qnet, x, record=names if watch else ())
    result = simulate_rtl(
        design, x, record=names if watch else (), back_pressure=back_pressure, seed=1
    )
    labels = ("golden", "rtl")
    hidden = result.hidden if watch else {names[-1]: result.spikes}
    assert first_mismatch(golden.spikes, hidden, labels=labels) is None
    if watch:
        assert result.mem is not None
        found = first_mismatch(golden.mem, result.mem, labels=labels, quantity="membrane")
        assert found is None
    np.testing.assert_array_equal(result.steps_used, golden.steps_used)
    if shuffle is not None:
        other = simulate_rtl(design, x, record=names, shuffle=shuffle)
        assert first_mismatch(golden.spikes, other.hidden, labels=labels) is None
        np.testing.assert_array_equal(other.spikes, result.spikes)
        for name, mem in (other.mem or {}).items():
            np.testing.assert_array_equal(mem, golden.mem[name])
    whole = golden if qnet.stop is None else run_golden(qnet, x, full=True)
    spikes = [whole.spikes[name] for name in names]
    layers = design.manifest["layers"]
    lanes, folds, storage = (
        [entry[key] for entry in layers] for key in ("lanes", "folds", "storage")
    )
    budget = BUDGETS[design.manifest["target"]["family"]]
    graded = any(entry["graded"] for entry in layers)
    plan = make_plan(qnet, budget, lanes=lanes, folds=folds, storage=storage, graded=graded)
    assert plan.hash.hex() == design.manifest["hash"]
    items = x
    if not plan.structure.is_plain:
        items = plan.structure.to_addresses(x.reshape(*x.shape[:2], -1))
    predicted = predict_cycles(
        plan.core, items, spikes, golden.steps_used, encoded=encode(qnet.input, x)
    )
    np.testing.assert_array_equal(result.cycles, predicted.cycles)
    np.testing.assert_array_equal(result.interval, predicted.interval)


@pytest.mark.parametrize(
    ("make", "lanes", "family", "storage"),
    [
        (chain, None, "ecp5", "auto"),
        (skip, 2, "ecp5", "lutram"),
        (mixed, 3, "ice40", "spram"),
        (pruned, 2, "ecp5", "block"),
    ],
)
def test_networks_of_maps(
    make: Callable[[], QNetwork], lanes: int | None, family: str, storage: Choice, tmp_path: Path
) -> None:
    qnet = make()
    design = make_design(qnet, lanes, tmp_path / "design", storage=storage, family=family)
    x = (np.random.default_rng(1).random((2, 4, *qnet.input_shape)) < 0.3).astype(np.uint8)
    check(design, x, back_pressure=0.4, shuffle=3)


def check_maps(qnet: QNetwork, number: int, out: Path) -> None:
    """A drawn network of maps, on a width, a part and with memories that follow from a number."""
    rng = np.random.default_rng(number)
    lanes = None if rng.random() < 0.3 else int(rng.integers(1, 9))
    family = str(rng.choice(sorted(TARGETS)))
    storage: Any = str(rng.choice(["auto", "block", "logic", LOADED[family]]))
    most = int(rng.integers(1, 3))
    qnet = replace(qnet, input_max=most)
    design = make_design(qnet, lanes, out / "design", storage=storage, family=family)
    x = rng.integers(0, most + 1, (2, int(rng.integers(1, 5)), *qnet.input_shape))
    check(design, (x * (rng.random(x.shape) < 0.4)).astype(np.uint8), back_pressure=0.4, shuffle=7)


FAMILY = st.sampled_from(sorted(TARGETS))
STORAGE = st.sampled_from(["block", "loaded", "logic", "auto"])
LOADED = {"ecp5": "lutram", "ice40": "spram"}


def check_drawn(drawn: DrawnNetwork, family: str, storage: Sequence[str], out: Path) -> None:
    """A drawn network on a part of a family; layers that are `loaded` keep their weights in what
    the family has for it."""
    kept: list[Any] = [LOADED[family] if k == "loaded" else k for k in storage]
    kept = kept[: len(drawn.lanes)]
    graded = sum(drawn.lanes) % 2 == 0
    design = make_design(drawn.qnet, drawn.lanes, out / "design", drawn.folds, kept, family, graded)
    check(design, drawn.x, back_pressure=0.4)


COMMON = {
    "deadline": None,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
    "derandomize": False,
    "database": None,
}


@seed(26)
@settings(max_examples=3, **COMMON)
@given(conv_networks(), st.integers(0, 1 << 20))
def test_drawn_networks_of_maps(
    tmp_path_factory: pytest.TempPathFactory, qnet: QNetwork, number: int
) -> None:
    check_maps(qnet, number, tmp_path_factory.mktemp("maps"))


@pytest.mark.slow
@seed(27)
@settings(max_examples=60, **COMMON)
@given(conv_networks(), st.integers(0, 1 << 20))
def test_many_drawn_networks_of_maps(
    tmp_path_factory: pytest.TempPathFactory, qnet: QNetwork, number: int
) -> None:
    check_maps(qnet, number, tmp_path_factory.mktemp("maps"))


@seed(20)
@settings(max_examples=20, **COMMON)
@given(
    drawn=networks(max_layers=4, max_neurons=64, max_samples=2, max_steps=5, stops=True),
    family=FAMILY,
    storage=st.lists(STORAGE, min_size=4, max_size=4),
)
def test_drawn_networks(
    drawn: DrawnNetwork,
    family: str,
    storage: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_drawn(drawn, family, storage, tmp_path_factory.mktemp("drawn"))


@pytest.mark.slow
@seed(200)
@settings(max_examples=200, **COMMON)
@given(
    drawn=networks(max_layers=4, max_neurons=64, max_samples=3, max_steps=6, stops=True),
    family=FAMILY,
    storage=st.lists(STORAGE, min_size=4, max_size=4),
)
def test_many_drawn_networks(
    drawn: DrawnNetwork,
    family: str,
    storage: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_drawn(drawn, family, storage, tmp_path_factory.mktemp("drawn"))


def check_graph(drawn: DrawnGraph, family: str, seeds: list[int], out: Path) -> None:
    """A drawn graph with lanes, folds and memories of chance."""
    rng = np.random.default_rng(seeds)
    sizes = [layer.neuron.n for layer in drawn.qnet.layers]
    lanes = [int(rng.choice([1, n, rng.integers(1, n + 1)])) for n in sizes]
    folds = [int(rng.choice([1, 1, 3, 9])) for _ in sizes]
    kept: list[Any] = [str(rng.choice(["block", "logic", LOADED[family]])) for _ in sizes]
    graded = bool(rng.integers(2))
    design = make_design(drawn.qnet, lanes, out / "design", folds, kept, family, graded)
    check(design, drawn.x, back_pressure=0.4, shuffle=7)


SEEDS = st.lists(st.integers(0, 2**16), min_size=1, max_size=1)
"""Of how a graph is laid out."""


@seed(10)
@settings(max_examples=10, **COMMON)
@given(drawn=graphs(max_neurons=20, currents=True), family=FAMILY, seeds=SEEDS)
def test_drawn_graphs(
    drawn: DrawnGraph, family: str, seeds: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_graph(drawn, family, seeds, tmp_path_factory.mktemp("graph"))


@pytest.mark.slow
@seed(100)
@settings(max_examples=150, **COMMON)
@given(
    drawn=graphs(max_layers=5, max_neurons=40, max_samples=3, currents=True),
    family=FAMILY,
    seeds=SEEDS,
)
def test_many_drawn_graphs(
    drawn: DrawnGraph, family: str, seeds: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_graph(drawn, family, seeds, tmp_path_factory.mktemp("graph"))
