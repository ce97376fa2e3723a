# SPDX-License-Identifier: Apache-2.0
"""What a fork, a merge and a ring of events must do with the items that pass them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from proofs.harness import Harness

from spikefab.hdl.delay import EventRing
from spikefab.hdl.event import EventLayout
from spikefab.hdl.route import Fork, Merge

__all__ = ["fork_harness", "merge_harness", "ring_harness"]


def _offered(h: Harness, i: Any, name: str) -> tuple[Signal, Signal, Signal, Signal]:
    """A stream that offers any items, each until it is taken: offer, token, last, address."""
    offer, token, last = (h.input(1, f"{name}_{what}") for what in ("offer", "token", "last"))
    address = h.input(i.payload.address.shape(), f"{name}_address")
    h.m.d.comb += [
        i.valid.eq(offer),
        i.payload.token.eq(token),
        i.payload.last.eq(last),
        i.payload.address.eq(address),
    ]
    h.assume(~last | token)
    h.assume(~token | (address == 0))
    waits = h.before(offer & ~i.ready, f"{name}_waits")
    was = h.before(Cat(token, last, address), f"{name}_was")
    h.assume(~waits | (offer & (Cat(token, last, address) == was)))
    return offer, token, last, address


def fork_harness(n: int, fork: Any = None) -> Harness:
    """Each of `n` consumers takes each item once; the item leaves as the last of them takes it."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = Fork(EventLayout(2), n) if fork is None else fork
    offer, *item = _offered(h, dut.i, "i")
    whole = Cat(*item)
    ready = [h.input(1, f"take{k}") for k in range(n)]
    took = [Signal(name=f"took{k}") for k in range(n)]  # the item that is offered
    leaves = offer & dut.i.ready
    for k in range(n):
        o = dut.o[k]
        m.d.comb += o.ready.eq(ready[k])
        takes = o.valid & ready[k]
        m.d.sync += took[k].eq((took[k] | takes) & ~leaves)
        shown = Cat(o.payload.token, o.payload.last, o.payload.address)
        h.check(f"not_twice_{k}", ~o.valid | (offer & ~took[k]))
        h.check(f"as_it_came_{k}", ~o.valid | (shown == whole))
        h.check(f"not_without_{k}", ~leaves | took[k] | takes)
        h.check(f"offered_at_once_{k}", ~offer | took[k] | o.valid)
    h.check("an_item_a_cycle", ~offer | ~Cat(*ready).all() | dut.i.ready)
    apart = Signal()
    with m.If(offer & took[0] & ~took[-1]):
        m.d.sync += apart.eq(1)
    h.cover("taken_apart", apart & leaves & ~took[0])
    return h


def merge_harness(merge: Merge, broken: Any = None) -> Harness:
    """What leaves is a step of each port in turn, and one token; what a recurrent port brings of a
    sample's last step is dropped.

    A model beside the merge says of each item that is taken whether it leaves, and as what: the
    next of a list of at most two, which are the merge's own queue. The surroundings of a recurrent
    port send a token a merged step, behind it, with the same `last`; feed-forward ports have the
    same `last` in the same step.
    """
    h = Harness()
    m = h.m
    m.submodules.dut = dut = merge if broken is None else broken
    ports = merge.ports
    forward = [k for k, port in enumerate(ports) if not port.recurrent]
    take = h.input(1, "take")
    m.d.comb += dut.o.ready.eq(take)
    out = dut.o.payload
    left = Signal()
    m.d.comb += left.eq(dut.o.valid & take)

    first, closing, decided = Signal(init=1), Signal(), Signal()
    ended = [Signal(name=f"ended{k}") for k in range(len(ports))]  # of the step at hand
    stale = [Signal(name=f"stale{k}") for k in range(len(ports))]  # of a sample that has ended
    offers, accepted, pushes, items = [], [], [], []
    ends: Value = Const(0)
    wrong: Value = Const(0)
    for k, port in enumerate(ports):
        i = dut.port(k)
        offer, token, last, address = _offered(h, i, f"i{k}")
        offers.append(offer)
        h.assume(token | (address < port.n))
        takes = offer & i.ready
        accepted.append(takes)
        turn: Value = ~ended[k]
        for j in range(len(ports)):
            if j < k:  # a port of this step
                turn = turn & (ended[j] | (first if ports[j].recurrent else Const(0)))
        if port.recurrent:
            turn = turn & ~first
            dropped = stale[k]
            _behind(h, k, left & out.token, out.last, offer & token, last, takes & token)
            with m.If(takes & token & last & stale[k]):
                m.d.sync += stale[k].eq(0)
        else:
            dropped = Const(0)
            h.assume(~(offer & token) | ~decided | (last == closing))
            with m.If(takes & token):
                m.d.sync += [closing.eq(last), decided.eq(1)]
        wrong = wrong | (takes & ~dropped & ~turn)
        others = Cat(
            ended[j] | (first if ports[j].recurrent else Const(0))
            for j in range(len(ports))
            if j != k
        ).all()
        final = takes & token & ~dropped & others
        with m.If(takes & token & ~dropped & ~others):
            m.d.sync += ended[k].eq(1)
        ends = ends | final
        whole_last = closing if port.recurrent else last
        hit, target = _through(port, address)
        pushes.append(final | (takes & ~token & ~dropped & hit))
        items.append(Mux(token, Cat(Const(1, 1), whole_last), Cat(Const(0, 2), target)))
        with m.If(final):
            m.d.sync += [first.eq(whole_last), decided.eq(0), *(e.eq(0) for e in ended)]
            for j, other in enumerate(ports):
                if other.recurrent:
                    with m.If(whole_last):
                        m.d.sync += stale[j].eq(1)

    # The list of what is on its way.
    width = 2 + len(out.address)
    push, item = Signal(), Signal(width)
    m.d.comb += push.eq(Cat(*pushes).any())
    for condition, value in zip(pushes, items, strict=True):
        with m.If(condition):
            m.d.comb += item.eq(value)
    level = Signal(range(Merge.DEPTH + 2))
    slots = [Signal(width, name=f"way{k}") for k in range(Merge.DEPTH)]
    m.d.sync += level.eq(level + push - left)
    for k, slot in enumerate(slots):
        with m.If(push & (level == (left + k if k else left))):
            m.d.sync += slot.eq(item)
        if k + 1 < len(slots):
            with m.Elif(left):
                m.d.sync += slot.eq(slots[k + 1])

    shown = Cat(out.token, out.last, out.address)
    h.check("in_turn", ~wrong)
    h.check("one_at_a_time", sum(pushes[1:], pushes[0]) <= 1)
    h.check("as_it_came", ~dut.o.valid | ((level != 0) & (shown == slots[0])))
    h.check("room_for_it", ~push | (level - left < Merge.DEPTH))
    h.check("draining_says_so", dut.draining == Cat(*stale).any())
    wanted = Cat(*(offers[k] for k in range(len(ports)) if ports[k].recurrent)).all()
    fresh = first & ~Cat(*stale).any()
    due = take & Cat(*(offers[k] for k in forward)).all() & (wanted | fresh)
    h.answers("something_is_taken", due, Cat(*accepted).any(), 3)
    ended_before = Signal()
    with m.If(left & out.token & out.last):
        m.d.sync += ended_before.eq(1)
    h.cover("second_sample", ended_before & left & out.token & ~out.last & (level == 1))
    h.cover("full", (level == Merge.DEPTH) & ended_before)
    return h


