# SPDX-License-Identifier: Apache-2.0
"""The synthesis that both the bitstream and the gate-level simulation go through."""

from __future__ import annotations

from spikefab.gen.errors import InputError

__all__ = ["FAMILIES", "synth_command", "synth_script"]

FAMILIES = ("ecp5", "ice40")


def synth_command(family: str, top: str, *, device: str = "", json: str | None = None) -> str:
    """The Yosys command that maps `top` onto a family's cells.

    `device`: the iCE40 part (`iCE40UP5K`, `hx8k`, …): which delays to optimise for. Multiplications
    go to DSPs on ECP5; on iCE40 they stay logic.
    """
    if family not in FAMILIES:
        raise InputError(f"family {family!r}: no synthesis; it is one of {', '.join(FAMILIES)}")
    options = f" -top {top}" + (f" -json {json}" if json else "")
    if family == "ecp5":
        return f"synth_ecp5{options}"
    part = device.lower().removeprefix("ice40")
    speed = next((kind for kind in ("hx", "lp") if part.startswith(kind)), "u")
    return f"synth_ice40 -device {speed}{options}"


def synth_script(
    verilog: str, family: str, top: str, *, device: str = "", json: str | None = None
) -> str:
    """A Yosys script: reads one Verilog file, synthesises `top`, and writes `json` if named.

    File names are relative to the folder that Yosys runs in.
    """
    return f"read_verilog {verilog}\n{synth_command(family, top, device=device, json=json)}\n"
