# SPDX-License-Identifier: Apache-2.0
"""The NIR paper's N-MNIST network in integers, on recordings that it has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikefab.gen.load import load_network
from spikefab.gen.network import Network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.quantise import quantise
from spikefab.gen.samples import load_samples
from spikefab.scripts.main import main
from spikefab.sim.activity import record_activity
from spikefab.sim.fidelity import compare_to_reference

CALIBRATION = 64
"""Training recordings that scales are chosen on."""


@pytest.fixture(scope="module")
def network(shared_data: Path) -> Network:
    return load_network(
        shared_data / "nir" / "nirpaper_cnn_sinabs.nir",
        dialect="sinabs,norm_input=false,v_min=-threshold-if",
    )


def binned(source: Path, out: Path, bin_us: int, *options: str) -> tuple[np.ndarray, np.ndarray]:
    """300 ms of each recording in steps of `bin_us`, as `spikefab data` bins it."""
    if not source.is_file():
        pytest.skip(f"no {source}")
    words = ["--sensor", "34x34", "--bin-us", str(bin_us), "--steps", str(300_000 // bin_us)]
    assert main(["data", str(source), *words, *options, "-o", str(out)]) == 0
    x, y = load_samples(out, (2, 34, 34), None)
    assert y is not None
    return x, y


@pytest.mark.slow
@pytest.mark.parametrize("bin_us", [1000, 3000])
def test_rounding_costs_at_most_a_point(
    network: Network, bin_us: int, shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "nmnist"
    x, y = binned(folder / "test100.npz", tmp_path / "test.npz", bin_us)
    assert len(x) == 100
    count = ["--count", str(CALIBRATION)]
    seen, _ = binned(folder / "train1000.npz", tmp_path / "train.npz", bin_us, *count)
    activity = record_activity(network, seen, CALIBRATION)
    for bits in (8, 6, 4):
        most = max(int(x.max()), int(seen.max()))
        options = QuantiseOptions(weight_bits=bits, steps=x.shape[1], input_max=most)
        fidelity = compare_to_reference(network, quantise(network, options, activity), x, y)
        assert fidelity.float_accuracy is not None
        assert fidelity.float_accuracy >= 0.95
        assert fidelity.points_lost is not None
        # A recording is a point, so that the whole numbers between are those that float leaves.
        assert fidelity.points_lost < 1.001, f"{bits} bits"
        assert fidelity.agreement >= 0.97, f"{bits} bits"
