# SPDX-License-Identifier: Apache-2.0
"""The time step of a graph, where its own parameters tell it."""

from __future__ import annotations

import numpy as np

from spikefab.gen.nir_read import Graph, Node

__all__ = ["own_dt"]

USUAL = (1e-4, 1e-3, 1.0)
"""Seconds a step that frameworks write graphs with; of others a ratio may be chance."""
LEAKY = ("LIF", "LI", "CubaLIF", "CubaLI")


def own_dt(graph: Graph) -> float | None:
    """Seconds a step, where every r is tau/dt, and every w_in tau_syn/dt, of one usual dt.

    snnTorch and SpikingJelly write them so. A factor of 1 says nothing: it is what nobody set.
    One below 1 is no number of steps.
    """
    found: list[float] = []
    for node in graph.nodes.values():
        for tau, factor in _pairs(node):
            if np.any(factor < 1):
                return None
            if tau.size == factor.size and not np.all(factor == 1):
                with np.errstate(all="ignore"):
                    # A beta of 1 is written as infinity over infinity.
                    found += (tau / factor)[np.isfinite(tau)].tolist()
    for dt in USUAL if found else ():
        if np.all(np.abs(np.array(found) / dt - 1) < 1e-5):
            return dt
    return None


def _pairs(node: Node) -> list[tuple[np.ndarray, np.ndarray]]:
    """A node's time constants, each with the factor that frameworks make tau/dt."""
    if node.kind not in LEAKY:
        return []
    names = [("tau_mem" if node.kind.startswith("Cuba") else "tau", "r")]
    if "w_in" in node.values:
        names.append(("tau_syn", "w_in"))
    try:
        pairs = [[np.asarray(node.values[n], float).ravel() for n in pair] for pair in names]
    except (KeyError, TypeError, ValueError):
        return []  # reported, by the node's name, where the graph is built
    return [(tau, factor) for tau, factor in pairs]
