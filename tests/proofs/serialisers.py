# SPDX-License-Identifier: Apache-2.0
"""What a serialiser must send: one arbitrary neuron of one arbitrary pass is followed."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Mux, Signal, Value, signed, unsigned
from proofs.harness import Harness

from spikefab.hdl import serialise
from spikefab.hdl.params import LayerParams
from spikefab.hdl.serialise import MembraneSerialiser, SpikeSerialiser, at_most_one

__all__ = ["last_spike_harness", "serialiser_harness"]

PASSES = 2
"""Passes that a serialiser has room for, at least."""


def serialiser_harness(params: LayerParams, serialiser: Any = None, patience: int = 8) -> Harness:
    """A neuron's spikes leave as often as it has them, between the token of the step before and
    that of its own, which leaves once; a membrane leaves once, as it came in. For all patterns,
    pauses between groups and stalls of the consumer.

    The pass to follow is chosen freely among all that are asked for. `patience` bounds the cycles
    with a willing consumer in which nothing leaves though a token is due.
    """
    h = Harness()
    m = h.m
    groups, lanes, n = params.groups, params.lanes, params.neuron.n
    spiking = params.neuron.spiking
    # Passes that may be on their way: each has a group in the queue, or its token in one of the
    # registers behind it, of which there are more where groups are split.
    most = PASSES * groups + (3 if lanes <= serialise.CHUNK else 4 + serialise.CHUNKS_DEPTH)
    if serialiser is None:
        serialiser = (SpikeSerialiser if spiking else MembraneSerialiser)(params)
    m.submodules.dut = dut = serialiser
    bits = params.neuron.count_width if spiking else params.neuron.membrane_width
    shape = unsigned(bits) if spiking else signed(bits)

    ask, come, last, take = (h.input(1, name) for name in ("ask", "come", "last", "take"))
    values = [h.input(shape, f"value{k}") for k in range(lanes)]
    reserved = ask & dut.reserve.ready

    # Passes that were granted come as `groups` groups each, with pauses anywhere.
    owed, group = Signal(range(most + 2)), Signal(range(max(groups, 2)))
    end = group == groups - 1
    h.assume(~come | (owed != 0))
    m.d.sync += owed.eq(owed + reserved - (come & end))
    with m.If(come):
        m.d.sync += group.eq(Mux(end, 0, group + 1))
    absent = n - (groups - 1) * lanes
    m.d.comb += [
        dut.reserve.valid.eq(ask),
        dut.i.valid.eq(come),
        dut.i.payload.end.eq(end),
        dut.i.payload.last.eq(last),
        dut.o.ready.eq(take),
    ]
    for k, value in enumerate(values):
        silent = end if k >= absent else 0
        m.d.comb += dut.i.payload["values"][k].eq(Mux(silent, 0, value))
    o = dut.o.payload
    sent, token = dut.o.valid & take, o.token

    # Passes that have come as a whole and whose token has not left.
    whole = Signal(range(most + 2))
    m.d.sync += whole.eq(whole + (come & end) - (sent & token))
    h.check("no_more_than_it_holds", owed + whole <= most)
    h.check("token_behind_its_pass", ~(dut.o.valid & token) | (whole != 0))

    # The neuron and the pass to follow.
    lane, home = h.constant(range(max(lanes, 2)), "lane"), h.constant(range(max(groups, 2)), "home")
    h.assume((lane < lanes) & (home < groups) & (home * lanes + lane < n))
    neuron = Signal(range(max(n, 2)))
    m.d.comb += neuron.eq(home * lanes + lane)
    value = Signal(shape)
    with m.Switch(lane):
        for k in range(lanes):
            with m.Case(k):
                m.d.comb += value.eq(values[k])
    choose = h.input(1, "choose")
    begins = come & (group == 0) & choose
    chosen, arriving, following = Signal(), Signal(), Signal()
    ahead = Signal(range(most + 2))  # tokens that leave before the followed pass's items
    now = Signal()  # the followed pass comes in
    m.d.comb += [now.eq((begins & ~chosen) | arriving), following.eq(chosen & (ahead == 0))]
    due, due_last, seen, done = Signal(bits + 1), Signal(), Signal(bits + 1), Signal()
    kept, here = Signal(shape), Signal()  # its value, once it has come
    with m.If(begins & ~chosen):
        m.d.sync += [chosen.eq(1), ahead.eq(whole - (sent & token))]
    with m.Elif(sent & token & (ahead != 0)):
        m.d.sync += ahead.eq(ahead - 1)
    with m.If(now & come):
        m.d.sync += arriving.eq(~end)
        with m.If(group == home):
            m.d.sync += [kept.eq(value), here.eq(1), due.eq(value if spiking else 1)]
        with m.If(end):
            m.d.sync += due_last.eq(last)
    mine = following & ~done & sent & ~token & (o.address == neuron)
    closes = following & ~done & sent & token
    with m.If(mine):
        m.d.sync += seen.eq(seen + 1)
    with m.If(closes):
        m.d.sync += done.eq(1)
    h.check("as_often_as_it_came", ~closes | (seen == due))
    h.check("not_before_it_came", ~mine | (here & (seen < due)))
    h.check("last_as_the_pass", ~closes | (o.last == due_last))
    h.check("last_with_tokens_only", ~dut.o.valid | token | ~o.last)
    if not spiking:
        h.check("the_value_that_came", ~mine | (o.payload == kept))
    _order(h, sent, token, o.address, n, strictly=not spiking or bits == 1)
    h.stays_offered(dut.o.valid, dut.o.ready, Value.cast(o), "o")

    # Nothing is stuck: with a willing consumer items leave, and room comes back.
    stuck = Signal(range(patience + 2))
    with m.If((whole == 0) | sent):
        m.d.sync += stuck.eq(0)
    with m.Elif(take & (stuck <= patience)):
        m.d.sync += stuck.eq(stuck + 1)
    h.check("something_leaves", (whole == 0) | ~take | dut.o.valid | (stuck < patience))
    h.answers("room_for_a_pass", owed + whole < PASSES, dut.reserve.ready, 1)

    h.cover("full", (owed + whole >= PASSES) & ~dut.reserve.ready)
    h.cover("followed_behind_another", closes & (seen == due) & (whole == PASSES))
    h.cover("left", closes & (seen == (2 if spiking and bits > 1 else 1)))
    h.cover("all_at_once", whole.any() & come & Cat(v.any() for v in values).all())
    return h


def _order(h: Harness, sent: Value, token: Value, address: Value, n: int, strictly: bool) -> None:
    """Within a step, addresses rise, and belong to neurons."""
    before, any_before = Signal(range(max(n, 2))), Signal()
    with h.m.If(sent):
        h.m.d.sync += [before.eq(address), any_before.eq(~token)]
    rises = (before < address) if strictly else (before <= address)
    event = sent & ~token
    h.check("addresses_rise", ~(event & any_before) | rises)
    h.check("addresses_exist", ~event | (address < n))


def last_spike_harness() -> Harness:
    """A chunk is done with where at most one of its spikes is left."""
    h = Harness()
    bits = h.input(serialise.CHUNK, "bits")
    single = Signal()
    h.m.d.comb += single.eq(at_most_one(list(bits)))
    h.check("none_behind_the_lowest", single == ((bits & (bits - 1)) == 0))
    h.cover("one_is_left", single & (bits == 1 << (serialise.CHUNK - 1)))
    h.cover("two_are_left", ~single & (bits == 3))
    return h
