# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategy: chains whose layers can share an engine, and what they share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from strategies import PRESETS

from spikefab.gen.bounds import accumulator_range, membrane_bound
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import NeuronParams, SynapseParams

__all__ = ["DrawnShare", "alike_chain", "shared_networks"]


WIDTHS = [(1, 1), (2, 1), (2, 2), (4, 2), (3, 3), (12, 4), (9, 1)]


class DrawnShare(NamedTuple):
    """A chain, who shares, how it is laid out, and samples."""

    qnet: QNetwork
    shared: list[tuple[int, int]]
    lanes: list[int]
    folds: list[int]
    x: np.ndarray


@st.composite
def shared_networks(draw: st.DrawFn, max_neurons: int = 24) -> DrawnShare:
    """Chains of 2 to 5 layers of one kind, and at times an integrator behind them. One run of two
    layers or more shares an engine, or two runs do."""
    seed = draw(st.integers(0, 2**32 - 1), label="seed")
    rng = np.random.default_rng(seed)
    n_layers = draw(st.integers(2, 5), label="layers")
    sizes = [draw(st.integers(1, max_neurons), label="neurons") for _ in range(n_layers)]
    n_inputs = draw(st.integers(1, max_neurons), label="inputs")
    preset = draw(st.sampled_from(sorted(PRESETS)), label="preset")
    most = draw(st.sampled_from([1, 1, 3]), label="most events an input")
    integrator = draw(st.booleans(), label="LI output")
    first = draw(st.integers(0, n_layers - 2), label="first")
    last = draw(st.integers(first + 1, n_layers - 1), label="last")
    shared = [(first, last)]
    if n_layers - last > 2:
        shared.append((last + 1, n_layers - 1))
    for a, b in shared:
        # More rows than are kept in registers.
        sizes[b] += max(0, 10 - sum(sizes[a : b + 1]))
    qnet = alike_chain(rng, n_inputs, sizes, preset, most, integrator=integrator)
    lanes = [draw(st.integers(1, 4), label="lanes")] * (n_layers + integrator)
    folds = [1] * (n_layers + integrator)
    for a, b in shared:
        wide, fold = draw(
            st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 2), (3, 3), (12, 4), (9, 1)])
        )
        while sum(-(-n * fold // wide) for n in sizes[a : b + 1]) <= 8 and wide > 1:
            wide, fold = wide // 2, 1
        lanes[a : b + 1] = [wide] * (b + 1 - a)
        folds[a : b + 1] = [fold] * (b + 1 - a)
    steps = draw(st.integers(1, 5), label="steps")
    x = rng.integers(0, most + 1, (2, steps, n_inputs))
    x = x * (rng.random(x.shape) < draw(st.sampled_from([0.1, 0.4, 1.0]), label="density"))
    return DrawnShare(qnet, shared, lanes, folds, x.astype(np.int16))


def alike_chain(
    rng: np.random.Generator,
    n_inputs: int,
    sizes: list[int],
    preset: str = "nir-literal",
    most: int = 1,
    *,
    bits: int = 5,
    integrator: bool = False,
) -> QNetwork:
    """A chain of layers that are alike in kind, with numbers of their own."""
    kind = dict(PRESETS[preset])
    counts = 3 if kind.pop("multi_spike", False) else 1
    clamp = kind.pop("v_min", False)
    rounding = str(rng.choice(["floor", "nearest", "toward-zero"]))
    layers: list[QLayer] = []
    source_max, n_in = most, n_inputs
    for k, n in enumerate([*sizes, 3] if integrator else sizes):
        spiking = k < len(sizes)
        width = int(rng.integers(max(2, bits - 1), bits + 1))
        top = (1 << (width - 1)) - 1
        weights = rng.integers(-top // 2, top + 1, (n, n_in))
        if rng.random() < 0.3:
            weights[rng.random(weights.shape) < 0.7] = 0
        acc = accumulator_range(weights, source_max)
        fraction = int(rng.integers(0, 3))
        reach = max(4, int(acc[1].max()) << fraction)
        shift = int(rng.integers(1, 5))

        def values(low: int, high: int, n: int = n) -> tuple[int, ...]:
            return tuple(rng.integers(low, high + 1, n if rng.random() < 0.4 else 1).tolist())

        fields: dict[str, Any] = {
            "n": n,
            "fraction_bits": fraction,
            "membrane_width": 40,
            "leak_num": values(0, (1 << shift) - 1),
            "leak_shift": shift,
            "leak_rounding": rounding,
            "bias": values(-reach // 8, reach // 8) if rng.random() < 0.5 else (0,),
            "v_init": values(-reach // 4, reach // 4) if rng.random() < 0.3 else (0,),
        }
        if spiking:
            fields |= kind | {"threshold": values(reach // 8 + 1, reach // 3 + 1)}
            if kind["reset"] == "value":
                fields["v_reset"] = values(-reach // 8, 0)
            if clamp:
                fields["v_min"] = values(-reach // 4, -1)
            fields["count_width"] = counts
        else:
            fields |= {"spiking": False, "reset": "none"}
        neuron = NeuronParams(**fields)
        bound = membrane_bound(neuron, acc, None)
        assert bound is not None
        neuron = replace(neuron, membrane_width=bound.width)
        synapse = SynapseParams(
            n_in=n_in,
            n_out=n,
            weight_width=width,
            acc_min=int(acc[0].min()),
            acc_max=int(acc[1].max()),
        )
        layers.append(
            QLayer(
                name=f"layer{k}",
                edges=(dense_edge(f"layer{k - 1}" if k else "input", weights),),
                synapse=synapse,
                neuron=neuron,
                scale=np.ones(1),
                weight_exact=True,
                ternary=False,
                bound=bound.layer,
            )
        )
        source_max, n_in = neuron.max_count, n
    return QNetwork(
        name="alike",
        inputs=(QInput(name="input", shape=(n_inputs,)),),
        layers=tuple(layers),
        outputs=(QOutput(name="output", source=layers[-1].name),),
        input_max=most,
    )
