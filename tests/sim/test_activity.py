# SPDX-License-Identifier: Apache-2.0
"""Recorded activity is the float network's, in the shape that the quantiser takes."""

from __future__ import annotations

import numpy as np
from float_networks import make_network

from spikefab.gen.quantise import QuantiseOptions, quantise_with_report
from spikefab.sim.activity import record_activity
from spikefab.sim.fidelity import compare_to_reference
from spikefab.sim.reference import run_reference


def test_counts_are_those_of_the_reference_evenly_chosen() -> None:
    rng = np.random.default_rng(0)
    network = make_network([rng.normal(size=(6, 5)), rng.normal(size=(3, 6))])
    x = rng.integers(0, 3, (11, 7, 5)).astype(np.int16)
    recorded = record_activity(network, x, samples=3)
    part = x[[0, 5, 10]]
    assert set(recorded) == {"input", "lif0", "lif1"}
    np.testing.assert_array_equal(recorded["input"], part.reshape(21, 5))
    spikes = run_reference(network, part).spikes["lif0"]
    np.testing.assert_array_equal(recorded["lif0"], spikes.reshape(21, 6))
    assert record_activity(network, x)["input"].shape == (77, 5)


def test_calibration_lowers_what_rounding_costs() -> None:
    rng = np.random.default_rng(1)
    w = rng.normal(size=(30, 40)) * 0.1
    w[:, ::4] *= 4  # Strong weights from inputs that seldom spike.
    network = make_network([w], decay=0.9)
    rate = np.where(np.arange(40) % 4 == 0, 0.0005, 0.3)
    x = (rng.random((40, 25, 40)) < rate).astype(np.int16)
    recorded = record_activity(network, x[:20])
    differences = []
    for activity in (None, recorded):
        qnet, _ = quantise_with_report(network, QuantiseOptions(weight_bits=4), activity)
        result = compare_to_reference(network, qnet, x[20:])
        differences.append(result.layers[0].whole.spikes)
    assert differences[1] < 0.85 * differences[0]
