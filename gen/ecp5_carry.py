# SPDX-License-Identifier: Apache-2.0
"""Carry chains on ECP5 that start by themselves.

A chain cell (CCU2C) holds two bits. Yosys ties the carry into a chain's first cell to a constant,
which no cell can take: place and route puts a whole cell in front of every chain to make it. But a
first bit whose carry in is a constant needs no carry: its sum is a function of two inputs, and so
is its carry out. Here a look-up table makes the one, and the chain's first half cell the other, set
so that it lets no carry through: whatever comes in does not matter. A short adder is a third
smaller, and where the first sum is not used, as below a rounded product, nothing is left of it.

The two maps are run by `gen.synth`, the first in place of Yosys' own, which still maps chains whose
carry in or whose sign is a signal.
"""

from __future__ import annotations

__all__ = ["ADDERS", "CHAIN_STARTS"]

ADDERS = r"""
(* techmap_celltype = "$alu" *)
module spikefab_adder (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_CI_ = 0;
  parameter _TECHMAP_CONSTVAL_CI_ = 0;
  parameter _TECHMAP_CONSTMSK_BI_ = 0;
  parameter _TECHMAP_CONSTVAL_BI_ = 0;
  (* force_downto *) input [A_WIDTH-1:0] A;
  (* force_downto *) input [B_WIDTH-1:0] B;
  (* force_downto *) output [Y_WIDTH-1:0] X, Y, CO;
  input CI, BI;

  wire _TECHMAP_FAIL_ = Y_WIDTH <= 2 || !_TECHMAP_CONSTMSK_CI_ || !_TECHMAP_CONSTMSK_BI_;

  localparam CELLS = (Y_WIDTH + 1) / 2;
  localparam W = 2 * CELLS;
  localparam SUB = _TECHMAP_CONSTVAL_BI_ === 1'b1;
  localparam ONE = _TECHMAP_CONSTVAL_CI_ === 1'b1;
  // Sum and carry of A and B, or of A and ~B; of a first bit, no sum: its carry alone.
  localparam [15:0] ADD = 16'h96AA;
  localparam [15:0] FIRST = SUB ? (ONE ? 16'h000B : 16'h0002) : (ONE ? 16'h000E : 16'h0008);

  wire [A_WIDTH+W-1:0] a = {{W{A_SIGNED ? A[A_WIDTH-1] : 1'b0}}, A};
  wire [B_WIDTH+W-1:0] b = {{W{B_SIGNED ? B[B_WIDTH-1] : 1'b0}}, B};
  wire [W-1:0] operand = SUB ? ~b[W-1:0] : b[W-1:0];
  wire [W-1:0] s;
  wire [CELLS:0] c;

  genvar i;
  generate
    for (i = 0; i < CELLS; i = i + 1) begin : chain
      if (i == 0)
        CCU2C #(.INIT0(FIRST), .INIT1(ADD), .INJECT1_0("NO"), .INJECT1_1("NO")) two (
          .A0(a[0]), .B0(b[0]), .C0(1'b1), .D0(1'b1),
          .A1(a[1]), .B1(b[1]), .C1(SUB), .D1(1'b1),
          .S1(s[1]), .COUT(c[1])
        );
      else
        CCU2C #(.INIT0(ADD), .INIT1(ADD), .INJECT1_0("NO"), .INJECT1_1("NO")) two (
          .A0(a[2*i]), .B0(b[2*i]), .C0(SUB), .D0(1'b1),
          .A1(a[2*i+1]), .B1(b[2*i+1]), .C1(SUB), .D1(1'b1),
          .CIN(c[i]), .S0(s[2*i]), .S1(s[2*i+1]), .COUT(c[i+1])
        );
    end
    for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
      if (i == 0) begin
        assign Y[0] = a[0] ^ operand[0] ^ ONE;
        assign CO[0] = ONE ? a[0] | operand[0] : a[0] & operand[0];
      end else begin
        assign Y[i] = s[i];
        assign CO[i] = i % 2 ? c[i/2+1] : (a[i] & operand[i]) | (c[i/2] & (a[i] | operand[i]));
      end
    end
  endgenerate
  assign X = a[Y_WIDTH-1:0] ^ operand[Y_WIDTH-1:0];
endmodule
"""
"""Technology map for adders and comparisons."""

CHAIN_STARTS = r"""
(* techmap_celltype = "CCU2C" *)
module spikefab_chain_start (A0, B0, C0, D0, A1, B1, C1, D1, CIN, S0, S1, COUT);
  parameter [15:0] INIT0 = 16'h0000;
  parameter [15:0] INIT1 = 16'h0000;
  parameter INJECT1_0 = "YES";
  parameter INJECT1_1 = "YES";
  parameter _TECHMAP_CONSTMSK_CIN_ = 0;
  parameter _TECHMAP_CONSTVAL_CIN_ = 0;
  input A0, B0, C0, D0, A1, B1, C1, D1, CIN;
  output S0, S1, COUT;

  // Done already, a carry from a cell or a signal, or a first bit that would let it through.
  wire _TECHMAP_FAIL_ =
    !_TECHMAP_CONSTMSK_CIN_ || _TECHMAP_CONSTVAL_CIN_ === 1'bx || INIT0[15:4] != 12'd0;

  CCU2C #(
    .INIT0(INIT0), .INIT1(INIT1), .INJECT1_0(INJECT1_0), .INJECT1_1(INJECT1_1)
  ) _TECHMAP_REPLACE_ (
    .A0(A0), .B0(B0), .C0(C0), .D0(D0), .A1(A1), .B1(B1), .C1(C1), .D1(D1),
    .CIN(1'bx), .S0(S0), .S1(S1), .COUT(COUT)
  );
endmodule
"""
"""Technology map that takes off the constant that optimisation puts on an open carry input."""
