# SPDX-License-Identifier: Apache-2.0
"""Where the mapper keeps weights: as asked, else as fits, and what it says."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from designs import make_network

from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget
from spikefab.gen.plan import Plan, make_plan
from spikefab.gen.qnetwork import QNetwork

ECP5 = Budget(lut=24_288, ff=24_288, ram=56, dsp=28, family="ecp5")
UP5K = Budget(lut=5_280, ff=5_280, ram=30, dsp=8, spram=4, family="ice40")


def kept(plan: Plan) -> list[str]:
    return [layer.storage for layer in plan.core.layers]


def ternary(qnet: QNetwork) -> QNetwork:
    layers = tuple(
        replace(
            layer.with_weights(np.sign(layer.weights)),
            ternary=True,
            synapse=replace(layer.synapse, weight_width=2),
        )
        for layer in qnet.layers
    )
    return replace(qnet, layers=layers)


def test_few_constants_are_logic_and_many_are_block_ram() -> None:
    plan = make_plan(make_network([100, 60, 40, 8]), ECP5, lanes=[20, 8, 2])
    assert kept(plan) == ["block", "block", "block"]
    plan = make_plan(make_network([100, 60, 16, 8]), ECP5, lanes=[20, 8, 8])
    assert kept(plan) == ["block", "block", "logic"]
    assert plan.storage_reasons[2].startswith("about 32 look-up tables: cheaper than block RAM")
    assert plan.resources.ram == 3 + 1


def test_asked_for() -> None:
    plan = make_plan(make_network([100, 60, 16]), ECP5, lanes=4, storage=["logic", "lutram"])
    assert kept(plan) == ["logic", "lutram"]
    assert all(reason.endswith("asked for") for reason in plan.storage_reasons)
    assert kept(make_plan(make_network([9, 8, 8]), ECP5, storage="block")) == ["block"] * 2
    assert kept(make_plan(make_network([9, 8, 8]), UP5K, storage=["spram"])) == ["spram"] * 2
    assert make_plan(make_network([9, 8]), UP5K, storage="spram").resources.spram == 2


def test_spram_where_block_ram_does_not_suffice() -> None:
    qnet = make_network([400, 128, 32, 10])
    plan = make_plan(qnet, replace(UP5K, ram=45), lanes=[8, 4, 2])
    assert kept(plan) == ["spram", "block", "block"]
    assert "block RAM does not suffice" in plan.storage_reasons[0]
    assert plan.resources.spram == 2
    # Not beyond what there is.
    assert (
        kept(make_plan(qnet, replace(UP5K, ram=45, spram=1), lanes=[8, 4, 2], share="never"))[0]
        == "block"
    )


def test_more_lanes_with_spram() -> None:
    """A network whose weights fill all blocks gets lanes from the SPRAMs' bandwidth."""
    qnet = make_network([400, 256, 10])
    assert make_plan(qnet, UP5K).core.layers[0].storage == "spram"
    assert make_plan(qnet, UP5K).resources.ram <= UP5K.ram


def test_ternary_weights_are_packed() -> None:
    qnet = ternary(make_network([100, 60, 16]))
    layers = make_plan(qnet, ECP5, lanes=10, storage="block").core.layers
    assert [layer.synapse.trits for layer in layers] == [True, True]
    assert [layer.word_width for layer in layers] == [16, 13]
    assert not make_plan(qnet, ECP5, lanes=2).core.layers[0].synapse.trits
    assert not make_plan(qnet, ECP5, lanes=10, storage="logic").core.layers[0].synapse.trits


def test_binary_weights_take_a_bit() -> None:
    """Whatever they are kept in."""
    qnet = make_network([784, 128, 16])
    layers = tuple(
        replace(
            layer.with_weights(np.where(layer.weights < 0, -1, 1)),
            synapse=replace(layer.synapse, weight_width=1),
        )
        for layer in qnet.layers
    )
    qnet = replace(qnet, layers=layers)
    for budget, storage in ((ECP5, "block"), (ECP5, "logic"), (ECP5, "lutram"), (UP5K, "spram")):
        core = make_plan(qnet, budget, lanes=[32, 16], storage=storage, share="never").core
        assert [layer.word_width for layer in core.layers] == [32, 16]
    plan = make_plan(qnet, ECP5, lanes=[32, 16], storage="block")
    # 3,136 words of 32 bits: six blocks of 16,384 bits would hold 98,304 of the 100,352.
    assert plan.resources.ram == 7 + 1
    assert make_plan(qnet, UP5K, lanes=[32, 16], storage=["spram", "block"]).resources.spram == 2


@pytest.mark.parametrize(
    ("budget", "asked", "words"),
    [
        (ECP5, "spram", "--storage spram: the target has no SPRAM (only the iCE40 UP5K has); use "
         "block, or auto"),
        (UP5K, "lutram", "--storage lutram: the target has no LUT RAM (ECP5 has); use block, logic "
         "or auto"),
        (ECP5, ["disk"], "--storage disk: unknown; it is one of auto, block, spram, lutram, logic"),
        (ECP5, ["block"] * 3, "--storage: 3 words for 2 layers (population0, population1); give "
         "one for all, or one a layer"),
    ],
)  # fmt: skip
def test_refused(budget: Budget, asked: list[str] | str, words: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        make_plan(make_network([4, 6, 3]), budget, storage=asked)  # type: ignore[arg-type]
