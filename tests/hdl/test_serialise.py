# SPDX-License-Identifier: Apache-2.0
"""Masks and membranes to events: order, counts, one a cycle, nothing for silence."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from amaranth.sim import Simulator

from spikefab.gen.verilog import to_verilog
from spikefab.hdl.conv_params import GridParams
from spikefab.hdl.params import LayerParams, NeuronParams, SynapseParams
from spikefab.hdl.serialise import CHUNK, MembraneSerialiser, SpikeSerialiser, queue_depth

Item = tuple[int, int, int, int]
"""(token, last, address, payload)."""
Pass = tuple[list[int], bool]
"""A value a neuron, and whether the sample ends."""

SHAPES = [(1, 1), (2, 1), (5, 2), (7, 7), (8, 8), (9, 9), (21, 8), (33, 16), (33, 17), (40, 9),
          (64, 64), (127, 127), (130, 130), (259, 130), (300, 65)]  # fmt: skip
"""(neurons, lanes): one to many groups, full and partial, one chunk to seventeen."""


def layer(
    n: int, lanes: int, *, count_width: int = 1, membrane: int = 0, graded: bool = False
) -> LayerParams:
    spiking = not membrane
    return LayerParams(
        name="layer",
        synapse=SynapseParams(n_in=1, n_out=n, weight_width=2, acc_min=-1, acc_max=1),
        neuron=NeuronParams(
            n=n,
            fraction_bits=0,
            membrane_width=membrane or 8,
            spiking=spiking,
            reset="subtract" if spiking else "none",
            count_width=count_width,
        ),
        lanes=lanes,
        graded=graded,
    )


def expected(params: LayerParams, passes: list[Pass]) -> list[Item]:
    out: list[Item] = []
    for values, last in passes:
        for address, value in enumerate(values):
            if params.graded:
                out += [(0, 0, address, value)] if value else []
            elif params.neuron.spiking:
                out += [(0, 0, address, 0)] * value
            else:
                out.append((0, 0, address, value))
        out.append((1, int(last), 0, 0))
    return out


@dataclass
class Run:
    out: list[Item]
    times: list[int]
    """Cycle of each item."""
    starts: list[int]
    """Cycle of each pass's first group."""
    reserved: list[int]
    """Cycle in which each pass got its room."""


def drive(
    params: LayerParams,
    passes: list[Pass],
    *,
    pause_in: float = 0.0,
    pause_out: float = 0.0,
    open_at: int = 0,
    seed: int = 0,
    grid: GridParams | None = None,
) -> Run:
    """Passes in as the neuron array makes them: room first, then every group, in a row."""
    rng = random.Random(seed)
    spiking = params.neuron.spiking
    dut: Any = (SpikeSerialiser if spiking else MembraneSerialiser)(params, grid)
    result = Run([], [], [], [])
    cycle = 0

    async def feed(ctx: Any) -> None:
        for values, last in passes:
            while rng.random() < pause_in:
                await ctx.tick()
            ctx.set(dut.reserve.valid, 1)
            await ctx.tick().until(dut.reserve.ready)
            ctx.set(dut.reserve.valid, 0)
            for _ in range(rng.randint(0, 4) if pause_in else 0):
                await ctx.tick()
            # Lanes beyond the population's end put out no spikes, and any membrane.
            padding = params.groups * params.lanes - len(values)
            row = values + [0 if spiking else -1] * padding
            for group in range(params.groups):
                end = group == params.groups - 1
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload.end, end)
                ctx.set(dut.i.payload.last, last)
                at = group * params.lanes
                for lane in range(params.lanes):
                    ctx.set(dut.i.payload["values"][lane], row[at + lane])
                await ctx.tick()
            ctx.set(dut.i.valid, 0)

    async def watch(ctx: Any) -> None:
        nonlocal cycle
        held = None
        groups = 0
        async for _, _, wanted, room, group, valid, ready, payload in ctx.tick().sample(
            dut.reserve.valid, dut.reserve.ready, dut.i.valid,
            dut.o.valid, dut.o.ready, dut.o.payload,
        ):  # fmt: skip
            if wanted and room:
                result.reserved.append(cycle)
            if group and groups % params.groups == 0:
                result.starts.append(cycle)
            groups += group
            item = (int(payload.token), int(payload.last), int(payload.address),
                    int(payload.payload) if params.graded or not spiking else 0)  # fmt: skip
            assert held is None or (valid and item == held), "an offered item changed"
            held = item if valid and not ready else None
            if valid and ready:
                result.out.append(item)
                result.times.append(cycle)
            cycle += 1

    async def take(ctx: Any) -> None:
        limit = open_at + 400 + 40 * len(expected(params, passes))
        while sum(item[0] for item in result.out) < len(passes):
            ctx.set(dut.o.ready, cycle >= open_at and rng.random() >= pause_out)
            await ctx.tick()
            assert cycle < limit, f"hung after {len(result.out)} items"

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_process(watch)
    sim.add_process(feed)
    sim.add_testbench(take)
    sim.run()
    return result


