# SPDX-License-Identifier: Apache-2.0
"""A network of maps, from its design directory to the board: numbers outside, addresses inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conv_networks import AROUND, conv, layer, network, skip
from designs import BUDGETS, TARGETS

from spikefab.boards.shell import board_shell
from spikefab.gen.design import Design
from spikefab.gen.emit import Vectors, emit
from spikefab.gen.errors import InputError
from spikefab.gen.plan import make_plan
from spikefab.gen.qnetwork import QNetwork, QOutput
from spikefab.host.check import read_manifest
from spikefab.host.driver import Board
from spikefab.sim.golden import run_golden
from spikefab.sim.virtual import VirtualBoard


@pytest.fixture(scope="module")
def qnet() -> QNetwork:
    """Its output has two names."""
    made = skip()
    (out,) = made.outputs
    return replace(made, outputs=(out, QOutput(name="again", source=out.source)))


@pytest.fixture(scope="module")
def x(qnet: QNetwork) -> np.ndarray:
    return (np.random.default_rng(1).random((3, 5, *qnet.input_shape)) < 0.3).astype(np.uint8)


@pytest.fixture(scope="module")
def design(qnet: QNetwork, x: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Design:
    info = TARGETS["ulx3s-25f"]
    plan = make_plan(qnet, BUDGETS["ecp5"], lanes=2)
    spikes = run_golden(qnet, x).spikes["loop"]
    return emit(
        plan,
        tmp_path_factory.mktemp("maps") / "design",
        target=info,
        shell=board_shell(info.name, plan.core, plan.hash),
        vectors=Vectors(x=x, spikes=spikes, mem=None),
    )


def test_the_manifest_says_where_neurons_are(design: Design, qnet: QNetwork) -> None:
    manifest = design.manifest
    (given,), (shown, again) = manifest["inputs"], manifest["outputs"]
    assert again == shown | {"name": "again"}
    assert given["fields"] == {"shape": [1, 6, 5], "channel": [0, 0], "row": [3, 3],
                               "column": [0, 3]}  # fmt: skip
    assert (given["size"], manifest["input"]["addresses"]) == (30, 5 * 8 + 4 + 1)
    assert (shown["size"], manifest["output"]["addresses"]) == (18, 2 * 8 + 2 * 2 + 1 + 1)
    assert design.input_addresses == tuple(8 * y + x for y in range(6) for x in range(5))
    assert design.output_addresses[:4] == (0, 2, 4, 8)
    facts = read_manifest(design.path)
    np.testing.assert_array_equal(facts.input_addresses, design.input_addresses)
    np.testing.assert_array_equal(facts.output_addresses, design.output_addresses)
    assert [entry["structure"] and entry["structure"]["kind"] for entry in manifest["layers"]] == [
        "convolution"
    ] * len(qnet.layers)
    assert design.qnetwork().layers[0].neuron.n == 90


def test_its_readme_says_it_too(design: Design) -> None:
    text = (design.path / "README.md").read_text()
    assert (
        "channel (0 to 1) from bit 0, row (0 to 2) from bit 3, column (0 to 2) from bit 1" in text
    )
    assert "| 8 to 18 |" in text


def test_memories_hold_kernels(design: Design) -> None:
    words = (design.path / "memory" / "layer1_weights.hex").read_text().split()
    assert len(words) == 3 * 3 * 3 * 2  # input channels, kernel, words of output channels


def test_its_own_vectors_are_addresses(design: Design, qnet: QNetwork, x: np.ndarray) -> None:
    with np.load(design.path / "testbench" / "vectors.npz") as vectors:
        sent, spikes = vectors["x"], vectors["spikes"]
    np.testing.assert_array_equal(sent[..., design.input_addresses], x.reshape(3, 5, -1))
    expected = run_golden(qnet, x).spikes["loop"]
    np.testing.assert_array_equal(spikes[..., design.output_addresses], expected)
    assert (sent.sum(), spikes.sum()) == (x.sum(), expected.sum())


def test_the_virtual_board_equals_golden(design: Design, qnet: QNetwork, x: np.ndarray) -> None:
    expected = run_golden(qnet, x).spikes["loop"]
    with VirtualBoard(design) as virtual, Board.open(virtual.port, design.path) as board:
        result = board.run(x)
    assert expected.any()
    np.testing.assert_array_equal(result.spikes, expected)
    np.testing.assert_array_equal(result.scores, expected.sum(axis=1))
    addresses = np.array(design.output_addresses)
    # Of equal scores the one of the lowest address wins.
    order = np.argsort(addresses)
    wins = [order[np.argmax(score[order])] for score in expected.sum(axis=1)]
    np.testing.assert_array_equal(result.classes, wins)


def test_a_board_needs_an_address_an_integrator() -> None:
    deep = network(
        (1, 3, 3), layer("maps", ("in", conv((1, 3, 3), 3, 3, padding=AROUND)), spiking=False)
    )
    plan = make_plan(deep, BUDGETS["ecp5"])
    with pytest.raises(InputError, match="leave some unused: end with a dense layer"):
        board_shell("ulx3s-25f", plan.core, plan.hash)
