# SPDX-License-Identifier: Apache-2.0
"""What drives a population: all its projections as one matrix, in the membrane's units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.network import Current, Population, Projection
from spikefab.gen.shared_drive import kernels_of
from spikefab.hdl.conv_params import ConvParams

__all__ = ["Drive", "Source", "drive_of"]

NEAR = 1e-6
"""A gain this close to 1 is 1: float32 noise."""


@dataclass(frozen=True)
class Source:
    """One source of a population; its columns stand together."""

    name: str
    n: int
    """Columns."""
    recurrent: bool
    """Its step t acts in step t + 1."""
    conv: ConvParams | None = None
    """Where the columns are those of a kernel, (in_channels / groups, KH, KW) in C order."""


@dataclass(frozen=True, eq=False)
class Drive:
    """``X = weight @ spikes (+ late)``, through the synaptic current where there is one; then
    ``u = leak(v) + X + bias``. All arrays float64, in the membrane's units."""

    sources: tuple[Source, ...]
    """In the order of the columns: recurrent ones first, then the others, each in the network's
    order. A source stands there once as either."""
    weight: np.ndarray
    """(n, columns), or of kernels (out_channels, columns), whose rows serve the neurons of their
    channel. The gains of the current and of the membrane are in it."""
    bias: np.ndarray
    """(n,), added to the membrane in every step."""
    late: np.ndarray
    """(n,), added to X in every step but a sample's first: biases of recurrent projections."""
    current_bias: np.ndarray | None
    """(n,), added to X in every step; None where there is no current, and it is in `bias`."""

    @property
    def positions(self) -> int:
        """Neurons that share a row."""
        return len(self.bias) // len(self.weight)

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
    keys = [(not (p.recurrent or p.source in early), order.index(p.source)) for p in projections]
    bias, late = np.zeros(population.n), np.zeros(population.n)
    for projection in projections:
        when = neuron.dialect.bias_at_t0 if projection.recurrent else True
        if when is True:
            bias = bias + _bias(projection)
        elif when is False:
            late = late + _bias(projection)
    parts = _shared(projections, keys, gain) or _matrices(projections, keys, gain)
    bias, late, current_bias = bias * gain, late * gain, None
    if neuron.current is not None:
        # A current that rests elsewhere than at 0 is one that rests at 0, and a constant.
        current_bias, bias = bias, _rest(population.name, neuron.current) * neuron.gain
    return Drive(
        sources=tuple(
            Source(name=order[k], n=part.shape[1], recurrent=not forward, conv=conv)
            for (forward, k), (conv, part) in sorted(parts.items())
        ),
        weight=np.concatenate([part for _, (_, part) in sorted(parts.items())], axis=1),
        bias=bias + neuron.offset,
        late=late,
        current_bias=current_bias,
    )


Key = tuple[bool, int]
Parts = dict[Key, tuple[ConvParams | None, np.ndarray]]


def _matrices(projections: Sequence[Projection], keys: Sequence[Key], gain: np.ndarray) -> Parts:
    parts: Parts = {}
    for projection, key in zip(projections, keys, strict=True):
        weight = projection.weight * gain[:, None]
        parts[key] = None, parts[key][1] + weight if key in parts else weight
    return parts


def _shared(
    projections: Sequence[Projection], keys: Sequence[Key], gain: np.ndarray
) -> Parts | None:
    """The projections as kernels; None where they are none, or where a gain is not a channel's."""
    kernels = kernels_of(projections, len(gain))
    if kernels is None:
        return None
    channels = gain.reshape(kernels[0].params.out_channels, -1)
    if (channels != channels[:, :1]).any():
        return None
    parts: Parts = {}
    for kernel, key in zip(kernels, keys, strict=True):
        weight = kernel.weight.reshape(len(channels), -1) * channels[:, :1]
        if key in parts:
            conv, other = parts[key]
            if conv != kernel.params:
                return None
            weight = weight + other
        parts[key] = kernel.params, weight
    return parts


def _bias(projection: Projection) -> np.ndarray:
    """What the operations make of silence, (n,)."""
    x = np.zeros((1, projection.n_source))
    for op in projection.operations:
        x = op.apply(x)
    return x[0]


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
