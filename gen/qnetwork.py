# SPDX-License-Identifier: Apache-2.0
"""A network in integers: the numeric contract with its weights. The golden model runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from spikefab.hdl.conv_params import ConvParams
from spikefab.hdl.params import SPIKES, InputParams, NeuronParams, StopParams, SynapseParams
from spikefab.hdl.sparse_params import MAX_DELAY

__all__ = [
    "Connection",
    "ConvConnection",
    "DenseConnection",
    "QEdge",
    "QInput",
    "QLayer",
    "QNetwork",
    "QOutput",
    "dense_edge",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseConnection:
    """All sources to all targets, a weight each."""

    weights: np.ndarray
    """int8 (n_out, n_source)."""

    @property
    def n_source(self) -> int:
        return int(self.weights.shape[1])

    @property
    def n_out(self) -> int:
        return int(self.weights.shape[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvConnection:
    """A convolution between images, perhaps behind a pooling that adds up.

    Addresses of the source and of the target count in C order of (channel, row, column).
    """

    params: ConvParams
    kernel: np.ndarray
    """int8 (out_channels, in_channels / groups, KH, KW)."""

    @property
    def n_source(self) -> int:
        return self.params.in_grid.n

    @property
    def n_out(self) -> int:
        return self.params.out_grid.n

    @cached_property
    def weights(self) -> np.ndarray:
        """The same as a matrix, int8 (n_out, n_source)."""
        p = self.params
        out = np.zeros((*p.out_shape, *p.in_shape), np.int8)
        own_in, own_out = p.in_shape[0] // p.groups, p.out_channels // p.groups
        kernels = self.kernel.reshape(p.groups, own_out, own_in, *p.kernel)
        (down_y, down_k_y), (right_x, right_k_x) = p.steps
        for y, row in enumerate(p.axes[0]):
            for x, column in enumerate(p.axes[1]):
                for j in range(row.count):
                    for i in range(column.count):
                        oy, ky = row.output + j * down_y, row.kernel + j * down_k_y
                        ox, kx = column.output + i * right_x, column.kernel + i * right_k_x
                        for g in range(p.groups):
                            to = slice(g * own_out, (g + 1) * own_out)
                            of = slice(g * own_in, (g + 1) * own_in)
                            out[to, oy, ox, of, y, x] = kernels[g, :, :, ky, kx]
        return out.reshape(self.n_out, self.n_source)


Connection = DenseConnection | ConvConnection


@dataclass(frozen=True, kw_only=True, eq=False)
class QEdge:
    """What one source, an input or a population, brings to a layer."""

    source: str
    """Name of an input or of a layer."""
    connection: Connection
    recurrent: bool = False
    """True: the source's step t acts in step t + 1; nothing comes in a sample's first step."""
    delays: np.ndarray | None = None
    """Steps by which it all acts later, 0 to `MAX_DELAY`: integers (n_source,), one a source, or
    (n_out, n_source), one a weight; None: 0. What would act behind a sample's end is lost."""

    def __post_init__(self) -> None:
        if self.delays is None:
            return
        d, shape = self.delays, (self.connection.n_out, self.connection.n_source)
        if d.shape not in (shape, shape[1:]) or not np.issubdtype(d.dtype, np.integer):
            raise ValueError(f"edge from {self.source!r}: delays {d.dtype} {d.shape}; they must be "
                             f"integers {shape[1:]} or {shape}")  # fmt: skip
        if d.size and not (d.min() >= 0 and d.max() <= MAX_DELAY):
            raise ValueError(f"edge from {self.source!r}: delays of {d.min()} to {d.max()} steps; "
                             f"they must be 0 to {MAX_DELAY}")  # fmt: skip

    @property
    def longest(self) -> int:
        """The longest delay, in steps."""
        return 0 if self.delays is None else int(self.delays.max(initial=0))

    @property
    def late(self) -> bool:
        """A weight has a delay."""
        return self.longest > 0

    @property
    def n_source(self) -> int:
        """Addresses of the source."""
        return self.connection.n_source

    @property
    def weights(self) -> np.ndarray:
        """int8 (n_out, n_source); of a convolution the matrix that does the same."""
        return self.connection.weights


def dense_edge(
    source: str, weights: np.ndarray, *, recurrent: bool = False, delays: np.ndarray | None = None
) -> QEdge:
    """An edge of the weights (n_out, n_source)."""
    dense = DenseConnection(weights=np.asarray(weights).astype(np.int8, copy=False))
    return QEdge(source=source, connection=dense, recurrent=recurrent, delays=delays)


