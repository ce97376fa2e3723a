# SPDX-License-Identifier: Apache-2.0
"""Small networks of integers with convolutions."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import strategies as st
from structures import draw_conv

from spikefab.gen.qnetwork import (
    Connection,
    ConvConnection,
    DenseConnection,
    QEdge,
    QInput,
    QLayer,
    QNetwork,
    QOutput,
)
from spikefab.hdl.conv_params import ConvParams
from spikefab.hdl.params import NeuronParams, SynapseParams

__all__ = ["AROUND", "chain", "conv", "conv_networks", "dense", "drawn", "layer", "mixed",
           "network", "pruned", "skip"]  # fmt: skip

AROUND = ((1, 1), (1, 1))


def drawn(*shape: int) -> np.ndarray:
    """Weights, more of them positive: the same for the same shape."""
    return np.random.default_rng(sum(shape)).integers(-5, 8, shape).astype(np.int8)


def conv(in_shape: tuple[int, int, int], out: int, kernel: int, **fields: object) -> ConvConnection:
    params = ConvParams(in_shape=in_shape, out_channels=out, kernel=(kernel, kernel), **fields)  # type: ignore[arg-type]
    shape = (out, in_shape[0] // params.groups, kernel, kernel)
    return ConvConnection(params=params, kernel=drawn(*shape))


def dense(n_out: int, n_in: int) -> DenseConnection:
    return DenseConnection(weights=drawn(n_out, n_in))


def layer(name: str, *edges: tuple[str, Connection], spiking: bool = True) -> QLayer:
    """A layer of leaky neurons, a threshold each."""
    made = tuple(
        QEdge(source=source.removeprefix("~"), connection=c, recurrent=source.startswith("~"))
        for source, c in edges
    )
    n = made[0].connection.n_out
    high = sum(np.maximum(e.weights, 0).sum(1, dtype=int).max() for e in made)
    low = sum(np.minimum(e.weights, 0).sum(1, dtype=int).min() for e in made)
    neuron = NeuronParams(
        n=n, fraction_bits=2, membrane_width=14, saturate=True, leak_num=(13,), leak_shift=4,
        threshold=tuple(range(20, 20 + n)), bias=(3,),
        spiking=spiking, reset="subtract" if spiking else "none",
    )  # fmt: skip
    synapse = SynapseParams(
        n_in=sum(e.n_source for e in made), n_out=n, weight_width=4,
        acc_min=2 * int(low), acc_max=2 * int(high),
    )  # fmt: skip
    return QLayer(name=name, edges=made, synapse=synapse, neuron=neuron, scale=np.ones(1))


def network(shape: tuple[int, ...], *layers: QLayer) -> QNetwork:
    return QNetwork(
        name="net",
        inputs=(QInput(name="in", shape=shape),),
        layers=layers,
        outputs=(QOutput(name="out", source=layers[-1].name),),
    )


def chain() -> QNetwork:
    """The N-MNIST network of the NIR paper, smaller."""
    return network(
        (2, 10, 10),
        layer("c1", ("in", conv((2, 10, 10), 4, 5, stride=(2, 2), padding=AROUND))),
        layer("c2", ("c1", conv((4, 4, 4), 6, 3, padding=AROUND))),
        layer("c3", ("c2", conv((6, 4, 4), 3, 3, padding=AROUND, pool_kernel=(2, 2),
                                pool_stride=(2, 2)))),
        layer("d1", ("c3", dense(7, 12))),
        layer("d2", ("d1", dense(3, 7)), spiking=False),
    )  # fmt: skip


def skip() -> QNetwork:
    """A residual block, a recurrent convolution, and a population that dense weights make maps."""
    return network(
        (1, 6, 5),
        layer("c1", ("in", conv((1, 6, 5), 3, 3, padding=AROUND))),
        layer("c2", ("c1", conv((3, 6, 5), 3, 3, padding=AROUND))),
        layer("add", ("c1", conv((3, 6, 5), 3, 1, groups=3)), ("c2", conv((3, 6, 5), 3, 1))),
        layer("loop", ("~loop", conv((2, 3, 3), 2, 3, padding=AROUND)),
              ("add", conv((3, 6, 5), 2, 2, stride=(2, 2), padding=((0, 0), (0, 1))))),
    )  # fmt: skip


def mixed() -> QNetwork:
    """A convolution and dense weights into one population: its words that are not 0."""
    return network(
        (2, 4, 3),
        layer("a", ("in", dense(12, 24))),
        layer("b", ("in", conv((2, 4, 3), 3, 2)), ("a", dense(18, 12))),
        layer("c", ("b", conv((3, 3, 2), 2, 3, padding=AROUND))),
    )


def pruned() -> QNetwork:
    """Dense layers of which one weight in sixteen is left."""
    rng = np.random.default_rng(3)

    def few(n_out: int, n_in: int) -> DenseConnection:
        kept = rng.random((n_out, n_in)) < 1 / 16
        return DenseConnection(weights=(drawn(n_out, n_in) * kept).astype(np.int8))

    return network(
        (40,), layer("a", ("in", few(24, 40))), layer("b", ("in", few(30, 40)), ("a", few(30, 24)))
    )


@st.composite
def conv_networks(draw: st.DrawFn) -> QNetwork:
    """Up to four populations of maps, or flat ones, each behind one or two that came before, or
    itself; the last may be an integrator."""
    r = random.Random(draw(st.integers(0, 1 << 24), label="seed"))
    shape = r.randint(1, 3), r.randint(1, 6), r.randint(1, 6)
    shapes, layers = {"in": shape}, []
    n_layers = draw(st.integers(1, 4), label="layers")
    for k in range(n_layers):
        name, before = f"l{k}", list(shapes)[-1]
        first = ConvConnection(params=draw_conv(r, shapes[before]), kernel=np.zeros(0))
        flat = draw(st.integers(0, 3), label="flat") == 0
        target = (r.randint(1, 9), 1, 1) if flat else first.params.out_shape
        n = int(np.prod(target))
        edges = [(before, dense(n, int(np.prod(shapes[before]))) if flat else _drawn(first.params))]
        other = draw(st.sampled_from(["", "", "itself", *shapes]), label="other")
        source = name if other == "itself" else other
        if source and source != before:
            size = int(np.prod(target if source == name else shapes[source]))
            same = source == name and not flat and r.random() < 0.6
            around = ConvParams(in_shape=target, out_channels=target[0], kernel=(3, 3),
                                padding=AROUND)  # fmt: skip
            more = _drawn(around) if same else dense(n, size)
            edges.append(("~" * (source == name) + source, more))
        order = list(shapes)
        edges.sort(
            key=lambda e: (not e[0].startswith("~"), (order + [name]).index(e[0].strip("~")))
        )
        last = k == n_layers - 1
        spiking = not (last and draw(st.booleans(), label="integrator") and source != name)
        layers.append(layer(name, *edges, spiking=spiking))
        shapes[name] = target
    return network(shape, *layers)


def _drawn(params: ConvParams) -> ConvConnection:
    channels = params.in_shape[0] // params.groups
    kernel = drawn(params.out_channels, channels, *params.kernel)
    return ConvConnection(params=params, kernel=kernel)
