# SPDX-License-Identifier: Apache-2.0
"""Convolutions in integers: kernels stay kernels, and equal the float network on a grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_graphs import population
from float_networks import make_neuron

from spikefab.gen.dialect import parse_dialect
from spikefab.gen.network import Input, Network, Output, Projection
from spikefab.gen.operations import AvgPool, Bias, Conv, Dense, Operation, Scale, SumPool
from spikefab.gen.qnetwork import ConvConnection, DenseConnection, QNetwork, dense_edge
from spikefab.gen.quantise import QuantiseOptions, quantise
from spikefab.sim.activity import record_activity
from spikefab.sim.fidelity import compare_to_reference
from spikefab.sim.golden import run_golden
from spikefab.sim.reference import run_reference

OPTIONS = QuantiseOptions(weight_bits=5, steps=6)


def grid(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-5, 8, shape) / 16


def network(
    *layers: tuple[Operation, ...], shape: tuple[int, ...] = (2, 7, 6), **values: Any
) -> Network:
    """A chain of IF populations, each behind these operations."""
    parsed = parse_dialect("nir-literal")
    populations, projections, source = [], [], "in"
    for k, operations in enumerate(layers):
        n = operations[-1].n_out
        name = f"if{k}"
        populations.append(population(name, make_neuron(n, parsed, **values)))
        projections.append(
            Projection(name=f"to {name}", source=source, target=name, operations=operations)
        )
        source = name
    return Network(
        name="conv",
        inputs=(Input(name="in", shape=shape),),
        outputs=(Output(name="out", source=source),),
        populations=tuple(populations),
        projections=tuple(projections),
        dialect=parsed,
        dt=1e-4,
    )


def events(shape: tuple[int, ...], seed: int = 1, rate: float = 0.3) -> np.ndarray:
    return (np.random.default_rng(seed).random((5, 6, *shape)) < rate).astype(np.uint8)


def cases() -> dict[str, tuple[tuple[Operation, ...], ...]]:
    rng = np.random.default_rng(0)
    plain = Conv(image=(2, 7, 6), weight=grid(rng, 4, 2, 3, 2), padding=((1, 0), (1, 1)))
    image = plain.out_image
    wide = Conv(
        image=(2, 7, 6), weight=grid(rng, 3, 2, 2, 2), stride=(2, 1), dilations=(2, 3),
        padding=((0, 2), (1, 1)),
    )  # fmt: skip
    grouped = Conv(image=image, weight=grid(rng, 6, 2, 3, 3), groups=2)
    pool = SumPool(image=image, size=(2, 2), stride=(2, 2))
    mean = AvgPool(image=image, size=(2, 2), stride=(2, 2), padding=((1, 0), (0, 0)))
    over = SumPool(image=image, size=(3, 3), stride=(1, 1))
    behind = Conv(image=pool.out_image, weight=grid(rng, 5, 4, 2, 2))
    bias = Bias(shape=plain.out_shape, value=np.repeat(grid(rng, 4), image[1] * image[2]))
    full = Dense(weight=grid(rng, 7, mean.n_out))
    scale = Scale(shape=plain.out_shape, factor=np.repeat([1.0, 0.5, 2, 1], image[1] * image[2]))
    return {
        "plain": ((plain,), (grouped,)),
        "biased": ((plain, bias), (Dense(weight=grid(rng, 5, plain.n_out)),)),
        "strided and dilated": ((wide,),),
        "pooled": ((plain,), (pool, behind)),
        "pool alone": ((plain,), (pool,)),
        "overlapping pool": ((plain,), (over,)),
        "dense behind a mean": ((plain,), (mean, full)),
        "scaled": ((plain, scale),),
    }


@pytest.mark.parametrize("name", cases())
def test_convolutions_on_a_grid_equal_the_float_network(name: str, tmp_path: Path) -> None:
    net = network(*cases()[name])
    qnet = quantise(net, replace(OPTIONS, weight_bits=7))
    x = events((2, 7, 6))
    edge = qnet.layers[0].edges[0]
    assert isinstance(edge.connection, ConvConnection)
    assert all(layer.weight_exact for layer in qnet.layers)
    reference, golden = run_reference(net, x).spikes, run_golden(qnet, x).spikes
    for key, spikes in golden.items():
        assert spikes.any()
        np.testing.assert_array_equal(spikes, reference[key])
    layers = tuple(
        replace(q, edges=tuple(dense_edge(e.source, e.weights) for e in q.edges))
        for q in qnet.layers
    )
    for q in qnet.layers:  # the sums that can occur are those of the matrix
        most = [qnet.source_max(e.source) for e in q.edges]
        assert most == [1]
        wide = q.weights.astype(int)
        assert q.synapse.acc_max == np.maximum(wide, 0).sum(axis=1).max()
        assert q.synapse.acc_min == np.minimum(wide, 0).sum(axis=1).min()
        assert q.synapse.n_in == wide.shape[1]
    dense = run_golden(replace(qnet, layers=layers), x).spikes
    for key in golden:
        np.testing.assert_array_equal(golden[key], dense[key])
    qnet.save(tmp_path / "a.npz")
    again = QNetwork.load(tmp_path / "a.npz")
    for a, b in zip(qnet.layers, again.layers, strict=True):
        assert type(a.edges[0].connection) is type(b.edges[0].connection)
        np.testing.assert_array_equal(a.stored, b.stored)
        np.testing.assert_array_equal(a.weights, b.weights)
    fidelity = compare_to_reference(net, again, x, local=True)
    assert [layer.whole.spikes for layer in fidelity.layers] == [0] * len(qnet.layers)
    assert [layer.local.spikes for layer in fidelity.layers if layer.local] == [0] * len(
        qnet.layers
    )


def test_what_each_kernel_keeps() -> None:
    made = {name: quantise(network(*layers), OPTIONS) for name, layers in cases().items()}
    shapes = {name: [q.stored.shape for q in qnet.layers] for name, qnet in made.items()}
    assert shapes["plain"] == [(4, 12), (6, 18)]
    assert shapes["pooled"] == [(4, 12), (5, 16)]
    assert shapes["pool alone"] == [(4, 12), (4, 4)]
    assert shapes["overlapping pool"] == [(4, 12), (4, 9)]
    pooled = made["pooled"].layers[1].edges[0].connection
    alone = made["pool alone"].layers[1].edges[0].connection
    full = made["dense behind a mean"].layers[1].edges[0].connection
    for connection in (pooled, alone, full):
        assert isinstance(connection, ConvConnection)
    assert pooled.params.pool_kernel == (2, 2)
    assert (alone.params.groups, alone.params.kernel) == (4, (2, 2))
    assert full.params.out_shape == (7, 1, 1)
    assert full.params.kernel == full.params.pooled
    assert isinstance(made["biased"].layers[1].edges[0].connection, DenseConnection)


def test_a_skip_joins_convolutions_as_a_kernel_of_one() -> None:
    rng = np.random.default_rng(3)
    first = Conv(image=(2, 5, 5), weight=grid(rng, 3, 2, 3, 3), padding=((1, 1), (1, 1)))
    second = Conv(image=(3, 5, 5), weight=grid(rng, 3, 3, 3, 3), padding=((1, 1), (1, 1)))
    net = network((first,), (second,), shape=(2, 5, 5))
    skip = Projection(name="skip", source="if0", target="if1", operations=(), n_source=75)
    back = Projection(name="back", source="if1", target="if0", operations=(second,), recurrent=True)
    both = replace(net, projections=(*net.projections, back))
    direct = Projection(name="direct", source="in", target="if1", operations=(first,))
    both = replace(both, projections=(*both.projections, direct))
    qnet = quantise(both, OPTIONS)
    assert [(e.source, e.recurrent) for e in qnet.layers[0].edges] == [
        ("if1", True), ("in", False),
    ]  # fmt: skip
    assert [e.source for e in qnet.layers[1].edges] == ["in", "if0"]
    x = events((2, 5, 5))
    np.testing.assert_array_equal(
        run_golden(qnet, x).spikes["if1"], run_reference(both, x).spikes["if1"]
    )
    only = quantise(
        replace(net, projections=(net.projections[0], skip)), replace(OPTIONS, weight_bits=2)
    )
    assert only.layers[1].weights.shape == (75, 75)  # nothing but the identity: no image in sight
    with_skip = replace(net, projections=(*net.projections[:1], skip, direct))
    qnet = quantise(with_skip, replace(OPTIONS, weight_bits=7))
    kinds = [e.connection for e in qnet.layers[1].edges]
    assert [c.params.groups for c in kinds if isinstance(c, ConvConnection)] == [1, 3]
    np.testing.assert_array_equal(
        run_golden(qnet, x).spikes["if1"], run_reference(with_skip, x).spikes["if1"]
    )


def test_what_no_kernel_expresses_becomes_a_matrix() -> None:
    rng = np.random.default_rng(4)
    first = Conv(image=(1, 6, 6), weight=grid(rng, 2, 1, 3, 3))
    second = Conv(image=(2, 4, 4), weight=np.array([[[[1.0]], [[0.5]]]]))
    uneven = Scale(shape=first.out_shape, factor=np.where(np.arange(32) % 2, 1.0, 0.5))
    x = events((1, 6, 6))
    for operations in ((first, second), (first, uneven), (uneven_front(first), first)):
        net = network(operations, shape=(1, 6, 6))
        qnet = quantise(net, replace(OPTIONS, weight_bits=8))
        assert isinstance(qnet.layers[0].edges[0].connection, DenseConnection)
        assert qnet.layers[0].weight_exact
        np.testing.assert_array_equal(
            run_golden(qnet, x).spikes["if0"], run_reference(net, x).spikes["if0"]
        )
    # Gains of their own within a channel.
    net = network((first,), shape=(1, 6, 6), gain=np.where(np.arange(32) % 2, 1.0, 0.5))
    assert isinstance(quantise(net, OPTIONS).layers[0].edges[0].connection, DenseConnection)
    by_channel = network((first,), shape=(1, 6, 6), gain=np.repeat([1.0, 0.5], 16))
    qnet = quantise(by_channel, replace(OPTIONS, weight_bits=6))
    assert isinstance(qnet.layers[0].edges[0].connection, ConvConnection)
    np.testing.assert_array_equal(
        run_golden(qnet, x).spikes["if0"], run_reference(by_channel, x).spikes["if0"]
    )


def uneven_front(conv: Conv) -> Scale:
    return Scale(shape=conv.in_shape, factor=np.where(np.arange(conv.n_in) % 2, 1.0, 0.5))


def test_a_scale_a_channel_and_calibration() -> None:
    """Kernels rounded to 3 bits: nearer with a scale a channel, and with recorded events."""
    rng = np.random.default_rng(5)
    spread = np.array([1, 0.3, 0.6, 0.1])[:, None, None, None]
    first = Conv(image=(2, 7, 6), weight=spread * rng.normal(0.1, 0.4, (4, 2, 3, 3)))
    second = Conv(image=first.out_image, weight=rng.normal(0.05, 0.3, (3, 4, 2, 2)))
    net = network((first,), (second,), decay=0.9)
    x = events((2, 7, 6), rate=0.2)
    activity = record_activity(net, x)
    few = replace(OPTIONS, weight_bits=3)
    shares = {}
    for name, options, recorded in (
        ("plain", few, None),
        ("recorded", few, activity),
        ("channel", replace(few, per_channel=True), activity),
    ):
        qnet = quantise(net, options, recorded)
        assert qnet.layers[0].scale.shape == ((80,) if name == "channel" else (1,))
        if name == "channel":
            rows = qnet.layers[0].scale.reshape(4, 20)
            assert (rows == rows[:, :1]).all()
        layers = compare_to_reference(net, qnet, x, local=True).layers
        shares[name] = sum(layer.local.share for layer in layers if layer.local is not None)
    assert shares["channel"] < shares["plain"]
    assert shares["recorded"] <= shares["plain"]