@dataclass(frozen=True, kw_only=True, eq=False)
class QLayer:
    """A population and the edges that drive it, which add up in one sum on one scale."""

    name: str
    """The population's name in the source graph."""
    edges: tuple[QEdge, ...]
    """In the fixed order that `QNetwork` checks: recurrent ones first; among either, inputs before
    populations, each in their own order."""
    synapse: SynapseParams
    """All edges together: `n_in` counts the sources of one after another."""
    neuron: NeuronParams
    scale: np.ndarray
    """Float value of one weight LSB, float64 (1,) for the layer or (n_out,) a channel. One
    membrane LSB is ``scale / 2**neuron.fraction_bits``. Nothing computes with it: it is
    for reports."""
    weight_exact: bool = False
    """True: every weight is an integer multiple of its scale; nothing was rounded."""
    ternary: bool = False
    bound: tuple[int, int] | None = None
    """Smallest and largest membrane that any legal input can reach; None where it is clamped."""

    @cached_property
    def weights(self) -> np.ndarray:
        """int8 (n_out, n_in): the columns of all edges, one after another."""
        parts = [edge.weights for edge in self.edges]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    @cached_property
    def delays(self) -> np.ndarray | None:
        """Of each weight in `weights`; None where there are none."""
        if not any(edge.late for edge in self.edges):
            return None
        parts = [
            np.broadcast_to(np.int64(0) if edge.delays is None else edge.delays, edge.weights.shape)
            for edge in self.edges
        ]
        return np.concatenate(parts, axis=1).astype(np.int64)

    @property
    def stored(self) -> np.ndarray:
        """int8 (n_out, n_in), or of convolutions (out_channels, a kernel's weights), those of all
        edges one after another."""
        kernels = [
            e.connection.kernel for e in self.edges if isinstance(e.connection, ConvConnection)
        ]
        if len(kernels) != len(self.edges):
            return self.weights
        return np.concatenate([kernel.reshape(len(kernel), -1) for kernel in kernels], axis=1)

    @property
    def columns(self) -> tuple[slice, ...]:
        """Where each edge's columns are in `weights`."""
        ends = np.cumsum([0, *(edge.n_source for edge in self.edges)]).tolist()
        return tuple(slice(a, b) for a, b in pairwise(ends))

    def with_weights(self, weights: np.ndarray) -> QLayer:
        """The layer with other weights (n_out, n_in) on its edges; its sums' range stays."""
        edges = [
            dense_edge(edge.source, weights[:, part], recurrent=edge.recurrent, delays=edge.delays)
            for edge, part in zip(self.edges, self.columns, strict=True)
        ]
        return replace(self, edges=tuple(edges))


@dataclass(frozen=True, kw_only=True)
class QInput:
    """An input node: a range of addresses of the network's one input stream."""

    name: str
    shape: tuple[int, ...]
    max_events: int | None = None
    """Most that one of its addresses receives in a step; None: `QNetwork.input_max`."""

    @property
    def n(self) -> int:
        return int(np.prod(self.shape, dtype=int))


