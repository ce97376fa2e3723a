# SPDX-License-Identifier: Apache-2.0
"""A network in integers: the numeric contract with its weights. The golden model runs it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.hdl.params import SPIKES, InputParams, NeuronParams, StopParams, SynapseParams

__all__ = ["QLayer", "QNetwork"]


@dataclass(frozen=True, kw_only=True, eq=False)
class QLayer:
    """A dense projection and the population it drives."""

    name: str
    """The population's name in the source graph."""
    weights: np.ndarray
    """int8 (n_out, n_in)."""
    synapse: SynapseParams
    neuron: NeuronParams
    scale: np.ndarray
    """Float value of one weight LSB, float64 (1,) for the layer or (n_out,) a channel. One
    membrane LSB is ``scale / 2**neuron.fraction_bits``. Nothing computes with it: it is
    for reports."""
    weight_exact: bool = False
    """True: every weight is an integer multiple of its scale; nothing was rounded."""
    ternary: bool = False
    bound: tuple[int, int] | None = None
    """Smallest and largest membrane that any legal input can reach; None where it is clamped."""


@dataclass(frozen=True, kw_only=True, eq=False)
class QNetwork:
    """A feed-forward chain of integer layers."""

    name: str
    input_name: str
    input_shape: tuple[int, ...]
    output_name: str
    layers: tuple[QLayer, ...]
    input_max: int = 1
    """Most that one input of the first layer may receive in one step: events, or the sum of their
    values."""
    input: InputParams = SPIKES
    """What samples hold, and how they become events."""
    stop: StopParams | None = None
    """When a sample ends before its last step; None: never."""
    steps: int | None = None
    """Most steps a sample; membrane bounds hold up to it. None: they hold for ever."""
    dialect: str = ""
    """The dialect as it would be written on the command line."""
    dt: float = 1e-4
    """Seconds a step."""

    @property
    def n_inputs(self) -> int:
        """Inputs of a sample: addresses of the core's input stream."""
        return self.input.pixels(self.layers[0].synapse.n_in)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of a sample's step, or frame."""
        return self.input.sample_shape(self.input_shape)

    @property
    def n_outputs(self) -> int:
        return self.layers[-1].neuron.n

    def save(self, path: Path) -> None:
        """Writes an uncompressed `.npz` whose bytes depend on the contents alone."""
        meta = {
            "format": 1,
            "name": self.name,
            "input_name": self.input_name,
            "input_shape": list(self.input_shape),
            "output_name": self.output_name,
            "input_max": self.input_max,
            "input": asdict(self.input),
            "stop": None if self.stop is None else asdict(self.stop),
            "steps": self.steps,
            "dialect": self.dialect,
            "dt": self.dt,
            "layers": [
                {
                    "name": layer.name,
                    "synapse": asdict(layer.synapse),
                    "neuron": asdict(layer.neuron),
                    "weight_exact": layer.weight_exact,
                    "ternary": layer.ternary,
                    "bound": layer.bound,
                }
                for layer in self.layers
            ],
        }
        arrays: dict[str, np.ndarray] = {"meta": np.array(json.dumps(meta, sort_keys=True))}
        for i, layer in enumerate(self.layers):
            arrays[f"weights_{i}"] = layer.weights.astype(np.int8)
            arrays[f"scale_{i}"] = layer.scale.astype(np.float64)
        with open(path, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> QNetwork:
        """Reads what `save` wrote."""
        with np.load(path) as arrays:
            meta = json.loads(str(arrays["meta"]))
            layers = tuple(
                QLayer(
                    name=entry["name"],
                    weights=arrays[f"weights_{i}"],
                    scale=arrays[f"scale_{i}"],
                    synapse=SynapseParams(**entry["synapse"]),
                    neuron=_neuron(entry["neuron"]),
                    weight_exact=entry["weight_exact"],
                    ternary=entry["ternary"],
                    bound=tuple(entry["bound"]) if entry["bound"] else None,
                )
                for i, entry in enumerate(meta["layers"])
            )
        return cls(
            name=meta["name"],
            input_name=meta["input_name"],
            input_shape=tuple(meta["input_shape"]),
            output_name=meta["output_name"],
            layers=layers,
            input_max=meta["input_max"],
            input=InputParams(**_tuples(meta["input"])),
            stop=StopParams(**_tuples(meta["stop"])) if meta.get("stop") else None,
            steps=meta["steps"],
            dialect=meta["dialect"],
            dt=meta["dt"],
        )


def _neuron(values: dict[str, Any]) -> NeuronParams:
    return NeuronParams(**_tuples(values))


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the parameters have tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
