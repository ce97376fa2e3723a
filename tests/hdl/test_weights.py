# SPDX-License-Identifier: Apache-2.0
"""The weight memory: every word from its address, in each layout, and as many blocks as planned."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from spikefab.gen.verilog import to_verilog
from spikefab.hdl.memories import LATENCY, BlockMemory, LogicMemory, LutMemory, Spram
from spikefab.hdl.memory_layout import plan_blocks
from spikefab.hdl.params import (
    Family,
    LayerParams,
    NeuronParams,
    Storage,
    SynapseParams,
    trit_bits,
)
from spikefab.hdl.trits import pack_trits, unpack_trits
from spikefab.hdl.weights import WeightMemory, pack_weights
from spikefab.sim.gates import cells_used, netlist


def contents(depth: int, width: int) -> list[int]:
    rng = random.Random(f"{depth} {width}")
    return [rng.getrandbits(width) for _ in range(depth)]


def layer(n_in: int, n: int, lanes: int, bits: int, *, trits: bool = False) -> LayerParams:
    synapse = SynapseParams(
        n_in=n_in, n_out=n, weight_width=bits, acc_min=-100, acc_max=100, trits=trits
    )
    neuron = NeuronParams(
        n=n, fraction_bits=0, membrane_width=12, leak_num=(1,), leak_shift=1, threshold=(10,)
    )
    return LayerParams(name="fc", synapse=synapse, neuron=neuron, lanes=lanes)


def test_a_word_holds_a_weight_a_lane() -> None:
    weights = [[1, -1], [2, -2], [3, -3]]  # 3 neurons, 2 sources, on 2 lanes
    assert pack_weights(layer(2, 3, 2, 4), weights) == [0x21, 0x03, 0xEF, 0x0D]


def test_a_word_of_binary_weights_holds_a_sign_a_lane() -> None:
    """Where there is no neuron it holds a 0: any bit would do."""
    weights = [[1, -1], [-1, -1], [-1, 1]]  # 3 neurons, 2 sources, on 2 lanes
    assert pack_weights(layer(2, 3, 2, 1), weights) == [0b10, 0b01, 0b11, 0b00]


@pytest.mark.parametrize("family", ["", "ecp5", "ice40"])
@pytest.mark.parametrize("storage", ["block", "spram", "lutram", "logic"])
def test_binary_weights_are_plus_and_minus_one(storage: Storage, family: Family) -> None:
    """Every storage: two's complement in the cycle in which the word comes, a bit a weight."""
    if (storage, family) in (("spram", "ecp5"), ("lutram", "ice40")):
        pytest.skip("no such memory")
    rng = random.Random(5)
    n_in, n, lanes = 9, 43, 20
    weights = [[rng.choice((-1, 1)) for _ in range(n_in)] for _ in range(n)]
    params = replace(layer(n_in, n, lanes, 1), storage=storage, family=family)
    assert (params.word_width, WeightMemory.latency(params.synapse)) == (20, LATENCY)
    memory = WeightMemory(params, weights)
    words = []
    for source in range(n_in):
        for group in range(params.groups):
            lane = [row[source] & 3 for row in weights[group * lanes : (group + 1) * lanes]]
            lane += [1] * (lanes - len(lane))
            words.append(sum(weight << 2 * k for k, weight in enumerate(lane)))
    read_all(memory, some_addresses(len(words)), words, memory.words, params.word_width)


@pytest.mark.parametrize("bits", range(1, 9))
def test_words_of_plain_weights_are_full(bits: int) -> None:
    """Padding is a bit of a word that belongs to no lane's weight."""
    for lanes in range(1, 129):
        assert layer(1, lanes, lanes, bits).word_width == lanes * bits


def test_words_of_ternary_weights_are_full() -> None:
    """Padding is a bit beyond the fewest that tell the lanes' weights apart."""
    for lanes in range(1, 1025):
        fewest = (3**lanes - 1).bit_length()
        width = layer(1, lanes, lanes, 2, trits=True).word_width
        assert width == trit_bits(lanes) >= fewest
        assert width - fewest <= 0.05 * width


@pytest.mark.parametrize("n", range(1, 6))
def test_trits(n: int) -> None:
    """All of them, there and back."""
    seen = set()
    for trits in product((-1, 0, 1), repeat=n):
        word = pack_trits(trits)
        assert 0 <= word < 1 << trit_bits(n)
        seen.add(word)
        assert unpacked(word, n) == list(trits)
    assert len(seen) == 3**n


