# SPDX-License-Identifier: Apache-2.0
"""event recordings, binned into steps, as samples for --data

Reads N-MNIST (.bin), AEDAT (.aedat, .aedat4) and arrays of events (.npy, .npz: fields t in
microseconds, x, and y and p where there are any), one recording a file, and counts the events of
each input in each step. A folder with a subfolder a class gives labels too. .bin and .aedat4 want
pip install 'spikefab[events]'.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.scripts.binning import Binned, Binning, Polarity, stack
from spikefab.scripts.console import Output
from spikefab.scripts.pipeline import save_result
from spikefab.scripts.recordings import find_recordings, read_events


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recordings", metavar="IN", type=Path, nargs="+", help="files, or a folder of them"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.npz")
    group = parser.add_argument_group("time")
    group.add_argument("--bin-us", type=int, metavar="N", help="microseconds a step")
    group.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="steps a sample; without --bin-us each recording is divided into N equal ones "
        "(default: as many as the longest recording needs)",
    )
    group.add_argument(
        "--start-us",
        type=int,
        metavar="N",
        help="where in a recording's own time the first step begins (default: its first event)",
    )
    group = parser.add_argument_group("inputs")
    group.add_argument(
        "--shape",
        metavar="N,N,…",
        help="the network's input shape (default: polarity, row, column)",
    )
    group.add_argument(
        "--sensor", metavar="WxH|N", help="its pixels, or channels, where the files do not tell"
    )
    group.add_argument(
        "--polarity",
        choices=get_args(Polarity),
        default="both",
        help="darker and brighter events: two inputs a pixel (both; swap: brighter first), one "
        "(merge), or only those that are on or off (default: both)",
    )
    group.add_argument("--flip", choices=("x", "y", "xy"), default="", help="mirror the sensor")
    group.add_argument(
        "--shift",
        metavar="DX,DY",
        help="move events right and down; those that leave are dropped (left, up: --shift=-1,-1)",
    )
    group.add_argument("--crop", metavar="X,Y,W,H", help="keep this part of the sensor")
    group.add_argument(
        "--downsample", type=int, default=1, metavar="N", help="N × N pixels are one input"
    )
    group.add_argument(
        "--max-count",
        type=int,
        metavar="N",
        help="clip: an input has at most N events in a step (default: none is lost)",
    )
    parser.add_argument(
        "--count", type=int, metavar="N", help="at most N recordings, or N of each class"
    )


def run(options: argparse.Namespace, output: Output) -> int:
    how = binning_of(options)
    files, classes = _files(options)
    binned: list[Binned] = []
    labels: list[int | None] = []
    with output.progress("reading") as progress:
        for k, (path, label) in enumerate(files):
            for events in islice(read_events(path, label), None if classes else options.count):
                binned.append(Binned.of(events, how))
                labels.append(events.label)
            progress(k + 1, len(files))
    if options.count is not None and not classes:
        binned, labels = binned[: options.count], labels[: options.count]
    x = stack(binned, how)
    arrays = {"x": x}
    known = [label for label in labels if label is not None]
    if len(known) == len(labels):
        arrays["y"] = np.array(known, np.int64)
    elif known:
        raise InputError(f"labels for {len(known)} of {len(labels)} recordings only; all, or none")
    if classes:
        arrays["classes"] = np.array(classes)
    save_result(options.out, arrays)
    _say(x, binned, how, known, classes, options.out, output)
    return 0


def binning_of(options: argparse.Namespace) -> Binning:
    """The options as the binning takes them."""
    sensor = None if options.sensor is None else _numbers("--sensor", options.sensor, "x", (1, 2))
    shape = None if options.shape is None else _numbers("--shape", options.shape, ",", range(1, 5))
    crop = None if options.crop is None else _numbers("--crop", options.crop, ",", (4,))
    shift = (0, 0) if options.shift is None else _numbers("--shift", options.shift, ",", (2,))
    return Binning(
        bin_us=options.bin_us,
        steps=options.steps,
        start_us=options.start_us,
        sensor=None if sensor is None else sensor[::-1],
        flip=options.flip,
        shift=(shift[0], shift[1]),
        crop=None if crop is None else (crop[0], crop[1], crop[2], crop[3]),
        downsample=options.downsample,
        polarity=options.polarity,
        shape=shape,
        max_count=options.max_count,
    )


def _numbers(
    name: str, text: str, between: str, lengths: tuple[int, ...] | range
) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(between))
        if len(numbers) not in lengths:
            raise ValueError
    except ValueError:
        form = {"--sensor": "34x34 or 700", "--shape": "2,34,34 or 2312", "--crop": "X,Y,W,H"}
        raise InputError(f"{name} {text}: must be like {form.get(name, '2,-1')}") from None
    return numbers


def _files(options: argparse.Namespace) -> tuple[list[tuple[Path, int | None]], list[str]]:
    """What to read, and the classes' names."""
    if options.count is not None and options.count < 1:
        raise InputError(f"--count {options.count}: must be 1 or more")
    paths: list[Path] = options.recordings
    if len(paths) > 1:
        folders = [p for p in paths if p.is_dir()]
        if folders:
            raise InputError(f"{folders[0]}: a folder among others; give one folder, or files")
        return [found for p in paths for found in find_recordings(p)[0]], []
    files, classes = find_recordings(paths[0])
    if options.count is not None and classes:
        seen: Counter[int | None] = Counter()
        kept = []
        for path, label in files:
            seen[label] += 1
            if seen[label] <= options.count:
                kept.append((path, label))
        files = kept
    return files, classes


def _say(
    x: np.ndarray,
    binned: list[Binned],
    how: Binning,
    labels: list[int],
    classes: list[str],
    out: Path,
    output: Output,
) -> None:
    events = sum(b.events for b in binned)
    lost: Counter[str] = Counter()
    for b in binned:
        lost.update(b.lost)
    time = f"{how.bin_us} us each" if how.bin_us else "each recording divided evenly"
    shape = ", ".join(map(str, x.shape[2:]))
    output.say(f"{len(x)} samples of {x.shape[1]} steps ({time}), input shape ({shape})")
    counted = events - sum(lost.values())
    output.say(f"{events:,} events, {counted:,} counted: {counted / len(x):,.1f} a sample")
    for why, n in lost.items():
        output.say(f"  {n:,} {why}")
    largest = int(x.max(initial=0))
    most = "at most one event an input and step"
    if largest > 1:
        more = int(np.count_nonzero(x > 1)) / int(np.count_nonzero(x))
        most = f"at most {largest} events an input and step; more than one in {more:.1%} of those "
        most += "with any (--max-count 1 would clip them)"
    output.say(most)
    if classes:
        names = [f"{k} {name}" if str(k) != name else name
                 for k, name in zip(sorted(set(labels)), classes, strict=True)]  # fmt: skip
        output.say(f"classes: {', '.join(names)}")
    output.say(f"saved {out}")
    output.result(
        {
            "out": str(out),
            "shape": list(x.shape),
            "events": events,
            "lost": dict(lost),
            "largest": largest,
            "classes": classes,
        }
    )
