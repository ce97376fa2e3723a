# SPDX-License-Identifier: Apache-2.0
"""Layers whose synapses have delays: their entries in a ring of sums (`hdl.sparse_params`)."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.ports import Connections, connect
from spikefab.gen.qnetwork import QEdge, QLayer, QNetwork
from spikefab.hdl.delay import EventRing
from spikefab.hdl.param_error import ParamError
from spikefab.hdl.params import INPUT, CoreParams, LayerParams, PortParams
from spikefab.hdl.scatter import stored_params
from spikefab.hdl.sparse_params import SparseParams
from spikefab.hdl.weights import pack_weights

__all__ = [
    "by_events",
    "connect_late",
    "describe_delays",
    "least_lanes",
    "ring_words",
    "structure_of",
    "weight_rows",
    "weight_words",
]

Entries = tuple[SparseParams, list[list[int]]]

_made: WeakKeyDictionary[QLayer, dict[int, Entries | ParamError]] = WeakKeyDictionary()
"""By lanes: the mapper asks for each width many times."""
_connected: WeakKeyDictionary[QNetwork, Connections] = WeakKeyDictionary()

FILL = 1.25
"""Words of weights that are kept for one that is not all 0, where a source's words then follow each
other: they need no memory that says which they are."""


def ring_words(weights: np.ndarray, delays: np.ndarray, lanes: int) -> Entries:
    """`hdl.sparse_params.compress` in numpy: the words of weights (n_out, n_in) that are not all 0,
    once for each delay in them; with a delay a source, those between them too, where they are few.
    Raises `ParamError` where they are too many."""
    plain = _entries(weights, delays, lanes)
    if plain is None:
        words = -(-len(weights) // lanes)
        none: tuple[tuple[int, ...], ...] = ((),) * (weights.shape[1] - 1)
        return SparseParams(words=words, rows=((0,), *none)), [[0] * lanes]
    rows, values, slots = plain
    words = -(-len(weights) // lanes)
    axonal = all(len({word // words for word in row}) < 2 for row in rows)
    ends = [(row[0], row[-1] + 1) if row else (0, 0) for row in rows]
    filled = sum(b - a for a, b in ends)
    if axonal and len(values) < filled <= FILL * len(values):
        more = np.zeros((filled, lanes), np.int64)
        starts = np.cumsum([0, *(b - a for a, b in ends)]).tolist()
        at = [s + word - row[0] for s, row in zip(starts, rows, strict=False) for word in row]
        more[at] = values
        rows, values = [tuple(range(a, b)) for a, b in ends], more
    return SparseParams(words=words, rows=tuple(rows), slots=slots), values.tolist()


def _entries(
    weights: np.ndarray, delays: np.ndarray, lanes: int
) -> tuple[list[tuple[int, ...]], np.ndarray, int] | None:
    """Rows, the weights of each entry, slots; None where all weights are 0."""
    n_out, n_in = weights.shape
    words = -(-n_out // lanes)
    target, source = np.nonzero(weights)
    if not len(target):
        return None
    value, late = weights[target, source], delays[target, source].astype(np.int64)
    slots = int(late.max()) + 1
    # One number an entry that sorts by source, then word, then delay.
    key = (source.astype(np.int64) * words + target // lanes) * slots + late
    entries, at = np.unique(key, return_inverse=True)
    rest, step = np.divmod(entries, slots)
    origin, word = np.divmod(rest, words)
    ends = np.searchsorted(origin, np.arange(1, n_in)).tolist()
    found = (step * words + word).tolist()
    rows = [tuple(found[a:b]) for a, b in zip([0, *ends], [*ends, len(found)], strict=True)]
    values = np.zeros((len(entries), lanes), np.int64)
    values[at, target % lanes] = value
    return rows, values, slots


def connect_late(qnet: QNetwork) -> Connections:
    """The ports of each layer, with rings of events where these are smaller than rings of sums."""
    if qnet not in _connected:
        found = connect(qnet)
        ports = [
            _with_rings(qnet, k, own) if _by_events(qnet, k, own) else own
            for k, own in enumerate(found.ports)
        ]
        _connected[qnet] = replace(found, ports=tuple(ports))
    return _connected[qnet]


def by_events(qnet: QNetwork, k: int) -> bool:
    """Layer `k` has its delays in rings of events."""
    return any(any(port.delays) for port in connect_late(qnet).ports[k])


def _edges(layer: QLayer, ports: tuple[PortParams, ...]) -> list[tuple[PortParams, QEdge | None]]:
    starts = {part.start: edge for part, edge in zip(layer.columns, layer.edges, strict=True)}
    return [(port, starts[port.offset] if port.size else None) for port in ports]


def _by_events(qnet: QNetwork, k: int, ports: tuple[PortParams, ...]) -> bool:
    layer = qnet.layers[k]
    late = [(port, e) for port, e in _edges(layer, ports) if e is not None and e.late]
    bits = 0
    for port, edge in late:
        assert edge.delays is not None
        most = qnet.input_max if port.source == INPUT else qnet.source_max(edge.source)
        if edge.delays.ndim > 1 or most > 1 or port.depth:
            return False
        if port.source == INPUT and qnet.input.payload_width:
            return False
        n = sum(i.n for i in qnet.inputs) if port.source == INPUT else edge.n_source
        bits += edge.longest * EventRing.words_of(n) * EventRing.fields_of(n)
    longest = max((edge.longest for _, edge in late if edge is not None), default=0)
    return 0 < bits < longest * layer.neuron.n * layer.synapse.acc_width


def _with_rings(qnet: QNetwork, k: int, ports: tuple[PortParams, ...]) -> tuple[PortParams, ...]:
    found = []
    for port, edge in _edges(qnet.layers[k], ports):
        if edge is not None and edge.late and edge.delays is not None:
            port = replace(port, delays=tuple(edge.delays.tolist()))
        found.append(port)
    return tuple(found)


def structure_of(layer: QLayer, lanes: int) -> SparseParams | None:
    """The ring of a layer on `lanes` lanes; None where no synapse has a delay. Raises `InputError`
    where it needs more lanes."""
    made = _ring(layer, lanes)
    if isinstance(made, ParamError):
        raise InputError(f"{layer.name}: {made}")
    return None if made is None else made[0]


def least_lanes(layer: QLayer) -> int:
    """The fewest lanes that a layer can have. Raises `InputError` where none suffice."""
    lanes = 1
    while isinstance(made := _ring(layer, lanes), ParamError):
        if lanes >= layer.neuron.n:
            raise InputError(f"{layer.name}: {made}")
        lanes = min(2 * lanes, layer.neuron.n)
    return lanes


def _ring(layer: QLayer, lanes: int) -> Entries | ParamError | None:
    if layer.delays is None:
        return None
    made = _made.setdefault(layer, {})
    if lanes not in made:
        try:
            made[lanes] = ring_words(layer.weights, layer.delays, lanes)
        except ParamError as error:
            made[lanes] = error
    _check_binary(layer, made[lanes])
    return made[lanes]


def _check_binary(layer: QLayer, made: Entries | ParamError) -> None:
    """Binary weights have no 0 for the neurons of a word whose delay is another one."""
    if layer.synapse.weight_width > 1 or isinstance(made, ParamError) or layer.delays is None:
        return
    if (layer.delays != layer.delays[:1]).any():
        raise InputError(
            f"{layer.name}: binary weights have no 0, which delays of a synapse need: give it a "
            "delay a source, or two bits a weight (ternary)"
        )


def describe_delays(qnet: QNetwork, core: CoreParams, k: int) -> str:
    """Where layer `k` has its delays, in words; empty where it has none."""
    longest = max(edge.longest for edge in qnet.layers[k].edges)
    if not longest:
        return ""
    what = f"delays of up to {longest} {'step' if longest == 1 else 'steps'}"
    if by_events(qnet, k):
        return f"{what} in a ring of events"
    layer = core.layers[k]
    return f"{what} in a ring of sums, {layer.slots} slots of {layer.groups} words"


def weight_rows(layer: QLayer, params: LayerParams) -> list[list[int]]:
    """The layer's weights as `hdl.core.Layer` takes them."""
    made = None if params.structure is None else _ring(layer, params.lanes)
    if made is None or isinstance(made, ParamError):
        rows: list[list[int]] = layer.weights.tolist()
        return rows
    return made[1]


def weight_words(layer: QLayer, params: LayerParams) -> list[int]:
    """The words of the layer's weight memory."""
    rows = weight_rows(layer, params)
    if params.structure is None:
        return pack_weights(params, rows)
    stored = stored_params(params, len(rows))
    return pack_weights(stored, [list(lane) for lane in zip(*rows, strict=True)])
