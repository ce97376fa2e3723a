# SPDX-License-Identifier: Apache-2.0
"""Pin constraints of `spikefab_top` on a board."""

from __future__ import annotations

from collections.abc import Iterator

from spikefab.boards.board import Board, Pin

__all__ = ["lpf", "pcf"]


def _ports(board: Board, n_leds: int) -> Iterator[tuple[str, Pin]]:
    yield "clk", board.clock
    yield "rx", board.rx
    yield "tx", board.tx
    for index, pin in enumerate(board.leds[:n_leds]):
        yield f"leds[{index}]", pin


def lpf(board: Board, n_leds: int) -> str:
    """Constraints for `nextpnr-ecp5`."""
    lines = [f"# {board.title}: pins from amaranth-boards", "BLOCK ASYNCPATHS;"]
    for port, pin in _ports(board, n_leds):
        lines.append(f'LOCATE COMP "{port}" SITE "{pin.site}";')
        settings = " ".join(f"{key}={value}" for key, value in pin.attrs.items())
        if settings:
            lines.append(f'IOBUF PORT "{port}" {settings};')
    lines.append(f'FREQUENCY PORT "clk" {board.oscillator_hz / 1e6:.6f} MHZ;')
    return "\n".join(lines) + "\n"


def pcf(board: Board, n_leds: int) -> str:
    """Constraints for `nextpnr-ice40`.

    The pull-up is the only attribute that a PCF can carry; the I/O standards of amaranth-boards
    choose nothing in an iCE40 bitstream.
    """
    lines = [f"# {board.title}: pins from amaranth-boards"]
    for port, pin in _ports(board, n_leds):
        pull_up = pin.direction == "i" and pin.attrs.get("PULLUP")
        option = "-pullup yes " if pull_up else ""
        lines.append(f"set_io {option}{port} {pin.site}")
    lines.append(f"set_frequency clk {board.oscillator_hz / 1e6:g}")
    return "\n".join(lines) + "\n"
