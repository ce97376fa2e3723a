# SPDX-License-Identifier: Apache-2.0
"""Grids that weights are on are found; others are chosen at least cost."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefab.gen.grid import find_grid, fit_binary, fit_grid, fit_ternary


@given(
    st.integers(2, 8),
    st.booleans(),
    st.floats(1e-4, 10),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_weights_on_a_grid_are_found_through_float32(
    bits: int, per_channel: bool, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    whole = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (6, 40))
    scales = scale * rng.uniform(0.5, 2, 6) if per_channel else np.full(6, scale)
    w = (whole * scales[:, None]).astype(np.float32).astype(np.float64)
    grid = find_grid(w, bits, per_channel)
    assert grid is not None
    assert grid.exact
    assert np.abs(grid.weights * grid.scale[:, None] - w).max() <= 1e-5 * np.abs(w).max()
    # The coarsest grid: the integers have no common factor that a smaller one would spare.
    assert np.abs(grid.weights).max() <= np.abs(whole).max()


def test_scales_that_float32_blurred_are_whole_again() -> None:
    w = (np.arange(-8, 8).reshape(2, 8) * np.float32(1 / 64)).astype(np.float64)
    grid = find_grid(w, 4, per_channel=False)
    assert grid is not None
    assert grid.scale.tolist() == [1 / 64]
    assert grid.weights.tolist() == np.arange(-8, 8).reshape(2, 8).tolist()


def test_weights_off_the_grid_or_too_wide_are_not_on_it() -> None:
    w = np.arange(-8, 8).reshape(2, 8) / 64
    assert find_grid(w, 3, per_channel=False) is None
    blurred = w.copy()
    blurred[1, 3] += 1e-3 / 64
    assert find_grid(blurred, 4, per_channel=False) is None
    assert find_grid(np.random.default_rng(0).normal(size=(10, 10)), 8, per_channel=False) is None


def test_one_bit_is_a_sign() -> None:
    w = np.array([[0.25, -0.25], [-0.25, -0.25]])
    grid = find_grid(w, 1, per_channel=False)
    assert grid is not None
    assert grid.weights.tolist() == [[1, -1], [-1, -1]]
    assert grid.scale.tolist() == [0.25]
    channels = find_grid(w * [[1], [3]], 1, per_channel=True)
    assert channels is not None
    assert channels.weights.tolist() == grid.weights.tolist()
    assert channels.scale.tolist() == [0.25, 0.75]
    assert find_grid(w * [[1], [3]], 1, per_channel=False) is None


@pytest.mark.parametrize("value", [0, 1e-9, 0.5, 0.2])
def test_one_bit_has_no_zero_and_no_second_magnitude(value: float) -> None:
    w = np.full((3, 700), -0.25)
    w[2, 650] = value
    assert find_grid(w, 1, per_channel=False) is None
    assert find_grid(w, 1, per_channel=True) is None
    assert find_grid(np.zeros((2, 3)), 1, per_channel=False) is None
    silent = np.array([[0.0, 0], [0.25, -0.25]])
    assert find_grid(silent, 1, per_channel=True) is None


def test_ternary_grid_has_no_minus_two() -> None:
    assert find_grid(np.array([[0.5, -0.5, 0]]), 2, False, ternary=True) is not None
    assert find_grid(np.array([[0.5, -1.0, 0]]), 2, False, ternary=True) is None


def test_silent_rows_and_layers_have_a_scale() -> None:
    grid = find_grid(np.array([[0.0, 0], [0.5, -0.25]]), 4, per_channel=True)
    assert grid is not None
    assert grid.scale.tolist() == [0.25, 0.25]
    silent = find_grid(np.zeros((2, 3)), 4, per_channel=False)
    assert silent is not None
    assert silent.scale.tolist() == [1.0]


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_clip_search_is_no_worse_than_the_full_range(bits: int, per_channel: bool) -> None:
    w = np.random.default_rng(1).standard_t(4, size=(20, 100))
    grid = fit_grid(w, bits, per_channel)
    error = np.square(w - grid.weights * grid.scale[:, None]).sum()
    top = (1 << (bits - 1)) - 1
    peak = np.abs(w).max(axis=1, keepdims=True) if per_channel else np.abs(w).max()
    plain = np.square(w - np.clip(np.rint(w / (peak / top)), -top - 1, top) * peak / top).sum()
    assert error <= plain * (1 + 1e-6)
    assert grid.weights.min() >= -top - 1
    assert grid.weights.max() <= top
    assert len(grid.scale) == (20 if per_channel else 1)


def test_scale_a_channel_costs_less_than_one_for_all() -> None:
    rng = np.random.default_rng(2)
    w = rng.normal(size=(8, 60)) * np.geomspace(0.01, 1, 8)[:, None]
    whole, each = fit_grid(w, 4, False), fit_grid(w, 4, True)
    error = [np.linalg.norm(w - g.weights * g.scale[:, None], axis=1) for g in (whole, each)]
    assert (error[1] / np.linalg.norm(w, axis=1) < 0.2).all()
    assert (error[0] / np.linalg.norm(w, axis=1)).max() > 0.5


def test_recorded_spikes_weigh_the_error() -> None:
    rng = np.random.default_rng(3)
    w = rng.normal(size=(5, 40)) * 0.1
    w[:, :4] *= 3  # Large weights on inputs that fire once.
    x = (rng.random((300, 40)) < 0.3).astype(int)
    x[:, :4] = 0
    x[0, :4] = 1

    def cost(grid) -> float:  # type: ignore[no-untyped-def]
        return float(np.square(x @ (w - grid.weights * grid.scale[:, None]).T).sum())

    for bits in (3, 4, 6):
        assert cost(fit_grid(w, bits, False, x)) < 0.5 * cost(fit_grid(w, bits, False))
    assert cost(fit_ternary(w, False, x)) < cost(fit_ternary(w, False))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("recorded", [False, True])
def test_binary_takes_the_scale_that_costs_least(per_channel: bool, recorded: bool) -> None:
    rng = np.random.default_rng(7)
    w = rng.normal(size=(5, 40)) * np.geomspace(0.1, 1, 5)[:, None]
    x = (rng.random((100, 40)) < 0.3).astype(int) if recorded else np.zeros((0, 40), int)
    grid = fit_binary(w, per_channel, x if recorded else None)
    assert (grid.weights == np.sign(w)).all()
    assert not grid.exact
    assert len(grid.scale) == (5 if per_channel else 1)
    if not recorded:
        expected = np.abs(w).mean(axis=1) if per_channel else [np.abs(w).mean()]
        np.testing.assert_allclose(grid.scale, expected)

    def cost(scale: np.ndarray) -> np.ndarray:
        off = w - grid.weights * scale[:, None]
        rows = np.square(off).sum(axis=1) + np.square(off @ x.T).sum(axis=1)
        return rows if per_channel else rows.sum(keepdims=True)

    for factor in (0.97, 1.03):
        assert (cost(grid.scale) < cost(grid.scale * factor)).all()


def test_binary_threshold_becomes_a_whole_number_where_it_is_free() -> None:
    w = np.random.default_rng(8).normal(size=(20, 100)) * 0.1
    grid = fit_binary(w, False, unit=1.0)
    ratio = 64 / grid.scale[0]
    assert abs(ratio - round(ratio)) < 1e-9
    assert grid.scale[0] == pytest.approx(np.abs(w).mean(), rel=0.2)


def test_binary_zeros_become_plus_one() -> None:
    w = np.array([[0.0, -0.5, 1.0], [-0.25, 0.0, -0.5], [0.0, 0.0, 0.0]])
    signs = [[1, -1, 1], [-1, 1, -1], [1, 1, 1]]
    for x in (None, np.array([[1, 1, 0], [0, 1, 1]])):
        for per_channel in (False, True):
            grid = fit_binary(w, per_channel, x)
            assert grid.weights.tolist() == signs
            assert (grid.scale > 0).all()
    assert fit_binary(w, True).scale.tolist() == [0.5, 0.25, 0.25]
    silent = fit_binary(np.zeros((2, 3)), True)
    assert (silent.weights == 1).all()
    assert silent.scale.tolist() == [1, 1]


def test_binary_scale_is_above_zero_where_the_signs_turn_the_sums_round() -> None:
    w = np.array([[1.0, -0.1, -0.1, -0.1]])
    grid = fit_binary(w, False, np.full((50, 4), 9))
    assert grid.scale.tolist() == [pytest.approx(0.325)]


@pytest.mark.parametrize("bits", [3, 4, 6, 8])
def test_threshold_becomes_a_whole_number_where_it_is_free(bits: int) -> None:
    w = np.random.default_rng(4).normal(size=(20, 100)) * 0.1
    grid, free = fit_grid(w, bits, False, unit=1.0), fit_grid(w, bits, False)
    ratio = 64 / grid.scale[0]
    assert abs(ratio - round(ratio)) < 1e-9
    assert abs(64 / free.scale[0] - round(64 / free.scale[0])) > 1e-3
    error = [np.square(w - g.weights * g.scale[:, None]).sum() for g in (grid, free)]
    assert error[0] <= 1.051 * error[1]


def test_ternary_of_three_levels_with_noise_finds_them() -> None:
    rng = np.random.default_rng(5)
    levels = rng.integers(-1, 2, (10, 50))
    w = 0.7 * levels + rng.normal(size=levels.shape) * 0.05
    grid = fit_ternary(w, False)
    assert (grid.weights == levels).all()
    assert abs(grid.scale[0] - 0.7) < 0.02
    whole = fit_ternary(w, False, unit=2.0)
    assert (whole.weights == levels).all()
    assert whole.scale[0] in (2 / 3, 4 / 6, 4 / 5, 8 / 11, 16 / 23)


def test_large_layers_take_less_than_three_seconds() -> None:
    rng = np.random.default_rng(6)
    w, x = rng.normal(size=(512, 784)), rng.random((2000, 784)) < 0.1
    start = time.process_time()
    find_grid(w, 6, False)
    fit_grid(w, 6, False, x.astype(np.int16), 1.0)
    assert time.process_time() - start < 6  # Of all threads together.
