# SPDX-License-Identifier: Apache-2.0
"""What a node without state does to the values that come to it: operations and shapes.

Each function reads one node's parameters and works out its output's shape by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from spikefab.gen.nir_flatten import PASS
from spikefab.gen.nir_read import Node
from spikefab.gen.operations import (
    AvgPool,
    Bias,
    Conv,
    Delay,
    Dense,
    Operation,
    Padding,
    Scale,
    SumPool,
)
from spikefab.gen.spread import MAX_VALUES, Shape, same_shape, size_of, spread, stated_shape

__all__ = ["STATELESS", "Reader", "Stage", "make_stage", "wanted_shape"]

FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """A node without state, placed in its graph."""

    operations: tuple[Operation, ...]
    shape: Shape | None
    """What it puts out; None where that cannot be known."""


class Reader:
    """Reads a node's parameters; what is wrong goes to `problems`, with the node's name."""

    def __init__(self, name: str, node: Node, problems: list[str], notes: list[str]):
        self.name, self.node = name, node
        self.where = f"node {name!r}" + (f" ({node.kind})" if node.kind != PASS else "")
        self._problems, self._notes = problems, notes

    def fail(self, problem: str) -> None:
        self._problems.append(f"{self.where}: {problem}")

    def note(self, note: str) -> None:
        self._notes.append(f"{self.where}: {note}")

    def array(self, key: str) -> np.ndarray | None:
        """float64 as it stands, infinities included; None with a problem."""
        try:
            if np.iscomplexobj(self.node.values[key]):
                raise TypeError("complex numbers")
            return np.asarray(self.node.values[key], dtype=np.float64)
        except KeyError:
            self.fail(f"has no {key}; export the graph again")
        except (TypeError, ValueError):
            self.fail(f"{key} does not hold numbers")
        return None

    def finite(self, key: str) -> np.ndarray | None:
        """As `array`; what is not finite is a problem, and 0 so that the check can go on."""
        value = self.array(key)
        if value is None:
            return None
        good = np.isfinite(value)
        if not np.all(good):
            self.fail(
                f"{key} holds {int(np.sum(~good))} NaN or infinite of {value.size} values; every "
                "value must be finite"
            )
        elif np.any(np.abs(value) > FLOAT32_MAX):
            self.fail(
                f"{key} holds {np.max(np.abs(value)):g}; frameworks compute in float32, which "
                f"ends at {FLOAT32_MAX:.3g}"
            )
        return np.where(good, value, 0.0)

    def axes(self, key: str, n: int, low: int, default: int | None = None) -> list[int] | None:
        """`n` whole numbers >= `low`; one stands for all."""
        value = self.node.values.get(key, default)
        try:
            found = np.atleast_1d(np.asarray(value)).ravel()
            whole = [int(v) for v in found]
            good = len(whole) in (1, n) and all(v == w for v, w in zip(found, whole, strict=True))
        except (TypeError, ValueError, OverflowError):
            good, whole = False, []
        if not good or any(v < low for v in whole):
            expected = "a whole number" if n == 1 else f"one or {n} whole numbers"
            self.fail(f"{key} = {value!r}: must be {expected} >= {low}")
            return None
        return whole * n if len(whole) == 1 else whole


def make_stage(reader: Reader, shape: Shape | None, dt: float) -> Stage:
    """The node's operations on values of `shape` (None: unknown, after another problem)."""
    return _MAKERS[reader.node.kind](reader, shape, dt)


def wanted_shape(node: Node) -> Shape:
    """The input that a node's own parameters ask for; () where they tell none."""
    values = node.values
    if node.kind == "Flatten":
        stated = stated_shape(values.get("input_type"))
        return stated if stated and all(n > 0 for n in stated) else ()
    if node.kind in ("Input", "Output", PASS):
        return stated_shape(values.get("shape"))
    weight = np.shape(np.asarray(values.get("weight", 0.0)))
    if node.kind in ("Linear", "Affine"):
        return (int(weight[1]),) if len(weight) == 2 else ()
    if node.kind in ("Conv1d", "Conv2d"):
        image = stated_shape(values.get("input_shape"))
        groups = stated_shape(values.get("groups", 1))
        if len(weight) != len(image) + 2 or len(groups) != 1:
            return ()
        return (int(weight[1]) * groups[0], *image)
    if node.kind in ("SumPool2d", "AvgPool2d"):
        return ()
    shapes = [tuple(np.shape(value)) for value in values.values() if np.size(value) > 1]
    return max(shapes, key=size_of, default=())


