# SPDX-License-Identifier: Apache-2.0
"""Whole cores with layers that are convolutions or sparse, against the golden model."""

from __future__ import annotations

import random

import numpy as np
import pytest
from helpers import drive, from_items, to_items
from hypothesis import given, settings
from hypothesis import strategies as st
from structures import Structured, structured

from spikefab.gen.cost import predict_cycles
from spikefab.hdl.core import SpikingCore
from spikefab.sim.golden import run_golden


def check(case: Structured, seed: int, **pauses: float) -> None:
    """Every output spike, or membrane, equals the golden model's of the dense network."""
    golden, last = run_golden(case.qnet, case.x), case.qnet.layers[-1]
    items = to_items(case.addressed, random.Random(seed))
    core = SpikingCore(case.params, case.weights)
    out, _, _ = drive(core, items, case.x.shape[0] * case.x.shape[1], seed=seed, **pauses)
    counts, payloads = from_items(out, (*case.x.shape[:2], case.params.n_outputs))
    if last.neuron.spiking:
        np.testing.assert_array_equal(case.numbered(counts), golden.spikes[last.name])
    else:
        assert (case.numbered(counts) == 1).all()
        np.testing.assert_array_equal(case.numbered(payloads), golden.mem[last.name])


@settings(max_examples=12, deadline=None, derandomize=True)
@given(structured(), st.integers(0, 1000))
def test_cores_of_any_structure_equal_golden(case: Structured, seed: int) -> None:
    check(case, seed)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(structured())
def test_the_cost_model_predicts_every_cycle(case: Structured) -> None:
    golden = run_golden(case.qnet, case.x)
    spikes = [golden.spikes[layer.name] for layer in case.qnet.layers]
    predicted = predict_cycles(case.params, case.addressed, spikes)
    again = np.concatenate([case.addressed, case.addressed[:1]])
    firsts, _ = measure(case, again)
    assert np.diff(firsts).tolist() == predicted.interval.tolist()
    (first,), (last,) = measure(case, case.addressed[:1])
    assert last - first == predicted.cycles[0]


def measure(case: Structured, x: np.ndarray) -> tuple[list[int], list[int]]:
    """Cycles of (first item in, last token out) of each sample, back to back."""
    items = to_items(x)
    core = SpikingCore(case.params, case.weights)
    out, times_in, times_out = drive(core, items, x.shape[0] * x.shape[1])
    firsts = [t for k, t in enumerate(times_in) if k == 0 or items[k - 1][1]]
    lasts = [t for item, t in zip(out, times_out, strict=True) if item[0] and item[1]]
    return firsts, lasts


@settings(max_examples=12, deadline=None, derandomize=True)
@given(structured(), st.sampled_from([(0.0, 0.7), (0.5, 0.5)]))
def test_cores_equal_golden_under_back_pressure(
    case: Structured, pauses: tuple[float, float]
) -> None:
    check(case, 1, pause_in=pauses[0], pause_out=pauses[1])


@pytest.mark.slow
@settings(max_examples=500, deadline=None, derandomize=True)
@given(structured(4), st.sampled_from([(0.0, 0.0), (0.0, 0.7), (0.5, 0.5)]))
def test_cores_equal_golden_in_a_long_sweep(case: Structured, pauses: tuple[float, float]) -> None:
    check(case, 2, pause_in=pauses[0], pause_out=pauses[1])
