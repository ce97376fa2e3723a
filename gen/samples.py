# SPDX-License-Identifier: Apache-2.0
"""Samples from `.npz` files, checked against the network that is to take them."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QNetwork
from spikefab.hdl.params import InputParams

__all__ = [
    "check_counts",
    "check_labels",
    "check_samples",
    "load_samples",
    "max_sample",
    "samples_for",
]

RECORDINGS = (".bin", ".aedat", ".aedat4")
"""Endings of event recordings, for the message that names the command."""


def load_samples(
    path: str | Path,
    input_shape: tuple[int, ...],
    input_max: int | None,
    steps: int | None = None,
    *,
    framed: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads `x` (samples, steps, *input_shape) and, where given, `y` (samples,) from `.npz`.

    `framed`: a sample is one frame of values, without steps.

    Raises `InputError` where the file, a shape or a value is not what the network takes.
    """
    try:
        with open(path, "rb") as file:
            data = np.load(file, allow_pickle=False)
            names = "one bare array" if isinstance(data, np.ndarray) else sorted(data.files)
            if isinstance(data, np.ndarray) and data.dtype.names:
                raise InputError(_events(path))
            if "x" not in names or isinstance(data, np.ndarray):
                raise InputError(
                    f"{path}: no array 'x' (found {names}); save it with "
                    "numpy.savez(file, x=events, y=labels)"
                )
            x = data["x"]
            if x.ndim == 1 and {"t", "dt_us"} & set(data.files):
                raise InputError(_events(path))
            y = data["y"] if "y" in data.files else None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        suffix = Path(path).suffix.lower()
        if suffix in RECORDINGS or (suffix != ".npz" and Path(path).is_dir()):
            raise InputError(_events(path)) from None
        why = "" if "allow_pickle" in str(error) else f" ({error})"
        raise InputError(
            f"{path}: not a readable .npz file{why}; save it with "
            "numpy.savez(file, x=events, y=labels)"
        ) from None
    x = check_counts(x, input_shape, input_max, steps, where=str(path), framed=framed)
    if y is not None and y.shape != (len(x),):
        raise InputError(
            f"{path}: y has shape {y.shape}; labels are one integer a sample, ({len(x)},)"
        )
    if y is not None and not np.issubdtype(y.dtype, np.integer):
        raise InputError(f"{path}: y has type {y.dtype}; labels are integers")
    return x, y


def _events(path: str | Path) -> str:
    return (
        f"{path}: event recordings, not samples; bin them into steps first: "
        f"spikefab data {path} --bin-us N -o samples.npz"
    )


def samples_for(qnet: QNetwork, path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """`load_samples` for a network in integers: `x` as its input's coding takes it, and `y`, which
    must be numbers of its outputs."""
    framed = qnet.input.framed
    steps = None if framed else qnet.steps
    x, y = load_samples(path, qnet.sample_shape, _limit(qnet), steps, framed=framed)
    if y is not None:
        check_labels(y, qnet.n_outputs, str(path))
    return x, y


def check_labels(y: np.ndarray, n_outputs: int, where: str = "y") -> None:
    """Raises `InputError` where a label is no output's number."""
    wrong = y[(y < 0) | (y >= n_outputs)]
    if len(wrong):
        raise InputError(
            f"{where}: y holds the label {wrong[0]}; the network has {n_outputs} outputs, labels "
            f"are 0 to {n_outputs - 1}: number the classes so, or give the data of this network"
        )


def check_samples(qnet: QNetwork, x: np.ndarray) -> np.ndarray:
    """`x` as integers of the shape and range that the network's input takes, or `InputError`."""
    framed = qnet.input.framed
    steps = None if framed else qnet.steps
    return check_counts(x, qnet.sample_shape, _limit(qnet), steps, framed=framed)


def _limit(qnet: QNetwork) -> int:
    """Largest number that a sample may hold."""
    return max_sample(qnet.input, qnet.input_max)


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
) -> np.ndarray:
    """`x` as integers (samples, steps, *input_shape), or an `InputError` that says what is wrong.

    `framed`: (samples, *input_shape) instead.
    `input_max`: most events an input may receive in a step (None: any). `steps`: most steps.
    """
    x = np.asarray(x)
    lead = 1 if framed else 2
    axes = ["samples"] if framed else ["samples", "steps"]
    shape = "(" + ", ".join([*axes, *map(str, input_shape)]) + ")"
    if x.ndim != lead + len(input_shape) or x.shape[lead:] != tuple(input_shape):
        how = "; one frame a sample with this --input" if framed else ""
        raise InputError(f"{where}: x has shape {x.shape}; the network takes {shape}{how}")
    if 0 in x.shape[:lead]:
        raise InputError(f"{where}: x has shape {x.shape}; it needs at least one sample and step")
    if x.dtype == bool:
        x = x.view(np.uint8)
    if not np.issubdtype(x.dtype, np.integer):
        if not np.issubdtype(x.dtype, np.floating):
            raise InputError(f"{where}: x has type {x.dtype}; event counts are integers")
        if not np.isfinite(x).all() or (x != np.rint(x)).any():
            cure = "events are counts: encode the data into spikes first"
            if framed:
                cure = "a frame holds integers of 1 to 8 bits: scale and round, as to 0 to 255"
            raise InputError(f"{where}: x has values that are not whole numbers; {cure}")
        if float(np.abs(x).max()) < 2**62:  # beyond it no count is legal: the limits below say so
            x = x.astype(np.int64)
    if steps is not None and not framed and x.shape[1] > steps:
        raise InputError(
            f"{where}: {x.shape[1]} steps a sample; the membranes of this design are proven for "
            f"at most {steps}; compile with --steps {x.shape[1]}"
        )
    lowest, highest = int(x.min()), int(x.max())
    if lowest < 0:
        raise InputError(f"{where}: x holds {lowest}; an event count is 0 or more")
    if input_max is not None and highest > input_max:
        raise InputError(
            f"{where}: x holds {highest} events for one input in one step; this design takes at "
            f"most {input_max}; compile with --data, or --input-max {highest}"
        )
    # Counts index and repeat, which numpy does not do with uint64.
    return x.astype(np.int64) if x.dtype == np.uint64 and highest < 2**63 else x
