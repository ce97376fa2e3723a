# SPDX-License-Identifier: Apache-2.0
"""The order of a directed graph's nodes, and which edges of its cycles lead back.

In every group of nodes that can reach each other, the one nearest the starts comes first (then the
one with the fewest edges back to it, then by name). The edges from the group to it lead back; the
rest of the group is ordered by the same rule. The result does not depend on any order of edges.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set

__all__ = ["Order", "arrange", "components", "natural", "reach"]

After = Mapping[str, Iterable[str]]
Order = tuple[list[str], set[tuple[str, str]]]
"""Nodes in order, and the edges that lead back."""


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts names as people do: 'fc2' before 'fc10'."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts)


def reach(after: After, starts: Iterable[str]) -> dict[str, int]:
    """Every node that the starts lead to (and they), with its distance from the nearest."""
    distance = dict.fromkeys(starts, 0)
    front = list(distance)
    while front:
        following = []
        for name in front:
            for target in after[name]:
                if target not in distance:
                    distance[target] = distance[name] + 1
                    following.append(target)
        front = following
    return distance


def components(nodes: Set[str], after: After) -> list[list[str]]:
    """Groups of `nodes` that can reach each other within `nodes`, sources before targets.

    Tarjan's algorithm, without recursion: graphs may be deep.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    is_open: set[str] = set()
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        open_.append(name)
        is_open.add(name)

    for root in sorted(nodes, key=natural):
        if root in index:
            continue
        visit(root)
        stack = [(root, iter([t for t in after[root] if t in nodes]))]
        while stack:
            name, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[name])
                if low[name] == index[name]:
                    cut = open_.index(name)
                    found.append(open_[cut:])
                    is_open.difference_update(open_[cut:])
                    del open_[cut:]
            elif target not in index:
                visit(target)
                stack.append((target, iter([t for t in after[target] if t in nodes])))
            elif target in is_open:
                low[name] = min(low[name], index[target])
    return found[::-1]


def arrange(after: After, starts: Iterable[str]) -> Order:
    """All nodes of `after`, sources first, and the edges that lead back against that order."""
    distance = reach(after, starts)
    back: set[tuple[str, str]] = set()
    order: list[str] = []

    def rank(name: str) -> tuple[float, object]:
        return distance.get(name, float("inf")), natural(name)

    waiting = _sorted_groups(set(after), after, rank)[::-1]
    while waiting:
        group = waiting.pop()
        if len(group) == 1:
            (name,) = group
            order.append(name)
            back.update((name, name) for target in after[name] if target == name)
            continue
        edges_back = dict.fromkeys(group, 0)
        for source in group:
            for target in after[source]:
                if target in edges_back:
                    edges_back[target] += 1
        nearest = min(rank(name)[0] for name in group)
        first = min(
            (name for name in group if rank(name)[0] == nearest),
            key=lambda name: (edges_back[name], natural(name)),
        )
        order.append(first)
        back.update((source, first) for source in group if first in after[source])
        waiting += _sorted_groups(set(group) - {first}, after, rank)[::-1]
    return order, back


def _sorted_groups(
    nodes: Set[str], after: After, rank: Callable[[str], tuple[float, object]]
) -> list[list[str]]:
    """Components in topological order; of those that are free, the nearest and first by name."""
    groups = components(nodes, after)
    of = {name: i for i, group in enumerate(groups) for name in group}
    targets: list[set[int]] = [set() for _ in groups]
    for name in nodes:
        targets[of[name]].update(of[t] for t in after[name] if t in of and of[t] != of[name])
    waits = [0] * len(groups)
    for group_targets in targets:
        for i in group_targets:
            waits[i] += 1
    keys = [min(rank(name) for name in group) for group in groups]
    free = [i for i, count in enumerate(waits) if count == 0]
    out = []
    while free:
        i = min(free, key=keys.__getitem__)
        free.remove(i)
        out.append(groups[i])
        for target in targets[i]:
            waits[target] -= 1
            if waits[target] == 0:
                free.append(target)
    return out
