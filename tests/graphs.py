# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategy: integer graphs with branches, joins, skips, cycles, several inputs and
outputs, with samples."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from strategies import neuron_params

from spikefab.gen.bounds import accumulator_range, current_bound, membrane_bound, signed_width
from spikefab.gen.qnetwork import QEdge, QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import NeuronParams, SynapseParams

__all__ = ["DrawnGraph", "graphs"]


class DrawnGraph(NamedTuple):
    """A network and samples for it."""

    qnet: QNetwork
    x: np.ndarray
    """Counts (samples, steps, n_inputs), up to each input's most."""


@st.composite
def graphs(
    draw: st.DrawFn,
    max_layers: int = 4,
    max_neurons: int = 6,
    max_samples: int = 2,
    max_steps: int = 6,
    *,
    max_inputs: int = 2,
    currents: bool = False,
    delays: int = 0,
    axonal: bool = False,
) -> DrawnGraph:
    """Graphs of 1 to `max_layers` populations over every field of the contract.

    Each population has at least one edge from an input or an earlier population. Every population
    is an output or the source of another one. `currents`: most have synaptic currents. `delays`:
    the longest one of edges; most have some. `axonal`: delays are those of sources, and nothing
    spikes more than once a step.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    n_layers = draw(st.integers(1, max_layers), label="layers")
    n_samples = draw(st.integers(1, max_samples), label="samples")
    n_steps = draw(st.integers(1, max_steps), label="steps")
    inputs = tuple(
        QInput(
            name=f"in{k}",
            shape=(draw(st.integers(1, max_neurons), label=f"in{k}"),),
            max_events=draw(st.sampled_from([1] if axonal else [1, 1, 3]), label=f"most of in{k}"),
        )
        for k in range(draw(st.integers(1, max_inputs), label="inputs"))
    )
    sizes = [draw(st.integers(1, max_neurons), label=f"neurons {k}") for k in range(n_layers)]
    names = [f"layer{k}" for k in range(n_layers)]
    kinds = [draw(st.integers(0, 4), label=f"integrator {k}") == 4 for k in range(n_layers)]
    edges = draw(_edges(len(inputs), kinds), label="edges")
    own = len(inputs)
    fed = {source for k in range(n_layers) for source, _ in edges[k] if source != own + k}
    shown = [
        k
        for k in range(n_layers)
        if own + k not in fed or draw(st.integers(0, 3), label=f"output {k}") == 3
    ]
    shown = draw(st.permutations(shown or [n_layers - 1]), label="order of outputs")
    layers: list[QLayer] = []
    bounded = False
    # A population's count may act on one before it: counts are fixed before weights are.
    most = [i.max_events or 1 for i in inputs] + [
        0
        if kind
        else (1 << draw(st.sampled_from([1] if axonal else [1, 1, 2, 3]), label="count width")) - 1
        for kind in kinds
    ]
    every = [*(i.name for i in inputs), *names]
    widths = [*(i.n for i in inputs), *sizes]
    for k, n in enumerate(sizes):
        bits = draw(st.sampled_from([4, 2, 8, 1]), label=f"weights {k}")
        made: list[QEdge] = []
        low, high = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for source, recurrent in edges[k]:
            w = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (n, widths[source]))
            w = np.where(w < 0, -1, 1) if bits == 1 else w
            if bits > 1 and draw(st.booleans(), label="excitatory"):
                w = np.where(rng.random(w.shape) < 0.8, np.minimum(np.abs(w), -w.min()), w)
                w = np.minimum(w, (1 << (bits - 1)) - 1)
            late = None
            if delays:
                late = draw(_delays(rng, w.shape, delays, bits > 1 and not axonal), label="delays")
            made.append(dense_edge(every[source], w, recurrent=recurrent, delays=late))
            least, largest = accumulator_range(w, most[source])
            low, high = low + least, high + largest
        reach = max(int(high.max()), -int(low.min()), 1)
        neuron = draw(
            neuron_params(n, reach, rng, kinds[k], bool(high.max() > 0), currents),
            label=f"neuron {k}",
        )
        neuron, needs_steps = _fitted(draw, neuron, (low, high), n_steps, most[own + k])
        bounded |= needs_steps
        synapse = SynapseParams(
            n_in=sum(edge.n_source for edge in made),
            n_out=n,
            weight_width=bits,
            acc_min=int(low.min()),
            acc_max=int(high.max()),
        )
        layers.append(
            QLayer(
                name=names[k],
                edges=tuple(made),
                synapse=synapse,
                neuron=neuron,
                scale=np.ones(1),
                weight_exact=True,
            )
        )
    qnet = QNetwork(
        name="drawn",
        inputs=inputs,
        layers=tuple(layers),
        outputs=tuple(QOutput(name=f"out {k}", source=names[k]) for k in shown),
        input_max=1 if axonal else 3,
        steps=n_steps if bounded else None,
    )
    x = [_counts(draw, rng, (n_samples, n_steps, i.n), i.max_events or 1) for i in inputs]
    return DrawnGraph(qnet, np.concatenate(x, axis=2))


@st.composite
def _edges(draw: st.DrawFn, n_inputs: int, integrators: list[bool]) -> list[list[tuple[int, bool]]]:
    """(source, recurrent) of each population in the network's order of ports. Sources count inputs
    first."""
    out = []
    able = [n_inputs + k for k, kind in enumerate(integrators) if not kind]
    for k in range(len(integrators)):
        ahead = list(range(n_inputs)) + [source for source in able if source < n_inputs + k]
        forward = draw(st.sets(st.sampled_from(ahead), min_size=1, max_size=3), label=f"into {k}")
        back: set[int] = set()
        if able and draw(st.integers(0, 2), label=f"recurrent {k}"):
            back = draw(st.sets(st.sampled_from(able), max_size=2), label=f"back into {k}")
        out.append([(s, True) for s in sorted(back)] + [(s, False) for s in sorted(forward)])
    return out


@st.composite
def _delays(
    draw: st.DrawFn, rng: np.random.Generator, shape: tuple[int, int], longest: int, each: bool
) -> np.ndarray | None:
    """`each`: a weight may have its own."""
    kind = draw(st.sampled_from(["source", "weight", "none"]))
    if kind == "none":
        return None
    # A word of binary weights has no 0 for weights of another delay.
    size = shape if kind == "weight" and each else shape[1:]
    return rng.integers(0, longest + 1, size)


def _fitted(
    draw: st.DrawFn,
    neuron: NeuronParams,
    acc: tuple[np.ndarray, np.ndarray],
    steps: int,
    most: int,
) -> tuple[NeuronParams, bool]:
    """`neuron` with at most `most` spikes a step and a membrane that its bound, or a clamp, fits,
    and whether the bound holds for `steps` alone."""
    if neuron.count_width > 1 and neuron.spiking:
        neuron = replace(neuron, count_width=max(1, most.bit_length()))
    held = False
    if neuron.current is not None:
        reached = current_bound(neuron, acc, steps)
        assert reached is not None
        neuron = replace(neuron, current=replace(neuron.current, width=reached.width))
        held = reached.steps is not None
    bound = membrane_bound(neuron, acc, steps)
    if bound is not None and bound.width <= 40 and draw(st.integers(0, 2), label="clamp") != 2:
        return replace(neuron, membrane_width=bound.width), held or bound.steps is not None
    constants = [0, *neuron.v_init, *neuron.v_reset, *(neuron.v_min or ())]
    width = signed_width(min(constants), max(*constants, 8 << neuron.fraction_bits))
    return replace(neuron, membrane_width=min(40, width + 3), saturate=True), held


def _counts(
    draw: st.DrawFn, rng: np.random.Generator, shape: tuple[int, ...], most: int
) -> np.ndarray:
    density = draw(st.sampled_from([0.5, 0.2, 1.0, 0.0]), label="density")
    return (rng.integers(1, most + 1, shape) * (rng.random(shape) < density)).astype(np.int16)
