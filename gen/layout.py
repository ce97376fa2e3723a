# SPDX-License-Identifier: Apache-2.0
"""From neurons by number to neurons by place: populations that are maps, as the hardware has them.

A population's neurons are numbered in C order of (channel, row, column); its layout
(`hdl.conv_params.GridParams`) puts them in words of lanes, position by position, and pads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spikefab.hdl.conv_params import ConvJoin, GridParams
from spikefab.hdl.params import NeuronParams
from spikefab.hdl.scatter import kernel_words

__all__ = ["conv_words", "dense_rows", "place_neurons"]


def place_neurons(neuron: NeuronParams, grid: GridParams, lanes: int) -> NeuronParams:
    """The population with a neuron a place of its layout; padding is like the first neuron."""
    places = [0 if number is None else number for number in grid.neurons(lanes)]
    n = neuron.n
    if n != grid.n:
        raise ValueError(f"{n} neurons on a grid of {grid.n}")

    def spread(values: tuple[int, ...]) -> tuple[int, ...]:
        return values if len(values) == 1 else tuple(values[k] for k in places)

    current = neuron.current
    if current is not None:
        leak_num, bias = spread(current.leak_num), spread(current.bias)
        current = replace(current, leak_num=leak_num, bias=bias)
    return replace(
        neuron,
        n=len(places),
        leak_num=spread(neuron.leak_num),
        threshold=spread(neuron.threshold),
        bias=spread(neuron.bias),
        bias_late=spread(neuron.bias_late),
        v_init=spread(neuron.v_init),
        v_reset=spread(neuron.v_reset),
        v_min=None if neuron.v_min is None else spread(neuron.v_min),
        current=current,
    )


def dense_rows(
    weights: np.ndarray,
    *,
    source: GridParams | None = None,
    target: GridParams | None = None,
    lanes: int = 1,
) -> np.ndarray:
    """A dense layer's weights (n_out, n_in) with a column an address of its source and a row a
    place of its population: 0 where there is none."""
    if source is not None:
        columns = np.zeros((len(weights), source.n_addresses), weights.dtype)
        columns[:, list(source.addresses)] = weights
        weights = columns
    if target is not None:
        places = target.neurons(lanes)
        rows = np.zeros((len(places), weights.shape[1]), weights.dtype)
        real = [k for k, number in enumerate(places) if number is not None]
        rows[real] = weights[[number for number in places if number is not None]]
        weights = rows
    return weights


def conv_words(join: ConvJoin, weights: Sequence[np.ndarray], lanes: int) -> list[list[int]]:
    """The words of the weight memory of joined convolutions, each of weights (out_channels,
    in_channels / groups, KH, KW)."""
    words: list[list[int]] = []
    for conv, own in zip(join.convs, weights, strict=True):
        words += kernel_words(conv, own.reshape(conv.out_channels, -1).tolist(), lanes)
    return words
