# SPDX-License-Identifier: Apache-2.0
"""One lane's datapath: the update of `docs/numeric-contract.md`, a stage at a time."""

from __future__ import annotations

from typing import cast

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike, signed

from spikefab.hdl.compare import at_least, outside
from spikefab.hdl.constants import GroupConstants
from spikefab.hdl.params import LayerParams
from spikefab.hdl.shiftadd import add_above, leak, leak_of, trailing_zeros
from spikefab.hdl.timing import NeuronTiming

__all__ = ["NeuronLane", "update_width"]


class NeuronLane:
    """Adds one lane's pipeline to a module. The stages are those of `NeuronTiming`.

    Registers run freely, without enables: a pass never stalls, and what flows between passes is
    never stored.
    """

    def __init__(
        self,
        m: Module,
        params: LayerParams,
        timing: NeuronTiming,
        constants: GroupConstants,
        lane: int,
    ):
        self.m, self.params, self.timing, self.lane = m, params.neuron, timing, lane
        self.layer, self.constants = params, constants
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
            spiked = self.delay(spiked, timing.fetch, "r_early")
            before = self.register(spiked, "r")
        elif timing.late:
            before = self.register(self.above(head, self.constant("threshold", timing.fetch)), "r")
        if timing.early_subtract:
            assert before is not None
            head = self._subtract_early(head, spiked, before)
            total = self.register(total, "a_kept")
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

    def _subtract_early(self, v: Value, spiked: Value | None, before: Value) -> Value:
        """The reset of the step before, ahead of the leak; takes a stage."""
        threshold = self.constant("threshold", self.timing.fetch)
        if spiked is not None:
            return self.register(v - Mux(spiked, threshold, 0), "v_reset")
        reduced, kept = self.register(v - threshold, "v_reset"), self.register(v, "v_kept")
        return Mux(before, reduced, kept)

    def _integrate(self, v: Value, total: Value, before: Value | None) -> Signal:
        """Leak and input, and a reset of the step before: u, at stage `timing.update`."""
        p, timing = self.params, self.timing
        stage = timing.product - 1
        leaked: Value = self.register(leak(v, self.constant("leak_num", stage), p), "leaked")
        current: Value = total.shift_left(p.fraction_bits) + self.constant("bias", stage)
        current = self.register(current, "current")
        zeros = self._zeros("bias", p.fraction_bits)
        if before is not None and p.reset_time != "same":
            stage = timing.product
            before = self.delay(before, stage - (timing.fetch + 1), "r_leak")
            if p.reset == "subtract" and timing.late_subtract:
                threshold = self.constant("threshold", stage)
                leaked = self.register(leaked, "leaked_kept")
                zeros = self._zeros("threshold", zeros)
                less = add_above(current, Mux(before, threshold, 0).as_signed(), zeros, -1)
                current = self.register(less, "current_less")
            elif p.reset == "zero":
                leaked = Mux(before, 0, leaked)
            elif p.reset == "value":
                early = p.reset_time == "next-before-leak"
                value = self.constant("leaked_reset" if early else "v_reset", stage)
                leaked = Mux(before, value, leaked)
        u = add_above(leaked.as_signed(), current, zeros)
        return self.register(cut(u, update_width(self.layer, timing)), "u")

    def _zeros(self, field: str, limit: int) -> int:
        """Bits that are 0 at the low end of each of the population's constants, `limit` at most."""
        return min(trailing_zeros(value, limit) for value in getattr(self.params, field))

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
        known, rest = u, cast("Value", u)
        count: Value = Const(0, 0)
        for k in range(p.count_width):
            # Long division by the threshold, highest bit first.
            level = times(self.constant("threshold", timing.update + k), p.count_width - 1 - k)
            spike = self.above(rest, level)
            count = self.register(Cat(spike, count), f"count{k}_")
            rest = self.register(rest, f"rest{k}_")
            known = self.register(known, f"u{k}_")
            if not isinstance(level, Const):
                level = self.register(level, f"level{k}_")
            # A constant, or nothing: no multiplexer before the carry chain.
            amount = Mux(count[0], level, 0).as_signed()
            zeros = self._zeros("threshold", len(u)) + p.count_width - 1 - k
            rest = cut(add_above(rest, amount, zeros, -1), len(u))
        if p.reset_time == "same":
            if p.reset == "subtract":
                return rest, count
            value = self.constant("v_reset", timing.decided) if p.reset == "value" else Const(0)
            return Mux(count.any(), value, known), count
        if not p.reset_correction:
            return u, count
        # snnTorch: (s - r) resets more, s this step's spike, r the reset that acted in it.
        assert before is not None
        before = self.delay(before, timing.spike - (timing.fetch + 1), "r_correct")
        if p.reset == "subtract":
            level = self.constant("threshold", timing.decided)
            more = Mux(before, level, -level)
            return known + Mux(count.any() == before, 0, more), count
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
            below = ~at_least(w, v_min.value) if isinstance(v_min, Const) else w < v_min
            w = Mux(below, v_min, w)
        if p.saturate and len(w) > width:
            end = Cat((~w[-1]).replicate(width - 1), w[-1])
            w = Mux(outside(w, width), end, w[:width])
        stored = Signal(signed(width), name=f"w{self.lane}")
        self.m.d.comb += stored.eq(w)
        return stored

    def above(self, value: Value, threshold: Value) -> Value:
        """The neuron's comparison with a threshold."""
        above = self.params.compare == "gt"
        if isinstance(threshold, Const):
            return at_least(value, threshold.value + above)
        return value > threshold if above else value >= threshold

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


def update_width(layer: LayerParams, timing: NeuronTiming) -> int:
    """Bits of u, the membrane before this step's reset: from what a membrane and a step's sum can
    be, not from the adders' widths."""
    p, synapse = layer.neuron, layer.synapse
    top = 1 << (p.membrane_width - 1)
    threshold = max(p.threshold)
    low = leak_of(-top - threshold * timing.early_subtract, max(p.leak_num), p)
    high = leak_of(top - 1, max(p.leak_num), p)
    if p.reset == "value":
        low, high = min(low, *p.v_reset), max(high, *p.v_reset)
    low += (synapse.acc_min << p.fraction_bits) + min(p.bias)
    high += (synapse.acc_max << p.fraction_bits) + max(p.bias)
    low -= threshold * timing.late_subtract
    return max((~min(low, 0)).bit_length(), max(high, 0).bit_length()) + 1


def cut(value: Value, width: int) -> Value:
    """A signed value that is known to fit in `width` bits."""
    return value[:width].as_signed() if len(value) > width else value


def times(value: Value, shift: int) -> Value:
    """``value * 2**shift``; of a constant, a constant."""
    if isinstance(value, Const):
        return Const(value.value << shift, signed(len(value) + shift))
    return value.shift_left(shift)
