# SPDX-License-Identifier: Apache-2.0
"""The link's protocol as pure functions: frames to bytes and back (`docs/protocol.md`)."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

__all__ = [
    "FREED_UNIT",
    "MAGIC",
    "MAX_FRAME",
    "RESULT_BYTES",
    "VERSION",
    "Ack",
    "Counters",
    "Frame",
    "FrameError",
    "FrameSplitter",
    "FromBoard",
    "Identity",
    "Result",
    "ToBoard",
    "Words",
    "cobs_decode",
    "cobs_encode",
    "decode_frame",
    "encode_frame",
]

MAGIC = b"SPKF"
VERSION = 2
MAX_FRAME = 253
"""Bytes of the longest frame, type to CRC, before encoding."""
FREED_UNIT = 128
"""ACK counts the bytes that have left the board's buffer in so many."""
TRAILER = 2
"""Bytes of the buffer that a frame's CRC needs for a moment."""
IDENT_BYTES = 45
LOADED = 8
"""Flag of IDENT and ACK."""
SEQUENCED = 0x84
"""Frames from the board with this type or a higher one advance the sequence number."""


class ToBoard(IntEnum):
    SYNC = 0x01
    EVENTS = 0x02
    POLL = 0x03
    QUERY = 0x04


class FromBoard(IntEnum):
    IDENT = 0x80
    ACK = 0x81
    COUNTERS = 0x82
    EVENTS = 0x84
    RESULT = 0x85
    SCORES = 0x86


class FrameError(ValueError):
    """Bytes that are not a sound frame."""


def cobs_encode(data: bytes) -> bytes:
    """Encodes at most 254 bytes; the delimiter is not part of it."""
    if len(data) > 254:
        raise ValueError(f"{len(data)} bytes: at most 254 fit into one block")
    return b"".join(bytes((len(part) + 1,)) + part for part in data.split(b"\0"))


def cobs_decode(data: bytes) -> bytes:
    """Decodes what stands between two delimiters; raises `FrameError`."""
    parts, at = [], 0
    while at < len(data):
        code = data[at]
        part = data[at + 1 : at + code]
        if code == 0 or len(part) != code - 1:
            raise FrameError("broken byte stuffing")
        parts.append(part)
        at += code
    return b"\0".join(parts)


@dataclass(frozen=True)
class Frame:
    """A sound frame."""

    type: int
    seq: int
    payload: bytes


def encode_frame(type_: int, seq: int, payload: bytes = b"") -> bytes:
    """The bytes for the line, with a delimiter at the end."""
    body = bytes((type_, seq)) + payload
    body += binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")
    if len(body) > MAX_FRAME:
        raise ValueError(f"frame of {len(body)} bytes: at most {MAX_FRAME}")
    return cobs_encode(body) + b"\0"


def decode_frame(encoded: bytes) -> Frame:
    """What stands between two delimiters; raises `FrameError` where it is damaged."""
    body = cobs_decode(encoded)
    if not 4 <= len(body) <= MAX_FRAME:
        raise FrameError(f"{len(body)} bytes")
    if binascii.crc_hqx(body, 0xFFFF) != 0:
        raise FrameError("wrong CRC")
    return Frame(body[0], body[1], body[2:-2])


class FrameSplitter:
    """Cuts received bytes into frames."""

    def __init__(self) -> None:
        self.rest = b""
        self.n_bad = 0
        """Damaged frames so far."""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes; damaged ones are counted and left out."""
        *whole, self.rest = (self.rest + data).split(b"\0")
        frames = []
        for encoded in whole:
            if encoded:
                try:
                    frames.append(decode_frame(encoded))
                except FrameError:
                    self.n_bad += 1
        if len(self.rest) > 4 * MAX_FRAME:  # a stream without zeros is garbage: keep none of it
            self.rest = self.rest[-MAX_FRAME:]
        return frames


@dataclass(frozen=True)
class Identity:
    """Payload of IDENT."""

    nonce: int
    version: int
    design_hash: bytes
    n_inputs: int
    n_outputs: int
    output_width: int
    input_width: int
    max_payload: int
    buffer: int
    """Bytes of the receive buffer."""
    load_words: int
    """16-bit words that the design's memories need before the first sample; 0: none."""
    loaded: bool
    """They have them."""
    total: int
    """Sum of the words that were loaded, modulo 2**16."""

    @property
    def capacity(self) -> int:
        """Payload bytes that may be in the buffer."""
        return self.buffer - FREED_UNIT - TRAILER

    @classmethod
    def decode(cls, payload: bytes) -> Identity:
        if payload[2:6] != MAGIC:
            raise FrameError("no spikefab board: wrong magic number")
        if len(payload) < 7:
            raise FrameError("IDENT frame too short")
        version = payload[6]
        if version != VERSION or len(payload) != IDENT_BYTES:
            # Only nonce, magic number and version stand at the same place in every version.
            return cls(payload[0] | payload[1] << 8, version, b"", 0, 0, 0, 0, 0, 0, 0, False, 0)
        (nonce, _, _, design, n_in, n_out, width_out, width_in, longest, buffer, words, flags, total
         ) = struct.unpack("<H4sB16s3s3sBBBH3s5xBH", payload)  # fmt: skip
        n_in, n_out, words = (int.from_bytes(field, "little") for field in (n_in, n_out, words))
        return cls(nonce, version, design, n_in, n_out, width_out, width_in, longest, buffer, words,
                   bool(flags & LOADED), total)  # fmt: skip


