# SPDX-License-Identifier: Apache-2.0
"""A network that others trained, on real digits: what its integers cost."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from float_networks import make_network

from spikefab.gen.network import Network
from spikefab.gen.quantise import QuantiseOptions, quantise_with_report
from spikefab.sim.fidelity import compare_to_reference

STEPS = 20


@pytest.fixture(scope="module")
def network(shared_data: Path) -> Network:
    """784-512-10, snnTorch Leaky, beta = 1, threshold 1."""
    with np.load(shared_data / "models" / "mnist_784_512_10.npz") as model:
        return make_network([model["fc1"], model["fc2"]], "snntorch-subtract", steps=STEPS)


def coded_digits(shared_data: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `n` test images, a pixel p of which spikes with probability p/996 in a step."""
    folder = shared_data / "mnist"
    pixels = np.frombuffer(
        gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16
    ).reshape(-1, 784)[:n]
    labels = np.frombuffer(
        gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8
    )[:n]
    rng = np.random.default_rng(0)
    x = np.empty((n, STEPS, 784), np.uint8)
    for sample, image in zip(x, pixels, strict=True):
        sample[:] = rng.random((STEPS, 784)) < image / 996
    return x, labels.astype(np.int64)


@pytest.mark.parametrize("bits", [6, 5, 4])
@pytest.mark.parametrize("calibrated", [False, True])
def test_few_points_are_lost_on_500_images(
    network: Network, shared_data: Path, bits: int, calibrated: bool
) -> None:
    x, y = coded_digits(shared_data, 500)
    activity = {"input": x[:50].reshape(-1, 784)} if calibrated else None
    qnet, report = quantise_with_report(network, QuantiseOptions(weight_bits=bits), activity)
    result = compare_to_reference(network, qnet, x, y)
    assert result.float_accuracy is not None
    assert result.float_accuracy > 0.95
    assert result.points_lost is not None
    # 500 images move by 0.2 points each: this is a floor, the 10,000 are the measure.
    assert result.points_lost <= (0.8 if bits > 4 else 1.2)
    assert result.agreement >= 0.97
    # No leak, no bias, and the threshold a whole number of LSBs: no fraction is needed.
    assert report.layers[0].fraction_bits == 0
    assert not any(layer.neuron.saturate for layer in qnet.layers)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [6, 5])
def test_at_most_half_a_point_is_lost_on_all_10000(
    network: Network, shared_data: Path, bits: int
) -> None:
    x, y = coded_digits(shared_data, 10_000)
    qnet, _ = quantise_with_report(network, QuantiseOptions(weight_bits=bits))
    result = compare_to_reference(network, qnet, x, y)
    assert result.float_accuracy == pytest.approx(0.962, abs=0.003)
    assert result.points_lost is not None
    assert result.points_lost <= 0.5
