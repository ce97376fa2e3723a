# SPDX-License-Identifier: Apache-2.0
"""Samples from `.npz` files, checked against the network that is to take them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QNetwork
from spikefab.hdl.params import InputParams

__all__ = [
    "InputSamples",
    "check_counts",
    "check_labels",
    "check_samples",
    "load_inputs",
    "load_samples",
    "max_sample",
    "samples_for",
]

RECORDINGS = (".bin", ".aedat", ".aedat4")
"""Endings of event recordings, for the message that names the command."""


@dataclass(frozen=True, kw_only=True)
class InputSamples:
    """What one input node takes."""

    name: str
    shape: tuple[int, ...]
    max_events: int | None = None
    """Most that an input receives in a step, or the largest value; None: any."""


def load_samples(
    path: str | Path,
    input_shape: tuple[int, ...],
    input_max: int | None,
    steps: int | None = None,
    *,
    framed: bool = False,
    name: str = "",
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads `x` (samples, steps, *input_shape) and, where given, `y` (samples,) from `.npz`.

    `framed`: a sample is one frame of values, without steps. `name`: of the input's node; the
    array may be `x_<name>` too.

    Raises `InputError` where the file, a shape or a value is not what the network takes.
    """
    one = InputSamples(name=name, shape=input_shape, max_events=input_max)
    return load_inputs(path, [one], steps, framed=framed)


