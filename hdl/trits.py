# SPDX-License-Identifier: Apache-2.0
"""Ternary weights packed: five of them in eight bits.

Five trits have 243 values. Eight bits hold three of them as a number from 0 to 26 in five bits,
and the other two as a number from 0 to 8 in three bits. A pair of 8 does not fit: it is marked by
the five-bit numbers 28 to 31, which are no three trits; the three trits are then in the five bits
that the mark leaves. So that a few tables undo it.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Mux, Value

__all__ = ["pack_trits", "unpack_trits"]

_PAIR = 8
"""The pair that three bits do not hold."""
_MARK = 0b111
"""The upper three of five bits where the pair is `_PAIR`."""


def _number(trits: Sequence[int]) -> int:
    return sum((trit + 1) * 3**k for k, trit in enumerate(trits))


def pack_trits(trits: Sequence[int]) -> int:
    """Numbers from -1 to 1 as `hdl.params.trit_bits(len(trits))` bits, the first ones lowest."""
    if len(trits) > 5:
        return pack_trits(trits[:5]) | pack_trits(trits[5:]) << 8
    triple, rest = _number(trits[:3]), _number(trits[3:])
    if len(trits) < 3:
        return sum((trit & 3) << 2 * k for k, trit in enumerate(trits))
    if len(trits) < 5:
        return triple | sum((trit & 3) << 5 for trit in trits[3:])
    if rest == _PAIR:
        return _MARK << 2 | triple >> 3 | (triple & 7) << 5
    return triple | rest << 5


def unpack_trits(bits: Value, n: int) -> list[Value]:
    """The `n` trits of a packed word, each two bits of a signed number."""
    if n > 5:
        return unpack_trits(bits[:8], 5) + unpack_trits(bits[8:], n - 5)
    if n < 3:
        return [bits.word_select(k, 2) for k in range(n)]
    triple = bits[:5]
    if n < 5:
        return _digits(triple, 3) + [bits[5:7]][: n - 3]
    pair = bits[5:8]
    marked = triple[2:] == _MARK
    triple = Mux(marked, Cat(pair, triple[:2]), triple)
    return _digits(triple, 3) + _digits(Cat(pair & ~marked.replicate(3), marked), 2)


def _digits(number: Value, n: int) -> list[Value]:
    """The base-3 digits of a number, less one: a table a bit."""
    digits: list[Value] = []
    for k in range(n):
        trits = [(value // 3**k % 3 - 1) & 3 for value in range(1 << len(number))]
        tables = (sum((trit >> bit & 1) << v for v, trit in enumerate(trits)) for bit in (0, 1))
        digits.append(Cat(*[Const(t, len(trits)).bit_select(number, 1) for t in tables]))
    return digits
