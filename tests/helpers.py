# SPDX-License-Identifier: Apache-2.0
"""Streams driven and checked in Amaranth's simulator, and small networks to drive them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from amaranth.sim import Simulator

from spikefab.gen.qnetwork import QNetwork
from spikefab.hdl.core import SpikingCore
from spikefab.hdl.params import CoreParams, LayerParams

Item = tuple[bool, bool, int, int]
"""(token, last, address, payload)."""


def core_params(qnet: QNetwork, lanes: Sequence[int]) -> CoreParams:
    return CoreParams(
        layers=tuple(
            LayerParams(
                name=layer.name,
                synapse=layer.synapse,
                neuron=layer.neuron,
                lanes=n,
                replay=qnet.input.steps if k == 0 and qnet.input.coding == "static" else 0,
            )
            for k, (layer, n) in enumerate(zip(qnet.layers, lanes, strict=True))
        ),
        input_max=qnet.input_max,
        input=qnet.input,
        stop=qnet.stop,
    )


def build_core(qnet: QNetwork, lanes: Sequence[int]) -> SpikingCore:
    weights = [layer.weights.tolist() for layer in qnet.layers]
    return SpikingCore(core_params(qnet, lanes), weights)


def to_items(x: np.ndarray, rng: random.Random | None = None) -> list[Item]:
    """Counts (samples, steps, inputs) as stream items; events of a step in random order."""
    items: list[Item] = []
    for sample in x.reshape(*x.shape[:2], -1):
        for t, step in enumerate(sample):
            events = [int(a) for a in np.repeat(np.arange(len(step)), step)]
            if rng is not None:
                rng.shuffle(events)
            items += [(False, False, address, 0) for address in events]
            items.append((True, t == len(sample) - 1, 0, 0))
    return items


def from_items(items: Sequence[Item], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Stream items as (counts, payloads) of `shape` (samples, steps, outputs)."""
    counts = np.zeros(shape, np.int16)
    payloads = np.zeros(shape, np.int64)
    sample = step = 0
    for token, last, address, payload in items:
        if token:
            step += 1
            assert last == (step == shape[1]), f"last at sample {sample} step {step}"
            if last:
                sample, step = sample + 1, 0
        else:
            counts[sample, step, address] += 1
            payloads[sample, step, address] = payload
    assert (sample, step) == (shape[0], 0)
    return counts, payloads


def drive(
    core: SpikingCore,
    items: Sequence[Item],
    n_tokens: int,
    *,
    pause_in: float = 0.0,
    pause_out: float = 0.0,
    seed: int = 0,
    limit: int = 200_000,
) -> tuple[list[Item], list[int], list[int]]:
    """Streams `items` through; returns (output items, cycle of each input, of each output).

    Checks the stream contract: an offered payload stays until it is taken.
    """
    rng = random.Random(seed)
    out: list[Item] = []
    times_in: list[int] = []
    times_out: list[int] = []
    cycle = 0

    async def watch(ctx) -> None:  # type: ignore[no-untyped-def]
        nonlocal cycle
        held = None
        async for _, _, iv, ir, ov, ordy, payload in ctx.tick().sample(
            core.i.valid, core.i.ready, core.o.valid, core.o.ready, core.o.payload
        ):
            if iv and ir:
                times_in.append(cycle)
            value = (payload.token, payload.last, payload.address,
                     payload.payload if core.params.output_width else 0)  # fmt: skip
            assert held is None or (ov and value == held), "an offered payload changed"
            held = value if ov and not ordy else None
            if ov and ordy:
                out.append((bool(value[0]), bool(value[1]), int(value[2]), int(value[3])))
                times_out.append(cycle)
            cycle += 1

    async def feed(ctx) -> None:  # type: ignore[no-untyped-def]
        for token, last, address, _ in items:
            while rng.random() < pause_in:
                await ctx.tick()
            ctx.set(core.i.payload, {"token": token, "last": last, "address": address})
            ctx.set(core.i.valid, 1)
            await ctx.tick().until(core.i.ready)
            ctx.set(core.i.valid, 0)

    async def sink(ctx) -> None:  # type: ignore[no-untyped-def]
        seen = 0
        while sum(item[0] for item in out) < n_tokens:
            ctx.set(core.o.ready, rng.random() >= pause_out)
            await ctx.tick()
            seen += 1
            assert seen < limit, f"hung after {len(out)} output items"

    sim = Simulator(core)
    sim.add_clock(1e-6)
    sim.add_process(watch)
    sim.add_process(feed)
    sim.add_testbench(sink)
    sim.run()
    return out, times_in, times_out
