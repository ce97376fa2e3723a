# SPDX-License-Identifier: Apache-2.0
"""An integer network as cores have it: structures, maps, places and addresses.

The network counts neurons; the hardware has addresses in bit fields and neurons in places
(`hdl.conv_params.GridParams`). This is where one becomes the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikefab.gen.cost_conv import event_cycles, sparse_cycles
from spikefab.gen.entries import sparse_words
from spikefab.gen.errors import InputError
from spikefab.gen.late import by_events, connect_late
from spikefab.gen.layout import conv_words, dense_rows, place_neurons
from spikefab.gen.qnetwork import ConvConnection, QInput, QLayer, QNetwork
from spikefab.hdl.conv_params import ConvJoin, GridParams
from spikefab.hdl.params import (
    INPUT,
    CoreParams,
    Family,
    LayerParams,
    ParamError,
    PortParams,
)
from spikefab.hdl.sparse_params import SparseParams

__all__ = ["Lowering", "Structure", "find_grids", "fit_lanes", "lower"]

Words = list[list[int]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Structure:
    """A core's parameters, and what it is filled with and spoken to in."""

    core: CoreParams
    weights: tuple[Words, ...]
    """Of each layer, as `hdl.core.Layer` takes them."""
    input_addresses: np.ndarray
    """int64 (inputs,): the address of each input, all of them side by side."""
    output_addresses: np.ndarray
    """int64 (outputs,): the address of each output, all populations side by side."""

    @property
    def is_plain(self) -> bool:
        """Numbers are addresses, at both ends."""
        ends = (
            (self.input_addresses, self.core.n_inputs),
            (
                self.output_addresses,
                self.core.n_outputs,
            ),
        )
        return all(np.array_equal(found, np.arange(n)) for found, n in ends)

    def inputs(self, qnet: QNetwork) -> list[tuple[QInput, int, GridParams | None]]:
        """The input nodes, the first address of each, and their maps."""
        grids = find_grids(qnet)
        found, base = [], 0
        for node in qnet.inputs:
            grid = grids.get(node.name)
            found.append((node, base, grid))
            base += _addresses(grid, node.n)
        return found

    def to_addresses(self, x: np.ndarray) -> np.ndarray:
        """Samples (…, inputs) as (…, addresses)."""
        out = np.zeros((*x.shape[:-1], self.core.n_inputs), x.dtype)
        out[..., self.input_addresses] = x
        return out

    def to_numbers(self, out: np.ndarray) -> np.ndarray:
        """Outputs (…, addresses) as (…, outputs)."""
        found: np.ndarray = out[..., self.output_addresses]
        return found

    def from_numbers(self, numbers: np.ndarray) -> np.ndarray:
        """Outputs (…, outputs) as (…, addresses)."""
        out = np.zeros((*numbers.shape[:-1], self.core.n_outputs), numbers.dtype)
        out[..., self.output_addresses] = numbers
        return out


def find_grids(qnet: QNetwork) -> dict[str, GridParams]:
    """The maps that inputs and populations are: those that convolutions make, and those that they
    take, where nothing else has said so before."""
    grids: dict[str, GridParams] = {}
    convs = [
        (layer.name, edge.source, edge.connection.params)
        for layer in qnet.layers
        for edge in layer.edges
        if isinstance(edge.connection, ConvConnection)
    ]
    for target, _, params in convs:
        grids.setdefault(target, params.out_grid)
    # A coder draws and compares input by input, in the order of their numbers.
    coded = {i.name for i in qnet.inputs} if qnet.input.spiking else set()
    for _, source, params in convs:
        if source not in coded:
            grids.setdefault(source, params.in_grid)
    return grids


def fit_lanes(limit: int, grid: GridParams | None, join: ConvJoin | None, n: int) -> int:
    """The lanes, at most `limit`, on which events cost least; of those the fewest."""
    if grid is None:
        return max(1, min(limit, n))

    def cost(lanes: int) -> tuple[int, int]:
        spans = [grid.groups(lanes)] if join is None else [c.span(lanes) for c in join.convs]
        return sum(spans), lanes

    return min((k for k in range(1, min(limit, grid.channels) + 1) if _fits(k, join)), key=cost)


def _fits(lanes: int, join: ConvJoin | None) -> bool:
    if join is None:
        return True
    try:
        join.check_lanes(lanes)
    except ParamError:
        return False
    return True


