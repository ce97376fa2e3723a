# SPDX-License-Identifier: Apache-2.0
"""Networks whose synapses have delays: golden = the emitted Verilog, spike for spike and cycle for
cycle."""

from __future__ import annotations

import pytest
from graphs import DrawnGraph, graphs
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from test_networks import COMMON, FAMILY, SEEDS, check_graph


@seed(30)
@settings(max_examples=4, **COMMON)
@given(drawn=graphs(max_neurons=12, max_steps=9, delays=5), family=FAMILY, seeds=SEEDS)
def test_drawn_graphs_with_delays(
    drawn: DrawnGraph, family: str, seeds: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_graph(drawn, family, seeds, tmp_path_factory.mktemp("graph"))


@seed(31)
@settings(max_examples=4, **COMMON)
@given(drawn=graphs(max_neurons=40, max_steps=9, delays=5, axonal=True), family=FAMILY, seeds=SEEDS)
def test_drawn_graphs_with_delays_of_sources(
    drawn: DrawnGraph, family: str, seeds: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_graph(drawn, family, seeds, tmp_path_factory.mktemp("graph"))


@pytest.mark.slow
@seed(300)
@settings(max_examples=100, **COMMON)
@given(
    drawn=st.booleans().flatmap(
        lambda axonal: graphs(
            max_layers=5,
            max_neurons=30,
            max_samples=3,
            max_steps=12,
            currents=True,
            delays=9,
            axonal=axonal,
        )
    ),
    family=FAMILY,
    seeds=SEEDS,
)
def test_many_drawn_graphs_with_delays(
    drawn: DrawnGraph, family: str, seeds: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_graph(drawn, family, seeds, tmp_path_factory.mktemp("graph"))
