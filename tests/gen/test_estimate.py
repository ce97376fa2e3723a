# SPDX-License-Identifier: Apache-2.0
"""Resources: block RAMs against a search of every way to tile a memory, designs against what
synthesis and nextpnr's packer make of them. Recorded numbers here, the tools themselves in the slow
set: ``./scripts/test --slow tests/gen/test_estimate.py``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from designs import BUDGETS, TARGETS, make_network
from packing import Example, map_memories, pack, pack_example

from spikefab.boards.target import find_target
from spikefab.gen.cells import Budget, Resources, adder, bits_for, choice, compare, memory, rom
from spikefab.gen.emit import emit
from spikefab.gen.estimate import estimate_core, estimate_layer, weight_memory
from spikefab.gen.plan import make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.storage import Choice
from spikefab.hdl.params import (
    CoreParams,
    CurrentParams,
    InputParams,
    LayerParams,
    StopParams,
    SynapseOrder,
)

BIG = Budget(lut=10**6, ff=10**6, ram=10**4, dsp=100, family="ecp5")

SHAPES = {
    "ecp5": [(36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)],
    "ice40": [(16, 256), (8, 512), (4, 1024), (2, 2048)],
}
"""Width and depth of one block, from the vendors' memory guides."""


def close(found: Resources, lut: int, ff: int, ram: int, dsp: int = 0, spram: int = 0) -> None:
    """Within 15 % of packed designs where logic is estimated, exact where blocks are counted."""
    assert found.lut == pytest.approx(lut, rel=0.15)
    assert found.ff == pytest.approx(ff, rel=0.15)
    assert (found.ram, found.dsp, found.spram) == (ram, dsp, spram)