def draw(params: LayerParams, n: int, rng: random.Random) -> list[Pass]:
    """Passes from silence to every neuron at its most."""
    p = params.neuron
    passes: list[Pass] = []
    for k in range(n):
        rate = (0.0, 1.0, 0.1, 0.5)[k % 4]
        if p.spiking:
            values = [rng.randint(1, p.max_count) * (rng.random() < rate) for _ in range(p.n)]
        else:
            top = 1 << (p.membrane_width - 1)
            values = [rng.choice([-top, top - 1, 0, rng.randrange(-top, top)]) for _ in range(p.n)]
        passes.append((values, k % 3 == 2))
    return passes


@pytest.mark.parametrize(("n", "lanes"), SHAPES)
def test_spikes(n: int, lanes: int) -> None:
    params = layer(n, lanes)
    passes = draw(params, 8, random.Random(n))
    assert drive(params, passes).out == expected(params, passes)


@pytest.mark.parametrize(("n", "lanes"), [(1, 1), (5, 2), (21, 8), (33, 17), (130, 130)])
@pytest.mark.parametrize(("pause_in", "pause_out"), [(0.0, 0.7), (0.4, 0.4)])
@pytest.mark.parametrize("count_width", [1, 3])
def test_spikes_under_back_pressure(
    n: int, lanes: int, pause_in: float, pause_out: float, count_width: int
) -> None:
    params = layer(n, lanes, count_width=count_width)
    passes = draw(params, 6, random.Random(n))
    run = drive(params, passes, pause_in=pause_in, pause_out=pause_out, seed=lanes)
    assert run.out == expected(params, passes)


@pytest.mark.parametrize(("n", "lanes"), SHAPES)
def test_counts_as_values(n: int, lanes: int) -> None:
    """However often a neuron spikes, it takes one event and one cycle."""
    params = layer(n, lanes, count_width=3, graded=True)
    passes = draw(params, 6, random.Random(n))
    run = drive(params, passes, pause_in=0.3, pause_out=0.4, seed=n)
    assert run.out == expected(params, passes)
    (values, _), *_ = passes[1:]
    run = drive(params, [(values, True)], open_at=params.groups + 12)
    assert [b - a for a, b in pairwise(run.times)] == [1] * sum(v > 0 for v in values)


@pytest.mark.parametrize("n", [3, 8, 9])
def test_every_mask(n: int) -> None:
    """Exhaustive at widths around a chunk: all masks, back to back."""
    params = layer(n, n)
    passes = [([mask >> k & 1 for k in range(n)], mask % 5 == 0) for mask in range(1 << n)]
    assert drive(params, passes).out == expected(params, passes)


