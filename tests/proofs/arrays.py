# SPDX-License-Identifier: Apache-2.0
"""What the neuron array must do with one arbitrary neuron's membrane, pass after pass."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed
from proofs.harness import Harness

from spikefab.hdl.neuron import NeuronArray
from spikefab.hdl.params import LayerParams, NeuronParams
from spikefab.hdl.timing import NeuronTiming

__all__ = ["array_harness"]

SUMS_AFTER_START = 1
"""Cycles from `start` to the first sums; any fixed number does."""


def array_harness(params: LayerParams, array: Any = None) -> Harness:
    """Every pass starts from the membrane that the pass before left, and puts out what follows from
    it: no read comes before its write. For all sums, whenever passes are asked for and granted.

    The membrane, and the synaptic current where there is one, are kept beside the array, and
    updated when the neuron's output is due. Sums that leave their widths are left out: a bound of
    the quantiser excludes them.
    """
    h = Harness()
    m = h.m
    groups, lanes, n = params.groups, params.lanes, params.neuron.n
    m.submodules.dut = dut = NeuronArray(params) if array is None else array
    timing = NeuronTiming(params.neuron, groups)
    width = params.neuron.membrane_width

    ask, room, is_last = h.input(1, "ask"), h.input(1, "room"), h.input(1, "is_last")
    m.d.comb += [
        dut.start.valid.eq(ask),
        dut.start.payload.eq(is_last),
        dut.reserve.ready.eq(room),
    ]
    started = ask & dut.start.ready
    # The passes' groups follow their start in a fixed time.
    valids, lasts = [started], [is_last]
    for k in range(SUMS_AFTER_START + groups - 1):
        valids.append(h.before(valids[-1], f"start_{k + 1}_ago"))
        lasts.append(h.before(lasts[-1], f"last_{k + 1}_ago"))
    valids, lasts = valids[SUMS_AFTER_START:], lasts[SUMS_AFTER_START:]
    sums = [h.input(signed(params.synapse.acc_width), f"sum{k}") for k in range(lanes)]
    m.d.comb += [
        dut.i.valid.eq(Cat(*valids).any()),
        dut.i.payload.end.eq(valids[-1]),
        dut.i.payload.last.eq(Cat(v & x for v, x in zip(valids, lasts, strict=True)).any()),
    ]
    for k, value in enumerate(sums):
        m.d.comb += dut.i.payload["sums"][k].eq(value)

    lane, group = (
        h.constant(range(max(lanes, 2)), "lane"),
        h.constant(range(max(groups, 2)), "group"),
    )
    h.assume((lane < lanes) & (group < groups))
    mine, total = Signal(), Signal(signed(params.synapse.acc_width))
    with m.Switch(group):
        for k in range(groups):
            with m.Case(k):
                m.d.comb += mine.eq(valids[k])
    with m.Switch(lane):
        for k in range(lanes):
            with m.Case(k):
                m.d.comb += total.eq(sums[k])

    # At the time of the output:
    valid, end, last = dut.i.valid, dut.i.payload.end, dut.i.payload.last
    due: list[Value] = [mine, total, valid, end, last]
    names = ["mine", "total", "valid", "end", "last"]
    for k in range(timing.output):
        due = [
            h.before(value, f"{name}_{k + 1}_in") for name, value in zip(names, due, strict=True)
        ]
    mine, total, valid, end, last = due
    init = params.neuron.v_init[0]
    membrane = Signal(signed(width), init=init)
    spiked = Signal(init=_above(init, params.neuron))
    first = Signal(init=1)
    current = params.neuron.current
    i = Signal(signed(current.width if current else 1))
    used, i_new = _used(params.neuron, i, total, first)
    u = _integrated(params.neuron, membrane, used, spiked)
    new, output, count = _fired(params.neuron, u)
    exists = group * lanes + lane < n
    bound = 1 << (width - 1)
    h.assume(~(mine & exists) | ((u >= -bound) & (u < bound) & (new >= -bound) & (new < bound)))
    if current is not None:
        half = 1 << (current.width - 1)
        h.assume(~(mine & exists) | ((i_new >= -half) & (i_new < half)))
    with m.If(mine & exists):
        m.d.sync += [
            membrane.eq(Mux(last, init, new)),
            *([i.eq(Mux(last, 0, i_new))] if current is not None else []),
            *([first.eq(last)] if any(params.neuron.bias_late) else []),
            spiked.eq(Mux(last, _above(init, params.neuron), count)),
        ]

    out = dut.o.payload
    put_out = Signal.like(out["values"][0] if not params.neuron.spiking else Signal(1))
    with m.Switch(lane):
        for k in range(lanes):
            with m.Case(k):
                m.d.comb += put_out.eq(out["values"][k])
    h.check("from_the_last_write", ~(mine & exists) | (put_out == output))
    h.check("absent_neurons_are_silent", ~mine | exists | (put_out == 0))
    h.check("outputs_when_due", dut.o.valid == valid)
    h.check("end_with_the_last_group", ~valid | (out.end == end))
    h.check("last_as_the_pass", ~valid | (out.last == last))
    h.check("start_and_room_together", started == (dut.reserve.valid & room))
    h.answers("never_stuck", ask & room, dut.start.ready, timing.spacing - 1)

    passes = Signal(2)
    with m.If(mine & (passes != 3)):
        m.d.sync += passes.eq(passes + 1)
    h.cover("third_pass", mine & (passes == 2) & (membrane != init))
    ended = Signal()
    with m.If(mine & last & (membrane != init)):
        m.d.sync += ended.eq(1)
    h.cover("after_a_sample", mine & ended & ~last)
    if current is not None:
        h.cover("current_left", mine & (passes == 2) & (i != 0) & (total == 0))
    if params.neuron.spiking:
        h.cover("spike", mine & put_out.any() & (passes == 1))
    return h


def _above(v: Any, p: NeuronParams) -> Any:
    """The comparison with the threshold: of numbers and of signals."""
    above = v > p.threshold[0] if p.compare == "gt" else v >= p.threshold[0]
    return int(above) if isinstance(above, bool) else above


def _used(p: NeuronParams, i: Signal, total: Value, first: Value) -> tuple[Value, Value]:
    """What acts on the membrane, and the current to keep; `leak_rounding` floor."""
    taken: Value = total << p.fraction_bits
    if any(p.bias_late):
        taken = taken + Mux(first, 0, p.bias_late[0])
    c = p.current
    if c is None:
        return taken, Const(0)
    taken = taken + c.bias[0]
    if c.order == "decay-add-use":
        new = ((i * c.leak_num[0]) >> c.leak_shift) + taken
        return new, new
    new = ((i + taken) * c.leak_num[0]) >> c.leak_shift
    return (i + taken if c.order == "add-use-decay" else new), new


def _integrated(p: NeuronParams, v: Signal, used: Value, spiked: Signal) -> Value:
    """The membrane with leak, input, and a reset of the step before; `leak_rounding` floor."""
    leaked: Value = (v * p.leak_num[0]) >> p.leak_shift
    if p.reset_time == "next-after-leak":
        leaked = (
            Mux(spiked, 0, leaked) if p.reset == "zero" else leaked - Mux(spiked, p.threshold[0], 0)
        )
    u = leaked + used + p.bias[0]
    return Mux(spiked, 0, u) if p.reset_time == "next-discard" else u


def _fired(p: NeuronParams, u: Value) -> tuple[Value, Value, Value]:
    """(membrane to keep, output, spike)."""
    if not p.spiking:
        return u, u, Const(0)
    spike = _above(u, p)
    if p.reset_time != "same":
        return u, spike, spike
    if p.reset == "zero":
        return Mux(spike, 0, u), spike, spike
    return Mux(spike, u - p.threshold[0], u), spike, spike
