# SPDX-License-Identifier: Apache-2.0
"""Event recordings from files and folders, whatever format they are in.

`.npy`, `.npz`: arrays as tonic gives them, with fields `t`, `x` and, where there are any, `y` and
`p`. `.aedat`: AEDAT 2.0 and 3.1. `.aedat4`: AEDAT 4, through the `aedat` package. `.bin`: N-MNIST,
through `tonic`. The two packages are the extra `spikefab[events]`, and only loaded when used.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.scripts.aedat import read_aedat

__all__ = ["Events", "find_recordings", "read_events"]

NMNIST_SENSOR = (34, 34)

FIELDS = {
    "t": ("t", "timestamp"),
    "x": ("x",),
    "y": ("y",),
    "p": ("p", "on", "polarity"),
}
"""Names that the columns of a recording go by."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Events:
    """One recording, in the order of time."""

    t: np.ndarray
    """Microseconds, int64, not falling."""
    x: np.ndarray
    """Column of the pixel, or the channel where there is no `y`."""
    y: np.ndarray | None = None
    """Row of the pixel."""
    p: np.ndarray | None = None
    """Polarity: 0 (darker) or 1 (brighter)."""
    sensor: tuple[int, ...] | None = None
    """(height, width), or (channels,), where the file says it."""
    label: int | None = None
    name: str = ""
    """The file, for messages."""


def find_recordings(path: Path) -> tuple[list[tuple[Path, int | None]], list[str]]:
    """The recordings under a path, each with its label, and the names of the classes.

    A folder with subfolders holds one subfolder a class: labels are the subfolders' names where all
    are numbers, else their places in alphabetical order. A file, or a folder of files, has none.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [(path, None)], []
    inside = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    own = [p for p in inside if p.is_file() and p.suffix.lower() in READERS]
    classes = {p.name: _recordings_in(p) for p in inside if p.is_dir()}
    classes = {name: found for name, found in classes.items() if found}
    if own and classes:
        raise InputError(
            f"{path}: holds recordings ({own[0].name}) beside folders of recordings "
            f"({next(iter(classes))}); give a folder of files, or one with a subfolder a class"
        )
    if not own and not classes:
        raise InputError(f"{path}: no recordings in it; they end in {', '.join(READERS)}")
    if own:
        return [(p, None) for p in own], []
    names = list(classes)
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
        numbers = {name: int(name) for name in names}
    else:
        numbers = {name: k for k, name in enumerate(names)}
    return [(p, numbers[name]) for name in names for p in classes[name]], names


def _recordings_in(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and not p.name.startswith(".") and p.suffix.lower() in READERS
    )


def read_events(path: Path, label: int | None = None) -> Iterator[Events]:
    """The recordings of a file: one, but for an `.npz` with `offsets`."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path}: not a recording that is known; they end in {', '.join(READERS)}; save other "
            "events with numpy.savez(file, t=microseconds, x=x, y=y, p=p)"
        )
    for events in reader(path):
        if label is not None:
            events = replace(events, label=label)
        yield _ordered(events, path)


def _ordered(events: Events, path: Path) -> Events:
    """The same in the order of time, with checked columns."""
    given = {name: getattr(events, name) for name in ("t", "x", "y", "p")}
    columns = {name: np.asarray(c) for name, c in given.items() if c is not None}
    for name, column in columns.items():
        if column.ndim != 1 or len(column) != len(events.t):
            raise InputError(
                f"{path}: column {name} has shape {column.shape}, and t {np.shape(events.t)}; each "
                "is one number an event"
            )
        if column.dtype == bool:
            columns[name] = column.view(np.uint8)
        elif not np.issubdtype(column.dtype, np.integer):
            if not np.issubdtype(column.dtype, np.floating) or (column != np.rint(column)).any():
                unit = ": time is in whole microseconds" if name == "t" else ""
                raise InputError(f"{path}: column {name} is not of whole numbers{unit}")
            columns[name] = column.astype(np.int64)
    if not len(events.t):
        raise InputError(f"{path}: a recording without events; leave it out")
    p = columns.get("p")
    if p is not None and p.min() < 0:
        p = columns["p"] = p.astype(np.int64)
        p[p == -1] = 0  # others write -1 and 1
    if p is not None and (p.min() < 0 or p.max() > 1):
        raise InputError(f"{path}: polarity is {p.min()} to {p.max()}; it is 0 or 1 (or -1 and 1)")
    t = columns["t"] = columns["t"].astype(np.int64)
    if len(t) > 1 and (np.diff(t) < 0).any():
        order = np.argsort(t, kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
    return replace(
        events,
        t=columns["t"],
        x=columns["x"],
        y=columns.get("y"),
        p=columns.get("p"),
        name=events.name or str(path),
    )


def _extra(module: str, path: Path) -> ModuleType:
    """An optional package that reads a format."""
    try:
        return import_module(module)
    except ImportError as error:
        name = module.split(".")[0]
        raise InputError(
            f"{path}: reading {path.suffix} needs the package {name} ({error}); "
            "pip install 'spikefab[events]'"
        ) from None


def _bin(path: Path) -> Iterator[Events]:
    """N-MNIST: 5 bytes an event."""
    size = path.stat().st_size
    if size % 5:
        raise InputError(f"{path}: {size} bytes; N-MNIST has 5 an event: the file is cut, or other")
    tonic = _extra("tonic.io", path)
    dtype = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.int8)])
    e = tonic.read_mnist_file(str(path), dtype=dtype)
    yield Events(t=e["t"], x=e["x"], y=e["y"], p=e["p"], sensor=NMNIST_SENSOR)


