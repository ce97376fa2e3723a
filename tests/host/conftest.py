# SPDX-License-Identifier: Apache-2.0
"""A board in Amaranth's simulator: the real link around a core that echoes, on a serial line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from amaranth import Module, Signal
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

    An integrator core leaves the events out and gives one for each output and step.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, n: int, width: int, delay: int):
        self._n, self._width, self._delay = n, width, delay
        super().__init__(
            {"i": In(event_stream(n)), "o": Out(event_stream(n, membrane_payload(width)))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wait = Signal(range(self._delay + 2))
        m.d.comb += [
            self.o.p.token.eq(self.i.p.token),
            self.o.p.last.eq(self.i.p.last),
            self.o.p.address.eq(self.i.p.address),
            self.o.valid.eq(self.i.valid & (wait == self._delay)),
            self.i.ready.eq(self.o.ready & (wait == self._delay)),
        ]
        if self._width:
            m.d.comb += self.o.p.payload.eq(7 - 3 * self.i.p.address)
        with m.If(self.i.valid & (wait != self._delay)):
            m.d.sync += wait.eq(wait + 1)
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += wait.eq(0)
        return m


class SimulatedBoard:
    """A transport whose `read` lets simulated time pass. `to_board` and `to_host` may change,
    drop or add bytes on their way."""

    def __init__(self, params: LinkParams, delay: int = 0):
        self.params = params
        self.to_board: Callable[[bytes], bytes] = lambda data: data
        self.to_host: Callable[[bytes], bytes] = lambda data: data
        self.log: list[tuple[int, int]] = []
        """Items that the core took: (address, 0), (-1, last)."""
        self._line = bytearray()
        self._received = bytearray()
        self._cycles = 0

        m = Module()
        m.submodules.link = self.link = link = HostLink(params)
        m.submodules.core = core = EchoCore(params.n_inputs, params.output_width, delay)
        connect(m, link.events, core.i)
        connect(m, core.o, link.results)
        self.sim = Simulator(m)
        self.sim.add_clock(CYCLE)
        self.sim.add_process(self._watch)
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
                self.log.append((-1, item.last) if item.token else (item.address, 0))

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
        "input": {"shape": [params.n_inputs], "size": params.n_inputs, "max_events": 3},
        "output": {
            "size": params.n_outputs,
            "kind": "membrane" if width else "spikes",
            "payload_width": width,
        },
        "steps": None,
        **changes,
    }


@pytest.fixture
def simulated() -> Callable[..., tuple[SimulatedBoard, dict[str, Any]]]:
    """Makes simulated boards: `simulated(n=5, width=0, delay=0)` -> transport, manifest."""

    def make(
        n: int = 5, width: int = 0, delay: int = 0, buffer: int = 512
    ) -> tuple[SimulatedBoard, dict[str, Any]]:
        params = LinkParams(
            n_inputs=n, n_outputs=n, output_width=width, design_hash=bytes(range(16)), divisor=4,
            max_payload=32, buffer=buffer,
        )  # fmt: skip
        return SimulatedBoard(params, delay), manifest(params)

    return make
