# SPDX-License-Identifier: Apache-2.0
"""Small design directories with hand-written Verilog."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikefab.gen.design import Design
from spikefab.hdl.params import (
    CoreParams,
    InputParams,
    LayerParams,
    NeuronParams,
    Storage,
    SynapseParams,
)

CORE = """\
module spikefab_core(input clk, input rst, input [7:0] i__payload, input i__valid,
    output i__ready, output [7:0] o__payload, output o__valid, input o__ready);
  reg [7:0] sum = 0, out = 0;
  reg full = 0;
  assign i__ready = !full | o__ready;
  assign o__payload = out;
  assign o__valid = full;
  always @(posedge clk)
    if (rst) begin sum <= 0; full <= 0; end
    else if (i__ready) begin
      full <= i__valid;
      if (i__valid) begin sum <= sum + i__payload; out <= sum ^ i__payload; end
    end
endmodule
"""

TOP = """\
module spikefab_top(input clk, input rx, output tx, output [7:0] leds);
  wire [7:0] o;
  reg [7:0] shift = 0;
  always @(posedge clk) shift <= {shift[6:0], rx};
  spikefab_core core(.clk(clk), .rst(1'b0), .i__payload(shift), .i__valid(rx), .i__ready(),
    .o__payload(o), .o__valid(), .o__ready(1'b1));
  assign tx = ^o;
  assign leds = o;
endmodule
"""

MEMORIES = """\
module spikefab_core(input clk, input [15:0] i, input [15:0] a, input we, output reg [15:0] o);
  reg [15:0] memory [0:{words}-1];
  always @(posedge clk) begin
    if (we) memory[a] <= i;
    o <= memory[a];
  end
endmodule
"""

SOURCES = {"core": CORE, "top": CORE + TOP, "memories": MEMORIES}


@pytest.fixture
def make_design(tmp_path: Path) -> Callable[..., Design]:
    """Writes a design directory: `make_design("board" | "device", target, …)`.

    `source`: `core`, a small counter; `top`, the same with a board's pins; `memories`, a RAM of
    `words` 16-bit words; or Verilog text. `extra` follows it.
    """

    def make(
        kind: str,
        target: str,
        *,
        source: str = "core",
        words: int = 0,
        extra: str = "",
        top: str = "spikefab_core",
        clock_hz: float | None = None,
        files: dict[str, str] | None = None,
    ) -> Design:
        verilog = SOURCES.get(source, source).replace("{words}", str(words)) + extra
        folder = tmp_path / "design"
        folder.mkdir()
        manifest: dict[str, Any] = {
            "format": 1,
            "name": "tiny net",
            "hash": "0123456789abcdef" * 2,
            "target": {"kind": kind, "name": target, "clock_hz": clock_hz},
            "top": top,
            "predicted": {"cycles_per_inference": 1234.5, "interval_cycles": 1200.0},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        for name, text in {"design.v": verilog, **(files or {})}.items():
            (folder / name).write_text(text)
        return Design.load(folder)

    return make


@pytest.fixture(scope="session")
def core_params() -> Callable[..., CoreParams]:
    """Parameters of a one-layer core; with `membrane` its output is that wide, with `values` its
    input's events carry so many bits."""

    def make(
        n_inputs: int = 64,
        n_outputs: int = 10,
        membrane: int | None = None,
        values: int = 0,
        storage: Storage = "block",
    ) -> CoreParams:
        synapse = SynapseParams(
            n_in=n_inputs, n_out=n_outputs, weight_width=4, acc_min=-512, acc_max=448,
            payload_width=values,
        )  # fmt: skip
        neuron = NeuronParams(
            n=n_outputs,
            fraction_bits=4,
            membrane_width=membrane or 16,
            spiking=membrane is None,
            reset="subtract" if membrane is None else "none",
        )
        layer = LayerParams(name="out", synapse=synapse, neuron=neuron, lanes=1, storage=storage)
        return CoreParams(layers=(layer,), input=InputParams(payload_width=values))

    return make
