# SPDX-License-Identifier: Apache-2.0
"""The stateless linear maps that a projection is made of, applied one after the other.

Between two operations values are flat, in C order of the shape, so that a Flatten costs nothing.
`apply` works in the dtype of its argument: float32 repeats what a framework computes, float64 is
for composing. Only `Bias` is not linear but affine, and only `Delay` reaches beyond its step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = [
    "AvgPool",
    "Bias",
    "Conv",
    "Delay",
    "Dense",
    "Operation",
    "Padding",
    "Scale",
    "SumPool",
    "Window",
]

Array = np.ndarray
Shape = tuple[int, ...]
Padding = tuple[tuple[int, int], tuple[int, int]]
"""Zeros put around an image: ((top, bottom), (left, right))."""

CHUNK_VALUES = 1 << 22
"""Values that a convolution unfolds at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation(ABC):
    """A map from `in_shape` to `out_shape`, both without a batch axis."""

    @property
    @abstractmethod
    def in_shape(self) -> Shape: ...

    @property
    @abstractmethod
    def out_shape(self) -> Shape: ...

    @abstractmethod
    def apply(self, x: Array) -> Array:
        """(batch, n_in) to (batch, n_out), in the dtype of `x`."""

    @property
    def n_in(self) -> int:
        return _size(self.in_shape)

    @property
    def n_out(self) -> int:
        return _size(self.out_shape)

    def matrix(self) -> Array:
        """The linear part, float64 (n_out, n_in)."""
        return np.ascontiguousarray(self.apply(np.eye(self.n_in)).T)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Operation):
    """``W @ x``."""

    weight: Array
    """float64 (n_out, n_in)."""

    @property
    def in_shape(self) -> Shape:
        return (int(self.weight.shape[1]),)

    @property
    def out_shape(self) -> Shape:
        return (int(self.weight.shape[0]),)

    def apply(self, x: Array) -> Array:
        return x @ self.weight.astype(x.dtype, copy=False).T

    def matrix(self) -> Array:
        return self.weight


