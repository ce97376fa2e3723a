# SPDX-License-Identifier: Apache-2.0
"""A recurrent network with two inputs and two outputs, one of them under two names, from its design
directory to the board."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from designs import BUDGETS, TARGETS, make_graph, make_samples

from spikefab.boards.shell import board_shell
from spikefab.gen.cost import predict_cycles
from spikefab.gen.design import Design
from spikefab.gen.emit import Vectors, emit
from spikefab.gen.plan import make_plan
from spikefab.gen.qnetwork import QNetwork, QOutput
from spikefab.host.driver import Board
from spikefab.sim.golden import run_golden
from spikefab.sim.outputs import by_population
from spikefab.sim.rtl import simulate_rtl
from spikefab.sim.virtual import VirtualBoard


@pytest.fixture(scope="module")
def network() -> QNetwork:
    """Two inputs meet in a layer that drives itself, and takes back what the next one makes of it.
    Its spikes are an output, beside an integrator over both."""
    qnet = make_graph(
        {"left": 9, "right": 4},
        {
            "hidden": (20, ["*hidden", "*context", "left", "right"]),
            "context": (11, ["hidden"]),
            "score": (5, ["right", "hidden", "context"]),
        },
        ["score", "hidden"],
        integrators=["score"],
    )
    score, hidden = qnet.outputs
    return replace(qnet, outputs=(score, QOutput(name="again", source="score"), hidden))


@pytest.fixture(scope="module")
def x(network: QNetwork) -> np.ndarray:
    return make_samples(network, 4, 7)


def put_out(network: QNetwork, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and membranes of the two outputs, side by side."""
    golden = run_golden(network, x)
    assert golden.spikes["hidden"].any()
    n = network.n_outputs
    spikes, mem = (np.zeros((*x.shape[:2], n), kind) for kind in (np.int16, np.int64))
    mem[..., :5] = golden.mem["score"]
    spikes[..., 5:] = golden.spikes["hidden"]
    return spikes, mem


@pytest.fixture(scope="module")
def design(network: QNetwork, x: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Design:
    info = TARGETS["ulx3s-25f"]
    plan = make_plan(network, BUDGETS["ecp5"], lanes=8)
    shell = board_shell(info.name, plan.core, plan.hash)
    spikes, mem = put_out(network, x)
    return emit(
        plan,
        tmp_path_factory.mktemp("graph") / "design",
        target=info,
        shell=shell,
        vectors=Vectors(x=x, spikes=spikes, mem=mem),
    )


def test_the_manifest_says_where_inputs_and_outputs_are(design: Design) -> None:
    inputs = [(node["name"], node["base"], node["size"]) for node in design.manifest["inputs"]]
    assert inputs == [("left", 0, 9), ("right", 9, 4)]
    outputs = [
        (node["name"], node["population"], node["base"], node["size"], node["kind"])
        for node in design.manifest["outputs"]
    ]
    assert outputs == [
        ("out_score", "score", 0, 5, "membrane"), ("again", "score", 0, 5, "membrane"),
        ("out_hidden", "hidden", 5, 20, "spikes"),
    ]  # fmt: skip
    assert design.manifest["output"]["kind"] == "mixed"
    assert design.manifest["output"]["size"] == 25
    sources = design.manifest["layers"][0]["sources"]
    assert [(s["name"], s["offset"], s["recurrent"]) for s in sources] == [
        ("hidden", 0, True), ("context", 20, True), ("left", 31, False), ("right", 40, False)
    ]  # fmt: skip


def test_its_readme_says_it_too(design: Design) -> None:
    text = (design.path / "README.md").read_text()
    assert "| right | 9 to 12 | events, at most 1 an address a step |" in text
    assert "| again | 0 to 4 | membrane |" in text
    assert "| out_hidden | 5 to 24 | spikes |" in text
    assert "a spike's payload is 1" in text
    assert ".draining  ()" in text
    verilog = (design.path / "design.v").read_text()
    assert "output draining;" in verilog


def test_verilog_equals_golden_in_any_order_of_events(
    design: Design, network: QNetwork, x: np.ndarray
) -> None:
    spikes, mem = put_out(network, x)
    for shuffle in (None, 5):
        result = simulate_rtl(design, x, back_pressure=0.4, seed=2, shuffle=shuffle)
        np.testing.assert_array_equal(result.spikes, spikes)
        assert result.mem is not None
        np.testing.assert_array_equal(result.mem["score"], mem[..., :5])
        if shuffle is None:
            plan = make_plan(network, BUDGETS["ecp5"], lanes=8)
            golden = run_golden(network, x)
            own = [golden.spikes[layer.name] for layer in network.layers]
            predicted = predict_cycles(plan.core, x, own)
            np.testing.assert_array_equal(result.cycles, predicted.cycles)
            np.testing.assert_array_equal(result.interval, predicted.interval)


@pytest.mark.parametrize("sources", [["front"], ["*back", "in"]])
def test_a_layer_that_only_feeds_back_is_recorded_to_its_end(
    sources: list[str], tmp_path: Path
) -> None:
    """Its last update comes after the output's last token; where it reads the input too, it may
    even have to take the input's."""
    network = make_graph(
        {"in": 30},
        {"front": (4, ["*back", "in"]), "back": (70, sources)},
        ["front"],
        threshold=(8,),
    )
    x = make_samples(network, 3, 2)
    plan = make_plan(network, BUDGETS["ecp5"], lanes=1)
    design = emit(plan, tmp_path / "design", target=TARGETS["ecp5-25f"])
    golden = run_golden(network, x, record=("front", "back"))
    result = simulate_rtl(design, x, record=("front", "back"), back_pressure=0.3)
    assert result.mem is not None
    for name in ("front", "back"):
        np.testing.assert_array_equal(result.mem[name], golden.mem[name])
        np.testing.assert_array_equal(result.hidden[name], golden.spikes[name])
    assert golden.spikes["front"].any()


def test_the_virtual_board_equals_golden(design: Design, network: QNetwork, x: np.ndarray) -> None:
    spikes, mem = put_out(network, x)
    with VirtualBoard(design) as virtual, Board.open(virtual.port, design.path) as board:
        result = board.run(x)
        without = board.run(x, events=False)
    assert result.spikes is not None
    assert result.mem is not None
    np.testing.assert_array_equal(result.spikes, spikes)
    np.testing.assert_array_equal(result.mem, mem)
    # The class is the first output's; the other one's spikes are counted.
    scores = np.where(np.arange(25) < 5, mem[:, -1], spikes.sum(axis=1))
    for answer in (result, without):
        np.testing.assert_array_equal(answer.scores, scores)
        np.testing.assert_array_equal(answer.classes, mem[:, -1, :5].argmax(axis=1))
    assert list(by_population(network, result.spikes)) == ["score", "hidden"]


@pytest.mark.slow
def test_its_netlist_equals_golden(design: Design, network: QNetwork, x: np.ndarray) -> None:
    spikes, mem = put_out(network, x)
    result = simulate_rtl(design, x, engine="gates")
    np.testing.assert_array_equal(result.spikes, spikes)
    assert result.mem is not None
    np.testing.assert_array_equal(result.mem["score"], mem[..., :5])


@pytest.mark.slow
def test_its_own_test_bench_passes(design: Design) -> None:
    run = [sys.executable, str(Path(design.path) / "testbench" / "run.py")]
    found = subprocess.run(run, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
