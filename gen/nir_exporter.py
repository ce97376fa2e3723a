# SPDX-License-Identifier: Apache-2.0
"""Which framework wrote a graph, where the graph gives it away."""

from __future__ import annotations

import numpy as np

from spikefab.gen.dialect import ALIASES, PRESETS
from spikefab.gen.nir_read import Graph, Node

__all__ = ["exporter", "own_dt"]

NEURONS = ("IF", "LIF", "LI", "CubaLIF", "CubaLI")

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
    leaky = [node for node in neurons if node.kind != "IF"]
    dt = own_dt(graph)
    if leaky and len(leaky) == len(neurons) and dt == 1e-4 and _in_float32(leaky):
        return (
            "snntorch-subtract",
            "every r is tau/dt with dt = 1e-4 s in float32, as snnTorch writes it "
            "(the graph does not tell its reset: subtract is snnTorch's default)",
            dt,
        )
    rates = [np.asarray(n.values.get("r", 1.0), float) for n in neurons]
    if neurons:
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
        tau = np.asarray(node.values.get(first, 0.0))
        factor = np.asarray(node.values.get(second, 0.0))
        if tau.size != factor.size or not (cuba or tau.dtype == np.float32):
            return False
        with np.errstate(all="ignore"):
            # beta = 1 is written as infinity over infinity.
            good = (np.abs(tau / factor / 1e-4 - 1) < 1e-5) | np.isinf(tau)
        if not np.all(good):
            return False
    return True


def own_dt(graph: Graph) -> float | None:
    """Seconds a step, where every r is tau/dt, and every w_in tau_syn/dt, of one dt."""
    found = []
    for node in graph.nodes.values():
        if node.kind in NEURONS and node.kind != "IF":
            for tau, factor in _pairs(node):
                with np.errstate(all="ignore"):
                    # A beta of 1 is written as infinity over infinity.
                    dt = (tau / factor)[np.isfinite(tau)] if tau.size == factor.size else [np.nan]
                if np.all(factor == 1):
                    return None  # Says nothing: an r that nobody set is 1.
                found += list(dt)
    dt = float(f"{np.median(found):.4g}") if found else np.nan
    return dt if np.all(np.abs(np.array(found) / dt - 1) < 1e-5) else None


def _pairs(node: Node) -> list[tuple[np.ndarray, np.ndarray]]:
    """A node's time constants, each with the factor that frameworks make tau/dt."""
    names = [("tau", "r")] if node.kind in ("LIF", "LI") else [("tau_mem", "r")]
    if "w_in" in node.values:
        names.append(("tau_syn", "w_in"))
    pairs = [[np.asarray(node.values.get(name, np.nan)) for name in pair] for pair in names]
    return [(tau.ravel(), factor.ravel()) for tau, factor in pairs]


def _in_float32(nodes: list[Node]) -> bool:
    """Whether every tau is float32, or some tau in float64 has only that precision.

    snnTorch widens 1 - beta; a beta of 0.9 is then 0.89999998. SpikingJelly computes in float64.
    """
    noisy = False
    for node in nodes:
        for tau, factor in _pairs(node):
            if tau.dtype == np.float32:
                noisy = True
                continue
            with np.errstate(all="ignore"):
                beta = 1 - 1 / factor.astype(float)
            short = np.array([float(f"{b:.6g}") for b in beta])
            narrow = np.abs(beta.astype(np.float32) - beta) < 1e-13
            noisy |= bool(np.any(narrow & (np.abs(short - beta) > 1e-10)))
            if not np.all(narrow | (beta == short)):
                return False
    return noisy
