# SPDX-License-Identifier: Apache-2.0
"""What the accumulate engine must add up, for one arbitrary neuron."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed
from proofs.harness import Harness
from proofs.layers import weights_for

from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.params import LayerParams

__all__ = ["engine_harness"]


def engine_harness(params: LayerParams, engine: Any = None) -> Harness:
    """A token's sums are the sums of the weights of the events since the token before it, each
    accepted event counted once, for every stream of items and every stall of `start`.

    Sums are compared modulo 2**acc_width; that a step stays below it is the quantiser's bound. An
    event that is accepted acts on group g `latency + g` cycles later, and row r of the sums leaves
    `latency + r` cycles behind its token. A delayed copy of the items is added up beside the
    engine, so that model and accumulator change in the same cycle.
    """
    h = Harness()
    m = h.m
    rows, row_lanes, n = params.rows, params.row_lanes, params.neuron.n
    weights = weights_for(params)
    m.submodules.dut = dut = AccumulateEngine(params, weights) if engine is None else engine
    latency = AccumulateEngine.latency(params.synapse)

    n_in = params.synapse.n_in
    token, last = h.input(1, "token"), h.input(1, "last")
    address = h.input(dut.i.payload.address.shape(), "address")
    offer, go = h.input(1, "offer"), h.input(1, "go")
    h.assume(token | (address < n_in))
    graded = params.synapse.payload_width
    value = h.input(graded, "value") if graded else Const(1, 1)
    if graded:
        m.d.comb += dut.i.payload.payload.eq(value)
    m.d.comb += [
        dut.i.valid.eq(offer),
        dut.i.payload.token.eq(token),
        dut.i.payload.last.eq(last),
        dut.i.payload.address.eq(Mux(token, 0, address)),
        dut.start.ready.eq(go),
    ]
    accepted = offer & dut.i.ready

    lane, row = (
        h.constant(range(max(row_lanes, 2)), "lane"),
        h.constant(range(max(rows, 2)), "row"),
    )
    h.assume((lane < row_lanes) & (row < rows) & (row * row_lanes + lane < n))
    neuron = Signal(range(max(n, 2)))
    m.d.comb += neuron.eq(row * row_lanes + lane)

    # What was accepted `latency` to `latency + rows - 1` cycles ago.
    events: list[Value] = [accepted & ~token]
    tokens: list[Value] = [accepted & token]
    lasts: list[Value] = [last]
    sources: list[Value] = [address]
    values: list[Value] = [value]
    for k in range(latency + rows - 1):
        events.append(h.before(events[-1], f"event_{k + 1}_ago"))
        tokens.append(h.before(tokens[-1], f"token_{k + 1}_ago"))
        lasts.append(h.before(lasts[-1], f"last_{k + 1}_ago"))
        sources.append(h.before(sources[-1], f"address_{k + 1}_ago"))
        values.append(h.before(values[-1], f"value_{k + 1}_ago") if graded else value)
    event, closes = Signal(), Signal()
    weight = Signal(signed(params.synapse.operand_width))
    factor = Signal(max(graded, 1))
    with m.Switch(row):
        for k in range(rows):
            at = latency + k // params.folds  # when the row's group is visited
            with m.Case(k):
                m.d.comb += [
                    event.eq(events[at]),
                    closes.eq(tokens[latency + k]),
                    factor.eq(values[at]),
                ]
                with m.Switch(Cat(sources[at], neuron)):
                    for target in range(n):
                        for source in range(n_in):
                            shift = len(sources[0])
                            with m.Case(source | target << shift):
                                m.d.comb += weight.eq(weights[target][source])
    total = Signal(signed(params.synapse.acc_width))
    with m.If(closes):
        m.d.sync += total.eq(0)
    with m.Elif(event):
        m.d.sync += total.eq(total + weight * factor)

    sums = dut.o.payload["sums"]
    read = Signal(signed(params.synapse.acc_width))
    with m.Switch(lane):
        for k in range(row_lanes):
            with m.Case(k):
                m.d.comb += read.eq(sums[k])
    leaving = tokens[latency : latency + rows]
    ends, end_last = tokens[latency + rows - 1], lasts[latency + rows - 1]
    lasting = Cat(t & x for t, x in zip(leaving, lasts[latency:], strict=True)).any()
    h.check("sum_of_the_step", ~closes | (dut.o.valid & (read == total)))
    h.check("sums_with_their_token_only", dut.o.valid == Cat(*leaving).any())
    h.check("end_with_the_last_row", ~dut.o.valid | (dut.o.payload.end == ends))
    h.check("last_as_the_token_said", ~dut.o.valid | (dut.o.payload.last == lasting))
    starts = dut.start.valid & go
    h.check("token_and_start_together", starts == (accepted & token))
    h.check("start_says_last", ~dut.start.valid | (dut.start.payload == last))
    due = offer & (~token | go)
    h.answers("never_stuck", due, dut.i.ready, rows - 1)
    if params.folds > 1:
        behind_an_event = Signal()
        with m.If(accepted):
            m.d.sync += behind_an_event.eq(~token)
        h.answers("no_bubble", due & behind_an_event, dut.i.ready, params.groups - 1)
    earlier = Signal.like(total)
    with m.If(closes & (earlier == 0)):
        m.d.sync += earlier.eq(total)
    h.cover("sum_of_three", closes & (read == 3) & ~end_last)
    h.cover("steps_that_differ", closes & (earlier != 0) & (total != 0) & (total != earlier))
    if rows < latency:
        h.cover("two_tokens_in_flight", tokens[0] & Cat(*tokens[1 : latency + 1]).any())
    return h
