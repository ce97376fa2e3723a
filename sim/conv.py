# SPDX-License-Identifier: Apache-2.0
"""Convolution and pooling of the golden model: exact integer sums, batched over steps."""

from __future__ import annotations

import numpy as np

from spikefab.hdl.conv_params import ConvParams

__all__ = ["convolve", "pool"]

EXACT_FLOAT32 = 1 << 24
"""Integers below it, and so every sum that stays below it, are exact in float32."""


def pool(conv: ConvParams, x: np.ndarray) -> np.ndarray:
    """The sums over the windows in front of a convolution: (..., C, H, W) to (..., C, PH, PW).

    What does not fill a window at the lower or right border is left out.
    """
    if conv.pool_kernel == conv.pool_stride == (1, 1) and not np.any(conv.pool_padding):
        return x
    windows = _windows(x, conv.pool_padding, conv.pool_kernel, conv.pool_stride, (1, 1))
    return windows.sum(axis=(-2, -1), dtype=np.int64)


def convolve(conv: ConvParams, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What a step's events add up to: int64 (..., out_channels, OH, OW).

    Parameters
    ----------
    weights
        Integers (out_channels, in_channels / groups, KH, KW).
    x
        Counts or values of events (..., *in_shape): whole numbers, not negative.
    """
    if x.shape[-3:] != conv.in_shape:
        raise ValueError(f"x has shape {x.shape}: must end in {conv.in_shape}")
    inputs, outputs = conv.in_shape[0] // conv.groups, conv.out_channels // conv.groups
    expected = (conv.out_channels, inputs, *conv.kernel)
    if weights.shape != expected:
        raise ValueError(f"weights have shape {weights.shape}: must be {expected}")
    pooled = pool(conv, x)
    # A float product of integers is exact while every partial sum stays below the mantissa, and
    # much faster than an integer one.
    most = int(pooled.max(initial=0)) * int(np.abs(weights).sum(axis=(1, 2, 3)).max())
    kind = np.float32 if most < EXACT_FLOAT32 else np.float64
    patches = _windows(pooled, conv.padding, conv.kernel, conv.stride, conv.dilation)
    parts = []
    for group in range(conv.groups):
        own = patches[..., group * inputs : (group + 1) * inputs, :, :, :, :]
        # (..., OH, OW, C, KH, KW): a row a position.
        own = np.moveaxis(own, -5, -3)
        lead, rows = own.shape[:-3], own.reshape(-1, inputs * conv.kernel[0] * conv.kernel[1])
        columns = weights[group * outputs : (group + 1) * outputs].reshape(outputs, -1).T
        sums = (rows.astype(kind) @ columns.astype(kind)).astype(np.int64)
        parts.append(np.moveaxis(sums.reshape(*lead, outputs), -1, -3))
    return np.concatenate(parts, axis=-3)


def _windows(
    x: np.ndarray,
    pads: tuple[tuple[int, int], tuple[int, int]],
    size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> np.ndarray:
    """Every window of maps (..., H, W) as (..., rows, columns, KH, KW)."""
    lead = ((0, 0),) * (x.ndim - 2)
    padded = np.pad(x, (*lead, *pads))
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, size, strict=True))
    views = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(-2, -1))
    return views[..., :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
