# SPDX-License-Identifier: Apache-2.0
"""Float networks made in a line, for tests of what takes a `Network`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikefab.gen.dialect import Dialect, parse_dialect
from spikefab.gen.network import Input, Network, Neuron, Output, Population, Projection

__all__ = ["make_network", "make_neuron"]


def make_neuron(n: int, dialect: Dialect, spiking: bool = True, **values: Any) -> Neuron:
    """A neuron that keeps everything (IF), of threshold 1, with `values` broadcast over it."""

    def fill(name: str, default: float) -> np.ndarray:
        return np.broadcast_to(np.asarray(values.pop(name, default), float), (n,)).copy()

    threshold = fill("threshold", 1.0)
    v_min = values.pop("v_min", None)
    if v_min is None and dialect.v_min == "-threshold":
        v_min = -threshold
    neuron = Neuron(
        spiking=spiking,
        decay=fill("decay", 1.0),
        gain=fill("gain", 1.0),
        offset=fill("offset", 0.0),
        threshold=threshold,
        v_reset=fill("v_reset", 0.0),
        v_init=fill("v_init", 0.0),
        v_min=None if v_min is None else np.broadcast_to(np.asarray(v_min, float), (n,)).copy(),
        dialect=dialect.for_node("LIF" if spiking else "LI"),
    )
    assert not values, f"unknown neuron values {sorted(values)}"
    return neuron


def make_network(
    weights: Sequence[np.ndarray],
    dialect: str = "snntorch-subtract",
    *,
    biases: Sequence[np.ndarray] | None = None,
    li_output: bool = False,
    steps: int | None = None,
    **values: Any,
) -> Network:
    """A chain with these weights, whose neurons all have `values`."""
    parsed = parse_dialect(dialect)
    populations, projections, source = [], [], "input"
    for i, w in enumerate(weights):
        spiking = not (li_output and i == len(weights) - 1)
        name = f"lif{i}" if spiking else "li"
        neuron = make_neuron(len(w), parsed, spiking, **values)
        populations.append(Population(name=name, shape=(len(w),), neuron=neuron))
        bias = np.zeros(len(w)) if biases is None else np.asarray(biases[i], float)
        projections.append(
            Projection.dense(
                name=f"fc{i}",
                source=source,
                target=name,
                weight=np.asarray(w, float),
                bias=bias,
            )
        )
        source = name
    return Network(
        name="made",
        inputs=(Input(name="input", shape=(weights[0].shape[1],)),),
        outputs=(Output(name="output", source=source),),
        populations=tuple(populations),
        projections=tuple(projections),
        dialect=parsed,
        dt=1e-4,
        steps=steps,
    )
