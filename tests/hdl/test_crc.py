# SPDX-License-Identifier: Apache-2.0
"""The check on frames equals `binascii.crc_hqx`, and the published check value."""

from __future__ import annotations

import binascii
import random
from typing import Any

from amaranth.sim import Simulator

from spikefab.hdl.crc import CRCAppender, FrameCRC


def test_published_check_value() -> None:
    """Bytes back to back, every other cycle; started again in between."""
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1
    rng = random.Random(3)
    dut = FrameCRC()
    got = []
    frames = [b"123456789", *(rng.randbytes(rng.randint(0, 9)) for _ in range(20))]

    async def feed(ctx: Any) -> None:
        for frame in frames:
            for byte in frame:
                ctx.set(dut.data, byte)
                ctx.set(dut.valid, 1)
                await ctx.tick()
                ctx.set(dut.valid, 0)
                ctx.set(dut.data, rng.randrange(256))
                assert ctx.get(dut.busy)
                await ctx.tick()
            got.append(ctx.get(dut.crc))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.run()
    assert got == [binascii.crc_hqx(frame, 0xFFFF) for frame in frames]


def test_appends_under_back_pressure() -> None:
    rng = random.Random(4)
    frames = [
        b"123456789",
        b"\0",
        b"\xff\xff",
        *(rng.randbytes(rng.randint(1, 20)) for _ in "12345"),
    ]
    dut = CRCAppender()
    got: list[bytes] = []

    async def feed(ctx: Any) -> None:
        for frame in frames:
            for item in (*frame, None):
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.p.end, item is None)
                ctx.set(dut.i.p.data, rng.randrange(256) if item is None else item)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
                await ctx.tick().repeat(rng.randint(1, 3))

    async def drain(ctx: Any) -> None:
        here = bytearray()
        while True:
            ready = rng.random() < 0.5
            ctx.set(dut.o.ready, ready)
            _, _, valid, item = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready and item.end:
                got.append(bytes(here))
                here.clear()
            elif valid and ready:
                here.append(item.data)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(drain, background=True)
    sim.add_testbench(feed)
    sim.run()
    assert got == [f + binascii.crc_hqx(f, 0xFFFF).to_bytes(2, "big") for f in frames]
