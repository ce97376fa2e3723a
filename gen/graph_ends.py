# SPDX-License-Identifier: Apache-2.0
"""Where a graph begins and ends, what lies between, and whether it can be run at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spikefab.gen.discretise import NEURON_PARAMETERS
from spikefab.gen.nir_flatten import PASS
from spikefab.gen.nir_nodes import STATELESS
from spikefab.gen.nir_order import components, natural, reach
from spikefab.gen.nir_read import Graph, Node
from spikefab.gen.nir_reader import wanted_shape
from spikefab.gen.spread import MAX_VALUES, Shape, size_of

__all__ = ["Frame", "frame_of", "supported"]


@dataclass
class Frame:
    """A graph's nodes from inputs to outputs; neighbours are sorted by name."""

    nodes: dict[str, Node]
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    """The shape that an Output node states; () where it states none."""
    after: dict[str, list[str]]
    before: dict[str, list[str]]
    steps: int | None
    """Time steps, where an Input node's shape counts them."""


def supported() -> tuple[str, ...]:
    """Node types that are understood, as NIR names them."""
    stateless = [kind for kind in STATELESS if kind != PASS]
    return ("Input", "Output", *stateless, *NEURON_PARAMETERS, "NIRGraph")


def frame_of(graph: Graph, problems: list[str], notes: list[str]) -> Frame | None:
    """The graph's frame; None where the structure itself is wrong."""
    if not graph.nodes:
        problems.append("the graph has no nodes")
        return None
    before = len(problems)
    for name, node in graph.nodes.items():
        if node.kind not in (*supported(), PASS):
            problems.append(
                f"node {name!r}: {node.kind} is not supported; supported are "
                f"{', '.join(supported())}"
            )
    nodes = dict(sorted(graph.nodes.items(), key=lambda item: natural(item[0])))
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in sorted(graph.edges, key=lambda edge: natural(edge[1])):
        after[a].append(b)
    _find_stateless_cycles(nodes, after, problems)
    if len(problems) > before:
        return None
    ends = _Ends(nodes, after, problems, notes)
    inputs, outputs = ends.inputs(), ends.outputs()
    if len(problems) > before:
        return None
    kept = _between(nodes, after, inputs, outputs, problems, notes)
    after = {a: [b for b in after[a] if b in kept] for a in nodes if a in kept}
    shapes, steps = ends.input_shapes([name for name in inputs if name in kept], after)
    if len(problems) > before:
        return None
    return Frame(
        nodes={name: node for name, node in nodes.items() if name in kept},
        inputs=shapes,
        outputs={name: wanted_shape(nodes[name]) for name in outputs},
        after=after,
        before=_reversed(after),
        steps=steps,
    )


def _reversed(after: dict[str, list[str]]) -> dict[str, list[str]]:
    before: dict[str, list[str]] = {name: [] for name in after}
    for a in sorted(after, key=natural):
        for b in after[a]:
            before[b].append(a)
    return before


def _find_stateless_cycles(
    nodes: dict[str, Node], after: dict[str, list[str]], problems: list[str]
) -> None:
    stateless = {name for name, node in nodes.items() if node.kind in STATELESS}
    for group in components(stateless, after):
        if len(group) > 1 or group[0] in after[group[0]]:
            names = sorted(group, key=natural)
            problems.append(
                f"node {names[0]!r}: is part of a cycle without a neuron "
                f"({', '.join(map(repr, names))}); a cycle needs one to hold its step"
            )


def _between(
    nodes: dict[str, Node],
    after: dict[str, list[str]],
    inputs: Iterable[str],
    outputs: Iterable[str],
    problems: list[str],
    notes: list[str],
) -> set[str]:
    """Nodes on a way from an input to an output; a node that nothing reaches is a problem."""
    fed = reach(after, inputs)
    loose = [name for name in nodes if name not in fed]
    if loose:
        problems.append(
            f"nodes {', '.join(map(repr, loose))}: not connected to "
            f"{', '.join(map(repr, inputs))}; every node must lie on a way from an input"
        )
    used = reach(_reversed(after), outputs)
    for name, node in nodes.items():
        if name in fed and name not in used and node.kind == "Input":
            problems.append(f"node {name!r} (Input): leads to no output; connect it or remove it")
        elif name in fed and name not in used:
            notes.append(f"node {name!r} ({node.kind}): leads to no output; it is left out")
    return {name for name in fed if name in used}


