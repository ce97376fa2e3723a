# SPDX-License-Identifier: Apache-2.0
"""Which framework wrote a graph, where the graph gives it away."""

from __future__ import annotations

import numpy as np

from spikefab.gen.dialect import ALIASES, PRESETS
from spikefab.gen.nir_read import Graph, Node

__all__ = ["exporter"]

NEURONS = ("IF", "I", "LIF", "LI", "CubaLIF", "CubaLI")


def exporter(graph: Graph) -> tuple[str, str, float | None]:
    """Preset, the sign it was recognised by, and dt where that follows; empty if unknown."""
    texts = [str(v.decode() if isinstance(v, bytes) else v).lower()
             for v in graph.metadata.values()]  # fmt: skip
    for word in [*PRESETS, *ALIASES]:
        if any(word in text.replace("_", "-") for text in texts):
            return ALIASES.get(word, word), f"the graph's metadata names {word}", None
    if any(n.endswith(("_LIFTorch", "_LIFNeuronTorch", "_LinearTorch")) for n in graph.nodes):
        return "rockpool", "its node names end in rockpool's module names", None
    neurons = [node for node in graph.nodes.values() if node.kind in NEURONS]
    if neurons and all(node.kind not in ("IF", "I") and _is_snntorch(node) for node in neurons):
        return (
            "snntorch-subtract",
            "every r is tau/dt with dt = 1e-4 s in float32, as snnTorch writes it "
            "(the graph does not tell its reset: subtract is snnTorch's default)",
            1e-4,
        )
    rates = [_numbers(n, "r") for n in neurons]
    if neurons and all(n.kind in ("IF", "I") for n in neurons) and all(r.size for r in rates):
        low, high = min(r.min() for r in rates), max(r.max() for r in rates)
        if low == high and low > 1:
            return (
                "spikingjelly",
                "every IF's r is 1/dt, as SpikingJelly writes it "
                "(the graph does not tell its reset: hard is SpikingJelly's default)",
                float(1.0 / low),
            )
    return "", "", None


def _is_snntorch(node: Node) -> bool:
    """Whether a node's factors are its time constants in steps of 1e-4 s."""
    cuba = node.kind.startswith("Cuba")
    pairs = (("tau_mem", "r"), ("tau_syn", "w_in")) if cuba else (("tau", "r"),)
    for first, second in pairs:
        tau, factor = _numbers(node, first), _numbers(node, second)
        if not tau.size or tau.size != factor.size or not (cuba or tau.dtype == np.float32):
            return False
        with np.errstate(all="ignore"):
            # beta = 1 is written as infinity over infinity.
            good = (np.abs(tau / factor / 1e-4 - 1) < 1e-5) | np.isinf(tau)
        if not np.all(good):
            return False
    return True


def _numbers(node: Node, key: str) -> np.ndarray:
    """A parameter as it is stored; empty where it holds no numbers."""
    try:
        value = np.asarray(node.values.get(key, ()))
    except ValueError:  # rows of different lengths
        return np.zeros(0)
    return value if value.dtype.kind in "iuf" else np.zeros(0)
