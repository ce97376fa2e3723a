# SPDX-License-Identifier: Apache-2.0
"""PLLs of the two families: the search for legal dividers, and the component that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth import Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikefab.gen.errors import InputError

__all__ = [
    "ECP5_LOOP",
    "TOLERANCE",
    "Ecp5PLL",
    "Ecp5PLLParams",
    "Ice40PLL",
    "Ice40PLLParams",
    "ecp5_pll",
    "ice40_pll",
]

TOLERANCE = 1e-3
"""Largest relative error of a clock that still counts as the clock asked for."""

ECP5_LOOP = {
    "ICP_CURRENT": "12",
    "LPF_RESISTOR": "8",
    "MFG_ENABLE_FILTEROPAMP": "1",
    "MFG_GMCREF_SEL": "2",
}
"""Attributes of an EHXPLLL: the loop's analogue settings, as ecppll writes them."""

# Named in the instance, so that no linter takes them for forgotten.
ECP5_UNUSED = ("CLKOS2", "CLKOS3", "INTLOCK", "REFCLK", "CLKINTFB")
ICE40_UNUSED = ("PLLOUTCORE", "SDO")


def _check(what: str, value: float, low: float, high: float, unit: str = "") -> None:
    if not low <= value <= high:
        raise ValueError(f"{what} = {value:g}{unit}: must be {low:g} to {high:g}{unit}")


@dataclass(frozen=True, kw_only=True)
class Ecp5PLLParams:
    """An EHXPLLL with its feedback from CLKOP and its clock from CLKOP or CLKOS.

    Limits: FPGA-DS-02012, "sysCLOCK PLL Timing".
    """

    input_hz: float
    """8 to 400 MHz."""
    clki_div: int
    """Divider before the phase detector, 1 to 128; the detector runs at 10 to 400 MHz."""
    clkfb_div: int
    """Divider of the feedback, 1 to 128."""
    clkop_div: int
    """Divider from the VCO (400 to 800 MHz) to CLKOP, 1 to 128."""
    clkos_div: int | None = None
    """Divider from the VCO to CLKOS; None: CLKOP is the output."""

    def __post_init__(self) -> None:
        _check("ECP5 PLL input", self.input_hz / 1e6, 8, 400, " MHz")
        _check("ECP5 PLL clki_div", self.clki_div, 1, 128)
        _check("ECP5 PLL clkfb_div", self.clkfb_div, 1, 128)
        _check("ECP5 PLL clkop_div", self.clkop_div, 1, 128)
        if self.clkos_div is not None:
            _check("ECP5 PLL clkos_div", self.clkos_div, 1, 128)
        _check("ECP5 PLL phase detector", self.pfd_hz / 1e6, 10, 400, " MHz")
        _check("ECP5 PLL VCO", self.vco_hz / 1e6, 400, 800, " MHz")
        _check("ECP5 PLL output", self.output_hz / 1e6, 3.125, 400, " MHz")
        # CLKOP is the feedback even where it is not the output.
        _check("ECP5 PLL CLKOP", self.vco_hz / self.clkop_div / 1e6, 3.125, 400, " MHz")

    @property
    def pfd_hz(self) -> float:
        """Frequency at the phase detector."""
        return self.input_hz / self.clki_div

    @property
    def vco_hz(self) -> float:
        """Frequency of the oscillator."""
        return self.pfd_hz * self.clkfb_div * self.clkop_div

    @property
    def output_hz(self) -> float:
        """Frequency of the clock that the component puts out."""
        return self.vco_hz / (self.clkop_div if self.clkos_div is None else self.clkos_div)