def _aedat(path: Path) -> Iterator[Events]:
    with open(path, "rb") as file:
        if file.read(11) == b"#!AER-DAT4.":
            yield from _aedat4(path)
            return
    c, sensor = read_aedat(path)
    yield Events(t=c["t"], x=c["x"], y=c["y"], p=c["p"], sensor=sensor)


def _aedat4(path: Path) -> Iterator[Events]:
    aedat = _extra("aedat", path)
    try:
        decoder = aedat.Decoder(str(path))
        streams = {k: s for k, s in decoder.id_to_stream().items() if s["type"] == "events"}
        if not streams:
            raise InputError(f"{path}: no stream of events in it")
        stream = min(streams)
        packets = [p["events"] for p in decoder if p["stream_id"] == stream]
    except InputError:
        raise
    except Exception as error:  # the package raises its own, and plain ones
        raise InputError(f"{path}: not a readable AEDAT 4 file ({error})") from None
    if not packets:
        raise InputError(f"{path}: a recording without events; leave it out")
    e = np.concatenate(packets)
    sensor = (streams[stream]["height"], streams[stream]["width"])
    yield Events(t=e["t"].astype(np.int64), x=e["x"], y=e["y"], p=e["on"], sensor=sensor)


def _arrays(path: Path) -> Iterator[Events]:
    """`.npy` and `.npz`."""
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                data = {"": loaded}
            else:
                data = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path}: not a readable {path.suffix} file ({error})") from None
    structured = [name for name, array in data.items() if array.dtype.names]
    if len(structured) > 1:
        raise InputError(
            f"{path}: {len(structured)} structured arrays ({', '.join(structured)}); one a file, "
            "or all behind one another and `offsets`"
        )
    columns: dict[str, np.ndarray] = dict(data)
    if structured:
        array = columns.pop(structured[0])
        columns |= {name: array[name].ravel() for name in array.dtype.names or ()}
    elif "" in data:
        raise InputError(
            f"{path}: an array of {data[''].dtype}, shape {data[''].shape}; events are a "
            "structured array with fields t, x and, where there are any, y and p"
        )
    if columns.get("x", np.zeros(1)).ndim > 1:
        raise InputError(f"{path}: holds samples, not events: give it to --data as it is")
    yield from _split(columns, path)


def _split(columns: dict[str, np.ndarray], path: Path) -> Iterator[Events]:
    """One recording, or those between `offsets`."""
    found: dict[str, Any] = {}
    for column, names in FIELDS.items():
        given = [columns[name] for name in names if name in columns]
        if given:
            found[column] = given[0]
    gaps = "t" not in found and "dt_us" in columns
    if gaps:
        found["t"] = columns["dt_us"].astype(np.int64)
    if "t" not in found or "x" not in found:
        raise InputError(
            f"{path}: no columns t and x (found {', '.join(sorted(columns))}); events have t in "
            "microseconds (or dt_us, gaps), x and, where there are any, y and p"
        )
    n = len(found["t"])
    for name, column in found.items():
        if column.shape != (n,):
            raise InputError(
                f"{path}: column {name} has shape {column.shape}, and t ({n},); each is one number "
                "an event"
            )
    offsets = np.asarray(columns.get("offsets", [0, n]))
    if offsets.ndim != 1 or len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != n:
        raise InputError(f"{path}: `offsets` must go from 0 to the number of events, {n}")
    labels = columns.get("label", columns.get("labels"))
    if labels is not None and np.shape(labels) not in ((len(offsets) - 1,), ()):
        raise InputError(
            f"{path}: {np.size(labels)} labels for {len(offsets) - 1} recordings; one each"
        )
    for k, (start, end) in enumerate(pairwise(offsets)):
        part = {name: column[start:end] for name, column in found.items()}
        if gaps:
            part["t"] = np.cumsum(part["t"])
        label = None if labels is None else int(np.atleast_1d(labels)[k])
        name = f"{path}, recording {k}" if len(offsets) > 2 else str(path)
        yield Events(**part, label=label, name=name)


READERS: dict[str, Callable[[Path], Iterator[Events]]] = {
    ".npy": _arrays,
    ".npz": _arrays,
    ".bin": _bin,
    ".aedat": _aedat,
    ".aedat4": _aedat4,
}
"""What reads which ending."""
