# SPDX-License-Identifier: Apache-2.0
"""Binning, against plain loops; and `spikefab data` from files to samples."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_files import random_events, write_aedat2, write_aedat3

from spikefab.gen.errors import InputError
from spikefab.gen.samples import load_samples
from spikefab.scripts.binning import Binned, Binning, stack
from spikefab.scripts.main import main
from spikefab.scripts.recordings import Events

WIDTH, HEIGHT = 12, 8


def recording(seed: int = 0, n: int = 400, last: int = 10_000, **changes: Any) -> Events:
    e = random_events(n, WIDTH, HEIGHT, seed, last)
    events = Events(t=e["t"], x=e["x"], y=e["y"], p=e["p"].astype(int), name=f"r{seed}")
    return replace(events, **({"sensor": (HEIGHT, WIDTH)} | changes))


def by_hand(events: Events, how: Binning, steps: int) -> np.ndarray:
    """The same in a loop, from the options' descriptions."""
    n = how.downsample
    left, top, w, h = how.crop or (0, 0, WIDTH, HEIGHT)
    channels = 2 if how.polarity in ("both", "swap") else 1
    out = np.zeros((steps, channels, h // n, w // n), int)
    assert events.y is not None
    assert events.p is not None
    first, last = int(events.t[0]), int(events.t[-1])
    start = first if how.start_us is None else how.start_us
    for t, x, y, p in zip(events.t, events.x, events.y, events.p, strict=True):
        col = (WIDTH - 1 - x if "x" in how.flip else x) + how.shift[0]
        row = (HEIGHT - 1 - y if "y" in how.flip else y) + how.shift[1]
        if not (0 <= col < WIDTH and 0 <= row < HEIGHT):
            continue
        col, row = col - left, row - top
        if not (0 <= col < w and 0 <= row < h):
            continue
        if how.polarity in ("on", "off") and p != (how.polarity == "on"):
            continue
        channel = {"both": p, "swap": 1 - p}.get(how.polarity, 0)
        if how.bin_us:
            step = (int(t) - start) // how.bin_us
        else:
            step = (int(t) - start) * steps // (last - start + 1)
        if 0 <= step < steps:
            out[step, channel, row // n, col // n] += 1
    return out if how.max_count is None else np.minimum(out, how.max_count)


@pytest.mark.parametrize(
    "options",
    [
        {"bin_us": 1000},
        {"steps": 7},
        {"steps": 1},
        {"bin_us": 700, "steps": 20},
        {"bin_us": 700, "steps": 5},
        {"bin_us": 700, "steps": 30, "start_us": 0},
        {"bin_us": 700, "steps": 9, "start_us": 2_500},
        {"steps": 9, "polarity": "swap"},
        {"steps": 9, "polarity": "merge"},
        {"steps": 9, "polarity": "on"},
        {"steps": 9, "polarity": "off"},
        {"steps": 9, "flip": "x"},
        {"steps": 9, "flip": "xy", "shift": (-3, 2)},
        {"steps": 9, "downsample": 4},
        {"steps": 9, "crop": (2, 1, 7, 5)},
        {"steps": 9, "crop": (3, 1, 9, 6), "downsample": 3, "flip": "y"},
        {"steps": 2, "max_count": 1, "downsample": 2},
    ],
)
def test_against_a_loop(options: dict[str, Any]) -> None:
    how = Binning(**options)
    binned = [Binned.of(recording(seed), how) for seed in range(3)]
    x = stack(binned, how)
    for got, seed, b in zip(x, range(3), binned, strict=True):
        wanted = by_hand(recording(seed), how, x.shape[1])
        np.testing.assert_array_equal(got, wanted)
        assert wanted.any()
        assert b.events - sum(b.lost.values()) == wanted.sum()
    if "steps" not in options:
        assert x.shape[1] == max(b.steps for b in binned) == 10


def test_channels_without_rows() -> None:
    audio = recording(y=None, sensor=(WIDTH,))
    x = stack([Binned.of(audio, Binning(steps=5))], Binning(steps=5))
    assert x.shape == (1, 5, 2, WIDTH)
    assert x.sum() == 400
    plain = replace(audio, p=None)
    y = stack([Binned.of(plain, Binning(steps=5))], Binning(steps=5))
    np.testing.assert_array_equal(y, x.sum(2))
    merged = Binning(steps=5, polarity="merge", downsample=3)
    z = stack([Binned.of(audio, merged)], merged)
    np.testing.assert_array_equal(z, y.reshape(1, 5, 4, 3).sum(3))


def test_shape_and_type_of_the_samples() -> None:
    how = Binning(steps=3, shape=(2 * HEIGHT * WIDTH,))
    flat = stack([Binned.of(recording(), how)], how)
    plain = Binning(steps=3)
    np.testing.assert_array_equal(
        flat.reshape(1, 3, 2, HEIGHT, WIDTH), stack([Binned.of(recording(), plain)], plain)
    )
    assert flat.dtype == np.uint8
    many = replace(recording(n=700), x=np.zeros(700, int), y=np.zeros(700, int))
    one = Binning(steps=1, polarity="merge")
    x = stack([Binned.of(many, one)], one)
    assert (x.dtype, x.max()) == (np.uint16, 700)


def test_shape_says_the_sensor() -> None:
    how = Binning(steps=3, shape=(2, HEIGHT, WIDTH))
    x = stack([Binned.of(replace(recording(), sensor=None), how)], how)
    assert x.shape == (1, 3, 2, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("options", "changes", "words"),
    [
        ({}, {}, "--bin-us, --steps: one is needed"),
        ({"bin_us": 0}, {}, "--bin-us 0: must be 1 or more"),
        ({"steps": -1}, {}, "--steps -1: must be 1 or more"),
        ({"steps": 1, "downsample": 5}, {}, "--downsample 5: does not divide 12x8; cut"),
        ({"steps": 1, "crop": (0, 0, 13, 8)}, {}, "r0: --crop goes beyond the sensor, 12x8"),
        ({"steps": 1, "crop": (0, 0, 0, 8)}, {}, "--crop 0,0,0,8: left and top are 0 or more"),
        ({"steps": 1, "sensor": (8, 8)}, {}, "r0: events at x of 0 to 11 and y of 0 to 7, outside "
         "the sensor, 8x8; say --sensor"),
        ({"steps": 1, "sensor": (12,)}, {}, "--sensor 12: r0 has columns x and y"),
        ({"steps": 1}, {"y": None}, "--sensor 12x8: r0 has no column y"),
        ({"steps": 1}, {"sensor": None}, "r0: does not say how large its sensor is: --sensor, wid"),
        ({"steps": 1}, {"sensor": None, "y": None}, "is: --sensor, the number of channels"),
        ({"steps": 1, "polarity": "on"}, {"p": None}, "--polarity on: r0 has no polarity"),
        ({"steps": 1, "shape": (2, 8, 8)}, {}, "--shape 2,8,8: 128 inputs, but r0 has 2,8,12, 192; "
         "see --crop, --downsample, --polarity and --sensor"),
        ({"steps": 1, "shape": (0,)}, {}, "--shape: each size must be 1 or more"),
        ({"bin_us": 1, "steps": 10**8}, {}, "1 samples of 100000000 steps and 2,8,12 inputs are "
         "17.9 GiB; at most 4 GiB: longer steps"),
        ({"steps": 1, "flip": "z"}, {}, "--flip z: must be x, y or xy"),
    ],
)  # fmt: skip
def test_refused(options: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        stack([Binned.of(replace(recording(), **changes), how := Binning(**options))], how)


def test_recordings_of_several_sensors() -> None:
    how = Binning(steps=1)
    wide = replace(recording(), sensor=(HEIGHT, 2 * WIDTH))
    with pytest.raises(InputError, match=r"several shapes: 2,8,12, 2,8,24; --sensor says one"):
        stack([Binned.of(recording(), how), Binned.of(wide, how)], how)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of two formats, with classes; the samples are what --data takes."""
    for k, (folder, write) in enumerate([("off", write_aedat2), ("on", write_aedat3)]):
        (tmp_path / "in" / folder).mkdir(parents=True)
        for j in range(3):
            write(tmp_path / "in" / folder / f"{j}.aedat", random_events(90, 128, 128, 10 * k + j))
    out = tmp_path / "out.npz"
    options = ["--bin-us", "20000", "--downsample", "8", "--shape", "512", "-o", str(out)]
    assert main(["data", str(tmp_path / "in"), *options, "--count", "2", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["classes"] == ["off", "on"]
    assert (values["events"], values["lost"]) == (360, {})
    x, y = load_samples(out, (512,), None)
    assert y is not None
    assert (x.shape, y.tolist(), int(x.sum())) == ((4, 15, 512), [0, 0, 1, 1], 360)
    np.save(tmp_path / "wide.npy", random_events(50, 40, 30))
    wide = ["data", str(tmp_path / "wide.npy"), "--sensor", "40x30", "--steps", "3"]
    assert main([*wide, "-o", str(out)]) == 0
    assert "input shape (2, 30, 40)" in capsys.readouterr().out
    files = sorted(str(p) for p in (tmp_path / "in" / "on").iterdir())
    assert main(["data", *files, *options, "--steps", "6", "--max-count", "1"]) == 0
    said = capsys.readouterr().out
    assert "3 samples of 6 steps (20000 us each), input shape (512)" in said
    assert re.search(r"^  \d+ before the first step or behind the last$", said, re.MULTILINE)
    x, y = load_samples(out, (512,), 1)
    assert (x.shape, y) == ((3, 6, 512), None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sensor", "a"], "--sensor a: must be like 34x34 or 700"),
        (["--shape", "2;3"], "--shape 2;3: must be like 2,34,34 or 2312"),
        (["--crop", "1,2"], "--crop 1,2: must be like X,Y,W,H"),
        (["--shift", "1"], "--shift 1: must be like 2,-1"),
        (["--count", "0"], "--count 0: must be 1 or more"),
    ],
)
def test_command_refuses(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_aedat2(tmp_path / "a.aedat", random_events(9, 128, 128))
    out = tmp_path / "out.npz"
    arguments = ["data", str(tmp_path / "a.aedat"), "--steps", "2", "-o", str(out), *options]
    assert main(arguments) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_data_of_a_recording_names_the_command(tmp_path: Path) -> None:
    events = random_events(9, 34, 34)
    np.save(tmp_path / "a.npy", events)
    np.savez(tmp_path / "a.npz", **{name: events[name] for name in "txyp"})
    write_aedat2(tmp_path / "a.aedat", events)
    (tmp_path / "folder").mkdir()
    for name in ("a.npy", "a.npz", "a.aedat", "folder"):
        with pytest.raises(
            InputError, match=rf"{name}: event recordings, .*: spikefab data .*{name} "
        ):
            load_samples(tmp_path / name, (2, 34, 34), None)


def test_nmnist_recordings(shared_data: Path, tmp_path: Path) -> None:
    """Real recordings: every event is counted, where and when it was."""
    source = shared_data / "nmnist" / "test100.npz"
    out = tmp_path / "x.npz"
    options = ["--sensor", "34x34", "--bin-us", "3000", "-o", str(out)]
    assert main(["data", str(source), *options]) == 0
    x, y = load_samples(out, (2, 34, 34), None)
    data = np.load(source)
    assert y is not None
    np.testing.assert_array_equal(y, data["label"])
    assert x.shape[:2] == (100, 105)
    start, end = data["offsets"][4:6]
    t = np.cumsum(data["dt_us"][start:end].astype(int))
    step = (t - t[0]) // 3000
    p, row, col = (data[name][start:end] for name in "pyx")
    wanted = np.zeros((105, 2, 34, 34), int)
    np.add.at(wanted, (step, p, row, col), 1)
    np.testing.assert_array_equal(x[4], wanted)
    assert x.sum() == data["offsets"][-1]
