# SPDX-License-Identifier: Apache-2.0
"""How samples become the events of steps: the golden model of the input's coding."""

from __future__ import annotations

import numpy as np

from spikefab.hdl.params import InputParams

__all__ = ["encode"]


def encode(coding: InputParams, x: np.ndarray) -> np.ndarray:
    """What each input of the first layer receives in each step: integers (samples, steps, *shape).

    `x`: samples as the coding takes them, checked: (samples, steps, *shape), or (samples, *shape)
    where the coding is framed.
    """
    if coding.coding == "spikes":
        return x
    if coding.coding == "static":
        return np.broadcast_to(x[:, None], (len(x), coding.steps, *x.shape[1:]))
    raise NotImplementedError(coding.coding)
