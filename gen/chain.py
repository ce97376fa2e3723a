# SPDX-License-Identifier: Apache-2.0
"""Layers and neurons in order, with their shapes checked: what every importer builds on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikefab.gen.dialect import Dialect
from spikefab.gen.discretise import NEURON_PARAMETERS, Kind, discretise
from spikefab.gen.network import Neuron, Population, Projection

__all__ = ["ChainBuilder", "spread"]

Shape = tuple[int, ...]

FLOAT32_MAX = float(np.finfo(np.float32).max)


def spread(value: np.ndarray, shape: Shape) -> np.ndarray | None:
    """`value` as float64 (n,), n the elements of `shape`: one for all, or one each in C order.

    None where it is neither; axes of length 1 are ignored.
    """
    size = int(np.prod(shape, dtype=int))
    if value.size == 1:
        return np.full(size, float(value.reshape(())))
    if value.size == size and _squeeze(value.shape) == _squeeze(shape):
        return value.astype(np.float64).reshape(size)
    return None


def _squeeze(shape: Shape) -> Shape:
    return tuple(int(n) for n in shape if n != 1)


class ChainBuilder:
    """Collects a chain's populations and projections.

    Linear maps between two populations are folded into one. What is wrong is added to `problems`;
    `lost` is then set where the shape is no longer known.
    """

    def __init__(
        self,
        input_name: str,
        input_shape: Shape,
        dialect: Dialect,
        dt: float,
        problems: list[str],
        notes: list[str],
    ):
        self.input_shape = input_shape
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.lost = False
        self._dialect, self._dt = dialect, dt
        self._problems, self._notes = problems, notes
        self._source = input_name
        self._last_kind = ""
        self._shape = input_shape
        self._weight: np.ndarray | None = None
        self._bias: np.ndarray | None = None
        self._folded: list[str] = []
        if any(n < 1 for n in input_shape):
            self._lose(f"node {input_name!r}: shape {input_shape}: every axis must be >= 1")

    @property
    def shape(self) -> Shape:
        """What the chain puts out so far; () where that is unknown."""
        return self._shape

    def _lose(self, problem: str) -> None:
        self._problems.append(problem)
        self.lost = True

    def _start(self, shape: Shape) -> None:
        """The chain's first shape, where no Input node states it."""
        if not self._shape:
            self.input_shape = self._shape = shape

    def _check_finite(self, where: str, **values: np.ndarray | None) -> None:
        for key, value in values.items():
            if value is not None and not np.all(np.isfinite(value)):
                bad = int(np.sum(~np.isfinite(value)))
                self._problems.append(
                    f"{where}: {key} holds {bad} NaN or infinite of {value.size} values; every "
                    "value must be finite"
                )
            elif value is not None and np.any(np.abs(value) > FLOAT32_MAX):
                self._problems.append(
                    f"{where}: {key} holds {np.max(np.abs(value)):g}; frameworks compute in "
                    f"float32, which ends at {FLOAT32_MAX:.3g}"
                )

    def linear(self, name: str, weight: np.ndarray, bias: np.ndarray | None) -> None:
        """A dense map; `bias` None for none."""
        where = f"node {name!r} ({'Linear' if bias is None else 'Affine'})"
        if weight.ndim != 2 or 0 in weight.shape:
            return self._lose(
                f"{where}: weight has shape {weight.shape}; it must be (outputs, inputs)"
            )
        n_out, n_in = weight.shape
        self._start((n_in,))
        if self._shape != (n_in,):
            flat = _squeeze(self._shape) in ((n_in,), ()) and np.prod(self._shape) == n_in
            if not flat:
                size = int(np.prod(self._shape, dtype=int))
                cure = "put a Flatten before it" if size == n_in else "the shapes must agree"
                return self._lose(
                    f"{where}: weight {weight.shape} takes {n_in} inputs, but gets shape "
                    f"{self._shape}; {cure}"
                )
            self._notes.append(f"{where}: input of shape {self._shape} is taken as {n_in} values")
        self._check_finite(where, weight=weight, bias=bias)
        spread_bias = None if bias is None else spread(bias, (n_out,))
        if bias is not None and spread_bias is None:
            self._problems.append(
                f"{where}: bias has shape {bias.shape}; it must be ({n_out},), one an output"
            )
        # A broken value is reported; the shape is still known, so that the check can go on.
        safe = np.where(np.isfinite(weight), weight, 0.0)
        self._weight = safe if self._weight is None else safe @ self._weight
        carried = 0.0 if self._bias is None else safe @ self._bias
        added = 0.0 if spread_bias is None else np.where(np.isfinite(spread_bias), spread_bias, 0)
        self._bias = np.zeros(n_out) + carried + added
        self._fold(name, (n_out,))
        return None

    def scale(self, name: str, scale: np.ndarray) -> None:
        """An elementwise factor."""
        where = f"node {name!r} (Scale)"
        if scale.size > 1:
            self._start(tuple(scale.shape))
        if not self._shape:
            return self._lose(f"{where}: the input's shape is unknown; add an Input node")
        factor = spread(scale, self._shape)
        if factor is None:
            return self._lose(
                f"{where}: scale has shape {scale.shape}, but gets shape {self._shape}"
            )
        self._check_finite(where, scale=scale)
        factor = np.where(np.isfinite(factor), factor, 0.0)
        self._weight = np.diag(factor) if self._weight is None else factor[:, None] * self._weight
        self._bias = None if self._bias is None else factor * self._bias
        self._fold(name, self._shape)
        return None

    def _fold(self, name: str, shape: Shape) -> None:
        self._folded.append(name)
        if len(self._folded) == 2:
            self._notes.append(
                f"nodes {self._folded[0]!r} and those after it up to the next neuron are folded "
                "into one weight matrix"
            )
        self._shape = shape

    def flatten(self, name: str, start: int, end: int, stated: Shape) -> None:
        """Joins the axes start…end. Exporters count axes with or without a batch axis."""
        if stated and all(n > 0 for n in stated):
            self._start(stated)
        shape, n = self._shape, len(self._shape)
        if not shape:
            return self._lose(f"node {name!r} (Flatten): the input's shape is unknown; "
                              "add an Input node")  # fmt: skip
        first, last = (start + n if start < 0 else start), (end + n if end < 0 else end)
        if not (0 <= first <= n and -1 <= last <= n):
            return self._lose(
                f"node {name!r} (Flatten): start_dim {start}, end_dim {end} do not exist in shape "
                f"{shape}"
            )
        joined = int(np.prod(shape[first : last + 1], dtype=int))
        literal = shape[:first] + ((joined,) if first <= last else ()) + shape[last + 1 :]
        if first == 1 and n > 1 and last >= n - 1:
            # start_dim = 1 counts a batch axis that the graph does not have.
            self._notes.append(
                f"node {name!r} (Flatten): start_dim = 1 is taken to count the batch axis: "
                f"{shape} becomes ({int(np.prod(shape))},)"
            )
            literal = (int(np.prod(shape)),)
        self._shape = literal if first < n else shape
        return None

    def neuron(self, name: str, kind: Kind, parameters: Mapping[str, np.ndarray]) -> None:
        """A population; `parameters` as the source states them, each to be spread."""
        where = f"node {name!r} ({kind})"
        if self._last_kind == "LI":
            return self._lose(
                f"node {self._source!r} (LI): feeds {name!r}; an LI must be the last node before "
                "the output"
            )
        sizes = [value.shape for value in parameters.values() if value.size > 1]
        if sizes:
            self._start(tuple(sizes[0]))
        if not self._shape:
            return self._lose(
                f"{where}: its size is unknown, every parameter is a single number; add an Input "
                "node with a shape"
            )
        shape, problems = self._shape, self._problems
        values: dict[str, np.ndarray] = {}
        before = len(problems)
        for key, value in parameters.items():
            full = spread(value, shape)
            if full is None:
                problems.append(
                    f"{where}: {key} has shape {value.shape}; it must be {shape}, or one number"
                )
            else:
                values[key] = full
        neuron = None
        if len(problems) == before and all(key in values for key in NEURON_PARAMETERS[kind]):
            neuron = discretise(where, kind, values, self._dialect, self._dt, problems, self._notes)
        if neuron is not None:
            self._add(where, name, neuron)
        # A broken neuron is reported; its shape is known, so that the check can go on.
        self._source, self._last_kind = name, kind
        self._weight, self._bias, self._folded = None, None, []
        return None

    def _add(self, where: str, name: str, neuron: Neuron) -> None:
        size = len(neuron.decay)
        if self._weight is None:
            self._notes.append(f"{where}: fed by {self._source!r} directly: identity weights")
            self._weight, self._folded = np.eye(size), ["identity"]
        self.projections.append(
            Projection.dense(
                name="+".join(self._folded),
                source=self._source,
                target=name,
                weight=self._weight,
                bias=np.zeros(size) if self._bias is None else self._bias,
            )
        )
        self.populations.append(Population(name=name, shape=self._shape, neuron=neuron))

    def finish(self, output_shape: Shape | None, output_name: str) -> None:
        """The chain's end: it must lie on a neuron, and agree with the Output node's shape."""
        if self._weight is not None or not self._last_kind:
            last = f"node {self._folded[-1]!r}" if self._folded else f"node {self._source!r}"
            self._problems.append(
                f"{last}: the network ends without a neuron; put an LIF, IF or LI node before "
                "the output"
            )
        elif output_shape and np.prod(output_shape) != np.prod(self._shape):
            self._problems.append(
                f"node {output_name!r} (Output): shape {output_shape}, but "
                f"{self._source!r} has shape {self._shape}"
            )
