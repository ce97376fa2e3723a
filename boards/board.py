# SPDX-License-Identifier: Apache-2.0
"""What spikefab needs to know of a board, read from its amaranth-boards platform class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from amaranth.build import Pins

__all__ = ["Board", "Pin"]


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One pin of the FPGA, as the board wires it."""

    site: str
    """Ball or pin of the package."""
    direction: str
    """`i` or `o`, as the FPGA sees it."""
    invert: bool
    """True: the signal on the wire is active low."""
    attrs: dict[str, Any]
    """I/O attributes of the vendor: `IO_TYPE`, `DRIVE`, `PULLUP`, …"""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board: an amaranth-boards platform, and the choices that spikefab makes for it.

    Pins, device, package, speed grade and oscillator are the platform's.
    """

    name: str
    """Name on the command line."""
    title: str
    """Name for people."""
    platform_class: type[Any]
    """Class of `amaranth_boards`."""
    default_clock_hz: float
    """Fabric clock where the user asks for none."""
    default_baud: int
    """Bits a second of the UART where the user asks for none."""
    loader_flags: tuple[str, ...]
    """Arguments of openFPGALoader that select the board."""
    reset_seconds: float
    """How long the reset lasts after the clock is good."""
    notes: tuple[str, ...] = field(default=())
    """What a user of this board should know."""

    @property
    def platform(self) -> Any:
        """A fresh instance of the platform class."""
        return self.platform_class()

    @property
    def device(self) -> str:
        return str(self.platform_class.device)

    @property
    def package(self) -> str:
        return str(self.platform_class.package)

    @property
    def speed(self) -> str | None:
        """Speed grade; None where the family has none."""
        speed = getattr(self.platform_class, "speed", None)
        return None if speed is None else str(speed)

    @property
    def oscillator_hz(self) -> float:
        """Frequency at the clock pin."""
        return float(self.platform.default_clk_frequency)

    @property
    def clock(self) -> Pin:
        """The oscillator's pin."""
        return self._pin(self.platform_class.default_clk, 0)

    @property
    def rx(self) -> Pin:
        """UART data into the FPGA."""
        return self._uart("rx", "i")

    @property
    def tx(self) -> Pin:
        """UART data out of the FPGA."""
        return self._uart("tx", "o")

    @property
    def leds(self) -> tuple[Pin, ...]:
        """The board's LEDs in the platform's order."""
        numbers = sorted(n for name, n in self.platform.resources if name == "led")
        return tuple(self._pin("led", n) for n in numbers)

    def _uart(self, role: str, direction: str) -> Pin:
        pin = self._pin("uart", 0, role)
        if pin.direction != direction:
            raise ValueError(f"board {self.name!r}: UART pin {role} has direction {pin.direction}")
        return pin

    def _pin(self, name: str, number: int, role: str | None = None) -> Pin:
        platform = self.platform
        resource: Any = platform.lookup(name, number)
        attrs = dict(_plain(resource.attrs))
        ios: Any = resource.ios
        if role is not None:
            sub: Any
            (sub,) = [io for io in ios if getattr(io, "name", None) == role]
            attrs.update(_plain(sub.attrs))
            ios = sub.ios
        pins: Any
        (pins,) = [io for io in ios if isinstance(io, Pins)]
        (site,) = pins.map_names(platform._conn_pins, resource)
        return Pin(site=site, direction=pins.dir, invert=pins.invert, attrs=_plain(attrs))


def _plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that are plain values, not functions of a port."""
    return {key: value for key, value in attrs.items() if not callable(value)}
