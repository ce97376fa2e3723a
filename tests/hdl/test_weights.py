# SPDX-License-Identifier: Apache-2.0
"""The weight memory: every word from its address, in each layout, and as many blocks as planned."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from spikefab.gen.verilog import to_verilog
from spikefab.hdl.memory_layout import plan_blocks
from spikefab.hdl.params import Family
from spikefab.hdl.weights import WeightMemory, pack_weights
from spikefab.sim.gates import cells_used, netlist


def contents(depth: int, width: int) -> list[int]:
    rng = random.Random(f"{depth} {width}")
    return [rng.getrandbits(width) for _ in range(depth)]


def test_a_word_holds_a_weight_a_lane() -> None:
    weights = [[1, -1], [2, -2], [3, -3]]  # 3 neurons, 2 sources, on 2 lanes
    assert pack_weights(weights, 2, 4) == [0x21, 0x03, 0xEF, 0x0D]


@pytest.mark.parametrize("family", ["", "ecp5", "ice40"])
@pytest.mark.parametrize(("depth", "width"), [(1, 3), (5, 40), (1100, 20), (3000, 45), (2500, 2)])
def test_words(depth: int, width: int, family: Family) -> None:
    """Addresses in turn, backwards and at random, a new one in every cycle."""
    words = contents(depth, width)
    memory = WeightMemory(words, width, family)
    rng = random.Random(1)
    addresses = [*range(depth), *reversed(range(depth))]
    addresses += [rng.randrange(depth) for _ in range(200)]
    got = []

    async def read(ctx: Any) -> None:
        for address in addresses + [0] * WeightMemory.LATENCY:
            ctx.set(memory.address, address)
            await ctx.tick()
            got.append(ctx.get(memory.word))

    sim = Simulator(memory)
    sim.add_clock(1e-6)
    sim.add_testbench(read)
    sim.run()
    # A word comes with the clock edge `LATENCY` after its address was there.
    assert got[WeightMemory.LATENCY - 1 : -1] == [words[a] for a in addresses]


class Several(wiring.Component):
    """Memories side by side: one synthesis for all."""

    def __init__(self, memories: list[WeightMemory]):
        self.memories = memories
        self.widths = [memory.width for memory in memories]
        super().__init__({"address": In(16), "words": Out(sum(self.widths))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = 0
        words: Signal = self.words
        for k, memory in enumerate(self.memories):
            m.submodules[f"memory{k}"] = memory
            m.d.comb += memory.address.eq(self.address)
            m.d.comb += words[at : at + memory.width].eq(memory.word)
            at += memory.width
        return m


@pytest.mark.parametrize(
    ("family", "cell", "shapes"),
    [
        ("ecp5", "DP16KD", [(784, 72), (1568, 40), (3100, 5), (8, 3), (2600, 31)]),
        ("ice40", "SB_RAM40_4K", [(300, 33), (1100, 6), (8, 3), (700, 21)]),
    ],
)
def test_blocks_after_synthesis(
    family: Family, cell: str, shapes: list[tuple[int, int]], tmp_path: Path
) -> None:
    several = Several([WeightMemory(contents(*shape), shape[1], family) for shape in shapes])
    (tmp_path / "design.v").write_text(to_verilog(several, "several"))
    folder = tmp_path / "gates"
    netlist(tmp_path / "design.v", family, folder, top="several")
    planned = sum(plan_blocks(*shape, family).n_blocks for shape in shapes)
    assert cells_used(folder)[cell] == planned
