# SPDX-License-Identifier: Apache-2.0
"""Several layers on one engine: their phases take turns, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import event_stream
from spikefab.hdl.load import LoadPort, load_columns
from spikefab.hdl.neuron import NeuronArray
from spikefab.hdl.params import LayerParams
from spikefab.hdl.scatter import ScatterEngine
from spikefab.hdl.serialise import SpikeSerialiser
from spikefab.hdl.shared_params import SharedParams
from spikefab.hdl.sparse_params import SparseParams

__all__ = ["SHARED_SPACING", "SharedLayer", "shared_words"]

Weights = Sequence[Sequence[int]]

SHARED_SPACING = 1
"""Fewest cycles from the start of one pass to that of the next: they are of different neurons, and
those of a neuron are a phase apart at least."""


def shared_words(shared: SharedParams, weights: Sequence[Weights]) -> list[list[int]]:
    """The words of the weight memory, in the order of the sources, from those of each layer as
    `hdl.core.Layer` takes them."""
    order = [*range(1, len(shared.layers)), 0]
    return [
        [weight << shared.shifts[k] for weight in word]
        for k in order
        for word in _words(shared.layers[k], weights[k], shared.lanes)
    ]


def _words(layer: LayerParams, weights: Weights, lanes: int) -> Iterator[list[int]]:
    """A layer's words on so many lanes, source by source."""
    if isinstance(layer.structure, SparseParams):
        for word in weights:
            yield [*word, *[0] * (lanes - len(word))]
        return
    for source in zip(*weights, strict=True):
        for start in range(0, len(source), lanes):
            word = list(source[start : start + lanes])
            yield word + [0] * (lanes - len(word))


class SharedLayer(wiring.Component):
    """Layers of a chain, on one engine, one neuron array and one serialiser.

    The first layer's step comes from outside. Its spikes are taken back as the second layer's
    events, and the token behind them starts the second layer's pass; so it goes on to the last
    layer, whose step leaves. From the first layer's token to the last layer's, nothing is taken
    from outside: what the engine does is in one fixed order.

    Members
    -------
    i : in stream, EventLayout(n_in)
        As the first layer takes it.
    o : out stream, EventLayout(n)
        As the last layer sends it.
    load : in, LoadPort
        Only where the weights can be loaded.
    """

    i: stream.Interface
    o: stream.Interface
    load: Any

    def __init__(self, shared: SharedParams, weights: Sequence[Weights]):
        """`weights`: of each layer as `hdl.core.Layer` takes them."""
        self.shared, self.weights = shared, list(weights)
        self.params = engine = shared.engine
        port = LoadPort(load_columns(engine), engine.weight_words)
        first, last = shared.layers[0], shared.layers[-1]
        super().__init__(
            {
                "i": In(event_stream(first.synapse.n_in)),
                "o": Out(event_stream(last.neuron.n)),
                **({"load": In(port)} if engine.loaded else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        s = self.shared
        words = shared_words(s, self.weights)
        m.submodules.engine = engine = ScatterEngine(s.engine, words, s.phases)
        m.submodules.neurons = neurons = NeuronArray(s.array, SHARED_SPACING)
        m.submodules.serialiser = out = SpikeSerialiser(s.array, shared=s)
        if self.params.loaded:
            wiring.connect(m, wiring.flipped(self.load), engine.load)
        wiring.connect(m, engine.start, neurons.start)
        wiring.connect(m, engine.o, neurons.i)
        wiring.connect(m, neurons.reserve, out.reserve)
        wiring.connect(m, neurons.o, out.i)
        back: Any = event_stream(s.array.neuron.n).create(path=("back",))
        self._leave(m, out.o, back)
        self._enter(m, back, engine.i)
        return m

    def _leave(self, m: Module, sent: Any, back: Any) -> None:
        """The last phase's spikes go out, all others back."""
        s = self.shared
        phase = Signal(range(len(s.phases)), name="leaving")
        final = Signal()
        address = sent.payload.address
        m.d.comb += [
            final.eq(phase == len(s.phases) - 1),
            back.valid.eq(sent.valid & ~final),
            back.payload.eq(sent.payload),
            self.o.valid.eq(sent.valid & final),
            self.o.payload.token.eq(sent.payload.token),
            self.o.payload.last.eq(sent.payload.last),
            self.o.payload.address.eq(Mux(sent.payload.token, 0, address - s.first_input)),
            sent.ready.eq(Mux(final, self.o.ready, back.ready)),
        ]
        with m.If(sent.valid & sent.ready & sent.payload.token):
            m.d.sync += phase.eq(Mux(final, 0, phase + 1))

    def _enter(self, m: Module, back: Any, into: Any) -> None:
        """A step from outside, then what comes back, phase by phase."""
        s = self.shared
        last_token = s.first_token + len(s.phases) - 1
        outside = Signal(init=1)
        token_address = Signal(range(last_token + 1), init=s.first_token)
        given, taken = self.i.payload, back.payload
        m.d.comb += [
            into.valid.eq(Mux(outside, self.i.valid, back.valid)),
            self.i.ready.eq(outside & into.ready),
            back.ready.eq(~outside & into.ready),
            Cat(into.payload.token, into.payload.last).eq(
                Mux(outside, Cat(given.token, given.last), Cat(taken.token, taken.last))
            ),
            into.payload.address.eq(
                Mux(
                    into.payload.token,
                    token_address,
                    Mux(outside, given.address + s.first_input, taken.address),
                )
            ),
        ]
        with m.If(into.valid & into.ready & into.payload.token):
            done = Signal()
            m.d.comb += done.eq(token_address == last_token)
            m.d.sync += [
                outside.eq(done),
                token_address.eq(Mux(done, s.first_token, token_address + 1)),
            ]
