# SPDX-License-Identifier: Apache-2.0
"""Cell models: plain Verilog, the same after synthesis, and both side by side on random inputs.

All shapes of a family share one netlist and one program: synthesis and compiler start once.
"""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest

from spikefab.gen.errors import InputError
from spikefab.sim.gates import cells_used, netlist
from spikefab.sim.toolchain import build_program, cells, run_yosys

CYCLES = 20_000
WIDTH = 256
"""Random bits a cycle."""

MAIN = """
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include "Vtop.h"
#include "verilated.h"
int main(int argc, char** argv) {
    VerilatedContext context;
    const auto top = std::make_unique<Vtop>(&context);
    uint64_t state = 1;
    const auto next = [&] {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return static_cast<uint32_t>(state >> 32);
    };
    bool live[64] = {};
    for (int cycle = 0; cycle < std::atoi(argv[1]); ++cycle) {
        for (int i = 0; i < WORDS; ++i) top->r[i] = next();
        for (int clk = 0; clk < 2; ++clk) {
            top->clk = clk;
            top->eval();
            if (top->differs) {
                std::printf("differs %d %llx\\n", cycle,
                            static_cast<unsigned long long>(top->differs));
                return 1;
            }
        }
        for (int k = 0; k < 64; ++k) live[k] |= (top->moved >> k) & 1;
    }
    for (int k = 0; k < 64; ++k) std::printf("%d", live[k]);
    std::printf("\\n");
}
"""


