# SPDX-License-Identifier: Apache-2.0
"""lava-dl's integers against whole numbers in plain Python."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from float_networks import make_network

from spikefab.gen.network import Current
from spikefab.sim.reference import run_reference

STEPS = 60


def _shift(value: int, keeps: int) -> int:
    """lava-dl's right_shift_to_zero(value * keeps, 12)."""
    size = (abs(value) * keeps) >> 12
    return size if value > 0 else -size


@pytest.mark.parametrize("order", ["decay-add-use", "add-use-decay", "add-decay-use", None])
@pytest.mark.parametrize("gain", [1.0, 0.75])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_integers(order: str | None, gain: float, reset: str) -> None:
    """A current (none where there is no order) and a membrane, weights of any size."""
    rng = np.random.default_rng(4)
    n = 8
    weight = np.float32(rng.normal(0.1, 0.4, (n, 3))).astype(float)
    keeps_v, keeps_i = rng.integers(2500, 4000, (2, n))
    dialect = f"lava-dl,reset={reset}" + (f",synapse_order={order}" if order else "")
    network = make_network([weight], dialect, decay=keeps_v / 4096, gain=gain, threshold=0.7)
    (population,) = network.populations
    if order:
        current = Current(decay=keeps_i / 4096, gain=np.ones(n))
        neuron = replace(population.neuron, current=current)
        network = replace(network, populations=(replace(population, neuron=neuron),))
    x = rng.integers(0, 2, (1, STEPS, 3))
    result = run_reference(network, x, record=True)
    assert result.mem is not None

    threshold = int(0.7 * 64) * 64
    sums = x[0].astype(np.float32) @ weight.astype(np.float32).T
    spikes = np.zeros((STEPS, n), int)
    mem = np.zeros((STEPS, n))
    for k in range(n):
        v = i = 0
        for t in range(STEPS):
            if order is None:
                used = int(np.float32(4096) * (np.float32(gain) * sums[t, k]))
            else:
                come = int(np.float32(4096) * sums[t, k])
                if order == "decay-add-use":
                    i = used = _shift(i, keeps_i[k]) + come
                elif order == "add-use-decay":
                    used = i + come
                    i = _shift(used, keeps_i[k])
                else:
                    i = used = _shift(i + come, keeps_i[k])
                used = int(gain * used)
            v = _shift(v, keeps_v[k]) + used
            if v > threshold:
                spikes[t, k] = 1
                v = 0 if reset == "zero" else v - threshold
            mem[t, k] = v / 4096
    assert 0 < spikes.mean() < 1
    np.testing.assert_array_equal(result.spikes[population.name][0], spikes)
    np.testing.assert_array_equal(result.mem[population.name][0], mem.astype(np.float32))
