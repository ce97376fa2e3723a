# SPDX-License-Identifier: Apache-2.0
"""The NIR paper's Braille graphs in 8-bit integers, on all recordings there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.quantise import quantise
from spikefab.sim.activity import record_activity
from spikefab.sim.fidelity import compare_to_reference

ZERO = "nirpaper_braille_noDelay_bias_zero"
SUBTRACT = "nirpaper_braille_noDelay_noBias_subtract"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graph", "dialect"),
    [
        (ZERO, "norse"),
        (ZERO, "snntorch-zero,reset_delay=false"),
        (SUBTRACT, "snntorch-subtract"),
        (SUBTRACT, "spyx"),
    ],
)
def test_rounding_costs_less_than_a_point(graph: str, dialect: str, shared_data: Path) -> None:
    with np.load(shared_data / "braille" / "braille7_pool.npz") as pool:
        bits, y = np.unpackbits(pool["spikes_packed"], axis=1), pool["labels"].astype(int)
    x = bits[:, : 256 * 12].reshape(-1, 256, 12)
    assert len(x) == 1158
    network = load_network(shared_data / "nir" / f"{graph}.nir", dialect=dialect, dt=1e-4)
    options = QuantiseOptions(weight_bits=8, steps=256)
    qnet = quantise(network, options, record_activity(network, x[:64]))
    fidelity = compare_to_reference(network, qnet, x, y)
    assert fidelity.float_accuracy is not None
    assert fidelity.float_accuracy > 0.94
    assert fidelity.points_lost is not None
    assert fidelity.points_lost < 1
    assert fidelity.agreement > 0.97
