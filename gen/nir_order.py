# SPDX-License-Identifier: Apache-2.0
"""The nodes of a sequential NIR graph in order, or why the graph is none."""

from __future__ import annotations

from collections import Counter

from spikefab.gen.nir_read import Graph

__all__ = ["SUPPORTED", "chain_order"]

SUPPORTED = ("Input", "Output", "Linear", "Affine", "Scale", "Flatten", "IF", "LIF", "LI")
"""Node types that this version runs."""


def chain_order(graph: Graph, problems: list[str]) -> list[str]:
    """Node names from input to output; empty, with problems, where the graph is no chain."""
    nodes, found = graph.nodes, len(problems)
    if not nodes:
        problems.append("the graph has no nodes")
        return []
    for name, node in nodes.items():
        if node.kind not in SUPPORTED:
            problems.append(
                f"node {name!r}: {node.kind} is not supported; supported are {', '.join(SUPPORTED)}"
            )
    edges = list(dict.fromkeys(graph.edges))
    for a, b in edges:
        for end in (a, b):
            if end not in nodes:
                problems.append(
                    f"edge {a!r} -> {b!r}: there is no node {end!r}; the nodes are "
                    f"{', '.join(map(repr, nodes))}"
                )
    edges = [(a, b) for a, b in edges if a in nodes and b in nodes]
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in edges:
        after[a].append(b)
    fan_in = Counter(b for _, b in edges)
    cycle = _find_cycle(after)
    if cycle:
        problems.append(
            f"node {cycle[0]!r}: is part of a cycle ({' -> '.join([*cycle, cycle[0]])}); "
            "recurrent networks are not supported"
        )
    else:
        for name, targets in after.items():
            if len(targets) > 1:
                problems.append(
                    f"node {name!r}: feeds {', '.join(map(repr, targets))}: branches are not "
                    "supported, only sequential graphs"
                )
            if fan_in[name] > 1:
                sources = ", ".join(repr(a) for a, b in edges if b == name)
                problems.append(
                    f"node {name!r}: is fed by {sources}: joins are not supported, only "
                    "sequential graphs"
                )
    for kind in ("Input", "Output"):
        several = [n for n, node in nodes.items() if node.kind == kind]
        if len(several) > 1:
            problems.append(
                f"nodes {', '.join(map(repr, several))}: {len(several)} {kind} nodes; exactly one "
                "is supported"
            )
    starts = [name for name in nodes if fan_in[name] == 0]
    if len(problems) > found:
        return []
    order = [starts[0]]
    while after[order[-1]]:
        order.append(after[order[-1]][0])
    if len(order) < len(nodes):
        loose = ", ".join(repr(n) for n in nodes if n not in order)
        problems.append(
            f"nodes {loose}: not connected to {order[0]!r}; every node must lie on one chain from "
            "input to output"
        )
    for position, name in enumerate(order):
        if nodes[name].kind == "Input" and position > 0:
            problems.append(f"node {name!r}: an Input node must not be fed by another node")
        if nodes[name].kind == "Output" and position < len(order) - 1:
            problems.append(f"node {name!r}: an Output node must not feed another node")
    return order if len(problems) == found else []


def _find_cycle(after: dict[str, list[str]]) -> list[str]:
    """Names along one cycle, empty where there is none. Iterative: graphs may be deep."""
    done: set[str] = set()
    for root in after:
        path: list[str] = []
        stack = [(root, iter(after[root]))] if root not in done else []
        path += [root] if stack else []
        while stack:
            name, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                done.add(name)
                stack.pop()
                path.pop()
            elif target in path:
                return path[path.index(target) :]
            elif target not in done:
                stack.append((target, iter(after[target])))
                path.append(target)
    return []
