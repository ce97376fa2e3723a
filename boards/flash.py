# SPDX-License-Identifier: Apache-2.0
"""Puts a bitstream on a board with openFPGALoader."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from spikefab.boards.flow import bitstream_path, design_target
from spikefab.boards.tools import EXTRA, find_tool, tail
from spikefab.gen.design import Design
from spikefab.gen.errors import InputError

__all__ = ["LIBRARIES", "LOADER", "flash", "flash_command"]

LOADER = "openfpgaloader-cli"
"""Program of the package `openfpgaloader`."""

LIBRARIES = "apt install libusb-1.0-0 libftdi1-2"
"""How to get the shared libraries that the loader needs, on Debian and Ubuntu."""

_CURES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("error while loading shared libraries",),
        f"a shared library is missing: `{LIBRARIES}`",
    ),
    (
        # libftdi's -4 and -5: found, but it can't be opened or claimed.
        ("access denied", "permission", "LIBUSB_ERROR_ACCESS", "device: -4", "device: -5"),
        "the USB device may not be opened: copy openFPGALoader's 99-openfpgaloader.rules to "
        "/etc/udev/rules.d and join the group plugdev, or run this with sudo",
    ),
    (
        ("device not found", "unable to open", "JTAG init failed", "failed to claim cable"),
        "no board answers: plug in its USB cable (a data cable; on the ULX3S connector US1), close "
        "what else uses the port, and see `spikefab doctor`",
    ),
)  # fmt: skip


def flash_command(design: Design, *, cable: str | None = None, persist: bool = False) -> list[str]:
    """The command that `flash` runs; `InputError` for a bare part or without a bitstream."""
    target = design_target(design)
    if target.board is None:
        raise InputError(
            f"{design.path}: made for the bare part {target.name}; flashing needs a board: compile "
            "with `--board`"
        )
    bitstream = bitstream_path(design)
    if not bitstream.is_file():
        raise InputError(f"{bitstream}: no bitstream; run `spikefab build {design.path}`")
    options = [*target.board.loader_flags]
    if cable:
        options += ["--cable", cable]
    if persist:
        options.append("--write-flash")
    return [LOADER, *options, str(bitstream)]


def flash(
    design: Design,
    *,
    dry_run: bool = False,
    cable: str | None = None,
    persist: bool = False,
    echo: Callable[[str], None] = print,
) -> list[str]:
    """Loads the design's bitstream onto its board; returns the command.

    Parameters
    ----------
    dry_run
        Only show the command.
    cable
        openFPGALoader's name of another programmer than the board's own.
    persist
        Write the ULX3S's flash instead of the FPGA's configuration memory: it stays after power
        goes. The iCEBreaker always keeps it.
    echo
        Takes the command line, and what openFPGALoader says.
    """
    command = flash_command(design, cable=cable, persist=persist)
    echo(shlex.join(command))
    if dry_run:
        return command
    loader = find_tool(LOADER)
    try:
        result = subprocess.run(
            [loader, *command[1:]],
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as error:
        raise InputError(
            f"{Path(loader).name}: does not start ({error}); install it again with `{EXTRA}`"
        ) from None
    if result.returncode:
        raise InputError(
            f"flash: {_cure(result.stdout, result.returncode)}\n{tail(result.stdout)}".rstrip()
        )
    echo(result.stdout.rstrip())
    return command


def _cure(output: str, status: int) -> str:
    lowered = output.lower()
    for signs, cure in _CURES:
        if any(sign.lower() in lowered for sign in signs):
            return cure
    return (
        f"openFPGALoader failed with status {status}; check the cable and the board, and see "
        "`spikefab doctor`"
    )
