# SPDX-License-Identifier: Apache-2.0
"""Nested graphs put into one, and edges of older exporters set right: names and edges only.

A nested graph's nodes are named after it: node 'lif' in 'hidden' is 'hidden.lif'. Its Input and
Output nodes become nodes of kind `PASS`, which hand on what comes.
"""

from __future__ import annotations

from dataclasses import replace

from spikefab.gen.nir_order import natural
from spikefab.gen.nir_read import Graph, Node

__all__ = ["PASS", "flatten_graph"]

PASS = "Pass"
"""Kind of a node that was the end of a nested graph."""

Edges = list[tuple[str, str]]


def flatten_graph(graph: Graph, problems: list[str]) -> Graph:
    """The graph without nested ones, each edge between two nodes that exist, and each edge once."""
    notes = list(graph.notes)
    nodes, edges = _inline(graph, "", notes, problems)
    edges = _Repair(nodes, notes, problems).run(edges)
    _inner_ends(nodes, edges, notes, problems)
    return Graph(
        nodes=nodes,
        edges=list(dict.fromkeys(edges)),
        metadata=graph.metadata,
        notes=tuple(dict.fromkeys(notes)),
    )


def _inline(
    graph: Graph, prefix: str, notes: list[str], problems: list[str]
) -> tuple[dict[str, Node], Edges]:
    nodes: dict[str, Node] = {}
    edges: Edges = []
    entries: dict[str, str] = {}
    exits: dict[str, str] = {}
    for name, node in graph.nodes.items():
        full = prefix + name
        if node.graph is None:
            added = {full: node}
        else:
            added, inner_edges = _inline(node.graph, f"{full}.", notes, problems)
            for kind, ends in (("Input", entries), ("Output", exits)):
                end = _end(node.graph, kind, full, notes, problems)
                if end:
                    ends[full] = end
            for key, inner in node.graph.nodes.items():
                if inner.kind in ("Input", "Output"):
                    added[f"{full}.{key}"] = replace(inner, kind=PASS)
            edges += inner_edges
        for key in added:
            if key in nodes:
                problems.append(f"node {key!r}: two nodes have this name; rename one")
        nodes |= added
    for a, b in graph.edges:
        source, target = prefix + a, prefix + b
        edges.append((exits.get(source, source), entries.get(target, target)))
    return nodes, edges


def _end(graph: Graph, kind: str, full: str, notes: list[str], problems: list[str]) -> str:
    """The node that an edge to (`Input`) or from (`Output`) the nested graph `full` means."""
    found = [name for name, node in graph.nodes.items() if node.kind == kind]
    if len(found) == 1:
        return f"{full}.{found[0]}"
    if not found:
        side = 1 if kind == "Input" else 0
        taken = {edge[side] for edge in graph.edges}
        loose = [name for name in graph.nodes if name not in taken]
        if len(loose) == 1:
            notes.append(f"node {full!r} (NIRGraph): has no {kind} node; {loose[0]!r} is taken")
            return f"{full}.{loose[0]}"
    names = ", ".join(map(repr, sorted(found, key=natural))) or "none"
    problems.append(
        f"node {full!r} (NIRGraph): has {len(found)} {kind} nodes ({names}); one is needed to say "
        f"what an edge {'to' if kind == 'Input' else 'from'} it means"
    )
    return ""


class _Repair:
    """Finds what an edge means whose end does not exist, where there is only one answer."""

    def __init__(self, nodes: dict[str, Node], notes: list[str], problems: list[str]):
        self._nodes, self._notes, self._problems = nodes, notes, problems

    def run(self, edges: Edges) -> Edges:
        found = [(self._end(a, "Output", (a, b)), self._end(b, "Input", (a, b))) for a, b in edges]
        missing = sorted({end for edge in found for end in edge if end not in self._nodes})
        taken = {end for edge in found for end in edge}
        loose = [name for name in self._nodes if name not in taken]
        stands_for: dict[str, str] = {}
        if len(missing) == 1 and len(loose) == 1 and _place(missing[0]) == _place(loose[0]):
            stands_for = {missing[0]: loose[0]}
            self._notes.append(
                f"node {loose[0]!r}: the edges name {missing[0]!r}, which does not exist, and none "
                f"names {loose[0]!r}: it is taken for it"
            )
        else:
            for a, b in found:
                for end in (a, b):
                    if end not in self._nodes:
                        self._problems.append(
                            f"edge {a!r} -> {b!r}: there is no node {end!r}; the nodes are "
                            f"{', '.join(map(repr, self._nodes))}"
                        )
        resolved = [(stands_for.get(a, a), stands_for.get(b, b)) for a, b in found]
        return [(a, b) for a, b in resolved if a in self._nodes and b in self._nodes]

    def _end(self, name: str, kind: str, edge: tuple[str, str]) -> str:
        """`name`, or the end of the dissolved graph of this name, or its only node."""
        if name in self._nodes:
            return name
        inside = [n for n in self._nodes if n.startswith(f"{name}.")]
        ends = [n for n in inside if self._nodes[n].kind in (kind, PASS)
                and n.rpartition(".")[2].lower().startswith(kind.lower())]  # fmt: skip
        for candidates in (ends, inside):
            if len(candidates) == 1:
                self._notes.append(
                    f"edge {edge[0]!r} -> {edge[1]!r}: there is no node {name!r}; "
                    f"{candidates[0]!r} is taken"
                )
                return candidates[0]
        return name


def _place(name: str) -> str:
    return name.rpartition(".")[0]


def _inner_ends(
    nodes: dict[str, Node], edges: Edges, notes: list[str], problems: list[str]
) -> None:
    """Input nodes that are fed, and Output nodes that feed: left over from a dissolved graph."""
    for kind, verb, found in (
        ("Input", "be fed by", {b: a for a, b in edges}),
        ("Output", "feed", dict(edges)),
    ):
        for name, node in list(nodes.items()):
            if node.kind == kind and name in found:
                if "." in name:
                    nodes[name] = replace(node, kind=PASS)
                    notes.append(
                        f"node {name!r} ({kind}): is taken for the end of a nested graph, which "
                        "hands on what comes"
                    )
                else:
                    problems.append(
                        f"node {name!r}: an {kind} node must not {verb} another node, as "
                        f"{found[name]!r} here; remove the edge"
                    )
