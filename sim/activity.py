# SPDX-License-Identifier: Apache-2.0
"""What each layer's sources do on given samples: what the quantiser calibrates with."""

from __future__ import annotations

import numpy as np

from spikefab.gen.network import Network
from spikefab.sim.reference import run_reference

__all__ = ["record_activity"]


def record_activity(network: Network, x: np.ndarray, samples: int = 64) -> dict[str, np.ndarray]:
    """Event counts of each input and population, by name, as `quantise` takes them.

    `x`: counts (samples, steps, *input_shape), of several inputs side by side (samples, steps,
    inputs), of which `samples`, evenly spread, are run through the float reference. Each array is
    (samples * steps, n).
    """
    chosen = np.linspace(0, len(x) - 1, min(len(x), samples)).astype(int)
    part = x[chosen]
    spikes = run_reference(network, part).spikes
    flat = part.reshape(*part.shape[:2], -1)
    ends = np.cumsum([i.n for i in network.inputs])[:-1]
    inputs = np.split(flat, ends, axis=2)
    sources = {i.name: counts for i, counts in zip(network.inputs, inputs, strict=True)} | spikes
    return {name: counts.reshape(-1, counts.shape[-1]) for name, counts in sources.items()}
