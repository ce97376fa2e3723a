# SPDX-License-Identifier: Apache-2.0
"""The early stop: gate, decision and swallowing against a plain model, with pauses at both ends."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from designs import make_network

from spikefab.gen.verilog import to_verilog
from spikefab.hdl.event import EventLayout, membrane_payload
from spikefab.hdl.params import CoreParams, InputParams, LayerParams, ParamError, StopParams
from spikefab.hdl.queue import Queue
from spikefab.hdl.stop import EarlyStop, StepGate

Item = tuple[int, int, int, int]
"""(token, last, address, payload)."""

Sample = list[list[tuple[int, int]]]
"""Of each step its events: (address, payload)."""


def params(
    n: int,
    margins: tuple[int, ...],
    *,
    width: int = 0,
    coding: InputParams | None = None,
) -> CoreParams:
    """A core with `n` outputs; `width`: bits of an integrator's membrane."""
    membrane = {"membrane_width": width} if width else {}
    layer = make_network([2, n], integrator=width > 0, **membrane).layers[0]
    one = LayerParams(name="out", synapse=layer.synapse, neuron=layer.neuron, lanes=1)
    stop = StopParams(margins=margins)
    if coding is None:
        return CoreParams(layers=(one,), stop=stop)
    return CoreParams(layers=(one,), stop=stop, input=coding)


def expected(p: CoreParams, samples: list[Sample]) -> list[Item]:
    """What leaves: each sample up to the step that decides it."""
    assert p.stop is not None
    out: list[Item] = []
    for sample in samples:
        counts = Counter(dict.fromkeys(range(p.n_outputs), 0))
        for t, events in enumerate(sample):
            out += [(0, 0, address, value) for address, value in events]
            for address, value in events:
                if p.output_width:
                    counts[address] = value
                else:
                    counts[address] = min(counts[address] + 1, (1 << p.score_width) - 1)
            best, second = sorted(counts.values())[:-3:-1]
            margin = p.stop.margins[min(t, len(p.stop.margins) - 1)]
            last = t == len(sample) - 1 or bool(margin and best - second >= margin)
            out.append((1, int(last), 0, 0))
            if last:
                break
    return out


def items_of(samples: list[Sample]) -> list[Item]:
    items: list[Item] = []
    for sample in samples:
        for t, events in enumerate(sample):
            items += [(0, 0, address, value) for address, value in events]
            items.append((1, int(t == len(sample) - 1), 0, 0))
    return items


class Loop(Elaboratable):
    """Gate, `stages` queues in the place of layers, and the stop."""

    def __init__(self, p: CoreParams, stages: list[int]):
        item = EventLayout(p.n_outputs, membrane_payload(p.output_width))
        self.gate, self.stop = StepGate(item), EarlyStop(p)
        self.queues = [Queue(item, depth) for depth in stages]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.gate, m.submodules.stop = self.gate, self.stop
        here: Any = self.gate.o
        for k, queue in enumerate(self.queues):
            m.submodules[f"queue{k}"] = queue
            wiring.connect(m, here, queue.i)
            here = queue.o
        wiring.connect(m, here, self.stop.i)
        m.d.comb += [
            self.gate.stop.eq(self.stop.stop),
            self.stop.ended.eq(self.gate.ended),
        ]
        return m


@dataclass
class Ran:
    """What a run showed."""

    out: list[Item] = field(default_factory=list)
    times_in: list[int] = field(default_factory=list)
    times_out: list[int] = field(default_factory=list)
    passed: list[Item] = field(default_factory=list)
    """Items behind the gate."""
    decided: bool = False
    """The stop is still swallowing at the end."""


