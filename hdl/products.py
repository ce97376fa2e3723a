# SPDX-License-Identifier: Apache-2.0
"""Products of weights and the values of events: Booth's digits, added pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.utils import ceil_log2

from spikefab.hdl.params import SynapseParams

__all__ = ["booth_digits", "booth_terms", "product_stages", "products"]


def product_stages(synapse: SynapseParams) -> int:
    """Cycles that the product of weight and value takes: additions of a binary tree."""
    return ceil_log2(booth_digits(synapse.payload_width)) if synapse.payload_width else 0


def products(
    m: Module, synapse: SynapseParams, weights: Sequence[Value], value: Value, lag: int
) -> list[Value]:
    """Each of `weights` times `value`, which comes `lag` cycles before them; signed, of the
    synapse's `term_width`, `product_stages` cycles after the weights."""
    for k in range(lag):
        delayed = Signal(synapse.payload_width, name=f"value{k}")
        m.d.sync += delayed.eq(value)
        value = delayed
    out: list[Value] = []
    for lane, weight in enumerate(weights):
        level, depth = booth_terms(weight, value), 0
        while len(level) > 1:
            pairs = [reduce(add, level[k : k + 2]) for k in range(0, len(level), 2)]
            level = []
            for k, pair in enumerate(pairs):
                register = Signal(pair.shape(), name=f"product{lane}_{depth}_{k}")
                m.d.sync += register.eq(pair)
                level.append(register)
            depth += 1
        out.append(level[0][: synapse.term_width].as_signed())
    return out


def booth_digits(bits: int) -> int:
    """Digits of radix 4, -2 to 2, of an unsigned number (Booth; MacSorley, 1961)."""
    return bits // 2 + 1


def booth_terms(weight: Value, value: Value) -> list[Value]:
    """Terms that add up to the signed `weight` times the unsigned `value`: one a radix-4 digit of
    the value. Each bit of most terms is one 4-input function of two bits of either factor."""
    bits = [Const(0), *value, Const(0), Const(0)]  # one more digit's worth at either end
    terms: list[Value] = []
    negative: Value | None = None
    for k in range(booth_digits(len(value))):
        low, middle, high = bits[2 * k : 2 * k + 3]  # digit = low + middle - 2 * high
        once = low ^ middle
        twice = (high & ~middle & ~low) | (~high & middle & low)
        width = len(weight) + 1
        multiple = (weight & once.replicate(width).as_signed()) | (
            weight.shift_left(1) & twice.replicate(width).as_signed()
        )
        term = multiple[:width] ^ high.replicate(width)
        # -x is ~x + 1: the 1 fits in the zeros below the next digit's term.
        if negative is None:
            terms.append(term.as_signed())
        else:
            below = Cat(negative, Const(0))
            terms.append(Cat(below, term).as_signed().shift_left(2 * (k - 1)))
        negative = high
    return terms
