# SPDX-License-Identifier: Apache-2.0
"""Coding of frames and words; the worked example in the docs."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest

from spikefab.hdl import frames as hdl_frames
from spikefab.hdl import link as hdl_link
from spikefab.hdl import readout as hdl_readout
from spikefab.hdl.link_buffer import FREED_UNIT as HDL_FREED_UNIT
from spikefab.hdl.link_buffer import TRAILER as HDL_TRAILER
from spikefab.hdl.link_replies import IDENTITY_BYTES
from spikefab.host import protocol
from spikefab.host.check import read_manifest
from spikefab.host.coding import sample_events
from spikefab.host.protocol import (
    FREED_UNIT,
    Frame,
    FrameError,
    FrameSplitter,
    Identity,
    ToBoard,
    Words,
    cobs_decode,
    cobs_encode,
    decode_frame,
    encode_frame,
)


def encode(n: int, x: np.ndarray, width: int = 0) -> bytes:
    """A sample of counts, or of values of `width` bits, as words."""
    facts = read_manifest(
        {
            "format": 1, "name": "", "hash": "00" * 16, "target": {},
            "input": {"shape": [n], "size": n, "max_events": 9, "payload_width": width},
            "output": {"size": 1, "kind": "spikes"},
        }
    )  # fmt: skip
    events = sample_events(x, facts)
    return Words(n, int(width > 0)).encode(
        events.step, events.address, events.value, events.n_steps
    )


def test_worked_example_of_the_docs(root: Path) -> None:
    text = (root / "docs" / "protocol.md").read_text()
    frame, with_crc, line = (
        bytes.fromhex(re.search(rf"^    {name} +([0-9a-f ]+)$", text, re.M)[1])  # type: ignore[index]
        for name in ("frame", "with CRC", "on the line")
    )
    sample = np.zeros((2, 10), int)
    sample[0, [3, 7]] = 1
    sample[1, 0] = 1
    assert frame == bytes((ToBoard.EVENTS, 5)) + encode(10, sample)
    assert cobs_decode(line[:-1]) == with_crc
    assert with_crc[:-2] == frame
    assert encode_frame(ToBoard.EVENTS, 5, frame[2:]) == line
    assert decode_frame(line[:-1]) == Frame(ToBoard.EVENTS, 5, frame[2:])


def test_docs_list_every_type(root: Path) -> None:
    text = (root / "docs" / "protocol.md").read_text()
    for kind in (*protocol.ToBoard, *protocol.FromBoard):
        assert f"| 0x{kind:02x} | {kind.name} |" in text


def test_both_ends_say_the_same() -> None:
    for name in ("ToBoard", "FromBoard"):
        mine, theirs = getattr(protocol, name), getattr(hdl_frames, name)
        assert {k.name: k.value for k in mine} == {k.name: k.value for k in theirs}
    assert protocol.MAGIC == hdl_link.MAGIC
    assert protocol.VERSION == hdl_link.PROTOCOL_VERSION
    assert protocol.RESULT_BYTES == hdl_readout.RESULT_BYTES
    assert FREED_UNIT == HDL_FREED_UNIT
    assert protocol.TRAILER == HDL_TRAILER
    assert protocol.IDENT_BYTES == 2 + IDENTITY_BYTES + 5


def test_cobs_round_trip() -> None:
    rng = random.Random(1)
    for n in [*range(1, 40), 253, 254]:
        for _ in range(5):
            data = bytes(rng.choice((0, 0, 255, rng.randrange(256))) for _ in range(n))
            encoded = cobs_encode(data)
            assert 0 not in encoded
            assert len(encoded) == n + 1
            assert cobs_decode(encoded) == data


@pytest.mark.parametrize("data", [b"\x05abc", b"\x02", b"\x03a"])
def test_cobs_refuses(data: bytes) -> None:
    with pytest.raises(FrameError, match="byte stuffing"):
        cobs_decode(data)


def test_splitter_finds_sound_frames_in_garbage() -> None:
    rng = random.Random(2)
    frames = [Frame(0x84, k, rng.randbytes(rng.randint(0, 249))) for k in range(20)]
    line = bytearray()
    for frame in frames:
        damaged = bytearray(encode_frame(frame.type, frame.seq, frame.payload))
        damaged[rng.randrange(len(damaged) - 1)] ^= 1 << rng.randrange(8)
        line += damaged + b"\0" + encode_frame(frame.type, frame.seq, frame.payload)
    splitter, found, at = FrameSplitter(), [], 0
    while at < len(line):
        n = rng.randint(1, 300)
        found += splitter.feed(bytes(line[at : at + n]))
        at += n
    assert found == frames
    assert splitter.n_bad >= 20


def test_splitter_does_not_hoard_garbage() -> None:
    splitter = FrameSplitter()
    for _ in range(100):
        assert splitter.feed(b"\x55" * 1000) == []
    assert len(splitter.rest) < 3000


@pytest.mark.parametrize("n", [1, 5, 126, 127, 784, 40000])
def test_words_round_trip(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(3):
        x = rng.integers(0, 4, (7, n)) * (rng.random((7, n)) < 0.3)
        x[2] = 0
        words = Words(n)
        data = encode(n, x)
        assert len(data) == (x.sum() + 7) * words.word_bytes
        counts, payloads = words.decode(data, 7)
        assert payloads is None
        assert np.array_equal(counts, x)


@pytest.mark.parametrize("n", [1, 126, 127, 784, 40000])
def test_a_value_follows_its_event(n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.integers(0, 256, (5, n)) * (rng.random((5, n)) < 0.3)
    x[2] = 0
    size = Words(n).word_bytes
    expected = bytearray()
    for k, step in enumerate(x):
        for address in np.flatnonzero(step):
            expected += int(address).to_bytes(size, "little") + bytes((int(step[address]),))
        expected += (Words(n).token + (k == 4)).to_bytes(size, "little")
    assert encode(n, x, 8) == expected


@pytest.mark.parametrize("payload_bytes", [0, 4])
def test_words_refuse(payload_bytes: int) -> None:
    words = Words(5, payload_bytes)
    more = bytes(payload_bytes)
    for data in (b"", b"\x7e", b"\x7f\x7f", b"\x7e\x7f\x7f", b"\x05" + more + b"\x7e\x7f",
                 b"\x7e\x7f\x01" + more, b"\x80" + more + b"\x7e\x7f"):  # fmt: skip
        with pytest.raises(FrameError):
            words.decode(data, 2)
    counts, values = words.decode(b"\x03" + more + b"\x7e\x7f", 2)
    assert counts.shape == (2, 5)
    assert (values is None) == (payload_bytes == 0)


def test_identity_of_another_version() -> None:
    assert Identity.decode(b"\x01\x02SPKF\x07").version == 7
    with pytest.raises(FrameError, match="magic number"):
        Identity.decode(bytes(45))
