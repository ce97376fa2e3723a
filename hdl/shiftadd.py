# SPDX-License-Identifier: Apache-2.0
"""The leak: a product with a constant as a few shifted additions."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Value

from spikefab.hdl.compare import at_least
from spikefab.hdl.params import CurrentParams, NeuronParams

__all__ = ["add_above", "leak", "leak_of", "multiply", "signed_digits", "trailing_zeros"]


Leaky = NeuronParams | CurrentParams
"""What has a leak."""


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


def trailing_zeros(number: int, limit: int) -> int:
    """Zeros below the lowest one of an integer, `limit` at most."""
    return min(limit, (number & -number).bit_length() - 1) if number else limit


def add_above(value: Value, term: Value, zeros: int, sign: int = 1) -> Value:
    """``value + sign * term``, where the `zeros` lowest bits of `term` are 0: no carry chain under
    the others."""
    if zeros >= min(len(value), len(term)):
        zeros = 0
    high, more = value[zeros:].as_signed(), term[zeros:].as_signed()
    total = high + more if sign > 0 else high - more
    return Cat(value[:zeros], total).as_signed()


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


def leak(v: Value, num: Value, params: Leaky) -> Value:
    """The leaked membrane, or current: ``v * num``, rounded and shifted down by `leak_shift`.

    A constant `num` becomes shifts and additions, another a multiplier. What lies below the result
    costs no adder where it can be seen from a few bits whether it carries.
    """
    shift = params.leak_shift
    digits = signed_digits(num.value) if isinstance(num, Const) else []
    if isinstance(num, Const) and not digits:
        return Const(0, 1)
    s = shift - digits[-1][0] if digits else 0
    if len(digits) == 1 and 0 < s < len(v):
        # v / 2**s: its high part, and one more where rounding goes up.
        up = _low_part(v[:s], v[-1], params, up=True)
        carried = Cat(Const(1, 1), v[s:]).as_signed() + Cat(up, Const(0, 1)).as_signed()
        return carried[1:].as_signed()
    if len(digits) == 2 and digits[0] == (shift, 1) and s < len(v):
        # v - v / 2**s: v less its high part, and one less where the low part borrows.
        borrow = _low_part(v[:s], v[-1], params, up=False)
        less = Cat(Const(0, 1), v).as_signed() - Cat(borrow, v[s:]).as_signed()
        return less[1 : len(v) + 1].as_signed()
    return _product(v, num, params).shift_right(shift)


def _low_part(low: Value, sign: Value, params: Leaky, up: bool) -> Value:
    """What rounding makes of the s lowest bits, a fraction of the result's LSB: whether ``+ low``
    comes up to a whole one (`up`), or ``- low`` goes down by one."""
    half = 1 << (len(low) - 1)
    if params.leak_rounding == "nearest":
        return at_least(low, half if up else half + 1)
    if params.leak_rounding == "toward-zero":
        return (sign if up else ~sign) & low.any()
    return Const(0, 1) if up else low.any()


def _product(v: Value, num: Value, params: Leaky) -> Value:
    """``v * num`` and the term that rounds it: its bits from `leak_shift` up are the leaked
    membrane."""
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


def leak_of(v: int, num: int, params: Leaky) -> int:
    """The leak of a constant, for a reset value that is leaked at once."""
    product, shift = v * num, params.leak_shift
    if params.leak_rounding == "nearest":
        product += (1 << shift) >> 1
    elif params.leak_rounding == "toward-zero" and v < 0:
        product += (1 << shift) - 1
    return product >> shift
