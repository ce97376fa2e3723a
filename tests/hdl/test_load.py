# SPDX-License-Identifier: Apache-2.0
"""Loaded words: each finds its memory, its column and its row, whatever comes before it."""

from __future__ import annotations

import random
from typing import Any

from amaranth.sim import Simulator

from spikefab.gen.verilog import to_verilog
from spikefab.hdl.load import LoadDecoder, load_columns, load_words
from spikefab.hdl.params import LayerParams, NeuronParams, Storage, SynapseParams


def layer(n_in: int, n: int, lanes: int, storage: Storage) -> LayerParams:
    synapse = SynapseParams(n_in=n_in, n_out=n, weight_width=5, acc_min=-100, acc_max=100)
    neuron = NeuronParams(
        n=n, fraction_bits=0, membrane_width=12, leak_num=(1,), leak_shift=1, threshold=(10,)
    )
    return LayerParams(name="fc", synapse=synapse, neuron=neuron, lanes=lanes, storage=storage)


LAYERS = [
    layer(3, 7, 7, "spram"),  # 35 bits, 3 rows
    layer(7, 4, 1, "block"),
    layer(4, 5, 3, "lutram"),  # 15 bits, 8 rows
    layer(5, 4, 4, "spram"),  # 20 bits, 5 rows
]


def test_how_many_words() -> None:
    assert [load_columns(each) for each in LAYERS] == [3, 0, 1, 2]
    assert load_words(LAYERS) == 3 * 3 + 8 + 2 * 5
    assert load_words(LAYERS[1:2]) == 0


def test_every_word_is_written_once_where_it_belongs() -> None:
    """In order, then at random with pauses; not more cycles a word than there are columns."""
    places = [
        (k, column, row)
        for k, (columns, depth) in enumerate([(3, 3), (1, 8), (2, 5)])
        for column in range(columns)
        for row in range(depth)
    ]
    decoder = LoadDecoder(LAYERS)
    rng = random.Random(2)
    addresses = [*range(len(places)), *[rng.randrange(len(places)) for _ in range(100)]]
    items = [(address, rng.getrandbits(16)) for address in addresses]
    written: list[tuple[tuple[int, int, int], int]] = []
    waits = []

    async def watch(ctx: Any) -> None:
        ports = [decoder.port(k) for k in range(3)]
        fields = [getattr(port, name) for port in ports for name in ("write", "row", "data")]
        async for _, _, *values in ctx.tick().sample(*fields):
            for k in range(3):
                write, row, word = values[3 * k : 3 * k + 3]
                for column in range(3):
                    if write >> column & 1:
                        written.append(((k, column, row), word))

    async def feed(ctx: Any) -> None:
        for n, (address, word) in enumerate(items):
            while n >= len(places) and rng.random() < 0.3:
                await ctx.tick()
            ctx.set(decoder.i.payload, {"address": address, "data": word})
            ctx.set(decoder.i.valid, 1)
            cycles = 1
            while not ctx.get(decoder.i.ready):
                await ctx.tick()
                cycles += 1
            await ctx.tick()
            ctx.set(decoder.i.valid, 0)
            waits.append(cycles)
        await ctx.tick().repeat(10)

    sim = Simulator(decoder)
    sim.add_clock(1e-6)
    sim.add_process(watch)
    sim.add_testbench(feed)
    sim.run()
    assert written == [(places[address], word) for address, word in items]
    assert max(waits) <= 1 + 6


def test_to_verilog() -> None:
    assert "module decoder" in to_verilog(LoadDecoder(LAYERS), "decoder")
