# SPDX-License-Identifier: Apache-2.0
"""PLL settings against an exhaustive enumeration, and the clocks that boards are given."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from amaranth.back import rtlil  # type: ignore[attr-defined]

from spikefab.boards.clock import BAUD_TOLERANCE, clock_below, plan_clock
from spikefab.boards.pll import (
    TOLERANCE,
    Ecp5PLL,
    Ecp5PLLParams,
    Ice40PLL,
    Ice40PLLParams,
    ecp5_pll,
    ice40_pll,
)
from spikefab.boards.target import find_target, targets
from spikefab.gen.errors import InputError


@cache
def ecp5_outputs(input_hz: float) -> list[float]:
    """Every output of every setting inside the data sheet's limits, by brute force."""
    found = set()
    for i in range(1, 129):
        pfd = input_hz / i
        if not 10e6 <= pfd <= 400e6:
            continue
        for fb in range(1, 129):
            for op in range(1, 129):
                vco = pfd * fb * op
                if 400e6 <= vco <= 800e6 and 3.125e6 <= vco / op <= 400e6:
                    found |= {vco / os for os in range(1, 129) if 3.125e6 <= vco / os <= 400e6}
    return sorted(found)


@cache
def ice40_outputs(input_hz: float) -> list[float]:
    found = set()
    for r in range(16):
        for f in range(128):
            for q in range(1, 7):
                pfd = input_hz / (r + 1)
                vco = pfd * (f + 1)
                out = vco / 2**q
                if 10e6 <= pfd <= 133e6 and 533e6 <= vco <= 1066e6 and 16e6 <= out <= 275e6:
                    found.add(out)
    return sorted(found)


SEARCHES: dict[str, tuple[Callable[..., Any], Callable[[float], list[float]]]] = {
    "ecp5": (ecp5_pll, ecp5_outputs),
    "ice40": (ice40_pll, ice40_outputs),
}


@pytest.mark.parametrize(
    ("family", "input_mhz"), [("ecp5", 25), ("ecp5", 12), ("ecp5", 100), ("ice40", 12),
                              ("ice40", 48)]
)  # fmt: skip
def test_every_clock_is_the_nearest_that_exists_or_is_refused(family: str, input_mhz: int) -> None:
    search, enumerate_outputs = SEARCHES[family]
    outputs = enumerate_outputs(input_mhz * 1e6)
    n_found = n_refused = 0
    for half_mhz in range(2, 841, 2):
        wanted = half_mhz * 0.5e6
        nearest = min(outputs, key=lambda hz: abs(hz - wanted))
        try:
            params = search(input_mhz * 1e6, wanted)
        except InputError as error:
            n_refused += 1
            assert abs(nearest - wanted) > TOLERANCE * wanted
            told = float(re.search(r"nearest is ([0-9.]+) MHz", str(error))[1])  # type: ignore[index]
            assert abs(told * 1e6 - wanted) <= abs(nearest - wanted) + 1e3
            search(input_mhz * 1e6, told * 1e6)  # what the message offers is accepted
        else:
            n_found += 1
            assert abs(params.output_hz - wanted) <= abs(nearest - wanted) + 1
            assert abs(params.output_hz - wanted) <= TOLERANCE * wanted
    assert n_found > 10
    assert n_refused > 10


