# SPDX-License-Identifier: Apache-2.0
"""Networks of integers whose layers take more than a dense chain's: what they take is recorded."""

from __future__ import annotations

import numpy as np
from conv_networks import AROUND, conv
from designs import make_graph

from spikefab.gen.qnetwork import (
    Connection,
    DenseConnection,
    QEdge,
    QInput,
    QLayer,
    QNetwork,
    QOutput,
    dense_edge,
)
from spikefab.hdl.params import NeuronParams, SynapseParams

__all__ = ["branches", "channels", "late_neurons", "late_synapses", "maps", "multi", "pruned"]


def _layer(name: str, *edges: tuple[str, Connection], **neuron: object) -> QLayer:
    """A layer of leaky neurons with one threshold."""
    made = tuple(QEdge(source=source, connection=c) for source, c in edges)
    n = made[0].connection.n_out
    low = sum(int(np.minimum(e.weights, 0).sum(1, dtype=int).min()) for e in made)
    high = sum(int(np.maximum(e.weights, 0).sum(1, dtype=int).max()) for e in made)
    values: dict[str, object] = {
        "fraction_bits": 2, "membrane_width": 14, "saturate": True, "leak_num": (7,),
        "leak_shift": 3, "threshold": (60,),
    }  # fmt: skip
    return QLayer(
        name=name,
        edges=made,
        synapse=SynapseParams(
            n_in=sum(e.n_source for e in made), n_out=n, weight_width=4, acc_min=low, acc_max=high
        ),
        neuron=NeuronParams(n=n, **values | neuron),  # type: ignore[arg-type]
        scale=np.ones(1),
    )


def _network(shape: tuple[int, ...], *layers: QLayer) -> QNetwork:
    return QNetwork(
        name="net",
        inputs=(QInput(name="in", shape=shape),),
        layers=layers,
        outputs=(QOutput(name="out", source=layers[-1].name),),
    )


def _drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-5, 8, shape).astype(np.int8)


def maps(**neuron: object) -> QNetwork:
    """Convolutions with a stride and with a pooling in front, and a dense layer behind."""
    pool = {"pool_kernel": (2, 2), "pool_stride": (2, 2)}
    return _network(
        (2, 18, 18),
        _layer("c1", ("in", conv((2, 18, 18), 8, 5, stride=(2, 2), padding=AROUND)), **neuron),
        _layer("c2", ("c1", conv((8, 8, 8), 8, 3, padding=AROUND, **pool)), **neuron),
        _layer("d", ("c2", DenseConnection(weights=_drawn(10, 128))), **neuron),
    )


def multi() -> QNetwork:
    """Sinabs' neurons: several spikes a step, a lower bound."""
    return maps(
        count_width=3, v_min=(-60,), leak_num=(1,), leak_shift=0, fraction_bits=0, membrane_width=20
    )


def channels() -> QNetwork:
    """Channel by channel, and past it: two sources of one population."""
    return _network(
        (6, 12, 12),
        _layer("a", ("in", conv((6, 12, 12), 12, 3, padding=AROUND, groups=6))),
        _layer("b", ("in", conv((6, 12, 12), 8, 1)), ("a", conv((12, 12, 12), 8, 1))),
    )


def pruned() -> QNetwork:
    """Dense layers of which one weight in sixteen is left."""
    rng = np.random.default_rng(3)

    def few(n_out: int, n_in: int) -> DenseConnection:
        kept = rng.random((n_out, n_in)) < 1 / 16
        return DenseConnection(weights=(_drawn(n_out, n_in) * kept).astype(np.int8))

    return _network((128,), _layer("a", ("in", few(96, 128))), _layer("b", ("a", few(40, 96))))


def _late(shape: tuple[int, ...], longest: int) -> QNetwork:
    """Two layers, the delays of the second drawn: a delay a source, or a synapse."""
    network = make_graph({"in": 32}, {"a": (32, ["in"]), "b": (24, ["a"])}, ["b"])
    first, second = network.layers
    delays = np.random.default_rng(5).integers(0, longest + 1, shape)
    edge = dense_edge("a", second.edges[0].weights, delays=delays)
    late = QLayer(
        name="b", edges=(edge,), synapse=second.synapse, neuron=second.neuron, scale=second.scale
    )
    return QNetwork(
        name="late", inputs=network.inputs, layers=(first, late), outputs=network.outputs
    )


def late_synapses() -> QNetwork:
    """A delay a synapse: a ring of sums."""
    return _late((24, 32), 6)


def late_neurons() -> QNetwork:
    """A delay a source: a ring of events."""
    return _late((32,), 9)


def branches() -> QNetwork:
    """Two inputs, a skip, a loop and two outputs."""
    return make_graph(
        {"left": 40, "right": 24},
        {"a": (32, ["left"]), "b": (24, ["right", "a"]), "c": (16, ["a", "b", "*c"])},
        ["b", "c"],
    )