def unpacked(word: int, n: int) -> list[int]:
    """What the hardware makes of a packed word."""
    m = Module()
    bits = Signal(trit_bits(n), init=word)
    out = Signal(2 * n)
    m.d.comb += out.eq(Cat(*unpack_trits(bits, n)))
    got = []

    async def read(ctx: Any) -> None:
        value = ctx.get(out)
        got.extend((value >> 2 * k & 1) - (value >> 2 * k & 2) for k in range(n))

    sim = Simulator(m)
    sim.add_testbench(read)
    sim.run()
    return got


def test_many_trits() -> None:
    rng = random.Random(3)
    for n in (6, 9, 13, 64):
        trits = [rng.choice((-1, 0, 1)) for _ in range(n)]
        word = pack_trits(trits)
        assert word < 1 << trit_bits(n)
        assert unpacked(word, n) == trits


def read_all(
    memory: Any,
    addresses: list[int],
    words: list[int],
    stored: list[int] | None = None,
    width: int | None = None,
) -> None:
    """Addresses, a new one in every cycle, give the words; loaded memories are loaded first.

    `stored`: what is loaded, `width` bits a word, where that is not what comes out."""
    got = []
    width = memory.width if width is None else width

    async def read(ctx: Any) -> None:
        if hasattr(memory, "load"):
            for row, word in enumerate(stored or words):
                for column in range(-(-width // 16)):
                    ctx.set(memory.load.row, row)
                    ctx.set(memory.load.data, word >> 16 * column & 0xFFFF)
                    ctx.set(memory.load.write, 1 << column)
                    ctx.set(memory.address, (row * 7) % len(words))
                    await ctx.tick()
            ctx.set(memory.load.write, 0)
        for address in addresses + [0] * LATENCY:
            ctx.set(memory.address, address)
            await ctx.tick()
            got.append(ctx.get(memory.word))

    sim = Simulator(memory)
    sim.add_clock(1e-6)
    sim.add_testbench(read)
    sim.run()
    # A word comes with the clock edge `LATENCY` after its address was there.
    assert got[LATENCY - 1 : -1] == [words[a] for a in addresses]


def some_addresses(depth: int) -> list[int]:
    rng = random.Random(1)
    return [
        *range(depth),
        *reversed(range(depth)),
        *[rng.randrange(depth) for _ in range(200)],
    ]


@pytest.mark.parametrize("family", ["", "ecp5", "ice40"])
@pytest.mark.parametrize(("depth", "width"), [(1, 3), (5, 40), (1100, 20), (3000, 45), (2500, 2)])
def test_words_in_block_ram(depth: int, width: int, family: Family) -> None:
    words = contents(depth, width)
    read_all(BlockMemory(words, width, family), some_addresses(depth), words)


@pytest.mark.parametrize(("depth", "width"), [(1, 3), (20, 40)])
def test_words_in_logic(depth: int, width: int) -> None:
    words = contents(depth, width)
    read_all(LogicMemory(words, width), some_addresses(depth), words)


@pytest.mark.parametrize(("depth", "width"), [(1, 3), (20, 40)])
def test_words_in_lut_ram(depth: int, width: int) -> None:
    """What is loaded replaces what was there."""
    words = contents(depth, width)
    read_all(LutMemory(words[::-1], width), some_addresses(depth), words)


@pytest.mark.parametrize(("depth", "width"), [(1, 3), (300, 40)])
def test_words_in_spram(depth: int, width: int) -> None:
    words = contents(depth, width)
    read_all(Spram(depth, width), some_addresses(depth), words)


def test_words_in_two_banks_of_spram() -> None:
    depth = 16384 + 100
    words = contents(depth, 5)
    read_all(Spram(depth, 5), [3, 16383, 16384, 5, depth - 1, 0, 16400, 16, 17], words)


class Several(wiring.Component):
    """Memories side by side: one synthesis for all."""

    def __init__(self, memories: list[BlockMemory]):
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
    several = Several([BlockMemory(contents(*shape), shape[1], family) for shape in shapes])
    (tmp_path / "design.v").write_text(to_verilog(several, "several"))
    folder = tmp_path / "gates"
    netlist(tmp_path / "design.v", family, folder, top="several")
    planned = sum(plan_blocks(*shape, family).n_blocks for shape in shapes)
    assert cells_used(folder)[cell] == planned
