# SPDX-License-Identifier: Apache-2.0
"""Drawn NIR graphs of every node in every dialect, the whole way: read, run in float, put in
integers, mapped; golden = the emitted Verilog in every spike, membrane and cycle, in any order of
the events within a step."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from drawn_nir import KINDS, DrawnRun, nir_runs
from hypothesis import given, reject, seed, settings
from test_networks import BUDGETS, COMMON, LOADED, TARGETS, check

from spikefab.gen.design import Design
from spikefab.gen.dialect import PRESETS
from spikefab.gen.emit import emit
from spikefab.gen.errors import InputError
from spikefab.gen.network import Network
from spikefab.gen.nir_import import import_nir
from spikefab.gen.plan import make_plan
from spikefab.gen.qnetwork import QLayer, QNetwork
from spikefab.gen.quantise import quantise_with_report
from spikefab.gen.quantise_report import LayerReport
from spikefab.sim.fidelity import compare_to_reference

LIMITS = (
    "leaves an input gain of 0 in dialect",
    "so far a synapse has one: put a population between",
    "its bias stands in front of a delay",
    "such a current cannot be mapped so far",
    "has no bound of at most",
    "an output that lags a step",
)
"""Words of the refusals that drawn graphs may meet; any other one fails the test."""

MOST_REFUSED = 0.2

FEATURES = (
    "file", "recurrent", "inputs", "outputs", "branch", "join", "delay", "maps",
    "membranes", "several spikes", "thresholds below 0", "two names", *BUDGETS,
)  # fmt: skip
"""What must be met among the graphs, see `features`."""

SELDOM = ("graded", "exact")
"""The same, among hundreds."""


@dataclass
class Tally:
    """What really occurred."""

    run: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    presets: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)

    def check(self, least: int) -> None:
        """That each node, each preset and each feature occurred, and few graphs were refused."""
        assert self.run >= least
        refused = self.refused.total()
        assert refused <= MOST_REFUSED * (self.run + refused), dict(self.refused)
        assert {kind for kind in KINDS if not self.kinds[kind]} == set()
        assert {preset for preset in PRESETS if not self.presets[preset]} == set()
        expected = FEATURES if least < 100 else FEATURES + SELDOM
        assert {name for name in expected if not self.features[name]} == set()
        assert self.features["spikes"] >= 0.7 * self.run


def whole_way(drawn: DrawnRun, tally: Tally, out: Path) -> None:
    """One drawn graph from its file, or from memory, to the Verilog's simulation."""
    file = written(drawn.graph, out / "drawn.nir")
    try:
        network = import_nir(file or drawn.graph, dialect=drawn.dialect, dt=drawn.dt)
        qnet, report = quantise_with_report(network, drawn.options)
        design = lay_out(qnet, drawn, out)
    except InputError as error:
        found = {limit for limit in LIMITS if limit in str(error)}
        if not found:
            raise
        tally.refused[found.pop()] += 1
        reject()
    found = compare_to_reference(network, qnet, drawn.x)
    exact = (
        drawn.plain
        and drawn.options.count_bits is None
        and all(map(partial(is_exact, network), qnet.layers, report.layers))
    )
    for layer in found.layers:
        assert math.isfinite(layer.whole.membrane)
        if exact:
            assert layer.whole.spikes == 0, layer
            assert layer.whole.membrane < 1e-5, layer
    check(design, drawn.x, back_pressure=0.3, shuffle=drawn.seed)
    tally.run += 1
    tally.kinds.update(drawn.kinds)
    tally.features.update(features(network, qnet, design))
    tally.features["exact"] += exact
    tally.features["spikes"] += any(layer.integer_spikes > 0 for layer in found.layers)
    tally.features["file"] += file is not None


def written(graph: nir.NIRGraph, file: Path) -> Path | None:
    """The graph in a file; None where nir's writer fails: it takes no 0-d parameters, and no
    convolution that does not state its input."""
    try:
        nir.write(file, graph)
    except TypeError:
        return None
    return file


