# SPDX-License-Identifier: Apache-2.0
"""MNIST networks all the way: integers, Verilog, bitstream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from float_networks import make_network

from spikefab.boards.flow import bitstream_path, build
from spikefab.boards.target import find_target
from spikefab.examples import mnist
from spikefab.gen.load import load_network
from spikefab.gen.network import Network
from spikefab.gen.options import QuantiseOptions
from spikefab.scripts.pipeline import Samples, compile_design, prepare
from spikefab.sim.compare import first_mismatch
from spikefab.sim.fidelity import compare_to_reference
from spikefab.sim.golden import run_golden
from spikefab.sim.rtl import simulate_rtl

pytestmark = pytest.mark.slow


def own_samples(shared_data: Path, root: Path, part: str, count: int | None) -> Samples:
    pixels, labels = mnist.load(shared_data / "mnist", part)
    return Samples(x=mnist.encode(pixels[:count]), y=labels[:count], given=True)


@pytest.fixture(scope="module")
def own_network(root: Path) -> Network:
    """784-128-10, trained by examples/train_mnist.py."""
    return load_network(root / "examples" / "mnist_784_128_10.nir")


def test_own_network_keeps_its_accuracy(
    own_network: Network, shared_data: Path, root: Path
) -> None:
    test = own_samples(shared_data, root, "test", None)
    calibration = own_samples(shared_data, root, "train", 500)
    options = QuantiseOptions(weight_bits=4, steps=mnist.STEPS)
    qnet = prepare(own_network, options, calibration).qnet
    fidelity = compare_to_reference(own_network, qnet, test.x, test.y)
    assert fidelity.float_accuracy is not None
    assert fidelity.points_lost is not None
    print(f"784-128-10: {fidelity.float_accuracy:.2%} float, {fidelity.integer_accuracy:.2%} 4-bit")
    assert fidelity.float_accuracy >= 0.97
    assert fidelity.points_lost <= 0.5


def test_own_network_on_the_ulx3s(
    own_network: Network, shared_data: Path, root: Path, tmp_path: Path
) -> None:
    samples = own_samples(shared_data, root, "test", 100)
    options = QuantiseOptions(weight_bits=4, steps=mnist.STEPS)
    prepared = prepare(own_network, options, own_samples(shared_data, root, "train", 500))
    target = find_target("ulx3s-25f")
    design, _ = compile_design(prepared, target, tmp_path / "design", samples)
    golden = run_golden(prepared.qnet, samples.x)
    result = simulate_rtl(design, samples.x)
    last = prepared.qnet.layers[-1].name
    assert first_mismatch(golden.spikes, {last: result.spikes}) is None
    report = build(design, seeds=1)
    print(report)
    assert report["clock_met"]
    assert bitstream_path(design).stat().st_size > 10_000


def test_network_of_others_on_50_images(shared_data: Path, tmp_path: Path) -> None:
    """784-512-10 with its 2.4 Mbit of weights: only the 85F holds it."""
    with np.load(shared_data / "models" / "mnist_784_512_10.npz") as model:
        network = make_network([model["fc1"], model["fc2"]], "snntorch-subtract", steps=20)
    pixels, labels = mnist.load(shared_data / "mnist", "test")
    rng = np.random.default_rng(0)
    x = (rng.random((50, 20, 784)) < pixels[:50, None, :] / 996).astype(np.uint8)
    samples = Samples(x=x, y=labels[:50], given=True)
    prepared = prepare(network, QuantiseOptions(weight_bits=6, steps=20), samples)
    design, plan = compile_design(prepared, find_target("ecp5-85f"), tmp_path / "design", samples)
    assert not plan.budget.exceeded(plan.resources)
    assert find_target("ecp5-45f").capacity.ram < plan.resources.ram
    golden = run_golden(prepared.qnet, x)
    result = simulate_rtl(design, x)
    last = prepared.qnet.layers[-1].name
    assert first_mismatch(golden.spikes, {last: result.spikes}) is None
