# SPDX-License-Identifier: Apache-2.0
"""The early stop on the bundled digits: calibrated on one set of images, judged on another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikefab.boards.target import find_target
from spikefab.examples import digits
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.stop import calibrate_margins, with_stop
from spikefab.host.driver import Board
from spikefab.scripts.pipeline import Prepared, Samples, compile_design, prepare
from spikefab.sim.fidelity import predicted_class
from spikefab.sim.golden import run_golden
from spikefab.sim.rtl import simulate_rtl
from spikefab.sim.stop import leads, scores
from spikefab.sim.virtual import VirtualBoard


def samples(held: bool) -> Samples:
    pixels, labels = digits.load()
    chosen = digits.split(labels)[held]
    return Samples(x=digits.encode(pixels[chosen]), y=labels[chosen], given=True)


@pytest.fixture(scope="module")
def prepared(root: Path) -> Prepared:
    network = load_network(root / "examples" / "digits.nir", steps=digits.STEPS)
    training = samples(False)
    made = prepare(network, QuantiseOptions(weight_bits=6), training)
    score = scores(run_golden(made.qnet, training.x).spikes["lif2"])
    right = score.argmax(axis=2) == np.asarray(training.y)[:, None]
    stop = calibrate_margins(leads(score), right)
    return Prepared(network=network, qnet=with_stop(made.qnet, stop), report=made.report)


def test_half_of_the_steps_and_no_image(prepared: Prepared) -> None:
    held = samples(True)
    full = run_golden(prepared.qnet, held.x, full=True)
    stopped = run_golden(prepared.qnet, held.x)
    before, after = (predicted_class(g.spikes["lif2"]) == held.y for g in (full, stopped))
    assert after.sum() >= before.sum()
    assert stopped.steps_used.mean() < 0.5 * digits.STEPS


def test_the_verilog_does_the_same_in_half_the_cycles(prepared: Prepared, tmp_path: Path) -> None:
    held = samples(True)
    few = Samples(x=held.x[:40], y=None, given=True)
    design, _ = compile_design(prepared, find_target("ecp5-25f"), tmp_path / "a", few, lanes=8)
    golden, result = run_golden(prepared.qnet, few.x), simulate_rtl(design, few.x)
    np.testing.assert_array_equal(result.steps_used, golden.steps_used)
    np.testing.assert_array_equal(result.spikes, golden.spikes["lif2"])
    predicted = design.manifest["predicted"]
    assert result.cycles.mean() == predicted["cycles_per_inference"]
    assert result.interval.mean() == predicted["interval_cycles"]
    whole = Prepared(
        network=prepared.network, qnet=with_stop(prepared.qnet, None), report=prepared.report
    )
    other, _ = compile_design(whole, find_target("ecp5-25f"), tmp_path / "b", few, lanes=8)
    assert result.cycles.mean() < 0.6 * other.manifest["predicted"]["cycles_per_inference"]


@pytest.mark.slow
def test_netlist_and_virtual_board(prepared: Prepared, tmp_path: Path) -> None:
    held = samples(True)
    few = Samples(x=held.x[:60], y=None, given=True)
    golden = run_golden(prepared.qnet, few.x)
    design, _ = compile_design(prepared, find_target("ulx3s-25f"), tmp_path / "d", few, lanes=8)
    gates = simulate_rtl(design, few.x, engine="gates")
    np.testing.assert_array_equal(gates.steps_used, golden.steps_used)
    np.testing.assert_array_equal(gates.spikes, golden.spikes["lif2"])
    assert gates.cycles.mean() == design.manifest["predicted"]["cycles_per_inference"]
    with VirtualBoard(design) as board, Board.open(board.port, design.path) as link:
        result = link.run(few.x)
    np.testing.assert_array_equal(result.steps_used, golden.steps_used)
    np.testing.assert_array_equal(result.spikes, golden.spikes["lif2"])
    np.testing.assert_array_equal(result.classes, predicted_class(golden.spikes["lif2"]))
