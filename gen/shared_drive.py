# SPDX-License-Identifier: Apache-2.0
"""Projections whose weights are shared by all positions of an image: as convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikefab.gen.conv import conv_params, pool_factor, pool_kernel
from spikefab.gen.errors import InputError
from spikefab.gen.network import Projection
from spikefab.gen.operations import Bias, Conv, Dense, Operation, Scale, SumPool, Window
from spikefab.hdl.conv_params import ConvParams

__all__ = ["PATCH_STEPS", "Kernel", "kernels_of", "patches"]

PATCH_STEPS = 16
"""Recorded steps that a kernel's errors are weighed with; each has many positions."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A projection as one convolution, perhaps behind a pooling."""

    params: ConvParams
    weight: np.ndarray
    """float64 (out_channels, in_channels / groups, KH, KW)."""


def kernels_of(projections: Sequence[Projection], n: int) -> list[Kernel] | None:
    """The projections into a population of `n` as convolutions into one image; None where they are
    not, or where no image is in sight."""
    if not any(isinstance(op, Window) for p in projections for op in p.operations):
        return None
    found = [_kernel(p) if _linear(p) else None for p in projections]
    shapes = {kernel.params.out_shape for kernel in found if kernel is not None}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    for k, projection in enumerate(projections):
        if not _linear(projection) and projection.n_source == np.prod(shape):
            found[k] = _identity(projection.name, shape)
    kernels = [kernel for kernel in found if kernel is not None]
    fits = len(kernels) == len(projections) and np.prod(shape) == n
    return kernels if fits else None


def _linear(projection: Projection) -> list[Operation]:
    return [op for op in projection.operations if not isinstance(op, Bias)]


def _identity(name: str, shape: tuple[int, int, int]) -> Kernel:
    # As large as the image that is there already: nothing in it can be refused.
    one = Conv(image=shape, weight=np.ones((shape[0], 1, 1, 1)), groups=shape[0])
    return Kernel(conv_params(name, one), one.weight)


def _kernel(projection: Projection) -> Kernel | None:
    operations = _linear(projection)
    scales = []
    while operations and isinstance(last := operations[-1], Scale):
        scales.append(last.factor)
        operations.pop()
    pool: SumPool | None = None
    if len(operations) == 2 and isinstance(first := operations[0], SumPool):
        pool, operations = first, operations[1:]
    if len(operations) != 1:
        return None
    (op,) = operations
    if isinstance(op, Dense) and pool is not None:
        # Every weight at its own place of a kernel as large as the image.
        op = Conv(image=pool.out_image, weight=op.weight.reshape(-1, *pool.out_image))
    elif isinstance(op, SumPool):
        op = pool_kernel(op)
    if not isinstance(op, Conv) or (pool is not None and pool.out_image != op.image):
        return None
    weight = op.weight * pool_factor(pool)
    for factor in scales:
        channels = factor.reshape(len(weight), -1)
        if (channels != channels[:, :1]).any():
            return None
        weight = weight * channels[:, :1, None, None]
    try:
        return Kernel(conv_params(projection.name, replace(op, weight=weight), pool), weight)
    except InputError:
        return None  # more than the hardware's convolutions can do; a matrix may


def patches(conv: ConvParams, counts: np.ndarray) -> np.ndarray:
    """What the kernel sees of counts (steps, n_source) at each position: (steps * positions,
    weights of an output channel). Of several groups each row holds one, in turn."""
    c = conv.in_shape[0]
    pool = SumPool(
        image=conv.in_shape, size=conv.pool_kernel, stride=conv.pool_stride,
        padding=conv.pool_padding,
    )  # fmt: skip
    image = pool.apply(counts.astype(np.float32)).reshape(len(counts), c, *conv.pooled)
    padded = np.pad(image, ((0, 0), (0, 0), *conv.padding))
    reach = tuple(d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.kernel, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
    (row, column), (down, right) = conv.stride, conv.dilation
    view = view[:, :, ::row, ::column, ::down, ::right].transpose(0, 2, 3, 1, 4, 5)
    rows = view.reshape(-1, conv.groups, c // conv.groups * conv.kernel[0] * conv.kernel[1])
    chosen: np.ndarray = rows[np.arange(len(rows)), np.arange(len(rows)) % conv.groups]
    return chosen
