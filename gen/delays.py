# SPDX-License-Identifier: Apache-2.0
"""Projections with delays: which weight acts how many steps late, and which bias begins when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.network import MAX_COMPOSED, Projection
from spikefab.gen.operations import Bias, Delay, Operation, Scale
from spikefab.hdl.sparse_params import MAX_DELAY

__all__ = ["late_biases", "late_weights", "one_delay", "undelayed"]

Array = np.ndarray


def late_weights(projection: Projection) -> dict[int, Array]:
    """The projection's matrix, float64 (n_target, n_source), in parts that act many steps late."""
    if not projection.delayed:
        return {0: projection.weight}
    bare = undelayed(projection)
    if bare is not None:
        weight, delays = bare[0].weight, bare[1]
        assert delays is not None
        steps = np.unique(delays).tolist()
        return {d: weight if len(steps) == 1 else np.where(delays == d, weight, 0) for d in steps}
    n = projection.n_source
    widest = max(n * op.n_out for op in projection.operations)
    if widest > MAX_COMPOSED:
        raise InputError(
            f"node {projection.name!r}: as one dense matrix it has {widest:,} weights, more than "
            f"{MAX_COMPOSED:,}; make the layer smaller"
        )
    parts = {0: np.eye(n)}  # a row a source
    for op in projection.operations:
        parts = _through(op, parts)
    found = {d: part.T for d, part in parts.items() if part.any()} or {0: parts[min(parts)].T}
    _check(projection, max(found))
    return found


def _check(projection: Projection, longest: int) -> None:
    if longest > MAX_DELAY:
        raise InputError(
            f"node {projection.name!r}: a delay of {longest} steps; the hardware keeps at most "
            f"{MAX_DELAY}: take a longer step, dt"
        )


def late_biases(projection: Projection) -> dict[int, Array]:
    """What the operations make of silence, (n_target,), in parts that begin in so many steps."""
    parts = {0: np.zeros((1, projection.n_source))}
    for op in projection.operations:
        parts = _through(op, parts)
        if isinstance(op, Bias):
            now = parts.get(0, np.zeros((1, op.n_out)))
            parts[0] = now + op.value
    return {first: part[0] for first, part in parts.items()}


def _through(op: Operation, parts: Mapping[int, Array]) -> dict[int, Array]:
    """What an operation, without its bias, makes of parts (rows, n_in) by their delays."""
    if isinstance(op, Bias):
        return dict(parts)
    if not isinstance(op, Delay):
        return {d: op.apply(part) for d, part in parts.items()}
    found: dict[int, Array] = {}
    for d, part in parts.items():
        for steps in np.unique(op.steps).tolist():
            own = np.where(op.steps == steps, part, 0.0)
            found[d + steps] = found[d + steps] + own if d + steps in found else own
    return found


def one_delay(name: str, parts: Mapping[int, Array]) -> tuple[Array, Array | None]:
    """Parts of a matrix (n, n_source) by delay, as the matrix and the delay of each weight:
    (n_source,) where all of a source's have the same, else (n, n_source); None where all are 0.

    Raises `InputError` where a source acts on a neuron with several delays.
    """
    weight = sum(parts.values(), np.zeros_like(next(iter(parts.values()))))
    delays, taken = np.zeros(weight.shape, np.int64), np.zeros(weight.shape, bool)
    for d in sorted(parts):
        there = parts[d] != 0
        if (there & taken).any():
            target, source = np.argwhere(there & taken)[0].tolist()
            raise InputError(
                f"node {name!r}: carries value {source} of its source to neuron {target} with "
                f"delays of {delays[target, source]} and of {d} steps; so far a synapse has one: "
                "put a population between"
            )
        delays[there], taken = d, taken | there
    if not delays.any():
        return weight, None
    own = np.where(taken, delays, -1).max(axis=0)
    if (np.where(taken, delays, own) == own).all():
        return weight, np.maximum(own, 0)
    return weight, delays


def undelayed(projection: Projection) -> tuple[Projection, Array | None] | None:
    """The projection without its delays, and these as a delay a source, (n_source,); None where
    they are none."""
    if not projection.delayed:
        return projection, None
    delays, kept = np.zeros(projection.n_source, np.int64), []
    for op in projection.operations:
        if not isinstance(op, Delay):
            kept.append(op)
        elif np.ptp(op.steps) == 0:
            delays = delays + op.steps[0]
        elif all(isinstance(before, Scale | Bias) for before in kept):
            delays = delays + op.steps
        else:
            return None
    _check(projection, int(delays.max()))
    return replace(projection, operations=tuple(kept)), delays
