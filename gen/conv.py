# SPDX-License-Identifier: Apache-2.0
"""Convolutions of a float network as those that the hardware has: pooling in front, all integers.

What a list of operations may be: poolings and convolutions in front of one convolution, as far as
they become one with it.
"""

from __future__ import annotations

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.operations import AvgPool, Conv, SumPool, Window
from spikefab.hdl.conv_params import ConvParams
from spikefab.hdl.param_error import ParamError

__all__ = ["conv_params", "conv_range", "pool_factor", "pool_kernel"]


def conv_params(name: str, conv: Conv, pool: SumPool | None = None) -> ConvParams:
    """The convolution of projection `name`, behind a pooling or none. A mean is a sum here: its
    weights are `pool_factor` times as large.

    Raises `InputError`, naming the projection, where there is no such hardware.
    """
    if pool is not None and pool.out_image != conv.image:
        raise InputError(f"{name}: a pooling gives {pool.out_image}, its convolution takes "
                         f"{conv.image}")  # fmt: skip
    first: Window = conv if pool is None else pool
    c, h, w = first.image
    try:
        return ConvParams(
            in_shape=(c, h, w),
            out_channels=int(conv.weight.shape[0]),
            kernel=conv.kernel,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=conv.groups,
            pool_kernel=(1, 1) if pool is None else pool.kernel,
            pool_stride=(1, 1) if pool is None else pool.stride,
            pool_padding=((0, 0), (0, 0)) if pool is None else pool.padding,
        )
    except ParamError as error:
        raise InputError(f"{name}: {error}") from None


def pool_factor(pool: SumPool | None) -> float:
    """What a pooling multiplies each input by."""
    return 1 / pool.area if isinstance(pool, AvgPool) else 1.0


def pool_kernel(pool: SumPool) -> Conv:
    """A pooling as a convolution, channel by channel: for one with nothing behind it, or whose
    windows overlap."""
    channels = pool.image[0]
    weight = np.full((channels, 1, *pool.kernel), pool_factor(pool))
    return Conv(
        image=pool.image, stride=pool.stride, padding=pool.padding, flat=pool.flat,
        weight=weight, groups=channels,
    )  # fmt: skip


def conv_range(
    conv: ConvParams, weights: np.ndarray, source_max: int
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest sum of a step, int64 (n_out,) in C order of (channel, row, column), in
    whatever order events come.

    Parameters
    ----------
    weights
        Integers (out_channels, in_channels / groups, KH, KW).
    source_max
        Most that one input receives in a step.
    """
    c, h, w = conv.in_shape
    most = np.full((1, c * h * w), float(source_max))
    if conv.pool_stride != (1, 1):
        pool = SumPool(
            image=conv.in_shape, size=conv.pool_kernel, stride=conv.pool_stride,
            padding=conv.pool_padding,
        )  # fmt: skip
        most = pool.apply(most)
    ends = []
    for part in (np.minimum(weights, 0), np.maximum(weights, 0)):
        operation = Conv(
            image=(c, *conv.pooled), stride=conv.stride, padding=conv.padding,
            weight=part.astype(np.float64), dilations=conv.dilation, groups=conv.groups,
        )  # fmt: skip
        # Sums of integers far below 2**53: exact.
        ends.append(operation.apply(most)[0].astype(np.int64))
    return ends[0], ends[1]
