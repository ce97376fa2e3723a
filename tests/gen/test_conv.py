# SPDX-License-Identifier: Apache-2.0
"""Float convolutions as integer ones: the same sums, and bounds that events reach."""

from __future__ import annotations

import numpy as np
import pytest
from conv_cases import convs
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefab.gen.conv import conv_params, conv_range, pool_factor, pool_kernel
from spikefab.gen.errors import InputError
from spikefab.gen.operations import AvgPool, Conv, SumPool
from spikefab.hdl.conv_params import ConvParams
from spikefab.sim.conv import convolve


def operations(conv: ConvParams, weights: np.ndarray) -> tuple[SumPool, Conv]:
    pool = SumPool(
        image=conv.in_shape, size=conv.pool_kernel, stride=conv.pool_stride,
        padding=conv.pool_padding,
    )  # fmt: skip
    operation = Conv(
        image=pool.out_image, stride=conv.stride, padding=conv.padding, weight=weights,
        dilations=conv.dilation, groups=conv.groups,
    )  # fmt: skip
    return pool, operation


@settings(max_examples=60, deadline=None, derandomize=True)
@given(convs(), st.integers(0, 1 << 16))
def test_integers_are_the_float_operations(conv: ConvParams, seed: int) -> None:
    """Parameters come back, sums agree, and the bounds are reached and never passed."""
    rng = np.random.default_rng(seed)
    shape = (conv.out_channels, conv.in_shape[0] // conv.groups, *conv.kernel)
    weights = rng.integers(-8, 8, size=shape)
    pool, operation = operations(conv, weights.astype(np.float64))
    assert conv_params("conv", operation, pool) == conv
    x = rng.integers(0, 4, size=(3, *conv.in_shape))
    sums = convolve(conv, weights, x).reshape(3, -1)
    given = operation.apply(pool.apply(x.reshape(3, -1).astype(np.float64)))
    np.testing.assert_array_equal(sums, given)
    low, high = conv_range(conv, weights, 3)
    assert (low <= sums).all()
    assert (sums <= high).all()
    # The worst input of an output: 3 wherever its weight is positive.
    k = int(rng.integers(len(high)))
    each = np.eye(int(np.prod(conv.in_shape)), dtype=int).reshape(-1, *conv.in_shape)
    column = convolve(conv, weights, each).reshape(len(each), -1)[:, k]
    assert 3 * column[column > 0].sum() == high[k]
    assert 3 * column[column < 0].sum() == low[k]


def test_means_are_sums_and_a_factor() -> None:
    pool = AvgPool(image=(2, 5, 4), size=(2, 2), stride=(2, 2))
    alone = pool_kernel(pool)
    x = np.random.default_rng(0).random((3, 40))
    np.testing.assert_allclose(alone.apply(x), pool.apply(x))
    assert pool_factor(pool) == 0.25
    assert pool_factor(SumPool(image=(2, 5, 4), size=(2, 2))) == pool_factor(None) == 1


def test_overlapping_pooling_alone_is_a_convolution() -> None:
    pool = SumPool(image=(3, 7, 7), size=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1)))
    conv = conv_params("pool", pool_kernel(pool))
    x = np.random.default_rng(0).integers(0, 3, size=(2, 3, 7, 7))
    sums = convolve(conv, np.ones((3, 1, 3, 3), int), x)
    np.testing.assert_array_equal(sums.reshape(2, -1), pool.apply(x.reshape(2, -1)))


def test_refusals_name_the_projection() -> None:
    pool = SumPool(image=(1, 6, 6), size=(3, 3), stride=(1, 1))
    conv = Conv(image=(1, 4, 4), weight=np.ones((1, 1, 2, 2)))
    with pytest.raises(InputError, match=r"conv2: .*compose the pooling into the kernel"):
        conv_params("conv2", conv, pool)
    with pytest.raises(InputError, match=r"conv2: a pooling gives \(1, 4, 4\)"):
        conv_params("conv2", Conv(image=(1, 5, 4), weight=np.ones((1, 1, 2, 2))), pool)
