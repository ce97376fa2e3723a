# SPDX-License-Identifier: Apache-2.0
"""Carry chains on ECP5: the same function, and no carry into a chain."""

from __future__ import annotations

import json
from pathlib import Path

from spikefab.gen.ecp5_carry import ADDERS
from spikefab.gen.synth import synth_script
from spikefab.sim.toolchain import run_yosys

# Signed and unsigned sums, differences and comparisons, of even and odd widths.
SUMS = """
module top(input signed [7:0] a, input signed [4:0] b, input [6:0] c, input s,
           output [8:0] o0, output [9:0] o1, output o2, output o3, output [6:0] o4,
           output [2:0] o5, output [7:0] o6, output o7, output [7:0] o8);
  assign o0 = a + b;
  assign o1 = a - b;
  assign o2 = a < b;
  assign o3 = c >= 7'd19;
  assign o4 = c - b;
  assign o5 = c[2:0] + b[2:0];
  assign o6 = s ? a + b : a - b;
  assign o7 = c[6:1] > a[5:0];
  assign o8 = c + 8'd77;
endmodule
"""

# Lattice's cell, as FPGA-TN-02200 draws it.
CELL = """
module CCU2C(input CIN, A0, B0, C0, D0, A1, B1, C1, D1, output S0, S1, COUT);
  parameter [15:0] INIT0 = 0;
  parameter [15:0] INIT1 = 0;
  parameter INJECT1_0 = "NO";
  parameter INJECT1_1 = "NO";
  wire l0 = INIT0[{D0, C0, B0, A0}], l1 = INIT1[{D1, C1, B1, A1}];
  wire c0 = l0 ? CIN : INIT0[{2'b00, B0, A0}];
  assign S0 = l0 ^ CIN;
  assign S1 = l1 ^ c0;
  assign COUT = l1 ? c0 : INIT1[{2'b00, B1, A1}];
endmodule
"""


def test_the_same_function(tmp_path: Path) -> None:
    """For all inputs, and whatever comes into the first cell of a chain."""
    for name, text in (("adders", ADDERS), ("sums", SUMS), ("cell", CELL)):
        (tmp_path / f"{name}.v").write_text(text)
    script = """
        read_verilog adders.v
        design -stash adders
        read_verilog sums.v
        hierarchy -top top
        proc; opt; wreduce; alumacc; opt
        design -save gold
        techmap -map %adders
        select -assert-min 20 t:CCU2C
        select -clear
        read_verilog cell.v
        hierarchy -top top
        proc; flatten
        design -stash gate
        design -load gold
        techmap
        design -stash gold
        design -copy-from gold -as gold top
        design -copy-from gate -as gate top
        miter -equiv -flatten -make_outputs gold gate miter
        hierarchy -top miter
        proc; opt
        sat -verify -prove trigger 0 -set-def-inputs miter
    """
    run_yosys("\n".join(line.strip() for line in script.splitlines()), tmp_path)


def test_no_carry_into_a_chain(tmp_path: Path) -> None:
    """Place and route would spend a cell on each."""
    (tmp_path / "sums.v").write_text(SUMS)
    run_yosys(synth_script("sums.v", "ecp5", "top", json="netlist.json"), tmp_path)
    cells = json.loads((tmp_path / "netlist.json").read_text())["modules"]["top"]["cells"]
    carries = [c["connections"]["CIN"] for c in cells.values() if c["type"] == "CCU2C"]
    assert ["x"] in carries
    assert [carry for carry in carries if carry in (["0"], ["1"])] == []
