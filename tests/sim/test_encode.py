# SPDX-License-Identifier: Apache-2.0
"""The codings by their definitions, and how random the random numbers are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spikefab.hdl.params import InputParams
from spikefab.sim.encode import changed, encode, random_numbers

NEAR = [
    *((0, address) for address in (1, 2, 3, 31, 32, 33, 256)),
    *((step, 0) for step in (1, 2, 3, 16)),
    *((1, 1), (1, 2), (2, 4), (4, 16)),
]
"""Distances in steps and in inputs."""


def test_spikes_pass_and_frames_repeat() -> None:
    x = np.arange(12).reshape(2, 3, 2)
    assert encode(InputParams(), x) is x
    frames = encode(InputParams(coding="static", payload_width=4, steps=5), x)
    assert frames.shape == (2, 5, 3, 2)
    assert (frames == x[:, None]).all()


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("steps", [1, 2, 5, 20, 33])
def test_latency_is_linear(width: int, steps: int) -> None:
    """One spike, at round((steps - 1) * (1 - value / largest)); none for 0.

    As snnTorch's `spikegen.latency(linear=True, normalize=True, clip=True)` with a threshold below
    1 / largest.
    """
    top = (1 << width) - 1
    x = np.arange(top + 1)[None]
    spikes = encode(InputParams(coding="latency", payload_width=width, steps=steps), x)[0]
    assert spikes.sum(axis=0).tolist() == [0] + [1] * top
    exact = [(steps - 1) * (1 - v / top) for v in range(1, top + 1)]
    assert spikes.argmax(axis=0)[1:].tolist() == [round(t) for t in exact]
    # Nothing lies halfway between two steps, where roundings differ.
    assert all(abs(t - math.floor(t) - 0.5) > 1e-4 for t in exact)


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize("threshold", [1, 3])
def test_delta_compares_with_the_step_before(threshold: int, off: bool) -> None:
    """As snnTorch's `spikegen.delta`, with its -1 as spikes of further inputs."""
    x = np.array([[[0, 4], [3, 3], [1, 0], [1, 7]], [[5, 0], [5, 3], [2, 2], [0, 5]]])
    params = InputParams(coding="delta", payload_width=3, threshold=threshold, off=off)
    before = np.concatenate([np.zeros((2, 1, 2), int), x[:, :-1]], axis=1)
    spikes = encode(params, x)
    np.testing.assert_array_equal(spikes[..., :2], x - before >= threshold)
    if off:
        np.testing.assert_array_equal(spikes[..., 2:], before - x >= threshold)
    else:
        assert spikes.shape == x.shape
    np.testing.assert_array_equal(changed(x), x != before)
    # Unsigned bytes do not wrap, and halves are those of the first axis.
    image = x.astype(np.uint8).reshape(2, 4, 1, 2)
    assert encode(params, image).shape == (2, 4, 2 if off else 1, 2)
    np.testing.assert_array_equal(encode(params, image).reshape(spikes.shape), spikes)


@pytest.mark.parametrize("width", [1, 3, 8])
def test_rate_is_proportional(width: int) -> None:
    """Each value spikes with probability value / largest, within five standard deviations; the
    largest always, 0 never."""
    top, steps, inputs = (1 << width) - 1, 100, 1024
    for value in {0, 1, top // 3, top // 2 + 1, top - 1, top}:
        params = InputParams(coding="rate", payload_width=width, steps=steps, seed=7)
        spikes = encode(params, np.full((1, inputs), value))[0]
        p = value / top
        spread = math.sqrt(p * (1 - p) / spikes.size)
        assert abs(spikes.mean() - p) <= 5 * spread + 2**-16
        if 0.2 < p < 0.8:
            # No input and no step is off either.
            for axis, n in ((0, steps), (1, inputs)):
                assert np.abs(spikes.mean(axis=axis) - p).max() <= 5 * math.sqrt(p * (1 - p) / n)


def test_rate_depends_on_seed_step_and_address_alone() -> None:
    a, b = random_numbers(1, 20, 700), random_numbers(2, 20, 700)
    np.testing.assert_array_equal(random_numbers(1, 5, 64), a[:5, :64])
    assert (a != b).mean() > 0.999
    # In one step every input has a number of its own.
    assert all(len(np.unique(row)) == 700 for row in a)
    params = InputParams(coding="rate", payload_width=4, steps=20, seed=1)
    x = np.random.default_rng(0).integers(0, 16, (2, 700))
    np.testing.assert_array_equal(encode(params, x)[1], encode(params, x[1:])[0])


@pytest.mark.parametrize("seed", [1, 2, 3, 0x80000000, 0xFFFFFFFF])
def test_random_numbers_are_not_correlated(seed: int) -> None:
    """Neighbouring inputs (in rows of 32 too), neighbouring steps, neighbouring seeds, and the two
    together: sample correlations of what exceeds a level, within five standard deviations."""
    draws = random_numbers(seed, 64, 1024).astype(np.int64)
    other = random_numbers(seed % (2**32 - 1) + 1, 64, 1024).astype(np.int64)
    for level in (1 << 12, 1 << 14, 1 << 15, 3 << 14):
        spikes, beside = draws < level, other < level
        pairs = {"seeds": (spikes, beside)}
        for step, address in NEAR:
            pairs[f"{step} steps, {address} inputs"] = (
                spikes[: 64 - step, : 1024 - address],
                spikes[step:, address:],
            )
            if step and address:
                pairs[f"{step} steps back, {address} inputs"] = (
                    spikes[step:, : 1024 - address],
                    spikes[: 64 - step, address:],
                )
        for name, (one, two) in pairs.items():
            correlation = np.corrcoef(one.ravel(), two.ravel())[0, 1]
            assert abs(correlation) < 5 / math.sqrt(one.size), (name, level)


def test_random_numbers_are_uniform() -> None:
    """Chi-squared over 256 bins, of all 65,536 inputs and of the first 784."""
    for inputs, steps in ((784, 50), (64, 200)):
        counts = np.bincount(random_numbers(1, steps, inputs).ravel() >> 8, minlength=256)
        expected = steps * inputs / 256
        chi = ((counts - expected) ** 2 / expected).sum()
        assert abs(chi - 255) < 5 * math.sqrt(2 * 255)
    # A step's numbers are a permutation.
    assert len(np.unique(random_numbers(9, 2, 1 << 16)[1])) == 1 << 16
