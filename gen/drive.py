# SPDX-License-Identifier: Apache-2.0
"""What drives a population: all its projections as one matrix, in the membrane's units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.network import Current, Population, Projection

__all__ = ["Drive", "Source", "drive_of"]

NEAR = 1e-6
"""A gain this close to 1 is 1: float32 noise."""


@dataclass(frozen=True)
class Source:
    """One source of a population; its columns stand together."""

    name: str
    n: int
    recurrent: bool
    """Its step t acts in step t + 1."""


@dataclass(frozen=True, eq=False)
class Drive:
    """``X = weight @ spikes (+ late)``, through the synaptic current where there is one; then
    ``u = leak(v) + X + bias``. All arrays float64, in the membrane's units."""

    sources: tuple[Source, ...]
    """In the order of the columns: recurrent ones first, then the others, each in the network's
    order. A source stands there once as either."""
    weight: np.ndarray
    """(n, columns). The gains of the current and of the membrane are in it."""
    bias: np.ndarray
    """(n,), added to the membrane in every step."""
    late: np.ndarray
    """(n,), added to X in every step but a sample's first: biases of recurrent projections."""
    current_bias: np.ndarray | None
    """(n,), added to X in every step; None where there is no current, and it is in `bias`."""

    def columns(self) -> list[slice]:
        """Where each source's columns are."""
        ends = np.cumsum([0, *(source.n for source in self.sources)]).tolist()
        return [slice(a, b) for a, b in pairwise(ends)]


def drive_of(
    population: Population,
    projections: Sequence[Projection],
    order: Sequence[str],
    early: frozenset[str] = frozenset(),
) -> Drive:
    """The projections into a population as one.

    `order`: names of inputs and populations, sources first. `early`: as `Network.early`. Raises
    `InputError` where a projection is no matrix, naming it.
    """
    neuron = population.neuron
    gain = _snapped(neuron.gain)
    if neuron.current is not None:
        gain = gain * _snapped(neuron.current.gain)
    found: dict[tuple[bool, int], np.ndarray] = {}
    bias, late = np.zeros(population.n), np.zeros(population.n)
    for projection in projections:
        late_source = projection.recurrent or projection.source in early
        key = not late_source, order.index(projection.source)
        found[key] = found[key] + projection.weight if key in found else projection.weight
        when = neuron.dialect.bias_at_t0 if projection.recurrent else True
        if when is True:
            bias = bias + projection.bias
        elif when is False:
            late = late + projection.bias
    keys = sorted(found)
    bias, late, current_bias = bias * gain, late * gain, None
    if neuron.current is not None:
        # A current that rests elsewhere than at 0 is one that rests at 0, and a constant.
        current_bias, bias = bias, _rest(population.name, neuron.current) * neuron.gain
    return Drive(
        sources=tuple(
            Source(name=order[k], n=found[forward, k].shape[1], recurrent=not forward)
            for forward, k in keys
        ),
        weight=np.concatenate([found[key] for key in keys], axis=1) * gain[:, None],
        bias=bias + neuron.offset,
        late=late,
        current_bias=current_bias,
    )


def _rest(name: str, current: Current) -> np.ndarray:
    """Where the current stays without input; it must begin there."""
    decay, zero = current.decay, np.zeros_like(current.decay)
    init = zero if current.init is None else current.init
    offset = zero if current.offset is None else current.offset
    if not np.allclose(offset, (1 - decay) * init, rtol=1e-5, atol=1e-9 * np.abs(offset).max()):
        raise InputError(
            f"node {name!r}: its synaptic current begins at {init[0]:g} and rests elsewhere; such "
            "a current cannot be mapped so far"
        )
    return init


def _snapped(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values - 1) <= NEAR, 1.0, values)
