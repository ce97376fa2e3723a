# SPDX-License-Identifier: Apache-2.0
"""A trained network in float, discretised exactly as its source framework does it.

A `Network` is a graph: inputs and populations (neurons with state) are joined by projections
(weights), and outputs name populations. The importers make it; the float reference runs it; the
quantiser turns it into integers.

**A step.** Populations are computed in the order of `Network.layers`. A population's current is
the sum of its projections' values. A projection carries what its source puts out in this step; a
recurrent one carries what it put out in the step before (nothing in the first). A spiking
population puts out its spikes, another one its membrane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from spikefab.gen.dialect import Dialect
from spikefab.gen.errors import InputError
from spikefab.gen.operations import Bias, Delay, Dense, Operation

__all__ = ["Current", "Input", "Network", "Neuron", "Output", "Population", "Projection"]

Array = np.ndarray

MAX_COMPOSED = 1 << 26
"""Synapses of a projection that is composed into one dense matrix: 512 MiB of float64."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Current:
    """A synaptic current in front of the membrane (CubaLIF, CubaLI).

    It keeps `decay` of itself each step, and the projections' sum times `gain` is added; the
    dialect's `synapse_order` says when. The membrane takes it as its input x.
    """

    decay: Array
    gain: Array
    offset: Array | None = None
    """Added each step, where Norse's import has the current leak towards v_leak; None: 0."""
    init: Array | None = None
    """Current before the first step; None: 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Neuron:
    """The discrete-time neuron of one population: ``u = decay * v + gain * x + offset``.

    x is the sum of the projections, or the synaptic `current` that they drive. Every array is
    float64 of shape (n,), n the population's neurons in C order. The order of reset, leak and
    comparison is the dialect's; `docs/numeric-contract.md` writes it out.
    """

    spiking: bool
    """False for what puts out its membrane: LI, CubaLI, I, and a readout."""
    decay: Array
    """What the membrane keeps each step; 1 for IF and I, 0 for a Threshold and a readout."""
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
    current: Current | None = None
    """The synapse's own state; None where the membrane is driven directly."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """Where events come in. `name` is the source graph's node name."""

    name: str
    shape: tuple[int, ...]

    @property
    def n(self) -> int:
        return int(np.prod(self.shape, dtype=int))


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is read: `name` is the source graph's node name, `source` a population's."""

    name: str
    source: str


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
    """A connection from a population or an input to a population.

    Several into one population add up, also several from one source.
    """

    name: str
    """Node names that were folded into it, joined by '+'; `identity` where there is none."""
    source: str
    target: str
    operations: tuple[Operation, ...]
    """Applied in order to what the source puts out; none for the identity."""
    recurrent: bool = False
    """Carries step t of the source into step t + 1 of the target."""
    n_source: int = 0
    """Values that the source puts out; 0 to take what the first operation takes."""

    def __post_init__(self) -> None:
        if not self.n_source and not self.operations:
            raise InputError(
                f"projection {self.source!r} -> {self.target!r}: an identity needs n_source"
            )
        if not self.n_source:
            object.__setattr__(self, "n_source", self.operations[0].n_in)

    @property
    def n_target(self) -> int:
        return self.operations[-1].n_out if self.operations else self.n_source

    @staticmethod
    def dense(*, weight: Array, bias: Array | None = None, **others: Any) -> Projection:
        """A projection of one matrix (n_target, n_source) and a bias (n_target,)."""
        operations: list[Operation] = [Dense(weight=weight)]
        if bias is not None and np.any(bias != 0):
            operations.append(Bias(shape=bias.shape, value=bias))
        return Projection(operations=tuple(operations), **others)

    @cached_property
    def delayed(self) -> bool:
        """Whether a value takes more than its step."""
        return any(isinstance(op, Delay) and bool(np.any(op.steps)) for op in self.operations)

    @cached_property
    def weight(self) -> Array:
        """All operations as one matrix, float64 (n_target, n_source).

        Raises `InputError` where a delay stands between, or where the matrix would be larger
        than `MAX_COMPOSED`.
        """
        return self._composed[0]

    @cached_property
    def bias(self) -> Array:
        """What the operations make of silence, float64 (n_target,); see `weight`."""
        return self._composed[1]

    @cached_property
    def _composed(self) -> tuple[Array, Array]:
        if self.delayed:
            raise InputError(f"node {self.name!r}: holds a delay, which no weight matrix expresses")
        operations = self.operations or (Dense(weight=np.eye(self.n_source)),)
        widest = max(self.n_source * op.n_out for op in operations)
        if widest > MAX_COMPOSED:
            raise InputError(
                f"node {self.name!r}: as one dense matrix it has {widest:,} weights, more than "
                f"{MAX_COMPOSED:,}; make the layer smaller"
            )
        first, *others = operations
        weight, bias = first.matrix(), first.apply(np.zeros((1, first.n_in)))
        for op in others:
            if not isinstance(op, Bias):
                weight = op.apply(weight.T).T
            bias = op.apply(bias)
        return np.ascontiguousarray(weight), bias[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A network as the source framework runs it."""

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    dialect: Dialect
    dt: float
    """Seconds a step."""
    steps: int | None = None
    """Steps a sample, where known."""
    notes: tuple[str, ...] = ()
    """What the importer assumed, folded or recognised; shown to the user."""

    @property
    def input_name(self) -> str:
        return self._only(self.inputs, "input").name

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._only(self.inputs, "input").shape

    @property
    def output_name(self) -> str:
        return self._only(self.outputs, "output").name

    @property
    def n_inputs(self) -> int:
        """Values of all inputs together."""
        return sum(i.n for i in self.inputs)

    def _only(self, ends: tuple[Any, ...], what: str) -> Any:
        if len(ends) != 1:
            names = ", ".join(repr(end.name) for end in ends)
            raise InputError(f"nodes {names}: {len(ends)} {what}s, not one")
        return ends[0]

    def size(self, name: str) -> int:
        """Values that an input or a population puts out."""
        sources: tuple[Input | Population, ...] = (*self.inputs, *self.populations)
        return next(s.n for s in sources if s.name == name)

    @cached_property
    def early(self) -> frozenset[str]:
        """Populations whose output lags a step, and that are fed back.

        Such a feedback carries in step t what the membranes after step t - 1 made them put out: not
        the lagging output of step t - 1, but the one of step t. In integers they put out each
        step's own spikes, and all that takes them takes them a step later, which is the same.
        """
        fed_back = {projection.source for projection in self.projections if projection.recurrent}
        return frozenset(
            p.name
            for p in self.populations
            if p.name in fed_back and p.neuron.spiking and p.neuron.dialect.output_lag
        )

    def layers(self) -> list[tuple[Population, tuple[Projection, ...]]]:
        """Populations with the projections into them, sources first; recurrent edges don't count.

        Raises `InputError` where a cycle has no recurrent edge in it.
        """
        into: dict[str, list[Projection]] = {p.name: [] for p in self.populations}
        for projection in self.projections:
            into[projection.target].append(projection)
        done = {i.name for i in self.inputs}
        left = list(self.populations)
        out = []
        while left:
            ready = next(
                (p for p in left if all(e.recurrent or e.source in done for e in into[p.name])),
                None,
            )
            if ready is None:
                names = ", ".join(repr(p.name) for p in left)
                raise InputError(f"nodes {names}: a cycle has no recurrent edge in it")
            left.remove(ready)
            done.add(ready.name)
            out.append((ready, tuple(into[ready.name])))
        return out
