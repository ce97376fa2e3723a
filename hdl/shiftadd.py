# SPDX-License-Identifier: Apache-2.0
"""The leak: a product with a constant as a few shifted additions."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Value

from spikefab.hdl.params import NeuronParams

__all__ = ["leak_of", "leak_product", "multiply", "signed_digits"]


def signed_digits(number: int) -> list[tuple[int, int]]:
    """A non-negative integer as its non-adjacent form: [(shift, +1 or -1), …], highest first.

    The form has the fewest digits that are not zero (Reitwiesner, 1960).
    """
    digits, shift = [], 0
    while number:
        if number & 1:
            digit = 2 - (number & 3)
            digits.append((shift, digit))
            number -= digit
        number >>= 1
        shift += 1
    return digits[::-1]


def multiply(value: Value, factor: int) -> Value:
    """A product with a constant >= 0, by shifts and additions."""
    terms = [(value.shift_left(shift), sign) for shift, sign in signed_digits(factor)]
    return _sum(terms)


def _sum(terms: list[tuple[Value, int]]) -> Value:
    """The first term is positive: it is the highest digit's."""
    total: Value = terms[0][0] if terms else Const(0)
    for term, sign in terms[1:]:
        total = total + term if sign > 0 else total - term
    return total


def leak_product(v: Value, num: Value, params: NeuronParams) -> Value:
    """``v * num`` and the term that rounds it: its bits from `leak_shift` up are the leaked
    membrane. A constant `num` becomes shifts and additions, another a multiplier."""
    shift = params.leak_shift
    rounding: Value | None = None
    if shift and params.leak_rounding == "nearest":
        rounding = Const(1 << (shift - 1), shift)
    elif shift and params.leak_rounding == "toward-zero":
        # A negative product is rounded up.
        rounding = v[-1].replicate(shift)
    if not isinstance(num, Const):
        return v * num if rounding is None else v * num + rounding
    digits = signed_digits(num.value)
    terms = [(v.shift_left(at), sign) for at, sign in digits]
    if rounding is None:
        return _sum(terms)
    if digits and digits[0][0] >= shift:
        # The highest digit's term ends in zeros: the rounding fits in them, without an adder.
        low = digits[0][0]
        terms[0] = (Cat(rounding, Const(0, low - shift), v).as_signed(), 1)
        return _sum(terms)
    return _sum(terms) + rounding


def leak_of(v: int, num: int, params: NeuronParams) -> int:
    """The leak of a constant, for a reset value that is leaked at once."""
    product, shift = v * num, params.leak_shift
    if params.leak_rounding == "nearest":
        product += (1 << shift) >> 1
    elif params.leak_rounding == "toward-zero" and v < 0:
        product += (1 << shift) - 1
    return product >> shift
