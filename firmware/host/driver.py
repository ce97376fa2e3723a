# SPDX-License-Identifier: Apache-2.0
"""The host driver: samples in, spikes and classes out, exactly, over a line that may fail."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from spikefab.host.check import DesignFacts, check_samples, read_image, read_manifest
from spikefab.host.coding import sample_events
from spikefab.host.errors import HostError
from spikefab.host.protocol import (
    RESULT_BYTES,
    Counters,
    Frame,
    FrameError,
    FromBoard,
    Identity,
    Result,
    Words,
)
from spikefab.host.session import LineFault, Session

__all__ = ["Board", "RunResult"]

DEFAULT_BAUD = 115200
SEND_EVENTS, SEND_SCORES, LOAD = 1, 2, 4
"""Flags of SYNC: what the board is to send; what it is sent is the contents of its memories."""

LOAD_CHUNK = 128
"""Bytes of a memory image in a frame."""

Progress = Callable[[int, int], object]
"""Called with what is done, and of how much."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RunResult:
    """What a board answered, B samples of T steps, n outputs."""

    spikes: np.ndarray | None
    """int16 (B, T, n), 0 for an integrator and in steps that a sample did not reach; None without
    `events`. Several output populations stand side by side, as the manifest's `outputs` say."""
    mem: np.ndarray | None
    """An integrator's membranes (B, T, n), 0 for other outputs, int32, int64 where wider than 32
    bits; None where there is none."""
    classes: np.ndarray
    """int64 (B,): output of the highest score, the lowest one of several; of several output
    populations the first one's."""
    scores: np.ndarray
    """int64 (B, n): spikes of the sample, saturating at 65,535; an integrator's last membranes."""
    cycles: np.ndarray
    """int64 (B,): clock cycles from the first item in to the last token out, modulo 2**32."""
    steps_used: np.ndarray
    """int64 (B,): steps that the board ran; T unless the design stops early."""
    n_events_in: np.ndarray
    """int64 (B,): events that a sample was sent as."""
    n_retries: int
    """Times that the line failed and samples were sent again."""
    n_line_bytes: tuple[int, int]
    """Bytes that went to the board and came back, frames and repetitions included."""