@pytest.mark.parametrize(("n", "lanes"), SHAPES)
def test_one_event_a_cycle(n: int, lanes: int) -> None:
    """From the first spike to the token no cycle is lost, whichever neurons spike."""
    params = layer(n, lanes)
    rng = random.Random(n)
    for rate in (1.0, 0.3):
        values = [int(rng.random() < rate) for _ in range(n)]
        # The consumer waits until all groups are there: arrival is no excuse.
        run = drive(params, [(values, False)], open_at=params.groups + 12)
        assert [b - a for a, b in pairwise(run.times)] == [1] * sum(values)


@pytest.mark.parametrize(("n", "lanes"), SHAPES)
def test_many_spikes_of_one_neuron_leave_one_a_cycle(n: int, lanes: int) -> None:
    params = layer(n, lanes, count_width=3)
    rng = random.Random(n)
    values = [rng.randint(0, 7) * (rng.random() < 0.5) for _ in range(n)]
    run = drive(params, [(values, True)], open_at=params.groups + 12)
    assert run.out == expected(params, [(values, True)])
    assert [b - a for a, b in pairwise(run.times)] == [1] * sum(values)


@pytest.mark.parametrize(("n", "lanes"), [(64, 4), (160, 20)])
def test_groups_without_spikes_take_no_time(n: int, lanes: int) -> None:
    """One spike in the first group, one in the last; what lies between adds nothing."""
    params = layer(n, lanes)
    values = [1] + [0] * (n - 2) + [1]
    run = drive(params, [(values, True)], open_at=params.groups + 12)
    assert run.out == [(0, 0, 0, 0), (0, 0, n - 1, 0), (1, 1, 0, 0)]
    assert [b - a for a, b in pairwise(run.times)] == [1, 1]


@pytest.mark.parametrize(("n", "lanes"), [(1, 1), (8, 8), (64, 4), (130, 130)])
def test_a_silent_pass_is_its_token(n: int, lanes: int) -> None:
    """The token leaves a fixed few cycles after the last group."""
    params = layer(n, lanes)
    run = drive(params, [([0] * n, False), ([0] * n, True)])
    assert run.out == [(1, 0, 0, 0), (1, 1, 0, 0)]
    latency = 1 + (2 if queue_depth(params.groups) > 4 else 1) + 3 * (lanes > CHUNK) + 1
    assert run.times[0] - run.starts[0] == params.groups - 1 + latency


@pytest.mark.parametrize("membrane", [0, 9])
@pytest.mark.parametrize(("n", "lanes"), [(3, 3), (12, 4), (20, 2), (20, 18)])
def test_room_for_two_passes(n: int, lanes: int, membrane: int) -> None:
    """A stalled consumer lets two passes in, whole; the third waits, and nothing is lost."""
    params = layer(n, lanes, membrane=membrane)
    values = [1] * n
    passes = [(values, False)] * 5
    run = drive(params, passes, open_at=200)
    assert run.out == expected(params, passes)
    # Groups of spikes that have left the queue for the stages behind it.
    behind = 0 if membrane else 1 + (lanes > CHUNK)
    assert sum(at < 200 for at in run.reserved) == 2 + behind // params.groups
    again = drive(params, [([0] * n, False)] * 40 + passes)
    assert again.out == expected(params, [([0] * n, False)] * 40 + passes)


@pytest.mark.parametrize(("n", "lanes"), [s for s in SHAPES if s[0] < 127 or s == (130, 130)])
@pytest.mark.parametrize(("pause_in", "pause_out"), [(0.4, 0.5)])
def test_membranes(n: int, lanes: int, pause_in: float, pause_out: float) -> None:
    params = layer(n, lanes, membrane=11)
    passes = draw(params, 4, random.Random(n))
    run = drive(params, passes, pause_in=pause_in, pause_out=pause_out, seed=n)
    assert run.out == expected(params, passes)