@dataclass(frozen=True, kw_only=True)
class Ice40PLLParams:
    """An SB_PLL40 with simple feedback. Limits: FPGA-TN-02052 and the UltraPlus data sheet."""

    input_hz: float
    """10 to 133 MHz."""
    divr: int
    """Reference divider less 1, 0 to 15; the phase detector runs at 10 to 133 MHz."""
    divf: int
    """Feedback divider less 1, 0 to 127."""
    divq: int
    """log2 of the divider from the VCO (533 to 1066 MHz) to the output, 1 to 6."""

    def __post_init__(self) -> None:
        _check("iCE40 PLL input", self.input_hz / 1e6, 10, 133, " MHz")
        _check("iCE40 PLL divr", self.divr, 0, 15)
        _check("iCE40 PLL divf", self.divf, 0, 127)
        _check("iCE40 PLL divq", self.divq, 1, 6)
        _check("iCE40 PLL phase detector", self.pfd_hz / 1e6, 10, 133, " MHz")
        _check("iCE40 PLL VCO", self.vco_hz / 1e6, 533, 1066, " MHz")
        _check("iCE40 PLL output", self.output_hz / 1e6, 16, 275, " MHz")

    @property
    def pfd_hz(self) -> float:
        """Frequency at the phase detector."""
        return self.input_hz / (self.divr + 1)

    @property
    def vco_hz(self) -> float:
        """Frequency of the oscillator."""
        return self.pfd_hz * (self.divf + 1)

    @property
    def output_hz(self) -> float:
        """Frequency of the clock that the component puts out."""
        return self.vco_hz / (1 << self.divq)

    @property
    def filter_range(self) -> int:
        """Loop filter for the phase detector's frequency, as icepll chooses it."""
        limits = (17e6, 26e6, 44e6, 66e6, 101e6)
        return 1 + sum(self.pfd_hz >= limit for limit in limits)


