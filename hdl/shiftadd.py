# SPDX-License-Identifier: Apache-2.0
"""The leak: a product with a constant as a few shifted additions."""

from __future__ import annotations

from amaranth.hdl import Const, Value

from spikefab.hdl.params import NeuronParams

__all__ = ["leak_of", "leak_product", "signed_digits"]


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


def leak_product(v: Value, num: Value, params: NeuronParams) -> Value:
    """``v * num`` and the term that rounds it: its bits from `leak_shift` up are the leaked
    membrane. A constant `num` becomes shifts and additions, another a multiplier."""
    if isinstance(num, Const):
        terms = [(v.shift_left(shift), sign) for shift, sign in signed_digits(num.value)]
        product: Value = terms[0][0] if terms else Const(0)
        for term, sign in terms[1:]:
            product = product + term if sign > 0 else product - term
    else:
        product = v * num
    shift = params.leak_shift
    if shift == 0 or params.leak_rounding == "floor":
        return product
    if params.leak_rounding == "nearest":
        return product + (1 << (shift - 1))
    # toward-zero: a negative product is rounded up.
    below_one = (1 << shift) - 1
    return product + (v[-1].replicate(shift) & below_one)


def leak_of(v: int, num: int, params: NeuronParams) -> int:
    """The leak of a constant, for a reset value that is leaked at once."""
    product, shift = v * num, params.leak_shift
    if params.leak_rounding == "nearest":
        product += (1 << shift) >> 1
    elif params.leak_rounding == "toward-zero" and v < 0:
        product += (1 << shift) - 1
    return product >> shift
