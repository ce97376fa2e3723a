# SPDX-License-Identifier: Apache-2.0
"""Lane use, counted by hand and in the simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from designs import make_design, make_network, make_samples

from spikefab.sim.golden import run_golden
from spikefab.sim.lane_use import count_lane_use


@pytest.mark.parametrize("lanes", [8, 3])
def test_counts_are_exact(tmp_path: Path, lanes: int) -> None:
    """Layer 0 is always offered its next item, and a pass of its neurons never waits here: an event
    costs `groups` cycles, and while a token is issued the next step's first event waits."""
    network = make_network((40, 8, 5))
    design = make_design(network, tmp_path / "d", "ecp5-25f", lanes=lanes)
    # A neuron update is long over when the next token comes.
    x = make_samples(network, 3, 4, rate=0.6)
    x[0, 0] = 0  # silent steps at the very start, and wherever `make_samples` has put them
    first, second = count_lane_use(design, x)
    groups = -(-8 // lanes)
    per_step = x.reshape(12, 40).sum(axis=1)
    assert first.events == per_step.sum()
    # Every busy step here comes behind a token.
    busy = np.count_nonzero(per_step)
    assert first.cycles == groups * (first.events + busy)
    assert first.share == first.events * 8 / (lanes * first.cycles)
    spikes = run_golden(network, x).spikes["population0"]
    assert second.events == spikes.sum()
    assert second.cycles >= second.events * -(-5 // min(lanes, 5))


def test_the_first_event_waits_for_nothing(tmp_path: Path) -> None:
    """One sample of one step: an event is offered for a cycle before it is issued."""
    network = make_network((6, 4))
    design = make_design(network, tmp_path / "d", "ecp5-25f", lanes=2)
    (use,) = count_lane_use(design, np.ones((1, 1, 6), np.int16))
    assert (use.events, use.cycles, use.lanes, use.fan_out) == (6, 1 + 6 * 2, 2, 4)
    assert use.share == 24 / 26
