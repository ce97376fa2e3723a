# SPDX-License-Identifier: Apache-2.0
"""A float network as one file, so that a design directory can carry its own reference."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.gen.dialect import FIELDS, Dialect
from spikefab.gen.errors import InputError
from spikefab.gen.network import Input, Network, Neuron, Output, Population, Projection

__all__ = ["load_saved_network", "save_network"]

FORMAT = 1
NEURON_ARRAYS = ("decay", "gain", "offset", "threshold", "v_reset", "v_init", "v_min")


def save_network(network: Network, path: Path) -> None:
    """Writes an uncompressed `.npz` whose bytes depend on the contents alone.

    Written beside the target and renamed, so that a full disk leaves no half file.
    """
    arrays: dict[str, np.ndarray] = {}
    populations = []
    for i, population in enumerate(network.populations):
        neuron = population.neuron
        for key in NEURON_ARRAYS:
            value = getattr(neuron, key)
            if value is not None:
                arrays[f"population_{i}_{key}"] = _pack(value)
        for key in sorted(neuron.parameters):
            arrays[f"population_{i}_parameter_{key}"] = _pack(neuron.parameters[key])
        populations.append(
            {
                "name": population.name,
                "shape": list(population.shape),
                "spiking": neuron.spiking,
                "dialect": _dialect_fields(neuron.dialect),
                "parameters": sorted(neuron.parameters),
            }
        )
    projections = []
    for i, projection in enumerate(network.projections):
        arrays[f"projection_{i}_weight"] = _pack(projection.weight)
        arrays[f"projection_{i}_bias"] = _pack(projection.bias)
        projections.append(
            {"name": projection.name, "source": projection.source, "target": projection.target}
        )
    meta = {
        "format": FORMAT,
        "name": network.name,
        "input_name": network.input_name,
        "input_shape": list(network.input_shape),
        "output_name": network.output_name,
        "dialect": _dialect_fields(network.dialect),
        "dt": network.dt,
        "steps": network.steps,
        "notes": list(network.notes),
        "populations": populations,
        "projections": projections,
    }
    arrays["meta"] = np.array(json.dumps(meta, sort_keys=True))
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        temporary.unlink(missing_ok=True)


def load_saved_network(path: Path) -> Network:
    """Reads what `save_network` wrote. Raises `InputError` where the file is something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            meta = json.loads(str(file["meta"]))
            if meta["format"] != FORMAT:
                raise InputError(
                    f"{path}: has format {meta['format']}, this version reads {FORMAT}; "
                    "compile the design again"
                )
            return _unpack(meta, {key: file[key] for key in file.files if key != "meta"})
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # zipfile, json and numpy each raise their own
        raise InputError(
            f"{path}: is not a saved network ({type(error).__name__}: {error}); "
            "compile the design again"
        ) from None


def _unpack(meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> Network:
    def get(key: str) -> np.ndarray:
        return arrays[key].astype(np.float64)

    populations = []
    for i, entry in enumerate(meta["populations"]):
        values: dict[str, Any] = {
            key: get(f"population_{i}_{key}") if f"population_{i}_{key}" in arrays else None
            for key in NEURON_ARRAYS
        }
        neuron = Neuron(
            spiking=entry["spiking"],
            dialect=Dialect(**entry["dialect"]),
            parameters={k: get(f"population_{i}_parameter_{k}") for k in entry["parameters"]},
            **values,
        )
        populations.append(
            Population(name=entry["name"], shape=tuple(entry["shape"]), neuron=neuron)
        )
    projections = [
        Projection.dense(
            name=entry["name"],
            source=entry["source"],
            target=entry["target"],
            weight=get(f"projection_{i}_weight"),
            bias=get(f"projection_{i}_bias"),
        )
        for i, entry in enumerate(meta["projections"])
    ]
    return Network(
        name=meta["name"],
        inputs=(Input(name=meta["input_name"], shape=tuple(meta["input_shape"])),),
        outputs=(Output(name=meta["output_name"], source=populations[-1].name),),
        populations=tuple(populations),
        projections=tuple(projections),
        dialect=Dialect(**meta["dialect"]),
        dt=meta["dt"],
        steps=meta["steps"],
        notes=tuple(meta["notes"]),
    )


def _dialect_fields(dialect: Dialect) -> dict[str, Any]:
    return {name: getattr(dialect, name) for name in (*FIELDS, "preset")}


def _pack(values: np.ndarray) -> np.ndarray:
    """float64, or float32 where that holds every value exactly: half the file."""
    single = values.astype(np.float32)
    return single if np.array_equal(single, values) else np.asarray(values, np.float64)