def _behind(
    h: Harness, k: int, stepped: Value, ended: Value, offers: Value, last: Value, takes: Value
) -> None:
    """A recurrent port's token follows a merged one, and has its `last`: at most two are due, that
    of a sample that has ended and one of the next."""
    m = h.m
    count, lasts = Signal(range(4), name=f"due{k}"), Signal(3, name=f"lasts{k}")
    h.assume(~offers | ((count != 0) & (last == lasts[0])))
    behind = (lasts >> takes)[:3]
    free = Signal(2, name=f"free{k}")
    m.d.comb += free.eq(count - takes)
    place = (Const(1, 3) << free)[:3]
    m.d.sync += count.eq(count + stepped - takes)
    m.d.sync += lasts.eq(Mux(stepped, Mux(ended, behind | place, behind & ~place), behind))
    h.check(f"at_most_two_are_due_{k}", count <= 2)


def _through(port: Any, address: Value) -> tuple[Value, Value]:
    """Whether an address passes a port's windows, and what it leaves with: address by address."""
    hit: Value = Const(0)
    out: Value = Const(0)
    for w in port.windows:
        for a in range(w.size):
            here = address == w.base + a
            hit, out = hit | here, Mux(here, w.offset + a, out)
    return hit, out


def ring_harness(delays: list[int], ring: Any = None) -> Harness:
    """An event of any one address leaves as many steps later as its delay, once; tokens pass in
    their order; a sample's last one leaves nothing behind."""
    h = Harness()
    m = h.m
    n = len(delays)
    m.submodules.dut = dut = EventRing(delays) if ring is None else ring
    offer, token, last, address = _offered(h, dut.i, "i")
    take = h.input(1, "take")
    m.d.comb += dut.o.ready.eq(take)
    out = dut.o.payload
    takes, left = offer & dut.i.ready, dut.o.valid & take
    h.assume(token | (address < n))
    chosen = h.constant(range(n), "chosen")
    late = Signal(range(max(delays) + 1))
    with m.Switch(chosen):
        for a, d in enumerate(delays):
            with m.Case(a):
                m.d.comb += late.eq(d)
    # An address sends at most one event a step.
    sent = Signal(n)
    h.assume(token | ~(sent >> address)[0])
    with m.If(takes):
        m.d.sync += sent.eq(Mux(token, 0, sent | (Const(1, n) << address)[:n]))

    # Steps of events of the chosen address: due now, a step later, and so on.
    due = Signal(max(delays) + 1)
    mine = takes & ~token & (address == chosen)
    shows = left & ~out.token & (out.address == chosen)
    passing, its_last = Signal(), Signal()  # a token is inside
    with m.If(mine):
        m.d.sync += due.eq(due | (Const(1, len(due)) << late)[: len(due)])
    with m.If(takes & token):
        m.d.sync += [passing.eq(1), its_last.eq(last)]
    with m.If(shows):
        m.d.sync += due[0].eq(0)
    with m.If(left & out.token):
        m.d.sync += [passing.eq(0), due.eq(Mux(its_last, 0, due >> 1))]

    h.check("only_when_due", ~dut.o.valid | out.token | (out.address != chosen) | due[0])
    h.check("gone_before_the_token", ~(dut.o.valid & out.token) | ~due[0])
    h.check("a_token_for_a_token", ~(dut.o.valid & out.token) | (passing & (out.last == its_last)))
    h.check("no_item_past_a_token", ~passing | ~takes)
    h.check("addresses_exist", ~dut.o.valid | out.token | (out.address < n))
    clears = dut.clearing
    longest = max(delays) * EventRing.words_of(n)
    limit = longest + 3 * EventRing.words_of(n) + n + 4
    h.answers("items_are_taken", offer & (take | clears), dut.i.ready, limit)
    h.cover("late", shows & (late == max(delays)))
    h.cover("cleared", clears & (due == 0) & h.before(its_last, "its_last_was"))
    return h
