# SPDX-License-Identifier: Apache-2.0
"""The small layers that proofs and faults are about."""

from __future__ import annotations

from typing import Any

from proofs.layers import layer_params

from spikefab.hdl.params import CurrentParams, SynapseOrder

__all__ = [
    "FOLDED", "FOUR", "FRAMES", "LATE", "LEAK", "LI", "PATIENCE", "SMALL", "SMALL_FOLDED",
    "current",
]  # fmt: skip

LI: dict[str, Any] = {"spiking": False, "reset": "none", "v_init": (1,)}
LEAK: dict[str, Any] = {"leak_num": (3,), "leak_shift": 2, "threshold": (1,)}
FOUR = layer_params(4, 2)
FOLDED = layer_params(4, 2, folds=2)
FRAMES = layer_params(4, 2, replay=3)
SMALL = layer_params(4, 2, 2, threshold=(1,))
SMALL_FOLDED = layer_params(4, 4, 2, folds=2, threshold=(1,))
PATIENCE = 12
"""Cycles in which a small layer answers."""
LATE: dict[str, Any] = {**LEAK, "reset_time": "next-after-leak"}


def current(order: SynapseOrder) -> CurrentParams:
    """A synaptic current of 3 bits."""
    return CurrentParams(order=order, width=3, leak_num=(1,), leak_shift=1)