@dataclass(frozen=True)
class Ack:
    """Payload of ACK."""

    expected: int
    """Sequence number of the next EVENTS frame that the board takes."""
    freed: int
    """Bytes of EVENTS payloads that have left the buffer since SYNC, divided by 128, modulo the
    buffer's size divided by 128."""
    nak: bool
    """A damaged or unexpected frame came."""
    synced: bool
    poll: bool
    """Answers a POLL."""
    loaded: bool
    """The design's memories have their contents."""

    @classmethod
    def decode(cls, payload: bytes) -> Ack:
        if len(payload) != 3:
            raise FrameError("ACK frame of wrong length")
        expected, freed, flags = payload
        return cls(expected, freed, bool(flags & 1), bool(flags & 2), bool(flags & 4),
                   bool(flags & LOADED))  # fmt: skip


@dataclass(frozen=True)
class Counters:
    """Totals since the board was configured, each modulo 65,536."""

    frames: int
    """Sound frames received, of any type."""
    crc_errors: int
    """Frames received damaged."""
    dropped: int
    """Sound frames that were repeated or out of sequence, and illegal words."""
    overruns: int
    """Frames for which the buffer had no room."""

    @classmethod
    def decode(cls, payload: bytes) -> Counters:
        if len(payload) != 8:
            raise FrameError("COUNTERS frame of wrong length")
        return cls(*struct.unpack("<4H", payload))


RESULT_BYTES = 9


@dataclass(frozen=True)
class Result:
    """A record of a RESULT frame."""

    steps: int
    winner: int
    """Address of the highest score, the lowest one of several."""
    cycles: int
    n_events_in: int
    """Modulo 256."""

    @classmethod
    def decode(cls, record: bytes) -> Result:
        return cls(*struct.unpack("<HHIB", record))


@dataclass(frozen=True)
class Words:
    """Coding of an event stream: `n_addresses` addresses, payloads of `payload_bytes` bytes; from
    the host 0 or 1, from the board 0, 4 or 5."""

    n_addresses: int
    payload_bytes: int = 0
    counted: tuple[tuple[int, int], ...] = ()
    """With payloads: addresses, from one and below another, whose events are spikes."""

    @property
    def word_bytes(self) -> int:
        return 1 if self.n_addresses <= 126 else 2 if self.n_addresses <= 32766 else 3

    @property
    def token(self) -> int:
        """Code of the end of a step; the next higher one ends the sample too."""
        return (1 << (8 * self.word_bytes - 1)) - 2

    def encode(
        self, step: np.ndarray, address: np.ndarray, value: np.ndarray | None, n_steps: int
    ) -> bytes:
        """One sample's events, in order of their steps, as words: a token behind each step's."""
        size = self.word_bytes
        words = np.zeros((len(step) + n_steps, size + self.payload_bytes), np.uint8)
        codes = np.empty(len(words), "<u4")
        ends = np.cumsum(np.bincount(step, minlength=n_steps)) + np.arange(n_steps)
        is_event = np.ones(len(words), bool)
        is_event[ends] = False
        codes[is_event] = address
        codes[ends] = self.token
        codes[-1] = self.token + 1
        words[:, :size] = codes.view(np.uint8).reshape(-1, 4)[:, :size]
        if value is None:
            return words.tobytes()
        words[is_event, size] = value
        used = np.ones(words.shape, bool)
        used[ends, size:] = False
        return words[used].tobytes()

    def decode(self, data: bytes, steps: int) -> tuple[np.ndarray, np.ndarray | None]:
        """One sample's words as counts int16 (steps, addresses), and as payloads int64 of the same
        shape where there are payloads, 0 for spikes; raises `FrameError` where they are not such a
        sample."""
        if self.payload_bytes:
            return self._decode_graded(data, steps)
        if len(data) % self.word_bytes:
            raise FrameError("incomplete event word")
        words = np.zeros((len(data) // self.word_bytes, 4), np.uint8)
        words[:, : self.word_bytes] = np.frombuffer(data, np.uint8).reshape(-1, self.word_bytes)
        codes = words.view("<u4")[:, 0].astype(np.int64)
        is_token = codes >= self.token
        if is_token.sum() != steps or np.flatnonzero(codes == self.token + 1).tolist() != [
            len(codes) - 1
        ]:
            raise FrameError("events do not end with the sample")
        step = np.cumsum(is_token)[~is_token]
        address = codes[~is_token]
        if np.any(codes > self.token + 1) or np.any(address >= self.n_addresses):
            raise FrameError("event of an output that does not exist")
        counts = np.zeros((steps, self.n_addresses), np.int16)
        np.add.at(counts, (step, address), 1)
        return counts, None

    def _decode_graded(self, data: bytes, steps: int) -> tuple[np.ndarray, np.ndarray]:
        size, more = self.word_bytes, self.payload_bytes
        values = np.zeros((steps, self.n_addresses), np.int64)
        counts = np.zeros_like(values, np.int16)
        at, step, n_steps, code = 0, 0, 0, -1
        while at < len(data) and step < steps:
            code = int.from_bytes(data[at : at + size], "little")
            at += size
            if code in (self.token, self.token + 1):
                step = step + 1 if code == self.token else steps
                n_steps += 1
                continue
            if code >= self.n_addresses or at + more > len(data):
                raise FrameError("event of an output that does not exist")
            value = int.from_bytes(data[at : at + more], "little", signed=True)
            if any(first <= code < end for first, end in self.counted):
                counts[step, code] += 1
            else:
                values[step, code] = value
            at += more
        if at != len(data) or n_steps != steps or code != self.token + 1:
            raise FrameError("events do not end with the sample")
        return counts, values
