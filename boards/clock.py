# SPDX-License-Identifier: Apache-2.0
"""The clocks that a board's PLL can make, and the UART's divisor at them."""

from __future__ import annotations

from dataclasses import dataclass

from spikefab.boards.board import Board
from spikefab.boards.pll import (
    TOLERANCE,
    Ecp5PLLParams,
    Ice40PLLParams,
    ecp5_pll,
    ice40_pll,
)
from spikefab.boards.target import Family, Target
from spikefab.gen.errors import InputError
from spikefab.hdl.uart import MIN_DIVISOR

__all__ = ["BAUD_TOLERANCE", "ClockPlan", "clock_below", "plan_clock"]

BAUD_TOLERANCE = 0.02
"""Largest relative error of the UART's rate. A receiver that samples in the middle of a bit has
half a bit for ten bit times of drift, 5 %, of which the other end and the sampling take a part."""


@dataclass(frozen=True, kw_only=True)
class ClockPlan:
    """A fabric clock and the UART rate at it."""

    oscillator_hz: float
    clock_hz: float
    pll: Ecp5PLLParams | Ice40PLLParams | None
    """None: the oscillator is the fabric clock."""
    divisor: int
    """Fabric clocks a bit."""

    @property
    def baud(self) -> int:
        """Bits a second."""
        return round(self.clock_hz / self.divisor)


def _pll(family: Family, input_hz: float, output_hz: float) -> Ecp5PLLParams | Ice40PLLParams:
    return ecp5_pll(input_hz, output_hz) if family == "ecp5" else ice40_pll(input_hz, output_hz)


def plan_clock(
    board: Board, family: Family, clock_hz: float | None = None, baud: int | None = None
) -> ClockPlan:
    """The PLL and divisor for a clock and a rate (defaults: the board's); `InputError` if none."""
    wanted = board.default_clock_hz if clock_hz is None else clock_hz
    rate = board.default_baud if baud is None else baud
    oscillator = board.oscillator_hz
    pll = None
    actual = oscillator
    if abs(wanted - oscillator) > TOLERANCE * oscillator:
        pll = _pll(family, oscillator, wanted)
        actual = pll.output_hz
    divisor = max(1, round(actual / rate))
    if divisor < MIN_DIVISOR or abs(actual / divisor - rate) > BAUD_TOLERANCE * rate:
        nearest = actual / max(divisor, MIN_DIVISOR)
        raise InputError(
            f"{rate} baud at {actual / 1e6:g} MHz: {actual / rate:.2f} clocks a bit, must be "
            f"within {BAUD_TOLERANCE:.0%} of a whole number from {MIN_DIVISOR} up; choose a clock "
            f"that is a multiple of {rate / 1e6:g} MHz, or {int(nearest)} baud"
        )
    return ClockPlan(oscillator_hz=oscillator, clock_hz=actual, pll=pll, divisor=divisor)


def clock_below(target: Target, limit_hz: float) -> float | None:
    """A clock not above `limit_hz` that the target can have, near it; None when there is none."""
    step = 0.5e6
    tries = int(limit_hz // step)
    for k in range(tries, 0, -1):
        if target.board is None:
            return k * step
        try:
            return plan_clock(target.board, target.family, k * step).clock_hz
        except InputError:
            continue
    return None
