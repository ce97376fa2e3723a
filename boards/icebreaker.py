# SPDX-License-Identifier: Apache-2.0
"""1BitSquared iCEBreaker: iCE40 UP5K, 12 MHz oscillator, FT2232H."""

from __future__ import annotations

from amaranth_boards.icebreaker import ICEBreakerPlatform

from spikefab.boards.board import Board

__all__ = ["BOARDS"]

BOARDS = (
    Board(
        name="icebreaker",
        title="1BitSquared iCEBreaker (iCE40 UP5K)",
        platform_class=ICEBreakerPlatform,
        default_clock_hz=24e6,
        default_baud=3_000_000,
        # Its FT2232H is wired to the flash as openFPGALoader's generic iCE40 board.
        loader_flags=("-b", "ice40_generic"),
        # Block RAM reads as zero for some 3 us after configuration (amaranth-boards waits as long).
        reset_seconds=15e-6,
        notes=("The UART is the FT2232H's second port.",),
    ),
)
