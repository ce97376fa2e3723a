# SPDX-License-Identifier: Apache-2.0
"""What a target adds around the core: the boards room makes it, the emitter writes it down."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Shell"]


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A board's top module around `spikefab_core`, or none for a bare part.

    `verilog` holds the module `spikefab_top` (and its submodules), which instantiates
    `spikefab_core`; its ports are the board's pins.
    """

    verilog: str
    constraints: str
    """Text of the pin constraints, for nextpnr."""
    constraints_name: str
    """`constraints.lpf` or `constraints.pcf`."""
    clock_hz: float
    """Fabric clock that the top makes from the board's oscillator."""
    oscillator_hz: float
    """Frequency of the clock pin."""
    baud: int
    """Bits a second of the UART, exact for the chosen divisor."""
    ports: dict[str, str]
    """Pin-side ports of `spikefab_top` by role: `clk`, `rx`, `tx`, `leds`."""
