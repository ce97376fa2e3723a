# SPDX-License-Identifier: Apache-2.0
"""Drawn chains whose layers can share an engine, and who shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from strategies import PRESETS

from spikefab.gen.bounds import accumulator_range, membrane_bound
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import (
    CODED,
    FRAMED,
    InputParams,
    NeuronParams,
    StopParams,
    SynapseParams,
)

__all__ = ["DrawnShare", "alike_chain", "shared_network"]


WIDTHS = [(1, 1), (2, 1), (2, 2), (4, 2), (3, 3), (12, 4), (9, 1)]


class DrawnShare(NamedTuple):
    """A chain, who shares, how it is laid out, and samples."""

    qnet: QNetwork
    shared: list[tuple[int, int]]
    lanes: list[int]
    folds: list[int]
    storage: str
    """Of all weights: `block`, `logic`, or `loaded`: what a family has for that."""
    x: np.ndarray
    """As the input's coding takes them."""


def shared_network(number: int, max_neurons: int = 24) -> DrawnShare:
    """The chain of a number: 2 to 5 layers of one kind, and at times an integrator behind them. One
    run of two layers or more shares an engine, or two runs do."""
    rng = np.random.default_rng(number)

    def pick(values: Sequence[Any]) -> Any:
        return values[rng.integers(len(values))]

    n_layers = int(rng.integers(2, 6))
    sizes = rng.integers(1, max_neurons + 1, n_layers).tolist()
    n_inputs = int(rng.integers(1, max_neurons + 1))
    most = pick([1, 1, 3])
    integrator = pick([False, True])
    first = int(rng.integers(n_layers - 1))
    last = int(rng.integers(first + 1, n_layers))
    shared = [(first, last)]
    if n_layers - last > 2:
        shared.append((last + 1, n_layers - 1))
    for a, b in shared:
        # More rows than are kept in registers.
        sizes[b] += max(0, 10 - sum(sizes[a : b + 1]))
    preset, bits = pick(sorted(PRESETS)), pick([5, 5, 3, 7, 2, 1])
    qnet = alike_chain(rng, n_inputs, sizes, preset, most, bits=bits, integrator=integrator)
    lanes = [int(rng.integers(1, 5))] * (n_layers + integrator)
    folds = [1] * (n_layers + integrator)
    for a, b in shared:
        wide, fold = pick(WIDTHS)
        while sum(-(-n * fold // wide) for n in sizes[a : b + 1]) <= 8 and wide > 1:
            wide, fold = wide // 2, 1
        lanes[a : b + 1] = [wide] * (b + 1 - a)
        folds[a : b + 1] = [fold] * (b + 1 - a)
    steps = int(rng.integers(1, 6))
    coding = pick(["spikes", "spikes", *CODED])
    shape: tuple[int, ...] = (2, steps, n_inputs)
    if coding != "spikes" and most == 1:
        framed = coding in FRAMED
        fields: dict[str, int] = {"steps": steps} if framed else {"threshold": 2}
        fields |= {"seed": 5} if coding == "rate" else {}
        qnet = replace(qnet, input=InputParams(coding=coding, payload_width=3, **fields))
        most, shape = 7, (2, n_inputs) if framed else shape
    if qnet.n_outputs > 1 and pick([False, False, True]):
        qnet = replace(qnet, stop=StopParams(margins=(1,)))
    x = rng.integers(0, most + 1, shape)
    x = x * (rng.random(x.shape) < pick([0.1, 0.4, 1.0]))
    storage = pick(["block", "block", "loaded", "logic"])
    return DrawnShare(qnet, shared, lanes, folds, storage, x.astype(np.int16))


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
        width = bits if bits <= 2 else int(rng.integers(bits - 1, bits + 1))
        top = max(1, (1 << (width - 1)) - 1)
        weights = rng.integers(min(-1, -top // 2), top + 1, (n, n_in))
        if width == 1:
            weights = np.where(weights < 0, -1, 1)
        elif rng.random() < 0.3:
            weights[rng.random(weights.shape) < 0.7] = 0
        acc = accumulator_range(weights, source_max)
        fraction = int(rng.integers(0, 3)) if bits < 7 else 1
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
                ternary=width == 2,
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
