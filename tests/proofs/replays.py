# SPDX-License-Identifier: Apache-2.0
"""What direct coding must repeat: one arbitrary neuron's sum."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Signal, signed
from proofs.harness import Harness

from spikefab.hdl.params import LayerParams
from spikefab.hdl.replay import Replay

__all__ = ["replay_harness"]

SUMS_AFTER_START = 1
"""Cycles from `start` to the first sums; any fixed number does."""


def replay_harness(params: LayerParams, replay: Any = None) -> Harness:
    """A frame's sums leave in every one of its steps as they came, and in as many steps as they
    should; the next frame is accepted behind them. For all sums and stalls."""
    h = Harness()
    m = h.m
    groups, lanes, steps = params.groups, params.lanes, params.replay
    width = params.synapse.acc_width
    m.submodules.dut = dut = Replay(params) if replay is None else replay
    ask, go, is_last = h.input(1, "ask"), h.input(1, "go"), h.input(1, "is_last")
    m.d.comb += [
        dut.start.valid.eq(ask),
        dut.start.payload.eq(is_last),
        dut.begin.ready.eq(go),
    ]
    started, begun = ask & dut.start.ready, dut.begin.valid & go
    come, leave = [started], [begun]
    for k in range(SUMS_AFTER_START + groups - 1):
        come.append(h.before(come[-1], f"start_{k + 1}_ago"))
    for k in range(Replay.LATENCY + groups - 1):
        leave.append(h.before(leave[-1], f"begin_{k + 1}_ago"))
    come, leave = come[SUMS_AFTER_START:], leave[Replay.LATENCY :]
    sums = [h.input(signed(width), f"sum{k}") for k in range(lanes)]
    m.d.comb += [dut.i.valid.eq(Cat(*come).any()), dut.i.payload.end.eq(come[-1])]
    for k, value in enumerate(sums):
        m.d.comb += dut.i.payload["sums"][k].eq(value)

    lane, group = (
        h.constant(range(max(lanes, 2)), "lane"),
        h.constant(range(max(groups, 2)), "group"),
    )
    h.assume((lane < lanes) & (group < groups))
    total, read = Signal(signed(width)), Signal(signed(width))
    mine, repeated = Signal(), Signal()
    with m.Switch(lane):
        for k in range(lanes):
            with m.Case(k):
                m.d.comb += [total.eq(sums[k]), read.eq(dut.o.payload["sums"][k])]
    with m.Switch(group):
        for k in range(groups):
            with m.Case(k):
                m.d.comb += [mine.eq(come[k]), repeated.eq(leave[k])]
    kept, whole = Signal(signed(width)), Signal()
    left, final = Signal(range(steps + 1)), Signal()
    with m.If(mine):
        m.d.sync += kept.eq(total)
    with m.If(come[-1]):
        m.d.sync += whole.eq(1)
    with m.If(started):
        m.d.sync += [left.eq(steps), whole.eq(0)]
    with m.If(begun):
        m.d.sync += [left.eq(left - 1), final.eq(left == 1)]

    h.check("the_sum_that_came", ~repeated | (dut.o.valid & (read == kept)))
    h.check("sums_in_their_step_only", dut.o.valid == Cat(*leave).any())
    h.check("end_with_the_last_group", ~dut.o.valid | (dut.o.payload.end == leave[-1]))
    h.check("last_in_the_last_step", ~dut.o.valid | (dut.o.payload.last == final))
    h.check("no_step_too_many", ~dut.begin.valid | (whole & (left != 0)))
    h.check("begin_says_last", ~dut.begin.valid | (dut.begin.payload == (left == 1)))
    h.check("no_frame_before_the_end", ~started | (left == 0))
    h.answers("steps_follow", whole & (left != 0), dut.begin.valid, groups)
    idle = (left == 0) & ~Cat(*leave).any()
    h.answers("the_next_frame_is_taken", ask & idle, dut.start.ready, 1)
    second = Signal()
    with m.If(started & (kept == 1)):
        m.d.sync += second.eq(1)
    h.cover("second_frame", second & repeated & (read == 2) & final)
    return h