class _Ends:
    """The Input and Output nodes, put where there is none."""

    def __init__(
        self,
        nodes: dict[str, Node],
        after: dict[str, list[str]],
        problems: list[str],
        notes: list[str],
    ):
        self._nodes, self._after = nodes, after
        self._problems, self._notes = problems, notes

    def inputs(self) -> list[str]:
        found = [name for name, node in self._nodes.items() if node.kind == "Input"]
        if found:
            return found
        before = _reversed(self._after)
        starts = [name for name in self._nodes if not before[name]]
        starts = [name for name in starts if self._nodes[name].kind != "Output"]
        if not starts:
            self._problems.append(
                "the graph has no Input node, and every node is fed by another, so that none can "
                "be put in front; add an Input node"
            )
        added = []
        for start in starts:
            name = self._free("input")
            self._nodes[name] = Node(kind="Input", values={})
            self._after[name] = [start]
            self._notes.append(f"the graph has no Input node: {name!r} is put before {start!r}")
            added.append(name)
        return added

    def outputs(self) -> list[str]:
        found = [name for name, node in self._nodes.items() if node.kind == "Output"]
        if found:
            return found
        ends = [name for name, targets in self._after.items() if not targets]
        if not ends:
            neurons = {n for n, node in self._nodes.items() if node.kind in NEURON_PARAMETERS}
            last = components(set(self._nodes), self._after)[-1]
            ends = [name for name in last if name in neurons]
            if len(ends) != 1:
                self._problems.append(
                    "the graph has no Output node, and every node feeds another, so that none can "
                    "be put behind; add an Output node"
                )
                return []
        added = []
        for end in sorted(ends, key=natural):
            if self._nodes[end].kind == "Input":
                continue
            name = self._free("output")
            self._nodes[name] = Node(kind="Output", values={})
            self._after[end].append(name)
            self._after[name] = []
            self._notes.append(f"the graph has no Output node: {name!r} is put after {end!r}")
            added.append(name)
        return added

    def _free(self, name: str) -> str:
        taken, number = name, 1
        while taken in self._nodes:
            number += 1
            taken = f"{name}{number}"
        return taken

    def input_shapes(
        self, names: list[str], after: dict[str, list[str]]
    ) -> tuple[dict[str, Shape], int | None]:
        """Each input's shape without batch and time axes, and the steps that a time axis counts."""
        shapes: dict[str, Shape] = {}
        steps: int | None = None
        for name in names:
            shape = wanted_shape(self._nodes[name]) or self._asked(name, after)
            if not shape:
                asking = name if self._nodes[name].values else after[name][0]
                self._problems.append(
                    f"node {asking!r} ({self._nodes[asking].kind}): its size is unknown, and no "
                    "node behind it states one; add an Input node with a shape"
                )
                continue
            if any(n < 1 for n in shape):
                self._problems.append(f"node {name!r}: shape {shape}: every axis must be >= 1")
                continue
            if size_of(shape) > MAX_VALUES:
                self._problems.append(
                    f"node {name!r}: shape {shape}: has more than {MAX_VALUES:,} values"
                )
                continue
            shapes[name] = shape
            if len(shape) > 3 and shape[0] == 1:
                while len(shapes[name]) > 3 and shapes[name][0] == 1:
                    shapes[name] = shapes[name][1:]
                self._notes.append(
                    f"node {name!r} (Input): shape {shape} is read as {shapes[name]}, without its "
                    "batch axis"
                )
            takes = self._dense_inputs(name, after)
            if len(shape) == 2 and takes == {shape[1]} and size_of(shape) != shape[1]:
                shapes[name], steps = shape[1:], shape[0]
                self._notes.append(
                    f"node {name!r} (Input): shape {shape}, but {shape[1]} values are taken: the "
                    f"first axis is read as {steps} time steps"
                )
        return shapes, steps

    def _asked(self, name: str, after: dict[str, list[str]]) -> Shape:
        """The shape that the nearest node behind an input states, through those that keep it."""
        seen, front = {name}, list(after[name])
        while front:
            following: list[str] = []
            for node in front:
                asked = wanted_shape(self._nodes[node])
                if asked:
                    return asked
                if node not in seen and self._nodes[node].kind in _KEEP:
                    following += after[node]
                seen.add(node)
            front = following
        return ()

    def _dense_inputs(self, name: str, after: dict[str, list[str]]) -> set[int]:
        """How many values each Linear or Affine behind an input takes; empty if others read it."""
        found: set[int] = set()
        front = list(after[name])
        while front:
            node = front.pop()
            if self._nodes[node].kind == PASS:
                front += after[node]
            elif self._nodes[node].kind in ("Linear", "Affine"):
                found.update(wanted_shape(self._nodes[node]))
            else:
                return set()
        return found


_KEEP = (PASS, "Scale", "Delay", *NEURON_PARAMETERS)
"""Kinds that put out the shape that they take."""
