# SPDX-License-Identifier: Apache-2.0
"""Whole designs after synthesis: the same spikes, at the same clock edges, as before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from designs import make_design, make_network, make_samples

from spikefab.gen.errors import InputError
from spikefab.gen.synth import synth_command
from spikefab.sim.gates import cells_used, family_of, netlist
from spikefab.sim.golden import run_golden
from spikefab.sim.rtl import simulate_rtl


@pytest.mark.parametrize(("target", "ram"), [("ecp5-25f", "DP16KD"), ("up5k", "SB_RAM40_4K")])
def test_netlist_equals_rtl_and_golden(target: str, ram: str, tmp_path: Path) -> None:
    network = make_network([40, 24, 4])
    design = make_design(network, tmp_path / "design", target, 4)
    x = make_samples(network, 10, 6)
    golden = run_golden(network, x)
    rtl = simulate_rtl(design, x)
    gates = simulate_rtl(design, x, engine="gates")
    assert np.array_equal(gates.spikes, golden.spikes["population1"])
    assert gates.spikes.any()
    assert np.array_equal(gates.spikes, rtl.spikes)
    assert np.array_equal(gates.cycles, rtl.cycles)
    assert np.array_equal(gates.interval, rtl.interval)
    assert ram in cells_used(design.build / "simulate" / "gates")


def test_netlist_is_made_again_when_the_verilog_changes(tmp_path: Path) -> None:
    source = tmp_path / "top.v"
    source.write_text("module top(input a, b, output c); assign c = a & b; endmodule\n")
    said: list[str] = []
    made = netlist(source, "ice40", tmp_path / "s", top="top", progress=said.append)
    before = made.stat().st_mtime_ns
    assert netlist(source, "ice40", tmp_path / "s", top="top").stat().st_mtime_ns == before
    assert said == ["synthesis of top for ice40"]
    source.write_text(source.read_text().replace("&", "|"))
    assert netlist(source, "ice40", tmp_path / "s", top="top").stat().st_mtime_ns != before


def test_families(tmp_path: Path) -> None:
    design = make_design(make_network([4, 2]), tmp_path / "design", "up5k", 1)
    assert family_of(design) == "ice40"
    design.manifest["target"]["family"] = "gowin"
    with pytest.raises(InputError, match="family 'gowin' has no cell models"):
        family_of(design)
    with pytest.raises(InputError, match="family 'gowin': no synthesis; it is one of ecp5, ice40"):
        synth_command("gowin", "top")
    assert synth_command("ice40", "t", device="iCE40UP5K") == "synth_ice40 -device u -top t"
    assert synth_command("ice40", "t", device="hx8k") == "synth_ice40 -device hx -top t"
    ecp5 = synth_command("ecp5", "t", json="a.json").splitlines()
    assert ecp5[0] == "synth_ecp5 -top t -run begin:map_gates"
    assert ecp5[-1] == "write_json a.json"