class Lowering:
    """A network whose layers are still to be given their lanes."""

    def __init__(self, qnet: QNetwork):
        self.qnet = qnet
        self.connections = connect_late(qnet)
        self.grids = find_grids(qnet)
        layers = range(len(qnet.layers))
        self.in_sums = [
            qnet.layers[k].delays is not None and not by_events(qnet, k) for k in layers
        ]
        """Of each layer: its synapses have delays, and its engine a ring of sums."""
        self.joins = [
            None if self.in_sums[k] else _join(qnet.layers[k], self.grids) for k in layers
        ]
        sizes = [_addresses(self.grids.get(i.name), i.n) for i in qnet.inputs]
        starts = np.cumsum([0, *sizes]).tolist()
        names = [i.name for i in qnet.inputs]
        self.sizes = dict(zip(names, sizes, strict=True))
        self.bases = dict(zip(names, starts, strict=False))
        self._rows: dict[tuple[int, int], np.ndarray] = {}
        self._sparse: dict[tuple[int, int], SparseParams | ParamError] = {}

    def layer(self, k: int, limit: int, folds: int, *, sparse: bool | None = None) -> LayerParams:
        """Layer k on at most `limit` lanes, of which at most `folds` share a neuron datapath.

        `sparse`: keep the words that are not 0 alone; None: where the layer has a convolution that
        `ConvJoin` cannot have. Raises `InputError` where delays need more lanes.
        """
        layer = self.qnet.layers[k]
        grid, join = self.grids.get(layer.name), self.joins[k]
        lanes = fit_lanes(limit, grid, join, layer.neuron.n)
        structure: ConvJoin | SparseParams | None = join
        if self.in_sums[k]:
            structure = self.ring(k, lanes)
        elif join is None and (_has_conv(layer) if sparse is None else sparse):
            structure = self.sparse(k, lanes)
        neuron = layer.neuron if grid is None else place_neurons(layer.neuron, grid, lanes)
        whole = grid is None and lanes >= neuron.n  # of one group, rows may be uneven
        coding = self.qnet.input
        return LayerParams(
            name=layer.name,
            synapse=replace(layer.synapse, n_in=self._offsets(k)[-1], n_out=neuron.n),
            neuron=neuron,
            lanes=lanes,
            folds=max(f for f in range(1, min(folds, lanes) + 1) if whole or lanes % f == 0),
            replay=coding.steps if k == 0 and coding.coding == "static" else 0,
            structure=structure,
            grid=grid,
        )

    def sparse(self, k: int, lanes: int) -> SparseParams | None:
        """The words of layer k that are not 0; None where they are too many to be listed, or where
        its weights have no 0: every event then visits all words."""
        if self.qnet.layers[k].synapse.weight_width == 1:
            return None
        found = self._entries(k, lanes)
        return None if isinstance(found, ParamError) else found

    def ring(self, k: int, lanes: int) -> SparseParams:
        """The ring of sums of layer k. Raises `InputError` where it needs more lanes."""
        found = self._entries(k, lanes)
        if isinstance(found, ParamError):
            raise InputError(f"{self.qnet.layers[k].name}: {found}")
        return found

    def least_lanes(self, k: int) -> int:
        """The fewest lanes that layer k can have. Raises `InputError` where none suffice."""
        lanes = 1
        while self.in_sums[k] and isinstance(self._entries(k, lanes), ParamError):
            if lanes >= self.qnet.layers[k].neuron.n:
                self.ring(k, lanes)
            lanes = min(2 * lanes, self.qnet.layers[k].neuron.n)
        return lanes

    def _entries(self, k: int, lanes: int) -> SparseParams | ParamError:
        if (k, lanes) not in self._sparse:
            try:
                found: SparseParams | ParamError = self._sparse_words(k, lanes)[0]
            except ParamError as error:
                found = error
            self._sparse[k, lanes] = found
        return self._sparse[k, lanes]

    def _sparse_words(self, k: int, lanes: int) -> tuple[SparseParams, Words]:
        return sparse_words(self.rows(k, lanes), lanes, self._delays(k, lanes))

    def _delays(self, k: int, lanes: int) -> np.ndarray | None:
        """The delays of layer k as `rows`; None where its engine adds to the step at hand alone."""
        layer = self.qnet.layers[k]
        if not self.in_sums[k] or layer.delays is None:
            return None
        if layer.synapse.weight_width == 1 and (layer.delays != layer.delays[:1]).any():
            raise InputError(
                f"{layer.name}: binary weights have no 0, which delays of a synapse need: give it "
                "a delay a source, or two bits a weight (ternary)"
            )
        return self._matrix(k, layer.delays, lanes)

    def rows(self, k: int, lanes: int) -> np.ndarray:
        """The weights of layer k as a matrix, a row a place and a column an address."""
        key = k, lanes if self.qnet.layers[k].name in self.grids else 0
        if key not in self._rows:
            self._rows[key] = self._matrix(k, self.qnet.layers[k].weights, lanes)
        return self._rows[key]

    def _matrix(self, k: int, values: np.ndarray, lanes: int) -> np.ndarray:
        """Numbers of the synapses of layer k, (n_out, n_in), as `rows`."""
        layer = self.qnet.layers[k]
        parts = [
            dense_rows(values[:, part], source=self.grids.get(edge.source))
            for part, edge in zip(layer.columns, layer.edges, strict=True)
        ]
        target = self.grids.get(layer.name)
        return dense_rows(np.concatenate(parts, axis=1), target=target, lanes=lanes)

    def words(self, k: int, params: LayerParams) -> Words:
        """What layer k is filled with."""
        if isinstance(params.structure, ConvJoin):
            edges = [edge.connection for edge in self.qnet.layers[k].edges]
            kernels = [c.kernel for c in edges if isinstance(c, ConvConnection)]
            return conv_words(params.structure, kernels, params.lanes)
        if isinstance(params.structure, SparseParams):
            return self._sparse_words(k, params.lanes)[1]
        found: Words = self.rows(k, params.lanes).tolist()
        return found

    def core(
        self, layers: Sequence[LayerParams], shared: Sequence[tuple[int, int]] = ()
    ) -> CoreParams:
        """The core of these layers; `shared`: first and last layer of each run on one engine."""
        graph: dict[str, Any] = {}
        if not self.qnet.is_chain or any(
            port.delays for own in self.connections.ports for port in own
        ):
            ports = [
                tuple(self._port(k, port, layers) for port in own)
                for k, own in enumerate(self.connections.ports)
            ]
            graph = {
                "ports": tuple(ports),
                "outputs": self.connections.outputs,
                "input_size": sum(self.sizes.values()),
            }
        return CoreParams(
            layers=tuple(layers),
            input_max=self.qnet.input_max,
            input=self.qnet.input,
            stop=self.qnet.stop,
            shared=tuple(shared),
            **graph,
        )

    def fill(self, core: CoreParams) -> Structure:
        """A core of this network with its weights and addresses."""
        qnet, grids = self.qnet, self.grids
        given = [self.bases[i.name] + _places(grids.get(i.name), i.n) for i in qnet.inputs]
        shown = [
            offset + _places(core.layers[k].grid, qnet.layers[k].neuron.n)
            for k, offset in zip(core.output_layers, core.output_offsets, strict=True)
        ]
        # Falls have addresses of their own behind the coder; samples have not.
        inputs = np.concatenate(given)[: qnet.n_inputs]
        return Structure(
            core=core,
            weights=tuple(self.words(k, params) for k, params in enumerate(core.layers)),
            input_addresses=inputs,
            output_addresses=np.concatenate(shown),
        )

    def event_cycles(self, k: int, params: LayerParams) -> np.ndarray:
        """Cycles that an event of each source of layer k takes, by number: int64 (n_in,)."""
        layer = self.qnet.layers[k]
        if params.structure is None:
            return np.full(layer.synapse.n_in, params.groups, np.int64)
        if isinstance(params.structure, ConvJoin):
            found = [event_cycles(conv, params.lanes).ravel() for conv in params.structure.convs]
            return np.concatenate(found)
        every, offsets = sparse_cycles(params.structure), self._offsets(k)
        places = [_places(self.grids.get(e.source), e.n_source) for e in layer.edges]
        return every[np.concatenate([a + p for a, p in zip(offsets, places, strict=False)])]

    def _offsets(self, k: int) -> list[int]:
        """The first address of each edge of layer k, and one more than the last address."""
        join, layer = self.joins[k], self.qnet.layers[k]
        if join is not None:
            return [*(join.offset(j) for j in range(len(layer.edges))), join.n_in]
        sizes = [_addresses(self.grids.get(edge.source), edge.n_source) for edge in layer.edges]
        offsets: list[int] = np.cumsum([0, *sizes]).tolist()
        return offsets

    def _port(self, k: int, port: PortParams, layers: Sequence[LayerParams]) -> PortParams:
        """A port with addresses for numbers."""
        if not port.size:
            return port
        starts = {part.start: j for j, part in enumerate(self.qnet.layers[k].columns)}
        edge = starts[port.offset]
        source = self.qnet.layers[k].edges[edge].source
        if port.source == INPUT:
            size, base = self.sizes[source], self.bases[source]
        else:
            size, base = layers[port.source].n_addresses, 0
        delays = port.delays
        if delays:
            late = np.zeros(size, np.int64)
            late[_places(self.grids.get(source), len(delays))] = delays
            delays = tuple(late.tolist())
        return replace(port, size=size, base=base, offset=self._offsets(k)[edge], delays=delays)


