# SPDX-License-Identifier: Apache-2.0
"""Inputs with values, samples that end early, and memories that are loaded: driver and link."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_board import Faults, make_simulated

from spikefab.host.check import read_manifest
from spikefab.host.coding import sample_events
from spikefab.host.driver import Board
from spikefab.host.errors import HostError
from spikefab.host.protocol import Ack, FrameSplitter, FromBoard, ToBoard, encode_frame

Simulated = Callable[..., tuple[Any, dict[str, Any]]]


def values(seed: int, shape: tuple[int, ...], width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 1 << width, shape) * (rng.random(shape) < 0.5)


def expected_log(x: np.ndarray, *, delta: bool = False) -> list[tuple[int, int]]:
    """Items that the core should take: events with their values, then the token, each step."""
    log = []
    for sample in x:
        before = np.zeros_like(sample[0])
        for step, now in enumerate(sample):
            sent = now != before if delta else now != 0
            log += [(a, int(now[a])) for a in np.flatnonzero(sent).tolist()]
            log.append((-1, int(step == len(sample) - 1)))
            before = now
    return log


@pytest.mark.parametrize("n", [5, 130])
@pytest.mark.parametrize("width", [1, 3, 8])
def test_graded_events(simulated: Simulated, n: int, width: int) -> None:
    line, manifest = simulated(n, value_width=width)
    x = values(n + width, (2 if n == 5 else 1, 3, n), width)
    result = Board(line, manifest, clock=line.clock).run(x)
    assert line.log == expected_log(x)
    assert result.spikes is not None
    assert np.array_equal(result.spikes, x != 0)
    assert np.array_equal(result.n_events_in, (x != 0).sum((1, 2)))


def test_frames(simulated: Simulated) -> None:
    """A sample is one frame; the core answers with the steps that it becomes."""
    line, manifest = simulated(5, value_width=4, coding="static", steps=6)
    x = values(1, (4, 5), 4)
    x[2] = 0
    result = Board(line, manifest, clock=line.clock).run(x)
    assert line.log == expected_log(x[:, None])
    assert result.spikes is not None
    assert result.spikes.shape == (4, 6, 5)
    assert np.array_equal(result.spikes[:, 0], x != 0)
    assert not result.spikes[:, 1:].any()
    assert result.steps_used.tolist() == [6] * 4


def test_delta(simulated: Simulated) -> None:
    """What has changed is sent, zeros too; a sample begins from zeros."""
    line, manifest = simulated(5, value_width=3, coding="delta")
    x = values(2, (3, 4, 5), 3)
    x[1, 2] = x[1, 1]
    x[:, 3] = 0
    result = Board(line, manifest, clock=line.clock).run(x)
    log = expected_log(x, delta=True)
    assert line.log == log
    assert any(address >= 0 and value == 0 for address, value in log)
    assert result.n_events_in.sum() == sum(address >= 0 for address, _ in log)


@pytest.mark.parametrize("events", [True, False])
def test_a_sample_may_end_early(simulated: Simulated, events: bool) -> None:
    line, manifest = simulated(5, stop=1, delay=40)
    rng = np.random.default_rng(3)
    x = rng.integers(0, 3, (4, 5, 5))
    result = Board(line, manifest, clock=line.clock).run(x, events=events)
    assert result.steps_used.tolist() == [1] * 4
    assert np.array_equal(result.scores, x[:, 0])
    assert (result.spikes is not None) == events
    if result.spikes is not None:
        assert np.array_equal(result.spikes[:, 0], x[:, 0])
        assert not result.spikes[:, 1:].any()
    assert result.n_retries == 0
    # The core was given all of every sample, whatever it did with it.
    assert [item for item in line.log if item[0] < 0] == [
        (-1, int(k == 4)) for _ in range(4) for k in range(5)
    ]


def test_a_sample_that_ends_early_without_leave(simulated: Simulated) -> None:
    line, manifest = simulated(5, stop=1)
    manifest["stop"] = None
    with pytest.raises(HostError, match=r"counted another sample than was sent"):
        Board(line, manifest, clock=line.clock, retries=1).run(np.ones((1, 2, 5), int))


@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_exact_on_a_faulty_line(data: st.DataObject) -> None:
    """Any coding, with faults both ways: every sample's answer is its own."""
    coding = data.draw(st.sampled_from(["spikes", "static", "delta"]))
    width = data.draw(st.integers(1, 8))
    steps = data.draw(st.integers(1, 4)) if coding == "static" else 1
    n = data.draw(st.sampled_from([3, 130]))
    seed = data.draw(st.integers(0, 1 << 16))
    line, manifest = make_simulated(n, value_width=width, coding=coding, steps=steps)
    lead = (2,) if coding == "static" else (2, data.draw(st.integers(1, 3)))
    x = values(seed, (*lead, n), width)
    if n > 100:
        x[..., 10:] = 0
    board = Board(line, manifest, clock=line.clock)
    line.to_board, line.to_host = Faults(seed, 60, "fd2gz"), Faults(seed + 1, 150, "fd2gz")
    result = board.run(x)
    steps_in = x[:, None] if coding == "static" else x
    sent = np.diff(steps_in, axis=1, prepend=0) != 0 if coding == "delta" else steps_in != 0
    assert result.spikes is not None
    assert np.array_equal(result.spikes[:, : steps_in.shape[1]], sent)
    assert np.array_equal(result.scores, sent.sum(1))


