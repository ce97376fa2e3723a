# SPDX-License-Identifier: Apache-2.0
"""What drives a population: all its projections as one matrix, in the membrane's units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from spikefab.gen.delays import late_biases, late_weights, one_delay, undelayed
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
    delays: np.ndarray | None = field(default=None, compare=False)
    """Steps by which it acts later: (values of the source,), or one a weight; None: 0."""


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
    """(n,), added to X in every step but a sample's first: biases of recurrent projections, and
    those behind a delay of one step."""
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
        for first, value in late_biases(projection).items():
            if when == "never" or not value.any():
                continue
            begins = max(first, 0 if when is True else 1)
            if begins > 1:
                raise InputError(
                    f"node {projection.name!r}: its bias stands in front of a delay and begins in "
                    f"step {begins} of a sample; so far it can begin in step 0 or 1: put the delay "
                    "in front of the bias"
                )
            bias, late = (bias, late + value) if begins else (bias + value, late)
    parts = _shared(projections, keys, gain) or _matrices(projections, keys, gain)
    bias, late, current_bias = bias * gain, late * gain, None
    if neuron.current is not None:
        # A current that rests elsewhere than at 0 is one that rests at 0, and a constant.
        current_bias, bias = bias, _rest(population.name, neuron.current) * neuron.gain
    return Drive(
        sources=tuple(
            Source(name=order[k], n=part.shape[1], recurrent=not forward, conv=conv, delays=delays)
            for (forward, k), (conv, part, delays) in _sorted(parts)
        ),
        weight=np.concatenate([part for _, (_, part, _) in _sorted(parts)], axis=1),
        bias=bias + neuron.offset,
        late=late,
        current_bias=current_bias,
    )


Key = tuple[bool, int]
Part = tuple[ConvParams | None, np.ndarray, np.ndarray | None]
"""A convolution, weights, delays."""
Parts = dict[Key, Part]


def _sorted(parts: Parts) -> list[tuple[Key, Part]]:
    return sorted(parts.items(), key=lambda item: item[0])


def _matrices(projections: Sequence[Projection], keys: Sequence[Key], gain: np.ndarray) -> Parts:
    found: dict[Key, dict[int, np.ndarray]] = {}
    names: dict[Key, str] = {}
    for projection, key in zip(projections, keys, strict=True):
        own = found.setdefault(key, {})
        for late, part in late_weights(projection).items():
            weight = part * gain[:, None]
            own[late] = own[late] + weight if late in own else weight
        names[key] = projection.name
    return {key: (None, *one_delay(names[key], own)) for key, own in found.items()}


def _shared(
    projections: Sequence[Projection], keys: Sequence[Key], gain: np.ndarray
) -> Parts | None:
    """The projections as kernels; None where they are none, or where a gain is not a channel's."""
    bare = [undelayed(projection) for projection in projections]
    able = [each for each in bare if each is not None]
    kernels = kernels_of([projection for projection, _ in able], len(gain))
    if kernels is None or len(able) < len(bare):
        return None
    channels = gain.reshape(kernels[0].params.out_channels, -1)
    if (channels != channels[:, :1]).any():
        return None
    parts: Parts = {}
    for kernel, key, (_, delays) in zip(kernels, keys, able, strict=True):
        weight = kernel.weight.reshape(len(channels), -1) * channels[:, :1]
        if key in parts:
            conv, other, late = parts[key]
            if conv != kernel.params or not _same(delays, late):
                return None
            weight = weight + other
        parts[key] = kernel.params, weight, delays
    return parts


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return bool(np.all((0 if a is None else a) == (0 if b is None else b)))


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
