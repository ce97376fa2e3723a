# SPDX-License-Identifier: Apache-2.0
"""A component with free inputs around it, and what must hold of it."""

from __future__ import annotations

import re
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]
from amaranth.hdl import (
    Assert,
    ClockDomain,
    Cover,
    Elaboratable,
    Module,
    Mux,
    Signal,
    Value,
    ValueLike,
)

__all__ = ["Harness"]


class Harness(Elaboratable):
    """Collects free inputs, assumptions, checks and covers; the component is a submodule of `m`.

    An input takes any value in any cycle, a constant any value that it keeps. A check counts up to
    the first cycle in which an assumption is broken, and not from then on. Time begins at reset.
    """

    def __init__(self) -> None:
        self.m = Module()
        self.m.domains.sync = sync = ClockDomain("sync", reset_less=True)
        self.clock = sync.clk
        self.inputs: list[Signal] = []
        self._assumed: list[Value] = []
        self._checks: list[tuple[str, Value]] = []
        self._covers: list[tuple[str, Value]] = []
        self.first = Signal(init=1)
        self.m.d.sync += self.first.eq(0)

    def input(self, shape: Any, name: str) -> Signal:
        """Any value, in every cycle anew."""
        signal = Signal(shape, name=name)
        self.inputs.append(signal)
        return signal

    def constant(self, shape: Any, name: str) -> Signal:
        """Any value, the same in all cycles."""
        drawn = self.input(shape, f"any_{name}")
        held, value = Signal(shape, name=f"held_{name}"), Signal(shape, name=name)
        self.m.d.comb += value.eq(Mux(self.first, drawn, held))
        self.m.d.sync += held.eq(value)
        return value

    def before(self, value: ValueLike, name: str, init: int = 0) -> Signal:
        """The value of the cycle before."""
        signal = Signal(Value.cast(value).shape(), name=name, init=init)
        self.m.d.sync += signal.eq(value)
        return signal

    def assume(self, condition: ValueLike) -> None:
        """What the surroundings of the component keep to."""
        self._assumed.append(Value.cast(condition).bool())

    def check(self, name: str, condition: ValueLike) -> None:
        """Must hold in every cycle."""
        self._checks.append((name, Value.cast(condition).bool()))

    def cover(self, name: str, condition: ValueLike) -> None:
        """Must be possible in some cycle: the checks are not about nothing."""
        self._covers.append((name, Value.cast(condition).bool()))

    def stays_offered(self, valid: Value, ready: Value, payload: Value, name: str) -> None:
        """An item that was offered and not taken is still there."""
        waiting = self.before(valid & ~ready, f"{name}_waited")
        same = self.before(payload, f"{name}_was")
        self.check(f"{name}_stays_offered", ~waiting | (valid & (payload == same)))

    def answers(self, name: str, due: Value, done: Value, limit: int) -> None:
        """`due` does not stay for more than `limit` cycles without `done`."""
        waited = Signal(range(limit + 2), name=f"{name}_waited")
        with self.m.If(~due | done):
            self.m.d.sync += waited.eq(0)
        with self.m.Elif(waited <= limit):
            self.m.d.sync += waited.eq(waited + 1)
        self.check(name, ~(due & ~done) | (waited < limit))

    def only(self, name: str) -> Harness:
        """Without the other checks: whether this one alone finds a fault."""
        self._checks = [(other, value) for other, value in self._checks if other == name]
        assert self._checks, name
        return self

    def elaborate(self, platform: object) -> Module:
        m = self.m
        kept, broken = Signal(name="assumptions_hold"), Signal(name="assumption_was_broken")
        holds = Value.cast(1)
        for condition in self._assumed:
            holds = holds & condition
        m.d.comb += kept.eq(holds & ~broken)
        m.d.sync += broken.eq(~kept)
        for name, condition in self._checks:
            wire = Signal(name=f"check_{name}")
            m.d.comb += wire.eq(condition | ~kept)
            m.d.comb += Assert(wire)
        for name, condition in self._covers:
            wire = Signal(name=f"cover_{name}")
            m.d.comb += wire.eq(condition & kept)
            m.d.comb += Cover(wire)
        return m

    def to_rtlil(self) -> str:
        text = str(
            rtlil.convert(self, name="top", ports=[self.clock, *self.inputs], emit_src=False)
        )
        # A check's cell is called as its condition: what the tools print then says which it is.
        return re.sub(
            r"cell \$check \$\d+((?:\n(?!  end).*)*\n    connect \\A \\((?:check|cover)_\w+))",
            r"cell $check \\\2_cell\1",
            text,
        )