class Board:
    """A board that runs a design. A context manager; not for several threads at once."""

    def __init__(
        self,
        transport: Any,
        manifest: dict[str, Any] | str | Path,
        *,
        name: str = "board",
        timeout: float = 5.0,
        retries: int = 20,
        clock: Callable[[], float] = time.monotonic,
        on_load: Progress | None = None,
    ):
        """Talks over `transport` (`read`, `write`, perhaps `in_waiting` and `close`).

        `timeout`: seconds without progress until a `HostError`; `retries`: how often in a row one
        sample is sent again; `on_load`: told how far the loading of the design's memories is, where
        they need it. Raises `HostError` where the board does not run this design.
        """
        self.facts = read_manifest(manifest)
        self._image = read_image(manifest, self.facts) if self.facts.load_words else None
        self._on_load = on_load
        self.retries = retries
        self._transport = transport
        self._session = Session(transport, name, clock, timeout)
        self._words_in = Words(self.facts.input_space, int(self.facts.input_width > 0))
        width = self.facts.output_width
        payload = 0 if width == 0 else 4 if width <= 32 else 5
        self._words_out = Words(self.facts.output_space, payload, self.facts.counted)
        self.identity = self._sync(SEND_EVENTS | SEND_SCORES)

    @classmethod
    def open(
        cls,
        port: str,
        manifest: dict[str, Any] | str | Path,
        *,
        baud: int | None = None,
        timeout: float = 5.0,
        on_load: Progress | None = None,
    ) -> Board:
        """Opens a serial port or pseudo-terminal; the baud rate is the manifest's unless given.

        No other driver of this kind can open it meanwhile.
        """
        import serial

        facts = read_manifest(manifest)
        rate = baud or facts.baud or DEFAULT_BAUD
        try:
            line = serial.Serial(port, rate, timeout=0.02, write_timeout=timeout, exclusive=True)
        except (OSError, ValueError) as error:
            # What `exclusive` finds is told as an error of the lock.
            if "exclusively lock" in str(error) or getattr(error, "errno", None) == errno.EBUSY:
                raise HostError(f"{port}: another program uses it; close that program, or wait "
                                f"until it is done") from None  # fmt: skip
            raise HostError(
                f"{port}: cannot be opened at {rate} baud ({error}); check the port's "
                f"name, its permissions, and that nothing else uses it"
            ) from None
        # USB adapters otherwise hold short answers back for 16 ms.
        with contextlib.suppress(OSError, ValueError, AttributeError, NotImplementedError):
            line.set_low_latency_mode(True)
        try:
            return cls(line, manifest, name=port, timeout=timeout, on_load=on_load)
        except BaseException:
            line.close()
            raise

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the port; may be called twice."""
        with contextlib.suppress(OSError):
            getattr(self._transport, "close", lambda: None)()

    def counters(self) -> Counters:
        """Totals of the link since the board was configured."""
        session = self._session
        session.counters = None
        session.start_waiting()
        for _ in range(self.retries + 1):
            session.query()
            until = session.clock() + max(0.2, session.timeout / (self.retries + 1))
            try:
                while session.clock() < until:
                    session.receive(block=True)
                    if session.counters is not None:
                        return session.counters
            except (LineFault, FrameError):
                self._sync(SEND_EVENTS | SEND_SCORES)
        raise HostError(f"{session.name}: no answer to {self.retries + 1} questions for the "
                        f"counters; check cable and power")  # fmt: skip

    def run(
        self,
        x: np.ndarray,
        *,
        events: bool = True,
        progress: Progress | None = None,
    ) -> RunResult:
        """Runs samples, (samples, steps, *input shape), (samples, *input shape) where the design's
        input coding takes frames: counts of events, or values.

        `events` = False leaves the output events out: class, scores and counts only, and less
        traffic. `progress(done, total)` is called after each sample. What fails on the line is
        repeated; the result is exact or a `HostError`.
        """
        x = check_samples(x, self.facts)
        inbox = _Inbox(x, self.facts, self._words_out, events)
        flags = SEND_SCORES | (SEND_EVENTS if events else 0)
        n_retries, in_a_row, done_before = 0, 0, 0
        self._sync(flags)
        session = self._session
        before = session.n_written, session.n_read
        while True:
            try:
                self._stream(x, inbox, progress)
                break
            except (LineFault, FrameError) as fault:
                in_a_row = in_a_row + 1 if inbox.n_done == done_before else 1
                done_before = inbox.n_done
                n_retries += 1
                if in_a_row > self.retries:
                    raise HostError(f"{self._session.name}: sample {inbox.n_done} failed "
                                    f"{in_a_row} times in a row ({fault}); the line is too noisy: "
                                    f"a shorter cable, a lower baud rate") from None  # fmt: skip
                self._sync(flags)
        line = session.n_written - before[0], session.n_read - before[1]
        return inbox.result(n_retries, line)

    def _stream(self, x: np.ndarray, inbox: _Inbox, progress: Progress | None) -> None:
        """Sends the samples that have no result yet, and takes the results."""
        session = self._session
        inbox.restart()
        chunks = self._chunks(x[inbox.n_done :])
        chunk = next(chunks, None)
        session.start_waiting()
        while inbox.n_done < len(x):
            while chunk is not None and session.has_room(len(chunk)):
                session.send(chunk)
                chunk = next(chunks, None)
            for frame in session.receive(block=True):
                before = inbox.n_done
                inbox.take(frame)
                if progress is not None:
                    for n in range(before, inbox.n_done):
                        progress(n + 1, len(x))

    def _chunks(self, x: np.ndarray) -> Iterator[bytes]:
        """The samples' words, cut into payloads; a payload may hold parts of several samples."""
        words = self._words_in
        size = self.identity.max_payload
        # A few frames should fit into the buffer, so that the line does not wait for an ACK.
        size = max(16, min(size, self.identity.capacity // 4))
        rest = b""
        for sample in x:
            events = sample_events(sample, self.facts)
            rest += words.encode(events.step, events.address, events.value, events.n_steps)
            while len(rest) >= size:
                yield rest[:size]
                rest = rest[size:]
        if rest:
            yield rest

    def _sync(self, flags: int) -> Identity:
        """Starts over; afterwards the board runs this design, with its memories loaded."""
        identity = self._identify(flags)
        for _ in range(self.retries + 1):
            if self._is_loaded(identity):
                return identity
            # A line that fails is taken up again with a SYNC, which is where the load begins.
            with contextlib.suppress(LineFault, FrameError):
                self._load()
            identity = self._identify(flags)
        raise HostError(f"{self._session.name}: the design's memories could not be loaded in "
                        f"{self.retries + 1} attempts; the line is too noisy: a shorter cable, a "
                        f"lower baud rate")  # fmt: skip

    def _is_loaded(self, identity: Identity) -> bool:
        if self._image is None:
            return True
        total = int(self._image.sum(dtype=np.uint64)) & 0xFFFF
        return identity.loaded and identity.total == total

    def _load(self) -> None:
        """Sends the contents of the design's memories, once."""
        assert self._image is not None
        session = self._session
        data = self._image.astype("<u2").tobytes()
        session.sync(LOAD)
        session.start_waiting()
        at = 0
        while not session.loaded:
            while at < len(data) and session.has_room(len(data[at : at + LOAD_CHUNK])):
                session.send(data[at : at + LOAD_CHUNK])
                at += LOAD_CHUNK
            session.receive(block=True)
            if self._on_load is not None:
                done = len(self._image) if session.loaded else session.n_taken // 2
                self._on_load(done, len(self._image))

    def _identify(self, flags: int) -> Identity:
        identity = self._session.sync(flags)
        facts, name = self.facts, self._session.name
        if identity.design_hash != facts.design_hash:
            raise HostError(
                f"{name}: the board runs design {identity.design_hash.hex()}, not {facts.name!r} "
                f"({facts.design_hash.hex()}); flash {facts.name!r}, or give the manifest of the "
                f"design that it runs"
            )
        shape = (identity.n_inputs, identity.n_outputs, identity.input_width,
                 identity.output_width, identity.load_words)  # fmt: skip
        if shape != (facts.input_space, facts.output_space, facts.input_width, facts.output_width,
                     facts.load_words):  # fmt: skip
            raise HostError(f"{name}: the board's link is built for (inputs, outputs, input bits, "
                            f"output bits, words to load) = {shape}, the manifest says otherwise; "
                            f"compile and flash the design again")  # fmt: skip
        return identity


@dataclass
class _Inbox:
    """Puts frames together to results."""

    x: np.ndarray
    facts: DesignFacts
    words: Words
    events: bool
    n_done: int = 0
    _events: bytearray = field(default_factory=bytearray)
    _scores: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        b, t, _ = self.x.shape
        self.steps = t = self.facts.frame_steps or t
        n = self.facts.output_space
        wide = np.int64 if self.facts.output_width > 32 else np.int32
        self.spikes = np.zeros((b, t, n), np.int16) if self.events else None
        graded = self.events and self.facts.is_membrane
        self.mem = np.zeros((b, t, n), wide) if graded else None
        self.scores = np.zeros((b, n), np.int64)
        self.counts = np.zeros((4, b), np.int64)

    def restart(self) -> None:
        """Forgets the parts of a sample that has no result yet."""
        self._events.clear()
        self._scores.clear()

    def take(self, frame: Frame) -> None:
        """Takes a frame; raises `FrameError` where it cannot be an answer to the samples."""
        if frame.type == FromBoard.EVENTS:
            self._events += frame.payload
        elif frame.type == FromBoard.SCORES:
            self._scores += frame.payload
        elif frame.type == FromBoard.RESULT and len(frame.payload) % RESULT_BYTES == 0:
            for at in range(0, len(frame.payload), RESULT_BYTES):
                self._finish(Result.decode(frame.payload[at : at + RESULT_BYTES]))
        else:
            raise FrameError(f"unknown frame, type {frame.type:#x}")

    def _finish(self, result: Result) -> None:
        k = self.n_done
        if k >= len(self.x):
            raise FrameError("more results than samples")
        n, used = self.facts.output_space, result.steps
        n_in = len(sample_events(self.x[k], self.facts))
        # A sample that ends early may do so before all its events are in.
        complete = used == self.steps and result.n_events_in == n_in & 255
        early = self.facts.stops and 1 <= used <= self.steps
        if not (complete or early) or result.winner >= n:
            raise FrameError("the board counted another sample than was sent")
        size = self.words.payload_bytes or 2
        if len(self._scores) != size * n:
            raise FrameError("scores of wrong length")
        raw = bytes(self._scores)
        self.scores[k] = [
            int.from_bytes(raw[at : at + size], "little", signed=self.facts.is_membrane)
            for at in range(0, len(raw), size)
        ]
        if self.spikes is not None:
            spikes, values = self.words.decode(bytes(self._events), used)
            counted = [slice(a, b) for a, b in self.facts.counted]
            if self.mem is not None and values is not None:
                self.mem[k, :used] = values
            else:
                counted = [slice(None)]
            totals = np.minimum(spikes.sum(0, dtype=np.int64), 0xFFFF)
            if any((totals[part] != self.scores[k, part]).any() for part in counted):
                raise FrameError("scores and events differ")
            self.spikes[k, :used] = spikes
        elif self._events:
            raise FrameError("events that nobody asked for")
        self.counts[:, k] = (result.winner, result.cycles, used, n_in)
        self.n_done += 1
        self.restart()

    def result(self, n_retries: int, n_line_bytes: tuple[int, int]) -> RunResult:
        classes, cycles, steps_used, n_in = self.counts
        at = self.facts.output_addresses
        numbers = np.zeros(self.facts.output_space, np.int64)
        numbers[at] = np.arange(len(at))
        return RunResult(
            spikes=None if self.spikes is None else self.spikes[..., at],
            mem=None if self.mem is None else self.mem[..., at],
            classes=numbers[classes], scores=self.scores[:, at], cycles=cycles,
            steps_used=steps_used, n_events_in=n_in, n_retries=n_retries,
            n_line_bytes=n_line_bytes,
        )  # fmt: skip
