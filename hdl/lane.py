# SPDX-License-Identifier: Apache-2.0
"""One lane's datapath: the update of `docs/numeric-contract.md`, a stage at a time."""

from __future__ import annotations

from typing import cast

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike, signed

from spikefab.hdl.compare import at_least, outside
from spikefab.hdl.constants import GroupConstants, PassControl
from spikefab.hdl.params import LayerParams
from spikefab.hdl.shiftadd import add_above, leak, leak_of, trailing_zeros
from spikefab.hdl.timing import NeuronTiming

__all__ = ["NeuronLane", "sum_width", "update_width"]


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
        control: PassControl,
        lane: int,
    ):
        self.m, self.params, self.timing, self.lane = m, params.neuron, timing, lane
        self.layer, self.constants, self.control = params, constants, control
        self.spiked: Value = Const(0)
        """Whether the neuron spikes in this step, at stage `timing.spike`; once built."""
        self.current: Value = Const(0)
        """The synaptic current to store at stage `timing.current_store`; once built."""

    def build(
        self, head: Value, total: Value, spiked: Value | None, current: Value | None
    ) -> tuple[Value, Value]:
        """From the membrane and the input sum, both at stage 0, to (membrane to store at stage
        `timing.store`, output at stage `timing.output`).

        `spiked`: the spike of the step before, at stage 0, where `timing.remembers`; `current`: the
        synaptic current at stage 0, where the neuron has one."""
        p, timing = self.params, self.timing
        if timing.fetch:
            head, total = self.register(head, "v"), self.register(total, "a")
        if current is not None:
            current = self.delay(current, timing.fetch + timing.early_subtract, "i_early")
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
        if current is None:
            u = self._integrate(head, total, before)
        else:
            u = self._integrate_current(head, total, before, current)
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
        current = self.register(self._input(total, stage), "current")
        zeros = self._zeros("input_bias", self._zeros("input_bias_late", p.fraction_bits))
        if before is not None and p.reset_time in ("next-before-leak", "next-after-leak"):
            stage = timing.product
            before = self.delay(before, stage - (timing.fetch + 1), "r_leak")
            if p.reset == "subtract" and timing.late_subtract:
                threshold = self.constant("threshold", stage)
                leaked = self.register(leaked, "leaked_kept")
                zeros = self._zeros("threshold", zeros)
                less = add_above(current, Mux(before, threshold, 0).as_signed(), zeros, -1)
                current = self.register(less, "current_less")
            elif p.reset != "subtract":
                leaked = Mux(before, self._reset_value(stage), leaked)
        return self._updated(add_above(leaked.as_signed(), current, zeros), before)

    def _integrate_current(self, v: Value, total: Value, before: Value | None, i: Value) -> Signal:
        """The same through a synaptic current."""
        p, timing = self.params, self.timing
        leaked: Value = self.register(leak(v, self.constant("leak_num", timing.product - 1), p),
                                      "leaked").as_signed()  # fmt: skip
        bias = self.constant("bias", timing.product)
        if before is not None and p.reset_time in ("next-before-leak", "next-after-leak"):
            late = self.delay(before, timing.product - (timing.fetch + 1), "r_leak")
            if timing.late_subtract:
                bias = Mux(late, self.constant("bias_reset", timing.product), bias).as_signed()
            elif p.reset != "subtract":
                leaked = Mux(late, self._reset_value(timing.product), leaked).as_signed()
        # The membrane's part waits for the current's.
        leaked = self.register(leaked + bias, "leaked_biased")
        leaked = self.delay(leaked, timing.current_used - timing.product - 1, "leaked_kept")
        return self._updated(leaked + self._current(total, i), before)

    def _current(self, total: Value, i: Value) -> Value:
        """The synaptic current that acts on the membrane, at stage `timing.current_used`."""
        c, product = self.params.current, self.timing.product
        assert c is not None
        zeros = self._zeros("input_bias", self._zeros("input_bias_late", self.params.fraction_bits))
        taken = self.register(self._input(total, product - 1), "input")
        decays_first = c.order == "decay-add-use"
        if decays_first:
            i = leak(i, self.constant("current_leak_num", product - 1), c).as_signed()
        i = self.register(i, "i_kept")
        added = cut(add_above(i, taken, zeros), sum_width(self.layer))
        added = self.register(added, "i_sum")
        if decays_first:
            self.current = exactly(added, c.width)
            return added
        kept = leak(added, self.constant("current_leak_num", product + 1), c).as_signed()
        self.current = self.register(exactly(kept, c.width), "i_leaked")
        return added if c.order == "add-use-decay" else self.current

    def _input(self, total: Value, stage: int) -> Value:
        """The step's sum in membrane LSBs, with what is added to it."""
        p = self.params
        bias = self.constant("input_bias", stage)
        if any(p.bias_late):
            late = self.constant("input_bias_late", stage)
            bias = Mux(self.control.first(stage), bias, late).as_signed()
        return total.shift_left(p.fraction_bits) + bias

    def _reset_value(self, stage: int) -> Value:
        """What a reset of the step before makes of the leaked membrane, or of all of it."""
        p = self.params
        if p.reset == "zero":
            return Const(0)
        return self.constant("leaked_reset" if p.reset_time == "next-before-leak" else "v_reset",
                             stage)  # fmt: skip

    def _updated(self, u: Value, before: Value | None) -> Signal:
        """u in its register, at stage `timing.update`."""
        stage = self.timing.update - 1
        if self.params.reset_time == "next-discard" and before is not None:
            before = self.delay(before, stage - (self.timing.fetch + 1), "r_discard")
            u = Mux(before, self._reset_value(stage), u).as_signed()
        return self.register(cut(u, update_width(self.layer, self.timing)), "u")

    def _zeros(self, field: str, limit: int) -> int:
        """Bits that are 0 at the low end of each of the population's constants, `limit` at most."""
        return min(trailing_zeros(value, limit) for value in self.constants.derived(field))

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
    used = (synapse.acc_min << p.fraction_bits, synapse.acc_max << p.fraction_bits)
    used = used[0] + min(0, *p.bias_late), used[1] + max(0, *p.bias_late)
    if p.current is not None:
        half = 1 << (
            (sum_width(layer) if p.current.order == "add-use-decay" else p.current.width) - 1
        )
        used = -half, half - 1
    low += used[0] + min(p.bias)
    high += used[1] + max(p.bias)
    low -= threshold * timing.late_subtract
    return max((~min(low, 0)).bit_length(), max(high, 0).bit_length()) + 1


def sum_width(layer: LayerParams) -> int:
    """Bits of a synaptic current with the step's input."""
    p, c, synapse = layer.neuron, layer.neuron.current, layer.synapse
    assert c is not None
    if c.order == "decay-add-use":
        return c.width
    low = -(1 << (c.width - 1)) + (synapse.acc_min << p.fraction_bits)
    high = (1 << (c.width - 1)) - 1 + (synapse.acc_max << p.fraction_bits)
    low += min(c.bias) + min(0, *p.bias_late)
    high += max(c.bias) + max(0, *p.bias_late)
    return max((~low).bit_length(), high.bit_length()) + 1


def cut(value: Value, width: int) -> Value:
    """A signed value that is known to fit in `width` bits."""
    return value[:width].as_signed() if len(value) > width else value


def exactly(value: Value, width: int) -> Value:
    """The same in `width` bits, for a store: a small leak's result has fewer."""
    value = cut(value, width)
    return Cat(value, value[-1].replicate(width - len(value))).as_signed()


def times(value: Value, shift: int) -> Value:
    """``value * 2**shift``; of a constant, a constant."""
    if isinstance(value, Const):
        return Const(value.value << shift, signed(len(value) + shift))
    return value.shift_left(shift)
