# SPDX-License-Identifier: Apache-2.0
"""Shapes of values and parameters: one for all, one a channel, or one each."""

from __future__ import annotations

from math import prod

import numpy as np

__all__ = ["MAX_VALUES", "Shape", "same_shape", "size_of", "spread", "stated_shape", "unbatched"]

Shape = tuple[int, ...]


MAX_VALUES = 1 << 24
"""Values that a node may put out."""


def size_of(shape: Shape) -> int:
    return prod(shape)


def same_shape(a: Shape, b: Shape) -> bool:
    """Whether they are one, axes of length 1 aside."""
    return [n for n in a if n != 1] == [n for n in b if n != 1]


def unbatched(shape: Shape) -> Shape:
    """Without leading axes of length 1; the last axis stays."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def stated_shape(value: object) -> Shape:
    """A shape that a graph states; () where it states none."""
    if isinstance(value, dict):
        value = next(iter(value.values()), None)
    try:
        axes = np.atleast_1d(np.asarray(value)).ravel()
        whole = tuple(int(n) for n in axes if not np.iscomplexobj(n))
        return whole if all(n == m for n, m in zip(axes, whole, strict=True)) else ()
    except (TypeError, ValueError, OverflowError):
        return ()  # None, or axes of unknown length


def spread(value: np.ndarray, shape: Shape) -> np.ndarray | None:
    """`value` as float64 (n,), n the elements of `shape` in C order; None where it does not fit.

    It may be one number for all, one for each, or one a channel, of shape (C,) or (C, 1, 1) where
    `shape` is (C, height, width). Leading axes of length 1 are ignored.
    """
    size = size_of(shape)
    value = np.asarray(value, dtype=np.float64)
    if value.size == 1:
        return np.full(size, float(value.reshape(())))
    if value.size == size and same_shape(value.shape, shape):
        return value.reshape(size)
    while value.ndim > 1 and value.shape[0] == 1 and value.ndim != len(shape):
        value = value[0]
    if value.ndim == 1 and len(shape) > 1:
        value = value.reshape(-1, *[1] * (len(shape) - 1))
    fits = value.ndim == len(shape) and all(
        n in (1, m) for n, m in zip(value.shape, shape, strict=True)
    )
    return np.broadcast_to(value, shape).reshape(size).copy() if fits else None
