# SPDX-License-Identifier: Apache-2.0
"""The boards' tops: their ports, their reset, and that they are plain reproducible Verilog."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from spikefab.boards.pll import ECP5_LOOP
from spikefab.boards.shell import PowerOnReset, board_shell
from spikefab.boards.target import find_target
from spikefab.gen.errors import InputError
from spikefab.gen.shell import Shell
from spikefab.hdl.params import CoreParams

HASH = bytes(range(16))


MakeParams = Callable[..., CoreParams]
MakeShell = Callable[[str], Shell]


@pytest.fixture(scope="module")
def shell(core_params: MakeParams) -> MakeShell:
    """The shell of a board around a small core."""
    return cache(lambda board: board_shell(board, core_params(), HASH))


def module(made: Shell, name: str) -> str:
    found = re.search(rf"^module \\?{re.escape(name)} ?\(.*?^endmodule", made.verilog, re.M | re.S)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-25f", "ulx3s-85f"])
def test_ports_and_instance(shell: MakeShell, name: str) -> None:
    top = module(shell(name), "spikefab_top")
    n_leds = min(8, len(find_target(name).board.leds))  # type: ignore[union-attr]
    assert set(re.findall(r"^  (?:input|output) (.*);", top, re.M)) == {
        "clk", "rx", "tx", f"[{n_leds - 1}:0] leds",
    }  # fmt: skip
    instance = re.search(r"spikefab_core core \((.*?)\);", top, re.S)
    assert instance is not None
    assert set(re.findall(r"\.(\w+)\(", instance[1])) == {
        "clk", "rst", "i__payload", "i__valid", "i__ready", "o__payload", "o__valid", "o__ready",
    }  # fmt: skip
    # Two flags and the address: 64 inputs, 10 outputs.
    assert re.search(r"wire \[7:0\] events__payload;", top)
    assert re.search(r"wire \[5:0\] results__payload;", top)


def test_a_membrane_output_widens_the_results(core_params: MakeParams) -> None:
    top = module(board_shell("ulx3s-25f", core_params(membrane=18), HASH), "spikefab_top")
    assert re.search(rf"wire \[{2 + 4 + 18 - 1}:0\] results__payload;", top)


def test_input_values_widen_the_events(core_params: MakeParams) -> None:
    top = module(board_shell("ulx3s-25f", core_params(values=5), HASH), "spikefab_top")
    assert re.search(rf"wire \[{2 + 6 + 5 - 1}:0\] events__payload;", top)


def test_memories_to_load_have_their_port(core_params: MakeParams) -> None:
    made = board_shell("icebreaker", core_params(storage="spram"), HASH)
    top = module(made, "spikefab_top")
    # 64 inputs, 10 outputs on one lane: 640 words, ten bits of address.
    assert re.search(rf"wire \[{10 + 16 - 1}:0\] load__payload;", top)
    instance = re.search(r"spikefab_core core \((.*?)\);", top, re.S)
    assert instance is not None
    ports = set(re.findall(r"\.(load__\w+)\(", instance[1]))
    assert ports == {"load__payload", "load__valid", "load__ready"}


def test_shell_says_what_the_emitter_needs(shell: MakeShell) -> None:
    ulx3s, icebreaker = shell("ulx3s-85f"), shell("icebreaker")
    assert ulx3s.constraints_name == "constraints.lpf"
    assert icebreaker.constraints_name == "constraints.pcf"
    assert (ulx3s.oscillator_hz, icebreaker.oscillator_hz) == (25e6, 12e6)
    assert icebreaker.clock_hz == 24e6
    assert icebreaker.baud == 3_000_000
    assert ulx3s.ports == {"clk": "clk", "rx": "rx", "tx": "tx", "leds": "leds"}
    assert "EHXPLLL" in ulx3s.verilog
    assert "SB_PLL40_PAD" in icebreaker.verilog


def test_leds_are_inverted_where_the_board_says_so(shell: MakeShell) -> None:
    def heartbeat(name: str) -> str:
        found = re.search(r"assign \\?\S+ += beat\[\d+\] \? (1'h\d) :", shell(name).verilog)
        assert found is not None
        return found[1]

    assert heartbeat("icebreaker") == "1'h0"
    assert heartbeat("ulx3s-25f") == "1'h1"


def test_the_ecp5_loop_settings_survive_the_conversion(shell: MakeShell) -> None:
    """Without them place and route writes zeros, and a real PLL would not lock well."""
    found = re.findall(r"\(\* (.*?) \*\)\s*EHXPLLL #\(", shell("ulx3s-25f").verilog)
    assert found == [", ".join(f'{key} = "{value}"' for key, value in ECP5_LOOP.items())]


def test_the_same_bytes_every_time_and_no_path_in_them(
    shell: MakeShell, core_params: MakeParams
) -> None:
    again = board_shell("ulx3s-25f", core_params(), HASH)
    assert again == shell("ulx3s-25f")
    assert "/" not in re.sub(r"//.*|/\*.*?\*/", "", again.verilog)
    assert board_shell("ulx3s-25f", core_params(), HASH[::-1]).verilog != again.verilog


def test_another_clock(core_params: MakeParams) -> None:
    faster = board_shell("ulx3s-25f", core_params(), HASH, clock_hz=90e6)
    assert (faster.clock_hz, faster.baud) == (90e6, 3_000_000)
    with pytest.raises(InputError, match=r"clock 81 MHz: the ECP5 PLL cannot make it from 25 MHz"):
        board_shell("ulx3s-25f", core_params(), HASH, clock_hz=81e6)


def test_an_unknown_board_is_refused(core_params: MakeParams) -> None:
    with pytest.raises(InputError, match="board 'ulx3s': unknown; did you mean"):
        board_shell("ulx3s", core_params(), HASH)


def test_reset_lasts_its_cycles_after_lock_and_returns_with_a_lost_lock() -> None:
    cycles = 20
    dut = PowerOnReset(cycles)
    m = Module()
    m.submodules.dut = dut
    simulator = Simulator(m)
    simulator.add_clock(1e-6)

    async def bench(ctx) -> None:  # type: ignore[no-untyped-def]
        async def until_released(limit: int) -> int:
            for n in range(limit):
                if not ctx.get(dut.reset):
                    return n
                await ctx.tick()
            raise AssertionError(f"still in reset after {limit} cycles")

        for _ in range(50):
            assert ctx.get(dut.reset)
            await ctx.tick()
        for _ in range(2):
            ctx.set(dut.locked, 1)
            # The synchroniser's two, and `cycles` good ones.
            assert await until_released(2 * cycles) == cycles + 2
            await ctx.tick().repeat(5)
            assert not ctx.get(dut.reset)
            ctx.set(dut.locked, 0)
            await ctx.tick().repeat(3)
            assert ctx.get(dut.reset)

    simulator.add_testbench(bench)
    simulator.run()
    with pytest.raises(ValueError, match="0 cycles, must be 1 or more"):
        PowerOnReset(0)