@dataclass(frozen=True, kw_only=True, eq=False)
class _Elementwise(Operation):
    shape: Shape

    @property
    def in_shape(self) -> Shape:
        return self.shape

    @property
    def out_shape(self) -> Shape:
        return self.shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale(_Elementwise):
    """``factor * x``."""

    factor: Array
    """float64 (n,)."""

    def apply(self, x: Array) -> Array:
        return x * self.factor.astype(x.dtype, copy=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bias(_Elementwise):
    """``x + value``, in every step."""

    value: Array
    """float64 (n,)."""

    def apply(self, x: Array) -> Array:
        return x + self.value.astype(x.dtype, copy=False)

    def matrix(self) -> Array:
        return np.eye(self.n_in)


@dataclass(frozen=True, kw_only=True, eq=False)
class Delay(_Elementwise):
    """Value k of step t is that of step t - steps[k]; 0 before the sample's first step.

    `apply` leaves values as they are: whoever runs the steps keeps the line.
    """

    steps: Array
    """int64 (n,), >= 0."""

    def apply(self, x: Array) -> Array:
        return x


@dataclass(frozen=True, kw_only=True, eq=False)
class Window(Operation):
    """What slides over an image of shape (channels, height, width); a signal has height 1."""

    image: Shape
    """(channels, height, width) of the input."""
    stride: tuple[int, int] = (1, 1)
    """(rows, columns)."""
    padding: Padding = ((0, 0), (0, 0))
    flat: bool = False
    """A signal of shape (channels, width): height is 1 and does not show in the shapes."""

    @property
    @abstractmethod
    def kernel(self) -> tuple[int, int]:
        """(height, width) of the window."""

    @property
    def dilation(self) -> tuple[int, int]:
        return (1, 1)

    @property
    @abstractmethod
    def out_image(self) -> Shape:
        """(channels, height, width) of the output."""

    @property
    def in_shape(self) -> Shape:
        return _shown(self.image, self.flat)

    @property
    def out_shape(self) -> Shape:
        return _shown(self.out_image, self.flat)

    @property
    def out_grid(self) -> tuple[int, int]:
        """(height, width) of the output: positions where the window fits."""
        rows, columns = (
            (size + sum(pad) - step * (taps - 1) - 1) // stride + 1
            for size, pad, step, taps, stride in zip(
                self.image[1:], self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return rows, columns

    def _windows(self, x: Array) -> Array:
        """View of (batch, channels, rows, columns, kernel rows, kernel columns)."""
        image = np.pad(x.reshape(len(x), *self.image), ((0, 0), (0, 0), *self.padding))
        reach = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        view = np.lib.stride_tricks.sliding_window_view(image, reach, axis=(2, 3))
        (row, column), (down, right) = self.stride, self.dilation
        return view[:, :, ::row, ::column, ::down, ::right]

    def _chunks(self, x: Array, values: int) -> list[Array]:
        """Parts of a batch of which each unfolds to a bounded number of values."""
        rows = max(1, CHUNK_VALUES // max(1, values))
        return [x[i : i + rows] for i in range(0, len(x), rows)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Window):
    """A convolution (a correlation, as every framework has it): no bias, which is a `Bias`.

    ``y[o, r, c] = sum over i, a, b of weight[o, i, a, b] * x[i', r*stride + a*dilation - top, …]``
    with i' = i + the group of output channel o times C_in / groups.
    """

    weight: Array
    """float64 (C_out, C_in / groups, kernel height, kernel width)."""
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def kernel(self) -> tuple[int, int]:
        return int(self.weight.shape[2]), int(self.weight.shape[3])

    @property
    def dilation(self) -> tuple[int, int]:
        return self.dilations

    @property
    def out_image(self) -> Shape:
        return (int(self.weight.shape[0]), *self.out_grid)

    def apply(self, x: Array) -> Array:
        n_out, n_group = self.weight.shape[:2]
        taps = n_group * self.kernel[0] * self.kernel[1]
        rows, columns = self.out_grid
        weight = self.weight.astype(x.dtype, copy=False)
        weight = weight.reshape(self.groups, n_out // self.groups, taps)
        parts = []
        for part in self._chunks(x, self.groups * taps * rows * columns):
            # (batch, groups, taps, positions), the last two axes as they lie in the image.
            unfolded = self._windows(part).transpose(0, 1, 4, 5, 2, 3)
            unfolded = unfolded.reshape(len(part), self.groups, taps, rows * columns)
            parts.append(np.matmul(weight, unfolded).reshape(len(part), self.n_out))
        return np.concatenate(parts) if parts else np.zeros((0, self.n_out), x.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class SumPool(Window):
    """The sum of each window, channel by channel."""

    size: tuple[int, int]
    """(height, width) of the window."""

    @property
    def kernel(self) -> tuple[int, int]:
        return self.size

    @property
    def out_image(self) -> Shape:
        return (self.image[0], *self.out_grid)

    def apply(self, x: Array) -> Array:
        parts = []
        for part in self._chunks(x, self.n_out):
            view = self._windows(part)
            y = np.zeros(view.shape[:4], x.dtype)
            for row, column in np.ndindex(self.size):
                y += view[..., row, column]
            parts.append(y.reshape(len(part), self.n_out))
        return np.concatenate(parts) if parts else np.zeros((0, self.n_out), x.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class AvgPool(SumPool):
    """The mean of each window; padding counts as zeros, as PyTorch's default has it."""

    @cached_property
    def area(self) -> int:
        return self.size[0] * self.size[1]

    def apply(self, x: Array) -> Array:
        return super().apply(x) / np.asarray(self.area, x.dtype)


def _size(shape: Shape) -> int:
    return int(np.prod(shape, dtype=int))


def _shown(image: Shape, flat: bool) -> Shape:
    return (image[0], image[2]) if flat else image