@dataclass(frozen=True, kw_only=True)
class QOutput:
    """An output node and the population that it shows. Several may show the same one: they are
    names for the same addresses."""

    name: str
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class QNetwork:
    """A graph of integer layers. Raises `ValueError` where names, sizes or orders do not fit."""

    name: str
    inputs: tuple[QInput, ...]
    """In the order of their addresses."""
    layers: tuple[QLayer, ...]
    """In topological order: every edge that is not recurrent comes from an input or from an earlier
    layer."""
    outputs: tuple[QOutput, ...]
    """In the order of their addresses."""
    input_max: int = 1
    """Most that one input may receive in one step: events, or the sum of their values."""
    input: InputParams = SPIKES
    """What samples hold, and how they become events."""
    stop: StopParams | None = None
    """When a sample ends before its last step; None: never."""
    steps: int | None = None
    """Most steps a sample; membrane bounds hold up to it. None: they hold for ever."""
    dialect: str = ""
    """The dialect as it would be written on the command line."""
    dt: float = 1e-4
    """Seconds a step."""

    def __post_init__(self) -> None:
        sizes = {i.name: i.n for i in self.inputs} | {q.name: q.neuron.n for q in self.layers}
        if len(sizes) != len(self.inputs) + len(self.layers) or not self.inputs or not self.layers:
            raise ValueError(f"network {self.name!r}: names of inputs and layers must differ, and "
                             "there must be one of each")  # fmt: skip
        order = {name: k for k, name in enumerate(sizes)}
        for layer in self.layers:
            where = f"layer {layer.name!r}"
            for edge in layer.edges:
                if edge.source not in sizes:
                    raise ValueError(f"{where}: its source {edge.source!r} is not in the network")
                shape = (edge.connection.n_out, edge.n_source)
                if shape != (layer.neuron.n, sizes[edge.source]):
                    raise ValueError(f"{where}: {shape} weights from {edge.source!r}; it takes "
                                     f"{(layer.neuron.n, sizes[edge.source])}")  # fmt: skip
                if order[edge.source] >= order[layer.name] and not edge.recurrent:
                    raise ValueError(f"{where}: {edge.source!r} is no earlier layer: the edge must "
                                     "be recurrent")  # fmt: skip
                if edge.recurrent and order[edge.source] < len(self.inputs):
                    raise ValueError(f"{where}: the edge from input {edge.source!r} is recurrent")
            ports = [(not edge.recurrent, order[edge.source]) for edge in layer.edges]
            if not ports or ports != sorted(ports):
                raise ValueError(f"{where}: edges must be recurrent ones first, then the others, "
                                 "each in the network's order")  # fmt: skip
            if layer.synapse.n_in != sum(edge.n_source for edge in layer.edges):
                raise ValueError(f"{where}: synapse.n_in is {layer.synapse.n_in}, its edges have "
                                 f"{sum(edge.n_source for edge in layer.edges)}")  # fmt: skip
        for out in self.outputs:
            if out.source not in {layer.name for layer in self.layers}:
                raise ValueError(f"output {out.name!r}: its source {out.source!r} is no layer")
        if not self.outputs or len({out.name for out in self.outputs}) != len(self.outputs):
            raise ValueError(f"network {self.name!r}: needs outputs of different names")

    @property
    def is_chain(self) -> bool:
        """One input, outputs of the last layer alone, and each layer driven by the one before
        alone."""
        before = [self.inputs[0].name, *(layer.name for layer in self.layers)]
        return (
            len(self.inputs) == 1
            and all(out.source == before[-1] for out in self.outputs)
            and all(
                [(edge.source, edge.recurrent) for edge in layer.edges] == [(source, False)]
                for source, layer in zip(before[:-1], self.layers, strict=True)
            )
        )

    @cached_property
    def by_name(self) -> Mapping[str, QLayer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def input_ranges(self) -> Mapping[str, slice]:
        """The first layers' addresses of each input, by name."""
        ends = np.cumsum([0, *(i.n for i in self.inputs)]).tolist()
        return {i.name: slice(a, b) for i, (a, b) in zip(self.inputs, pairwise(ends), strict=True)}

    @property
    def output_layers(self) -> tuple[QLayer, ...]:
        """The populations that outputs show, each once, in the order of their first output: what
        the core's output stream carries."""
        return tuple(self.by_name[name] for name in dict.fromkeys(o.source for o in self.outputs))

    def source_max(self, source: str) -> int:
        """Most that one address of an input or a population carries in a step."""
        return self._most[source]

    @cached_property
    def _most(self) -> Mapping[str, int]:
        inputs = {
            i.name: self.input_max if i.max_events is None else i.max_events for i in self.inputs
        }
        return inputs | {layer.name: layer.neuron.max_count for layer in self.layers}

    @property
    def input_name(self) -> str:
        """The input's name; of several, joined by '+'."""
        return "+".join(i.name for i in self.inputs)

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one step of the input; of several inputs, side by side, their sizes' sum."""
        return self.inputs[0].shape if len(self.inputs) == 1 else (sum(i.n for i in self.inputs),)

    @property
    def output_name(self) -> str:
        """The output's name; of several, joined by '+'."""
        return "+".join(out.name for out in self.outputs)

    @cached_property
    def n_inputs(self) -> int:
        """Inputs of a sample: addresses of the core's input stream."""
        return self.input.pixels(sum(i.n for i in self.inputs))

    @cached_property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of a sample's step, or frame."""
        return self.input.sample_shape(self.input_shape)

    @property
    def n_outputs(self) -> int:
        """Addresses of the core's output stream."""
        return sum(layer.neuron.n for layer in self.output_layers)

    def save(self, path: Path) -> None:
        """Writes an uncompressed `.npz` whose bytes depend on the contents alone."""
        from spikefab.gen.qnetwork_file import save_qnetwork

        save_qnetwork(self, path)

    @classmethod
    def load(cls, path: Path) -> QNetwork:
        """Reads what `save` wrote, or a chain as earlier versions wrote it."""
        from spikefab.gen.qnetwork_file import load_qnetwork

        return load_qnetwork(path)
