# SPDX-License-Identifier: Apache-2.0
"""What a projection makes of its source's output, over whole recordings or step by step."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from spikefab.gen.network import Projection
from spikefab.gen.operations import Bias, Delay, Operation

__all__ = ["Path", "Walk"]

Array = np.ndarray


class Path:
    """A projection in float32.

    `bias_at_t0`: the target's dialect's, for recurrent biases. `late`: it carries its source's
    output of the step before.
    """

    def __init__(self, projection: Projection, *, bias_at_t0: bool | str, late: bool):
        self.source, self.recurrent = projection.source, projection.recurrent
        self.late = late
        drop = projection.recurrent and bias_at_t0 == "never"
        self.operations = [
            _single(op) for op in projection.operations if not (drop and isinstance(op, Bias))
        ]
        self.silent_at_t0 = projection.recurrent and bias_at_t0 is False

    def whole(self, x: Array) -> Array:
        """(samples, steps, n_in) to (samples, steps, n_out)."""
        samples, steps = x.shape[:2]
        if self.late:
            x = np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], axis=1)
        for op in self.operations:
            if isinstance(op, Delay):
                x = _delayed(x, op.steps)
            else:
                x = op.apply(x.reshape(samples * steps, op.n_in)).reshape(samples, steps, op.n_out)
        if self.silent_at_t0 and steps:
            x[:, 0] = 0
        return x

    def walk(self) -> Walk:
        """The same step by step; whoever takes the steps holds back what is late."""
        return Walk(self)


class Walk:
    """A path on its way through the steps: holds what is delayed."""

    def __init__(self, path: Path):
        self._path = path
        self._lines = [_Line(op.steps) if isinstance(op, Delay) else None for op in path.operations]
        self._begun = False

    def step(self, x: Array) -> Array:
        """(samples, n_in) of this step to (samples, n_out)."""
        for op, line in zip(self._path.operations, self._lines, strict=True):
            x = op.apply(x) if line is None else line.step(x)
        if self._path.silent_at_t0 and not self._begun:
            x = np.zeros_like(x)
        self._begun = True
        return x


class _Line:
    """A delay line of its own length for each value."""

    def __init__(self, steps: Array):
        self._steps, self._columns = steps, np.arange(len(steps))
        self._depth = int(steps.max(initial=0)) + 1
        self._past: Array | None = None
        self._now = 0

    def step(self, x: Array) -> Array:
        if self._past is None:
            self._past = np.zeros((self._depth, *x.shape), x.dtype)
        self._past[self._now] = x
        at = (self._now - self._steps) % self._depth
        self._now = (self._now + 1) % self._depth
        return self._past[at, :, self._columns].T


def _delayed(x: Array, steps: Array) -> Array:
    out = np.zeros_like(x)
    for d in np.unique(steps):
        columns = np.flatnonzero(steps == d)
        out[:, d:, columns] = x[:, : max(0, x.shape[1] - d), columns]
    return out


def _single(op: Operation) -> Operation:
    """The operation with its parameters in float32."""
    single = {}
    for f in fields(op):
        value = getattr(op, f.name)
        if isinstance(value, np.ndarray) and value.dtype == np.float64:
            single[f.name] = value.astype(np.float32)
    return replace(op, **single) if single else op
