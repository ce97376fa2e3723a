# SPDX-License-Identifier: Apache-2.0
"""What the user may choose when a network is put in integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.hdl.params import MAX_MEMBRANE_WIDTH, SPIKES, InputParams, Rounding

__all__ = ["MAX_FRACTION_BITS", "QuantiseOptions", "WeightBits", "parse_weight_bits"]

WeightBits = int | Literal["ternary"]

MAX_FRACTION_BITS = 24
"""The numeric contract's limit."""
MAX_COUNT_BITS = 8
"""The same."""


@dataclass(frozen=True, kw_only=True)
class QuantiseOptions:
    """How to turn floats into integers. Raises `InputError` with every bad field."""

    weight_bits: WeightBits | tuple[WeightBits, ...] = 6
    """Bits of a weight, 1 to 8, or "ternary"; one for all layers, or one a layer. 1 bit is binary:
    each weight is +1 or -1 times the scale, and none is 0."""
    per_channel: bool | None = None
    """A scale for each output neuron instead of one for the layer. None: where that rounds much
    finer and costs a threshold each and no more, see `docs/decisions/quantiser.md`."""
    membrane_bits: int | None = None
    """Most bits of a membrane. None: as many as the bound needs."""
    fraction_bits: int | None = None
    """Bits of the membrane below a weight LSB. None: chosen from thresholds and leaks."""
    count_bits: int | None = None
    """Most bits of the spikes that a multi-spike neuron counts in a step: it fires at most
    ``2**count_bits - 1`` times, and what is left of its membrane goes into the next step. None: as
    many as its weights can make it fire, at most 8."""
    leak_rounding: Rounding | None = None
    """None: "nearest", or "toward-zero" where the dialect says decay=round12."""
    leak_tolerance: float = 0.01
    """Largest relative change of a time constant."""
    input_max: int | Mapping[str, int] = 1
    """Most that one input receives in one step: events, or the sum of their values. One for all
    input nodes, or by node; 1 for those that are not named."""
    input: InputParams = SPIKES
    """How samples become events. Where it makes spikes of values, `input_max` is 1."""
    steps: int | None = None
    """Most steps a sample; None: the network's own, or any number."""

    def __post_init__(self) -> None:
        problems = []
        bits = self.weight_bits if isinstance(self.weight_bits, tuple) else (self.weight_bits,)
        if not bits:
            problems.append("weight_bits = (): give one number, or one a layer")
        for b in bits:
            if b != "ternary" and not (_whole(b) and 1 <= int(b) <= 8):
                problems.append(f"weight_bits = {b!r}: must be 1 to 8, or 'ternary'")
        if self.membrane_bits is not None and not (
            _whole(self.membrane_bits) and 2 <= self.membrane_bits <= MAX_MEMBRANE_WIDTH
        ):
            problems.append(
                f"membrane_bits = {self.membrane_bits!r}: must be 2 to {MAX_MEMBRANE_WIDTH}"
            )
        if self.fraction_bits is not None and not (
            _whole(self.fraction_bits) and 0 <= self.fraction_bits <= MAX_FRACTION_BITS
        ):
            problems.append(
                f"fraction_bits = {self.fraction_bits!r}: must be 0 to {MAX_FRACTION_BITS}"
            )
        if self.count_bits is not None and not (
            _whole(self.count_bits) and 1 <= self.count_bits <= MAX_COUNT_BITS
        ):
            problems.append(f"count_bits = {self.count_bits!r}: must be 1 to {MAX_COUNT_BITS}")
        if self.leak_rounding is not None and self.leak_rounding not in get_args(Rounding):
            problems.append(
                f"leak_rounding = {self.leak_rounding!r}: must be one of "
                + ", ".join(get_args(Rounding))
            )
        if not 0 <= self.leak_tolerance < 1:
            problems.append(f"leak_tolerance = {self.leak_tolerance!r}: must be 0 to below 1")
        given = self.input_max
        for most in given.values() if isinstance(given, Mapping) else [given]:
            if not (_whole(most) and 1 <= most <= 32767):
                problems.append(f"input_max = {most!r}: must be 1 to 32767")
        if self.steps is not None and not (_whole(self.steps) and self.steps >= 1):
            problems.append(f"steps = {self.steps!r}: must be at least 1")
        if problems:
            raise InputError(problems)

    @property
    def max_count(self) -> int:
        """Most that a multi-spike neuron may fire in a step."""
        return (1 << (self.count_bits or MAX_COUNT_BITS)) - 1

    def max_of(self, name: str | None = None) -> int:
        """Most that an input of node `name` receives in one step; of any node without."""
        if not isinstance(self.input_max, Mapping):
            return self.input_max
        if name is None:
            return max(self.input_max.values(), default=1)
        return self.input_max.get(name, 1)

    def own_max_of(self, name: str) -> int | None:
        """The same where nodes have their own; None where one number holds for all."""
        return self.max_of(name) if isinstance(self.input_max, Mapping) else None

    def bits_of(self, n_layers: int) -> list[WeightBits]:
        """Weight bits for each of `n_layers` layers."""
        if not isinstance(self.weight_bits, tuple):
            return [self.weight_bits] * n_layers
        if len(self.weight_bits) == 1:
            return list(self.weight_bits) * n_layers
        if len(self.weight_bits) != n_layers:
            raise InputError(
                f"weight_bits has {len(self.weight_bits)} entries; the network has {n_layers} "
                "layers: give one number, or one a layer"
            )
        return list(self.weight_bits)


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def parse_weight_bits(text: str) -> WeightBits | tuple[WeightBits, ...]:
    """Reads the command line's `N`, `N,N,…` or `ternary`."""
    parts: list[WeightBits] = []
    for part in (p.strip() for p in text.split(",")):
        if part == "ternary":
            parts.append("ternary")
        elif part.isdecimal() and 1 <= int(part) <= 8:
            parts.append(int(part))
        else:
            raise InputError(f"weight bits {text!r}: {part!r} must be 1 to 8, or 'ternary'")
    return parts[0] if len(parts) == 1 else tuple(parts)
