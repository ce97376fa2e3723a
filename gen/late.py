# SPDX-License-Identifier: Apache-2.0
"""Layers whose synapses have delays: their entries in a ring of sums (`hdl.sparse_params`)."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QLayer
from spikefab.hdl.param_error import ParamError
from spikefab.hdl.params import LayerParams
from spikefab.hdl.scatter import stored_params
from spikefab.hdl.sparse_params import SparseParams
from spikefab.hdl.weights import pack_weights

__all__ = ["least_lanes", "ring_words", "structure_of", "weight_rows", "weight_words"]

Entries = tuple[SparseParams, list[list[int]]]

_made: WeakKeyDictionary[QLayer, dict[int, Entries | ParamError]] = WeakKeyDictionary()
"""By lanes: the mapper asks for each width many times."""

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


def weight_rows(layer: QLayer, params: LayerParams) -> list[list[int]]:
    """The layer's weights as `hdl.core.Layer` takes them."""
    made = _ring(layer, params.lanes)
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
