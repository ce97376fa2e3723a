# SPDX-License-Identifier: Apache-2.0
"""Coders: values in, spikes out, between the core's input and its first layer."""

from __future__ import annotations

from spikefab.hdl.delta import DeltaCoder
from spikefab.hdl.latency import LatencyCoder
from spikefab.hdl.params import CoreParams
from spikefab.hdl.rate_coder import RateCoder

__all__ = ["QUEUE", "input_coder"]

QUEUE = 4
"""Spikes that wait between coder and first layer, so that the one works on while the other is busy:
registers, one cycle."""


def input_coder(params: CoreParams) -> RateCoder | LatencyCoder | DeltaCoder | None:
    """The coder of a core's input; None where the first layer takes it as it comes."""
    if params.input.coding == "rate":
        stoppable = params.stop is not None
        return RateCoder(params.input, params.n_inputs, QUEUE, stoppable=stoppable)
    if params.input.coding == "latency":
        return LatencyCoder(params.input, params.n_inputs, QUEUE)
    if params.input.coding == "delta":
        return DeltaCoder(params.input, params.n_inputs, QUEUE)
    return None