@pytest.mark.parametrize(
    ("x", "coding", "text"),
    [
        (np.full((1, 2, 5), 8), "spikes", r"x\[0, 0\], input 0: the value 8 is too large, must be"
         r" at most 7; compile the design for larger ones$"),
        (np.zeros((1, 2, 5), int), "static", r"must be \(samples, 5\) .*one frame a sample"),
        (np.full((1, 5), -1), "static", r"x\[0\], input 0: the value -1 is negative"),
    ],
)  # fmt: skip
def test_refuses(simulated: Simulated, x: np.ndarray, coding: str, text: str) -> None:
    line, manifest = simulated(5, value_width=3, coding=coding)
    with pytest.raises(HostError, match=text):
        Board(line, manifest, clock=line.clock).run(x)


def test_booleans_are_values() -> None:
    facts = read_manifest(
        {
            "format": 1, "name": "b", "hash": "00" * 16, "target": {},
            "input": {"shape": [2], "size": 2, "max_events": 1},
            "output": {"size": 1, "kind": "spikes"},
        }
    )  # fmt: skip
    assert len(sample_events(np.array([[True, False]]).astype(np.int64), facts)) == 1


# Memories that are loaded


def design(folder: Path, manifest: dict[str, Any], words: np.ndarray) -> Path:
    (folder / "memory").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    lines = "".join(f"{word:04x}\n" for word in words.tolist())
    (folder / "memory" / "load.hex").write_text(lines)
    return folder


@pytest.fixture
def words() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 1 << 16, 150).astype(np.uint16)


def in_order(words: np.ndarray) -> list[tuple[int, int]]:
    return list(enumerate(words.tolist()))


@pytest.mark.parametrize("slow", [0, 7])
def test_loads_once_and_then_runs(
    simulated: Simulated, tmp_path: Path, words: np.ndarray, slow: int
) -> None:
    line, manifest = simulated(5, load_words=len(words), slow=slow)
    folder = design(tmp_path / "d", manifest, words)
    told: list[tuple[int, int]] = []
    board = Board(line, folder, clock=line.clock, on_load=lambda k, n: told.append((k, n)))
    assert line.image == in_order(words)
    assert told == sorted(told)
    assert told[-1][0] == len(words)
    assert {n for _, n in told} == {len(words)}
    assert board.identity.loaded
    x = values(4, (2, 2, 5), 1)
    result = board.run(x)
    assert np.array_equal(result.scores, x.sum(1))
    # Another driver finds the memories loaded.
    again = Board(line, folder, clock=line.clock)
    assert np.array_equal(again.run(x).scores, x.sum(1))
    assert len(line.image) == len(words)


