# SPDX-License-Identifier: Apache-2.0
"""What a scatter engine takes, without its products and its weights: sums and addresses."""

from __future__ import annotations

from collections.abc import Sequence

from spikefab.gen.cells import Resources, adder, bits_for, choice, logic, memory, rom
from spikefab.gen.estimate_route import estimate_queue
from spikefab.hdl.conv_params import ConvJoin, ConvParams
from spikefab.hdl.params import LayerParams
from spikefab.hdl.scatter import ScatterEngine
from spikefab.hdl.sparse_params import SparseParams

__all__ = ["estimate_scatter"]


def estimate_scatter(layer: LayerParams, family: str, latency: int) -> Resources:
    """The memory of sums, what brings a new sum past it, and the address generator. `latency`: of
    a visit's way to the adder, in cycles."""
    width = layer.lanes * layer.synapse.acc_width
    found = memory(width, layer.slots * layer.groups, family)
    item = 2 + bits_for(layer.synapse.n_in) + layer.synapse.payload_width
    found += estimate_queue(item, ScatterEngine.QUEUE, family)
    # The addition; a choice in front of it and one in front of the register; zero for a token.
    found += logic(family, adder(layer.synapse.acc_width, family) * layer.lanes)
    found += logic(family, 3 * width, 2 * width, 2 * width)
    word = bits_for(layer.slots * layer.groups)
    turn = 4 * adder(word + 1, family) if layer.slots > 1 else 0
    found += logic(family, word + 6 + turn, (latency - ScatterEngine.ASKS) * (word + 5), 2)
    if layer.folds > 1:
        row = bits_for(layer.folds)
        chosen = layer.row_lanes * layer.synapse.acc_width * choice(layer.folds)
        found += logic(family, chosen + 3, latency * row, row)
    if isinstance(layer.structure, ConvJoin):
        return found + _positions(layer, layer.structure, family)
    assert layer.structure is not None
    return found + _entries(layer, layer.structure, family)


def _positions(layer: LayerParams, join: ConvJoin, family: str) -> Resources:
    """The address generator of convolutions: tables, two stages of registers, counters."""
    weights, word = bits_for(layer.weight_words), bits_for(layer.groups)
    found = Resources()
    for conv in join.convs:
        found += logic(family, _tables(conv, layer, weights, word))
    ports = choice(len(join.convs)) if len(join.convs) > 1 else 0
    payload, source = layer.synapse.payload_width, bits_for(layer.synapse.n_in)
    # Two sums of three parts; the next addresses, from the last or from the row's first.
    added = 2 * (adder(weights, family) + adder(word, family))
    stepped = adder(weights, family) + adder(word, family) + 2 * (weights + word)
    tables = added + stepped + ports * 3 * (weights + word) + 40
    registers = 6 * (weights + word) + source + 3 * payload
    return found + logic(family, tables, registers, 4 * (weights + word))


def _tables(conv: ConvParams, layer: LayerParams, weights: int, word: int) -> int:
    """Look-up tables for what rows, columns and channels say."""
    sizes: Sequence[int] = conv.in_shape
    return sum((weights + word + 3) * -(-size // 16) for size in sizes if size > 2)


def _entries(layer: LayerParams, sparse: SparseParams, family: str) -> Resources:
    """The address generator of compressed rows: where each source's entries begin, how many they
    are, and the word of each."""
    entry, word = bits_for(max(2, sparse.n_entries)), bits_for(max(2, sparse.n_words))
    most = max(len(row) for row in sparse.rows)
    # Constants both.
    found = rom(entry + bits_for(most + 1) + sparse.runs * word, sparse.n_in, family)
    if not sparse.runs:
        found += rom(word, sparse.n_entries, family)
    source, payload = bits_for(sparse.n_in), layer.synapse.payload_width
    registers = 2 * source + 4 * (entry + word) + 3 * payload + 5
    return found + logic(family, 3 * adder(entry, family) + 2 * entry + 30, registers, entry)
