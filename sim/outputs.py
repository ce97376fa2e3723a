# SPDX-License-Identifier: Apache-2.0
"""A run's results under the names that a file of results has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikefab.gen.qnetwork import QNetwork

__all__ = ["by_population", "joined", "named_outputs"]


def joined(
    qnet: QNetwork, spikes: Mapping[str, np.ndarray], mem: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Spikes and integrators' membranes by population as the output stream carries them: (samples,
    steps, outputs of all populations). Membranes are 0 where a population spikes; None where all
    do."""
    layers = qnet.output_layers
    counts = np.concatenate([spikes[q.name] for q in layers], axis=2)
    if all(q.neuron.spiking for q in layers):
        return counts, None
    parts = [np.zeros(spikes[q.name].shape) if q.neuron.spiking else mem[q.name] for q in layers]
    return counts, np.concatenate(parts, axis=2).astype(np.int64)


def by_population(qnet: QNetwork, stream: np.ndarray) -> dict[str, np.ndarray]:
    """What the output stream carried (samples, steps, outputs of all populations) by name."""
    ends = np.cumsum([layer.neuron.n for layer in qnet.output_layers])[:-1]
    parts = np.split(stream, ends, axis=2)
    return {layer.name: part for layer, part in zip(qnet.output_layers, parts, strict=True)}


def named_outputs(
    qnet: QNetwork, spikes: Mapping[str, np.ndarray], mem: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """`spikes` and `mem` of the output node, or `spikes_<node>` and `mem_<node>` of several; other
    membranes under `mem_<population>`. Arguments are by population."""
    several = len(qnet.outputs) > 1
    ends = {f"_{out.name}" if several else "": out.source for out in qnet.outputs}
    named = {f"spikes{end}": spikes[source] for end, source in ends.items()}
    ends |= {f"_{name}": name for name in mem if name not in ends.values()}
    return named | {f"mem{end}": mem[name] for end, name in ends.items() if name in mem}
