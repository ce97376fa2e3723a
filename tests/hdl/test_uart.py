# SPDX-License-Identifier: Apache-2.0
"""The serial line: every byte, back to back, at speeds that differ, with glitches and breaks."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth import Module
from amaranth.sim import Simulator

from spikefab.hdl.uart import UARTReceiver, UARTTransmitter, check_divisor

CYCLE = 1e-6


def receive(divisor: int, levels: list[tuple[int, float]]) -> tuple[list[int], int]:
    """Drives (level, bit times) on the pin; returns the bytes and the number of errors."""
    dut = UARTReceiver(divisor)
    got: list[int] = []
    errors = 0

    async def drive(ctx: Any) -> None:
        ctx.set(dut.rx, 1)
        await ctx.delay(3 * divisor * CYCLE)
        for level, bits in levels:
            ctx.set(dut.rx, level)
            await ctx.delay(bits * divisor * CYCLE)
        ctx.set(dut.rx, 1)
        await ctx.delay(20 * divisor * CYCLE)

    async def watch(ctx: Any) -> None:
        nonlocal errors
        async for _, _, valid, byte, error in ctx.tick().sample(
            dut.o.valid, dut.o.payload, dut.error
        ):
            if valid:
                got.append(byte)
            errors += error

    sim = Simulator(dut)
    sim.add_clock(CYCLE)
    sim.add_process(watch)
    sim.add_testbench(drive)
    sim.run()
    return got, errors


def bits_of(byte: int, stretch: float = 1.0) -> list[tuple[int, float]]:
    return [(bit, stretch) for bit in (0, *(byte >> k & 1 for k in range(8)), 1)]


@pytest.mark.parametrize(("divisor", "stretch"), [(4, 1.0), (8, 1.03), (8, 0.97), (27, 0.98)])
def test_receives_back_to_back(divisor: int, stretch: float) -> None:
    sent = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0x7F, 0x12]
    levels = [level for byte in sent for level in bits_of(byte, stretch)]
    assert receive(divisor, levels) == (sent, 0)


def test_break_is_one_error_and_glitch_is_none() -> None:
    levels = [(0, 30.0), (1, 2.0), *bits_of(0x42), (1, 3.0), (0, 0.2), (1, 3.0), *bits_of(0x43)]
    assert receive(8, levels) == ([0x42, 0x43], 1)


def test_transmits_every_byte_without_gap() -> None:
    divisor = 5
    dut = UARTTransmitter(divisor)
    sent = list(range(256))
    wave: list[int] = []

    async def feed(ctx: Any) -> None:
        ctx.set(dut.i.valid, 1)
        for byte in sent:
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(12 * divisor)

    async def watch(ctx: Any) -> None:
        async for _, _, tx in ctx.tick().sample(dut.tx):
            wave.append(tx)

    sim = Simulator(dut)
    sim.add_clock(CYCLE)
    sim.add_process(watch)
    sim.add_testbench(feed)
    sim.run()
    start = wave.index(0)
    assert set(wave[:start]) <= {1}
    expected = [level for byte in sent for level, _ in bits_of(byte) for _ in range(divisor)]
    assert wave[start : start + len(expected)] == expected
    assert set(wave[start + len(expected) :]) == {1}


@pytest.mark.parametrize("divisor", [3, 65536])
def test_refuses_divisor(divisor: int) -> None:
    with pytest.raises(ValueError, match=rf"divisor = {divisor}: must be 4 to 65535 clock cycles"):
        check_divisor(divisor)


def test_loop() -> None:
    """Transmitter into receiver."""
    m = Module()
    m.submodules.tx = tx = UARTTransmitter(4)
    m.submodules.rx = rx = UARTReceiver(4)
    m.d.comb += rx.rx.eq(tx.tx)
    got = []

    async def feed(ctx: Any) -> None:
        for k, byte in enumerate(b"\x00spikes\xff"):
            ctx.set(tx.i.payload, byte)
            ctx.set(tx.i.valid, 1)
            await ctx.tick().until(tx.i.ready)
            ctx.set(tx.i.valid, 0)
            await ctx.tick().repeat(1 + 13 * (k % 4))
        await ctx.tick().repeat(60)

    async def watch(ctx: Any) -> None:
        async for _, _, valid, byte in ctx.tick().sample(rx.o.valid, rx.o.payload):
            if valid:
                got.append(byte)

    sim = Simulator(m)
    sim.add_clock(CYCLE)
    sim.add_process(watch)
    sim.add_testbench(feed)
    sim.run()
    assert bytes(got) == b"\x00spikes\xff"
