# SPDX-License-Identifier: Apache-2.0
"""A network in integers as one file: `network.npz` of a design directory."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.gen.qnetwork import (
    ConvConnection,
    QEdge,
    QInput,
    QLayer,
    QNetwork,
    QOutput,
    dense_edge,
)
from spikefab.hdl.conv_params import ConvParams
from spikefab.hdl.params import (
    CurrentParams,
    InputParams,
    NeuronParams,
    StopParams,
    SynapseParams,
)

__all__ = ["FORMAT", "load_qnetwork", "save_qnetwork"]

FORMAT = 3
"""1: chains alone. 2: graphs. 3: graphs with delays, which a reader of 2 would leave out."""


def save_qnetwork(qnet: QNetwork, path: Path) -> None:
    """Writes an uncompressed `.npz` whose bytes depend on the contents alone."""
    late = any(edge.late for layer in qnet.layers for edge in layer.edges)
    meta = {
        # The first that says it all: what an older version can run it can read.
        "format": FORMAT if late else 2,
        "name": qnet.name,
        "inputs": [asdict(i) for i in qnet.inputs],
        "outputs": [asdict(out) for out in qnet.outputs],
        "input_max": qnet.input_max,
        "input": asdict(qnet.input),
        "stop": None if qnet.stop is None else asdict(qnet.stop),
        "steps": qnet.steps,
        "dialect": qnet.dialect,
        "dt": qnet.dt,
        "layers": [
            {
                "name": layer.name,
                "edges": [
                    {
                        "source": edge.source,
                        "recurrent": edge.recurrent,
                        "connection": asdict(edge.connection.params)
                        if isinstance(edge.connection, ConvConnection)
                        else "dense",
                    }
                    for edge in layer.edges
                ],
                "synapse": asdict(layer.synapse),
                "neuron": asdict(layer.neuron),
                "weight_exact": layer.weight_exact,
                "ternary": layer.ternary,
                "bound": layer.bound,
            }
            for layer in qnet.layers
        ],
    }
    arrays: dict[str, np.ndarray] = {"meta": np.array(json.dumps(meta, sort_keys=True))}
    for i, layer in enumerate(qnet.layers):
        for k, edge in enumerate(layer.edges):
            own = edge.connection
            weights = own.kernel if isinstance(own, ConvConnection) else own.weights
            arrays[f"weights_{i}_{k}"] = weights.astype(np.int8)
            if edge.delays is not None:
                arrays[f"delays_{i}_{k}"] = edge.delays.astype(np.int16)
        arrays[f"scale_{i}"] = layer.scale.astype(np.float64)
    with open(path, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_qnetwork(path: Path) -> QNetwork:
    """Reads what `save_qnetwork` wrote, in any format so far; `ValueError` at another one."""
    with np.load(path) as file:
        meta = json.loads(str(file["meta"]))
        arrays = {name: file[name] for name in file.files if name != "meta"}
    if meta["format"] == 1:
        meta, arrays = _from_chain(meta, arrays)
    # Delays without their format: of versions before it.
    if meta["format"] not in (2, FORMAT):
        raise ValueError(f"format {meta['format']!r}, this version reads 1 to {FORMAT}")
    layers = tuple(
        QLayer(
            name=entry["name"],
            edges=tuple(
                _edge(edge, arrays[f"weights_{i}_{k}"], arrays.get(f"delays_{i}_{k}"))
                for k, edge in enumerate(entry["edges"])
            ),
            scale=arrays[f"scale_{i}"],
            synapse=SynapseParams(**entry["synapse"]),
            neuron=_neuron(entry["neuron"]),
            weight_exact=entry["weight_exact"],
            ternary=entry["ternary"],
            bound=tuple(entry["bound"]) if entry["bound"] else None,
        )
        for i, entry in enumerate(meta["layers"])
    )
    return QNetwork(
        name=meta["name"],
        inputs=tuple(QInput(**_tuples(entry)) for entry in meta["inputs"]),
        outputs=tuple(QOutput(**entry) for entry in meta["outputs"]),
        layers=layers,
        input_max=meta["input_max"],
        input=InputParams(**_tuples(meta["input"])),
        stop=StopParams(**_tuples(meta["stop"])) if meta.get("stop") else None,
        steps=meta["steps"],
        dialect=meta["dialect"],
        dt=meta["dt"],
    )


def _neuron(values: dict[str, Any]) -> NeuronParams:
    fields, current = _tuples(values), values.get("current")
    if current is not None:
        fields["current"] = CurrentParams(**_tuples(current))
    return NeuronParams(**fields)


def _edge(entry: dict[str, Any], weights: np.ndarray, delays: np.ndarray | None) -> QEdge:
    if entry["connection"] == "dense":
        return dense_edge(entry["source"], weights, recurrent=entry["recurrent"], delays=delays)
    params = ConvParams(**{key: _nested(value) for key, value in entry["connection"].items()})
    return QEdge(
        source=entry["source"],
        connection=ConvConnection(params=params, kernel=weights),
        recurrent=entry["recurrent"],
        delays=delays,
    )


def _nested(value: Any) -> Any:
    return tuple(map(_nested, value)) if isinstance(value, list) else value


def _from_chain(
    meta: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Format 1 as format 2: each layer's only edge comes from the one before."""
    names = [entry["name"] for entry in meta["layers"]]
    sources = [meta["input_name"], *names[:-1]]
    changed = {
        "format": 2,
        "inputs": [{"name": meta["input_name"], "shape": meta["input_shape"]}],
        "outputs": [{"name": meta["output_name"], "source": names[-1]}],
        "layers": [
            entry | {"edges": [{"source": source, "recurrent": False, "connection": "dense"}]}
            for source, entry in zip(sources, meta["layers"], strict=True)
        ],
    }
    renamed = {f"weights_{i}_0": arrays[f"weights_{i}"] for i in range(len(names))}
    return meta | changed, arrays | renamed


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the parameters have tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
