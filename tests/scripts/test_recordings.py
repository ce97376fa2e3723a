# SPDX-License-Identifier: Apache-2.0
"""Recordings in every format come back as they were written; what is damaged is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from event_files import (
    EVENTS,
    aedat3_packet,
    random_events,
    write_aedat2,
    write_aedat3,
    write_aedat4,
    write_nmnist,
)

from spikefab.gen.errors import InputError
from spikefab.scripts.recordings import Events, find_recordings, read_events


def read(path: Path) -> Events:
    (events,) = read_events(path)
    return events


def assert_same(got: Events, events: np.ndarray) -> None:
    for name in EVENTS.names or ():
        np.testing.assert_array_equal(getattr(got, name), events[name].astype(np.int64), name)
    assert got.t.dtype == np.int64


def test_structured_arrays(tmp_path: Path) -> None:
    events = random_events(200, 34, 30)
    np.save(tmp_path / "tonic.npy", events)
    np.savez(tmp_path / "tonic.npz", events=events)
    np.savez_compressed(tmp_path / "columns.npz", **{n: events[n] for n in "txyp"})
    other = events.astype([("x", "<u2"), ("y", "<u2"), ("timestamp", "<u8"), ("on", "?")])
    np.save(tmp_path / "others.npy", other)
    for name in ("tonic.npy", "tonic.npz", "columns.npz", "others.npy"):
        assert_same(read(tmp_path / name), events)


def test_without_rows_or_polarity_and_out_of_order(tmp_path: Path) -> None:
    """As tonic gives spoken digits: x, t, p; or x and t only, as floats."""
    np.savez(tmp_path / "audio.npz", t=[30.0, 10.0, 20.0], x=[1, 2, 699])
    got = read(tmp_path / "audio.npz")
    assert (got.t.tolist(), got.x.tolist(), got.y, got.p) == ([10, 20, 30], [2, 699, 1], None, None)
    rng = np.random.default_rng(0)
    t, x = rng.integers(0, 5, 500), np.arange(500)  # many at a time: those keep their order
    np.savez(tmp_path / "ties.npz", t=t, x=x)
    wanted = sorted(zip(t.tolist(), x.tolist(), strict=True))
    got = read(tmp_path / "ties.npz")
    assert list(zip(got.t.tolist(), got.x.tolist(), strict=True)) == wanted
    np.savez(tmp_path / "signs.npz", t=[1, 2], x=[0, 0], p=np.array([-1, 1], np.int8))
    assert read(tmp_path / "signs.npz").p.tolist() == [0, 1]  # type: ignore[union-attr]


def test_many_recordings_in_one_file(tmp_path: Path) -> None:
    a, b = random_events(30, 9, 9, 1), random_events(20, 9, 9, 2)
    both = np.concatenate([a, b])
    gaps = np.concatenate([np.diff(a["t"], prepend=0), np.diff(b["t"], prepend=0)])
    columns = {name: both[name] for name in "xyp"}
    np.savez(tmp_path / "all.npz", dt_us=gaps, offsets=[0, 30, 50], label=[7, 3], **columns)
    got = list(read_events(tmp_path / "all.npz"))
    assert [events.label for events in got] == [7, 3]
    assert_same(got[0], a)
    assert_same(got[1], b)


def test_nmnist(tmp_path: Path) -> None:
    pytest.importorskip("tonic.io", reason="tonic is not installed (spikefab[events])")
    events = random_events(300, 34, 34)
    late = random_events(10, 34, 34)
    late["t"] += 2**23 - 150_000  # crosses the 23 bits
    for name, wanted in (("a", events), ("late", late)):
        write_nmnist(tmp_path / f"{name}.bin", wanted)
        got = read(tmp_path / f"{name}.bin")
        assert_same(got, wanted)
        assert got.sensor == (34, 34)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_nmnist(tmp_path / "a.bin", random_events(3, 34, 34))
    write_aedat4(tmp_path / "a.aedat4", random_events(3, 34, 34), 34, 34)
    for module, name in (("tonic.io", "a.bin"), ("aedat", "a.aedat4")):
        monkeypatch.setitem(sys.modules, module, None)
        package = module.split(".")[0]
        with pytest.raises(
            InputError, match=rf"{name}: reading \.\w+ needs the package {package} "
        ):
            read(tmp_path / name)
        with pytest.raises(InputError, match=r"pip install 'spikefab\[events\]'$"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("chip", "width", "height"),
    [("", 128, 128), ("Davis346cBSI", 346, 260), ("DAVIS240C", 240, 180)],
)
def test_aedat2(chip: str, width: int, height: int, tmp_path: Path) -> None:
    events = random_events(300, width, height)
    events[0]["y"] = 7  # a first byte of 35 is the header's
    write_aedat2(tmp_path / "a.aedat", events, chip)
    got = read(tmp_path / "a.aedat")
    assert_same(got, events)
    assert got.sensor == (height, width)


def test_aedat2_davis_drops_frames_and_pins(tmp_path: Path) -> None:
    events = random_events(5, 346, 260)
    others = b"".join(a.to_bytes(4, "big") + bytes(4) for a in (1 << 31, 1 << 10, 3 << 30))
    write_aedat2(tmp_path / "a.aedat", events, "Davis346", others)
    assert_same(read(tmp_path / "a.aedat"), events)


def test_aedat3(tmp_path: Path) -> None:
    """Other packets, events marked invalid, and a time beyond 31 bits."""
    events = random_events(450, 128, 128)
    events["t"][200:] += 2**31
    write_aedat3(tmp_path / "a.aedat", events)
    got = read(tmp_path / "a.aedat")
    kept = [k for k in range(450) if events["t"][k] >> 31 == events["t"][k - k % 100] >> 31]
    assert len(kept) == 450
    assert_same(got, events)
    assert got.sensor == (128, 128)


def test_aedat4(tmp_path: Path) -> None:
    pytest.importorskip("aedat", reason="aedat is not installed (spikefab[events])")
    events = random_events(150, 40, 30)
    events["t"] += 1_760_000_000_000_000  # the clock of a camera
    for name in ("a.aedat4", "a.aedat"):
        write_aedat4(tmp_path / name, events, 40, 30)
        got = read(tmp_path / name)
        assert_same(got, events)
        assert got.sensor == (30, 40)
    whole = (tmp_path / "a.aedat4").read_bytes()
    (tmp_path / "a.aedat4").write_bytes(whole[:700])
    with pytest.raises(InputError, match=r"a\.aedat4: not a readable AEDAT 4 file"):
        read(tmp_path / "a.aedat4")


E = random_events(4, 34, 34)
AEDAT3 = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", r"not a recording that is known; they end in \.npy, \.npz, \.bin, "),
        ("a.bin", bytes(9), "9 bytes; N-MNIST has 5 an event"),
        ("a.npy", b"", r"not a readable \.npy file"),
        ("a.npz", b"PK", r"not a readable \.npz file"),
        ("a.npy", np.zeros((3, 4)), r"an array of float64, shape \(3, 4\); events are a struct"),
        ("a.npz", {"x": [1], "ts": [2]}, r"no columns t and x \(found ts, x\)"),
        ("a.npz", {"x": np.zeros((2, 3, 4)), "t": [1]}, "holds samples, not events: give it to"),
        ("a.npz", {"x": [1, 2], "t": [1]}, r"column x has shape \(2,\), and t \(1,\)"),
        ("a.npz", {"x": [0], "t": [0.5]}, "column t is not of whole numbers: time is in whole mic"),
        ("a.npz", {"x": [0], "t": ["z"]}, "column t is not of whole numbers"),
        ("a.npz", {"x": [1], "t": [1], "p": [2]}, "polarity is 2 to 2; it is 0 or 1"),
        ("a.npz", {"x": [], "t": []}, "a recording without events; leave it out"),
        ("a.npz", {"x": [1, 2], "t": [1, 2], "offsets": [0, 1]}, "`offsets` must go from 0 to the"),
        ("a.npz", {"x": [1, 2], "t": [1, 2], "offsets": [0, 1, 2], "label": [1]}, "1 labels for 2"),
        ("a.npz", {"a": E, "b": E}, r"2 structured arrays \(a, b\); one a file"),
        ("a.aedat", b"12345", "does not begin with #!AER-DAT and a version"),
        ("a.aedat", b"#!AER-DAT1.0\r\n", r"AEDAT 1\.0; known are 2\.0, 3\.1 and 4: convert it"),
        ("a.aedat", b"#!AER-DAT2.0\r\n1234567", "7 bytes of events; AEDAT 2.0 has 8 an event"),
        ("a.aedat", b"#!AER-DAT2.0\r\n", "a recording without events"),
        ("a.aedat", b"#!AER-DAT2.0\r\n# AEChip: x.Cochlea\r\n", "chip Cochlea; known in AEDAT"),
        ("a.aedat", b"#!AER-DAT3.1\r\n", "no line #!END-HEADER"),
        ("a.aedat", b"#!AER-DAT3.1\r\n#Format: Serial\r\n#!END-HEADER\r\n", "format Serial; only"),
        ("a.aedat", AEDAT3, "no polarity events in it"),
        ("a.aedat", AEDAT3 + bytes(20), "ends inside a packet's header"),
        ("a.aedat", AEDAT3 + aedat3_packet(1, bytes(8), 8)[:-1], "ends inside a packet, at by"),
        ("a.aedat", AEDAT3 + aedat3_packet(1, bytes(12), 12), "polarity events of 12 bytes"),
    ],
)  # fmt: skip
def test_refused(name: str, content: bytes | np.ndarray | dict, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    with pytest.raises(InputError, match=f"{name}: {words}"):
        read(path)


def test_folders_are_classes(tmp_path: Path) -> None:
    for name in ("10/b.npy", "10/a.npy", "9/c.npy", ".git/x.npy", "10/.hidden.npy", "10/readme.md"):
        (tmp_path / "digits" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "digits" / name).write_bytes(b"")
    found, classes = find_recordings(tmp_path / "digits")
    assert classes == ["9", "10"]
    assert [(p.name, label) for p, label in found] == [("c.npy", 9), ("a.npy", 10), ("b.npy", 10)]
    for name in ("wave/a.aedat", "clap/deep/a.aedat"):
        (tmp_path / "gestures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "gestures" / name).write_bytes(b"")
    found, classes = find_recordings(tmp_path / "gestures")
    assert (classes, [label for _, label in found]) == (["clap", "wave"], [0, 1])
    found, classes = find_recordings(tmp_path / "digits" / "10")
    assert ([(p.name, y) for p, y in found], classes) == ([("a.npy", None), ("b.npy", None)], [])
    (tmp_path / "gestures" / "stray.aedat").write_bytes(b"")
    with pytest.raises(InputError, match=r"\(stray\.aedat\) beside folders of recordings \(clap\)"):
        find_recordings(tmp_path / "gestures")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no recordings in it; they end in \.npy"):
        find_recordings(tmp_path / "empty")
    with pytest.raises(InputError, match="none: no such file or folder"):
        find_recordings(tmp_path / "none")
