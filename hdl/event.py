# SPDX-License-Identifier: Apache-2.0
"""The one currency between blocks: a stream of events and end-of-step tokens."""

from __future__ import annotations

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data, stream
from amaranth.utils import ceil_log2

__all__ = ["EventLayout", "event_stream"]


class EventLayout(data.StructLayout):
    """An item of an event stream.

    Members
    -------
    token : 1
        1: end of step, no event; 0: an event.
    last : 1
        With `token`: this step is the sample's last; the state returns to its initial values.
    address : ceil(log2(n_addresses)) bits, at least 1
        Source neuron of the event; 0 with `token`.
    payload : signed(payload_width), only where payload_width > 0
        Value of a graded event; a spike has none and counts 1.
    """

    def __init__(self, n_addresses: int, payload_width: int = 0):
        self.n_addresses = n_addresses
        self.payload_width = payload_width
        members: dict[str, Shape] = {
            "token": unsigned(1),
            "last": unsigned(1),
            "address": unsigned(max(1, ceil_log2(n_addresses))),
        }
        if payload_width:
            members["payload"] = signed(payload_width)
        super().__init__(members)


def event_stream(n_addresses: int, payload_width: int = 0) -> stream.Signature:
    """A stream whose payload is an `EventLayout`."""
    return stream.Signature(EventLayout(n_addresses, payload_width))
