# SPDX-License-Identifier: Apache-2.0
"""Frames apart and together: the receiver, the buffer, the word reader, the sender."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from spikefab.hdl.frames import FrameReceiver, FrameSender
from spikefab.hdl.link_buffer import FREED_UNIT, TRAILER, FrameBuffer
from spikefab.hdl.link_source import EventSource, word_bytes
from spikefab.host.protocol import Words, cobs_decode, encode_frame

Header = tuple[int, int, int, int]
"""ok, the low bits of the type, whether the others are not 0, whether the number is expected."""

EXPECTED = 9


def unstuffed(type_: int, seq: int, payload: bytes) -> bytes:
    return cobs_decode(encode_frame(type_, seq, payload)[:-1])


def receive(frames: list[tuple[bytes, bool]]) -> list[tuple[Header, bytes]]:
    """Feeds (frame, bad) with number 9 expected; returns header and payload of each."""
    dut = FrameReceiver()
    out: list[tuple[Header, bytes]] = []

    async def feed(ctx: Any) -> None:
        ctx.set(dut.n_expected, EXPECTED)
        for frame, bad in frames:
            for item in (*frame, None):
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.p.end, item is None)
                ctx.set(dut.i.p.bad, item is None and bad)
                ctx.set(dut.i.p.data, item or 0)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
                await ctx.tick()

    async def watch(ctx: Any) -> None:
        payload = bytearray()
        async for _, _, valid, byte, index, done, header in ctx.tick().sample(
            dut.payload.valid, dut.payload.payload, dut.index, dut.header.valid, dut.header.payload
        ):
            if valid:
                assert index == min(len(payload) + 2, 7)
                payload.append(byte)
            if done:
                head = (header.ok, header.kind, header.other, header.expected)
                out.append((head, bytes(payload)))
                payload.clear()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_process(watch)
    sim.add_testbench(feed)
    sim.run()
    return out


def test_receiver_takes_sound_frames_apart() -> None:
    payloads = [b"", b"\0", b"abc", bytes(249), bytes(range(249))]
    types = [2, 4, 1, 0x42, 0x0A]
    frames = [unstuffed(t, 7 + k, p) for k, (t, p) in enumerate(zip(types, payloads, strict=True))]
    expected = [
        ((1, t & 7, int(t > 7), int(7 + k == EXPECTED)), p + frame[-2:])
        for k, (t, p, frame) in enumerate(zip(types, payloads, frames, strict=True))
    ]
    assert receive([(frame, False) for frame in frames]) == expected


def test_receiver_refuses_damage() -> None:
    sound = unstuffed(2, 9, b"\x01\x02\x03")
    damaged = [
        bytes(b ^ (1 << bit) if k == at else b for k, b in enumerate(sound))
        for at in range(len(sound))
        for bit in (0, 5)
    ]
    cases = [(frame, False) for frame in damaged]
    cases += [(sound, True), (sound[:-1], False), (sound[1:], False), (b"\xff\xff", False)]
    cases += [(bytes(300), False), (bytes(512 + 7), False), (b"\x1d\x0f", False)]
    cases += [(sound, False)]
    assert [head[0] for head, _ in receive(cases)] == [0] * (len(cases) - 1) + [1]


def test_buffer_keeps_whole_frames_only() -> None:
    """Random frames kept, dropped and overflowing, against a queue; both ends with pauses."""
    depth, rng = 512, random.Random(5)
    dut = FrameBuffer(depth)
    expected = bytearray()
    got = bytearray()
    n_overflows = 0

    async def feed(ctx: Any) -> None:
        nonlocal n_overflows
        for k in range(60):
            frame = rng.randbytes(rng.choice((1, 2, 60, 253)))
            held = len(expected) - len(got) // FREED_UNIT * FREED_UNIT
            for byte in frame + rng.randbytes(TRAILER):
                ctx.set(dut.i.payload, byte)
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
                await ctx.tick()
            overflow = ctx.get(dut.overflow)
            n_overflows += overflow
            if held + len(frame) <= depth - FREED_UNIT - TRAILER:
                assert not overflow, "refused, though the sender counted right"
            keep = not overflow and rng.random() < 0.8
            ctx.set(dut.keep, keep)
            ctx.set(dut.end, 1)
            if keep:
                expected.extend(frame)
            await ctx.tick()
            ctx.set(dut.keep, 0)
            ctx.set(dut.end, 0)
            await ctx.tick()
            if k == 40:
                await ctx.tick().repeat(6000)
        while len(got) < len(expected):
            await ctx.tick()
        await ctx.tick()
        assert ctx.get(dut.freed) == len(got) // 128 % (depth // 128)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.o.valid)

    async def drain(ctx: Any) -> None:
        while True:
            ready = rng.random() < 0.3
            ctx.set(dut.o.ready, ready)
            _, _, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                got.append(byte)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(drain, background=True)
    sim.run()
    assert got == expected
    assert len(expected) > 1500
    assert n_overflows > 3


@pytest.mark.parametrize("clear", [False, True])
def test_buffer_full_to_its_limit(clear: bool) -> None:
    """The stated capacity is exact: it fits, and one byte more is refused without harm."""
    dut = FrameBuffer(512)
    frames = [bytes([1]) * 249, bytes([2]) * 128, bytes([3]) * 5]
    assert sum(map(len, frames)) == 512 - FREED_UNIT - TRAILER
    got = []

    async def feed(ctx: Any) -> None:
        if clear:  # from another place in the ring
            await write(ctx, bytes(77), True)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
        for frame in (*frames, b"\x04", b"\x05" * 20):
            await write(ctx, frame, frame in frames)
        ctx.set(dut.o.ready, 1)
        for _ in range(sum(map(len, frames))):
            (byte,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            got.append(byte)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.o.valid)

    async def write(ctx: Any, frame: bytes, fits: bool) -> None:
        for byte in frame + bytes(TRAILER):
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.overflow) == (not fits)
        ctx.set(dut.keep, fits)
        ctx.set(dut.end, 1)
        await ctx.tick()
        ctx.set(dut.end, 0)
        ctx.set(dut.keep, 0)
        await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.run()
    assert bytes(got) == b"".join(frames)


@pytest.mark.parametrize("n", [1, 126, 127, 300, 32766, 32767, 65536])
@pytest.mark.parametrize("width", [0, 3, 8])
def test_word_coding_is_the_drivers(n: int, width: int) -> None:
    """The hardware reads what the driver writes: corner addresses, tokens, illegal words."""
    words = Words(n, int(width > 0))
    assert word_bytes(n) == words.word_bytes == (1 if n <= 126 else 2 if n <= 32766 else 3)
    size, token = words.word_bytes, words.token
    addresses = sorted({0, n // 2, n - 1})
    codes = [*addresses, token, *addresses, token + 1, 0, token + 1]
    bad = [code for code in (n, token + 2, (1 << 8 * size) - 1) if code not in (token, token + 1)]
    items = [(code, (37 * k + 1) % (1 << width)) for k, code in enumerate(bad + codes)]
    data = bytearray()
    for code, value in items:
        data += code.to_bytes(size, "little")
        if width and code not in (token, token + 1):
            data.append(value)
    dut = EventSource(n, width)
    got: list[tuple[int, int]] = []
    n_bad = 0

    async def feed(ctx: Any) -> None:
        for byte in data:
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(20)

    async def watch(ctx: Any) -> None:
        nonlocal n_bad
        ctx.set(dut.o.ready, 1)
        while True:
            _, _, valid, o, wrong = await ctx.tick().sample(dut.o.valid, dut.o.payload, dut.bad)
            n_bad += wrong
            ctx.set(dut.hold, wrong)
            if valid:
                value = o.payload if width and not o.token else 0
                got.append((token + o.last if o.token else o.address, value))
                ctx.set(dut.done, o.last)
            else:
                ctx.set(dut.done, 0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(watch, background=True)
    sim.run()
    assert got == [(c, v if width and c < token else 0) for c, v in items[len(bad) :]]
    assert n_bad == len(bad)


def test_source_goes_on_after_an_early_end() -> None:
    """`done` in the middle of a sample: the rest of it still goes out, then the next one."""
    dut = EventSource(5)
    data = [0, 1, 0x7E, 2, 0x7F, 3, 0x7F, 4, 0x7F]
    got: list[int] = []

    async def give(ctx: Any, part: list[int]) -> None:
        for byte in part:
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(20)

    async def feed(ctx: Any) -> None:
        await give(ctx, data[:8])
        assert got == data[:7], "the third sample waits until the second is done"
        assert not ctx.get(dut.idle)
        ctx.set(dut.done, 1)
        await ctx.tick()
        ctx.set(dut.done, 0)
        await give(ctx, data[8:])
        assert got == data

    async def watch(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        while True:
            _, _, valid, o = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                got.append(0x7E + o.last if o.token else o.address)
            if len(got) < 6:
                ctx.set(dut.done, int(valid and len(got) == 2))  # the first sample's second item

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(watch, background=True)
    sim.run()


def send(
    words: list[tuple[int, bytes]], control: list[tuple[int, bytes]], seed: int
) -> list[bytes]:
    """Sends words (kind, bytes) with pauses; returns frames without CRC."""
    dut = FrameSender()
    rng = random.Random(seed)
    frames: list[bytes] = []

    async def feed(ctx: Any, port: object, items: list[tuple[int, bytes]]) -> None:
        for kind, word in items:
            if rng.random() < 0.1:
                await ctx.tick().repeat(rng.randint(1, 300))
            for k, byte in enumerate(word):
                ctx.set(port.p.kind, kind)  # type: ignore[attr-defined]
                ctx.set(port.p.data, byte)  # type: ignore[attr-defined]
                ctx.set(port.p.boundary, k == len(word) - 1)  # type: ignore[attr-defined]
                ctx.set(port.valid, 1)  # type: ignore[attr-defined]
                await ctx.tick().until(port.ready)  # type: ignore[attr-defined]
                ctx.set(port.valid, 0)  # type: ignore[attr-defined]

    async def drain(ctx: Any) -> None:
        here = bytearray()
        while True:
            ready = rng.random() < 0.8
            ctx.set(dut.o.ready, ready)
            ctx.set(dut.idle, rng.random() < 0.05)
            ctx.set(dut.nearly_full, len(here) >= 223)  # as the encoder says
            _, _, valid, item = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready and item.end:
                frames.append(bytes(here))
                here.clear()
            elif valid and ready:
                here.append(item.data)

    async def feed_data(ctx: Any) -> None:
        await feed(ctx, dut.data, words)
        await ctx.tick().repeat(400)

    async def feed_control(ctx: Any) -> None:
        await feed(ctx, dut.control, control)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed_data)
    sim.add_testbench(feed_control)
    sim.add_testbench(drain, background=True)
    sim.run()
    return frames


def test_sender_batches_words_of_a_kind() -> None:
    rng = random.Random(6)
    words = []
    for _ in range(6):
        words += [(4, rng.randbytes(8)) for _ in range(rng.randint(0, 60))]
        words += [(6, rng.randbytes(2))] * 3 + [(5, rng.randbytes(14))]
    control = [(1, bytes([k, 1, 2])) for k in range(20)]
    frames = send(words, control, 7)
    data = [f for f in frames if f[0] & 4]
    assert [f[0] for f in frames if not f[0] & 4] == [0x81] * len(control)
    assert b"".join(f[2:] for f in frames if not f[0] & 4) == b"".join(w for _, w in control)
    assert [f[1] for f in data] == list(range(len(data)))
    for kind in (4, 5, 6):
        sent = b"".join(f[2:] for f in data if f[0] == 0x80 | kind)
        assert sent == b"".join(w for k, w in words if k == kind)
    # Whole words only, frames of legal length, the order of kinds kept.
    size = {4: 8, 5: 14, 6: 2}
    assert all(0 < len(f) - 2 <= 249 and (len(f) - 2) % size[f[0] & 7] == 0 for f in data)
    kinds = [f[0] & 7 for f in data for _ in range((len(f) - 2) // size[f[0] & 7])]
    assert kinds == [k for k, _ in words]
    # A control frame shows the number that the next frame of data will have.
    seq = 0
    for f in frames:
        assert f[1] == seq
        seq += f[0] >> 2 & 1
