# SPDX-License-Identifier: Apache-2.0
"""The synthesis that both the bitstream and the gate-level simulation go through."""

from __future__ import annotations

from spikefab.gen.ecp5_carry import ADDERS, CHAIN_STARTS
from spikefab.gen.errors import InputError

__all__ = ["FAMILIES", "synth_command", "synth_script"]

FAMILIES = ("ecp5", "ice40")

_ADDERS, _CHAIN_STARTS = "spikefab_adders", "spikefab_chain_starts"


def synth_command(family: str, top: str, *, device: str = "", json: str | None = None) -> str:
    """The Yosys commands that map `top` onto a family's cells.

    `device`: the iCE40 part (`iCE40UP5K`, `hx8k`, …): which delays to optimise for. Multiplications
    go to DSPs on ECP5; on iCE40 they stay logic. On ECP5 the maps of `gen.ecp5_carry` must have
    been stashed (`synth_script` does).
    """
    if family not in FAMILIES:
        raise InputError(f"family {family!r}: no synthesis; it is one of {', '.join(FAMILIES)}")
    if family == "ecp5":
        commands = [
            f"synth_ecp5 -top {top} -run begin:map_gates",
            f"techmap -map %{_ADDERS}",
            f"synth_ecp5 -top {top} -run map_gates:json",
            f"techmap -map %{_CHAIN_STARTS}",
            "opt_clean",
        ]
        return "\n".join(commands + ([f"write_json {json}"] if json else []))
    part = device.lower().removeprefix("ice40")
    speed = next((kind for kind in ("hx", "lp") if part.startswith(kind)), "u")
    return f"synth_ice40 -device {speed} -top {top}" + (f" -json {json}" if json else "")


def synth_script(
    verilog: str, family: str, top: str, *, device: str = "", json: str | None = None
) -> str:
    """A Yosys script: reads one Verilog file, synthesises `top`, and writes `json` if named.

    File names are relative to the folder that Yosys runs in.
    """
    script = ""
    if family == "ecp5":
        for name, text in ((_ADDERS, ADDERS), (_CHAIN_STARTS, CHAIN_STARTS)):
            script += f"read_verilog <<END_OF_MAP{text}END_OF_MAP\ndesign -stash {name}\n"
    command = synth_command(family, top, device=device, json=json)
    return f"{script}read_verilog {verilog}\n{command}\n"
