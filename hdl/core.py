# SPDX-License-Identifier: Apache-2.0
"""The spiking core: a chain of layers between one event stream and another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.coder import input_coder
from spikefab.hdl.event import event_stream, membrane_payload
from spikefab.hdl.load import LoadDecoder, LoadLayout, LoadPort, load_columns, load_words
from spikefab.hdl.neuron import NeuronArray
from spikefab.hdl.params import CoreParams, LayerParams
from spikefab.hdl.rate_coder import RateCoder
from spikefab.hdl.replay import Replay
from spikefab.hdl.serialise import MembraneSerialiser, SpikeSerialiser
from spikefab.hdl.stop import EarlyStop, StepGate

__all__ = ["REVISION", "Layer", "SpikingCore"]

Weights = Sequence[Sequence[int]]

REVISION = 2
"""Counted up when the same parameters make hardware that behaves or times differently: it is part
of a design's hash."""


def _load_port(params: LayerParams) -> LoadPort:
    return LoadPort(load_columns(params), params.synapse.n_in * params.groups)


class Layer(wiring.Component):
    """Accumulate engine, neuron array and serialiser of one population.

    Members
    -------
    i : in stream, EventLayout(n_in, unsigned(payload_width))
    o : out stream, EventLayout(n), with the membrane as payload for an integrator
    stop, ended : in, out, only if `stoppable`
        As `Replay` has them.
    load : in, LoadPort
        Only where the weights can be loaded.
    """

    i: stream.Interface
    o: stream.Interface
    stop: Signal
    ended: Signal
    load: Any

    def __init__(self, params: LayerParams, weights: Weights, *, stoppable: bool = False):
        self.params, self.weights, self.stoppable = params, weights, stoppable
        neuron = params.neuron
        payload = membrane_payload(0 if neuron.spiking else neuron.membrane_width)
        value = unsigned(params.synapse.payload_width)
        super().__init__(
            {
                "i": In(event_stream(params.synapse.n_in, value)),
                "o": Out(event_stream(neuron.n, payload)),
                **({"stop": In(1), "ended": Out(1)} if stoppable else {}),
                **({"load": In(_load_port(params))} if params.loaded else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = AccumulateEngine(self.params, self.weights)
        # What follows the sums is as wide as a row of neuron datapaths.
        narrow = replace(self.params, lanes=self.params.row_lanes, folds=1)
        m.submodules.neurons = neurons = NeuronArray(narrow)
        spiking = self.params.neuron.spiking
        out = SpikeSerialiser(narrow) if spiking else MembraneSerialiser(narrow)
        m.submodules.serialiser = out
        wiring.connect(m, wiring.flipped(self.i), engine.i)
        if self.params.loaded:
            wiring.connect(m, wiring.flipped(self.load), engine.load)
        if self.params.replay:
            m.submodules.replay = replay = Replay(narrow, stoppable=self.stoppable)
            if self.stoppable:
                m.d.comb += [replay.stop.eq(self.stop), self.ended.eq(replay.ended)]
            wiring.connect(m, engine.start, replay.start)
            wiring.connect(m, engine.o, replay.i)
            wiring.connect(m, replay.begin, neurons.start)
            wiring.connect(m, replay.o, neurons.i)
        else:
            wiring.connect(m, engine.start, neurons.start)
            wiring.connect(m, engine.o, neurons.i)
        wiring.connect(m, neurons.reserve, out.reserve)
        wiring.connect(m, neurons.o, out.i)
        wiring.connect(m, out.o, wiring.flipped(self.o))
        return m


class SpikingCore(wiring.Component):
    """A feed-forward network: `layer0`, `layer1`, … in a chain.

    Members
    -------
    i : in stream, EventLayout(n_inputs, unsigned(input.payload_width))
        A step is its events in any order, at most `input_max` an address, then a token; the
        token of a sample's last step has `last` set. Where `input` is framed, a sample is one
        frame: its events, then one token with `last`.
    o : out stream, EventLayout(n_outputs, signed(output_width))
        The same for the last population: its events, then the token. With an early stop the
        token with `last` may come before the last step, and before the input's.
    decided : out, only with an early stop
        What is left inside of a sample that has been stopped is on its way out.
    load : in stream, LoadLayout, only where a layer's weights can be loaded
        Words of the weight memories, in any order. Between samples only: while a sample runs, a
        word that is written disturbs it.

    Both ends may stall at any time. Reset, or the token with `last`, returns every membrane to its
    initial value; reset in the middle of a sample does not restore membranes kept in memories.
    """

    i: stream.Interface
    o: stream.Interface
    decided: Signal
    load: stream.Interface

    def __init__(self, params: CoreParams, weights: Sequence[Weights]):
        self.params, self.weights = params, list(weights)
        n_words = load_words(params.layers)
        super().__init__(
            {
                "i": In(event_stream(params.n_inputs, unsigned(params.input.payload_width))),
                "o": Out(event_stream(params.n_outputs, membrane_payload(params.output_width))),
                **({"decided": Out(1)} if params.stop is not None else {}),
                **({"load": In(stream.Signature(LoadLayout(n_words)))} if n_words else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        here: Any = wiring.flipped(self.i)
        coder = input_coder(self.params)
        if coder is not None:
            m.submodules.coder = coder
            wiring.connect(m, here, coder.i)
            here = coder.o
        stop = None if self.params.stop is None else EarlyStop(self.params)
        front: StepGate | Layer | RateCoder | None = None
        draining = Signal()
        if isinstance(coder, RateCoder):
            front = coder
        elif stop is not None and not self.params.layers[0].replay:
            m.submodules.gate = front = StepGate(here.payload.shape())
            wiring.connect(m, here, front.i)
            m.d.comb += draining.eq(front.closed)
            here = front.o
        loaded: list[Layer] = []
        for k, (params, weights) in enumerate(zip(self.params.layers, self.weights, strict=True)):
            stoppable = stop is not None and params.replay > 0
            m.submodules[f"layer{k}"] = layer = Layer(params, weights, stoppable=stoppable)
            front = layer if stoppable else front
            wiring.connect(m, here, layer.i)
            here = layer.o
            if params.loaded:
                loaded.append(layer)
        if loaded:
            m.submodules.load = decoder = LoadDecoder([layer.params for layer in loaded])
            wiring.connect(m, wiring.flipped(self.load), decoder.i)
            for k, layer in enumerate(loaded):
                wiring.connect(m, decoder.port(k), layer.load)
        if stop is not None:
            assert front is not None
            m.submodules.stop = stop
            wiring.connect(m, here, stop.i)
            here = stop.o
            m.d.comb += [
                front.stop.eq(stop.stop),
                stop.ended.eq(front.ended),
                self.decided.eq(stop.decided | draining),
            ]
        wiring.connect(m, here, wiring.flipped(self.o))
        return m
