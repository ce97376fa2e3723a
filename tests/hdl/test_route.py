# SPDX-License-Identifier: Apache-2.0
"""Forks and merges against lists, with pauses at every end."""

from __future__ import annotations

import random
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from amaranth.hdl import Shape, signed, unsigned
from amaranth.sim import Simulator

from spikefab.gen.verilog import to_verilog
from spikefab.hdl.event import NO_PAYLOAD, EventLayout
from spikefab.hdl.route import Fork, Merge, MergePort, Window

Item = tuple[int, int, int, int]
"""(token, last, address, payload)."""


def fields(item: Item, payload: Shape) -> dict[str, int]:
    token, last, address, value = item
    found = {"token": token, "last": last, "address": address}
    return found | ({"payload": value} if payload.width else {})


def as_item(payload: Any, shape: Shape) -> Item:
    value = payload.payload if shape.width else 0
    return int(payload.token), int(payload.last), int(payload.address), int(value)


async def feed(
    port: Any, items: list[Item], shape: Shape, pause: float, rng: random.Random, ctx: Any
) -> None:
    for item in items:
        while rng.random() < pause:
            await ctx.tick()
        ctx.set(port.payload, fields(item, shape))
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)
        ctx.set(port.payload, fields((1, 1, 0, 0), shape))  # nobody may look


def watch(port: Any, shape: Shape, got: list[Item], times: list[int]) -> Any:
    """Notes what a port gives, and that an offer stays until it is taken."""

    async def process(ctx: Any) -> None:
        held, cycle = None, 0
        async for _, _, valid, ready, payload in ctx.tick().sample(
            port.valid, port.ready, port.payload
        ):
            item = as_item(payload, shape)
            assert held is None or (valid and item == held), "an offered item changed"
            held = item if valid and not ready else None
            if valid and ready:
                got.append(item)
                times.append(cycle)
            cycle += 1

    return process


def run_fork(
    n: int, items: list[Item], pauses: list[float], pause_in: float = 0.0
) -> tuple[list[list[Item]], list[list[int]], list[int]]:
    """What each consumer gets, and when; when the items leave the source."""
    shape = unsigned(3)
    dut = Fork(EventLayout(8, shape), n)
    got: list[list[Item]] = [[] for _ in range(n)]
    times: list[list[int]] = [[] for _ in range(n)]
    left: list[int] = []

    async def take(ctx: Any) -> None:
        rngs = [random.Random(k) for k in range(n)]
        for _ in range(200 + 60 * len(items)):
            for k in range(n):
                ctx.set(dut.o[k].ready, rngs[k].random() >= pauses[k])
            await ctx.tick()
            if all(len(g) == len(items) for g in got):
                return
        raise AssertionError("hung")

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for k in range(n):
        sim.add_process(watch(dut.o[k], shape, got[k], times[k]))
    sim.add_process(watch(dut.i, shape, [], left))
    sim.add_process(partial(feed, dut.i, items, shape, pause_in, random.Random(9)))
    sim.add_testbench(take)
    sim.run()
    return got, times, left


def some_items(rng: random.Random, n: int) -> list[Item]:
    kinds = [(0, 0, rng.randrange(8), rng.randrange(8)) for _ in range(n)]
    return [(1, rng.randrange(2), 0, 0) if rng.random() < 0.2 else item for item in kinds]


@pytest.mark.parametrize("pauses", [[0.0, 0.0], [0.0, 0.7], [0.5, 0.5, 0.5], [0.0, 0.9, 0.2, 0.6]])
@pytest.mark.parametrize("pause_in", [0.0, 0.5])
def test_every_consumer_gets_every_item(pauses: list[float], pause_in: float) -> None:
    items = some_items(random.Random(len(pauses)), 60)
    got, times, left = run_fork(len(pauses), items, pauses, pause_in)
    assert got == [items] * len(pauses)
    # An item leaves in the cycle in which the last of them takes it.
    assert left == [max(at) for at in zip(*times, strict=True)]


def test_a_fork_passes_an_item_a_cycle_at_once() -> None:
    items = some_items(random.Random(1), 20)
    _, times, left = run_fork(3, items, [0.0] * 3)
    assert {b - a for a, b in pairwise(left)} == {1}
    assert times == [left] * 3


