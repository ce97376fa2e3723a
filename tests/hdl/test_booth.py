# SPDX-License-Identifier: Apache-2.0
"""The product of a weight and an event's value, over all of both."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

from spikefab.hdl.products import booth_digits, booth_terms


@pytest.mark.parametrize(
    ("width", "bits"), [(1, 3), (2, 1), (4, 2), (4, 3), (4, 4), (3, 7), (8, 5)]
)
def test_terms_add_up_to_the_product(width: int, bits: int) -> None:
    m = Module()
    weight, value = Signal(signed(width)), Signal(bits)
    product = Signal(signed(width + bits))
    terms = booth_terms(weight, value)
    assert len(terms) == booth_digits(bits) == bits // 2 + 1
    m.d.comb += product.eq(reduce(add, terms)[: width + bits].as_signed())
    simulator = Simulator(m)

    async def bench(context):  # type: ignore[no-untyped-def]
        for w in range(-(1 << (width - 1)), 1 << (width - 1)):
            for v in range(1 << bits):
                context.set(weight, w)
                context.set(value, v)
                await context.delay(1e-9)
                assert context.get(product) == w * v, (w, v)

    simulator.add_testbench(bench)
    simulator.run()
