# SPDX-License-Identifier: Apache-2.0
"""Resources: block RAMs against a search of every way to tile a memory; logic by its trends."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from designs import make_network

from spikefab.gen.estimate import Budget, Resources, blocks, estimate_layer, estimate_stop
from spikefab.gen.plan import make_plan
from spikefab.hdl.params import CoreParams, InputParams, LayerParams, StopParams

BIG = Budget(lut=10**6, ff=10**6, ram=10**4, dsp=100, family="ecp5")

SHAPES = {
    "ecp5": [(36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)],
    "ice40": [(16, 256), (8, 512), (4, 1024), (2, 2048)],
}
"""Width and depth of one block, from the vendors' memory guides."""


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
def test_blocks_of_a_memory(family: str) -> None:
    for width in (1, 2, 3, 4, 8, 9, 15, 16, 17, 18, 19, 32, 36, 37, 64, 72, 256, 512):
        for depth in (1, 2, 255, 256, 257, 511, 512, 513, 1024, 1025, 4096, 5000, 16384, 20000):
            assert blocks(width, depth, family) == one_shape(width, depth, family), (width, depth)


def layer(sizes: list[int], lanes: int, **neuron: Any) -> LayerParams:
    network = make_network(sizes, **neuron)
    return make_plan(network, BIG, lanes=lanes, storage="block").core.layers[0]


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
@pytest.mark.parametrize(
    ("n_in", "n", "lanes"),
    [
        (784, 128, 64),
        (784, 128, 128),
        (64, 10, 5),
        (200, 96, 4),
        (8, 40, 1),
        (100, 70, 1),
        (1, 1, 1),
    ],
)
def test_block_rams_of_a_layer(n_in: int, n: int, lanes: int, family: str) -> None:
    """Weights, then accumulators and membranes where more than a ring holds them, then the
    serialiser's queue where it is a memory."""
    params = layer([n_in, n], lanes)
    groups = params.groups
    expected = one_shape(params.lanes * 4, n_in * groups, family)
    if groups > 4 and (family == "ice40" or groups > 64):
        expected += one_shape(params.lanes * params.synapse.acc_width, groups, family)
        expected += one_shape(params.lanes * params.neuron.membrane_width, groups, family)
    if family == "ice40" and 2 * groups > 4:
        expected += one_shape(params.lanes + 12, 2 * groups, family)
    assert estimate_layer(params, family).ram == expected


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
        {"reset_time": "next-after-leak"},
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
        (Resources(lut=11, ff=21, ram=4), "logic"),
    ):
        assert budget.exceeded(need) == words
    assert Resources(lut=1, ff=2, ram=3, dsp=4) + Resources(lut=10, ff=20, ram=30, dsp=40) == (
        Resources(lut=11, ff=22, ram=33, dsp=44)
    )


@pytest.mark.parametrize(
    ("family", "n", "integrator", "steps", "lut", "ff", "ram"),
    [
        # As synthesised; on ECP5 a carry cell is two tables.
        ("ecp5", 10, False, 0, 296, 101, 0),
        ("ecp5", 10, False, 8, 128, 53, 0),
        ("ecp5", 100, False, 0, 527, 224, 1),
        ("ecp5", 10, True, 0, 154, 102, 0),
        ("ice40", 10, False, 0, 226, 123, 1),
        ("ice40", 10, False, 8, 130, 93, 0),
        ("ice40", 100, False, 0, 406, 224, 1),
        ("ice40", 10, True, 0, 133, 102, 0),
    ],
)
def test_early_stop(
    family: str, n: int, integrator: bool, steps: int, lut: int, ff: int, ram: int
) -> None:
    out = layer([2, n], 1, **({"spiking": False, "reset": "none"} if integrator else {}))
    fields: dict[str, Any] = {}
    if steps:
        fields["input"] = InputParams(coding="latency", payload_width=2, steps=steps)
    core = CoreParams(layers=(out,), stop=StopParams(margins=(1,)), **fields)
    found = estimate_stop(core, family)
    assert found.lut == pytest.approx(lut, rel=0.15)
    assert found.ff == pytest.approx(ff, rel=0.3)
    assert found.ram == ram
    assert estimate_stop(replace(core, stop=None), family) == Resources()


def test_a_plan_counts_its_early_stop() -> None:
    network = make_network([8, 20, 10])
    stopped = replace(network, stop=StopParams(margins=(2,)))
    plain, with_stop = (make_plan(q, BIG, lanes=2).resources for q in (network, stopped))
    assert with_stop.lut - plain.lut > 200