def _dense(reader: Reader, shape: Shape | None, dt: float) -> Stage:
    weight = reader.finite("weight")
    if weight is None or weight.ndim != 2 or 0 in weight.shape:
        if weight is not None:
            reader.fail(f"weight has shape {weight.shape}; it must be (outputs, inputs)")
        return Stage(operations=(), shape=None)
    n_out, n_in = weight.shape
    if shape is not None and shape != (n_in,):
        if not same_shape(shape, (n_in,)):
            cure = "put a Flatten before it" if size_of(shape) == n_in else "the shapes must agree"
            reader.fail(
                f"weight {weight.shape} takes {n_in} inputs, but gets shape {shape}; {cure}"
            )
        else:
            reader.note(f"input of shape {shape} is taken as {n_in} values")
    operations: list[Operation] = [Dense(weight=weight)]
    if reader.node.kind == "Affine":
        operations += _bias(reader, (n_out,))
    return Stage(operations=tuple(operations), shape=(n_out,))


def _bias(reader: Reader, shape: Shape) -> list[Operation]:
    """A bias a channel (the first axis), as an operation; none where it is 0."""
    value = reader.finite("bias")
    if value is None:
        return []
    if value.size != 1 and not same_shape(value.shape, shape[:1]):
        reader.fail(f"bias has shape {value.shape}; it must be {shape[:1]}, one an output")
        return []
    full = spread(value.reshape(-1), shape)
    return [Bias(shape=shape, value=full)] if full is not None and np.any(full != 0) else []


def _scale(reader: Reader, shape: Shape | None, dt: float) -> Stage:
    value = reader.finite("scale")
    if value is None or shape is None:
        return Stage(operations=(), shape=shape)
    factor = spread(value, shape)
    if factor is None:
        reader.fail(f"scale has shape {value.shape}, but gets shape {shape}")
        return Stage(operations=(), shape=shape)
    return Stage(operations=(Scale(shape=shape, factor=factor),), shape=shape)


def _delay(reader: Reader, shape: Shape | None, dt: float) -> Stage:
    value = reader.finite("delay")
    if value is None or shape is None:
        return Stage(operations=(), shape=shape)
    seconds = spread(value, shape)
    if seconds is None:
        reader.fail(f"delay has shape {value.shape}; it must be {shape}, or one number")
        return Stage(operations=(), shape=shape)
    steps = np.rint(seconds / dt)
    wrong = np.abs(seconds / dt - steps) > 1e-5 * np.maximum(1, np.abs(steps))
    if np.any(seconds < 0):
        reader.fail(f"delay = {np.min(seconds):g}: must be >= 0")
    elif np.any(wrong):
        reader.fail(
            f"delay = {seconds[wrong][0]:g} s is {seconds[wrong][0] / dt:g} steps of dt = {dt:g} "
            "s; it must be a whole number of steps: give another --dt, or delays that fit"
        )
    elif np.any(steps > 0):
        delay = Delay(shape=shape, steps=steps.astype(np.int64))
        return Stage(operations=(delay,), shape=shape)
    return Stage(operations=(), shape=shape)


def _flatten(reader: Reader, shape: Shape | None, dt: float) -> Stage:
    """Joins the axes start…end. Exporters count axes with or without a batch axis."""
    start, end = reader.axes("start_dim", 1, -64, 1), reader.axes("end_dim", 1, -64, -1)
    if shape is None or start is None or end is None:
        return Stage(operations=(), shape=None)
    n = len(shape)
    first, last = (k + n if k < 0 else k for k in (start[0], end[0]))
    if not (0 <= first <= n and -1 <= last <= n):
        reader.fail(f"start_dim {start[0]}, end_dim {end[0]} do not exist in shape {shape}")
        return Stage(operations=(), shape=None)
    joined = size_of(shape[first : last + 1])
    literal = shape[:first] + ((joined,) if first <= last else ()) + shape[last + 1 :]
    if first == 1 and n > 1 and last >= n - 1:
        # start_dim = 1 counts a batch axis that the graph does not have.
        literal = (size_of(shape),)
        reader.note(f"start_dim = 1 is taken to count the batch axis: {shape} becomes {literal}")
    return Stage(operations=(), shape=literal if first < n else shape)


def _pass(reader: Reader, shape: Shape | None, dt: float) -> Stage:
    stated = wanted_shape(reader.node)
    if stated and shape is not None and not same_shape(stated, shape):
        reader.note(f"states shape {stated}, but gets {shape}: that is taken")
    return Stage(operations=(), shape=shape)


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


def _conv(reader: Reader, shape: Shape | None, dt: float) -> Stage:
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
        bias = _bias(reader, conv.out_shape)
    return Stage(operations=(conv, *bias), shape=conv.out_shape)


def _pool(reader: Reader, shape: Shape | None, dt: float) -> Stage:
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
    pool = make(image=image, size=_two(kernel, 1), stride=_two(stride, 1), padding=_pads(pads))
    return Stage(operations=(pool,), shape=pool.out_shape)


_MAKERS: dict[str, Callable[[Reader, Shape | None, float], Stage]] = {
    "Linear": _dense,
    "Affine": _dense,
    "Scale": _scale,
    "Conv1d": _conv,
    "Conv2d": _conv,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Flatten": _flatten,
    "Delay": _delay,
    PASS: _pass,
}

STATELESS = tuple(_MAKERS)
"""Kinds of nodes that are part of a projection."""
