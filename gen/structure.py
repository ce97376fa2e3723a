# SPDX-License-Identifier: Apache-2.0
"""An integer network as cores have it: structures, maps, places and addresses.

The network counts neurons; the hardware has addresses in bit fields and neurons in places
(`hdl.conv_params.GridParams`). This is where one becomes the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from spikefab.gen.layout import conv_words, dense_rows, place_neurons, sparse_words
from spikefab.gen.ports import connect
from spikefab.gen.qnetwork import ConvConnection, QLayer, QNetwork
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

__all__ = ["Structure", "find_grids", "fit_lanes", "lower"]

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

    def to_addresses(self, x: np.ndarray) -> np.ndarray:
        """Samples (…, inputs) as (…, addresses)."""
        out = np.zeros((*x.shape[:-1], self.core.n_inputs), x.dtype)
        out[..., self.input_addresses] = x
        return out

    def to_numbers(self, out: np.ndarray) -> np.ndarray:
        """Outputs (…, addresses) as (…, outputs)."""
        found: np.ndarray = out[..., self.output_addresses]
        return found


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
    for _, source, params in convs:
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


def lower(
    qnet: QNetwork,
    lanes: Sequence[int],
    folds: Sequence[int] | None = None,
    *,
    family: Family = "",
) -> Structure:
    """The core of a network. `lanes`, `folds`: upper limits of each layer."""
    grids = find_grids(qnet)
    sizes = {i.name: _addresses(grids.get(i.name), i.n) for i in qnet.inputs}
    made = []
    for k, layer in enumerate(qnet.layers):
        most = 1 if folds is None else folds[k]
        made.append(_layer(qnet, layer, grids, lanes[k], most, family, k))
    starts = np.cumsum([0, *(n for n in sizes.values())]).tolist()
    bases = dict(zip(sizes, starts, strict=False))
    params = [params for params, _, _ in made]
    names = [layer.name for layer in qnet.layers]
    graph = {}
    if not qnet.is_chain:
        ports = []
        for k, own in enumerate(connect(qnet).ports):
            ports.append(tuple(_port(qnet, k, p, made[k][2], params, sizes, bases) for p in own))
        graph = {
            "ports": tuple(ports),
            "outputs": tuple(names.index(out.source) for out in qnet.outputs),
            "input_size": starts[-1],
        }
    core = CoreParams(
        layers=tuple(params), input_max=qnet.input_max, input=qnet.input, stop=qnet.stop, **graph
    )
    given = [bases[i.name] + _places(grids.get(i.name), i.n) for i in qnet.inputs]
    shown = [
        offset + _places(params[k].grid, qnet.layers[k].neuron.n)
        for k, offset in zip(core.output_layers, core.output_offsets, strict=True)
    ]
    return Structure(
        core=core,
        weights=tuple(words for _, words, _ in made),
        input_addresses=np.concatenate(given),
        output_addresses=np.concatenate(shown),
    )


def _addresses(grid: GridParams | None, n: int) -> int:
    return n if grid is None else grid.n_addresses


def _places(grid: GridParams | None, n: int) -> np.ndarray:
    """The address of each neuron."""
    return np.arange(n) if grid is None else np.array(grid.addresses)


def _layer(
    qnet: QNetwork,
    layer: QLayer,
    grids: dict[str, GridParams],
    limit: int,
    most_folds: int,
    family: Family,
    k: int,
) -> tuple[LayerParams, Words, list[int]]:
    """Parameters, weights, and the first address of each edge."""
    grid = grids.get(layer.name)
    join = _join(layer, grids)
    lanes = fit_lanes(limit, grid, join, layer.neuron.n)
    neuron = layer.neuron if grid is None else place_neurons(layer.neuron, grid, lanes)
    structure: ConvJoin | SparseParams | None = join
    if join is not None:
        kernels = [
            e.connection.kernel for e in layer.edges if isinstance(e.connection, ConvConnection)
        ]
        words = conv_words(join, kernels, lanes)
        offsets, n_in = [join.offset(j) for j in range(len(kernels))], join.n_in
    else:
        parts = [dense_rows(edge.weights, source=grids.get(edge.source)) for edge in layer.edges]
        ends = np.cumsum([0, *(part.shape[1] for part in parts)]).tolist()
        offsets, n_in = ends[:-1], ends[-1]
        rows = dense_rows(np.concatenate(parts, axis=1), target=grid, lanes=lanes)
        words = rows.tolist()
        if layer.delays is not None:
            late = [layer.delays[:, part] for part in layer.columns]
            late = [
                dense_rows(part, source=grids.get(edge.source))
                for part, edge in zip(late, layer.edges, strict=True)
            ]
            delays = dense_rows(np.concatenate(late, axis=1), target=grid, lanes=lanes)
            structure, words = sparse_words(rows, lanes, delays)
        elif any(isinstance(edge.connection, ConvConnection) for edge in layer.edges):
            with suppress(ParamError):  # too many words: every event then visits all of them
                structure, words = sparse_words(rows, lanes)
    params = LayerParams(
        name=layer.name,
        synapse=replace(layer.synapse, n_in=n_in, n_out=neuron.n),
        neuron=neuron,
        lanes=lanes,
        folds=max(f for f in range(1, min(most_folds, lanes) + 1) if lanes % f == 0),
        replay=qnet.input.steps if k == 0 and qnet.input.coding == "static" else 0,
        family=family,
        structure=structure,
        grid=grid,
    )
    return params, words, offsets


def _join(layer: QLayer, grids: dict[str, GridParams]) -> ConvJoin | None:
    """The convolutions of a layer, where it has nothing else and they read its sources' maps."""
    convs = []
    for edge in layer.edges:
        if not isinstance(edge.connection, ConvConnection) or edge.late:
            return None
        params = edge.connection.params
        if grids[edge.source] != params.in_grid or grids[layer.name] != params.out_grid:
            return None
        convs.append(params)
    return ConvJoin(convs=tuple(convs))


def _port(
    qnet: QNetwork,
    k: int,
    port: PortParams,
    offsets: list[int],
    params: list[LayerParams],
    sizes: dict[str, int],
    bases: dict[str, int],
) -> PortParams:
    """A port with addresses for numbers."""
    if not port.size:
        return port
    starts = {part.start: j for j, part in enumerate(qnet.layers[k].columns)}
    edge = starts[port.offset]
    source = qnet.layers[k].edges[edge].source
    if port.source == INPUT:
        size, base = sizes[source], bases[source]
    else:
        size, base = params[port.source].n_addresses, 0
    return replace(port, size=size, base=base, offset=offsets[edge])
