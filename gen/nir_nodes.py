# SPDX-License-Identifier: Apache-2.0
"""What a node without state does to the values that come to it: operations and shapes.

Each function reads one node's parameters and works out its output's shape by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spikefab.gen.nir_flatten import PASS
from spikefab.gen.nir_reader import Reader, Stage, wanted_shape
from spikefab.gen.nir_windows import convolve, pool
from spikefab.gen.operations import Delay, Dense, Operation, Scale
from spikefab.gen.spread import Shape, same_shape, size_of, spread

__all__ = ["STATELESS", "make_stage"]


def make_stage(reader: Reader, shape: Shape | None, dt: float) -> Stage:
    """The node's operations on values of `shape` (None: unknown, after another problem)."""
    return _MAKERS[reader.node.kind](reader, shape, dt)


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
        operations += reader.bias((n_out,))
    return Stage(operations=tuple(operations), shape=(n_out,))


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


_MAKERS: dict[str, Callable[[Reader, Shape | None, float], Stage]] = {
    "Linear": _dense,
    "Affine": _dense,
    "Scale": _scale,
    "Conv1d": convolve,
    "Conv2d": convolve,
    "SumPool2d": pool,
    "AvgPool2d": pool,
    "Flatten": _flatten,
    "Delay": _delay,
    PASS: _pass,
}

STATELESS = tuple(_MAKERS)
"""Kinds of nodes that are part of a projection."""