@cache
def one_shape(width: int, depth: int, family: str) -> int:
    """Fewest blocks of one shape that cover every bit: a grid laid bit by bit."""
    best = width * depth
    for w, d in SHAPES[family]:
        columns = len(range(0, width, w))
        rows = len(range(0, depth, d))
        best = min(best, columns * rows)
    return best


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_deep_memories_take_the_fewest_blocks(family: str) -> None:
    for width in (1, 2, 3, 4, 8, 9, 16, 18, 32, 36, 64, 72):
        for depth in (2048, 4096, 5000, 16384):
            found = memory(width, depth, family).ram
            bits = SHAPES[family][0][0] * SHAPES[family][0][1]
            assert -(-width * depth // bits) <= found <= one_shape(width, depth, family)
            if family == "ecp5":
                assert found == one_shape(width, depth, family)


@pytest.mark.parametrize(
    ("family", "width", "depth", "ram", "ff"),
    [
        # As Yosys maps them: registers, LUT RAM, block RAM.
        ("ecp5", 1, 4, 0, 5),
        ("ecp5", 8, 16, 0, 8),
        ("ecp5", 20, 63, 0, 20),
        ("ecp5", 16, 81, 1, 0),
        ("ice40", 7, 9, 0, 70),
        ("ice40", 8, 9, 1, 0),
        ("ice40", 33, 5, 0, 198),
        ("ice40", 33, 64, 3, 0),
    ],
)
def test_small_memories(family: str, width: int, depth: int, ram: int, ff: int) -> None:
    found = memory(width, depth, family)
    assert (found.ram, found.ff) == (ram, ff)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ecp5-25f", "up5k"])
def test_memories_as_yosys_maps_them(name: str, tmp_path: Path) -> None:
    """Around the sizes at which it changes its mind."""
    target = find_target(name)
    shapes = [(w, d) for w in (7, 8, 16, 20, 37) for d in (3, 5, 9, 33, 63, 64, 65, 81, 129, 600)]
    found = map_memories(shapes, target, tmp_path)
    assert found == [memory(w, d, target.family).ram for w, d in shapes]


def test_cells_of_arithmetic() -> None:
    assert [adder(w, "ecp5") for w in (1, 2, 3, 8, 9)] == [1, 2, 5, 9, 11]
    assert adder(9, "ice40") == 9
    # Four bits in the first table, three more in each further one; none for the zeros.
    assert [compare(w, 1) for w in (1, 4, 5, 7, 8)] == [1, 1, 2, 2, 3]
    assert compare(8, 16) == 1
    assert [choice(n) for n in (1, 2, 4, 8)] == [0, 1, 3, 6]
    assert [bits_for(n) for n in (1, 2, 3, 256, 257)] == [0, 1, 2, 8, 9]
    assert rom(16, 2, "ecp5") == Resources()
    assert rom(16, 16, "ecp5") == Resources(lut=16, ff=16)
    assert rom(36, 512, "ecp5") == Resources(ram=1)


def layer(sizes: list[int], lanes: int, **neuron: Any) -> LayerParams:
    network = make_network(sizes, **neuron)
    return make_plan(network, BIG, lanes=lanes, storage="block").core.layers[0]


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
@pytest.mark.parametrize(("n_in", "n", "lanes"), [(784, 128, 64), (64, 10, 5), (8, 40, 1)])
def test_block_rams_of_weights(n_in: int, n: int, lanes: int, family: str) -> None:
    params = layer([n_in, n], lanes)
    need = weight_memory(params, family)
    assert need.ram <= one_shape(params.lanes * 4, n_in * params.groups, family)


def test_one_lane_more_is_dearer() -> None:
    base = estimate_layer(layer([64, 24], 6), "ecp5")
    more = estimate_layer(layer([64, 24], 8), "ecp5")
    assert more.lut > base.lut
    assert more.ff > base.ff


@pytest.mark.parametrize(
    "change",
    [
        {"membrane_width": 24},
        {"count_width": 3},
        {"bias": (5,)},
        {"v_min": (-40,)},
        {"reset_time": "next-after-leak", "reset_correction": True},
        {"leak_num": (0b1011,), "leak_shift": 4},
    ],
)
def test_what_costs_logic(change: dict[str, Any]) -> None:
    base = layer([64, 24], 6)
    dearer = replace(base, neuron=replace(base.neuron, **change))
    assert estimate_layer(dearer, "ecp5").lut > estimate_layer(base, "ecp5").lut


def test_multipliers_where_leaks_differ_within_a_lane() -> None:
    shared = layer([8, 12], 4)
    varied = replace(shared, neuron=replace(shared.neuron, leak_num=tuple(range(8)) + (0,) * 4))
    assert estimate_layer(shared, "ecp5").dsp == 0
    assert estimate_layer(varied, "ecp5").dsp == 4
    assert estimate_layer(replace(varied, lanes=12), "ecp5").dsp == 0


def test_budgets() -> None:
    budget = Budget(lut=10, ff=20, ram=3, dsp=1, family="ecp5")
    for need, words in (
        (Resources(lut=10, ff=20, ram=3), ""),
        (Resources(lut=11), "logic"),
        (Resources(ff=21), "flip-flops"),
        (Resources(ram=4), "block RAM"),
        (Resources(spram=1), "SPRAM"),
        (Resources(lut=11, ff=21, ram=4), "logic"),
    ):
        assert budget.exceeded(need) == words
    one = Resources(lut=1, ff=2, ram=3, dsp=4, spram=5)
    assert one + one * 9 == Resources(lut=10, ff=20, ram=30, dsp=40, spram=50)


@pytest.mark.parametrize(
    "input", [None, InputParams(coding="rate", payload_width=4, steps=8, seed=1)]
)
def test_a_plan_counts_what_stands_around_the_layers(input: InputParams | None) -> None:
    network = make_network([8, 20, 10])
    other = replace(network, stop=StopParams(margins=(2,))) if input is None else replace(
        network, input=input
    )  # fmt: skip
    plain, more = (make_plan(q, BIG, lanes=2) for q in (network, other))
    assert more.resources.lut - plain.resources.lut > 200
    assert more.resources == estimate_core(more.core, "ecp5")


def changed(network: QNetwork, **fields: Any) -> QNetwork:
    """The network with another projection into its first layer."""
    first, *rest = network.layers
    synapse = replace(first.synapse, **fields)
    return replace(network, layers=(replace(first, synapse=synapse), *rest))


def graded(bits: int, steps: int = 0) -> QNetwork:
    """Values instead of spikes at the input; with `steps`, frames."""
    network = make_network([64, 32])
    synapse, most = network.layers[0].synapse, (1 << bits) - 1
    network = changed(
        network,
        payload_width=bits,
        acc_min=synapse.acc_min * most,
        acc_max=synapse.acc_max * most,
    )
    coding = "static" if steps else "spikes"
    values = InputParams(coding=coding, payload_width=bits, steps=steps)
    return replace(network, input=values, input_max=most)


def coded(n: int, **fields: Any) -> QNetwork:
    """A network behind an input coder."""
    return replace(make_network([n, 32]), input=InputParams(**fields))


def each(low: int, high: int) -> tuple[int, ...]:
    """Another number for each of 32 neurons."""
    return tuple(int(v) for v in np.random.default_rng(0).integers(low, high, 32))


def neurons(**fields: Any) -> QNetwork:
    return make_network([64, 32], saturate=False, **fields)


def through(order: SynapseOrder, **fields: Any) -> CurrentParams:
    """A synaptic current of 14 bits."""
    return CurrentParams(**{"width": 14, "leak_num": (7,), "leak_shift": 3} | fields, order=order)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A small core and what it takes."""

    name: str
    network: QNetwork
    family: str
    lanes: int = 16
    folds: int = 1
    storage: Choice = "block"
    cells: tuple[int, ...] = (0, 0, 0)
    """Logic cells, flip-flops, block RAMs; multipliers and SPRAMs where there are some."""

    def core(self) -> CoreParams:
        budget = BUDGETS[self.family]
        plan = make_plan(
            self.network, budget, lanes=self.lanes, folds=self.folds, storage=self.storage
        )
        return plan.core


PACKED = [
    Packed(name="plain", network=neurons(), family="ecp5", cells=(1238, 2014, 2)),
    Packed(name="one-lane", network=neurons(), family="ecp5", lanes=1, cells=(527, 248, 1)),
    Packed(name="memories", network=neurons(), family="ecp5", lanes=4, cells=(685, 586, 1)),
    Packed(
        name="folds", network=neurons(), family="ecp5", lanes=32, folds=4, cells=(1152, 1479, 4)
    ),
    Packed(
        name="clamp", network=neurons(v_min=(-40,)), family="ecp5", lanes=8, cells=(830, 1509, 1)
    ),
    Packed(
        name="late-reset",
        network=neurons(reset_time="next-after-leak"),
        family="ecp5",
        cells=(1188, 2226, 2),
    ),
    Packed(
        name="zero",
        network=neurons(reset="zero", leak_num=(53,), leak_shift=6),
        family="ecp5",
        cells=(2746, 2014, 2),
    ),
    Packed(
        name="multi-spike",
        network=neurons(count_width=3),
        family="ecp5",
        lanes=8,
        cells=(1079, 1715, 1),
    ),
    Packed(
        name="each-its-own",
        network=neurons(
            threshold=each(20, 60), bias=each(-20, 60), leak_num=each(200, 250), leak_shift=8
        ),
        family="ecp5",
        lanes=4,
        cells=(768, 742, 1, 4),
    ),
    Packed(
        name="current",
        network=neurons(current=through("decay-add-use")),
        family="ecp5",
        cells=(1753, 3186, 2),
    ),
    Packed(
        name="current-biases",
        network=neurons(current=through("add-use-decay", bias=(3,)), bias=(5,), bias_late=(6,)),
        family="ecp5",
        lanes=4,
        cells=(1110, 958, 1),
    ),
    Packed(
        name="current-discard",
        network=neurons(
            current=through("add-decay-use", leak_num=(13,), leak_shift=4),
            reset="zero",
            reset_time="next-discard",
        ),
        family="ecp5",
        lanes=8,
        cells=(1129, 2373, 1),
    ),
    Packed(
        name="current-each-its-own",
        network=neurons(current=through("add-decay-use", leak_num=each(100, 128), leak_shift=7)),
        family="ecp5",
        lanes=8,
        cells=(830, 2459, 1, 8),
    ),
    Packed(
        name="integrator",
        network=make_network([64, 10], integrator=True),
        family="ecp5",
        lanes=5,
        cells=(694, 956, 1),
    ),
    Packed(name="graded", network=graded(5), family="ecp5", cells=(2147, 2934, 2)),
    Packed(name="static", network=graded(3, 4), family="ecp5", cells=(2052, 2976, 2)),
    Packed(name="logic", network=neurons(), family="ecp5", storage="logic", cells=(1749, 2021, 0)),
    Packed(
        name="lutram", network=neurons(), family="ecp5", storage="lutram", cells=(2434, 2049, 0)
    ),
    Packed(
        name="rate",
        network=coded(200, coding="rate", payload_width=6, steps=20, seed=1),
        family="ecp5",
        lanes=4,
        cells=(1160, 979, 3),
    ),
    Packed(
        name="latency",
        network=coded(200, coding="latency", payload_width=6, steps=20),
        family="ecp5",
        lanes=4,
        cells=(1199, 917, 3),
    ),
    Packed(
        name="delta",
        network=coded(64, coding="delta", payload_width=4, threshold=2),
        family="ecp5",
        lanes=4,
        cells=(895, 757, 1),
    ),
    Packed(name="plain", network=neurons(), family="ice40", lanes=8, cells=(1617, 1368, 3)),
    Packed(name="one-lane", network=neurons(), family="ice40", lanes=1, cells=(341, 178, 5)),
    Packed(
        name="current",
        network=neurons(current=through("decay-add-use")),
        family="ice40",
        lanes=4,
        cells=(1989, 1761, 3),
    ),
    Packed(
        name="late-reset",
        network=neurons(reset_time="next-after-leak"),
        family="ice40",
        cells=(2710, 2226, 4),
    ),
    Packed(
        name="integrator",
        network=make_network([64, 10], integrator=True),
        family="ice40",
        lanes=5,
        cells=(1376, 956, 2),
    ),
    Packed(name="static", network=graded(3, 4), family="ice40", lanes=8, cells=(2449, 2100, 3)),
    Packed(
        name="spram",
        network=neurons(),
        family="ice40",
        lanes=8,
        storage="spram",
        cells=(1656, 1395, 1, 0, 2),
    ),
    Packed(
        name="logic",
        network=make_network([16, 32]),
        family="ice40",
        lanes=4,
        storage="logic",
        cells=(1573, 1127, 1),
    ),
    Packed(
        name="rate",
        network=coded(64, coding="rate", payload_width=4, steps=8, seed=1),
        family="ice40",
        lanes=4,
        cells=(1931, 1449, 4),
    ),
    Packed(
        name="latency",
        network=coded(64, coding="latency", payload_width=4, steps=8),
        family="ice40",
        lanes=4,
        cells=(1779, 1422, 6),
    ),
    Packed(
        name="delta",
        network=coded(64, coding="delta", payload_width=4, threshold=2),
        family="ice40",
        lanes=4,
        cells=(1569, 1312, 4),
    ),
]


@pytest.mark.parametrize("case", PACKED, ids=lambda case: f"{case.family}-{case.name}")
def test_recorded_cores(case: Packed) -> None:
    close(estimate_core(case.core(), case.family), *case.cells)


@pytest.mark.slow
@pytest.mark.parametrize("case", PACKED, ids=lambda case: f"{case.family}-{case.name}")
def test_recorded_cores_are_still_so(case: Packed, tmp_path: Path) -> None:
    """The tools again: what is recorded above is what they make now."""
    target = find_target("ecp5-25f" if case.family == "ecp5" else "up5k")
    plan = make_plan(
        case.network, BUDGETS[case.family], lanes=case.lanes, folds=case.folds, storage=case.storage
    )
    design = emit(plan, tmp_path / "design", target=TARGETS[target.name])
    found = pack(design.path, design.verilog.name, target, "spikefab_core")
    close(found, *case.cells)


A = "examples/mnist_static_784_128_10.nir"
B = "examples/mnist_static_676_256_10.nir"
C = "examples/mnist_static_up5k_196_64_10.nir"
DIGITS = "examples/digits.nir"
MNIST = "examples/mnist_784_128_10.nir"
SPIKER = "bench/mnist_784_128_10.toml"
SYNTZULU = "bench/up5k_32_64_128_64_12.toml"

STATIC: dict[str, Any] = {"input": "static", "steps": 4}

EXAMPLES = [
    *(Example(network=DIGITS, target=t) for t in ("ecp5-25f", "up5k", "ulx3s-25f", "icebreaker")),
    *(
        Example(network=DIGITS, target=t, input=coding)
        for t in ("ecp5-25f", "up5k")
        for coding in ("rate", "latency", "delta")
    ),
    Example(network=DIGITS, target="ecp5-25f", lanes=1, weight_bits=6),
    Example(network=DIGITS, target="ecp5-25f", lanes=16, folds=4, weight_bits=8),
    Example(network=DIGITS, target="up5k", lanes=8),
    Example(network=DIGITS, target="icebreaker", lanes=4, input="latency"),
    Example(network=MNIST, target="ecp5-25f"),
    Example(network=MNIST, target="ecp5-25f", lanes=16),
    Example(network=MNIST, target="up5k", lanes=8),
    Example(network=SPIKER, target="ecp5-25f"),
    Example(network=SPIKER, target="ecp5-25f", lanes=64),
    Example(network=SPIKER, target="ecp5-25f", lanes=128),
    Example(network=SPIKER, target="ecp5-25f", lanes=32, folds=8, weight_bits=6),
    Example(network=SPIKER, target="ulx3s-25f", lanes=64),
    Example(network=SYNTZULU, target="ecp5-25f"),
    Example(network=SYNTZULU, target="up5k"),
    Example(network=SYNTZULU, target="icebreaker"),
    Example(network=A, target="ecp5-25f", lanes=128, **STATIC),
    Example(network=A, target="ulx3s-25f", lanes=64, **STATIC),
    Example(network=B, target="ecp5-25f", **STATIC),
    Example(network=B, target="ecp5-25f", lanes=64, weight_bits=3, **STATIC),
    Example(network=C, target="ecp5-25f", **STATIC),
    Example(network=C, target="up5k", **STATIC),
    Example(network=C, target="icebreaker", **STATIC),
]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_examples(example: Example, tmp_path: Path) -> None:
    """What `compile` says of every shipped network, bare and on a board."""
    told, packed = pack_example(example, tmp_path)
    close(told, packed.lut, packed.ff, packed.ram, packed.dsp, packed.spram)
