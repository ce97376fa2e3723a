# SPDX-License-Identifier: Apache-2.0
"""Ways through nodes without state, from one population to the next, and what they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spikefab.gen.nir_order import Order, arrange, natural
from spikefab.gen.nir_reader import Stage
from spikefab.gen.operations import Bias, Operation

__all__ = ["Way", "operations_of", "order_of", "ways_to"]

MAX_WAYS = 1024
"""Ways that may lead to one population."""

Before = Mapping[str, Sequence[str]]
Stages = Mapping[str, Stage]


@dataclass(frozen=True)
class Way:
    """Nodes without state from a source to a target, in order."""

    source: str
    target: str
    nodes: tuple[str, ...]


def ways_to(target: str, before: Before, stages: Stages, problems: list[str]) -> list[Way]:
    """Every way from an input or a population to `target`, in order of names."""
    found: list[Way] = []
    stack: list[tuple[str, ...]] = [(b,) for b in before[target][::-1]]
    while stack:
        first, *rest = way = stack.pop()
        if first not in stages:
            found.append(Way(first, target, tuple(rest)))
        else:
            stack += [(b, *way) for b in before[first][::-1]]
        if len(found) + len(stack) > MAX_WAYS:
            problems.append(
                f"node {target!r}: more than {MAX_WAYS} ways through nodes without state lead "
                "to it; join them in fewer nodes"
            )
            return []
    return found


def order_of(ways: Iterable[Way], names: Iterable[str], inputs: Iterable[str]) -> Order:
    """Inputs and populations in order, and the pairs whose edge is recurrent."""
    after: dict[str, list[str]] = {name: [] for name in names}
    for way in ways:
        if way.target not in after[way.source]:
            after[way.source].append(way.target)
    return arrange(after, inputs)


def operations_of(
    ways: Iterable[Way], order: Sequence[str], stages: Stages
) -> list[tuple[Way, tuple[Operation, ...]]]:
    """The ways in order, with their operations; a bias that several share goes with the first."""
    place = {name: i for i, name in enumerate(order)}

    def rank(way: Way) -> tuple[int, int, object]:
        # What acts at once comes from before the target, what is fed back from behind it.
        return place[way.target], place[way.source], tuple(map(natural, way.nodes))

    given: set[tuple[str, ...]] = set()
    found = []
    for way in sorted(ways, key=rank):
        operations: list[Operation] = []
        for i, node in enumerate(way.nodes):
            # A node's bias reaches the target once by each way on from the node.
            onward = (*way.nodes[i:], way.target)
            for op in stages[node].operations:
                if not isinstance(op, Bias) or onward not in given:
                    operations.append(op)
            given.add(onward)
        found.append((way, tuple(operations)))
    return found