def load_inputs(
    path: str | Path,
    inputs: Sequence[InputSamples],
    steps: int | None = None,
    *,
    framed: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads the samples of all input nodes: of one as `load_samples`, of several `x_<node>` each,
    which become one array (samples, steps, inputs of all nodes in their order)."""
    names = [f"x_{i.name}" for i in inputs]
    arrays = _arrays(path, names, single=len(inputs) == 1)
    parts = [
        check_counts(
            arrays[name], i.shape, i.max_events, steps, where=str(path), framed=framed, name=name
        )
        for name, i in zip(arrays, inputs, strict=False)
    ]
    x = parts[0] if len(inputs) == 1 else _side_by_side(str(path), names, parts)
    y = arrays.get("y")
    if y is not None and y.shape != (len(x),):
        raise InputError(
            f"{path}: y has shape {y.shape}; labels are one integer a sample, ({len(x)},)"
        )
    if y is not None and not np.issubdtype(y.dtype, np.integer):
        raise InputError(f"{path}: y has type {y.dtype}; labels are integers")
    return x, y


def _arrays(path: str | Path, names: list[str], *, single: bool) -> dict[str, np.ndarray]:
    """The arrays of these names in order, or for a `single` one `x`, then `y` where it is there."""
    wanted = "x" if single else ", ".join(names)
    how = "x=events" if single else ", ".join(f"{name}=events" for name in names)
    save = f"save it with numpy.savez(file, {how}, y=labels)"
    try:
        with open(path, "rb") as file:
            data = np.load(file, allow_pickle=False)
            if isinstance(data, np.ndarray):
                if data.dtype.names:
                    raise InputError(_events(path))
                raise InputError(f"{path}: no array {wanted!r} (found one bare array); {save}")
            found = sorted(data.files)
            if single and "x" in found:
                names = ["x"]
            missing = [name for name in names if name not in found]
            if missing and single:
                missing = ["x"]
            if missing:
                told = ", ".join(map(repr, missing))
                raise InputError(f"{path}: no array {told} (found {found}); {save}")
            arrays = {name: data[name] for name in names}
            if any(x.ndim == 1 for x in arrays.values()) and {"t", "dt_us"} & set(found):
                raise InputError(_events(path))
            if "y" in found:
                arrays["y"] = data["y"]
            return arrays
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        suffix = Path(path).suffix.lower()
        if suffix in RECORDINGS or (suffix != ".npz" and Path(path).is_dir()):
            raise InputError(_events(path)) from None
        why = "" if "allow_pickle" in str(error) else f" ({error})"
        raise InputError(f"{path}: not a readable .npz file{why}; {save}") from None


def _side_by_side(where: str, names: list[str], parts: list[np.ndarray]) -> np.ndarray:
    """Samples of several nodes as one array (samples, steps, inputs)."""
    for name, x in zip(names, parts, strict=True):
        if x.shape[:2] != parts[0].shape[:2]:
            raise InputError(
                f"{where}: {name} has {x.shape[0]} samples of {x.shape[1]} steps, {names[0]} has "
                f"{parts[0].shape[0]} of {parts[0].shape[1]}; all inputs must have the same"
            )
    return np.concatenate([x.reshape(*x.shape[:2], -1) for x in parts], axis=2)


def _events(path: str | Path) -> str:
    return (
        f"{path}: event recordings, not samples; bin them into steps first: "
        f"spikefab data {path} --bin-us N -o samples.npz"
    )


def samples_for(qnet: QNetwork, path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples for a network in integers: `x` as its input's coding takes it, or all inputs side by
    side (see `load_inputs`), and `y`, which must be numbers of its outputs."""
    framed = qnet.input.framed
    steps = None if framed else qnet.steps
    inputs = [
        InputSamples(name=i.name, shape=qnet.input.sample_shape(i.shape), max_events=most)
        for i, most in zip(qnet.inputs, _limits(qnet), strict=True)
    ]
    x, y = load_inputs(path, inputs, steps, framed=framed)
    if y is not None:
        names = [out.name for out in qnet.outputs]
        check_labels(y, qnet.output_layers[0].neuron.n, str(path), names)
    return x, y


def check_labels(
    y: np.ndarray, n_outputs: int, where: str = "y", nodes: Sequence[str] = ()
) -> None:
    """Raises `InputError` where a label is no output's number.

    `nodes`: the network's output nodes; of several, labels are the first one's.
    """
    wrong = y[(y < 0) | (y >= n_outputs)]
    if len(wrong):
        whose = f"output node {nodes[0]!r}, the first," if len(nodes) > 1 else "the network"
        raise InputError(
            f"{where}: y holds the label {wrong[0]}; {whose} has {n_outputs} outputs, labels "
            f"are 0 to {n_outputs - 1}: number the classes so, or give the data of this network"
        )


def check_samples(qnet: QNetwork, x: np.ndarray | Mapping[str, np.ndarray]) -> np.ndarray:
    """`x` as integers of the shape and range that the network's input takes, or `InputError`.

    Of several inputs: an array by node's name, or all side by side (samples, steps, inputs).
    """
    framed = qnet.input.framed
    steps = None if framed else qnet.steps
    names = [i.name for i in qnet.inputs]
    if isinstance(x, Mapping):
        if sorted(x) != sorted(names):
            raise InputError(f"x: arrays of inputs {sorted(x)}; the network has {sorted(names)}")
        parts = [
            check_counts(x[i.name], i.shape, most, steps, framed=framed, name=f"x_{i.name}")
            for i, most in zip(qnet.inputs, _limits(qnet), strict=True)
        ]
        return parts[0] if len(parts) == 1 else _side_by_side("x", names, parts)
    if len(qnet.inputs) == 1:
        return check_counts(x, qnet.sample_shape, _limits(qnet)[0], steps, framed=framed)
    x = check_counts(x, qnet.sample_shape, None, steps, framed=framed)
    for i, most in zip(qnet.inputs, _limits(qnet), strict=True):
        part = x[:, :, qnet.input_ranges[i.name]]
        check_counts(part, (i.n,), most, where=f"input {i.name!r}")
    return x


def _limits(qnet: QNetwork) -> list[int]:
    """Largest number that a sample may hold for each input node."""
    return [max_sample(qnet.input, qnet.source_max(i.name)) for i in qnet.inputs]


def max_sample(coding: InputParams, input_max: int) -> int:
    """Largest number that a sample may hold: a value of the input's width, or a count."""
    return coding.max_value if coding.payload_width else input_max


def check_counts(
    x: np.ndarray,
    input_shape: tuple[int, ...],
    input_max: int | None,
    steps: int | None = None,
    where: str = "x",
    *,
    framed: bool = False,
    name: str = "x",
) -> np.ndarray:
    """`x` as integers (samples, steps, *input_shape), or an `InputError` that says what is wrong.

    `framed`: (samples, *input_shape) instead. `name`: of the array, in words.
    `input_max`: most events an input may receive in a step (None: any). `steps`: most steps.
    """
    x = np.asarray(x)
    lead = 1 if framed else 2
    axes = ["samples"] if framed else ["samples", "steps"]
    shape = "(" + ", ".join([*axes, *map(str, input_shape)]) + ")"
    if x.ndim != lead + len(input_shape) or x.shape[lead:] != tuple(input_shape):
        how = "; one frame a sample with this --input" if framed else ""
        raise InputError(f"{where}: {name} has shape {x.shape}; the network takes {shape}{how}")
    if 0 in x.shape[:lead]:
        raise InputError(
            f"{where}: {name} has shape {x.shape}; it needs at least one sample and step"
        )
    if x.dtype == bool:
        x = x.view(np.uint8)
    if not np.issubdtype(x.dtype, np.integer):
        if not np.issubdtype(x.dtype, np.floating):
            raise InputError(f"{where}: {name} has type {x.dtype}; event counts are integers")
        if not np.isfinite(x).all() or (x != np.rint(x)).any():
            cure = "events are counts: encode the data into spikes first"
            if framed:
                cure = "a frame holds integers of 1 to 8 bits: scale and round, as to 0 to 255"
            raise InputError(f"{where}: {name} has values that are not whole numbers; {cure}")
        if float(np.abs(x).max()) < 2**62:  # beyond it no count is legal: the limits below say so
            x = x.astype(np.int64)
    if steps is not None and not framed and x.shape[1] > steps:
        raise InputError(
            f"{where}: {x.shape[1]} steps a sample; the membranes of this design are proven for "
            f"at most {steps}; compile with --steps {x.shape[1]}"
        )
    lowest, highest = int(x.min()), int(x.max())
    if lowest < 0:
        raise InputError(f"{where}: {name} holds {lowest}; an event count is 0 or more")
    if input_max is not None and highest > input_max:
        raise InputError(
            f"{where}: {name} holds {highest} events for one input in one step; this design takes "
            f"at most {input_max}; compile with --data, or --input-max {highest}"
        )
    # Counts index and repeat, which numpy does not do with uint64.
    return x.astype(np.int64) if x.dtype == np.uint64 and highest < 2**63 else x