def test_a_quick_consumer_is_one_item_ahead_at_most() -> None:
    items = some_items(random.Random(2), 40)
    _, (quick, slow), _ = run_fork(2, items, [0.0, 0.8])
    assert any(a < b for a, b in zip(quick, slow, strict=True))
    assert all(slow[k] < quick[k + 1] for k in range(len(items) - 1))


Step = list[tuple[int, int]]
"""A step's events: (address, payload)."""
Samples = list[list[Step]]


def expected(ports: list[MergePort], data: list[Samples], graded: bool) -> list[Item]:
    """The merged stream as the docstring says it."""
    out: list[Item] = []
    for s, sample in enumerate(data[0]):
        for t in range(len(sample)):
            for port, samples in zip(ports, data, strict=True):
                if port.recurrent and not t:
                    continue
                for address, value in samples[s][t - port.recurrent]:
                    for w in port.windows:
                        if w.base <= address < w.base + w.size:
                            carried = value if port.payload.width else int(graded)
                            out.append((0, 0, address - w.base + w.offset, carried))
            out.append((1, int(t == len(sample) - 1), 0, 0))
    return out


def stream_of(samples: Samples) -> list[Item]:
    out: list[Item] = []
    for sample in samples:
        for t, step in enumerate(sample):
            out += [(0, 0, address, value) for address, value in step]
            out.append((1, int(t == len(sample) - 1), 0, 0))
    return out


def run_merge(
    dut: Merge, data: list[Samples], n_out: int, *, pauses: list[float] | None = None,
    pause_out: float = 0.0, seed: int = 0,
) -> tuple[list[Item], list[int], list[list[int]], list[bool]]:  # fmt: skip
    """What comes out, when, when each port's items are taken, and `draining` cycle by cycle."""
    pauses = pauses or [0.0] * len(data)
    got: list[Item] = []
    times: list[int] = []
    taken: list[list[int]] = [[] for _ in data]
    draining: list[bool] = []
    todo = [len(stream_of(samples)) for samples in data]

    async def take(ctx: Any) -> None:
        rng = random.Random(seed)
        for _ in range(500 + 40 * (n_out + sum(todo))):
            ctx.set(dut.o.ready, rng.random() >= pause_out)
            draining.append(bool(ctx.get(dut.draining)))
            await ctx.tick()
            if len(got) == n_out and [len(at) for at in taken] == todo:
                return
        raise AssertionError(f"hung after {len(got)} of {n_out} items; taken {taken}")

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_process(watch(dut.o, dut.payload, got, times))
    for k, (samples, port) in enumerate(zip(data, dut.ports, strict=True)):
        sim.add_process(watch(dut.port(k), port.payload, [], taken[k]))

        rng = random.Random(seed * 31 + k)
        sim.add_process(
            partial(feed, dut.port(k), stream_of(samples), port.payload, pauses[k], rng)
        )
    sim.add_testbench(take)
    sim.run()
    return got, times, taken, draining


def draw(seed: int) -> tuple[Merge, list[Samples]]:
    """Any merge, and samples for it; recurrent ports anywhere."""
    r = random.Random(seed)
    graded = r.random() < 0.4
    payload = unsigned(3) if graded else NO_PAYLOAD
    count = r.randint(1, 4)
    forward = r.randrange(count)
    ports, offset = [], 0
    for k in range(count):
        n = r.choice([1, 2, 5, 8, 13])
        cuts = sorted(r.sample(range(n + 1), min(n + 1, r.choice([2, 2, 4]))))
        if r.random() < 0.4:
            cuts = [0, n]
        windows = []
        for a, b in list(pairwise(cuts))[::2]:
            windows.append(Window(a, b - a, offset))
            offset += b - a
        r.shuffle(windows)
        ports.append(
            MergePort(
                n=n,
                windows=tuple(windows),
                payload=payload if r.random() < 0.5 else NO_PAYLOAD,
                recurrent=k != forward and r.random() < 0.5,
            )
        )
    lengths = [r.choice([1, 1, 2, 3, 5]) for _ in range(r.randint(1, 4))]
    rate = r.choice([0.0, 1.0, 2.0, 4.0])
    data = [
        [
            [
                [(r.randrange(port.n), r.randrange(8)) for _ in range(int(r.random() * 2 * rate))]
                for _ in range(steps)
            ]
            for steps in lengths
        ]
        for port in ports
    ]
    return Merge(ports, max(1, offset), payload), data


