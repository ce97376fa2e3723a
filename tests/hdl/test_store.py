# SPDX-License-Identifier: Apache-2.0
"""The rotating store against a list, under every schedule that its contract allows."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from spikefab.gen.verilog import to_verilog
from spikefab.hdl.params import Family
from spikefab.hdl.store import RING_MAX, RotatingStore, ring_max

WIDTH = 12
Schedule = list[tuple[bool, bool]]
"""(pop, push) a cycle."""


def turns(depth: int, rng: random.Random, n_turns: int) -> Schedule:
    """A ring's schedule: in a turn either every word goes back in its own cycle, with pauses
    anywhere, or all are popped in a row and go back in a row, some cycles later."""
    cycles: Schedule = [(False, False)]
    for _ in range(n_turns):
        if rng.random() < 0.4:
            for _ in range(depth):
                cycles += [(False, False)] * rng.choice([0, 0, 1, 3]) + [(True, True)]
            continue
        delay = rng.randint(0, 2 * depth)
        turn = [(k < depth, delay <= k) for k in range(depth + delay)]
        cycles += [*turn, *[(False, False)] * rng.choice([0, 0, 1, 2])]
    return cycles


def wander(depth: int, rng: random.Random, n_pops: int) -> Schedule:
    """A memory's schedule: pops and pushes as they come, each word back in time."""
    settle = RotatingStore.MEMORY_SETTLE
    cycles: Schedule = [(False, False)]
    pushed_at: list[int] = []
    pops = 0
    pause, hurry = rng.choice([0.0, 0.3]), rng.choice([0.1, 0.5, 1.0])
    while pops < n_pops or len(pushed_at) < pops:
        now = len(cycles)
        again = pops - depth  # the pop that took this word before
        back = again < 0 or (again < len(pushed_at) and pushed_at[again] + settle <= now)
        pop = pops < n_pops and back and rng.random() >= pause
        pops += pop
        out = pops - len(pushed_at)
        push = out > 0 and (rng.random() < hurry or out == depth)
        if push:
            pushed_at.append(now)
        cycles.append((pop, push))
    return cycles


def run(depth: int, schedule: Schedule, seed: int, family: Family = "") -> None:
    """Every popped word is the one that was pushed `depth` pops before, or the initial one."""
    rng = random.Random(seed)
    init = [rng.randrange(1 << WIDTH) for _ in range(depth)]
    dut = RotatingStore(WIDTH, init, family)
    words = list(init)

    async def drive(ctx: Any) -> None:
        popped = pushed = 0
        for cycle, (pop, push) in enumerate(schedule):
            if pop:
                assert ctx.get(dut.head) == words[popped % depth], f"cycle {cycle}, pop {popped}"
                popped += 1
            value = rng.randrange(1 << WIDTH)
            if push:
                words[pushed % depth] = value
                pushed += 1
            ctx.set(dut.pop, pop)
            ctx.set(dut.push, push)
            ctx.set(dut.data, value)
            await ctx.tick()
        assert popped == pushed > depth

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(drive)
    sim.run()


@pytest.mark.parametrize("depth", range(1, RING_MAX + 1))
@pytest.mark.parametrize("seed", range(5))
def test_ring(depth: int, seed: int) -> None:
    assert RotatingStore.is_ring(depth)
    run(depth, turns(depth, random.Random(seed), 40), seed)


@pytest.mark.parametrize("depth", [RING_MAX + 1, 6, 7, 8, 13, 32])
@pytest.mark.parametrize("seed", range(5))
def test_memory(depth: int, seed: int) -> None:
    assert not RotatingStore.is_ring(depth)
    run(depth, wander(depth, random.Random(seed), 8 * depth), seed)


@pytest.mark.parametrize("depth", [5, 8, 9, 12])
def test_a_ring_is_longer_on_ice40(depth: int) -> None:
    """Where the smallest memory is a block RAM."""
    ring = depth <= ring_max("ice40")
    assert (RotatingStore.is_ring(depth, "ice40"), RotatingStore.is_ring(depth)) == (ring, False)
    schedule = turns if ring else wander
    run(depth, schedule(depth, random.Random(1), 40), 1, "ice40")
    text = to_verilog(RotatingStore(5, [0] * depth, "ice40"), "store")
    assert ("slot0" in text) == ring


def test_memory_at_one_pop_and_push_a_cycle() -> None:
    """Words go back as late as they may: the store is never the bottleneck."""
    depth = RING_MAX + 1
    late = depth - RotatingStore.MEMORY_SETTLE
    n = 6 * depth
    run(depth, [(False, False)] + [(k < n, k >= late) for k in range(n + late)], 0)


def test_reset_restores_a_ring() -> None:
    rst = Signal()
    dut = RotatingStore(WIDTH, [1, 2, 3])
    seen = []

    async def drive(ctx: Any) -> None:
        for value in (7, 8):
            ctx.set(dut.pop, 1)
            ctx.set(dut.push, 1)
            ctx.set(dut.data, value)
            await ctx.tick()
        ctx.set(rst, 1)
        await ctx.tick()
        ctx.set(rst, 0)
        ctx.set(dut.pop, 0)
        ctx.set(dut.push, 0)
        await ctx.tick()
        ctx.set(dut.pop, 1)
        for _ in range(3):
            seen.append(ctx.get(dut.head))
            await ctx.tick()

    sim = Simulator(ResetInserter(rst)(dut))
    sim.add_clock(1e-6)
    sim.add_testbench(drive)
    sim.run()
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("depth", [1, 2, 4, 5, 9])
def test_clear_puts_the_initial_word_back(depth: int) -> None:
    """Every third word; what it is pushed with does not matter."""
    dut = RotatingStore(WIDTH, [77] * depth)
    expected = [77] * depth
    seen, meant = [], []

    async def drive(ctx: Any) -> None:
        await ctx.tick()
        for turn in range(5):
            for k in range(depth):
                number = turn * depth + k
                ctx.set(dut.clear, number % 3 == 0)
                await ctx.tick()
                seen.append(ctx.get(dut.head))
                meant.append(expected[k])
                expected[k] = 77 if number % 3 == 0 else 100 + number
                ctx.set(dut.clear, 0)
                ctx.set(dut.pop, 1)
                ctx.set(dut.push, 1)
                ctx.set(dut.data, 100 + number)
                await ctx.tick()
                ctx.set(dut.pop, 0)
                ctx.set(dut.push, 0)
            await ctx.tick().repeat(RotatingStore.MEMORY_SETTLE)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(drive)
    sim.run()
    assert seen == meant


@pytest.mark.parametrize("depth", [1, 3, 9])
def test_it_converts(depth: int) -> None:
    text = to_verilog(RotatingStore(5, [0] * depth), "store")
    assert "input pop" in text
    # Few words need no address, many need no registers.
    assert ("slot0" in text) == (depth <= RING_MAX)
