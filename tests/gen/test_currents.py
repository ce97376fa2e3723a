# SPDX-License-Identifier: Apache-2.0
"""Synaptic currents in integers: membranes stay close to the float recursion, slow ones too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from float_networks import make_network

from spikefab.gen.network import Current, Network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.quantise import quantise
from spikefab.hdl.params import SynapseOrder
from spikefab.sim.golden import run_golden

STEPS = 400


def with_current(order: SynapseOrder, decay: float, keeps: float, **fields: Any) -> Network:
    """Three integrators that keep `keeps`, behind a current that keeps `decay`."""
    weight = np.array([[3, -1, 2, 1], [1, 1, -2, 4], [-3, 1, 1, -1]]) / 8
    network = make_network(
        [weight], f"nir-literal,synapse_order={order}", li_output=True, decay=keeps, gain=0.25
    )
    population = network.populations[0]
    current = Current(decay=np.full(3, decay), gain=np.full(3, 0.5))
    neuron = replace(population.neuron, current=current, **fields)
    return replace(network, populations=(replace(population, neuron=neuron),))


def in_float(network: Network, x: np.ndarray) -> np.ndarray:
    """Membranes (samples, steps, n) by the contract's formulas without rounding."""
    neuron, (projection,) = network.populations[0].neuron, network.projections
    assert neuron.current is not None
    order = neuron.dialect.synapse_order
    i = v = np.zeros((len(x), 3))
    out = []
    for t in range(x.shape[1]):
        taken = neuron.current.gain * (x[:, t] @ projection.weight.T)
        if order == "decay-add-use":
            i = used = neuron.current.decay * i + taken
        elif order == "add-use-decay":
            used = i + taken
            i = neuron.current.decay * used
        else:
            i = used = neuron.current.decay * (i + taken)
        v = neuron.decay * v + neuron.gain * used + neuron.offset
        out.append(v)
    return np.stack(out, axis=1)


@pytest.mark.parametrize("order", ["decay-add-use", "add-use-decay", "add-decay-use"])
@pytest.mark.parametrize(("decay", "keeps"), [(0.5, 0.75), (0.93, 0.81), (0.98, 0.97), (0.99, 1)])
def test_membranes_are_close_to_float(order: SynapseOrder, decay: float, keeps: float) -> None:
    network = with_current(order, decay, keeps)
    options = QuantiseOptions(weight_bits=4, steps=STEPS, leak_tolerance=1e-4)
    qnet = quantise(network, options)
    (layer,) = qnet.layers
    assert layer.weight_exact
    assert layer.neuron.current is not None
    assert layer.neuron.current.order == order
    x = (np.random.default_rng(0).random((4, STEPS, 4)) < 0.1).astype(np.int16)
    x[:, STEPS // 2 :] = 0  # what rounding leaves behind would stay now
    expected = in_float(network, x)
    mem = run_golden(qnet, x).mem[layer.name] * layer.scale / 2.0**layer.neuron.fraction_bits
    assert np.abs(mem - expected).max() < 0.01 * np.abs(expected).max()


def test_slow_currents_get_more_fraction_bits() -> None:
    bits = [
        quantise(with_current("decay-add-use", decay, 0.95)).layers[0].neuron.fraction_bits
        for decay in (0.5, 0.9, 0.99)
    ]
    assert bits[0] < bits[1] < bits[2]