class Bank:
    """Blocks of plain Verilog, each with slices of the random bits as inputs and one output."""

    def __init__(self) -> None:
        self.blocks: list[tuple[str, int, str]] = []

    def add(self, name: str, width: int, body: str) -> None:
        """`body` drives `out[width-1:0]` from `clk` and `r`; local names are the block's own."""
        self.blocks.append((name, width, body))

    def write(self, folder: Path) -> None:
        """Writes `bank.v` and the initial contents of its memories."""
        (folder / "bank.v").write_text(self.verilog())
        for width, depth in re.findall(r"init_(\d+)_(\d+)\.hex", self.verilog()):
            rng = random.Random(f"{width} {depth}")
            words = [rng.getrandbits(int(width)) for _ in range(int(depth))]
            text = "".join(f"{word:x}\n" for word in words)
            (folder / f"init_{width}_{depth}.hex").write_text(text)

    def verilog(self) -> str:
        offset, lines = 0, []
        for name, width, body in self.blocks:
            lines.append(f"// {name}\nmodule {name}(input clk, input [{WIDTH - 1}:0] r,")
            lines.append(f"    output [{width - 1}:0] out);\n{body}\nendmodule")
        total = sum(width for _, width, _ in self.blocks)
        lines.append(
            f"module bank(input clk, input [{WIDTH - 1}:0] r, output [{total - 1}:0] out);"
        )
        for k, (name, width, _) in enumerate(self.blocks):
            # Each block sees the random bits in another order.
            turn = 37 * k % WIDTH
            lines.append(f"  {name} b{k} (.clk(clk), .out(out[{offset}+:{width}]),")
            lines.append(f"    .r({{r[{turn}:0], r[{WIDTH - 1}:{turn + 1}]}}));")
            offset += width
        return "\n".join([*lines, "endmodule", ""])

    def bench(self) -> str:
        total = sum(width for _, width, _ in self.blocks)
        lines = [
            f"module bench(input clk, input [{WIDTH - 1}:0] r, output [63:0] differs,",
            "    output [63:0] moved);",
            f"  wire [{total - 1}:0] a, b;",
            f"  reg [{total - 1}:0] was = 0;",
            "  always @(posedge clk) was <= a;",
            "  bank_rtl plain (.clk(clk), .r(r), .out(a));",
            "  bank gates (.clk(clk), .r(r), .out(b));",
        ]
        offset = 0
        for k in range(64):
            if k < len(self.blocks):
                part = f"[{offset}+:{self.blocks[k][1]}]"
                offset += self.blocks[k][1]
                lines.append(f"  assign differs[{k}] = a{part} != b{part};")
                lines.append(f"  assign moved[{k}] = a{part} != was{part};")
            else:
                lines.append(f"  assign differs[{k}] = 0; assign moved[{k}] = 0;")
        return "\n".join([*lines, "endmodule", ""])

    def check(self, family: str, folder: Path, made: Path) -> None:
        """Simulates `folder/bank.v` beside the netlist `made`."""
        plain = folder / "plain.v"
        text = re.sub(r"\bmodule (\w+)\(", r"module \1_rtl(", self.verilog())
        for name, _, _ in self.blocks:
            text = re.sub(rf"^  {name} b", f"  {name}_rtl b", text, flags=re.MULTILINE)
        plain.write_text(text)
        (folder / "bench.v").write_text(self.bench())
        main = folder / "main.cpp"
        main.write_text(MAIN.replace("WORDS", str(WIDTH // 32)))
        program = build_program(
            "bank",
            sources=[folder / "bench.v", plain, made, *cells(family, folder)],
            top="bench",
            main=main,
            folder=folder,
            optimise="-O1",
        )
        done = subprocess.run(
            [program, str(CYCLES)], cwd=folder, capture_output=True, text=True, timeout=300
        )
        names = [name for name, _, _ in self.blocks]
        if done.returncode:
            _, cycle, mask = done.stdout.split()
            wrong = [name for k, name in enumerate(names) if int(mask, 16) >> k & 1]
            pytest.fail(f"{wrong} differ from plain Verilog in cycle {cycle}")
        idle = [name for k, name in enumerate(names) if done.stdout[k] != "1"]
        assert not idle, f"{idle}: the outputs never changed"


def scattered(bits: int, start: int) -> str:
    """An address that is mostly one of 32 spread over the memory, so that ports meet, else any."""
    fixed = ", ".join(f"r[{start + i % 5}]" for i in range(bits))
    free = f"r[{start + 8}+:{bits}]"
    return f"(r[{start + 6}] & r[{start + 7}] ? {free} : {{{fixed}}})"


def contents(width: int, depth: int) -> str:
    return (
        f'  (* ram_style = "block" *) reg [{width - 1}:0] mem [0:{depth - 1}];\n'
        f'  initial $readmemh("init_{width}_{depth}.hex", mem);\n'
    )


def dual_port(width: int, depth: int, mode: str, extra: str = "") -> str:
    """Both ports read and write, port A in `mode`, port B never reading what it writes."""
    bits = (depth - 1).bit_length()
    reset = "r[254]"
    read_a = {
        "no_change": "if (ea) begin if (wa) mem[aa] <= da; else qa <= mem[aa]; end",
        "old": "if (ea) begin if (wa) mem[aa] <= da; qa <= mem[aa]; end",
        "new": "if (ea) begin if (wa) begin mem[aa] <= da; qa <= da; end else qa <= mem[aa]; end",
    }[mode]
    if extra == "sync_reset":
        read_a = (
            "begin if (ea & wa & ~reset) mem[aa] <= da;"
            " if (reset) qa <= 0; else if (ea & ~wa) qa <= mem[aa]; end"
        )
    sensitivity = "posedge clk"
    if extra == "async_reset":
        return contents(width, depth) + (
            f"  reg [{width - 1}:0] qa = 0, qb = 0;\n  wire reset = {reset};\n"
            f"  wire [{bits - 1}:0] aa = {scattered(bits, 0)}, ab = {scattered(bits, 32)};\n"
            f"  wire [{width - 1}:0] da = r[64+:{width}], db = r[104+:{width}];\n"
            "  wire wa = r[150], wb = r[151], ea = r[152] | r[153];\n"
            "  always @(posedge clk) if (wa) mem[aa] <= da;\n"
            "  always @(posedge clk or posedge reset)\n"
            "    if (reset) qb <= 0; else if (ea) qb <= mem[ab];\n"
            "  assign out = qb;"
        )
    return contents(width, depth) + (
        f"  reg [{width - 1}:0] qa = 0, qb = 0;\n  wire reset = {reset};\n"
        f"  wire [{bits - 1}:0] aa = {scattered(bits, 0)}, other = {scattered(bits, 32)};\n"
        f"  wire [{bits - 1}:0] ab = {{other[{bits - 1}:1], ~aa[0]}};\n"
        f"  wire [{width - 1}:0] da = r[64+:{width}], db = r[104+:{width}];\n"
        "  wire wa = r[150], wb = r[151], ea = r[152] | r[153], eb = r[154] | r[155];\n"
        f"  always @({sensitivity}) {read_a}\n"
        f"  always @({sensitivity}) if (eb) begin if (wb) mem[ab] <= db; else qb <= mem[ab]; end\n"
        "  assign out = {qa, qb};"
    )


def simple_port(width: int, depth: int, *, byte: int = 0, enable: bool = False) -> str:
    """One port writes, all or single bytes; the other reads."""
    bits = (depth - 1).bit_length()
    if byte:
        write = "".join(
            f"    if (r[{160 + k}]) mem[aw][{k * byte}+:{byte}] <= d[{k * byte}+:{byte}];\n"
            for k in range(width // byte)
        )
    else:
        write = "    if (r[150]) mem[aw] <= d;\n"
    condition = "if (r[152]) " if enable else ""
    return contents(width, depth) + (
        f"  reg [{width - 1}:0] q = 0;\n"
        f"  wire [{bits - 1}:0] aw = {scattered(bits, 0)}, ar = {scattered(bits, 32)};\n"
        f"  wire [{width - 1}:0] d = r[64+:{width}];\n"
        f"  always @(posedge clk) begin\n{write}  end\n"
        f"  always @(posedge clk) {condition}q <= mem[ar];\n"
        "  assign out = q;"
    )


def rom(width: int, depth: int) -> str:
    bits = (depth - 1).bit_length()
    return contents(width, depth) + (
        f"  reg [{width - 1}:0] q = 0;\n"
        f"  always @(posedge clk) q <= mem[r[16+:{bits}]];\n  assign out = q;"
    )


def narrow_read(ratio_bits: int) -> str:
    """Writes 36 bits, reads a power of two fewer."""
    width = 36 >> ratio_bits
    depth = 512 << ratio_bits
    bits = (depth - 1).bit_length()
    lines = "".join(
        f"    if (r[150]) mem[{{aw, {ratio_bits}'d{k}}}] <= r[{64 + k * width}+:{width}];\n"
        for k in range(1 << ratio_bits)
    )
    return contents(width, depth) + (
        f"  reg [{width - 1}:0] q = 0;\n  wire [8:0] aw = {scattered(9, 0)};\n"
        f"  wire [{bits - 1}:0] ar = {scattered(bits, 32)};\n"
        f"  always @(posedge clk) begin\n{lines}  end\n"
        "  always @(posedge clk) if (r[152]) q <= mem[ar];\n  assign out = q;"
    )


def product(signed: str, a: int, b: int) -> str:
    return (
        f"  reg {signed} [{a + b - 1}:0] q = 0;\n"
        f"  wire {signed} [{a - 1}:0] a = r[0+:{a}];\n  wire {signed} [{b - 1}:0] b = r[64+:{b}];\n"
        "  always @(posedge clk) q <= a * b;\n  assign out = q;"
    )


SUM = """
  reg signed [19:0] q = 0;
  always @(posedge clk) q <= r[3] ? q - $signed(r[0+:18]) : q + $signed(r[40+:18]) + r[70];
  assign out = q;"""

FLIP_FLOPS = """
  reg a = 1, b = 0, c = 1, d = 0, e = 0, f = 1;
  always @(posedge clk) if (r[8]) a <= 1; else if (r[9]) a <= r[10];
  always @(posedge clk) if (r[11]) b <= 0; else if (!r[12]) b <= r[13];
  always @(posedge clk or posedge r[14]) if (r[14]) c <= 1; else if (r[15]) c <= r[16];
  always @(posedge clk or negedge r[17]) if (!r[17]) d <= 0; else d <= r[18];
  always @(negedge clk) if (r[19]) e <= r[20];
  always @(posedge clk) f <= f ^ r[21];
  assign out = {a, b, c, d, e, f};"""


def test_ecp5(tmp_path: Path) -> None:
    bank = Bank()
    shapes = [(1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024)]
    for width, depth in shapes:
        for mode in ("no_change", "old", "new"):
            bank.add(f"dual_{width}_{mode}", 2 * width, dual_port(width, depth, mode))
    for width, depth in ((4, 4096), (18, 1024)):
        bank.add(f"reset_{width}", 2 * width, dual_port(width, depth, "no_change", "sync_reset"))
    bank.add("async_reset_9", 9, dual_port(9, 2048, "no_change", "async_reset"))
    for width, depth in shapes:
        bank.add(f"rom_{width}", width, rom(width, depth))
    bank.add("simple_36", 36, simple_port(36, 512))
    bank.add("simple_36_enable", 36, simple_port(36, 512, enable=True))
    bank.add("bytes_18", 18, simple_port(18, 1024, byte=9, enable=True))
    bank.add("bytes_36", 36, simple_port(36, 512, byte=9))
    bank.add("rom_36", 36, rom(36, 512))
    bank.add("narrow_18", 18, narrow_read(1))
    bank.add("narrow_9", 9, narrow_read(2))
    bank.add("wide_72", 72, simple_port(72, 1024))
    bank.add("distributed", 8, simple_port(8, 16).replace('"block"', '"distributed"'))
    bank.add("product", 36, product("signed", 18, 18))
    bank.add("product_unsigned", 36, product("", 18, 18))
    bank.add("product_small", 21, product("signed", 12, 9))
    bank.add("sum", 20, SUM)
    bank.add("flip_flops", 6, FLIP_FLOPS)
    bank.write(tmp_path)
    made = netlist(tmp_path / "bank.v", "ecp5", tmp_path, top="bank")
    used = cells_used(tmp_path)
    assert {"DP16KD", "MULT18X18D", "TRELLIS_DPR16X4", "TRELLIS_FF", "CCU2C"} <= set(used)
    text = made.read_text()
    for width in (1, 2, 4, 9, 18, 36):
        assert re.search(rf"DATA_WIDTH_[AB]\(32'd{width}\)", text), f"no port of {width} bits"
    for value in ("NORMAL", "WRITETHROUGH", "READBEFOREWRITE", "ASYNC"):
        assert f'("{value}")' in text, f"no port in mode {value} in the netlist"
    bank.check("ecp5", tmp_path, made)


def test_ice40(tmp_path: Path) -> None:
    bank = Bank()
    for width, depth in ((2, 2048), (4, 1024), (8, 512), (16, 256)):
        bank.add(f"simple_{width}", width, simple_port(width, depth))
        bank.add(f"enable_{width}", width, simple_port(width, depth, enable=True))
        bank.add(f"rom_{width}", width, rom(width, depth))
    bank.add("bits_16", 16, simple_port(16, 256, byte=1, enable=True))
    bank.add("wide_40", 40, simple_port(40, 512))
    bank.add("product", 21, product("signed", 12, 9))
    bank.add("sum", 20, SUM)
    bank.add("flip_flops", 6, FLIP_FLOPS)
    bank.write(tmp_path)
    made = netlist(tmp_path / "bank.v", "ice40", tmp_path, top="bank", device="iCE40UP5K")
    assert {"SB_RAM40_4K", "SB_LUT4", "SB_CARRY"} <= set(cells_used(tmp_path))
    bank.check("ice40", tmp_path, made)


def test_ice40_dsp_and_single_port_ram(tmp_path: Path) -> None:
    """What the flow does not use today, so that it may tomorrow: SB_MAC16 and SB_SPRAM256KA."""
    bank = Bank()
    bank.add("product", 32, product("signed", 16, 16))
    bank.add("product_unsigned", 32, product("", 16, 16))
    bank.add(
        "single",
        16,
        '  (* ram_style = "huge" *) reg [15:0] mem [0:16383];\n  reg [15:0] q = 0;\n'
        f"  wire [13:0] a = {scattered(14, 0)};\n"
        "  always @(posedge clk) if (r[200]) begin\n"
        "    if (r[201]) mem[a] <= r[64+:16]; else q <= mem[a];\n  end\n  assign out = q;",
    )
    bank.write(tmp_path)
    run_yosys(
        "read_verilog bank.v\nsynth_ice40 -device u -dsp -spram -top bank\n"
        "tee -q -o cells.json stat -json\nwrite_verilog -noattr netlist.v\n",
        tmp_path,
    )
    assert {"SB_MAC16", "SB_SPRAM256KA"} <= set(cells_used(tmp_path))
    bank.check("ice40", tmp_path, tmp_path / "netlist.v")


@pytest.mark.parametrize(
    ("family", "cell", "instance"),
    [
        ("ecp5", "OSCG", "OSCG u (.OSC(o));"),
        ("ecp5", "ODDRX1F", "ODDRX1F u (.SCLK(clk), .RST(1'b0), .D0(clk), .D1(clk), .Q(o));"),
        ("ice40", "SB_LFOSC", "SB_LFOSC u (.CLKLFPU(1'b1), .CLKLFEN(1'b1), .CLKLF(o));"),
    ],
)
def test_a_cell_without_behaviour_is_refused(
    family: str, cell: str, instance: str, tmp_path: Path
) -> None:
    source = tmp_path / "odd.v"
    source.write_text(f"module odd(input clk, output o);\n{instance}\nendmodule\n")
    with pytest.raises(InputError, match=rf"cell {cell}: no behavioural model.*sim/cells"):
        netlist(source, family, tmp_path / "synthesis", top="odd")


def test_verilator_refuses_it_too(tmp_path: Path) -> None:
    """The board's own cells never go through synthesis before a simulation."""
    source = tmp_path / "odd.v"
    source.write_text("module odd(input clk, output o);\nOSCG u (.OSC(o));\nendmodule\n")
    main = tmp_path / "main.cpp"
    main.write_text("int main() {}\n")
    with pytest.raises(InputError, match="cell OSCG: no behavioural model"):
        build_program(
            "odd", sources=[source, *cells("ecp5", tmp_path)], top="odd", main=main, folder=tmp_path
        )


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ('REGMODE_A("OUTREG")', "no output register"),
        ("DATA_WIDTH_A(5)", "DATA_WIDTH_A is not"),
        ('WRITEMODE_B("WRITE")', "WRITEMODE_B is unknown"),
        ('RESETMODE("ASYNC")', "ASYNC_RESET_RELEASE"),
    ],
)
def test_an_unmodelled_mode_is_refused(parameter: str, words: str, tmp_path: Path) -> None:
    source = tmp_path / "odd.v"
    source.write_text(
        f"module odd(input clk, output o);\nDP16KD #(.{parameter}) u (.CLKA(clk), .DOA0(o));\n"
        "endmodule\n"
    )
    main = tmp_path / "main.cpp"
    main.write_text("int main() {}\n")
    with pytest.raises(InputError, match=words):
        build_program(
            "odd", sources=[source, *cells("ecp5", tmp_path)], top="odd", main=main, folder=tmp_path
        )
