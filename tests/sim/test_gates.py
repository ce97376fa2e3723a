# SPDX-License-Identifier: Apache-2.0
"""Whole designs after synthesis: the same spikes, at the same clock edges, as before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from designs import make_design, make_network, make_samples

from spikefab.gen.bounds import accumulator_range, current_bound
from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.synth import synth_command
from spikefab.hdl.params import CurrentParams
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


def with_currents(network: QNetwork) -> QNetwork:
    """Other orders of the current's update and other leaks in each layer, with biases that come
    late, and a reset that loses its step's input."""
    orders = ("add-use-decay", "decay-add-use", "add-decay-use")
    layers = []
    for k, layer in enumerate(network.layers):
        n = layer.neuron.n
        current = CurrentParams(
            order=orders[k],  # type: ignore[arg-type]
            width=40,
            leak_num=(13,) if k else tuple(9 + j % 5 for j in range(n)),
            leak_shift=4,
            leak_rounding=("nearest", "toward-zero", "floor")[k],
            bias=(k,),
        )
        neuron = replace(layer.neuron, current=current, bias_late=(5,), threshold=(60,))
        if k == 1:
            neuron = replace(neuron, reset="zero", reset_time="next-discard")
        bound = current_bound(neuron, accumulator_range(layer.weights, 1))
        assert bound is not None
        neuron = replace(neuron, current=replace(current, width=bound.width))
        layers.append(replace(layer, neuron=neuron))
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize("target", ["ecp5-25f", "up5k"])
def test_currents_after_synthesis(target: str, tmp_path: Path) -> None:
    """In registers, in memories and with a lane each; per-neuron leaks are a multiplier."""
    network = with_currents(make_network([8, 11, 6, 3]))
    design = make_design(network, tmp_path / "design", target, [1, 2, 3])
    x = make_samples(network, 6, 8)
    golden = run_golden(network, x)
    for name in ("population0", "population1", "population2"):
        assert golden.spikes[name].any(axis=(0, 1)).mean() >= 0.5
    rtl = simulate_rtl(design, x)
    gates = simulate_rtl(design, x, engine="gates")
    assert np.array_equal(rtl.spikes, golden.spikes["population2"])
    assert np.array_equal(gates.spikes, rtl.spikes)
    assert np.array_equal(gates.cycles, rtl.cycles)


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
