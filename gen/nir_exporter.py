# SPDX-License-Identifier: Apache-2.0
"""Which framework wrote a graph, where the graph gives it away."""

from __future__ import annotations

import numpy as np

from spikefab.gen.dialect import ALIASES, PRESETS
from spikefab.gen.nir_read import Graph

__all__ = ["exporter"]


def exporter(graph: Graph) -> tuple[str, str, float | None]:
    """Preset, the sign it was recognised by, and dt where that follows; empty if unknown."""
    texts = [str(v.decode() if isinstance(v, bytes) else v).lower()
             for v in graph.metadata.values()]  # fmt: skip
    for word in [*PRESETS, *ALIASES]:
        if any(word in text.replace("_", "-") for text in texts):
            return ALIASES.get(word, word), f"the graph's metadata names {word}", None
    if any(n.endswith(("_LIFTorch", "_LIFNeuronTorch", "_LinearTorch")) for n in graph.nodes):
        return "rockpool", "its node names end in rockpool's module names", None
    neurons = [node for node in graph.nodes.values() if node.kind in ("IF", "LIF", "LI")]
    leaky = [node for node in neurons if node.kind != "IF"]
    tau = [np.asarray(n.values.get("tau", 0.0)) for n in leaky]
    r = [np.asarray(n.values.get("r", 0.0)) for n in leaky]
    single = all(t.dtype == np.float32 for t in tau)
    with np.errstate(all="ignore"):
        # beta = 1 is written as infinity over infinity.
        writes_r = all(
            t.size == q.size and np.all((np.abs(t / q / 1e-4 - 1) < 1e-5) | np.isinf(t))
            for t, q in zip(tau, r, strict=True)
        )
    if leaky and len(leaky) == len(neurons) and single and writes_r:
        return (
            "snntorch-subtract",
            "every r is tau/dt with dt = 1e-4 s in float32, as snnTorch writes it "
            "(the graph does not tell its reset: subtract is snnTorch's default)",
            1e-4,
        )
    rates = [np.asarray(n.values.get("r", 1.0), float) for n in neurons]
    if neurons and not leaky:
        low, high = min(r.min() for r in rates), max(r.max() for r in rates)
        if low == high and low > 1:
            return (
                "spikingjelly",
                "every IF's r is 1/dt, as SpikingJelly writes it "
                "(the graph does not tell its reset: hard is SpikingJelly's default)",
                float(1.0 / low),
            )
    return "", "", None
