# SPDX-License-Identifier: Apache-2.0
"""The committed networks do what the README says of them, in float and in integers."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from spikefab.examples import digits, mnist
from spikefab.gen.load import load_network
from spikefab.gen.network import Network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.quantise import quantise
from spikefab.sim.golden import run_golden
from spikefab.sim.reference import run_reference

GRAPHS = {"digits.nir": (64, 48, 10), "mnist_784_128_10.nir": (784, 128, 10)}


def accuracy(spikes: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(spikes.sum(axis=1).argmax(axis=1) == labels))


def accuracies(
    network: Network, x: np.ndarray, labels: np.ndarray, bits: tuple[int, ...]
) -> tuple[float, list[float]]:
    """Accuracy in float, and in integers for each weight width."""
    last = network.populations[-1].name
    integer = [
        accuracy(
            run_golden(quantise(network, QuantiseOptions(weight_bits=b)), x).spikes[last], labels
        )
        for b in bits
    ]
    return accuracy(run_reference(network, x).spikes[last], labels), integer


@pytest.mark.parametrize("name", GRAPHS)
def test_graph_is_what_snntorch_exports(root: Path, name: str) -> None:
    graph = nir.read(root / "examples" / name)
    sizes = GRAPHS[name]
    for i in (1, 2):
        weight, lif = graph.nodes[f"fc{i}"].weight, graph.nodes[f"lif{i}"]
        assert weight.shape == (sizes[i], sizes[i - 1])
        assert weight.dtype == np.float32
        assert np.isfinite(weight).all()
        np.testing.assert_array_equal(lif.r, np.float32(8))
        np.testing.assert_array_equal(lif.v_threshold, np.float32(1))
        np.testing.assert_array_equal(lif.v_leak, np.float32(0))
        np.testing.assert_allclose(lif.tau, 8e-4, rtol=1e-6)
    assert (root / "examples" / name).stat().st_size <= 500_000


@pytest.mark.parametrize("name", GRAPHS)
def test_dialect_is_recognised(root: Path, name: str) -> None:
    network = load_network(root / "examples" / name)
    assert str(network.dialect) == "snntorch-subtract"


def test_digits_accuracy(root: Path) -> None:
    pixels, labels = digits.load()
    _, held_out = digits.split(labels)
    x, y = digits.encode(pixels[held_out]), labels[held_out]
    network = load_network(root / "examples" / "digits.nir", steps=digits.STEPS)
    in_float, integer = accuracies(network, x, y, (5, 6, 8))
    assert in_float >= 0.98
    assert min(integer) >= in_float - 0.005
    last = np.sort(run_reference(network, x).spikes["lif2"].sum(axis=1), axis=1)
    assert np.mean(last[:, -1] == last[:, -2]) < 0.02  # ties are rare


def test_mnist_accuracy(root: Path, shared_data: Path) -> None:
    if not (shared_data / "mnist").is_dir():
        pytest.skip(f"no MNIST at {shared_data / 'mnist'}")
    pixels, labels = mnist.load(shared_data / "mnist")
    x = mnist.encode(pixels)
    network = load_network(root / "examples" / "mnist_784_128_10.nir", steps=mnist.STEPS)
    in_float, integer = accuracies(network, x, labels, (4, 6))
    assert in_float >= 0.98
    assert min(integer) >= in_float - 0.005
