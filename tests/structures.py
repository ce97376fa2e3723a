# SPDX-License-Identifier: Apache-2.0
"""Drawn chains of layers that are convolutions, sparse or dense, with what the core is made of.

The truth is a network of dense matrices: each layer's, by the numbers of its neurons.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from strategies import neuron_params

from spikefab.gen.bounds import accumulator_range
from spikefab.gen.entries import sparse_words
from spikefab.gen.layout import conv_words, dense_rows, place_neurons
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.conv_params import ConvJoin, ConvParams, GridParams
from spikefab.hdl.params import CoreParams, LayerParams, NeuronParams, ParamError, SynapseParams
from spikefab.sim.conv import convolve

__all__ = ["Structured", "structured"]


@dataclass(frozen=True)
class Structured:
    """A network, the core that runs it, and samples."""

    qnet: QNetwork
    """Dense, by numbers."""
    params: CoreParams
    weights: list[list[list[int]]]
    """As the core's layers take them."""
    source: GridParams | None
    """The input's addresses; None: its numbers."""
    x: np.ndarray
    """(samples, steps, inputs), by numbers."""

    @property
    def addressed(self) -> np.ndarray:
        """The samples by address."""
        if self.source is None:
            return self.x
        x = np.zeros((*self.x.shape[:2], self.source.n_addresses), self.x.dtype)
        x[..., list(self.source.addresses)] = self.x
        return x

    def numbered(self, out: np.ndarray) -> np.ndarray:
        """Outputs (…, addresses) by number; other addresses have none."""
        grid = self.params.layers[-1].grid
        if grid is None:
            return out
        found: np.ndarray = out[..., list(grid.addresses)]
        assert np.abs(out).sum() == np.abs(found).sum()
        return found


def draw_conv(r: random.Random, shape: tuple[int, int, int]) -> ConvParams:
    """A small convolution of maps; over all of the map, where nothing else comes out."""
    for _ in range(40):
        groups = r.choice([1, 1, 1, shape[0]])
        pool = r.choice([(1, 1), (1, 1), (2, 2), (3, 2)])
        try:
            return ConvParams(
                in_shape=shape,
                out_channels=groups * r.randint(1, 5 if groups == 1 else 2),
                kernel=(r.randint(1, 3), r.randint(1, 3)),
                stride=(r.choice([1, 1, 2]), r.choice([1, 2, 3])),
                padding=((r.randint(0, 1), r.randint(0, 1)), (r.randint(0, 1), r.randint(0, 2))),
                dilation=(r.choice([1, 1, 2]), 1),
                groups=groups,
                pool_kernel=pool,
                pool_stride=pool,
            )
        except ParamError:
            continue
    return ConvParams(in_shape=shape, out_channels=3, kernel=shape[1:])


def draw_lanes(r: random.Random, conv: ConvParams) -> int:
    own = conv.out_channels // conv.groups
    fits = [
        n
        for n in range(1, conv.out_channels + 1)
        if conv.groups == 1 or own % n == 0 or n % own == 0
    ]
    return r.choice(fits)


@st.composite
def structured(draw: st.DrawFn, max_layers: int = 3) -> Structured:
    """Up to `max_layers` layers, at least one of them not dense."""
    seed = draw(st.integers(0, 1 << 24), label="seed")
    r, rng = random.Random(seed), np.random.default_rng(seed)
    shape: tuple[int, int, int] = (r.randint(1, 3), r.randint(1, 7), r.randint(1, 7))
    grid: GridParams | None = GridParams(channels=shape[0], height=shape[1], width=shape[2])
    n_in, most = grid.n, draw(st.sampled_from([1, 1, 2]), label="input max")
    source, input_max = grid, most
    n_layers = draw(st.integers(1, max_layers), label="layers")
    layers, params, weights = [], [], []
    for k in range(n_layers):
        kinds = ["conv", "conv", "sparse", "dense"] if k else ["conv", "conv", "sparse"]
        kind = draw(st.sampled_from(kinds), label="kind")
        integrator = k == n_layers - 1 and draw(st.integers(0, 3), label="LI output") == 3
        # A flat population is one of one position.
        shape = grid.shape if grid is not None else (n_in, 1, 1)
        conv = draw_conv(r, shape)
        rows: list[list[int]]
        if kind == "conv":
            lanes = draw_lanes(r, conv)
            given = rng.integers(-8, 8, (conv.out_channels, shape[0] // conv.groups, *conv.kernel))
            matrix = convolve(conv, given, np.eye(n_in, dtype=int).reshape(-1, *shape))
            matrix = matrix.reshape(n_in, -1).T
            join = ConvJoin(convs=(conv,))
            structure, target = join, conv.out_grid
            rows = conv_words(join, [given], lanes)
            addresses = join.n_in
        else:
            n_out = r.randint(1, 12)
            matrix = rng.integers(-8, 8, (n_out, n_in))
            target = None
            if r.random() < 0.5:
                target = GridParams(channels=r.randint(1, 6), height=1, width=r.randint(1, 3))
                matrix = rng.integers(-8, 8, (target.n, n_in))
            if kind == "sparse":
                matrix *= rng.random(matrix.shape) < r.choice([0.1, 0.4])
            lanes = r.randint(1, len(matrix) if target is None else target.channels)
            placed = dense_rows(matrix, source=grid, target=target, lanes=lanes)
            structure, rows = sparse_words(placed, lanes) if kind == "sparse" else (None, [])
            rows = rows or placed.tolist()
            addresses = placed.shape[1]
        n = len(matrix)
        acc = accumulator_range(matrix, most)
        largest = max(int(acc[1].max()), -int(acc[0].min()), 1)
        some = neuron_params(n, largest, rng, integrator, bool(acc[1].max() > 0), True)
        neuron = replace(draw(some, label="neuron"), saturate=True)
        synapse = SynapseParams(
            n_in=n_in, n_out=n, weight_width=4,
            acc_min=int(acc[0].min()), acc_max=int(acc[1].max()),
        )  # fmt: skip
        before = f"layer{k - 1}" if k else "input"
        layers.append(
            QLayer(
                name=f"layer{k}",
                edges=(dense_edge(before, matrix),),
                synapse=synapse,
                neuron=neuron,
                scale=np.ones(1),
            )
        )
        own = _placed(neuron, target, lanes)
        folds = r.choice([f for f in range(1, lanes + 1) if lanes % f == 0])
        params.append(
            LayerParams(
                name=f"layer{k}",
                synapse=replace(synapse, n_in=addresses, n_out=own.n),
                neuron=own,
                lanes=lanes,
                folds=folds,
                structure=structure,
                grid=target,
            )
        )
        weights.append(rows)
        grid, n_in, most = target, n, neuron.max_count
    qnet = QNetwork(
        name="drawn",
        inputs=(QInput(name="input", shape=(source.n,)),),
        layers=tuple(layers),
        outputs=(QOutput(name="output", source=layers[-1].name),),
        input_max=input_max,
    )
    steps = draw(st.integers(1, 4), label="steps")
    active = rng.random((draw(st.integers(1, 2), label="samples"), steps, source.n))
    counts = rng.integers(1, input_max + 1, active.shape)
    x = (active < draw(st.sampled_from([0.1, 0.4, 1.0]), label="density")) * counts
    core = CoreParams(layers=tuple(params), input_max=input_max)
    return Structured(qnet, core, weights, source, x)


def _placed(neuron: NeuronParams, grid: GridParams | None, lanes: int) -> NeuronParams:
    return neuron if grid is None else place_neurons(neuron, grid, lanes)
