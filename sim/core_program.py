# SPDX-License-Identifier: Apache-2.0
"""The program that simulates a core: its Verilog behind ports of one width, and the C++ harness."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikefab.gen.errors import InputError
from spikefab.sim.toolchain import HARNESS, Progress, build_program

__all__ = [
    "CONTROL",
    "Core",
    "Monitor",
    "OutputPart",
    "address_width",
    "build_core",
    "monitor_words",
]

CONTROL = 2
"""Bits in front of a group's spikes: the pass's last group, the sample's last pass."""


@dataclass(frozen=True, kw_only=True)
class OutputPart:
    """The addresses of one population in a core's output."""

    name: str
    n: int
    membrane: bool
    """Its events carry membranes, one of each neuron a step."""


@dataclass(frozen=True, kw_only=True)
class Core:
    """The streams of a core: what its ports' bits mean."""

    n_inputs: int
    n_outputs: int
    payload_width: int = 0
    """Bits of the signed payload of an output event; 0 for spikes."""
    value_width: int = 0
    """Bits of the unsigned value of an input event; 0 for spikes."""
    changes: bool = False
    """An input event is a value that is another than in the step before (`delta`)."""
    stops: bool = False
    """A sample may end before its last step."""
    load_words: int = 0
    """Words that the core's memories are loaded with first."""
    drains: bool = False
    """Spikes go round in loops: what they leave of a sample has to be gone before the next one
    is alone."""
    parts: tuple[OutputPart, ...] = ()
    """The output's populations in the order of their addresses; empty: one, of unknown name."""

    input_at: tuple[int, ...] = ()
    """The address of each input; empty: input n has address n."""
    output_at: tuple[int, ...] = ()
    """The address of each output."""

    def output_parts(self, name: str = "output") -> tuple[OutputPart, ...]:
        """`parts`, or the one that `name` is given to."""
        only = OutputPart(name=name, n=self.n_outputs, membrane=self.payload_width > 0)
        return self.parts or (only,)

    @property
    def input_space(self) -> int:
        """Addresses of the input stream."""
        return max(self.input_at) + 1 if self.input_at else self.n_inputs

    @property
    def output_space(self) -> int:
        """Addresses of the output stream."""
        return max(self.output_at) + 1 if self.output_at else self.n_outputs

    @property
    def in_width(self) -> int:
        return 2 + address_width(self.input_space) + self.value_width

    @property
    def load_width(self) -> int:
        return address_width(self.load_words) + 16 if self.load_words else 0

    @property
    def out_width(self) -> int:
        return 2 + address_width(self.output_space) + self.payload_width


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A population whose updates are to be recorded, and the neuron array that makes them."""

    name: str
    path: str
    """Instance of the neuron array below the core, as a Verilog hierarchical name."""
    n: int
    lanes: int
    membrane_width: int
    count_width: int
    """0 for an integrator: no spikes to record."""
    order: tuple[int, ...] = ()
    """The place of each neuron among the `n`; empty: neuron k is at k."""

    @property
    def groups(self) -> int:
        return -(-self.n // self.lanes)


def address_width(n: int) -> int:
    """Bits of an address among `n`, as `hdl.event.EventLayout` has it."""
    return max(1, (n - 1).bit_length())


def build_core(
    core: Core,
    sources: Sequence[Path],
    folder: Path,
    *,
    monitors: Sequence[Monitor] = (),
    fst: bool = False,
    optimise: str = "-O1",
    progress: Progress | None = None,
) -> Path:
    """Builds the simulator of the module `spikefab_core` in `sources`; gives the program."""
    _check_ports(core, sources[0])
    folder.mkdir(parents=True, exist_ok=True)
    bench = folder / "bench.sv"
    text = _bench(core, monitors)
    if not bench.is_file() or bench.read_text(encoding="utf-8") != text:
        bench.write_text(text, encoding="utf-8")
    return build_program(
        "core" + ("_fst" if fst else "") + ("_monitor" if monitors else ""),
        sources=[bench, *sources],
        top="spikefab_bench",
        main=HARNESS / "core.cpp",
        folder=folder,
        defines={"MONITOR_WORDS": monitor_words(monitors)} if monitors else {},
        fst=fst,
        optimise=optimise,
        progress=progress,
    )


def _check_ports(core: Core, verilog: Path) -> None:
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", verilog.read_text(encoding="utf-8"), flags=re.DOTALL)
    match = re.search(r"\bmodule\s+\\?spikefab_core\b.*?\bendmodule\b", text, flags=re.DOTALL)
    if match is None:
        raise InputError(f"{verilog}: no module spikefab_core; compile the design again")
    ports = [("i__payload", core.in_width), ("o__payload", core.out_width)]
    ports += [("load__payload", core.load_width)] if core.load_words else []
    for port, width in ports:
        found = re.search(rf"\[(\d+):0\]\s*\\?{port}\b", match[0])
        if found is None or int(found[1]) + 1 != width:
            raise InputError(
                f"{verilog}: port {port} of spikefab_core is not {width} bits wide, as the "
                "design's sizes say; compile the design again"
            )
        if width > 64:
            raise InputError(f"port {port}: {width} bits; the simulation takes up to 64")


def monitor_words(monitors: Sequence[Monitor]) -> int:
    """32-bit words of the widest group's membranes or spikes."""
    return max(
        (
            -(-bits // 32)
            for m in monitors
            for bits in (m.lanes * m.membrane_width, CONTROL + m.lanes * m.count_width)
        ),
        default=0,
    )


def _bench(core: Core, monitors: Sequence[Monitor]) -> str:
    """The core with 64-bit data ports, whatever its own widths are."""
    leftovers = "decided" if core.stops else "draining" if core.drains else ""
    lines = [
        "// The core with 64-bit data ports, for the C++ harness.",
        "module spikefab_bench (",
        "    input clk, input rst,",
        "    input [63:0] in_data, input in_valid, output in_ready,",
        "    output [63:0] out_data, output out_valid, input out_ready, output decided,",
        "    input [63:0] load_address, input [15:0] load_data,",
        "    input load_valid, output load_ready",
        ");",
        f"    wire [{core.out_width - 1}:0] o;",
        "    assign out_data = 64'(o);" if core.out_width < 64 else "    assign out_data = o;",
        "    spikefab_core core (",
        "        .clk(clk), .rst(rst),",
        f"        .i__payload(in_data[{core.in_width - 1}:0]),",
        "        .i__valid(in_valid), .i__ready(in_ready),",
        "        .o__payload(o), .o__valid(out_valid), .o__ready(out_ready)"
        + (f", .{leftovers}(decided)" if leftovers else ""),
        *(
            [
                f"        , .load__payload({{load_data, load_address[{core.load_width - 17}:0]}}),",
                "        .load__valid(load_valid), .load__ready(load_ready)",
            ]
            if core.load_words
            else []
        ),
        "    );",
    ]
    if not leftovers:
        lines.append("    assign decided = 1'b0;")
    if not core.load_words:
        lines.append("    assign load_ready = 1'b1;")
    if monitors:
        bits = 32 * monitor_words(monitors)
        lines += [
            '    import "DPI-C" function void spikefab_monitor(input int source,',
            f"        input bit [{bits - 1}:0] values);",
        ]
        # Source 2k: new membranes of a group of neurons, as they are stored. 2k + 1: its spikes, as
        # they leave, behind two bits: the pass's last group, the sample's last pass.
        for k, m in enumerate(monitors):
            at = f"core.{m.path}"
            width = CONTROL + m.lanes * m.count_width
            lines += [
                f"    always @(posedge clk) if ({at}.monitor_stored && !rst)",
                f"        spikefab_monitor({2 * k}, {bits}'({at}.monitor_membranes));",
            ]
            lines += [
                f"    always @(posedge clk) if ({at}.o__valid && !rst)",
                f"        spikefab_monitor({2 * k + 1}, {bits}'({at}.o__payload[0+:{width}]));",
            ]
    return "\n".join([*lines, "endmodule", ""])
