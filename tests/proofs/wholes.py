# SPDX-License-Identifier: Apache-2.0
"""What a whole layer must do: engine, neuron array and serialiser in a row."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Mux, Signal, signed
from proofs.harness import Harness
from proofs.layers import weights_for

from spikefab.hdl.core import Layer
from spikefab.hdl.params import LayerParams

__all__ = ["layer_harness"]


def layer_harness(params: LayerParams, patience: int, layer: Any = None) -> Harness:
    """A neuron spikes in the steps in which its sum and membrane say so, and its events leave
    between the right tokens; a step whose token was accepted ends at the other side.

    The model, an integrate-and-fire neuron with reset by subtraction, works when an item is
    accepted. The step to follow is chosen freely. `patience` bounds the cycles with a willing
    consumer in which nothing leaves though a token is due; it has to be well below the cycles that
    are looked at.
    """
    h = Harness()
    m = h.m
    p, n, n_in = params.neuron, params.neuron.n, params.synapse.n_in
    weights = weights_for(params)
    m.submodules.dut = dut = Layer(params, weights) if layer is None else layer
    token, last = h.input(1, "token"), h.input(1, "last")
    address = h.input(dut.i.payload.address.shape(), "address")
    offer, take, choose = h.input(1, "offer"), h.input(1, "take"), h.input(1, "choose")
    h.assume(token | (address < n_in))
    m.d.comb += [
        dut.i.valid.eq(offer),
        dut.i.payload.token.eq(token),
        dut.i.payload.last.eq(last),
        dut.i.payload.address.eq(Mux(token, 0, address)),
        dut.o.ready.eq(take),
    ]
    accepted = offer & dut.i.ready
    sent, o = dut.o.valid & take, dut.o.payload

    neuron = h.constant(range(max(n, 2)), "neuron")
    h.assume(neuron < n)
    weight = Signal(signed(2))
    with m.Switch(neuron):
        for k in range(n):
            with m.Case(k), m.Switch(address):
                for source in range(n_in):
                    with m.Case(source):
                        m.d.comb += weight.eq(weights[k][source])
    total, membrane = Signal(signed(params.synapse.acc_width)), Signal(signed(p.membrane_width))
    u = membrane + total
    spike = u > p.threshold[0]
    new = Mux(spike, u - p.threshold[0], u)
    half, bound = 1 << (params.synapse.acc_width - 1), 1 << (p.membrane_width - 1)
    h.assume(~accepted | token | ((total + weight >= -half) & (total + weight < half)))
    h.assume(~(accepted & token) | ((new >= -bound) & (new < bound)))
    with m.If(accepted):
        m.d.sync += total.eq(Mux(token, 0, total + weight))
        with m.If(token):
            m.d.sync += membrane.eq(Mux(last, p.v_init[0], new))

    # Steps that may be on their way: each has a row in the serialiser's queue, or its token behind.
    most = 2 * params.rows + 3
    whole, ahead = Signal(range(most + 2)), Signal(range(most + 2))
    chosen, following, done = Signal(), Signal(), Signal()
    due, due_last, seen = Signal(), Signal(), Signal(2)
    ends = accepted & token
    m.d.sync += whole.eq(whole + ends - (sent & o.token))
    with m.If(ends & choose & ~chosen):
        m.d.sync += [chosen.eq(1), ahead.eq(whole - (sent & o.token)), due.eq(spike)]
        m.d.sync += due_last.eq(last)
    with m.Elif(sent & o.token & (ahead != 0)):
        m.d.sync += ahead.eq(ahead - 1)
    m.d.comb += following.eq(chosen & (ahead == 0) & ~done)
    mine = following & sent & ~o.token & (o.address == neuron)
    closes = following & sent & o.token
    with m.If(mine):
        m.d.sync += seen.eq(1)
    with m.If(closes):
        m.d.sync += done.eq(1)
    h.check("spikes_as_the_model", ~closes | (seen == due))
    h.check("no_spike_that_is_not_due", ~mine | (due & (seen == 0)))
    h.check("last_as_the_step", ~closes | (o.last == due_last))
    h.check("token_behind_its_step", ~(dut.o.valid & o.token) | (whole != 0))
    h.check("no_more_than_it_holds", whole <= most)
    stuck = Signal(range(patience + 2))
    with m.If((whole == 0) | sent):
        m.d.sync += stuck.eq(0)
    with m.Elif(take & (stuck <= patience)):
        m.d.sync += stuck.eq(stuck + 1)
    h.check("something_leaves", (whole == 0) | ~take | dut.o.valid | (stuck < patience))
    # Waiting counts while the consumer is willing in every cycle; any stall starts it anew.
    h.answers("items_are_taken", offer & take, dut.i.ready, patience)
    h.cover("spike", closes & (due == 1))
    h.cover("second_step", closes & (due == 1) & (whole == 2))
    h.cover("blocked_by_the_consumer", offer & token & ~dut.i.ready & (whole >= 3))
    return h
