# SPDX-License-Identifier: Apache-2.0
"""Radiona ULX3S: ECP5 of four sizes, 25 MHz oscillator, FT231X."""

from __future__ import annotations

from amaranth_boards.ulx3s import (
    ULX3S_12F_Platform,
    ULX3S_25F_Platform,
    ULX3S_45F_Platform,
    ULX3S_85F_Platform,
)

from spikefab.boards.board import Board

__all__ = ["BOARDS"]

_PLATFORMS = {
    "12f": ULX3S_12F_Platform,
    "25f": ULX3S_25F_Platform,
    "45f": ULX3S_45F_Platform,
    "85f": ULX3S_85F_Platform,
}

BOARDS = tuple(
    Board(
        name=f"ulx3s-{size}",
        title=f"Radiona ULX3S (ECP5 LFE5U-{size.upper()})",
        platform_class=platform,
        default_clock_hz=90e6,
        default_baud=3_000_000,
        loader_flags=("-b", "ulx3s"),
        reset_seconds=15e-6,
        notes=("The UART is the FT231X of connector US1, at most 3 Mbaud.",),
    )
    for size, platform in _PLATFORMS.items()
)
