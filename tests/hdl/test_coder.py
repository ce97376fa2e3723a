# SPDX-License-Identifier: Apache-2.0
"""The coders against `sim.encode`, at full rate and under random pauses, and how fast they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator
from helpers import Item, from_items

from spikefab.hdl.coder import QUEUE
from spikefab.hdl.delta import DeltaCoder
from spikefab.hdl.latency import LatencyCoder
from spikefab.hdl.params import InputParams
from spikefab.hdl.rate_coder import RateCoder
from spikefab.sim.encode import changed, encode

KINDS: dict[str, Any] = {"rate": RateCoder, "latency": LatencyCoder, "delta": DeltaCoder}


def build(params: InputParams, n: int) -> Any:
    return KINDS[params.coding](params, n, QUEUE)


def items_of(params: InputParams, x: np.ndarray, rng: random.Random | None = None) -> list[Item]:
    """What a sender sends of samples (samples, n) or (samples, steps, n); shuffled by `rng`."""
    if params.framed:
        x = x[:, None]
    sent = changed(x) if params.coding == "delta" else x != 0
    items: list[Item] = []
    for sample, chosen in zip(x, sent, strict=True):
        for t, (step, there) in enumerate(zip(sample, chosen, strict=True)):
            addresses = np.flatnonzero(there).tolist()
            if rng is not None:
                rng.shuffle(addresses)
            items += [(False, False, a, int(step[a])) for a in addresses]
            items.append((True, t == len(sample) - 1, 0, 0))
    return items


def drive(
    coder: Any,
    items: Sequence[Item],
    n_tokens: int,
    *,
    pause_in: float = 0.0,
    pause_out: float = 0.0,
    seed: int = 0,
    limit: int = 20_000,
) -> tuple[list[Item], list[int], list[int]]:
    """Output items, and the cycles in which input and output items moved. Checks that what is
    offered stays, and bounds the time."""
    rng = random.Random(seed)
    out: list[Item] = []
    times_in: list[int] = []
    times_out: list[int] = []

    async def feed(ctx: Any) -> None:
        for token, last, address, value in items:
            while rng.random() < pause_in:
                await ctx.tick()
            ctx.set(
                coder.i.payload,
                {"token": token, "last": last, "address": address, "payload": value},
            )
            ctx.set(coder.i.valid, 1)
            await ctx.tick().until(coder.i.ready)
            ctx.set(coder.i.valid, 0)

    async def watch(ctx: Any) -> None:
        held = None
        cycle = 0
        async for _, _, iv, ir, ov, ordy, p in ctx.tick().sample(
            coder.i.valid, coder.i.ready, coder.o.valid, coder.o.ready, coder.o.payload
        ):
            if iv and ir:
                times_in.append(cycle)
            item = (bool(p.token), bool(p.last), int(p.address), 0)
            assert held is None or (ov and item == held), "an offered payload changed"
            held = item if ov and not ordy else None
            if ov and ordy:
                out.append(item)
                times_out.append(cycle)
            cycle += 1

    async def sink(ctx: Any) -> None:
        waited = 0
        while sum(item[0] for item in out) < n_tokens:
            ctx.set(coder.o.ready, rng.random() >= pause_out)
            await ctx.tick()
            waited += 1
            assert waited < limit, f"hung after {len(out)} output items"

    sim = Simulator(coder)
    sim.add_clock(1e-6)
    sim.add_process(watch)
    sim.add_process(feed)
    sim.add_testbench(sink)
    sim.run()
    return out, times_in, times_out


def draw(coding: str, seed: int) -> tuple[InputParams, np.ndarray]:
    rng = np.random.default_rng(seed)
    width = int(rng.choice([1, 2, 3, 5, 8]))
    steps, n = int(rng.integers(1, 8)), int(rng.integers(1, 24))
    top = (1 << width) - 1
    fields: dict[str, Any] = {"coding": coding, "payload_width": width}
    if coding == "delta":
        fields |= {"threshold": int(rng.integers(1, top + 1)), "off": bool(rng.integers(2))}
    else:
        fields |= {"steps": steps} | ({"seed": seed + 1} if coding == "rate" else {})
    params = InputParams(**fields)
    shape = (4, n) if params.framed else (4, steps, n)
    x = rng.integers(0, top + 1, shape) * (rng.random(shape) < rng.choice([0.2, 0.6, 1.0]))
    x[2] = 0
    return params, x


@pytest.mark.parametrize("pauses", [(0.0, 0.0), (0.4, 0.0), (0.0, 0.7), (0.5, 0.5)])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("coding", list(KINDS))
def test_coder_equals_golden(coding: str, seed: int, pauses: tuple[float, float]) -> None:
    """In whatever order and at whatever pace the events come."""
    params, x = draw(coding, seed)
    expected = encode(params, x)
    items = items_of(params, x, random.Random(seed))
    out, _, _ = drive(
        build(params, x.shape[-1]), items, expected.shape[0] * expected.shape[1],
        pause_in=pauses[0], pause_out=pauses[1], seed=seed,
    )  # fmt: skip
    counts, _ = from_items(out, expected.shape)
    np.testing.assert_array_equal(counts, expected)


def frame(coding: str, width: int, steps: int) -> InputParams:
    seed = {"seed": 1} if coding == "rate" else {}
    return InputParams(coding=coding, payload_width=width, steps=steps, **seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("coding", ["rate", "latency"])
@pytest.mark.parametrize("steps", [1, 3])
def test_every_frame_of_a_tiny_input(coding: str, steps: int) -> None:
    params = frame(coding, 2, steps)
    x = np.array([[a, b] for a in range(4) for b in range(4)])
    expected = encode(params, x)
    out, _, _ = drive(build(params, 2), items_of(params, x), 16 * steps)
    counts, _ = from_items(out, expected.shape)
    np.testing.assert_array_equal(counts, expected)


def test_every_change_of_a_tiny_input() -> None:
    params = InputParams(coding="delta", payload_width=2, threshold=2, off=True)
    x = np.array([[[a], [b], [c]] for a in range(4) for b in range(4) for c in range(4)])
    expected = encode(params, x)
    out, _, _ = drive(build(params, 1), items_of(params, x), 64 * 3)
    counts, _ = from_items(out, expected.shape)
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("coding", ["rate", "latency"])
def test_events_of_value_0_and_events_too_many_change_nothing(coding: str) -> None:
    params = frame(coding, 3, 4)
    x = np.array([[7, 0, 3, 5], [1, 2, 3, 4]])
    items = items_of(params, x)
    whole, _, _ = drive(build(params, 4), items, 8)
    zeros = [(False, False, 1, 0), *items]
    assert drive(build(params, 4), zeros, 8)[0] == whole
    end = len(items) - 1  # the second frame is full
    many = [*items[:end], (False, False, 0, 7), (False, False, 1, 7), *items[end:]]
    assert drive(build(params, 4), many, 8)[0] == whole


def test_rate_walks_an_entry_a_cycle() -> None:
    """A step of n entries takes n + 1 cycles; the next frame comes in meanwhile."""
    params = frame("rate", 3, 5)
    x = np.tile([1, 0, 1, 2, 0, 1], (5, 1))  # seldom enough for the queue
    items = items_of(params, x)
    done, times, out = drive(build(params, 6), items, 25)
    assert np.diff(times[::5]).tolist() == [5, 25, 25, 25]
    tokens = [t for item, t in zip(done, out, strict=True) if item[0]]
    assert np.diff(tokens).tolist() == [5] * 24


def test_latency_walks_what_spikes() -> None:
    """A frame of n values and s steps takes n + 3 s cycles."""
    params = frame("latency", 3, 4)
    x = np.tile([7, 0, 3, 1, 5, 6], (5, 1))
    _, times, out = drive(build(params, 6), items_of(params, x), 20)
    assert np.diff(times[::6]).tolist() == [6, 19, 17, 17]
    assert out[-1] - out[-10] == 17


@pytest.mark.parametrize("off", [False, True])
def test_delta_takes_a_change_a_cycle(off: bool) -> None:
    params = InputParams(coding="delta", payload_width=3, threshold=1, off=off)
    n, steps = 6, 4
    x = np.random.default_rng(1).permuted(np.tile(np.arange(1, 7), (2, steps, 1)), axis=2)
    items = items_of(params, x)
    _, times, out = drive(build(params, n), items, 2 * steps)
    half = items.index((True, True, 0, 0)) + 1
    # The other memory has been cleared long before this sample ends.
    assert np.diff(times)[: half - 1].tolist() == [1] * (half - 1)
    assert out[0] - times[0] == DeltaCoder.LATENCY + 1


def test_a_short_delta_sample_waits_for_the_memory_of_the_one_before() -> None:
    params = InputParams(coding="delta", payload_width=3, threshold=1)
    n = 12
    x = np.zeros((4, 1, n), int)
    x[:, 0, 3] = 5
    out, times, _ = drive(build(params, n), items_of(params, x), 4)
    # 12 cycles that clear, one that writes, one to change places; after reset both are clear.
    assert np.diff(times[::2]).tolist() == [2, 14, 14]
    assert [item[2] for item in out if not item[0]] == [3] * 4


@pytest.mark.parametrize("coding", list(KINDS))
@pytest.mark.parametrize(("n", "width", "steps"), [(1, 1, 1), (784, 4, 20), (4096, 8, 300)])
def test_converts_to_rtlil(coding: str, n: int, width: int, steps: int) -> None:
    params = (
        InputParams(coding="delta", payload_width=width, threshold=1, off=True)
        if coding == "delta"
        else frame(coding, width, steps)
    )
    assert "attribute \\top 1" in rtlil.convert(build(params, n))
