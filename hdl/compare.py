# SPDX-License-Identifier: Apache-2.0
"""Comparison with a constant: a look-up table takes three bits, a carry chain one."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Value

__all__ = ["at_least", "outside"]


def at_least(value: Value, constant: int) -> Value:
    """``value >= constant``, for any integer."""
    shape = value.shape()
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    if constant <= low:
        return Const(1, 1)
    if constant - low >= 1 << shape.width:
        return Const(0, 1)
    # Offset binary compares like an unsigned number: the sign is the highest bit, inverted.
    level = constant - low
    bits = Cat(value[:-1], ~value[-1]) if shape.signed else value
    reached: Value = Const(1, 1)
    for k in range(shape.width):
        # The bits from k down reach those of the constant.
        reached = bits[k] & reached if level >> k & 1 else bits[k] | reached
    return reached


def outside(value: Value, width: int) -> Value:
    """Whether a signed value does not fit in `width` bits, two's complement."""
    high = value[width - 1 :]
    return high.any() & ~high.all()
