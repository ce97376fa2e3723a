# SPDX-License-Identifier: Apache-2.0
"""Drives a scatter engine in Amaranth's simulator: its sums, and when it does what."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth.sim import Simulator

from spikefab.gen.cost_conv import ScatterClock
from spikefab.hdl.params import LayerParams
from spikefab.hdl.scatter import ScatterEngine

__all__ = ["Bench", "Run"]


@dataclass
class Run:
    """What an engine did."""

    sums: list[list[int]] = field(default_factory=list)
    """Of each token, in order of the layout."""
    lasts: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    """Cycle in which each item was."""
    starts: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    """Cycle of each token's first row of sums."""


@dataclass
class Bench:
    """An engine, what it is given, and what must come of it."""

    params: LayerParams
    words: Sequence[Sequence[int]]
    """Of the weight memory."""
    steps: list[list[tuple[int, int]]]
    """Events (address, value) of each step."""
    expected: list[list[int]]
    """Sums of each step, in order of the layout."""
    costs: Mapping[int, int]
    """Cycles of an event, by its address."""
    lasts: Sequence[int] = ()
    """Steps, besides the last one, that end a sample."""

    def ends(self, t: int) -> bool:
        return t == len(self.steps) - 1 or t in self.lasts

    def check(self, **pauses: Any) -> Run:
        """Every sum, with stalls at either end."""
        run = self.drive(**pauses)
        assert run.sums == self.expected
        assert run.lasts == [int(self.ends(t)) for t in range(len(self.steps))]
        return run

    def check_cycles(self, run: Run) -> None:
        """At full rate: when each item is taken, each token begins, and its first sums leave."""
        clock = ScatterClock()
        offered, taken, starts = run.taken[0], [], []
        for t, step in enumerate(self.steps):
            for address, _ in step:
                taken.append(clock.item(offered, self.costs[address])[0])
                offered = taken[-1] + 1
            more = self.params.clear_cycles if self.ends(t) else 0
            at, start = clock.item(offered, self.params.rows + more, lambda at: at)
            offered = at + 1
            taken.append(at)
            starts.append(start)
        assert run.taken == taken
        assert run.starts == starts
        latency = ScatterEngine.latency(self.params)
        assert run.first == [start + latency for start in starts]

    def items(self) -> list[dict[str, int]]:
        graded = self.params.synapse.payload_width > 0
        found = []
        for t, step in enumerate(self.steps):
            for address, value in step:
                event = {"token": 0, "last": 0, "address": address}
                found.append({**event, "payload": value} if graded else event)
            # The address of a token means nothing.
            found.append({"token": 1, "last": self.ends(t), "address": 0})
        return found

    def drive(self, *, pause_in: float = 0.0, pause_start: float = 0.0, seed: int = 0) -> Run:
        """Runs all steps; `last` with the last one."""
        rng = random.Random(seed)
        params, run, items = self.params, Run(), self.items()
        dut: Any = ScatterEngine(params, self.words)
        cycle = 0

        async def feed(ctx: Any) -> None:
            for item in items:
                while rng.random() < pause_in:
                    await ctx.tick()
                ctx.set(dut.i.payload, item)
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)

        async def watch(ctx: Any) -> None:
            nonlocal cycle
            rows: list[int] = []
            async for _, _, taken, ready, wanted, start, valid, o in ctx.tick().sample(
                dut.i.valid, dut.i.ready, dut.start.valid, dut.start.ready,
                dut.o.valid, dut.o.payload,
            ):  # fmt: skip
                if taken and ready:
                    run.taken.append(cycle)
                if wanted and start:
                    run.starts.append(cycle)
                # Once begun a pass never pauses.
                assert valid or not rows
                if valid:
                    if not rows:
                        run.first.append(cycle)
                    rows += [int(o.sums[k]) for k in range(params.row_lanes)]
                    assert bool(o.end) == (len(rows) == params.rows * params.row_lanes)
                    if o.end:
                        run.sums.append(rows)
                        run.lasts.append(int(o.last))
                        rows = []
                cycle += 1

        async def start(ctx: Any) -> None:
            limit = 1000 + 20 * (len(items) * max(self.costs.values()) + len(items) * params.rows)
            limit += 20 * len(self.steps) * params.clear_cycles
            while len(run.sums) < len(self.steps):
                ctx.set(dut.start.ready, rng.random() >= pause_start)
                await ctx.tick()
                assert cycle < limit, f"hung after {len(run.sums)} tokens"

        sim = Simulator(dut)
        sim.add_clock(1e-6)
        sim.add_process(watch)
        sim.add_process(feed)
        sim.add_testbench(start)
        sim.run()
        return run
