# SPDX-License-Identifier: Apache-2.0
"""The golden model's early stop, sample by sample and step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from designs import make_network

from spikefab.hdl.params import StopParams
from spikefab.sim.fidelity import predicted_class
from spikefab.sim.golden import run_golden
from spikefab.sim.stop import MAX_COUNT, leads, scores, steps_used


def used_by(margins: tuple[int, ...], score: np.ndarray) -> list[int]:
    out = []
    for sample in score.tolist():
        for t, values in enumerate(sample):
            best, second = sorted(values)[:-3:-1]
            margin = margins[min(t, len(margins) - 1)]
            if t == len(sample) - 1 or (margin and best - second >= margin):
                out.append(t + 1)
                break
    return out


@pytest.mark.parametrize("integrator", [False, True])
@pytest.mark.parametrize("margins", [(1,), (3,), (0, 2), (2, 0, 0, 1), (40, 0)])
def test_stopped_runs(integrator: bool, margins: tuple[int, ...]) -> None:
    qnet = make_network([12, 9, 5], integrator=integrator, threshold=(20,))
    if integrator:
        margins = tuple(20 * m for m in margins)
    x = np.random.default_rng(0).integers(0, 2, (30, 7, 12))
    names = [layer.name for layer in qnet.layers]
    plain = run_golden(qnet, x, record=names)
    assert (plain.steps_used == 7).all()
    score = plain.mem[names[1]] if integrator else plain.spikes[names[1]].cumsum(axis=1)
    wanted = used_by(margins, score)
    qnet = replace(qnet, stop=StopParams(margins=margins))
    stopped, full = (run_golden(qnet, x, record=names, full=full) for full in (False, True))
    assert stopped.steps_used.tolist() == full.steps_used.tolist() == wanted
    for name in names:
        np.testing.assert_array_equal(full.spikes[name], plain.spikes[name])
        np.testing.assert_array_equal(full.mem[name], plain.mem[name])
        for cut, whole in ((stopped.spikes, plain.spikes), (stopped.mem, plain.mem)):
            for sample, n in enumerate(wanted):
                np.testing.assert_array_equal(cut[name][sample, :n], whole[name][sample, :n])
                assert not cut[name][sample, n:].any()
    # The class is the one that the readout finds when the sample ends.
    mem = stopped.mem[names[1]] if integrator else None
    answers = predicted_class(stopped.spikes[names[1]], mem, stopped.steps_used)
    ends = score[np.arange(30), np.array(wanted) - 1]
    assert answers.tolist() == ends.argmax(axis=1).tolist()


def test_counts_stay_at_their_largest_value() -> None:
    spikes = np.zeros((1, 600, 2), np.int16)
    spikes[0, :, 0], spikes[0, :, 1] = 255, 250
    score = scores(spikes)
    assert score.max() == MAX_COUNT
    lead = leads(score)[0]
    assert lead.max() == 257 * 5
    assert lead[-1] == 0
    assert steps_used(StopParams(margins=(257 * 5,)), leads(score)) == [257]