def run(
    p: CoreParams,
    samples: list[Sample],
    stages: list[int],
    *,
    pause_in: float = 0.0,
    pause_out: float = 0.0,
    seed: int = 0,
    hold: int | None = None,
) -> Ran:
    """`hold`: items that leave before the output stalls until all of the input has come in."""
    rng = random.Random(seed)
    dut = Loop(p, stages)
    items, ran, cycle = items_of(samples), Ran(), 0

    def read(item: Any) -> Item:
        value = item.payload if p.output_width else 0
        return int(item.token), int(item.last), int(item.address), int(value)

    async def feed(ctx: Any) -> None:
        for token, last, address, value in items:
            while rng.random() < pause_in:
                await ctx.tick()
            fields = {"token": token, "last": last, "address": address}
            if p.output_width:
                fields["payload"] = value
            ctx.set(dut.gate.i.payload, fields)
            ctx.set(dut.gate.i.valid, 1)
            await ctx.tick().until(dut.gate.i.ready)
            ctx.set(dut.gate.i.valid, 0)

    async def watch(ctx: Any) -> None:
        nonlocal cycle
        held: dict[str, Any] = {"gate": None, "stop": None}
        ports = {"gate": dut.gate.o, "stop": dut.stop.o}
        taken = {"gate": ran.passed, "stop": ran.out}
        signals = [s for port in ports.values() for s in (port.valid, port.ready, port.payload)]
        async for values in ctx.tick().sample(dut.gate.i.valid, dut.gate.i.ready, *signals):
            _, _, iv, ir, *rest = values
            if iv and ir:
                ran.times_in.append(cycle)
            for k, name in enumerate(ports):
                valid, ready, payload = rest[3 * k : 3 * k + 3]
                item = read(payload)
                assert held[name] is None or (valid and item == held[name]), f"{name} changed"
                held[name] = item if valid and not ready else None
                if valid and ready:
                    taken[name].append(item)
                    if name == "stop":
                        ran.times_out.append(cycle)
            cycle += 1

    async def sink(ctx: Any) -> None:
        quiet = 0
        while sum(item[1] for item in ran.out) < len(samples) or quiet < 100:
            held = len(ran.out) == hold and len(ran.times_in) < len(items)
            ctx.set(dut.stop.o.ready, not held and rng.random() >= pause_out)
            await ctx.tick()
            quiet = quiet + 1 if len(ran.times_in) == len(items) else 0
            assert cycle < 1000 + 40 * len(items), f"hung after {len(ran.out)} items"
        ran.decided = bool(ctx.get(dut.stop.decided))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_process(watch)
    sim.add_process(feed)
    sim.add_testbench(sink)
    sim.run()
    return ran


def draw_spikes(r: random.Random, n: int, samples: int, steps: int, events: int) -> list[Sample]:
    favourite = r.randrange(n)

    def address() -> int:
        return favourite if r.random() < 0.5 else r.randrange(n)

    return [
        [[(address(), 0) for _ in range(r.randint(0, events))] for _ in range(r.randint(1, steps))]
        for _ in range(samples)
    ]


def draw_membranes(r: random.Random, n: int, samples: int, steps: int, width: int) -> list[Sample]:
    top = 1 << (width - 1)

    def value() -> int:
        return r.choice([-top, top - 1, r.randrange(-top, top), r.randrange(-2, 3)])

    return [
        [[(address, value()) for address in range(n)] for _ in range(r.randint(1, steps))]
        for _ in range(samples)
    ]


PAUSES = [(0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.4, 0.4)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("pause_in", "pause_out"), PAUSES)
def test_many_short_samples(seed: int, pause_in: float, pause_out: float) -> None:
    """Samples of one to four steps, several in flight, each cut where the model cuts it."""
    r = random.Random(seed)
    n = r.choice([2, 3, 10, 33])
    margins = r.choice([(1,), (2,), (0, 1), (3, 0, 1), (1, 2)])
    if seed % 2:
        p = params(n, margins)
        samples = draw_spikes(r, n, 60, 4, 4)
    else:
        p = params(n, tuple(3 * m for m in margins), width=6)
        samples = draw_membranes(r, n, 20 if n > 10 else 60, 4, 6)
    stages = [r.randint(1, 8) for _ in range(r.randint(0, 3))]
    ran = run(p, samples, stages, pause_in=pause_in, pause_out=pause_out, seed=seed)
    assert ran.out == expected(p, samples)
    # Whatever passed the gate, each sample ended behind it once.
    assert sum(item[1] for item in ran.passed) == len(samples)
    assert not ran.decided