def test_another_image_is_loaded_again(
    simulated: Simulated, tmp_path: Path, words: np.ndarray
) -> None:
    line, manifest = simulated(5, load_words=len(words))
    Board(line, design(tmp_path / "a", manifest, words), clock=line.clock)
    words[13] ^= 0x100
    Board(line, design(tmp_path / "b", manifest, words), clock=line.clock)
    assert line.image[len(words) :] == in_order(words)


@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_loads_exactly_on_a_faulty_line(data: st.DataObject, tmp_path_factory: Any) -> None:
    """The last load of each word is the right one, each load goes through the words in order, and
    nothing of it reaches the core as an event."""
    seed = data.draw(st.integers(0, 1 << 16))
    n = data.draw(st.integers(1, 100))
    line, manifest = make_simulated(5, load_words=n, slow=data.draw(st.integers(0, 3)))
    words = np.random.default_rng(seed).integers(0, 1 << 16, n).astype(np.uint16)
    folder = design(tmp_path_factory.mktemp("load") / "d", manifest, words)
    forward, back = Faults(seed, 60, "fd2gz"), Faults(seed + 1, 150, "fd2gz")
    line.to_board, line.to_host = forward, back
    board = Board(line, folder, clock=line.clock)
    assert not line.log
    assert line.image[-n:] == in_order(words)
    starts = [k for k, (address, _) in enumerate(line.image) if address == 0]
    for begin, end in zip(starts, [*starts[1:], len(line.image)], strict=True):
        assert line.image[begin:end] == in_order(words)[: end - begin]
    if not back.n:
        assert len(starts) == 1  # no doubt, no SYNC
    x = values(seed, (2, 2, 5), 1)
    assert np.array_equal(board.run(x).scores, x.sum(1))


def test_events_before_the_load_are_refused(
    simulated: Simulated, tmp_path: Path, words: np.ndarray
) -> None:
    line, manifest = simulated(5, load_words=len(words))
    line.write(b"\0" + encode_frame(ToBoard.SYNC, 0, b"\x01\x02\x03"))
    line.advance(4000)
    line.write(encode_frame(ToBoard.EVENTS, 0, b"\x00\x7f"))
    line.advance(4000)
    frames = FrameSplitter().feed(bytes(line._received))
    acks = [Ack.decode(f.payload) for f in frames if f.type == FromBoard.ACK]
    assert acks[-1] == Ack(0, 0, nak=True, synced=True, poll=False, loaded=False)
    assert line.log == []
    board = Board(line, design(tmp_path / "d", manifest, words), clock=line.clock)
    assert board.counters().dropped == 1


def test_a_load_that_is_cut_off_does_not_count(
    simulated: Simulated, tmp_path: Path, words: np.ndarray
) -> None:
    """The line dies in the middle; the next driver begins again."""
    line, manifest = simulated(5, load_words=len(words))
    folder = design(tmp_path / "d", manifest, words)
    sent = [0]

    def die(data: bytes) -> bytes:
        sent[0] += len(data)
        return data if sent[0] < 200 else b""

    line.to_board = die
    with pytest.raises(HostError, match=r"no progress for 0.4 s"):
        Board(line, folder, clock=line.clock, timeout=0.4)
    assert 20 < len(line.image) < len(words)
    line.to_board = lambda data: data
    n = len(line.image)
    Board(line, folder, clock=line.clock)
    assert line.image[n:] == in_order(words)


def test_image_refusals(simulated: Simulated, tmp_path: Path, words: np.ndarray) -> None:
    line, manifest = simulated(5, load_words=len(words))
    with pytest.raises(HostError, match=r"needs its memories loaded, .* give the design dir"):
        Board(line, manifest, clock=line.clock)
    folder = design(tmp_path / "d", manifest, words[:-1])
    with pytest.raises(HostError, match=r"load.hex: 149 words, must be 150 of 16 bits"):
        Board(line, folder, clock=line.clock)
    (folder / "memory" / "load.hex").write_text("12 zz\n")
    with pytest.raises(HostError, match=r"load.hex: damaged"):
        Board(line, folder, clock=line.clock)
    (folder / "memory" / "load.hex").unlink()
    with pytest.raises(HostError, match=r"load.hex: cannot be read"):
        Board(line, folder, clock=line.clock)
