# SPDX-License-Identifier: Apache-2.0
"""From events to counts: which step and which input each one belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal, get_args

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.scripts.recordings import Events

__all__ = ["Binned", "Binning", "Polarity", "stack"]

Polarity = Literal["both", "swap", "merge", "on", "off"]

MAX_BYTES = 4 << 30
"""Most that the samples of one file may take in memory."""


@dataclass(frozen=True, kw_only=True)
class Binning:
    """How events become counts (steps, *shape). Each field is named as its option.

    In this order: flip, shift, crop, downsample, polarity, then time.
    """

    bin_us: int | None = None
    """Length of a step. None: each recording's own length over `steps`."""
    steps: int | None = None
    """Steps a sample. None: as many as the longest recording needs."""
    start_us: int | None = None
    """Where the first step begins in the recording's own time. None: at its first event."""
    sensor: tuple[int, ...] | None = None
    """(height, width), or (channels,) where events have no row. None: what the files say, or
    `shape`."""
    flip: str = ""
    """Axes to mirror: any of `x` and `y`."""
    shift: tuple[int, int] = (0, 0)
    """Pixels by which events move to the right and down; those that leave are dropped."""
    crop: tuple[int, int, int, int] | None = None
    """Left, top, width, height of what is kept."""
    downsample: int = 1
    """Side of the squares of pixels that become one input, whose events add up."""
    polarity: Polarity = "both"
    """What becomes of darker (0) and brighter (1) events: inputs of their own; the same, swapped;
    one input; only one of them."""
    shape: tuple[int, ...] | None = None
    """The network's input shape. None: (polarities, height, width)."""
    max_count: int | None = None
    """Larger counts are clipped. None: they are kept."""

    def __post_init__(self) -> None:
        if self.bin_us is None and self.steps is None:
            raise InputError(
                "--bin-us, --steps: one is needed, the length of a step in microseconds or the "
                "number of steps that each recording is divided into; or both"
            )
        for name, least in (("bin_us", 1), ("steps", 1), ("downsample", 1), ("max_count", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{option(name)} {value}: must be {least} or more")
        if self.polarity not in get_args(Polarity):
            raise InputError(f"--polarity {self.polarity}: one of {', '.join(get_args(Polarity))}")
        if set(self.flip) - {"x", "y"}:
            raise InputError(f"--flip {self.flip}: must be x, y or xy")
        for name in ("sensor", "shape"):
            value = getattr(self, name)
            if value is not None and (not value or min(value) < 1):
                raise InputError(f"{option(name)}: each size must be 1 or more")
        if self.crop is not None and (min(self.crop) < 0 or min(self.crop[2:]) < 1):
            raise InputError(
                f"--crop {','.join(map(str, self.crop))}: left and top are 0 or more, width and "
                "height 1 or more"
            )


def option(name: str) -> str:
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, kw_only=True, eq=False)
class Binned:
    """Counts of one recording, where they are not 0."""

    cell: np.ndarray
    """step × inputs + input, rising."""
    count: np.ndarray
    steps: int
    """Steps that it takes, without those behind its last event."""
    shape: tuple[int, ...]
    events: int
    """Events of the recording."""
    lost: dict[str, int] = field(default_factory=dict)
    """Events that are in no count, by why."""

    @classmethod
    def of(cls, events: Events, how: Binning) -> Binned:
        """Raises `InputError` where an event lies outside the sensor, or a shape cannot be had."""
        inputs, shape, kept = _inputs(events, how)
        step, steps = _steps(events.t, how)
        kept["before the first step or behind the last"] = (step >= 0) & (step < steps)
        keep, lost = np.ones(len(step), bool), {}
        for why, mask in kept.items():
            lost[why] = int((keep & ~mask).sum())
            keep &= mask
        size = prod(shape)
        cell, count = np.unique((step * size + inputs)[keep], return_counts=True)
        if how.max_count is not None:
            over = count - how.max_count
            lost["beyond --max-count"] = int(over[over > 0].sum())
            count = np.minimum(count, how.max_count)
        return cls(
            cell=cell,
            count=count,
            steps=int(cell[-1]) // size + 1 if len(cell) else 1,
            shape=how.shape or shape,
            events=len(events.t),
            lost={why: n for why, n in lost.items() if n},
        )


def _inputs(
    events: Events, how: Binning
) -> tuple[np.ndarray, tuple[int, ...], dict[str, np.ndarray]]:
    """Each event's place in an array of the shape, the shape, and who is in it, by why not."""
    sensor = _sensor_of(events, how)
    x, y = _placed(events, how, sensor)
    height, width = sensor if len(sensor) == 2 else (1, sensor[0])
    left, top, w, h = how.crop or (0, 0, width, height)
    if left + w > width or top + h > height:
        raise InputError(f"{events.name}: --crop goes beyond the sensor, {_text(sensor)}")
    kept = {
        "shifted off the sensor": (x >= 0) & (y >= 0),
        "outside the crop": (x >= left) & (x < left + w) & (y >= top) & (y < top + h),
    }
    n = how.downsample
    rows = n if len(sensor) == 2 else 1
    if w % n or h % rows:
        raise InputError(
            f"--downsample {n}: does not divide {_text((h, w)[-len(sensor) :])}; cut the rest off "
            "with --crop"
        )
    x, y, w, h = (x - left) // n, (y - top) // rows, w // n, h // rows
    p, channels = _channels(events, how)
    kept["of the other polarity"] = p >= 0
    shape: tuple[int, ...] = (channels or 1, h, w)
    if len(sensor) == 1:
        shape = (w,) if channels is None else (channels, w)
    if how.shape is not None and prod(how.shape) != prod(shape):
        raise InputError(
            f"--shape {_list(how.shape)}: {prod(how.shape)} inputs, but {events.name} has "
            f"{_list(shape)}, {prod(shape)}; see --crop, --downsample, --polarity and --sensor"
        )
    return (p * h + y) * w + x, shape, kept


def _sensor_of(events: Events, how: Binning) -> tuple[int, ...]:
    n = 1 if events.y is None else 2
    sensor = how.sensor or events.sensor
    plain = how.crop is None and how.downsample == 1
    if sensor is None and how.shape is not None and plain and len(how.shape) in (n, n + 1):
        sensor = how.shape[-n:]
    if sensor is None:
        what = "the number of channels" if n == 1 else "width x height in pixels, as 34x34"
        raise InputError(f"{events.name}: does not say how large its sensor is: --sensor, {what}")
    if len(sensor) != n:
        has = "no column y" if n == 1 else "columns x and y"
        raise InputError(f"--sensor {_text(sensor)}: {events.name} has {has}")
    return sensor


def _placed(events: Events, how: Binning, sensor: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of each event, flipped and shifted."""
    x = events.x.astype(np.int64)
    y = np.zeros_like(x) if events.y is None else events.y.astype(np.int64)
    height, width = sensor if len(sensor) == 2 else (1, sensor[0])
    low, high = (int(x.min()), int(y.min())), (int(x.max()), int(y.max()))
    if min(low) < 0 or high[0] >= width or high[1] >= height:
        at = f"x of {low[0]} to {high[0]}"
        at += "" if events.y is None else f" and y of {low[1]} to {high[1]}"
        raise InputError(
            f"{events.name}: events at {at}, outside the sensor, {_text(sensor)}; say --sensor"
        )
    if "x" in how.flip:
        x = width - 1 - x
    if "y" in how.flip:
        y = height - 1 - y
    x, y = x + how.shift[0], y + how.shift[1]
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    return np.where(outside, -1, x), np.where(outside, -1, y)


def _channels(events: Events, how: Binning) -> tuple[np.ndarray, int | None]:
    """Channel of each event (-1: dropped), and how many there are; None: they have none."""
    if events.p is None:
        if how.polarity not in ("both", "merge"):
            raise InputError(f"--polarity {how.polarity}: {events.name} has no polarity")
        return np.zeros(len(events.t), np.int64), None
    p = events.p.astype(np.int64)
    if how.polarity == "both":
        return p, 2
    if how.polarity == "swap":
        return 1 - p, 2
    if how.polarity == "merge":
        return np.zeros_like(p), None
    return np.where(p == (how.polarity == "on"), 0, -1), None


def _steps(t: np.ndarray, how: Binning) -> tuple[np.ndarray, int]:
    """Step of each event, and how many there may be."""
    since = t - (int(t[0]) if how.start_us is None else how.start_us)
    if how.bin_us is not None:
        return since // how.bin_us, how.steps or 1 << 40
    assert how.steps is not None
    length = int(since[-1]) + 1
    return since * how.steps // max(1, length), how.steps


def _text(sensor: tuple[int, ...]) -> str:
    """As it is written on the command line: width first."""
    return "x".join(map(str, sensor[::-1]))


def _list(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))


def stack(binned: list[Binned], how: Binning) -> np.ndarray:
    """Counts (samples, steps, *shape) of all recordings, in the smallest type that holds them."""
    steps = how.steps or max(b.steps for b in binned)
    shapes = {b.shape for b in binned}
    if len(shapes) > 1:
        raise InputError(
            f"recordings of several shapes: {', '.join(map(_list, sorted(shapes)))}; --sensor says "
            "one for all"
        )
    shape = binned[0].shape
    largest = max((int(b.count.max()) for b in binned if len(b.count)), default=0)
    kind = np.min_scalar_type(largest)
    n = len(binned) * steps * prod(shape) * kind.itemsize
    if n > MAX_BYTES:
        raise InputError(
            f"{len(binned)} samples of {steps} steps and {_list(shape)} inputs are "
            f"{n / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB: longer steps, --steps, --crop, "
            "--downsample, or fewer recordings with --count"
        )
    out = np.zeros((len(binned), steps * prod(shape)), kind)
    for row, b in zip(out, binned, strict=True):
        row[b.cell] = b.count
    return out.reshape(len(binned), steps, *shape)
