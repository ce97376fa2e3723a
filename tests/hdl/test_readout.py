# SPDX-License-Identifier: Apache-2.0
"""The readout against a plain model: scores, class, counters, words."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from amaranth.hdl import Signal
from amaranth.sim import Simulator

from spikefab.hdl.readout import RESULT_BYTES, Readout, ReadoutParams, SampleMeter
from spikefab.host.protocol import Result, Words

Item = tuple[int, int, int, int]
"""token, last, address, payload."""


def make_samples(p: ReadoutParams, rng: random.Random, n: int) -> list[list[Item]]:
    samples = []
    for _ in range(n):
        sample: list[Item] = []
        steps = rng.randint(1, 4)
        for step in range(steps):
            addresses = [rng.randrange(p.n_outputs) for _ in range(rng.randint(0, 6))]
            if p.output_width:
                addresses = list(range(p.n_outputs))
                rng.shuffle(addresses)
            for address in addresses:
                top = 1 << (p.output_width - 1) if p.output_width else 1
                value = rng.choice((-top, top - 1, -1, 0, 1, rng.randrange(-top, top)))
                sample.append((0, 0, address, value if p.output_width else 0))
            sample.append((1, int(step == steps - 1), 0, 0))
        samples.append(sample)
    return samples


def model(
    p: ReadoutParams, sample: list[Item], events: bool, scores: bool
) -> list[tuple[int, bytes]]:
    """(kind, byte string) of everything that the readout sends for a sample."""
    words = Words(p.n_outputs, p.payload_bytes)
    out = []
    values = [0] * p.n_outputs
    for token, last, address, payload in sample:
        code = words.token + last if token else address
        word = code.to_bytes(words.word_bytes, "little")
        if not token and p.output_width:
            word += payload.to_bytes(p.payload_bytes, "little", signed=True)
            values[address] = payload
        elif not token:
            values[address] = min(values[address] + 1, 65535)
        if events:
            out.append((4, word))
    if scores:
        out += [(6, v.to_bytes(p.score_bytes, "little", signed=v < 0)) for v in values]
    n_steps = sum(item[0] for item in sample)
    out.append((5, struct.pack("<HHIB", n_steps, values.index(max(values)), 0xA1B2C3D4, 0x5A)))
    return out


def run(
    p: ReadoutParams, samples: list[list[Item]], events: bool, scores: bool, seed: int, full: bool
) -> tuple[list[tuple[int, bytes]], int]:
    """What comes out, and the cycles that it took."""
    dut = Readout(p)
    rng = random.Random(seed)
    out: list[tuple[int, bytes]] = []
    cycles = 0

    async def feed(ctx: Any) -> None:
        ctx.set(dut.events, events)
        ctx.set(dut.scores, scores)
        ctx.set(dut.cycles, 0xA1B2C3D4)
        ctx.set(dut.n_events, 0x5A)
        for item in (item for sample in samples for item in sample):
            ctx.set(dut.i.p.token, item[0])
            ctx.set(dut.i.p.last, item[1])
            ctx.set(dut.i.p.address, item[2])
            if p.output_width:
                ctx.set(dut.i.p.payload, item[3])
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            if not full and rng.random() < 0.3:
                await ctx.tick().repeat(rng.randint(1, 4))
        while sum(kind == 5 for kind, _ in out) < len(samples):
            await ctx.tick()

    async def drain(ctx: Any) -> None:
        nonlocal cycles
        word = bytearray()
        while True:
            ready = full or rng.random() < 0.4
            ctx.set(dut.o.ready, ready)
            _, _, valid, o = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            cycles += 1
            if valid and ready:
                word.append(o.data)
                if o.boundary:
                    out.append((o.kind, bytes(word)))
                    word.clear()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(drain, background=True)
    sim.run()
    return out, cycles


SHAPES = [(1, 0), (10, 0), (130, 0), (1, 2), (5, 12), (3, 32), (4, 33), (130, 40)]


@pytest.mark.parametrize(("n", "width"), SHAPES)
@pytest.mark.parametrize("full", [True, False])
def test_equals_model(n: int, width: int, full: bool) -> None:
    p = ReadoutParams(n_outputs=n, output_width=width)
    rng = random.Random(n * 100 + width)
    samples = make_samples(p, rng, 2 if n > 100 else 5)
    for events, scores in ((True, True), (False, True), (False, False)):
        expected = [w for sample in samples for w in model(p, sample, events, scores)]
        out, _ = run(p, samples, events, scores, 8, full)
        assert out == expected, (events, scores)


def test_lowest_index_wins_ties() -> None:
    p = ReadoutParams(n_outputs=4, output_width=0)
    for firing, winner in (((), 0), ((3, 1), 1), ((2, 3, 3, 2), 2), ((0, 1, 2, 3, 3), 3)):
        sample = [(0, 0, address, 0) for address in firing] + [(1, 1, 0, 0)]
        out, _ = run(p, [sample], False, False, 9, True)
        assert Result.decode(out[-1][1]).winner == winner


def test_count_saturates_at_full_rate() -> None:
    p = ReadoutParams(n_outputs=2, output_width=0, count_width=6)
    sample = [(0, 0, 1, 0)] * 70 + [(0, 0, 0, 0), (1, 1, 0, 0)]
    out, cycles = run(p, [sample], False, True, 10, True)
    assert [b for kind, b in out if kind == 6] == [b"\x01\x00", b"\x3f\x00"]
    assert Result.decode(out[-1][1]).steps == 1
    # Two cycles an item, and a byte of the result; four a score.
    assert cycles <= 2 * len(sample) + 2 * (2 + 2) + 2 * RESULT_BYTES + 4


@pytest.mark.parametrize("gap", [1, 5])
def test_meter(gap: int) -> None:
    """Cycles are those between the first item's and the last token's acceptance."""
    dut = SampleMeter()
    seen = []

    async def feed(ctx: Any) -> None:
        for _ in range(2):
            await pulse(ctx, [dut.first, dut.event])
            await ctx.tick().repeat(gap)
            await pulse(ctx, [dut.event])
            await pulse(ctx, [dut.stop])
            await ctx.tick().repeat(3)
            seen.append((ctx.get(dut.cycles), ctx.get(dut.n_events)))

    async def pulse(ctx: Any, signals: list[Signal]) -> None:
        for signal in signals:
            ctx.set(signal, 1)
        await ctx.tick()
        for signal in signals:
            ctx.set(signal, 0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.run()
    assert seen == [(gap + 2, 2)] * 2


def test_refusals() -> None:
    with pytest.raises(ValueError, match="n_outputs = 0: must be 1 to 65536"):
        ReadoutParams(n_outputs=0, output_width=0)
    with pytest.raises(ValueError, match="output_width = 41: must be 0 to 40"):
        ReadoutParams(n_outputs=1, output_width=41)
    with pytest.raises(ValueError, match="count_width = 17: must be 1 to 16"):
        ReadoutParams(n_outputs=1, output_width=0, count_width=17)
