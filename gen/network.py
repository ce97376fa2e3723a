# SPDX-License-Identifier: Apache-2.0
"""A trained network in float, discretised exactly as its source framework does it.

A `Network` is a graph of populations (neurons with state) joined by projections (weights). The
importers make it; the float reference runs it; the quantiser turns it into integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spikefab.gen.dialect import Dialect
from spikefab.gen.errors import InputError

__all__ = ["Network", "Neuron", "Population", "Projection"]

Array = np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Neuron:
    """The discrete-time neuron of one population: ``u = decay * v + gain * (W @ x + b) + offset``.

    Every array is float64 of shape (n,), n the population's neurons in C order. The order of
    reset, leak and comparison is the dialect's; `docs/numeric-contract.md` writes it out.
    """

    spiking: bool
    """False for a leaky integrator (LI)."""
    decay: Array
    """What the membrane keeps each step; 1 for IF."""
    gain: Array
    """Factor on the input current."""
    offset: Array
    """Added each step: the leak's pull towards v_leak."""
    threshold: Array
    v_reset: Array
    v_init: Array
    v_min: Array | None
    dialect: Dialect
    """Every field set; names the order of operations and the framework's float formula."""
    parameters: dict[str, Array] = field(default_factory=dict)
    """The source node's own values (tau, r, v_leak, …), each (n,), and `dt`, for the float
    reference, which repeats the framework's formula operation by operation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """Neurons with state. `name` is the source graph's node name."""

    name: str
    shape: tuple[int, ...]
    neuron: Neuron

    @property
    def n(self) -> int:
        return int(np.prod(self.shape, dtype=int))


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """A dense connection from a population or input to a population."""

    name: str
    """Node names that were folded into it, joined by '+'."""
    source: str
    target: str
    weight: Array
    """float64 (n_target, n_source)."""
    bias: Array
    """float64 (n_target,), zeros where the graph has none; multiplied by the neuron's gain."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A network as the source framework runs it."""

    name: str
    input_name: str
    input_shape: tuple[int, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    output_name: str
    """The output node's name; its source is the last population of the chain."""
    dialect: Dialect
    dt: float
    """Seconds a step."""
    steps: int | None = None
    """Steps a sample, where known."""
    notes: tuple[str, ...] = ()
    """What the importer assumed, folded or recognised; shown to the user."""

    @property
    def n_inputs(self) -> int:
        return int(np.prod(self.input_shape, dtype=int))

    def chain(self) -> list[tuple[Projection, Population]]:
        """The network as a feed-forward chain from input to output.

        Raises `InputError`, naming the population, where it is not one.
        """
        by_source: dict[str, list[Projection]] = {}
        for projection in self.projections:
            by_source.setdefault(projection.source, []).append(projection)
        populations = {p.name: p for p in self.populations}
        here = self.input_name
        out: list[tuple[Projection, Population]] = []
        while here in by_source:
            if len(by_source[here]) > 1 or len(out) > len(self.projections):
                raise InputError(f"node {here!r}: only sequential networks can be mapped so far")
            (projection,) = by_source[here]
            out.append((projection, populations[projection.target]))
            here = projection.target
        if len(out) != len(self.populations):
            raise InputError("only sequential networks can be mapped so far")
        return out
