# SPDX-License-Identifier: Apache-2.0
"""Networks with convolutions as cores: golden = RTL, and every cycle as predicted."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from conv_networks import AROUND, chain, conv, dense, drawn, layer, mixed, network, skip
from helpers import drive, from_items, to_items

from spikefab.gen.cost import predict_cycles
from spikefab.gen.qnetwork import ConvConnection, QNetwork
from spikefab.gen.structure import Structure, find_grids, fit_lanes, lower
from spikefab.hdl.conv_params import ConvJoin, ConvParams, GridParams
from spikefab.hdl.core import SpikingCore
from spikefab.hdl.sparse_params import SparseParams
from spikefab.sim.golden import run_golden


def late() -> QNetwork:
    """Convolutions with delays, of sources and of synapses, beside others without."""
    qnet = skip()
    rng = np.random.default_rng(6)
    layers = list(qnet.layers)
    for k, j in ((1, 0), (2, 1), (3, 0)):
        edges = list(layers[k].edges)
        shape = edges[j].weights.shape
        delays = rng.integers(0, 2, shape if k == 2 else shape[1:])
        edges[j] = replace(edges[j], delays=delays)
        layers[k] = replace(layers[k], edges=tuple(edges))
    return replace(qnet, layers=tuple(layers))


def eager() -> QNetwork:
    """Maps of neurons of which many spike in every step; what pads the maps would, too."""
    qnet = network(
        (1, 5, 5),
        layer("a", ("in", conv((1, 5, 5), 5, 3, padding=AROUND))),
        layer("b", ("a", conv((5, 5, 5), 3, 2))),
        layer("c", ("b", dense(5, 48))),
    )
    layers = []
    for k, each in enumerate(qnet.layers):
        thresholds = np.random.default_rng(k).integers(-60, 30, each.neuron.n)
        neuron = replace(
            each.neuron,
            threshold=tuple(thresholds.tolist()),
            reset="zero",
            reset_time="next-before-leak" if k == 1 else "same",
        )
        layers.append(replace(each, neuron=neuron))
    return replace(qnet, layers=tuple(layers))


def run(made: Structure, x: np.ndarray, seed: int | None = None) -> tuple[np.ndarray, list[int]]:
    """Spikes or membranes by number, and the cycle of each sample's first item."""
    items = to_items(made.to_addresses(x), None if seed is None else random.Random(seed))
    core = SpikingCore(made.core, list(made.weights))
    pauses = {} if seed is None else {"pause_in": 0.3, "pause_out": 0.5, "seed": seed}
    out, times, _ = drive(core, items, x.shape[0] * x.shape[1], **pauses)  # type: ignore[arg-type]
    found = from_items(out, (*x.shape[:2], made.core.n_outputs))
    firsts = [t for k, t in enumerate(times) if k == 0 or items[k - 1][1]]
    return made.to_numbers(found[int(made.core.output_width > 0)]), firsts


@pytest.mark.parametrize("make", [chain, skip, mixed, late, eager])
@pytest.mark.parametrize("lanes", [3, 16])
def test_golden_is_rtl_and_cycles_are_predicted(make: object, lanes: int) -> None:
    qnet: QNetwork = make()  # type: ignore[operator]
    made = lower(qnet, [lanes] * len(qnet.layers), [2] * len(qnet.layers))
    x = (np.random.default_rng(1).random((2, 3, qnet.n_inputs)) < 0.3).astype(np.int64)
    golden = run_golden(qnet, x.reshape(*x.shape[:2], *qnet.input_shape))
    last = qnet.layers[-1]
    expected = golden.spikes[last.name] if last.neuron.spiking else golden.mem[last.name]
    assert golden.spikes[qnet.layers[0].name].any()
    assert expected.any()
    out, _ = run(made, x, seed=3)
    np.testing.assert_array_equal(out, expected)
    out, firsts = run(made, np.concatenate([x, x[:1]]))
    np.testing.assert_array_equal(out[:2], expected)
    spikes = [golden.spikes[each.name] for each in qnet.layers]
    predicted = predict_cycles(made.core, made.to_addresses(x), spikes)
    assert np.diff(firsts).tolist() == predicted.interval.tolist()


def test_structures() -> None:
    """What becomes of each layer."""
    made = lower(chain(), [16] * 5)
    c1, c2, c3, d1, d2 = made.core.layers
    assert [c.lanes for c in (c1, c2, c3, d1, d2)] == [4, 6, 3, 7, 3]
    assert all(isinstance(c.structure, ConvJoin) for c in (c1, c2, c3))
    assert d1.structure is d2.structure is None
    assert d1.synapse.n_in == GridParams(channels=3, height=2, width=2).n_addresses
    made = lower(skip(), [2] * 4)
    join = made.core.layers[2].structure
    assert isinstance(join, ConvJoin)
    assert len(join.convs) == 2
    assert made.core.layers[2].lanes == 2  # the skip's word is shared by its groups
    made = lower(late(), [2] * 4)
    # Delays of sources stand in front of the address generators of two, in rings of events.
    assert [c.slots for c in made.core.layers] == [1, 1, 2, 1]
    assert isinstance(made.core.layers[1].structure, ConvJoin)
    assert isinstance(made.core.layers[2].structure, SparseParams)
    rings = [any(any(port.delays) for port in own) for own in made.core.ports]
    assert rings == [False, True, False, True]
    made = lower(mixed(), [2] * 3)
    assert isinstance(made.core.layers[1].structure, SparseParams)
    assert find_grids(mixed())["in"].shape == (2, 4, 3)
    assert "a" not in find_grids(mixed())


def test_lanes_fit_the_channels() -> None:
    grid = GridParams(channels=12, height=1, width=1)
    assert fit_lanes(16, None, None, 9) == 9
    assert fit_lanes(16, grid, None, 12) == 12
    assert fit_lanes(7, grid, None, 12) == 6  # two words either way
    depth = ConvJoin(convs=(ConvParams(in_shape=(12, 1, 1), out_channels=12, kernel=(1, 1),
                                       groups=3),))  # fmt: skip
    assert fit_lanes(7, grid, depth, 12) == 4


def test_a_flattened_map_is_another_map() -> None:
    """Two readers that see different shapes: the second reads the first's addresses."""
    flat = ConvConnection(
        params=ConvParams(in_shape=(12, 1, 1), out_channels=2, kernel=(1, 1)),
        kernel=drawn(2, 12, 1, 1),
    )
    qnet = network(
        (3, 2, 2),
        layer("a", ("in", conv((3, 2, 2), 3, 1))),
        layer("b", ("a", conv((3, 2, 2), 2, 2))),
        replace(layer("c", ("a", flat), ("b", dense(2, 2)))),
    )
    made = lower(qnet, [4] * 3)
    x = (np.random.default_rng(1).random((1, 3, 12)) < 0.5).astype(np.int64)
    out, _ = run(made, x)
    np.testing.assert_array_equal(out, run_golden(qnet, x.reshape(1, 3, 3, 2, 2)).spikes["c"])
