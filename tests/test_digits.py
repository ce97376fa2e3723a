# SPDX-License-Identifier: Apache-2.0
"""The bundled digits: float, golden, Verilog, netlist and virtual board, spike for spike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikefab.boards.target import find_target
from spikefab.examples import digits
from spikefab.gen.design import Design
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.hdl.params import InputParams
from spikefab.host.driver import Board
from spikefab.scripts.pipeline import Samples, compile_design, prepare
from spikefab.sim.compare import first_mismatch
from spikefab.sim.fidelity import compare_to_reference
from spikefab.sim.golden import GoldenResult, run_golden
from spikefab.sim.rtl import Engine, simulate_rtl
from spikefab.sim.virtual import VirtualBoard

WEIGHT_BITS = 6


def samples(part: str) -> Samples:
    pixels, labels = digits.load()
    training, held_out = digits.split(labels)
    chosen = {"training": training, "held-out": held_out, "all": np.arange(len(labels))}[part]
    return Samples(x=digits.encode(pixels[chosen]), y=labels[chosen], given=True)


@pytest.fixture(scope="module")
def design(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Design:
    network = load_network(root / "examples" / "digits.nir", steps=digits.STEPS)
    prepared = prepare(network, QuantiseOptions(weight_bits=WEIGHT_BITS), samples("training"))
    out = tmp_path_factory.mktemp("digits") / "design"
    made, _ = compile_design(prepared, find_target("ulx3s-25f"), out, samples("held-out"), lanes=8)
    return made


def check_engine(design: Design, part: str, engine: Engine) -> None:
    x = samples(part).x
    golden, result = run_golden(design.qnetwork(), x), simulate_rtl(design, x, engine=engine)
    last = design.qnetwork().layers[-1].name
    assert first_mismatch(golden.spikes, {last: result.spikes}, labels=("golden", engine)) is None


def check_board(design: Design, part: str) -> GoldenResult:
    x = samples(part).x
    golden = run_golden(design.qnetwork(), x)
    last = design.qnetwork().layers[-1].name
    with VirtualBoard(design) as board, Board.open(board.port, design.manifest) as link:
        result = link.run(x)
        counters = link.counters()
    assert result.spikes is not None
    assert first_mismatch(golden.spikes, {last: result.spikes}) is None
    scores = golden.spikes[last].sum(axis=1)
    np.testing.assert_array_equal(result.scores, scores)
    np.testing.assert_array_equal(result.classes, scores.argmax(axis=1))
    np.testing.assert_array_equal(result.n_events_in, x.sum(axis=(1, 2)))
    assert (result.steps_used == x.shape[1]).all()
    assert (result.n_retries, counters.crc_errors, counters.overruns) == (0, 0, 0)
    return golden


def test_accuracy_on_held_out_images(root: Path, design: Design) -> None:
    network = load_network(root / "examples" / "digits.nir", steps=digits.STEPS)
    held_out = samples("held-out")
    fidelity = compare_to_reference(network, design.qnetwork(), held_out.x, held_out.y)
    assert fidelity.float_accuracy is not None
    assert fidelity.points_lost is not None
    assert fidelity.float_accuracy >= 0.97
    assert fidelity.points_lost <= 0.5


@pytest.mark.parametrize("engine", ["rtl", "gates"])
def test_every_held_out_image(design: Design, engine: Engine) -> None:
    check_engine(design, "held-out", engine)


def test_every_held_out_image_on_the_virtual_board(design: Design) -> None:
    check_board(design, "held-out")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["rtl", "gates"])
def test_all_images(design: Design, engine: Engine) -> None:
    check_engine(design, "all", engine)


@pytest.mark.slow
def test_all_images_on_the_virtual_board(design: Design) -> None:
    check_board(design, "all")


@pytest.mark.parametrize("coding", ["static", "graded"])
@pytest.mark.parametrize("board", ["ulx3s-25f", "icebreaker"])
def test_pixels_on_the_virtual_boards(root: Path, tmp_path: Path, board: str, coding: str) -> None:
    """The link carries pixels instead of spikes: one frame a sample, or values in two steps."""
    network = load_network(root / "examples" / "digits.nir", steps=digits.STEPS)
    pixels = np.asarray(digits.load()[0])[:12]
    x = np.rint(pixels * (7 / pixels.max())).astype(np.uint8).reshape(-1, *network.input_shape)
    steps = {"static": 4, "graded": 0}[coding]
    if coding == "graded":
        x = np.stack([x, x // 2], axis=1)
    params = InputParams(coding="static" if steps else "spikes", payload_width=3, steps=steps)
    given = Samples(x=x, y=None, given=True, input=params)
    prepared = prepare(network, QuantiseOptions(weight_bits=WEIGHT_BITS), given)
    design, _ = compile_design(prepared, find_target(board), tmp_path / "d", given, lanes=4)
    golden = run_golden(design.qnetwork(), x)
    with VirtualBoard(design) as virtual, Board.open(virtual.port, design.path) as link:
        result = link.run(x)
    last = design.qnetwork().layers[-1].name
    assert result.spikes is not None
    assert result.spikes.any()
    assert first_mismatch(golden.spikes, {last: result.spikes}) is None
    assert result.n_events_in.tolist() == np.count_nonzero(x.reshape(len(x), -1), axis=1).tolist()
