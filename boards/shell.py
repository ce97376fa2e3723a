# SPDX-License-Identifier: Apache-2.0
"""A board's top: oscillator, PLL, reset and host link around the emitted core."""

from __future__ import annotations

import math
import re

from amaranth import Cat, ClockDomain, ClockSignal, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from spikefab.boards.board import Board
from spikefab.boards.clock import ClockPlan, plan_clock
from spikefab.boards.constraints import lpf, pcf
from spikefab.boards.pll import ECP5_LOOP, Ecp5PLL, Ecp5PLLParams, Ice40PLL
from spikefab.boards.target import find_target
from spikefab.gen.errors import InputError
from spikefab.gen.shell import Shell
from spikefab.gen.verilog import to_verilog
from spikefab.hdl.link import HostLink, LinkParams
from spikefab.hdl.load import load_words
from spikefab.hdl.params import CoreParams
from spikefab.hdl.shared_params import engine_layers

__all__ = ["BoardTop", "PowerOnReset", "board_shell"]

MAX_LEDS = 8


class PowerOnReset(wiring.Component):
    """Holds the `sync` domain in reset until the clock has been good for `cycles` cycles.

    Its own registers have no reset: they start at their initial values when the FPGA is
    configured, and begin again whenever the PLL loses lock.

    Members
    -------
    locked : in
        The clock is good; asynchronous.
    reset : out
        From a register, for the domain's reset.
    """

    locked: Signal
    reset: Signal

    def __init__(self, cycles: int):
        if cycles < 1:
            raise ValueError(f"PowerOnReset: {cycles} cycles, must be 1 or more")
        self._cycles = cycles
        super().__init__({"locked": In(1), "reset": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        locked = Signal()
        m.submodules.synchroniser = FFSynchronizer(self.locked, locked, reset_less=True)
        count = Signal(range(self._cycles), reset_less=True)
        held = Signal(init=1, reset_less=True)
        m.d.comb += self.reset.eq(held)
        with m.If(~locked):
            m.d.sync += [count.eq(0), held.eq(1)]
        with m.Elif(count == self._cycles - 1):
            m.d.sync += held.eq(0)
        with m.Else():
            m.d.sync += count.eq(count + 1)
        return m


class BoardTop(wiring.Component):
    """`spikefab_top`: the board's pins around an instance of the Verilog module `spikefab_core`.

    Members
    -------
    clk : in
        The oscillator's pin.
    rx, tx : in, out
        The UART's pins, as the FPGA sees them.
    leds : out
        0 heartbeat, about once a second; 1 a sample is in the core; 2 a damaged or refused frame
        since the host's last start; any more are dark. Levels as the board's wiring needs them.
    """

    clk: Signal
    rx: Signal
    tx: Signal
    leds: Signal

    def __init__(self, board: Board, plan: ClockPlan, link: LinkParams):
        self._board = board
        self._plan = plan
        self._link = link
        self.n_leds = min(len(board.leds), MAX_LEDS)
        super().__init__({"clk": In(1), "rx": In(1), "tx": Out(1), "leds": Out(self.n_leds)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._clocks(m)
        m.submodules.link = link = HostLink(self._link)
        board = self._board
        m.d.comb += [
            link.rx.eq(~self.rx if board.rx.invert else self.rx),
            self.tx.eq(~link.tx if board.tx.invert else link.tx),
        ]
        loads = {}
        if self._link.load_words:
            loads = {
                "i_load__payload": link.load.payload,
                "i_load__valid": link.load.valid,
                "o_load__ready": link.load.ready,
            }
        m.submodules.core = Instance(
            "spikefab_core",
            **loads,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_i__payload=link.events.payload,
            i_i__valid=link.events.valid,
            o_i__ready=link.events.ready,
            o_o__payload=link.results.payload,
            o_o__valid=link.results.valid,
            i_o__ready=link.results.ready,
        )
        # Half a second is the top bit's time: the light is on for it and off for it.
        beat = Signal(max(1, round(math.log2(self._plan.clock_hz))))
        m.d.sync += beat.eq(beat + 1)
        # Short samples are made long enough to see: some 20 ms, and dark in between.
        glow = Signal(2)
        before = Signal()
        tick = beat[max(0, len(beat) - 8)]  # changes its level every 4 ms
        m.d.sync += before.eq(tick)
        with m.If(link.busy):
            m.d.sync += glow.eq(3)
        with m.Elif((glow != 0) & before & ~tick):
            m.d.sync += glow.eq(glow - 1)
        lit = Cat(beat[-1], glow != 0, link.error)
        for index, pin in enumerate(board.leds[: self.n_leds]):
            on = lit[index] if index < len(lit) else 0
            m.d.comb += self.leds[index].eq(Mux(on, not pin.invert, pin.invert))
        return m

    def _clocks(self, m: Module) -> None:
        m.domains.sync = ClockDomain()
        plan = self._plan
        m.submodules.reset = reset = PowerOnReset(
            max(16, math.ceil(plan.clock_hz * self._board.reset_seconds))
        )
        m.d.comb += ResetSignal().eq(reset.reset)
        if plan.pll is None:
            m.d.comb += [ClockSignal().eq(self.clk), reset.locked.eq(1)]
            return
        pll = Ecp5PLL(plan.pll) if isinstance(plan.pll, Ecp5PLLParams) else Ice40PLL(plan.pll)
        m.submodules.pll = pll
        m.d.comb += [
            pll.i.eq(self.clk),
            ClockSignal().eq(pll.o),
            reset.locked.eq(pll.locked),
        ]


def board_shell(
    board_name: str,
    core_params: CoreParams,
    design_hash: bytes,
    *,
    clock_hz: float | None = None,
    baud: int | None = None,
) -> Shell:
    """The top module and the constraints of a board for a core of these parameters.

    `clock_hz` and `baud`: the board's defaults when None; `InputError` where the PLL or the
    UART's divisor cannot make them.
    """
    target = find_target(board_name, "board")
    assert target.board is not None
    board = target.board
    first = core_params.layers[core_params.output_layers[0]]
    grid = first.grid
    if not first.neuron.spiking and grid is not None and grid.n != grid.n_addresses:
        raise InputError(
            f"{first.name}: a board chooses the class among its addresses, and its {grid.channels} "
            f"maps of {grid.height} x {grid.width} leave some unused: end with a dense layer, or "
            "compile with --device"
        )
    plan = plan_clock(board, target.family, clock_hz, baud)
    link = LinkParams(
        n_inputs=core_params.n_inputs,
        n_outputs=core_params.n_outputs,
        input_width=core_params.input.payload_width,
        output_width=core_params.output_width,
        counted=core_params.counted_outputs,
        # The class is the first output's.
        n_classes=first.n_addresses,
        load_words=load_words(engine_layers(core_params)),
        design_hash=design_hash,
        divisor=plan.divisor,
    )
    top = BoardTop(board, plan, link)
    constraints = (lpf if target.family == "ecp5" else pcf)(board, top.n_leds)
    return Shell(
        verilog=_with_loop_settings(to_verilog(top, "spikefab_top")),
        constraints=constraints,
        constraints_name="constraints.lpf" if target.family == "ecp5" else "constraints.pcf",
        clock_hz=plan.clock_hz,
        oscillator_hz=plan.oscillator_hz,
        baud=plan.baud,
        ports={"clk": "clk", "rx": "rx", "tx": "tx", "leds": "leds"},
    )


def _with_loop_settings(verilog: str) -> str:
    """The text with the EHXPLLL's attributes, which the conversion leaves out as all others.

    Place and route would take zeros for them, and the loop would not be stable.
    """
    settings = ", ".join(f'{key} = "{value}"' for key, value in ECP5_LOOP.items())
    return re.sub(r"^( *)(EHXPLLL #\()", rf"\1(* {settings} *)\n\1\2", verilog, flags=re.M)