def test_every_ice40_setting_outside_the_limits_is_refused_and_every_one_inside_is_not() -> None:
    inside = set(ice40_outputs(12e6))
    n_legal = 0
    for r in range(16):
        for f in range(128):
            for q in range(1, 7):
                try:
                    params = Ice40PLLParams(input_hz=12e6, divr=r, divf=f, divq=q)
                except ValueError:
                    continue
                n_legal += 1
                assert params.output_hz in inside
                assert params.filter_range == 1  # 12 MHz is the only legal reference here
    assert n_legal == len([1 for f in range(128) for q in range(1, 7)
                           if 533 <= 12 * (f + 1) <= 1066 and 12 * (f + 1) / 2**q >= 16
                           and 12 * (f + 1) / 2**q <= 275])  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_hz": 7e6}, r"input = 7 MHz: must be 8 to 400 MHz"),
        ({"input_hz": 401e6}, r"input = 401 MHz"),
        ({"clki_div": 0}, r"clki_div = 0: must be 1 to 128"),
        ({"clki_div": 3}, r"phase detector = 8\.33333 MHz: must be 10 to 400 MHz"),
        ({"clkfb_div": 129}, r"clkfb_div = 129"),
        ({"clkop_div": 0}, r"clkop_div = 0"),
        ({"clkop_div": 15}, r"VCO = 375 MHz: must be 400 to 800 MHz"),
        ({"clkop_div": 33}, r"VCO = 825 MHz"),
        ({"clkos_div": 129}, r"clkos_div = 129"),
        ({"clkos_div": 1}, r"output = 800 MHz: must be 3\.125 to 400 MHz"),
    ],
)
def test_ecp5_limits(changes: dict[str, float], message: str) -> None:
    good = {"input_hz": 25e6, "clki_div": 1, "clkfb_div": 1, "clkop_div": 32}
    Ecp5PLLParams(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        Ecp5PLLParams(**{**good, **changes})  # type: ignore[arg-type]


def test_an_oscillator_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="the iCE40 PLL takes 10 to 133 MHz"):
        ice40_pll(8e6, 24e6)
    with pytest.raises(InputError, match="clock -1 MHz: must be above 0"):
        ecp5_pll(25e6, -1e6)


def test_components_carry_their_settings() -> None:
    one = rtlil.convert(Ecp5PLL(ecp5_pll(25e6, 100e6)))
    assert 'parameter \\CLKOS_ENABLE "DISABLED"' in one
    two = rtlil.convert(Ecp5PLL(ecp5_pll(25e6, 80e6)))
    assert 'parameter \\CLKOS_ENABLE "ENABLED"' in two
    assert 'attribute \\FREQUENCY_PIN_CLKOS "80"' in two
    pad = rtlil.convert(Ice40PLL(ice40_pll(12e6, 24e6)))
    assert "SB_PLL40_PAD" in pad
    assert "parameter \\DIVF 7'0111111" in pad
    assert "SB_PLL40_CORE" in rtlil.convert(Ice40PLL(ice40_pll(12e6, 24e6), pad=False))


@pytest.mark.parametrize("name", [t.name for t in targets().values() if t.board])
def test_a_boards_defaults_can_be_made(name: str) -> None:
    target = find_target(name)
    assert target.board is not None
    plan = plan_clock(target.board, target.family)
    assert plan.clock_hz == pytest.approx(target.board.default_clock_hz)
    assert plan.clock_hz >= (80e6 if target.family == "ecp5" else 24e6)
    assert abs(plan.baud - 3e6) <= BAUD_TOLERANCE * 3e6
    assert plan.divisor == round(plan.clock_hz / 3e6)


def test_the_oscillator_itself_needs_no_pll() -> None:
    board = find_target("ulx3s-25f").board
    assert board is not None
    plan = plan_clock(board, "ecp5", 25e6, 1_000_000)
    assert (plan.pll, plan.clock_hz, plan.divisor) == (None, 25e6, 25)


def test_a_baud_rate_between_two_divisors_is_refused() -> None:
    board = find_target("icebreaker").board
    assert board is not None
    with pytest.raises(InputError, match=r"3000000 baud at 16\.5 MHz: 5\.50 clocks a bit"):
        plan_clock(board, "ice40", 16.5e6)
    with pytest.raises(InputError, match=r"whole number from 4 up; .* or 6000000 baud"):
        plan_clock(board, "ice40", 24e6, 12_000_000)


def test_clock_below_can_be_made_and_is_close() -> None:
    board = find_target("ulx3s-25f")
    lower = clock_below(board, 77.3e6)
    assert lower is not None
    assert 72e6 <= lower <= 77.3e6
    assert plan_clock(board.board, "ecp5", lower).clock_hz == lower  # type: ignore[arg-type]
    assert clock_below(find_target("up5k"), 23.7e6) == 23.5e6
