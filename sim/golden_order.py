# SPDX-License-Identifier: Apache-2.0
"""In which order the golden model runs a graph's populations."""

from __future__ import annotations

from spikefab.gen.qnetwork import QLayer, QNetwork

__all__ = ["groups"]


def groups(qnet: QNetwork) -> list[list[QLayer]]:
    """The populations, sources first: alone, or as many together as lie on cycles through each
    other and so have to take each step in turn, in the network's order."""
    reached = {layer.name: _upstream(qnet, layer) for layer in qnet.layers}
    out: list[list[QLayer]] = []
    waiting = list(qnet.layers)
    done: set[str] = set()
    while waiting:
        # All that a group depends on is in it or done. There is always one.
        for layer in waiting:
            loop = {name for name in reached[layer.name] if layer.name in reached[name]}
            if reached[layer.name] - loop - {layer.name} <= done:
                break
        names = loop | {layer.name}
        out.append([q for q in waiting if q.name in names])
        waiting = [q for q in waiting if q.name not in names]
        done |= names
    return out


def _upstream(qnet: QNetwork, layer: QLayer) -> set[str]:
    """Populations that a population depends on, at any distance; itself if it is on a cycle."""
    found: set[str] = set()
    ahead = [layer]
    while ahead:
        for edge in ahead.pop().edges:
            if edge.source in qnet.by_name and edge.source not in found:
                found.add(edge.source)
                ahead.append(qnet.by_name[edge.source])
    return found
