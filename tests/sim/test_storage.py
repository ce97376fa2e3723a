# SPDX-License-Identifier: Apache-2.0
"""Every storage of weights, golden = RTL = gates, every cycle as predicted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from designs import make_network, make_samples

from spikefab.gen.bounds import accumulator_range
from spikefab.gen.cost import predict_cycles
from spikefab.gen.emit import TargetInfo, emit
from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget
from spikefab.gen.plan import make_plan
from spikefab.gen.qnetwork import QLayer, QNetwork
from spikefab.gen.storage import Choice
from spikefab.sim.gates import cells_used
from spikefab.sim.golden import run_golden
from spikefab.sim.rtl import simulate_rtl

TARGETS = {
    "ecp5": (
        Budget(lut=24_288, ff=24_288, ram=56, dsp=28, family="ecp5"),
        TargetInfo(kind="device", name="ecp5-25f", device="LFE5U-25F", family="ecp5"),
    ),
    "ice40": (
        Budget(lut=5_280, ff=5_280, ram=30, dsp=8, spram=4, family="ice40"),
        TargetInfo(kind="device", name="up5k", device="iCE40UP5K", family="ice40"),
    ),
}


def network(binary: bool = False) -> QNetwork:
    """Two layers, the second one's weights ternary, or both layers' binary."""
    qnet = make_network([24, 14, 9], threshold=(6,))
    if binary:
        return replace(qnet, layers=tuple(map(signs, qnet.layers)))
    second = qnet.layers[1]
    weights = np.sign(second.weights).astype(np.int8)
    synapse = replace(second.synapse, weight_width=2, acc_min=-14, acc_max=14)
    second = replace(second.with_weights(weights), ternary=True, synapse=synapse)
    return replace(qnet, layers=(qnet.layers[0], second))


def signs(layer: QLayer) -> QLayer:
    """The layer with the signs of its weights."""
    weights = np.where(layer.weights < 0, -1, 1).astype(np.int8)
    low, high = accumulator_range(weights, 1)
    synapse = replace(
        layer.synapse, weight_width=1, acc_min=int(low.min()), acc_max=int(high.max())
    )
    return replace(layer.with_weights(weights), synapse=synapse)


@pytest.mark.parametrize(
    ("binary", "family", "storage", "cells"),
    [
        (False, "ice40", ("spram", "block"), {"SB_SPRAM256KA": 2, "SB_RAM40_4K": 1}),
        (False, "ice40", ("logic", "spram"), {"SB_SPRAM256KA": 1}),
        (False, "ecp5", ("lutram", "block"), {"TRELLIS_DPR16X4": None, "DP16KD": 1}),
        (False, "ecp5", ("logic", "lutram"), {"TRELLIS_DPR16X4": None, "DP16KD": 0}),
        (True, "ice40", ("spram", "block"), {"SB_SPRAM256KA": 1, "SB_RAM40_4K": 1}),
        (True, "ecp5", ("logic", "lutram"), {"TRELLIS_DPR16X4": None, "DP16KD": 0}),
    ],
)
def test_storage(
    binary: bool,
    family: str,
    storage: tuple[Choice, Choice],
    cells: dict[str, int | None],
    tmp_path: Path,
) -> None:
    budget, target = TARGETS[family]
    qnet = network(binary)
    # Groups that fit in rings: the only memories are those of the weights.
    plan = make_plan(qnet, budget, lanes=[7, 5], storage=storage)
    assert plan.core.layers[1].synapse.trits != binary
    design = emit(plan, tmp_path / "design", target=target)
    x = make_samples(qnet, 3, 5)
    golden = run_golden(qnet, x)
    spikes = [golden.spikes[layer.name] for layer in qnet.layers]
    assert spikes[-1].any()
    predicted = predict_cycles(plan.core, x, spikes)
    for engine in ("rtl", "gates"):
        result = simulate_rtl(design, x, engine=engine, back_pressure=0.3)  # type: ignore[arg-type]
        np.testing.assert_array_equal(result.spikes, spikes[-1])
        np.testing.assert_array_equal(result.cycles, predicted.cycles)
        np.testing.assert_array_equal(result.interval, predicted.interval)
    used = cells_used(design.build / "simulate" / "gates")
    for cell, count in cells.items():
        assert used.get(cell, 0) == count if count is not None else used[cell] > 0


def test_a_word_that_is_not_loaded_shows(tmp_path: Path) -> None:
    """The simulation really loads what it reads."""
    budget, target = TARGETS["ice40"]
    qnet = network()
    design = emit(
        make_plan(qnet, budget, lanes=[7, 5], storage="spram"), tmp_path / "d", target=target
    )
    x = make_samples(qnet, 3, 5)
    golden = run_golden(qnet, x).spikes[qnet.layers[-1].name]
    file = design.path / "memory" / "load.hex"
    words = file.read_text().split()
    assert len(words) == design.manifest["load"]["words"]
    file.write_text("\n".join(["0000"] * len(words)) + "\n")
    assert (simulate_rtl(design, x).spikes != golden).any()
    file.unlink()
    with pytest.raises(InputError, match=r"load\.hex: no such file; compile the design again"):
        simulate_rtl(design, x)