def lay_out(qnet: QNetwork, drawn: DrawnRun, out: Path) -> Design:
    """A width, a part and memories that follow from a number."""
    rng = np.random.default_rng(drawn.seed)
    family = str(rng.choice(sorted(TARGETS)))
    sizes = [layer.neuron.n for layer in qnet.layers]
    lanes = None if rng.random() < 0.15 else [int(rng.integers(1, min(n, 8) + 1)) for n in sizes]
    folds = None if rng.random() < 0.5 else [int(rng.choice([1, 1, 3])) for _ in sizes]
    kept: list[Any] = [str(rng.choice(["auto", "block", "logic", LOADED[family]])) for _ in sizes]
    shown = {output.source for output in qnet.outputs}
    able = any(q.neuron.count_width > 1 and q.name not in shown for q in qnet.layers)
    graded = able and rng.random() < 0.7
    plan = make_plan(qnet, BUDGETS[family], lanes=lanes, folds=folds, storage=kept, graded=graded)
    return emit(plan, out / "design", target=TARGETS[family])


def is_exact(network: Network, layer: QLayer, report: LayerReport) -> bool:
    """Whether integers say what floats do, of a plain graph: nothing is rounded, leaks keep all or
    nothing, no membrane is clamped to its width."""
    neuron = next(p.neuron for p in network.populations if p.name == layer.name)
    leaks = [neuron.decay, *([] if neuron.current is None else [neuron.current.decay])]
    lsb = layer.scale / 2.0**layer.neuron.fraction_bits
    constants = [neuron.offset, neuron.v_reset, neuron.v_init]
    constants += [] if neuron.v_min is None else [neuron.v_min]
    return (
        report.weight_exact
        and report.threshold_error == 0
        and report.bound is not None
        and all(((leak == 0) | (leak == 1)).all() for leak in leaks)
        and all((np.rint(values / lsb) == values / lsb).all() for values in constants)
    )


def features(network: Network, qnet: QNetwork, design: Design) -> Iterator[str]:
    """What a graph is an example of."""
    edges = [edge for layer in qnet.layers for edge in layer.edges]
    sources = Counter(edge.source for edge in edges)
    layers = design.manifest["layers"]
    yield str(design.manifest["target"]["family"])
    for name, occurs in {
        "recurrent": any(edge.recurrent for edge in edges),
        "inputs": len(qnet.inputs) > 1,
        "outputs": len(qnet.outputs) > 1,
        "branch": max(sources.values()) > 1,
        "join": any(len(layer.edges) > 1 for layer in qnet.layers),
        "delay": any(edge.late for edge in edges),
        "maps": any(entry["structure"] for entry in layers),
        "membranes": any(not layer.neuron.spiking for layer in qnet.output_layers),
        "graded": any(entry["graded"] for entry in layers),
        "thresholds below 0": any(min(layer.neuron.threshold) < 0 for layer in qnet.layers),
        "two names": len(qnet.outputs) > len(qnet.output_layers),
        "several spikes": any(layer.neuron.count_width > 1 for layer in qnet.layers),
    }.items():
        if occurs:
            yield name


def sweep(first: int, per_preset: list[int], folder: pytest.TempPathFactory) -> Tally:
    """So many graphs of each preset, from seeds that begin with `first`."""
    tally = Tally()
    for number, (preset, examples) in enumerate(zip(PRESETS, per_preset, strict=True)):

        @seed(first + number)
        @settings(max_examples=examples, **COMMON)
        @given(drawn=nir_runs(preset))
        def run(drawn: DrawnRun) -> None:
            whole_way(drawn, tally, folder.mktemp("drawn"))

        before = tally.run
        run()
        tally.presets[preset] += tally.run - before
    return tally


def shares(total: int) -> list[int]:
    """`total` among the presets."""
    n = len(PRESETS)
    return [total // n + (k < total % n) for k in range(n)]


def test_drawn_nir_graphs(tmp_path_factory: pytest.TempPathFactory) -> None:
    sweep(4000, shares(30), tmp_path_factory).check(30)


@pytest.mark.slow
def test_many_drawn_nir_graphs(tmp_path_factory: pytest.TempPathFactory) -> None:
    sweep(5000, shares(300), tmp_path_factory).check(300)