def check(seed: int) -> None:
    r = random.Random(seed + 1000)
    dut, data = draw(seed)
    out = expected(list(dut.ports), data, bool(dut.payload.width))
    pauses = [r.choice([0.0, 0.3, 0.8]) for _ in data]
    got, _, _, draining = run_merge(
        dut, data, len(out), pauses=pauses, pause_out=r.choice([0.0, 0.4, 0.8]), seed=seed
    )
    assert got == out
    assert any(draining) <= any(port.recurrent for port in dut.ports)


@pytest.mark.parametrize("seed", range(60))
def test_a_merge_gives_its_ports_in_their_order(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1600))
def test_any_merge(seed: int) -> None:
    check(seed)


def full(n: int, offset: int, *, recurrent: bool = False) -> MergePort:
    return MergePort(n=n, windows=(Window(0, n, offset),), recurrent=recurrent)


def test_a_merge_takes_an_item_a_cycle() -> None:
    dut = Merge([full(8, 0), full(8, 8)], 16)
    data: list[Samples] = [[[[(a, 0) for a in range(8)]] * 2] for _ in range(2)]
    out = expected(list(dut.ports), data, False)
    _, times, taken, _ = run_merge(dut, data, len(out))
    first = taken[0][0]
    # Two ports of 9 items: the first one's token alone brings no item.
    assert taken[0][:9] == list(range(first, first + 9))
    assert taken[1][:9] == list(range(first + 9, first + 18))
    assert taken[0][9] == first + 18
    assert times[0] == first + Merge.LATENCY
    assert times[8] == first + 9 + Merge.LATENCY


def test_what_a_sample_leaves_is_dropped_beside_the_next_one() -> None:
    """The last step's spikes of a recurrent port come late; the next sample begins meanwhile."""
    dut = Merge([full(2, 0), full(8, 2, recurrent=True)], 10)
    sample: list[Step] = [[(1, 0)], [(0, 0)]]
    late: list[Step] = [[(3, 0)], [(a, 0) for a in range(8)]]
    out = expected(list(dut.ports), [[sample] * 2, [late] * 2], False)
    _, _, (forward, loop), draining = run_merge(dut, [[sample] * 2, [late] * 2], len(out))
    ended = loop[1]  # the merged token with `last` follows the recurrent port's token
    assert loop[2:11] == list(range(ended + 1, ended + 10))
    assert forward[4] == ended + 1
    assert draining[ended + 1 : ended + 11] == [True] * 9 + [False]


def test_a_merge_of_one_port_is_a_filter() -> None:
    port = MergePort(n=8, windows=(Window(6, 2, 0), Window(1, 2, 2)))
    dut = Merge([port], 4)
    data: list[Samples] = [[[[(a, 0) for a in range(8)]]]]
    got, _, (taken,), _ = run_merge(dut, data, 5)
    assert [item[2] for item in got] == [2, 3, 0, 1, 0]
    assert taken == list(range(taken[0], taken[0] + 9))


def test_membranes_keep_their_sign() -> None:
    ports = [
        MergePort(n=2, windows=(Window(0, 2, 0),), payload=signed(4)),
        MergePort(n=1, windows=(Window(0, 1, 2),), payload=signed(9)),
        full(1, 3),
    ]
    dut = Merge(ports, 4, signed(9))
    data: list[Samples] = [[[[(0, -8), (1, 7)]]], [[[(0, -256)]]], [[[(0, 0)]]]]
    got, _, _, _ = run_merge(dut, data, 5)
    assert got == [(0, 0, 0, -8), (0, 0, 1, 7), (0, 0, 2, -256), (0, 0, 3, 1), (1, 1, 0, 0)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Fork(EventLayout(4), 1), "Fork: 1 consumers, must be 2 or more"),
        (lambda: Merge([full(2, 0, recurrent=True)], 2), "needs a port that is not recurrent"),
        (lambda: Merge([full(3, 2)], 4), "leaves the 4 merged addresses"),
        (lambda: MergePort(n=3, windows=(Window(2, 2, 0),)), "does not lie in 3 addresses"),
    ],
)
def test_what_cannot_be_built_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_they_convert() -> None:
    text = to_verilog(Fork(EventLayout(8), 3), "fork")
    assert "o__2__payload" in text
    text = to_verilog(Merge([full(8, 0), full(4, 8, recurrent=True)], 12), "merge")
    assert "[5:0] o__payload" in text
