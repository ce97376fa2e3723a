# SPDX-License-Identifier: Apache-2.0
"""How samples become the events of steps: the golden model of the input's coding.

`docs/input-coding.md` has the formulas.
"""

from __future__ import annotations

import numpy as np

from spikefab.hdl.params import InputParams

__all__ = ["changed", "encode", "random_numbers"]


def encode(coding: InputParams, x: np.ndarray) -> np.ndarray:
    """What each input of the first layer receives in each step: integers (samples, steps, *shape).

    `x`: samples as the coding takes them, checked: (samples, steps, *shape), or (samples, *shape)
    where the coding is framed. `delta` with `off` doubles the first axis of `shape`.
    """
    if coding.coding == "spikes":
        return x
    if coding.coding == "static":
        return np.broadcast_to(x[:, None], (len(x), coding.steps, *x.shape[1:]))
    if coding.coding == "rate":
        return _rate(coding, x)
    if coding.coding == "latency":
        return _latency(coding, x)
    return _delta(coding, x)


def changed(x: np.ndarray) -> np.ndarray:
    """Where a value is another than in the step before, or than 0 in a sample's first step: what is
    sent with `delta`. `x`: (samples, steps, *shape)."""
    out = x != 0
    out[:, 1:] = x[:, 1:] != x[:, :-1]
    return out


def _rate(coding: InputParams, x: np.ndarray) -> np.ndarray:
    top = coding.max_value
    # A value spikes below ceil(2**16 * value / top).
    need = np.array([-(-(v << 16) // top) for v in range(top + 1)], np.uint32)
    draws = random_numbers(coding.seed, coding.steps, int(np.prod(x.shape[1:], dtype=int)))
    spikes = draws.reshape(coding.steps, *x.shape[1:]) < need[x][:, None]
    return spikes.view(np.uint8)


def random_numbers(seed: int, steps: int, inputs: int) -> np.ndarray:
    """The number of each step and input, uint32 (steps, inputs), 0 to 65,535."""
    box = np.array([12, 5, 6, 11, 9, 0, 10, 13, 3, 14, 15, 8, 4, 7, 1, 2], np.uint32)
    every = np.arange(1 << 16, dtype=np.uint32)
    boxed = sum(box[every >> (4 * k) & 15] << np.uint32(4 * k) for k in range(4))
    mixed = np.zeros_like(every)
    for bit in range(16):
        to = 15 if bit == 15 else 4 * bit % 15
        mixed |= (boxed >> np.uint32(bit) & 1) << np.uint32(to)
    three = mixed[mixed[mixed]]
    four = mixed[three]
    out = np.empty((steps, inputs), np.uint32)
    state = seed * 0x9E3779B1 % (1 << 32)
    for row in out:
        low, high = state & 0xFFFF, state >> 16
        row[:] = four[three[every[:inputs] ^ low] ^ high]
        state = state >> 1 ^ (0xA3000000 if state & 1 else 0)
    return out


def _latency(coding: InputParams, x: np.ndarray) -> np.ndarray:
    top, final = coding.max_value, coding.steps - 1
    values = x.astype(np.int64)
    when = (2 * final * (top - values) + top) // (2 * top)
    step = np.arange(coding.steps).reshape(1, -1, *[1] * (x.ndim - 1))
    return ((when[:, None] == step) & (values > 0)[:, None]).view(np.uint8)


def _delta(coding: InputParams, x: np.ndarray) -> np.ndarray:
    values = x.astype(np.int16)
    change = values.copy()
    change[:, 1:] -= values[:, :-1]
    rises = change >= coding.threshold
    if not coding.off:
        return rises.view(np.uint8)
    return np.concatenate([rises, change <= -coding.threshold], axis=2).view(np.uint8)
