# SPDX-License-Identifier: Apache-2.0
"""Leaks as integers over a power of two."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefab.gen.leak import leak_ratio


@pytest.mark.parametrize(
    ("decay", "num", "shift"),
    [(1.0, 1, 0), (0.0, 0, 0), (0.5, 1, 1), (0.75, 3, 2), (0.9375, 15, 4),
     (1 - 1 / 4096, 4095, 12), (65535 / 65536, 65535, 16)],
)  # fmt: skip
def test_representable_decays_are_exact_at_the_smallest_shift(
    decay: float, num: int, shift: int
) -> None:
    ratio = leak_ratio(np.array([decay, decay]), 0.01)
    assert (ratio.num.tolist(), ratio.shift, ratio.exact) == ([num, num], shift, True)
    assert ratio.error == 0


@pytest.mark.parametrize(("decay", "meant"), [(1 - 5e-7, 1), (1 + 5e-7, 1), (5e-7, 0)])
def test_float_noise_next_to_one_and_zero_is_cleaned(decay: float, meant: int) -> None:
    ratio = leak_ratio(np.array([decay]), 0.01)
    assert (ratio.num[0], ratio.shift) == (meant, 0)


def test_float32_of_a_representable_decay_is_exact() -> None:
    assert leak_ratio(np.array([np.float32(0.9375) + 2.0**-24]), 0.01).exact


@given(st.lists(st.floats(0, 1 - 1e-4), min_size=1, max_size=5), st.sampled_from([0.1, 0.01]))
def test_tolerance_is_kept_and_a_smaller_shift_would_not(
    decays: list[float], tolerance: float
) -> None:
    decay = np.array(decays)
    ratio = leak_ratio(decay, tolerance)
    assert (np.abs(ratio.value - decay) <= tolerance * (1 - decay) + 1e-6).all()
    if not ratio.exact and ratio.shift > 0:
        coarser = np.rint(decay * 2 ** (ratio.shift - 1)) / 2 ** (ratio.shift - 1)
        assert (np.abs(coarser - decay) > tolerance * (1 - decay)).any()


def test_decays_too_close_to_one_say_how_far_they_are_off() -> None:
    ratio = leak_ratio(np.array([1 - 2.7e-6]), 0.01)
    assert ratio.shift == 20
    assert 0.01 < ratio.error < 0.5