def test_the_front_is_told_of_its_own_sample_only() -> None:
    """A sample is decided while the next one, which never would be, is already coming in."""
    decided: Sample = [[(0, 0)], []]
    undecided: Sample = [[(0, 0), (1, 0)] for _ in range(4)]
    samples = [decided, undecided] * 8
    p = params(2, (1,))
    for depth in range(1, 9):
        ran = run(p, samples, [depth, depth])
        assert ran.out == expected(p, samples)
        kept = [item for item in ran.passed if item[0]]
        assert len(kept) == 8 * (2 + 4), "nothing was there to be dropped"


def test_a_decided_sample_stops_coming() -> None:
    """The token behind the decision passes as the last, and what follows is dropped at once."""
    samples: list[Sample] = [[[(1, 0)], *([[(0, 0), (1, 0)]] * 30)], [[(0, 0)]]]
    p = params(2, (1,))
    ran = run(p, samples, [2])
    assert ran.out == [(0, 0, 1, 0), (1, 1, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0)]
    tokens = [item for item in ran.passed if item[0]]
    assert 2 <= len(tokens) <= 5
    assert [item[1] for item in tokens] == [0] * (len(tokens) - 2) + [1, 1]
    # An item a cycle, dropped or not.
    assert ran.times_in == list(range(ran.times_in[0], ran.times_in[0] + len(items_of(samples))))


def test_what_is_swallowed_does_not_wait_for_the_consumer() -> None:
    sample: Sample = [[(1, 0)], *([[(0, 0), (1, 0)]] * 30)]
    p = params(2, (1,))
    assert run(p, [sample], [1], hold=1).out == [(0, 0, 1, 0), (1, 1, 0, 0)]


@pytest.mark.parametrize("width", [0, 12])
def test_an_item_a_cycle_two_cycles_later(width: int) -> None:
    r = random.Random(1)
    n = 7
    draw = draw_membranes(r, n, 5, 3, width) if width else draw_spikes(r, n, 5, 3, 6)
    p = params(n, (0, 0, 1), width=width)  # at the last step, which ends the sample anyway
    ran = run(p, draw, [])
    assert [o - i for i, o in zip(ran.times_in, ran.times_out, strict=True)] == [
        EarlyStop.LATENCY
    ] * len(items_of(draw))
    assert ran.times_in == list(range(ran.times_in[0], ran.times_in[0] + len(ran.times_in)))


def test_counts_stay_at_their_largest_value() -> None:
    """Two bits hold two steps' spikes; a component that gets more of them counts to three."""
    coding = InputParams(coding="latency", payload_width=1, steps=2)
    p = params(3, (3,), coding=coding)
    assert p.score_width == 2
    r = random.Random(5)
    samples = [
        [[(r.choice([0, 0, 0, 1]), 0) for _ in range(r.randint(0, 6))] for _ in range(3)]
        for _ in range(60)
    ]
    wanted = expected(p, samples)
    assert run(p, samples, [3]).out == wanted
    assert sum(item[0] for item in wanted) < 180, "some samples stop early"


def test_all_short_streams_of_two_outputs() -> None:
    """Every sequence of up to five spikes of two or three outputs, in one step or two."""
    for n in (2, 3):
        p = params(n, (2, 1))
        samples: list[Sample] = []
        for length in range(5 if n == 3 else 6):
            for code in range(n**length):
                spikes = [(code // n**k % n, 0) for k in range(length)]
                samples += [[spikes[:k], spikes[k:], []] for k in range(length + 1)]
        assert run(p, samples, [2, 1]).out == expected(p, samples)


def test_refused_parameters() -> None:
    with pytest.raises(ParamError, match=r"len\(StopParams.margins\) = 0: must be 1 to 256"):
        StopParams(margins=())
    with pytest.raises(ParamError, match="margins = -1: must be whole numbers of 0 or more"):
        StopParams(margins=(3, -1))
    with pytest.raises(ParamError, match=r"margins = \(0, 0\): must be not all 0; leave the stop"):
        StopParams(margins=(0, 0))
    with pytest.raises(ParamError, match="outputs = 1: must be 2 to 1024; leave the stop out"):
        params(1, (1,))
    with pytest.raises(ParamError, match="margin = 256: must be at most 255, what a lead can"):
        params(4, (256,), width=8)


@pytest.mark.parametrize("width", [0, 9])
def test_converts_to_verilog(width: int) -> None:
    text = to_verilog(EarlyStop(params(10, (4, 0, 2), width=width)), "early_stop")
    assert "module early_stop" in text
