# SPDX-License-Identifier: Apache-2.0
"""The leak's product: every small leak, every membrane, all roundings."""

from __future__ import annotations

from functools import cache
from itertools import combinations, pairwise, product
from typing import Any

import pytest
from amaranth.hdl import Const, Module, Signal, signed, unsigned
from amaranth.sim import Simulator

from spikefab.hdl.params import NeuronParams
from spikefab.hdl.shiftadd import leak, leak_of, multiply, signed_digits

ROUNDINGS = ["floor", "nearest", "toward-zero"]


def rounded(v: int, num: int, shift: int, rounding: str) -> int:
    """The contract's table of formulas."""
    if rounding == "floor":
        return (v * num) >> shift
    if rounding == "nearest":
        return (v * num + (2 ** (shift - 1) if shift else 0)) >> shift
    return (-1 if v < 0 else 1) * ((abs(v) * num) >> shift)


def params(num: int, shift: int, rounding: str) -> NeuronParams:
    fields: dict[str, Any] = {"leak_num": (num,), "leak_shift": shift, "leak_rounding": rounding}
    return NeuronParams(n=1, fraction_bits=0, membrane_width=8, **fields)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "multiplier"])
def test_every_small_leak(rounding: str, constant: bool) -> None:
    """All leaks of up to 4 bits, of all 6-bit membranes, as shift-adds and as a product."""
    width = 6
    leaks = [(num, shift) for shift in range(5) for num in range((1 << shift) + 1)]
    m = Module()
    v = Signal(signed(width))
    outs, nums = [], []
    for k, (num, shift) in enumerate(leaks):
        factor: Any = Const(num, signed(6)) if constant else Signal(signed(6), name=f"num{k}")
        nums.append(factor)
        value = leak(v, factor, params(num, shift, rounding))
        out = Signal(signed(width + 2), name=f"out{k}")
        m.d.comb += out.eq(value)
        outs.append(out)

    async def check(ctx: Any) -> None:
        if not constant:
            for (num, _), signal in zip(leaks, nums, strict=True):
                ctx.set(signal, num)
        for value in range(-(1 << (width - 1)), 1 << (width - 1)):
            ctx.set(v, value)
            await ctx.delay(1e-9)
            for (num, shift), out in zip(leaks, outs, strict=True):
                expected = rounded(value, num, shift, rounding)
                assert ctx.get(out) == expected, f"{value} * {num} >> {shift}"
                assert leak_of(value, num, params(num, shift, rounding)) == expected

    sim = Simulator(m)
    sim.add_testbench(check)
    sim.run()


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(
    ("num", "shift"), [(0, 20), (1, 20), ((1 << 20) - 1, 20), (1 << 20, 20), (699051, 20), (45, 6)]
)
def test_corners_of_wide_membranes(num: int, shift: int, rounding: str) -> None:
    top = 1 << 39
    m = Module()
    v = Signal(signed(40))
    out = Signal(signed(42))
    p = params(num, shift, rounding)
    m.d.comb += out.eq(leak(v, Const(num, signed(22)), p))
    corners = [-top, 1 - top, -(1 << 20), -3, -2, -1, 0, 1, 2, 3, (1 << 20) - 1, top - 1]

    async def check(ctx: Any) -> None:
        for value in corners:
            ctx.set(v, value)
            await ctx.delay(1e-9)
            expected = rounded(value, num, shift, rounding)
            assert ctx.get(out) == expected, value
            assert leak_of(value, num, p) == expected

    sim = Simulator(m)
    sim.add_testbench(check)
    sim.run()


@cache
def fewest_digits(limit: int) -> dict[int, int]:
    """Fewest signed powers of two that add up to each number, by trying all."""
    powers = [1 << k for k in range(limit.bit_length() + 1)]
    fewest = {0: 0}
    for n in (1, 2, 3, 4):
        for chosen in combinations(powers, n):
            for signs in product((1, -1), repeat=n):
                total = sum(s * c for s, c in zip(signs, chosen, strict=True))
                fewest.setdefault(total, n)
    return fewest


def test_signed_digits_are_exact_and_the_fewest() -> None:
    for number in range(257):
        digits = signed_digits(number)
        assert sum(sign << shift for shift, sign in digits) == number
        assert all(sign in (1, -1) for _, sign in digits)
        assert len(digits) == fewest_digits(256).get(number, 5)
        shifts = [shift for shift, _ in digits]
        assert all(a - b >= 2 for a, b in pairwise(shifts))


def test_a_leak_of_one_takes_no_adder() -> None:
    """Its rounding fits in the zeros of the shift."""
    for rounding in ROUNDINGS:
        product = leak(Signal(signed(8)), Const(16, unsigned(5)), params(16, 4, rounding))
        assert "(+" not in repr(product)
        assert "(*" not in repr(product)


def test_products_with_constants() -> None:
    m = Module()
    v = Signal(signed(5))
    outs = []
    for factor in range(65):
        out = Signal(signed(13), name=f"out{factor}")
        m.d.comb += out.eq(multiply(v, factor))
        outs.append(out)

    async def check(ctx: Any) -> None:
        for value in range(-16, 16):
            ctx.set(v, value)
            await ctx.delay(1e-9)
            assert [ctx.get(out) for out in outs] == [value * factor for factor in range(65)]

    sim = Simulator(m)
    sim.add_testbench(check)
    sim.run()
