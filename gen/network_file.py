# SPDX-License-Identifier: Apache-2.0
"""A float network as one file, so that a design directory can carry its own reference."""

from __future__ import annotations

import json
import os
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.gen.dialect import FIELDS, Dialect
from spikefab.gen.errors import InputError
from spikefab.gen.network import (
    Current,
    Input,
    Network,
    Neuron,
    Output,
    Population,
    Projection,
)
from spikefab.gen.operations import AvgPool, Bias, Conv, Delay, Dense, Operation, Scale, SumPool

__all__ = ["load_saved_network", "save_network"]

FORMAT = 2
"""1, which had one dense matrix a projection, is read too."""

KINDS: dict[str, type[Operation]] = {
    kind.__name__: kind for kind in (Dense, Scale, Bias, Conv, SumPool, AvgPool, Delay)
}
INTEGER = ("steps",)
"""Arrays that are not float64 in memory."""


def save_network(network: Network, path: Path) -> None:
    """Writes an uncompressed `.npz` whose bytes depend on the contents alone.

    Written beside the target and renamed, so that a full disk leaves no half file.
    """
    arrays: dict[str, np.ndarray] = {}
    populations = []
    for i, population in enumerate(network.populations):
        neuron, prefix = population.neuron, f"population_{i}_"
        entry = _put(neuron, arrays, prefix, without=("dialect", "parameters", "current"))
        if neuron.current is not None:
            entry["current"] = _put(neuron.current, arrays, f"{prefix}current_")
        for key in sorted(neuron.parameters):
            arrays[f"{prefix}parameter_{key}"] = _pack(neuron.parameters[key])
        populations.append(
            {
                "name": population.name,
                "shape": list(population.shape),
                "dialect": _dialect_fields(neuron.dialect),
                "parameters": sorted(neuron.parameters),
                **entry,
            }
        )
    projections = []
    for i, projection in enumerate(network.projections):
        operations = [
            {"kind": type(op).__name__} | _put(op, arrays, f"projection_{i}_{k}_")
            for k, op in enumerate(projection.operations)
        ]
        entry = _put(projection, arrays, "", without=("operations",))
        projections.append(entry | {"operations": operations})
    meta = {
        "format": FORMAT,
        "name": network.name,
        "inputs": [{"name": i.name, "shape": list(i.shape)} for i in network.inputs],
        "outputs": [{"name": o.name, "source": o.source} for o in network.outputs],
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
            if meta["format"] not in (1, FORMAT):
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
    populations = []
    for i, entry in enumerate(meta["populations"]):
        prefix = f"population_{i}_"
        current = None
        if entry.get("current") is not None:
            current = Current(**_get(Current, entry["current"], arrays, f"{prefix}current_"))
        neuron = Neuron(
            dialect=Dialect(**entry["dialect"]),
            parameters={
                k: arrays[f"{prefix}parameter_{k}"].astype(np.float64) for k in entry["parameters"]
            },
            current=current,
            **_get(Neuron, entry, arrays, prefix, without=("dialect", "parameters", "current")),
        )
        populations.append(
            Population(name=entry["name"], shape=tuple(entry["shape"]), neuron=neuron)
        )
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    if meta["format"] == 1:
        inputs = (Input(name=meta["input_name"], shape=tuple(meta["input_shape"])),)
        outputs = (Output(name=meta["output_name"], source=populations[-1].name),)
        projections = [
            Projection.dense(
                name=entry["name"],
                source=entry["source"],
                target=entry["target"],
                weight=arrays[f"projection_{i}_weight"].astype(np.float64),
                bias=arrays[f"projection_{i}_bias"].astype(np.float64),
            )
            for i, entry in enumerate(meta["projections"])
        ]
    else:
        inputs = tuple(Input(name=e["name"], shape=tuple(e["shape"])) for e in meta["inputs"])
        outputs = tuple(Output(name=e["name"], source=e["source"]) for e in meta["outputs"])
        projections = [
            Projection(
                operations=tuple(
                    KINDS[e["kind"]](**_get(KINDS[e["kind"]], e, arrays, f"projection_{i}_{k}_"))
                    for k, e in enumerate(entry["operations"])
                ),
                **_get(Projection, entry, arrays, "", without=("operations",)),
            )
            for i, entry in enumerate(meta["projections"])
        ]
    return Network(
        name=meta["name"],
        inputs=inputs,
        outputs=outputs,
        populations=tuple(populations),
        projections=tuple(projections),
        dialect=Dialect(**meta["dialect"]),
        dt=meta["dt"],
        steps=meta["steps"],
        notes=tuple(meta["notes"]),
    )


def _put(
    value: Any, arrays: dict[str, np.ndarray], prefix: str, without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A dataclass's plain fields; its arrays go to `arrays`."""
    plain = {}
    for key in (f.name for f in fields(value) if f.name not in without):
        member = getattr(value, key)
        if isinstance(member, np.ndarray):
            arrays[prefix + key] = member if key in INTEGER else _pack(member)
        elif member is not None:
            plain[key] = member
    return plain


def _get(
    kind: type,
    entry: dict[str, Any],
    arrays: dict[str, np.ndarray],
    prefix: str,
    without: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The fields of a dataclass that `_put` saved; what it left out is None or the default."""
    values: dict[str, Any] = {}
    for field in (f for f in fields(kind) if f.name not in without):
        if prefix + field.name in arrays:
            array = arrays[prefix + field.name]
            values[field.name] = array if field.name in INTEGER else array.astype(np.float64)
        elif field.name in entry:
            values[field.name] = _tupled(entry[field.name])
        elif field.default is MISSING:
            values[field.name] = None
    return values


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def _dialect_fields(dialect: Dialect) -> dict[str, Any]:
    return {name: getattr(dialect, name) for name in (*FIELDS, "preset")}


def _pack(values: np.ndarray) -> np.ndarray:
    """float64, or float32 where that holds every value exactly: half the file."""
    single = values.astype(np.float32)
    return single if np.array_equal(single, values) else np.asarray(values, np.float64)
