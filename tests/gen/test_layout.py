# SPDX-License-Identifier: Apache-2.0
"""Neurons by place: every value where its neuron is."""

from __future__ import annotations

import numpy as np
import pytest

from spikefab.gen.entries import sparse_words
from spikefab.gen.layout import conv_words, dense_rows, place_neurons
from spikefab.hdl.conv_params import ConvJoin, ConvParams, GridParams
from spikefab.hdl.params import CurrentParams, NeuronParams

GRID = GridParams(channels=3, height=2, width=5)


def test_neurons_keep_their_values() -> None:
    rng = np.random.default_rng(0)

    def values(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.integers(low, high, size=GRID.n).tolist())

    neuron = NeuronParams(
        n=GRID.n, fraction_bits=2, membrane_width=12, leak_num=values(0, 16), leak_shift=4,
        threshold=values(1, 99), bias=values(-9, 9), bias_late=values(-9, 9), v_init=(7,),
        v_reset=values(-9, 9), v_min=values(-99, -9), reset="value",
        current=CurrentParams(order="decay-add-use", width=12, leak_num=values(0, 8), leak_shift=3),
    )  # fmt: skip
    placed = place_neurons(neuron, GRID, 2)
    order = GRID.neurons(2)
    assert placed.n == len(order) == 2 * 5 * 2 * 2
    assert placed.v_init == (7,)
    for field in ("leak_num", "threshold", "bias", "bias_late", "v_reset", "v_min"):
        for place, number in enumerate(order):
            if number is not None:
                assert getattr(placed, field)[place] == getattr(neuron, field)[number]
    assert placed.current is not None
    assert neuron.current is not None
    assert placed.current.bias == (0,)
    for place, number in enumerate(order):
        if number is not None:
            assert placed.current.leak_num[place] == neuron.current.leak_num[number]
    with pytest.raises(ValueError, match="30"):
        place_neurons(NeuronParams(n=4, fraction_bits=0, membrane_width=8), GRID, 2)


def test_dense_weights_between_maps() -> None:
    source = GridParams(channels=2, height=3, width=3)
    weights = np.random.default_rng(1).integers(-8, 8, size=(GRID.n, source.n))
    rows = dense_rows(weights, source=source, target=GRID, lanes=2)
    order = GRID.neurons(2)
    assert rows.shape == (len(order), source.n_addresses)
    x = np.random.default_rng(2).integers(0, 3, size=source.n)
    by_address = np.zeros(source.n_addresses, int)
    by_address[list(source.addresses)] = x
    sums = rows @ by_address
    for place, number in enumerate(order):
        assert sums[place] == (0 if number is None else (weights @ x)[number])
    np.testing.assert_array_equal(dense_rows(weights), weights)


def test_words() -> None:
    conv = ConvParams(in_shape=(2, 2, 2), out_channels=3, kernel=(1, 2))
    weights = np.arange(12).reshape(3, 2, 1, 2)
    assert conv_words(ConvJoin(convs=(conv, conv)), [weights, -weights], 2) == [
        [0, 4], [8, 0], [1, 5], [9, 0], [2, 6], [10, 0], [3, 7], [11, 0],
        [0, -4], [-8, 0], [-1, -5], [-9, 0], [-2, -6], [-10, 0], [-3, -7], [-11, 0],
    ]  # fmt: skip
    sparse, words = sparse_words(np.array([[0, 1], [0, 0], [3, 0]]), 2)
    assert sparse.rows == ((1,), (0,))
    assert words == [[3, 0], [1, 0]]
