# SPDX-License-Identifier: Apache-2.0
"""The layout of an item: what a design's users see as bits."""

from __future__ import annotations

import pytest
from amaranth.hdl import Const, Shape, Value, signed, unsigned

from spikefab.hdl.event import EventLayout, event_stream


@pytest.mark.parametrize(
    ("n", "width"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (64, 6), (65, 7), (65536, 16)]
)
def test_addresses(n: int, width: int) -> None:
    layout = EventLayout(n)
    fields = {name: (field.offset, field.width) for name, field in layout}
    assert fields == {"token": (0, 1), "last": (1, 1), "address": (2, width)}
    assert layout.size == 2 + width
    assert (layout.n_addresses, layout.payload) == (n, unsigned(0))


def test_a_payload_is_signed_and_on_top() -> None:
    layout = EventLayout(10, signed(12))
    assert (layout["payload"].offset, layout["payload"].shape) == (6, signed(12))
    bits = Value.cast(layout.const({"address": 9, "payload": -1}))
    assert isinstance(bits, Const)
    assert bits.value == (0xFFF << 6) | (9 << 2)


def test_streams_of_equal_items_fit() -> None:
    assert event_stream(10, signed(3)) == event_stream(10, signed(3))
    assert event_stream(10).members["payload"] != event_stream(17).members["payload"]
    shape = event_stream(10, signed(3)).members["payload"].shape
    assert Shape.cast(shape).width == 2 + 4 + 3
