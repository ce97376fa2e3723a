# SPDX-License-Identifier: Apache-2.0
"""How well each layer's lanes are used, counted at the engines of the simulated Verilog."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikefab.gen.design import Design
from spikefab.gen.samples import check_samples
from spikefab.sim.core_program import Core
from spikefab.sim.core_run import SimulationError, encode_items
from spikefab.sim.toolchain import HARNESS, Progress, build_program, locked

__all__ = ["LaneUse", "count_lane_use"]

MAX_LAYERS = 16
"""Four bits a layer in one 64-bit port."""

HANG = 1_000_000
"""Cycles in which no item enters and no sample ends, after which the core counts as stuck."""


@dataclass(frozen=True, kw_only=True)
class LaneUse:
    """What one layer's engine did, samples streaming in back to back."""

    name: str
    lanes: int
    fan_out: int
    events: int
    cycles: int
    """Clock cycles in which an event was offered to the engine or was being issued."""

    @property
    def share(self) -> float:
        """Accumulates done over those that the lanes could have done while events waited: each
        synapse of an event counts, whatever its weight."""
        return self.events * self.fan_out / (self.lanes * self.cycles) if self.cycles else 1.0


def count_lane_use(
    design: Design, x: np.ndarray, *, message: Progress | None = None
) -> list[LaneUse]:
    """Streams samples through a design's Verilog; counts in every layer.

    `x`: samples as `sim.golden.run_golden` takes them. Input items are always offered, output items
    always taken. Raises `SimulationError` where the core hangs.
    """
    qnet = design.qnetwork()
    x = check_samples(qnet, x)
    if any("shared" in entry for entry in design.manifest["layers"]):
        raise ValueError("layers share an engine: its lanes are not counted by layer")
    if len(qnet.layers) > MAX_LAYERS:
        raise ValueError(f"{len(qnet.layers)} layers: at most {MAX_LAYERS} are counted")
    last = qnet.layers[-1].neuron
    core = Core(
        n_inputs=qnet.n_inputs,
        n_outputs=qnet.n_outputs,
        payload_width=0 if last.spiking else last.membrane_width,
        value_width=qnet.input.payload_width,
        changes=qnet.input.coding == "delta",
        input_at=design.input_addresses,
        output_at=design.output_addresses,
    )
    folder = design.build / "simulate" / "lanes"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        top = folder / "lanes.sv"
        top.write_text(_bench(core, len(qnet.layers)), encoding="utf-8")
        program = build_program(
            "lanes",
            sources=[top, design.verilog],
            top="spikefab_lanes",
            main=HARNESS / "lanes.cpp",
            folder=folder,
            defines={"LAYERS": len(qnet.layers)},
            progress=message,
        )
    rows = x.reshape(len(x), 1 if qnet.input.framed else x.shape[1], -1)
    items, _ = encode_items(core, rows)
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as scratch:
        stimulus = Path(scratch) / "items.bin"
        stimulus.write_bytes(items.tobytes())
        done = subprocess.run(
            [program, stimulus, str(len(x)), str(HANG)], capture_output=True, text=True
        )
    if done.returncode:
        raise SimulationError(f"the core {done.stderr.strip() or done.returncode}")
    counts = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    return [
        LaneUse(
            name=layer.name,
            lanes=int(entry["lanes"]),
            fan_out=layer.neuron.n,
            events=events,
            cycles=cycles,
        )
        for layer, entry, (events, cycles) in zip(
            qnet.layers, design.manifest["layers"], counts, strict=True
        )
    ]


def _bench(core: Core, layers: int) -> str:
    """The core with 64-bit data ports, and its engines' input: valid, ready, token, and whether the
    engine is free to take an event."""
    lines = [
        "// The core with 64-bit data ports, and what its engines do.",
        "module spikefab_lanes (",
        "    input clk, input rst,",
        "    input [63:0] in_data, input in_valid, output in_ready,",
        "    output [63:0] out_data, output out_valid, input out_ready,",
        "    output [63:0] engines",
        ");",
        f"    wire [{core.out_width - 1}:0] o;",
        "    assign out_data = 64'(o);",
        "    spikefab_core core (",
        "        .clk(clk), .rst(rst),",
        f"        .i__payload(in_data[{core.in_width - 1}:0]),",
        "        .i__valid(in_valid), .i__ready(in_ready),",
        "        .o__payload(o), .o__valid(out_valid), .o__ready(out_ready)",
        "    );",
    ]
    bits: list[str] = []
    for k in range(layers):
        at = f"core.layer{k}.engine"
        bits = [f"{at}.free", f"{at}.i__payload[0]", f"{at}.i__ready", f"{at}.i__valid", *bits]
    lines.append(f"    assign engines = 64'({{{', '.join(bits)}}});")
    return "\n".join([*lines, "endmodule", ""])