def lower(
    qnet: QNetwork,
    lanes: Sequence[int],
    folds: Sequence[int] | None = None,
    *,
    family: Family = "",
) -> Structure:
    """The core of a network. `lanes`, `folds`: upper limits of each layer."""
    lowering = Lowering(qnet)
    most = [1] * len(qnet.layers) if folds is None else folds
    layers = [lowering.layer(k, lanes[k], most[k]) for k in range(len(qnet.layers))]
    return lowering.fill(lowering.core([replace(layer, family=family) for layer in layers]))


def _addresses(grid: GridParams | None, n: int) -> int:
    return n if grid is None else grid.n_addresses


def _places(grid: GridParams | None, n: int) -> np.ndarray:
    """The address of each neuron."""
    return np.arange(n) if grid is None else np.array(grid.addresses)


def _has_conv(layer: QLayer) -> bool:
    return any(isinstance(edge.connection, ConvConnection) for edge in layer.edges)


def _join(layer: QLayer, grids: dict[str, GridParams]) -> ConvJoin | None:
    """The convolutions of a layer, where it has nothing else and they read its sources' maps."""
    convs = []
    for edge in layer.edges:
        if not isinstance(edge.connection, ConvConnection):
            return None
        params = edge.connection.params
        if grids.get(edge.source) != params.in_grid or grids[layer.name] != params.out_grid:
            return None
        convs.append(params)
    return ConvJoin(convs=tuple(convs))
