# SPDX-License-Identifier: Apache-2.0
"""The queue against a list, with pauses at both ends, at every depth that is built."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from amaranth.hdl import Shape, unsigned
from amaranth.lib import data
from amaranth.sim import Simulator

from spikefab.gen.verilog import to_verilog
from spikefab.hdl.queue import REGISTERS_MAX, Queue

DEPTHS = [1, 2, 3, 4, 5, 6, 8, 16, 20]


def run(
    depth: int, n: int, *, pause_in: float = 0.0, pause_out: float = 0.0, seed: int = 0,
    open_at: int = 0,
) -> tuple[list[int], list[int], list[int], list[int]]:  # fmt: skip
    """Sends n items; the consumer takes none before cycle `open_at`. Gives the items sent and
    received, and the cycles in which each was."""
    rng = random.Random(seed)
    dut = Queue(unsigned(16), depth)
    items = [rng.randrange(1 << 16) for _ in range(n)]
    got: list[int] = []
    times_in: list[int] = []
    times_out: list[int] = []

    async def feed(ctx: Any) -> None:
        for item in items:
            while rng.random() < pause_in:
                await ctx.tick()
            ctx.set(dut.i.payload, item)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.i.payload, 0xDEAD)

    async def take(ctx: Any) -> None:
        cycle = 0
        while len(got) < n:
            ctx.set(dut.o.ready, cycle >= open_at and rng.random() >= pause_out)
            await ctx.tick()
            cycle += 1
            assert cycle < 100 + open_at + 40 * n, "hung"

    async def watch(ctx: Any) -> None:
        held, cycle = None, 0
        async for _, _, iv, ir, ov, ordy, item in ctx.tick().sample(
            dut.i.valid, dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload
        ):
            if iv and ir:
                times_in.append(cycle)
            assert held is None or (ov and item == held), "an offered item changed"
            held = item if ov and not ordy else None
            if ov and ordy:
                got.append(item)
                times_out.append(cycle)
            assert 0 <= len(times_in) - len(got) <= depth
            cycle += 1

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_process(watch)
    sim.add_process(feed)
    sim.add_testbench(take)
    sim.run()
    return items, got, times_in, times_out


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    ("pause_in", "pause_out"), [(0.0, 0.0), (0.0, 0.6), (0.6, 0.0), (0.5, 0.5), (0.2, 0.25)]
)
def test_items_leave_in_order(depth: int, pause_in: float, pause_out: float) -> None:
    items, got, _, _ = run(depth, 150, pause_in=pause_in, pause_out=pause_out, seed=depth)
    assert got == items


@pytest.mark.parametrize("depth", DEPTHS)
def test_an_item_a_cycle(depth: int) -> None:
    _, _, times_in, times_out = run(depth, 40)
    # A single register is never full and empty at once.
    interval = 2 if depth == 1 else 1
    assert {b - a for a, b in pairwise(times_in)} == {interval}
    assert [o - i for i, o in zip(times_in, times_out, strict=True)] == [Queue.latency(depth)] * 40
    assert Queue.latency(depth) == (1 if depth <= REGISTERS_MAX else 2)


@pytest.mark.parametrize("depth", DEPTHS)
def test_it_holds_what_it_says_and_recovers_at_full_rate(depth: int) -> None:
    items, got, times_in, times_out = run(depth, 3 * depth + 10, open_at=depth + 20)
    assert got == items
    assert sum(t < depth + 20 for t in times_in) == depth
    if depth > 1:
        assert [b - a for a, b in pairwise(times_out)] == [1] * (len(items) - 1)


@pytest.mark.parametrize("depth", [2, 8])
def test_it_converts_with_a_struct(depth: int) -> None:
    shape = data.StructLayout({"a": 3, "b": Shape(4, signed=True)})
    text = to_verilog(Queue(shape, depth), "queue")
    assert "[6:0] i__payload" in text
    assert "[6:0] o__payload" in text
