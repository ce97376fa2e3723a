# SPDX-License-Identifier: Apache-2.0
"""Reads a node's parameters, and says what is wrong with them by the node's name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikefab.gen.nir_flatten import PASS
from spikefab.gen.nir_read import Node
from spikefab.gen.operations import Bias, Operation
from spikefab.gen.spread import Shape, same_shape, size_of, spread, stated_shape

__all__ = ["Reader", "Stage", "wanted_shape"]

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

    def bias(self, shape: Shape) -> list[Operation]:
        """A bias a channel (the first axis), as an operation; none where it is 0."""
        value = self.finite("bias")
        if value is None:
            return []
        if value.size != 1 and not same_shape(value.shape, shape[:1]):
            self.fail(f"bias has shape {value.shape}; it must be {shape[:1]}, one an output")
            return []
        full = spread(value.reshape(-1), shape)
        return [Bias(shape=shape, value=full)] if full is not None and np.any(full != 0) else []


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
