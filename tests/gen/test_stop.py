# SPDX-License-Identifier: Apache-2.0
"""Margins of the early stop: what calibration may lose, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from designs import make_network

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.stop import calibrate_margins, parse_margins, with_stop
from spikefab.hdl.params import InputParams, StopParams


def outcome(margins: tuple[int, ...], lead: np.ndarray, right: np.ndarray) -> tuple[int, int]:
    """Right answers and steps of all samples, sample by sample."""
    n_right = n_steps = 0
    for leads, answers in zip(lead.tolist(), right.tolist(), strict=True):
        for t, value in enumerate(leads):
            margin = margins[min(t, len(margins) - 1)]
            if t == len(leads) - 1 or (margin and value >= margin):
                n_right, n_steps = n_right + answers[t], n_steps + t + 1
                break
    return n_right, n_steps


def traces(seed: int, samples: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Leads that grow, and answers that are right the more often the larger the lead."""
    rng = np.random.default_rng(seed)
    lead = rng.poisson(0.8, (samples, steps)).cumsum(axis=1)
    right = rng.random((samples, steps)) < 1 - 0.5 * np.exp(-0.7 * lead)
    return lead, right


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("loss", [0.0, 0.5, 2.0, 10.0])
def test_calibration_keeps_its_promise(seed: int, loss: float) -> None:
    lead, right = traces(seed, 400, 9)
    stop = calibrate_margins(lead, right, loss)
    assert stop is not None
    n_right, n_steps = outcome(stop.margins, lead, right)
    assert n_right >= right[:, -1].sum() - loss / 100 * 400
    # No margin for all steps that keeps the promise too does with fewer steps.
    for margin in range(1, int(lead.max()) + 1):
        one_right, one_steps = outcome((margin,), lead, right)
        if one_right >= right[:, -1].sum() - loss / 100 * 400:
            assert n_steps <= one_steps
    # Nor does any step's own margin, made smaller alone.
    for t in range(len(stop.margins) - 1):
        for smaller in range(1, stop.margins[t]):
            tried = (*stop.margins[:t], smaller, *stop.margins[t + 1 :])
            fewer_right, fewer_steps = outcome(tried, lead, right)
            less = fewer_right < right[:, -1].sum() - loss / 100 * 400
            assert less or fewer_steps >= n_steps


def test_all_small_cases() -> None:
    """None where no margin for all steps keeps the promise; else it is kept."""
    none = 0
    for code in range(400):
        rng = np.random.default_rng(code)
        lead = rng.integers(0, 3, (4, 3))
        right = rng.random((4, 3)) < 0.6
        stop = calibrate_margins(lead, right, 25.0 * (code % 2))
        least = int(right[:, -1].sum()) - code % 2
        if stop is not None:
            assert outcome(stop.margins, lead, right)[0] >= least
            continue
        none += 1
        for margin in (1, 2):
            if (lead[:, :-1] >= margin).any():
                assert outcome((margin,), lead, right)[0] < least
    assert 0 < none < 200


def test_nothing_to_save() -> None:
    lead, right = np.zeros((5, 4), int), np.ones((5, 4), bool)
    assert calibrate_margins(lead, right) is None
    late = np.zeros((5, 4), bool)
    late[:, -1] = True
    assert calibrate_margins(lead + 1, late) is None
    assert calibrate_margins(np.ones((5, 1), int), np.ones((5, 1), bool)) is None


def test_long_samples_share_the_last_margin() -> None:
    lead, right = traces(3, 60, 300)
    stop = calibrate_margins(lead, right)
    assert stop is not None
    assert len(stop.margins) <= 256
    assert outcome(stop.margins, lead, right)[0] >= right[:, -1].sum()


def test_margins_are_read() -> None:
    assert parse_margins("4") == StopParams(margins=(4,))
    assert parse_margins("0, 3,2") == StopParams(margins=(0, 3, 2))
    for text in ("", "a", "-1", "1,,2", "1.5"):
        with pytest.raises(InputError, match="must be a whole number, or one a step"):
            parse_margins(text)
    with pytest.raises(InputError, match=r"--stop-margin 0: .* not all 0; leave the stop out"):
        parse_margins("0")


def test_what_a_network_cannot_have() -> None:
    with pytest.raises(InputError, match=r"early stop: .*outputs = 1: must be 2 to 1024"):
        with_stop(make_network([4, 1]), StopParams(margins=(1,)))
    wide = make_network([4, 3], integrator=True)
    with pytest.raises(InputError, match="margin = 65536: must be at most 65535"):
        with_stop(wide, StopParams(margins=(1 << 16,)))
    assert with_stop(wide, StopParams(margins=(65535,))).stop == StopParams(margins=(65535,))
    framed = replace(
        make_network([4, 3]), input=InputParams(coding="rate", payload_width=2, steps=5, seed=1)
    )
    with pytest.raises(InputError, match="margin 6: an output spikes at most 5 times in 5 steps"):
        with_stop(framed, StopParams(margins=(0, 6)))
    assert with_stop(framed, StopParams(margins=(5,))).stop is not None


def test_a_network_keeps_its_stop(tmp_path: Path) -> None:
    qnet = with_stop(make_network([4, 3]), StopParams(margins=(0, 3, 2)))
    qnet.save(tmp_path / "network.npz")
    assert QNetwork.load(tmp_path / "network.npz").stop == qnet.stop
    with_stop(qnet, None).save(tmp_path / "network.npz")
    assert QNetwork.load(tmp_path / "network.npz").stop is None
