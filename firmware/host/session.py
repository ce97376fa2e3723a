# SPDX-License-Identifier: Apache-2.0
"""One end of the line: go-back-N sender, in-order receiver, SYNC. Knows frames, not samples."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spikefab.host.errors import HostError
from spikefab.host.protocol import (
    FREED_UNIT,
    SEQUENCED,
    VERSION,
    Ack,
    Counters,
    Frame,
    FrameError,
    FrameSplitter,
    FromBoard,
    Identity,
    ToBoard,
    encode_frame,
)

__all__ = ["LineFault", "Session"]

POLL_AFTER = 0.1
"""Seconds of silence after which the board is asked how far it is."""

SYNC_AGAIN = 0.2
"""Seconds until a SYNC without an answer is repeated."""

MAX_FRAMES = 120
"""Frames on the way at once: well under half the sequence numbers."""


class LineFault(Exception):
    """Something from the board was lost; SYNC and send again what is not answered."""


@dataclass
class Session:
    """Frames over a transport that has `read(n)`, `write(bytes)` and, if it can, `in_waiting`.

    `read` may return fewer than n bytes, after the transport's own short time-out.
    """

    transport: Any
    name: str
    """The port, for messages."""
    clock: Callable[[], float]
    timeout: float
    """Seconds without progress until a `HostError`."""
    identity: Identity | None = None
    counters: Counters | None = None
    """The last ones received."""
    n_resent: int = 0
    """EVENTS frames sent again, in total."""
    n_written: int = 0
    """Bytes to the board, in total."""
    n_read: int = 0
    """Bytes from the board, in total."""
    _splitter: FrameSplitter = field(default_factory=FrameSplitter)
    _nonce: int = field(default_factory=lambda: int.from_bytes(os.urandom(2), "little"))

    def __post_init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._frames: list[bytes] = []  # encoded, by absolute number; b"" once accepted
        self._accepted = self._next = 0
        self._used = 0  # payload bytes sent, each frame once
        self._freed = 0  # payload bytes that have left the board's buffer
        self.loaded = False  # as the last ACK said
        self._nak_at = -1
        self._received = 0  # sequenced frames
        self._pending: list[Frame] = []
        self._polled: float | None = None
        self._poll_mark = 0
        self._heard = self._progress = self.clock()

    # The transport

    def write(self, data: bytes) -> None:
        """Writes all of `data`; raises `HostError` where the port is gone or takes nothing."""
        try:
            while data:
                n = self.transport.write(data)
                n = len(data) if n is None else n
                self.n_written += n
                data = data[n:]
        except (OSError, ValueError) as error:  # serial.SerialException is an OSError
            raise self._lost(error) from None

    def read(self, block: bool) -> bytes:
        """What has come; with `block`, waits for something up to the transport's time-out."""
        try:
            waiting = getattr(self.transport, "in_waiting", None)
            if waiting == 0 and not block:
                return b""
            data = bytes(self.transport.read(max(1, waiting or 0)))
        except (OSError, ValueError, TypeError) as error:
            # pyserial raises TypeError where another thread closed the port
            raise self._lost(error) from None
        self.n_read += len(data)
        return data

    def _lost(self, error: Exception) -> HostError:
        return HostError(f"{self.name}: connection lost ({error}); check the cable, then open the "
                         f"board again")  # fmt: skip

    # Start

    def sync(self, flags: int) -> Identity:
        """Starts over: ends what the board is doing, returns who it is. Raises `HostError`."""
        deadline = self.clock() + self.timeout
        n_bytes, n_frames = 0, 0
        while True:
            self._splitter = FrameSplitter()
            self._nonce = (self._nonce + 1) & 0xFFFF
            request = bytes((self._nonce & 255, self._nonce >> 8, flags))
            # The delimiter in front ends whatever a predecessor left unfinished.
            self.write(b"\0" + encode_frame(ToBoard.SYNC, 0, request))
            until = min(self.clock() + SYNC_AGAIN, deadline)
            while self.clock() < until:
                data = self.read(block=True)
                n_bytes += len(data)
                frames = self._splitter.feed(data)
                n_frames += len(frames)
                for at, frame in enumerate(frames):
                    identity = self._identify(frame)
                    if identity is not None:
                        self._reset()
                        self.identity = identity
                        self._pending = frames[at + 1 :]
                        return identity
            if self.clock() >= deadline:
                raise HostError(self._silence(n_bytes, n_frames))

    def _identify(self, frame: Frame) -> Identity | None:
        if frame.type != FromBoard.IDENT or len(frame.payload) < 7:
            return None
        try:
            identity = Identity.decode(frame.payload)
        except FrameError as error:
            raise HostError(f"{self.name}: {error}; choose another port") from None
        if identity.version != VERSION:
            raise HostError(f"{self.name}: the board speaks protocol version {identity.version}, "
                            f"this driver {VERSION}; compile and flash the design again, or "
                            f"install the driver of its version")  # fmt: skip
        return identity if identity.nonce == self._nonce else None

    def _silence(self, n_bytes: int, n_frames: int) -> str:
        after = f"{self.name}: no answer within {self.timeout:g} s"
        if not n_bytes:
            return f"{after}, not a byte; check port, cable, power, and that the design is flashed"
        if not n_frames:
            return (f"{after}, only garbage ({n_bytes} bytes); check the baud rate, and that a "
                    f"spikefab design is flashed")  # fmt: skip
        return (f"{after} to SYNC, though the board sends frames; its core does not come to an "
                f"end: reset the board")  # fmt: skip

    # Frames to the board

    @property
    def n_taken(self) -> int:
        """Payload bytes that have left the board's buffer since SYNC, as far as it said."""
        return self._freed

    def has_room(self, n_payload: int) -> bool:
        """Whether an EVENTS frame with so many bytes may be sent now."""
        assert self.identity is not None
        return (
            self._used + n_payload - self._freed <= self.identity.capacity
            and len(self._frames) - self._accepted < MAX_FRAMES
        )

    def send(self, payload: bytes) -> None:
        """Queues an EVENTS frame, of words or of a memory image; there must be room."""
        self._frames.append(encode_frame(ToBoard.EVENTS, len(self._frames) & 255, payload))
        self._used += len(payload)
        self.transmit()

    def transmit(self) -> None:
        """Writes the frames that are due."""
        if self._polled is None and self._next < len(self._frames):
            self.write(b"".join(self._frames[self._next :]))
            self._next = len(self._frames)

    def query(self) -> None:
        """Asks for the counters."""
        self.write(encode_frame(ToBoard.QUERY, 0))

    # Frames from the board

    def receive(self, block: bool) -> list[Frame]:
        """Sequenced frames that came, in order and without a gap; raises `LineFault`, `HostError`.

        Acknowledgements are dealt with on the way, silence too.
        """
        frames, self._pending = self._pending, []
        frames += self._splitter.feed(self.read(block and not frames))
        now = self.clock()
        found = []
        for frame in frames:
            if frame.type == FromBoard.IDENT:
                continue  # the answer to an earlier SYNC
            if frame.seq != self._received & 255:
                raise LineFault(f"frame {frame.seq} came instead of {self._received & 255}")
            self._heard = now
            if frame.type >= SEQUENCED:
                self._received += 1
                self._progress = now
                found.append(frame)
            elif frame.type == FromBoard.ACK:
                self._acknowledge(Ack.decode(frame.payload), now)
            elif frame.type == FromBoard.COUNTERS:
                self.counters = Counters.decode(frame.payload)
        self.transmit()
        self._keep_alive(now)
        return found

    def _acknowledge(self, ack: Ack, now: float) -> None:
        if not ack.synced:
            raise LineFault("the board has started over")
        assert self.identity is not None
        accepted = self._accepted + ((ack.expected - self._accepted) & 255)
        units = self.identity.buffer // FREED_UNIT
        freed = self._freed + (ack.freed - self._freed // FREED_UNIT) % units * FREED_UNIT
        if accepted > len(self._frames) or freed > self._used:
            raise LineFault("acknowledgement of a frame that was never sent")
        if accepted > self._accepted or freed > self._freed:
            self._progress = now
        for n in range(self._accepted, accepted):
            self._frames[n] = b""
        self._accepted, self._freed = accepted, freed
        self.loaded = ack.loaded
        self._next = max(self._next, accepted)
        back = False
        if ack.poll:
            # What was sent before the POLL and is not accepted by now is lost.
            self._polled = None
            back = accepted < self._poll_mark
        elif ack.nak and accepted != self._nak_at:
            # Once for each frame: those behind the lost one are refused too.
            self._nak_at = accepted
            back = accepted < self._next
        if back:
            self.n_resent += self._next - accepted
            self._next = accepted

    def _keep_alive(self, now: float) -> None:
        if now - self._progress > self.timeout:
            silent = now - self._heard > self.timeout / 2
            raise HostError(
                f"{self.name}: no progress for {self.timeout:g} s; "
                + ("the board does not answer: check cable and power" if silent else
                   "the board answers but gives no result: a longer time-out, or reset it")
            )  # fmt: skip
        if now - max(self._heard, self._polled or 0.0) > POLL_AFTER:
            self._polled, self._poll_mark = now, self._next
            self.write(encode_frame(ToBoard.POLL, 0))

    def start_waiting(self) -> None:
        """The time-out begins now."""
        self._heard = self._progress = self.clock()
