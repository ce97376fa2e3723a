# SPDX-License-Identifier: Apache-2.0
"""Byte stuffing against a plain model, under back-pressure, and on damaged input."""

from __future__ import annotations

import itertools
import random
from typing import Any

from amaranth.sim import Simulator

from spikefab.hdl.cobs import COBSDecoder, COBSEncoder

FRAMES = [
    b"\x00", b"\x01", b"\x00\x00", b"\x00\x01", b"\x01\x00", b"\x11\x22\x00\x33", b"\x00" * 7,
    bytes(range(1, 254)), bytes(253), bytes(252) + b"\x01", bytes(range(253)), b"abc",
]  # fmt: skip
"""Corners: zeros at either end, the longest frame with no zero and with nothing else."""


def model(frame: bytes) -> bytes:
    """Encodes from the definition: each zero's place holds the distance to the next one."""
    padded = b"\0" + frame + b"\0"
    zeros = [k for k, byte in enumerate(padded) if byte == 0]
    out = bytearray(padded)
    for here, there in itertools.pairwise(zeros):
        out[here] = there - here
    return bytes(out)


def random_frames(seed: int, n: int) -> list[bytes]:
    rng = random.Random(seed)
    return [
        bytes(rng.choice((0, 0, 1, 255, rng.randrange(256))) for _ in range(rng.randint(1, 40)))
        for _ in range(n)
    ]


def encode(frames: list[bytes], seed: int) -> bytes:
    """Sends frames with pauses at both ends; checks that an offered byte stays."""
    dut = COBSEncoder()
    rng = random.Random(seed)
    out = bytearray()
    held: list[int] = []

    async def feed(ctx: Any) -> None:
        for frame in frames:
            for item in (*frame, None):
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.p.end, item is None)
                ctx.set(dut.i.p.data, rng.randrange(256) if item is None else item)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
                if rng.random() < 0.2:
                    await ctx.tick().repeat(rng.randint(1, 5))
        await ctx.tick().until(dut.idle)

    async def drain(ctx: Any) -> None:
        while True:
            ready = rng.random() < 0.5
            ctx.set(dut.o.ready, ready)
            _, _, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if held:
                assert (valid, byte) == (1, held.pop()), "an offered byte changed"
            if valid and ready:
                out.append(byte)
            elif valid:
                held.append(byte)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(drain, background=True)
    sim.add_testbench(feed)
    sim.run()
    return bytes(out)


def decode(data: list[int | None]) -> list[tuple[bytes, bool]]:
    """Feeds bytes (None: a receive error); returns (frame, bad)."""
    dut = COBSDecoder()
    frames: list[tuple[bytes, bool]] = []
    here = bytearray()

    async def feed(ctx: Any) -> None:
        for byte in data:
            ctx.set(dut.i.valid, byte is not None)
            ctx.set(dut.error, byte is None)
            ctx.set(dut.i.payload, byte or 0)
            _, _, valid, o = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and o.end:
                frames.append((bytes(here), bool(o.bad)))
                here.clear()
            elif valid:
                here.append(o.data)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.run()
    return frames


def test_encodes() -> None:
    frames = FRAMES + random_frames(1, 30)
    assert encode(frames, 2) == b"".join(model(frame) for frame in frames)


def test_decodes() -> None:
    frames = FRAMES + random_frames(3, 60)
    line = b"\0\0" + b"".join(model(frame) + b"\0" * (k % 3) for k, frame in enumerate(frames))
    assert decode(list(line)) == [(frame, False) for frame in frames]


def test_marks_cut_frames_and_receive_errors() -> None:
    whole: list[int | None] = list(model(b"\x11\x22\x00\x33"))
    cut: list[int | None] = [*whole[:2], 0]
    error = [*whole[:3], None, *whole[3:]]
    assert [bad for _, bad in decode(cut + whole + error + whole + [None, 0] + whole)] == [
        True, False, True, False, True, False,
    ]  # fmt: skip
