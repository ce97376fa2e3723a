# SPDX-License-Identifier: Apache-2.0
"""Convolutions and poolings: their parameters, their padding, what they put out."""

from __future__ import annotations

from math import prod

import numpy as np

from spikefab.gen.nir_reader import Reader, Stage, wanted_shape
from spikefab.gen.operations import AvgPool, Conv, Operation, Padding, SumPool
from spikefab.gen.spread import MAX_VALUES, Shape, size_of

__all__ = ["convolve", "pool"]


def _image(reader: Reader, shape: Shape, channels: int | None, axes: int) -> Shape | None:
    """`shape` as (channels, *axes): a batch axis of 1 is dropped, a single channel added."""
    given = shape
    while len(shape) > axes + 1 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == axes and channels in (1, None):
        shape = (1, *shape)
    stated = wanted_shape(reader.node)
    if len(shape) == 1 and len(stated) == axes + 1 and size_of(stated) == shape[0]:
        reader.note(f"input of shape {given} is taken as {stated}, the shape it states")
        shape = stated
    names = "(channels, height, width)" if axes == 2 else "(channels, width)"
    if len(shape) != axes + 1 or channels not in (None, shape[0]):
        has = f", {channels} of them by its weight and groups" if channels is not None else ""
        reader.fail(f"takes {names}{has}, but gets shape {given}; the shapes must agree")
        return None
    if stated and stated[1:] != shape[1:]:
        reader.note(f"states input shape {stated[1:]}, but gets {shape[1:]}: that is taken")
    return shape


def _padding(
    reader: Reader, kernel: list[int], stride: list[int], dilation: list[int]
) -> list[tuple[int, int]] | None:
    value = reader.node.values.get("padding", 0)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    text = value.decode("utf8", "replace") if isinstance(value, bytes) else value
    if isinstance(text, str):
        if text == "valid":
            return [(0, 0)] * len(kernel)
        if text != "same":
            reader.fail(f"padding = {text!r}: must be 'same', 'valid' or whole numbers >= 0")
            return None
        if any(step != 1 for step in stride):
            reader.fail(
                f"padding = 'same' with stride {tuple(stride)} is not defined; give the padding in "
                "numbers, or stride 1"
            )
            return None
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [(t // 2, t - t // 2) for t in total]
    sides = reader.axes("padding", len(kernel), 0, 0)
    return None if sides is None else [(side, side) for side in sides]


def _fits(
    reader: Reader,
    image: Shape,
    kernel: list[int],
    padding: list[tuple[int, int]],
    dilation: list[int],
) -> bool:
    padded = [n + sum(pad) for n, pad in zip(image[1:], padding, strict=True)]
    if prod(padded) > MAX_VALUES:
        reader.fail(f"its padded input {tuple(padded)} is larger than {MAX_VALUES:,} values")
        return False
    span = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if any(s > p for s, p in zip(span, padded, strict=True)):
        reader.fail(
            f"its window spans {tuple(span)}, more than the padded input {tuple(padded)}; make it "
            "smaller or pad more"
        )
        return False
    return True


def _two(values: list[int], first: int) -> tuple[int, int]:
    """(rows, columns); a signal has one row."""
    return (values[0], values[1]) if len(values) == 2 else (first, values[0])


def _pads(padding: list[tuple[int, int]]) -> Padding:
    return (padding[0], padding[1]) if len(padding) == 2 else ((0, 0), padding[0])


def convolve(reader: Reader, shape: Shape | None, dt: float) -> Stage:
    axes = 2 if reader.node.kind == "Conv2d" else 1
    lost = Stage(operations=(), shape=None)
    weight = reader.finite("weight")
    stride = reader.axes("stride", axes, 1, 1)
    dilation = reader.axes("dilation", axes, 1, 1)
    groups = reader.axes("groups", 1, 1, 1)
    if weight is not None and (weight.ndim != axes + 2 or 0 in weight.shape):
        names = "kernel height, kernel width" if axes == 2 else "kernel width"
        reader.fail(
            f"weight has shape {weight.shape}; it must be (outputs, inputs/groups, {names})"
        )
        return lost
    if weight is None or stride is None or dilation is None or groups is None:
        return lost
    (n_groups,) = groups
    if weight.shape[0] % n_groups:
        reader.fail(f"groups = {n_groups} does not divide its {weight.shape[0]} output channels")
        return lost
    kernel = [int(k) for k in weight.shape[2:]]
    padding = _padding(reader, kernel, stride, dilation)
    if padding is None or shape is None:
        return lost
    image = _image(reader, shape, int(weight.shape[1]) * n_groups, axes)
    if image is None or not _fits(reader, image, kernel, padding, dilation):
        return lost
    conv = Conv(
        image=image if axes == 2 else (image[0], 1, image[1]),
        stride=_two(stride, 1),
        padding=_pads(padding),
        flat=axes == 1,
        weight=weight if axes == 2 else weight[:, :, None, :],
        dilations=_two(dilation, 1),
        groups=n_groups,
    )
    bias: list[Operation] = []
    if reader.node.values.get("bias") is not None:
        bias = reader.bias(conv.out_shape)
    return Stage(operations=(conv, *bias), shape=conv.out_shape)


def pool(reader: Reader, shape: Shape | None, dt: float) -> Stage:
    lost = Stage(operations=(), shape=None)
    kernel = reader.axes("kernel_size", 2, 1)
    stride = reader.axes("stride", 2, 1) if "stride" in reader.node.values else kernel
    padding = reader.axes("padding", 2, 0, 0)
    if kernel is None or stride is None or padding is None or shape is None:
        return lost
    image = _image(reader, shape, None, 2)
    pads = [(side, side) for side in padding]
    if image is None or not _fits(reader, image, kernel, pads, [1, 1]):
        return lost
    make = SumPool if reader.node.kind == "SumPool2d" else AvgPool
    window = make(image=image, size=_two(kernel, 1), stride=_two(stride, 1), padding=_pads(pads))
    return Stage(operations=(window,), shape=window.out_shape)
