# SPDX-License-Identifier: Apache-2.0
"""A ring of events: which events leave in which step, and when, to the cycle."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefab.hdl.delay import EventRing
from spikefab.hdl.param_error import ParamError
from spikefab.hdl.port_params import PortParams, stream_delays

Item = tuple[int, int, int]
"""token, last, address."""


def drive(delays: list[int], items: list[Item], **pauses: float) -> tuple[list[Item], list[int]]:
    """What leaves, and when; `pause_in`, `pause_out`: shares of cycles that either end sleeps."""
    dut: Any = EventRing(delays)
    rng = random.Random(1)
    out: list[Item] = []
    times: list[int] = []
    lasts = sum(last for _, last, _ in items)

    async def feed(ctx: Any) -> None:
        for token, last, address in items:
            while rng.random() < pauses.get("pause_in", 0):
                await ctx.tick()
            ctx.set(dut.i.payload, {"token": token, "last": last, "address": address})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def take(ctx: Any) -> None:
        cycle = 0
        while sum(last for _, last, _ in out) < lasts:
            ctx.set(dut.o.ready, rng.random() >= pauses.get("pause_out", 0))
            _, _, valid, ready, o = await ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload)
            if valid and ready:
                token = int(o.token)
                out.append((token, int(o.last) if token else 0, 0 if token else int(o.address)))
                times.append(cycle)
            cycle += 1
            assert cycle < 100_000, "stuck"

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_process(feed)
    sim.add_testbench(take)
    sim.run()
    return out, times


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], list[list[list[int]]]]:
    """Delays, and the addresses of each step of each sample."""
    rng = random.Random(draw(st.integers(0, 1 << 20)))
    n = draw(st.sampled_from([1, 2, 7, 16, 17, 40]))
    longest = draw(st.integers(1, 6))
    delays = [rng.randint(0, longest) for _ in range(n)]
    delays[rng.randrange(n)] = longest
    density = draw(st.sampled_from([0.1, 0.5, 1.0]))
    samples = [
        [[a for a in range(n) if rng.random() < density] for _ in range(rng.randint(1, 9))]
        for _ in range(rng.randint(1, 3))
    ]
    for step in (step for sample in samples for step in sample):
        rng.shuffle(step)
    return delays, samples


def to_items(samples: list[list[list[int]]]) -> list[Item]:
    items: list[Item] = []
    for sample in samples:
        for t, step in enumerate(sample):
            items += [(0, 0, address) for address in step]
            items.append((1, int(t == len(sample) - 1), 0))
    return items


def expected(delays: list[int], samples: list[list[list[int]]]) -> list[list[int]]:
    """The addresses of each step that leaves."""
    found = []
    for sample in samples:
        steps: list[list[int]] = [[] for _ in sample]
        for t, step in enumerate(sample):
            for address in step:
                if t + delays[address] < len(steps):
                    steps[t + delays[address]].append(address)
        found += [sorted(step) for step in steps]
    return found


def steps_of(out: list[Item]) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for token, _, address in out:
        if token:
            found[-1].sort()
            found.append([])
        else:
            found[-1].append(address)
    return found[:-1]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases(), st.sampled_from([(0.0, 0.0), (0.5, 0.0), (0.0, 0.7), (0.4, 0.4)]))
def test_events_leave_when_they_are_due(
    case: tuple[list[int], list[list[list[int]]]], pauses: tuple[float, float]
) -> None:
    delays, samples = case
    out, _ = drive(delays, to_items(samples), pause_in=pauses[0], pause_out=pauses[1])
    assert steps_of(out) == expected(delays, samples)
    assert [last for token, last, _ in out if token] == [
        int(t == len(sample) - 1) for sample in samples for t in range(len(sample))
    ]


def test_what_it_costs() -> None:
    """An event at once, a late one, a token, then the slot's words and what is in them."""
    items = to_items([[[0, 1], [], []]])
    out, times = drive([0, 1], items)
    assert steps_of(out) == [[0], [1], []]
    first = times[0]
    token = first + 1 + EventRing.LATE + EventRing.TOKEN
    again = token + 1 + EventRing.FETCH
    assert times[:3] == [first, token, again]
    assert times[3] == again + 1 + 1 + EventRing.TOKEN
    assert times[4] == times[3] + 1 + EventRing.FETCH + 1 + EventRing.TOKEN


def test_delays_of_ports() -> None:
    left = PortParams(source=-1, size=2, base=1, delays=(0, 3))
    right = PortParams(source=-1, size=1, base=4, offset=2, delays=(5,))
    assert stream_delays((left, right), 6) == [0, 0, 3, 0, 5, 0]
    assert stream_delays((PortParams(source=-1, size=2, delays=(0, 0)),), 2) == []
    with pytest.raises(ParamError, match="0 or the port's size, 2"):
        PortParams(source=-1, size=2, delays=(1,))
    with pytest.raises(ParamError, match="0 to 1023 steps"):
        PortParams(source=-1, size=1, delays=(1024,))
    with pytest.raises(ParamError, match="none behind a queue"):
        PortParams(source=0, size=1, recurrent=True, depth=4, delays=(1,))
