# SPDX-License-Identifier: Apache-2.0
"""A board in Amaranth's simulator: the real link around a core that echoes, on a serial line."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect
from amaranth.sim import Simulator

from spikefab.hdl.event import event_stream, membrane_payload
from spikefab.hdl.link import HostLink, LinkParams

CYCLE = 1e-6
TICKS_A_SECOND = 30_000
"""What the driver takes for a second: short, so that its time-outs cost little simulation."""


class EchoCore(wiring.Component):
    """Puts each event out again, `delay` cycles an item; a graded one carries 7 - 3 * address.

    With `steps` a frame's only token is put out so many times. With `stop` the sample's end is put
    out with the first step's token, and the rest of it is swallowed.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self, n: int, width: int, delay: int, value_width: int = 0, steps: int = 1, stop: int = 0
    ):
        self._n, self._width, self._delay = n, width, delay
        self._steps, self._stop = steps, stop
        super().__init__(
            {
                "i": In(event_stream(n, unsigned(value_width))),
                "o": Out(event_stream(n, membrane_payload(width))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wait = Signal(range(self._delay + 2))
        n_tokens = Signal(range(self._steps))
        stopped = Signal()
        late = wait == self._delay
        final = n_tokens == self._steps - 1
        m.d.comb += [
            self.o.p.token.eq(self.i.p.token),
            self.o.p.last.eq((self.i.p.last & final) | (self.i.p.token & self._stop)),
            self.o.p.address.eq(self.i.p.address),
            self.o.valid.eq(self.i.valid & late & ~stopped),
            self.i.ready.eq(late & (stopped | (self.o.ready & (~self.i.p.token | final)))),
        ]
        if self._width:
            m.d.comb += self.o.p.payload.eq(7 - 3 * self.i.p.address)
        with m.If(self.o.valid & self.o.ready & self.i.p.token):
            m.d.sync += n_tokens.eq(Mux(final, 0, n_tokens + 1))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += stopped.eq((stopped | (self.i.p.token & bool(self._stop))) & ~self.i.p.last)
        with m.If(self.i.valid & ~late):
            m.d.sync += wait.eq(wait + 1)
        with m.Elif(self.i.valid & (self.i.ready | (self.o.valid & self.o.ready))):
            m.d.sync += wait.eq(0)
        return m


class SimulatedBoard:
    """A transport whose `read` lets simulated time pass. `to_board` and `to_host` may change,
    drop or add bytes on their way."""

    def __init__(
        self, params: LinkParams, delay: int = 0, steps: int = 1, stop: int = 0, slow: int = 0
    ):
        """`slow`: cycles that the core's memories take for a word."""
        self.params = params
        self.to_board: Callable[[bytes], bytes] = lambda data: data
        self.to_host: Callable[[bytes], bytes] = lambda data: data
        self.log: list[tuple[int, int]] = []
        """Items that the core took: (address, value or 0), (-1, last)."""
        self.image: list[tuple[int, int]] = []
        """Words that its memories took: (address, word)."""
        self._line = bytearray()
        self._received = bytearray()
        self._cycles = 0

        m = Module()
        m.submodules.link = self.link = link = HostLink(params)
        m.submodules.core = core = EchoCore(
            params.n_inputs, params.output_width, delay, params.input_width, steps, stop
        )
        connect(m, link.events, core.i)
        connect(m, core.o, link.results)
        self.sim = Simulator(m)
        self.sim.add_clock(CYCLE)
        self.sim.add_process(self._watch)
        if params.load_words:
            self._slow, self._wait = slow, 0
            self.sim.add_testbench(self._take_words, background=True)
        self.sim.add_testbench(self._send, background=True)
        self.sim.add_testbench(self._receive, background=True)

    async def _send(self, ctx: Any) -> None:
        bit_time = self.params.divisor * CYCLE
        ctx.set(self.link.rx, 1)
        while True:
            if not self._line:
                await ctx.delay(bit_time)
                continue
            byte = self._line.pop(0)
            for bit in (0, *(byte >> k & 1 for k in range(8)), 1):
                ctx.set(self.link.rx, bit)
                await ctx.delay(bit_time)

    async def _receive(self, ctx: Any) -> None:
        bit_time = self.params.divisor * CYCLE
        while True:
            await ctx.negedge(self.link.tx)
            await ctx.delay(bit_time / 2)
            byte = 0
            for k in range(8):
                await ctx.delay(bit_time)
                byte |= ctx.get(self.link.tx) << k
            await ctx.delay(bit_time)
            assert ctx.get(self.link.tx) == 1, "no stop bit"
            self._received += self.to_host(bytes((byte,)))

    async def _watch(self, ctx: Any) -> None:
        events = self.link.events
        async for _, _, valid, ready, item in ctx.tick().sample(
            events.valid, events.ready, events.payload
        ):
            if valid and ready:
                value = item.payload if self.params.input_width else 0
                self.log.append((-1, item.last) if item.token else (item.address, value))

    async def _take_words(self, ctx: Any) -> None:
        load = self.link.load
        ctx.set(load.ready, 1)
        async for _, _, taken, word, busy in ctx.tick().sample(
            load.valid & load.ready, load.payload, self.link.busy
        ):
            if taken:
                assert not busy, "a word comes while a sample is in the core"
                self.image.append((word.address, word.data))
                self._wait = self._slow
            elif self._wait:
                self._wait -= 1
            ctx.set(load.ready, self._wait == 0)

    def advance(self, cycles: int) -> None:
        self._cycles += cycles
        self.sim.run_until(self._cycles * CYCLE)

    # What the driver uses

    @property
    def in_waiting(self) -> int:
        return len(self._received)

    def read(self, n: int) -> bytes:
        for _ in range(20):
            if self._received:
                break
            self.advance(50 * self.params.divisor)
        data = bytes(self._received[:n])
        del self._received[:n]
        return data

    def write(self, data: bytes) -> int:
        self._line += self.to_board(data)
        return len(data)

    def clock(self) -> float:
        return self._cycles / TICKS_A_SECOND


def manifest(params: LinkParams, **changes: Any) -> dict[str, Any]:
    """What `compile` would write for a design with such a link."""
    width = params.output_width
    return {
        "format": 1,
        "name": "echo",
        "hash": params.design_hash.hex(),
        "target": {"kind": "board", "baud": 1_000_000},
        "input": {
            "shape": [params.n_inputs],
            "size": params.n_inputs,
            "max_events": 3,
            "coding": "spikes",
            "payload_width": params.input_width,
            "steps": 0,
        },
        "output": {
            "size": params.n_outputs,
            "kind": "membrane" if width else "spikes",
            "payload_width": width,
        },
        "steps": None,
        "load": {"words": params.load_words},
        **changes,
    }


def make_simulated(
    n: int = 5,
    width: int = 0,
    delay: int = 0,
    buffer: int = 512,
    *,
    coding: str = "spikes",
    value_width: int = 0,
    steps: int = 1,
    stop: int = 0,
    load_words: int = 0,
    slow: int = 0,
) -> tuple[SimulatedBoard, dict[str, Any]]:
    """A board and the manifest of its design. `coding`, `value_width`, `steps`: its input's;
    `stop`: its samples end with their first step; `slow`: cycles for a loaded word."""
    params = LinkParams(
        n_inputs=n, n_outputs=n, input_width=value_width, output_width=width,
        load_words=load_words, design_hash=bytes(range(16)), divisor=4, max_payload=32,
        buffer=buffer,
    )  # fmt: skip
    facts = manifest(params)
    framed = coding in ("static", "rate", "latency")
    facts["input"] |= {"coding": coding, "steps": steps if framed else 0}
    facts["stop"] = {"margins": [stop]} if stop else None
    return SimulatedBoard(params, delay, steps, stop, slow), facts


class Faults:
    """Damages bytes: one in `every` is flipped, dropped, doubled, or followed by garbage."""

    def __init__(self, seed: int, every: float, kinds: str):
        self.rng = random.Random(seed)
        self.every, self.kinds = every, kinds
        self.n = 0
        """Faults so far."""

    def __call__(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if self.rng.random() * self.every >= 1:
                out.append(byte)
                continue
            self.n += 1
            kind = self.rng.choice(self.kinds)
            if kind == "f":
                out.append(byte ^ 1 << self.rng.randrange(8))
            elif kind == "2":
                out += bytes((byte, byte))
            elif kind == "g":
                out.append(byte)
                out += self.rng.randbytes(self.rng.randint(1, 12))
            elif kind == "z":
                out += bytes((0, byte))
            # "d": dropped
        return bytes(out)
