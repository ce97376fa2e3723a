# SPDX-License-Identifier: Apache-2.0
"""What each layer's sources do on given samples: what the quantiser calibrates with."""

from __future__ import annotations

import numpy as np

from spikefab.gen.network import Network
from spikefab.sim.reference import run_reference

__all__ = ["record_activity"]


def record_activity(network: Network, x: np.ndarray, samples: int = 64) -> dict[str, np.ndarray]:
    """Event counts of the input and of each population, by name, as `quantise` takes them.

    `x`: counts (samples, steps, *input_shape), of which `samples`, evenly spread, are run through
    the float reference. Each array is (samples * steps, n).
    """
    chosen = np.linspace(0, len(x) - 1, min(len(x), samples)).astype(int)
    part = x[chosen]
    spikes = run_reference(network, part).spikes
    sources = {network.input_name: part.reshape(*part.shape[:2], -1), **spikes}
    return {name: counts.reshape(-1, counts.shape[-1]) for name, counts in sources.items()}
