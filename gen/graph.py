# SPDX-License-Identifier: Apache-2.0
"""From named nodes and edges to a `Network`: what every importer ends in.

The stages: the structure is checked (`gen/graph_ends.py`), shapes are inferred node by node, the
ways between populations become projections, and each neuron is discretised. Everything that is
wrong is collected; `docs/decisions/graphs.md` says how graphs are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spikefab.gen.dialect import Dialect
from spikefab.gen.discretise import NEURON_PARAMETERS, Kind, discretise
from spikefab.gen.errors import InputError
from spikefab.gen.graph_ends import Frame, frame_of
from spikefab.gen.graph_ways import Way, operations_of, order_of, ways_to
from spikefab.gen.network import Input, Network, Neuron, Output, Population, Projection
from spikefab.gen.nir_nodes import make_stage
from spikefab.gen.nir_order import arrange
from spikefab.gen.nir_read import Graph
from spikefab.gen.nir_reader import Reader, Stage
from spikefab.gen.operations import Operation
from spikefab.gen.spread import Shape, same_shape, size_of, spread, unbatched

__all__ = ["build_network"]

EXTRAS = ("decay", "decay_syn", "v_init")
"""What a config may state of a neuron beyond NIR's parameters."""

OLDER = {"v_reset": 0.0, "w_in": 1.0}
"""Parameters that older schemas lack, with what nir means by that."""


def build_network(
    graph: Graph,
    *,
    name: str,
    dialect: Dialect,
    dt: float,
    steps: int | None,
    problems: list[str],
    notes: list[str],
) -> Network:
    """The network of a graph without nested graphs, whose edges all have ends.

    `problems` and `notes` hold what was found before. Raises `InputError` with every problem.
    """
    frame = frame_of(graph, problems, notes)
    if frame is None:
        raise InputError(problems)
    return _Builder(frame, dialect, dt, problems, notes).network(name, steps)


@dataclass
class _Cell:
    """A neuron node whose parameters fit its shape."""

    kind: Kind
    shape: Shape
    values: dict[str, np.ndarray] | None
    """None after a problem."""