@pytest.mark.parametrize(("n", "lanes"), [(5, 5), (21, 8), (40, 9)])
def test_membranes_leave_one_a_cycle(n: int, lanes: int) -> None:
    params = layer(n, lanes, membrane=11)
    run = drive(params, draw(params, 4, random.Random(1)), open_at=2 * params.groups + 12)
    gaps = [b - a for a, b in pairwise(run.times)]
    assert gaps == [1] * len(gaps)


@pytest.mark.parametrize(
    "params",
    [layer(20, 9), layer(3, 3, count_width=2), layer(20, 9, count_width=2, graded=True)],
)
def test_spikes_convert(params: LayerParams) -> None:
    assert "o__payload" in to_verilog(SpikeSerialiser(params), "serialiser")


def test_membranes_convert() -> None:
    text = to_verilog(MembraneSerialiser(layer(20, 9, membrane=12)), "serialiser")
    assert "[18:0] o__payload" in text


GRIDS = [(5, 3, 4, 2, 1), (5, 3, 4, 4, 2), (8, 2, 2, 8, 1), (9, 2, 3, 9, 1), (20, 2, 2, 20, 1),
         (12, 3, 1, 6, 2), (10, 1, 3, 8, 4), (1, 4, 4, 1, 1), (17, 1, 1, 17, 1), (3, 1, 2, 3, 3),
         (20, 2, 2, 16, 1)]  # fmt: skip
"""(channels, height, width, lanes, folds); some with padding, in a row's end and in rows."""


def on_grid(
    shape: tuple[int, int, int, int, int], *, count_width: int = 1, membrane: int = 0
) -> tuple[LayerParams, GridParams]:
    """A serialiser's layer: as wide as a row of datapaths."""
    c, h, w, lanes, folds = shape
    grid = GridParams(channels=c, height=h, width=w)
    n = grid.words(lanes) * lanes
    return layer(n, lanes // folds, count_width=count_width, membrane=membrane), grid


def expected_on_grid(
    params: LayerParams, grid: GridParams, lanes: int, passes: list[Pass]
) -> list[Item]:
    """In the order of the layout, with the grid's addresses, and nothing for padding."""
    out: list[Item] = []
    for values, last in passes:
        for number, value in zip(grid.neurons(lanes), values, strict=True):
            if number is None:
                continue
            address = grid.addresses[number]
            if params.neuron.spiking:
                out += [(0, 0, address, 0)] * value
            else:
                out.append((0, 0, address, value))
        out.append((1, int(last), 0, 0))
    return out


@pytest.mark.parametrize("shape", GRIDS)
@pytest.mark.parametrize("pause", [0.0, 0.5])
@pytest.mark.parametrize("membrane", [0, 9])
def test_grids(shape: tuple[int, int, int, int, int], pause: float, membrane: int) -> None:
    """Bit fields for addresses; what the array makes of padding never leaves."""
    params, grid = on_grid(shape, count_width=1 if membrane else 2, membrane=membrane)
    passes = draw(params, 6, random.Random(str(shape)))
    run = drive(params, passes, pause_in=pause, pause_out=pause, seed=1, grid=grid)
    assert run.out == expected_on_grid(params, grid, shape[3], passes)


@pytest.mark.parametrize("shape", GRIDS)
def test_grids_leave_one_a_cycle(shape: tuple[int, int, int, int, int]) -> None:
    params, grid = on_grid(shape, membrane=9)
    passes = draw(params, 4, random.Random(1))
    run = drive(params, passes, open_at=2 * params.groups + 12, grid=grid)
    assert run.out == expected_on_grid(params, grid, shape[3], passes)
    gaps = [b - a for a, b in pairwise(run.times)]
    assert gaps == [1] * len(gaps)


def test_grids_convert() -> None:
    params, grid = on_grid((5, 3, 4, 2, 1))
    # Token and last, two bits for rows, two for columns, three for channels.
    assert "[8:0] o__payload" in to_verilog(SpikeSerialiser(params, grid), "serialiser")
