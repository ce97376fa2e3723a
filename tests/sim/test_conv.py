# SPDX-License-Identifier: Apache-2.0
"""The golden convolution against a loop that does what the definition says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conv_cases import convs
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefab.hdl.conv_params import ConvParams, GridParams, Pads
from spikefab.sim.conv import convolve, pool

PLAIN = {"out_channels": 1, "kernel": (1, 1)}


def padded(x: np.ndarray, pads: Pads) -> np.ndarray:
    return np.pad(x, ((0, 0), *pads))


def naive_pool(conv: ConvParams, x: np.ndarray) -> np.ndarray:
    x = padded(x, conv.pool_padding)
    (ky, kx), (sy, sx) = conv.pool_kernel, conv.pool_stride
    rows = range(0, x.shape[1] - ky + 1, sy)
    columns = range(0, x.shape[2] - kx + 1, sx)
    return np.array(
        [[[x[c, y : y + ky, x_ : x_ + kx].sum() for x_ in columns] for y in rows]
         for c in range(len(x))]
    )  # fmt: skip


def naive(conv: ConvParams, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    x = padded(naive_pool(conv, x), conv.padding)
    out = np.zeros(conv.out_shape, np.int64)
    inputs, outputs = conv.in_shape[0] // conv.groups, conv.out_channels // conv.groups
    for o, oy, ox in np.ndindex(out.shape):
        for c, ky, kx in np.ndindex(inputs, *conv.kernel):
            y = oy * conv.stride[0] + ky * conv.dilation[0]
            x_ = ox * conv.stride[1] + kx * conv.dilation[1]
            out[o, oy, ox] += weights[o, c, ky, kx] * x[o // outputs * inputs + c, y, x_]
    return out


@settings(max_examples=80, deadline=None, derandomize=True)
@given(convs(), st.integers(0, 1 << 16))
def test_sums_are_those_of_the_definition(conv: ConvParams, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(
        -128, 128, size=(conv.out_channels, conv.in_shape[0] // conv.groups, *conv.kernel)
    )
    x = rng.integers(0, 256, size=(2, *conv.in_shape))
    np.testing.assert_array_equal(
        convolve(conv, weights, x), np.stack([naive(conv, weights, one) for one in x])
    )
    np.testing.assert_array_equal(pool(conv, x)[1], naive_pool(conv, x[1]))


def test_sums_beyond_float32_are_exact() -> None:
    conv = ConvParams(in_shape=(3, 1, 1), out_channels=1, kernel=(1, 1))
    weights = np.array([127, 127, 1]).reshape(1, 3, 1, 1)
    x = np.array([1 << 20, 1, 2]).reshape(3, 1, 1)
    assert convolve(conv, weights, x).item() == 127 * (1 << 20) + 127 + 2


@settings(max_examples=200, deadline=None, derandomize=True)
@given(convs())
def test_axes_list_the_pairs_of_the_definition(conv: ConvParams) -> None:
    """What an input row or column hits, with the steps between, is what the definition adds up."""
    for axis in range(2):
        found = []
        step = conv.steps[axis]
        for position, entry in enumerate(conv.axes[axis]):
            for k in range(entry.count):
                found.append((position, entry.output + k * step[0], entry.kernel + k * step[1]))
        expected = [
            (position, out, kernel)
            for out, kernel, member in itertools.product(
                range(conv.out_size[axis]), range(conv.kernel[axis]), range(conv.pool_kernel[axis])
            )
            for window in [out * conv.stride[axis] + kernel * conv.dilation[axis]
                           - conv.padding[axis][0]]
            if 0 <= window < conv.pooled[axis]
            for position in [window * conv.pool_stride[axis] + member
                             - conv.pool_padding[axis][0]]
            if 0 <= position < conv.in_shape[1 + axis]
        ]  # fmt: skip
        assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("shape", "lanes", "words"),
    [((2, 34, 34), 2, 1156), ((10, 3, 5), 4, 45), ((1, 1, 1), 1, 1), ((16, 2, 2), 5, 16)],
)
def test_layout_holds_each_neuron_once(shape: tuple[int, int, int], lanes: int, words: int) -> None:
    c, h, w = shape
    grid = GridParams(channels=c, height=h, width=w)
    places = grid.neurons(lanes)
    assert grid.words(lanes) == words
    assert len(places) == words * lanes
    assert sorted(n for n in places if n is not None) == list(range(grid.n))
    addresses = grid.addresses
    assert len(set(addresses)) == grid.n
    assert max(addresses) == grid.n_addresses - 1
    for c_, y, x in np.ndindex(shape):
        number = (c_ * h + y) * w + x
        place = ((y * w + x) * grid.groups(lanes) + c_ // lanes) * lanes + c_ % lanes
        assert places[place] == number
        assert addresses[number] == grid.address(c_, y, x)


def test_shapes_of_the_nmnist_network() -> None:
    first = ConvParams(in_shape=(2, 34, 34), out_channels=16, kernel=(5, 5), stride=(2, 2),
                       padding=((1, 1), (1, 1)))  # fmt: skip
    assert first.out_shape == (16, 16, 16)
    third = ConvParams(in_shape=(16, 16, 16), out_channels=8, kernel=(3, 3),
                       padding=((1, 1), (1, 1)), pool_kernel=(2, 2),
                       pool_stride=(2, 2))  # fmt: skip
    assert third.pooled == (8, 8)
    assert third.out_shape == (8, 8, 8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"in_shape": (2, 0, 3)}, "in_shape"),
        ({"kernel": (0, 1)}, "kernel"),
        ({"stride": (1, 0)}, "stride"),
        ({"padding": ((0, -1), (0, 0))}, "padding"),
        ({"groups": 2}, "groups = 2: must be a divisor of the input channels, 3"),
        ({"pool_kernel": (3, 3), "pool_stride": (2, 2)}, "compose the pooling into the kernel"),
        ({"kernel": (6, 1)}, "rows behind the kernel"),
        ({"pool_kernel": (9, 1), "pool_stride": (9, 1)}, "rows behind the pooling"),
        ({"in_shape": (3, 200, 200)}, "at most 65536"),
    ],
)
def test_refusals(fields: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"in_shape": (3, 5, 5), **PLAIN, **fields}
    with pytest.raises(ValueError, match=message):
        ConvParams(**given)  # type: ignore[arg-type]


def test_wrong_arrays_are_refused() -> None:
    conv = ConvParams(in_shape=(2, 3, 3), out_channels=4, kernel=(3, 3))
    with pytest.raises(ValueError, match="must end in"):
        convolve(conv, np.zeros((4, 2, 3, 3), int), np.zeros((2, 3, 4), int))
    with pytest.raises(ValueError, match="weights have shape"):
        convolve(conv, np.zeros((4, 3, 3, 2), int), np.zeros((2, 3, 3), int))