@dataclass
class _Builder:
    frame: Frame
    dialect: Dialect
    dt: float
    problems: list[str]
    notes: list[str]
    shapes: dict[str, Shape | None] = field(default_factory=dict)
    """What each node puts out; None where that is unknown, after a problem."""
    stages: dict[str, Stage] = field(default_factory=dict)
    cells: dict[str, _Cell] = field(default_factory=dict)

    def network(self, name: str, steps: int | None) -> Network:
        self._infer()
        if self.problems:
            # The neurons are still checked, as far as their parameters are whole.
            for key, cell in self.cells.items():
                self._discretise(key, cell, False)
            raise InputError(list(dict.fromkeys(self.problems)))
        outputs = self._outputs()
        frame, targets = self.frame, (*self.cells, *self._readouts)
        ways = [w for t in targets for w in ways_to(t, frame.before, self.stages, self.problems)]
        order, back = order_of(ways, (*frame.inputs, *targets), frame.inputs)
        projections = [
            self._projection(way, operations, (way.source, way.target) in back)
            for way, operations in operations_of(ways, order, self.stages)
        ]
        populations = []
        for key in order:
            loops = any(way.source == way.target == key for way in ways)
            if key in self.cells:
                cell = self.cells[key]
                neuron = self._discretise(key, cell, loops)
                if neuron is not None:
                    populations.append(Population(name=key, shape=cell.shape, neuron=neuron))
            elif key in self._readouts:
                shape = self._readouts[key]
                neuron = _readout(size_of(shape), self.dialect, self.dt)
                populations.append(Population(name=key, shape=shape, neuron=neuron))
        if self.problems:
            raise InputError(list(dict.fromkeys(self.problems)))
        return Network(
            name=name,
            inputs=tuple(Input(name=n, shape=s) for n, s in self.frame.inputs.items()),
            outputs=tuple(outputs),
            populations=tuple(populations),
            projections=tuple(projections),
            dialect=self.dialect,
            dt=self.dt,
            steps=self.frame.steps if steps is None else steps,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    # Shapes.

    def _infer(self) -> None:
        """Shapes, operations and neurons of all nodes, sources first."""
        frame = self.frame
        order, _ = arrange(frame.after, frame.inputs)
        self.shapes.update(frame.inputs)
        for name in order:
            if name in frame.inputs:
                continue
            reader = Reader(name, frame.nodes[name], self.problems, self.notes)
            shape = next(
                (s for s in (self.shapes.get(b) for b in frame.before[name]) if s is not None), None
            )
            if reader.node.kind in NEURON_PARAMETERS:
                self.shapes[name] = self._cell(reader, shape)
            elif reader.node.kind == "Output":
                self.shapes[name] = self._output(reader, shape)
            else:
                self.stages[name] = stage = make_stage(reader, shape, self.dt)
                self.shapes[name] = stage.shape
        for name in order:
            self._check_join(name)

    def _check_join(self, name: str) -> None:
        known = [(b, s) for b in self.frame.before[name] if (s := self.shapes[b]) is not None]
        for source, shape in known[1:]:
            if not same_shape(shape, known[0][1]):
                self.problems.append(
                    f"node {name!r} ({self.frame.nodes[name].kind}): is fed shape {known[0][1]} by "
                    f"{known[0][0]!r} and {shape} by {source!r}; what is added up must agree"
                )

    def _cell(self, reader: Reader, shape: Shape | None) -> Shape | None:
        kind: Kind = reader.node.kind  # type: ignore[assignment]
        given: dict[str, np.ndarray] = {}
        whole = True
        for key in (*NEURON_PARAMETERS[kind], *EXTRAS):
            if reader.node.values.get(key) is None and key in OLDER:
                given[key] = np.full((), OLDER[key])
            elif key not in EXTRAS or key in reader.node.values:
                value = reader.array(key)
                whole &= value is not None
                if value is not None:
                    given[key] = value
        shapes = [unbatched(v.shape) for v in given.values() if v.size > 1]
        largest = max(shapes, key=size_of, default=())
        if shape is None or (len(shape) == 1 and len(largest) > 1 and size_of(largest) == shape[0]):
            shape = largest or None
        if shape is None:
            return None
        full = {key: spread(value, shape) for key, value in given.items()}
        for key, value in full.items():
            if value is None:
                hint = f", ({shape[0]},) for one a channel," if len(shape) > 1 else ","
                reader.fail(
                    f"{key} has shape {given[key].shape}; it must be {shape}{hint} or one number"
                )
        fits = {key: value for key, value in full.items() if value is not None}
        whole &= len(fits) == len(full)
        self.cells[reader.name] = _Cell(kind, shape, fits if whole else None)
        return shape

    def _discretise(self, name: str, cell: _Cell, loops: bool) -> Neuron | None:
        if cell.values is None:
            return None
        where = f"node {name!r} ({cell.kind})"
        return discretise(where, cell.kind, cell.values, self.dialect, self.dt, self.problems,
                          self.notes, recurrent=loops)  # fmt: skip

    def _output(self, reader: Reader, shape: Shape | None) -> Shape | None:
        stated = self.frame.outputs[reader.name]
        if stated and shape is not None and size_of(stated) != size_of(shape):
            source = self.frame.before[reader.name][0]
            reader.fail(f"shape {stated}, but {source!r} has shape {shape}")
        return shape

    # Connections.

    def _outputs(self) -> list[Output]:
        """Each output's population; a readout where none alone feeds it as it is."""
        self._readouts: dict[str, Shape] = {}
        found = []
        for name in self.frame.outputs:
            sources = self.frame.before[name]
            while len(sources) == 1 and self._silent(sources[0]):
                sources = self.frame.before[sources[0]]
            if len(sources) == 1 and sources[0] in self.cells:
                found.append(Output(name=name, source=sources[0]))
                continue
            shape = self.shapes[name]
            assert shape is not None
            self._readouts[name] = shape
            found.append(Output(name=name, source=name))
            self.notes.append(
                f"node {name!r} (Output): is fed by {', '.join(map(repr, sources))} without a "
                "neuron between: what comes in each step is read, like a membrane that forgets all"
            )
        return found

    def _silent(self, name: str) -> bool:
        """A node that hands on what comes."""
        return name in self.stages and not self.stages[name].operations

    def _projection(
        self, way: Way, operations: tuple[Operation, ...], recurrent: bool
    ) -> Projection:
        shape = self.shapes[way.source]
        assert shape is not None
        named = [n for n in way.nodes if self.stages[n].operations]
        if len(named) > 1:
            self.notes.append(
                f"nodes {', '.join(map(repr, named))} are folded into one connection to "
                f"{way.target!r}"
            )
        elif not named and way.target in self.cells:
            self.notes.append(
                f"node {way.target!r} ({self.cells[way.target].kind}): fed by {way.source!r} "
                "directly: identity weights"
            )
        if recurrent:
            through = f" through {'+'.join(named)!r}" if named else ""
            self.notes.append(
                f"node {way.target!r}: is fed back by {way.source!r}{through}: what it puts "
                "out in a step counts in the next"
            )
        return Projection(
            name="+".join(named) or "identity",
            source=way.source,
            target=way.target,
            operations=operations,
            recurrent=recurrent,
            n_source=size_of(shape),
        )


def _readout(n: int, dialect: Dialect, dt: float) -> Neuron:
    """What puts out the sum of its inputs: a membrane that keeps nothing."""
    zeros, ones = np.zeros(n), np.ones(n)
    return Neuron(
        spiking=False,
        decay=zeros,
        gain=ones,
        offset=zeros,
        threshold=ones,
        v_reset=zeros,
        v_init=zeros,
        v_min=None,
        dialect=dialect,
        parameters={"dt": np.full(n, dt)},
    )
