# SPDX-License-Identifier: Apache-2.0
"""The one currency between blocks: a stream of events and end-of-step tokens."""

from __future__ import annotations

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data, stream
from amaranth.utils import ceil_log2

__all__ = ["NO_PAYLOAD", "EventLayout", "event_stream", "membrane_payload"]

NO_PAYLOAD = unsigned(0)
"""The payload of a spike."""


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
    payload : `payload`, only where it has bits
        Value of a graded event: unsigned for input values, signed for membranes; a spike has none
        and counts 1.
    """

    def __init__(self, n_addresses: int, payload: Shape = NO_PAYLOAD):
        self.n_addresses = n_addresses
        self.payload = payload
        members: dict[str, Shape] = {
            "token": unsigned(1),
            "last": unsigned(1),
            "address": unsigned(max(1, ceil_log2(n_addresses))),
        }
        if payload.width:
            members["payload"] = payload
        super().__init__(members)


def event_stream(n_addresses: int, payload: Shape = NO_PAYLOAD) -> stream.Signature:
    """A stream whose payload is an `EventLayout`."""
    return stream.Signature(EventLayout(n_addresses, payload))


def membrane_payload(width: int) -> Shape:
    """The payload of an output event: a signed membrane, or none where `width` is 0."""
    return signed(width) if width else NO_PAYLOAD
