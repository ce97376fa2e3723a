# SPDX-License-Identifier: Apache-2.0
"""The real driver and the real link on a simulated line, sound and faulty: results are exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from simulated_board import Faults

from spikefab.host.driver import Board, RunResult
from spikefab.host.errors import HostError
from spikefab.host.protocol import ToBoard, encode_frame

Simulated = Callable[..., tuple[Any, dict[str, Any]]]


def samples(seed: int, b: int, t: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (b, t, n)) * (rng.random((b, t, n)) < 0.5)
    x[0, 0] = 0  # a silent step
    return x


def expected_log(x: np.ndarray) -> list[tuple[int, int]]:
    """Items that the core should take."""
    log = []
    for sample in x:
        for step, counts in enumerate(sample):
            log += [(a, 0) for a in np.repeat(np.arange(len(counts)), counts).tolist()]
            log.append((-1, int(step == len(sample) - 1)))
    return log


def check_echo(result: RunResult, x: np.ndarray) -> None:
    scores = x.sum(1)
    assert result.spikes is not None
    assert result.spikes.dtype == np.int16
    assert np.array_equal(result.spikes, x)
    assert np.array_equal(result.scores, scores)
    assert np.array_equal(result.classes, scores.argmax(1))
    assert np.array_equal(result.n_events_in, x.sum((1, 2)))
    assert np.array_equal(result.steps_used, np.full(len(x), x.shape[1]))
    assert (result.cycles > 0).all()


@pytest.mark.parametrize("n", [1, 5, 126, 130])
def test_exact_on_a_sound_line(simulated: Simulated, n: int) -> None:
    line, manifest = simulated(n)
    x = samples(n, 3, 3, n) if n < 100 else samples(n, 1, 2, n)
    done = []
    with Board(line, manifest, clock=line.clock) as board:
        result = board.run(x, progress=lambda k, of: done.append((k, of)))
        check_echo(result, x)
        assert result.n_retries == 0
        assert done == [(k + 1, len(x)) for k in range(len(x))]
        assert line.log == expected_log(x)
        counters = board.counters()
        assert (counters.crc_errors, counters.dropped, counters.overruns) == (0, 0, 0)
        assert counters.frames > 0


def test_results_only(simulated: Simulated) -> None:
    line, manifest = simulated(5)
    x = samples(1, 3, 3, 5)
    result = Board(line, manifest, clock=line.clock).run(x, events=False)
    assert result.spikes is None
    assert np.array_equal(result.scores, x.sum(1))
    assert np.array_equal(result.classes, x.sum(1).argmax(1))
    # One frame of events and tokens, with type, number, CRC, COBS and delimiter; a record and five
    # scores of two bytes a sample come back, besides frames.
    sent, back = result.n_line_bytes
    assert sent == x.sum() + 9 + 6
    assert back > 3 * (9 + 10)


@pytest.mark.parametrize("width", [6, 32, 33])
def test_membranes(simulated: Simulated, width: int) -> None:
    line, manifest = simulated(4, width)
    x = samples(2, 2, 3, 4)
    result = Board(line, manifest, clock=line.clock).run(x)
    value = 7 - 3 * np.arange(4)
    assert result.mem is not None
    assert result.mem.dtype == (np.int32 if width <= 32 else np.int64)
    assert np.array_equal(result.mem, np.where(x > 0, value, 0))
    assert np.array_equal(result.scores, np.where(x.sum(1) > 0, value, 0))
    assert result.spikes is not None
    assert not result.spikes.any()


def test_keeps_the_window_over_sample_boundaries(simulated: Simulated) -> None:
    """A slow core, a full buffer, a sample longer than the buffer: credits, no overrun."""
    line, manifest = simulated(5, delay=150)
    x = np.full((2, 12, 5), 2)
    x[1, 3:] = 0
    with Board(line, manifest, clock=line.clock) as board:
        check_echo(board.run(x), x)
        assert board.counters().overruns == 0
    assert line.log == expected_log(x)


def test_cycles_do_not_depend_on_the_sample_before(simulated: Simulated) -> None:
    """One sample at a time is in the core: equal samples that wait take equal time."""
    line, manifest = simulated(5, delay=100)
    x = np.repeat(samples(3, 1, 2, 5), 3, axis=0)
    cycles = Board(line, manifest, clock=line.clock).run(x, events=False).cycles
    assert cycles[1] == cycles[2]


@pytest.mark.parametrize(
    ("seed", "to_board", "to_host"),
    [(1, "fd2gz", ""), (2, "", "fd2gz"), (3, "fd2gz", "fd2gz")],
)
def test_exact_on_a_faulty_line(
    simulated: Simulated, seed: int, to_board: str, to_host: str
) -> None:
    line, manifest = simulated(5)
    board = Board(line, manifest, clock=line.clock)
    forward = Faults(seed, 40 if to_board else 1e9, to_board)
    back = Faults(seed + 100, 100 if to_host else 1e9, to_host)
    line.to_board, line.to_host = forward, back
    x = samples(seed, 5, 5, 5)
    result = board.run(x)
    check_echo(result, x)
    assert forward.n + back.n > 2
    line.to_board = line.to_host = lambda data: data
    assert board.counters().crc_errors > 0 or not to_board
    if not to_host:
        # Nothing was lost on the way back, so no SYNC: the core saw every item exactly once.
        assert result.n_retries == 0
        assert line.log == expected_log(x)


def test_lost_acknowledgements_and_repeated_frames(simulated: Simulated) -> None:
    """All ACK frames vanish for a while, and each EVENTS frame is sent twice."""
    line, manifest = simulated(5, delay=20)
    board = Board(line, manifest, clock=line.clock)
    held = bytearray()
    budget = [40]

    def filter_acks(data: bytes) -> bytes:
        held.extend(data)
        if held[-1] != 0:
            return b""
        frame, kind = bytes(held), held[1:2] if len(held) > 1 else b""
        held.clear()
        if kind == b"\x81" and budget[0] > 0:
            budget[0] -= 1
            return b""
        return frame

    def twice(data: bytes) -> bytes:
        frames = [part + b"\0" for part in data.split(b"\0")[:-1]]
        return b"".join(f * 2 if f[1:2] == b"\x02" else f for f in frames)

    line.to_host, line.to_board = filter_acks, twice
    x = samples(8, 4, 4, 5)
    result = board.run(x)
    check_echo(result, x)
    assert result.n_retries == 0
    assert line.log == expected_log(x)
    line.to_host = lambda data: data
    assert board.counters().dropped > 0


@pytest.mark.parametrize("cut", [3, 17, 31])
@pytest.mark.parametrize("delay", [0, 60])
def test_host_killed_mid_sample(simulated: Simulated, cut: int, delay: int) -> None:
    """A predecessor died within a sample and within a frame; garbage followed."""
    line, manifest = simulated(5, delay=delay)
    Board(line, manifest, clock=line.clock)
    words = bytes([0, 1, 2, 3, 4, 126] * 5)  # five steps, no last token
    frames = b"".join(encode_frame(ToBoard.EVENTS, k, words) for k in range(2))
    line.write(frames + encode_frame(ToBoard.EVENTS, 2, words)[:cut])
    line.advance(30 * cut + 400)
    line.write(b"\x55\xaa\x13")
    board = Board(line, manifest, clock=line.clock)
    x = samples(9, 2, 2, 5)
    before = len(line.log)
    check_echo(board.run(x), x)
    # What the predecessor began was ended with a last token, once.
    assert sum(last for _, last in line.log[:before]) in (0, 1)
    assert before == 0 or line.log[before - 1] == (-1, 1)
    assert line.log[before:] == expected_log(x)


def test_frame_beyond_the_credit_is_refused(simulated: Simulated) -> None:
    """A host that ignores the window harms itself only."""
    line, manifest = simulated(5, delay=10_000)
    board = Board(line, manifest, clock=line.clock)
    for k in range(18):
        line.write(encode_frame(ToBoard.EVENTS, k, bytes(31) + b"\x7e"))
    line.advance(18 * 38 * 40 + 500)
    line._received.clear()
    assert board.counters().overruns > 0


def test_other_design(simulated: Simulated) -> None:
    line, manifest = simulated(5)
    manifest["hash"] = "ff" * 16
    with pytest.raises(HostError, match=r"runs design 000102\w+, not 'echo' \(ffff\w+\); flash"):
        Board(line, manifest, clock=line.clock)


def test_other_shape(simulated: Simulated) -> None:
    line, manifest = simulated(5)
    manifest["output"]["size"] = 6
    with pytest.raises(HostError, match=r"\(5, 5, 0, 0, 0\), the manifest says otherwise"):
        Board(line, manifest, clock=line.clock)


def test_dead_line(simulated: Simulated) -> None:
    line, manifest = simulated(5)
    line.to_host = lambda data: b""
    with pytest.raises(HostError, match=r"no answer within 0.5 s, not a byte; check port"):
        Board(line, manifest, clock=line.clock, timeout=0.5)


def test_garbage(simulated: Simulated) -> None:
    line, manifest = simulated(5)
    line.to_host = lambda data: bytes(b ^ 0x5A for b in data)
    with pytest.raises(HostError, match=r"only garbage \(\d+ bytes\); check the baud rate"):
        Board(line, manifest, clock=line.clock, timeout=0.5)


def test_line_dies_during_a_run(simulated: Simulated) -> None:
    line, manifest = simulated(5)
    board = Board(line, manifest, clock=line.clock, timeout=0.4)
    passed = [0]

    def die(data: bytes) -> bytes:
        passed[0] += 1
        return data if passed[0] < 60 else b""

    line.to_host = die
    with pytest.raises(HostError, match=r"no progress for 0.4 s; the board does not answer"):
        board.run(samples(1, 3, 3, 5))
    line.to_host = lambda data: data
    x = samples(2, 2, 2, 5)
    check_echo(board.run(x), x)


def test_core_that_hangs(simulated: Simulated) -> None:
    line, manifest = simulated(5, delay=100_000)
    board = Board(line, manifest, clock=line.clock, timeout=0.4)
    with pytest.raises(HostError, match=r"the board answers but gives no result"):
        board.run(samples(1, 1, 1, 5))


def test_bounded_retries(simulated: Simulated) -> None:
    line, manifest = simulated(5)
    board = Board(line, manifest, clock=line.clock, retries=2)
    held = bytearray()

    def no_results(data: bytes) -> bytes:
        held.extend(data)
        if held[-1] != 0:
            return b""
        frame = bytes(held)
        held.clear()
        return b"" if frame[1:2] == b"\x85" else frame

    line.to_host = no_results
    with pytest.raises(HostError, match="sample 0 failed 3 times in a row"):
        board.run(samples(1, 2, 1, 5))
