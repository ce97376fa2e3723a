# SPDX-License-Identifier: Apache-2.0
"""Small design directories for the tests of the simulations and the virtual board."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.boards.shell import board_shell
from spikefab.gen.design import Design
from spikefab.gen.emit import TargetInfo, emit
from spikefab.gen.estimate import Budget
from spikefab.gen.plan import make_plan
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.gen.storage import Choice
from spikefab.hdl.params import NeuronParams, SynapseParams

__all__ = ["make_design", "make_graph", "make_network", "make_samples"]

BUDGETS = {
    "ecp5": Budget(lut=24_288, ff=24_288, ram=56, dsp=28, family="ecp5"),
    "ice40": Budget(lut=5_280, ff=5_280, ram=30, dsp=8, spram=4, family="ice40"),
}
TARGETS = {
    "ecp5-25f": TargetInfo(kind="device", name="ecp5-25f", device="LFE5U-25F", family="ecp5"),
    "up5k": TargetInfo(kind="device", name="up5k", device="iCE40UP5K", family="ice40"),
    "ulx3s-25f": TargetInfo(kind="board", name="ulx3s-25f", device="LFE5U-25F", family="ecp5"),
    "icebreaker": TargetInfo(kind="board", name="icebreaker", device="iCE40UP5K", family="ice40"),
}


def make_network(
    sizes: Sequence[int], *, seed: int = 0, integrator: bool = False, **neuron: Any
) -> QNetwork:
    """Random 4-bit weights, leaky neurons that spike now and then."""
    rng = np.random.default_rng(seed)
    layers = []
    for k, (n_in, n) in enumerate(pairwise(sizes)):
        last = integrator and k == len(sizes) - 2
        weights = rng.integers(-8, 8, (n, n_in)).astype(np.int8)
        values: dict[str, Any] = {
            "fraction_bits": 2,
            "membrane_width": 16,
            "saturate": True,
            "leak_num": (7,),
            "leak_shift": 3,
            "threshold": (40,),
            **neuron,
        }
        if last:
            values |= {"spiking": False, "reset": "none"}
        layers.append(
            QLayer(
                name=f"population{k}",
                edges=(dense_edge(f"population{k - 1}" if k else "input", weights),),
                synapse=SynapseParams(
                    n_in=n_in,
                    n_out=n,
                    weight_width=4,
                    acc_min=int(np.minimum(weights, 0).sum(axis=1).min()),
                    acc_max=int(np.maximum(weights, 0).sum(axis=1).max()),
                ),
                neuron=NeuronParams(n=n, **values),
                scale=np.ones(1),
            )
        )
    return QNetwork(
        name="small",
        inputs=(QInput(name="input", shape=(sizes[0],)),),
        layers=tuple(layers),
        outputs=(QOutput(name="output", source=layers[-1].name),),
    )


def make_graph(
    inputs: dict[str, int],
    layers: dict[str, tuple[int, Sequence[str]]],
    outputs: Sequence[str],
    *,
    seed: int = 0,
    integrators: Sequence[str] = (),
    **neuron: Any,
) -> QNetwork:
    """Populations of so many neurons with their sources; a `*` before a source: recurrent."""
    rng = np.random.default_rng(seed)
    sizes = inputs | {name: n for name, (n, _) in layers.items()}
    order = list(sizes)
    made = []
    for name, (n, sources) in layers.items():
        ends = sorted((not s.startswith("*"), order.index(s.lstrip("*"))) for s in sources)
        edges = tuple(
            dense_edge(order[k], rng.integers(-7, 8, (n, sizes[order[k]])), recurrent=not forward)
            for forward, k in ends
        )
        weights = np.concatenate([edge.weights for edge in edges], axis=1).astype(int)
        values: dict[str, Any] = {
            "fraction_bits": 2,
            "membrane_width": 16,
            "saturate": True,
            "leak_num": (7,),
            "leak_shift": 3,
            "threshold": (40,),
            **neuron,
        }
        if name in integrators:
            values |= {"spiking": False, "reset": "none"}
        synapse = SynapseParams(
            n_in=weights.shape[1],
            n_out=n,
            weight_width=4,
            acc_min=int(np.minimum(weights, 0).sum(axis=1).min()),
            acc_max=int(np.maximum(weights, 0).sum(axis=1).max()),
        )
        params = NeuronParams(n=n, **values)
        made.append(
            QLayer(name=name, edges=edges, synapse=synapse, neuron=params, scale=np.ones(1))
        )
    return QNetwork(
        name="graph",
        inputs=tuple(QInput(name=name, shape=(n,)) for name, n in inputs.items()),
        layers=tuple(made),
        outputs=tuple(QOutput(name=f"out_{source}", source=source) for source in outputs),
    )


def make_samples(
    network: QNetwork, samples: int, steps: int, *, rate: float = 0.3, seed: int = 1
) -> np.ndarray:
    """Random spikes (samples, steps, inputs), with a silent step in each sample."""
    rng = np.random.default_rng(seed)
    x = (rng.random((samples, steps, network.n_inputs)) < rate).astype(np.int16)
    x[np.arange(samples), rng.integers(0, steps, samples)] = 0
    return x


def make_design(
    network: QNetwork,
    folder: Path,
    target: str,
    lanes: Sequence[int] | int | None = None,
    storage: Choice = "auto",
) -> Design:
    """Emits a design directory for one of `TARGETS`."""
    info = TARGETS[target]
    plan = make_plan(network, BUDGETS[info.family], lanes=lanes, storage=storage)
    shell = board_shell(info.name, plan.core, plan.hash) if info.kind == "board" else None
    return emit(plan, folder, target=info, shell=shell)
