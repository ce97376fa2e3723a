# SPDX-License-Identifier: Apache-2.0
"""One lane's datapath: the update of `docs/numeric-contract.md`, a stage at a time."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike, signed

from spikefab.hdl.constants import GroupConstants
from spikefab.hdl.params import NeuronParams
from spikefab.hdl.shiftadd import leak_product
from spikefab.hdl.timing import NeuronTiming

__all__ = ["NeuronLane"]


class NeuronLane:
    """Adds one lane's pipeline to a module. The stages are those of `NeuronTiming`.

    Registers run freely, without enables: a pass never stalls, and what flows between passes is
    never stored.
    """

    def __init__(
        self,
        m: Module,
        params: NeuronParams,
        timing: NeuronTiming,
        constants: GroupConstants,
        lane: int,
    ):
        self.m, self.params, self.timing, self.lane = m, params, timing, lane
        self.constants = constants
        self.spiked: Value = Const(0)
        """Whether the neuron spikes in this step, at stage `timing.spike`; once built."""

    def build(self, head: Value, total: Value, spiked: Value | None) -> tuple[Value, Value]:
        """From the membrane and the input sum, both at stage 0, to (membrane to store at stage
        `timing.store`, output at stage `timing.output`).

        `spiked`: the spike of the step before, at stage 0, where `timing.remembers`."""
        p, timing = self.params, self.timing
        if timing.fetch:
            head, total = self.register(head, "v"), self.register(total, "a")
        before = None
        if spiked is not None:
            before = self.delay(spiked, timing.fetch + 1, "r")
        elif timing.late:
            before = self.register(self.above(head, self.constant("threshold", timing.fetch)), "r")
        u = self._integrate(head, total, before)
        if not p.spiking:
            membrane = self._clamp(u, timing.update)
            return membrane, membrane.as_signed()
        membrane, count = self._spike(u, before)
        self.spiked = count.any()
        membrane = self._clamp(membrane, timing.store - timing.clamped)
        if p.output_lag:
            assert before is not None
            count = self.delay(before, timing.spike - (timing.fetch + 1), "r_out")
        return membrane, count

    def _integrate(self, v: Value, total: Value, before: Value | None) -> Signal:
        """Leak and input, and a reset of the step before: u, at stage `timing.update`."""
        p, timing = self.params, self.timing
        stage = timing.product - 1
        if timing.early_subtract:
            assert before is not None
            reduced = v - self.constant("threshold", timing.fetch)
            v = Mux(before, self.register(reduced, "v_reset"), self.register(v, "v_kept"))
            total = self.register(total, "a_kept")
        product = leak_product(v, self.constant("leak_num", stage), p)
        product = self.register(product, "product")
        current = total.shift_left(p.fraction_bits) + self.constant("bias", stage)
        current = self.register(current, "current")
        leaked: Value = product.shift_right(p.leak_shift)
        if before is not None and p.reset_time != "same":
            stage = timing.product
            before = self.delay(before, stage - (timing.fetch + 1), "r_leak")
            if p.reset == "subtract" and timing.late_subtract:
                threshold = self.constant("threshold", stage)
                leaked = self.register(leaked, "leaked")
                current = self.register(current - Mux(before, threshold, 0), "current_less")
            elif p.reset == "zero":
                leaked = Mux(before, 0, leaked)
            elif p.reset == "value":
                early = p.reset_time == "next-before-leak"
                value = self.constant("leaked_reset" if early else "v_reset", stage)
                leaked = Mux(before, value, leaked)
        return self.register(leaked + current, "u")

    def _spike(self, u: Signal, before: Value | None) -> tuple[Value, Value]:
        """Compare and reset: (membrane, count); the membrane at stage `timing.store` less its
        clamp, the count at stage `timing.spike`."""
        p, timing = self.params, self.timing
        if timing.by_difference:
            difference = self.register(u - self.constant("threshold", timing.update), "u_less")
            reached = ~difference[-1]
            spike = reached if p.compare == "ge" else reached & (difference != 0)
            kept = Mux(spike, difference, self.register(u, "u_kept"))
            return kept, self.register(spike, "count")
        subtracts = p.reset == "subtract"
        known, rest = u, u
        count: Value = Const(0, 0)
        for k in range(p.count_width):
            # Long division by the threshold, highest bit first.
            level = self.constant("threshold", timing.update + k)
            level = level.shift_left(p.count_width - 1 - k)
            spike = self.above(rest, level)
            count = self.register(Cat(spike, count), f"count{k}_")
            rest = self.register(Mux(spike, rest - level, rest), f"rest{k}_")
            known = self.register(known, f"u{k}_")
        if p.reset_time == "same":
            if subtracts:
                return rest, count
            value = self.constant("v_reset", timing.decided) if p.reset == "value" else Const(0)
            return Mux(count.any(), value, known), count
        if not p.reset_correction:
            return u, count
        # snnTorch: (s - r) resets more, s this step's spike, r the reset that acted in it.
        assert before is not None
        before = self.delay(before, timing.spike - (timing.fetch + 1), "r_correct")
        if subtracts:
            more = self.register(u + self.constant("threshold", timing.update), "u_more")
            return Mux(count.any() == before, known, Mux(before, more, rest)), count
        return Mux(count.any() == before, known, Mux(before, known.shift_left(1), 0)), count

    def _clamp(self, w: Value, stage: int) -> Value:
        """Lower clamp and saturation, and the cut to the stored width."""
        p = self.params
        width = p.membrane_width
        if self.timing.clamped:
            w = self.register(w, "unclamped")
            stage += 1
        if p.v_min is not None:
            v_min = self.constant("v_min", stage)
            w = Mux(w < v_min, v_min, w)
        if p.saturate:
            top = 1 << (width - 1)
            w = Mux(w >= top, top - 1, Mux(w < -top, -top, w))
        stored = Signal(signed(width), name=f"w{self.lane}")
        self.m.d.comb += stored.eq(w)
        return stored

    def above(self, value: Value, threshold: Value) -> Value:
        """The neuron's comparison with a threshold."""
        return value > threshold if self.params.compare == "gt" else value >= threshold

    def constant(self, field: str, stage: int) -> Value:
        """This lane's constant at a stage."""
        return self.constants.lanes(field, stage)[self.lane]

    def register(self, value: ValueLike, name: str) -> Signal:
        """A free-running register."""
        signal = Signal(Value.cast(value).shape(), name=f"{name}{self.lane}")
        self.m.d.sync += signal.eq(value)
        return signal

    def delay(self, value: Value, cycles: int, name: str) -> Value:
        """`cycles` registers."""
        for k in range(cycles):
            value = self.register(value, f"{name}{k}_")
        return value