def _ecp5_choices(input_hz: float, output_hz: float) -> Iterator[Ecp5PLLParams]:
    """Legal settings; for each reference and VCO the output divider nearest to what is asked."""
    for clki_div in range(1, int(input_hz / 10e6) + 1):
        pfd = input_hz / clki_div
        if not 10e6 <= pfd <= 400e6:
            continue
        # VCO = pfd * product; the product splits into the two dividers of the loop.
        for product in range(-int(-400e6 // pfd), int(800e6 / pfd) + 1):
            vco = pfd * product
            guess = vco / output_hz
            for divider in sorted({min(128, max(1, int(guess) + k)) for k in (0, 1)}):
                if not 3.125e6 <= vco / divider <= 400e6:
                    continue
                if product % divider == 0 and product // divider <= 128:
                    yield Ecp5PLLParams(
                        input_hz=input_hz, clki_div=clki_div,
                        clkfb_div=product // divider, clkop_div=divider,
                    )  # fmt: skip
                    continue
                for clkop_div in range(min(product, 128), 0, -1):
                    fits = product % clkop_div == 0 and product // clkop_div <= 128
                    if fits and 3.125e6 <= vco / clkop_div <= 400e6:
                        yield Ecp5PLLParams(
                            input_hz=input_hz, clki_div=clki_div, clkfb_div=product // clkop_div,
                            clkop_div=clkop_div, clkos_div=divider,
                        )  # fmt: skip
                        break


def _ice40_choices(input_hz: float) -> Iterator[Ice40PLLParams]:
    for divr in range(16):
        pfd = input_hz / (divr + 1)
        if not 10e6 <= pfd <= 133e6:
            continue
        for divf in range(128):
            if not 533e6 <= pfd * (divf + 1) <= 1066e6:
                continue
            for divq in range(1, 7):
                if 16e6 <= pfd * (divf + 1) / (1 << divq) <= 275e6:
                    yield Ice40PLLParams(input_hz=input_hz, divr=divr, divf=divf, divq=divq)


def _refuse(family: str, input_hz: float, output_hz: float, nearest: float) -> InputError:
    return InputError(
        f"clock {output_hz / 1e6:g} MHz: the {family} PLL cannot make it from "
        f"{input_hz / 1e6:g} MHz; the nearest is {nearest / 1e6:.6g} MHz "
        f"(`--clock {nearest / 1e6:.6g}`)"
    )


def ecp5_pll(input_hz: float, output_hz: float) -> Ecp5PLLParams:
    """The setting nearest to `output_hz`, one output if it can be; within `TOLERANCE`."""
    _require("ECP5", input_hz, 8e6, 400e6, output_hz)
    # The search looks at dividers near the clock asked for: keep that inside the legal range.
    wanted = min(max(output_hz, 3.125e6), 400e6)
    best = min(
        _ecp5_choices(input_hz, wanted),
        key=lambda p: (
            round(abs(p.output_hz - wanted)), p.clkos_div is not None, p.clki_div, -p.vco_hz,
        ),
    )  # fmt: skip
    if abs(best.output_hz - output_hz) > TOLERANCE * output_hz:
        raise _refuse("ECP5", input_hz, output_hz, best.output_hz)
    return best


def ice40_pll(input_hz: float, output_hz: float) -> Ice40PLLParams:
    """The setting nearest to `output_hz`; within `TOLERANCE`."""
    _require("iCE40", input_hz, 10e6, 133e6, output_hz)
    best = min(
        _ice40_choices(input_hz),
        key=lambda p: (round(abs(p.output_hz - output_hz)), p.divr, p.divf),
    )
    if abs(best.output_hz - output_hz) > TOLERANCE * output_hz:
        raise _refuse("iCE40", input_hz, output_hz, best.output_hz)
    return best


def _require(family: str, input_hz: float, low: float, high: float, output_hz: float) -> None:
    if not low <= input_hz <= high:
        raise InputError(
            f"oscillator {input_hz / 1e6:g} MHz: the {family} PLL takes {low / 1e6:g} to "
            f"{high / 1e6:g} MHz; use another clock pin"
        )
    if not output_hz > 0:
        raise InputError(f"clock {output_hz / 1e6:g} MHz: must be above 0")


class Ecp5PLL(wiring.Component):
    """EHXPLLL.

    Members
    -------
    i : 1
        Reference clock.
    o : 1
        The clock made from it.
    locked : 1
        Asynchronous: 1 while `o` is good.
    """

    i: Signal
    o: Signal
    locked: Signal

    def __init__(self, params: Ecp5PLLParams):
        self.params = params
        super().__init__({"i": In(1), "o": Out(1), "locked": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        p = self.params
        clkop = Signal()
        second: dict[str, object] = {"p_CLKOS_ENABLE": "DISABLED", "o_CLKOS": Signal()}
        if p.clkos_div is None:
            m.d.comb += self.o.eq(clkop)
        else:
            second = {
                "p_CLKOS_ENABLE": "ENABLED",
                "p_CLKOS_DIV": p.clkos_div,
                "p_CLKOS_CPHASE": p.clkos_div - 1,
                "p_CLKOS_FPHASE": 0,
                "o_CLKOS": self.o,
                "a_FREQUENCY_PIN_CLKOS": f"{p.output_hz / 1e6:.6g}",
            }
        m.submodules.ehxplll = Instance(
            "EHXPLLL",
            **{f"a_{key}": value for key, value in ECP5_LOOP.items()},
            a_FREQUENCY_PIN_CLKI=f"{p.input_hz / 1e6:.6g}",
            a_FREQUENCY_PIN_CLKOP=f"{p.vco_hz / p.clkop_div / 1e6:.6g}",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            p_CLKI_DIV=p.clki_div,
            p_CLKFB_DIV=p.clkfb_div,
            p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=p.clkop_div,
            p_CLKOP_CPHASE=p.clkop_div - 1,
            p_CLKOP_FPHASE=0,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_CLKI=self.i,
            i_CLKFB=clkop,
            o_CLKOP=clkop,
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            i_ENCLKOS=Const(0),
            i_ENCLKOS2=Const(0),
            i_ENCLKOS3=Const(0),
            o_LOCK=self.locked,
            **{f"o_{name}": Signal(name=name) for name in ECP5_UNUSED},
            **second,
        )
        return m


class Ice40PLL(wiring.Component):
    """SB_PLL40_PAD (its reference is a clock pin) or SB_PLL40_CORE.

    Members
    -------
    i : 1
        Reference clock: with `pad` straight from a top-level port.
    o : 1
        The clock made from it, on a global net.
    locked : 1
        Asynchronous: 1 while `o` is good.
    """

    i: Signal
    o: Signal
    locked: Signal

    def __init__(self, params: Ice40PLLParams, *, pad: bool = True):
        self.params = params
        self.pad = pad
        super().__init__({"i": In(1), "o": Out(1), "locked": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        p = self.params
        reference: dict[str, object] = {
            "i_PACKAGEPIN" if self.pad else "i_REFERENCECLK": self.i,
        }
        m.submodules.pll40 = Instance(
            "SB_PLL40_PAD" if self.pad else "SB_PLL40_CORE",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(p.divr, 4),
            p_DIVF=Const(p.divf, 7),
            p_DIVQ=Const(p.divq, 3),
            p_FILTER_RANGE=Const(p.filter_range, 3),
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=self.o,
            i_EXTFEEDBACK=Const(0),
            i_DYNAMICDELAY=Const(0, 8),
            i_LATCHINPUTVALUE=Const(0),
            i_SDI=Const(0),
            i_SCLK=Const(0),
            o_LOCK=self.locked,
            **{f"o_{name}": Signal(name=name) for name in ICE40_UNUSED},
            **reference,
        )
        return m
