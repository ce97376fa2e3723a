# SPDX-License-Identifier: Apache-2.0
"""The spiking core: a graph of layers between one event stream and another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.coder import input_coder
from spikefab.hdl.delay import EventRing
from spikefab.hdl.event import event_stream, membrane_payload
from spikefab.hdl.load import LoadDecoder, LoadLayout, LoadPort, load_columns, load_words
from spikefab.hdl.neuron import NeuronArray
from spikefab.hdl.params import (
    INPUT,
    CoreParams,
    LayerParams,
    PortParams,
    stream_delays,
    streams,
)
from spikefab.hdl.queue import Queue
from spikefab.hdl.rate_coder import RateCoder
from spikefab.hdl.replay import Replay
from spikefab.hdl.route import Fork, Merge, MergePort, Window
from spikefab.hdl.scatter import ScatterEngine
from spikefab.hdl.serialise import MembraneSerialiser, SpikeSerialiser
from spikefab.hdl.shared import SharedLayer
from spikefab.hdl.shared_params import SharedParams, engine_layers, shared_units
from spikefab.hdl.stop import EarlyStop, StepGate

__all__ = [
    "REVISION",
    "Layer",
    "SpikingCore",
    "layer_merge",
    "needs_merge",
    "output_merge",
    "port_delays",
]

Weights = Sequence[Sequence[int]]

REVISION = 3
"""Counted up when the same parameters make hardware that behaves or times differently: it is part
of a design's hash."""


def _load_port(params: LayerParams) -> LoadPort:
    return LoadPort(load_columns(params), params.weight_words)


class Layer(wiring.Component):
    """Accumulate engine, neuron array and serialiser of one population.

    Where the layer has a structure, `weights` are the words of `ScatterEngine`.

    Members
    -------
    i : in stream, EventLayout(n_in, unsigned(payload_width))
    o : out stream, EventLayout(n_addresses), with the membrane as payload for an integrator, and
        the count of spikes where they are `graded`
    stop, ended : in, out, only if `stoppable`
        As `Replay` has them.
    load : in, LoadPort
        Only where the weights can be loaded.
    clearing : out, only where synapses have delays
        As `ScatterEngine` has it.
    """

    i: stream.Interface
    o: stream.Interface
    stop: Signal
    ended: Signal
    load: Any
    clearing: Signal

    def __init__(self, params: LayerParams, weights: Weights, *, stoppable: bool = False):
        self.params, self.weights, self.stoppable = params, weights, stoppable
        neuron = params.neuron
        payload = membrane_payload(0 if neuron.spiking else neuron.membrane_width)
        if params.graded:
            payload = unsigned(params.event_width)
        value = unsigned(params.synapse.payload_width)
        super().__init__(
            {
                "i": In(event_stream(params.synapse.n_in, value)),
                "o": Out(event_stream(params.n_addresses, payload)),
                **({"stop": In(1), "ended": Out(1)} if stoppable else {}),
                **({"load": In(_load_port(params))} if params.loaded else {}),
                **({"clearing": Out(1)} if params.slots > 1 else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        engine: AccumulateEngine | ScatterEngine
        if self.params.structure is None:
            engine = AccumulateEngine(self.params, self.weights)
        else:
            engine = ScatterEngine(self.params, self.weights)
        m.submodules.engine = engine
        # What follows the sums is as wide as a row of neuron datapaths.
        lanes, grid = self.params.row_lanes, self.params.grid
        narrow = replace(self.params, lanes=lanes, folds=1, structure=None, grid=None)
        m.submodules.neurons = neurons = NeuronArray(narrow)
        spiking = self.params.neuron.spiking
        out = SpikeSerialiser(narrow, grid) if spiking else MembraneSerialiser(narrow, grid)
        m.submodules.serialiser = out
        wiring.connect(m, wiring.flipped(self.i), engine.i)
        if self.params.slots > 1:
            assert isinstance(engine, ScatterEngine)
            m.d.comb += self.clearing.eq(engine.clearing)
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


def port_delays(params: CoreParams, group: tuple[PortParams, ...]) -> list[int]:
    """Of each address of the stream that brings a layer's ports; none where nothing is late."""
    source = group[0].source
    n = params.n_inputs if source == INPUT else params.layers[source].n_addresses
    return stream_delays(group, n)


def _clearing(layers: Sequence[Layer | SharedLayer]) -> list[Signal]:
    return [
        layer.clearing for layer in layers if isinstance(layer, Layer) and layer.params.slots > 1
    ]


def needs_merge(params: CoreParams, k: int) -> bool:
    """A `Merge` stands in front of layer `k`; its one source cannot drive it as it is."""
    ports = params.layer_ports[k]
    n = params.n_inputs if ports[0].source == INPUT else ports[0].size
    return len(ports) > 1 or ports[0].size != n


def layer_merge(params: CoreParams, k: int) -> Merge:
    """What stands in front of layer `k`."""
    layer, ports = params.layers[k], params.layer_ports[k]
    found = []
    for group in streams(ports):
        from_input, source = group[0].source == INPUT, params.layers[group[0].source]
        found.append(
            MergePort(
                n=params.n_inputs if from_input else source.n_addresses,
                windows=tuple(Window(port.base, port.size, port.offset) for port in group),
                payload=unsigned(params.input.payload_width if from_input else source.event_width),
                recurrent=group[0].recurrent,
            )
        )
    return Merge(found, layer.synapse.n_in, unsigned(layer.synapse.payload_width))


def output_merge(params: CoreParams) -> Merge:
    """What brings several outputs together: a step of one layer after another."""
    found = []
    for k, offset in sorted(zip(params.output_layers, params.output_offsets, strict=True)):
        neuron, n = params.layers[k].neuron, params.layers[k].n_addresses
        payload = membrane_payload(0 if neuron.spiking else neuron.membrane_width)
        found.append(MergePort(n=n, windows=(Window(0, n, offset),), payload=payload))
    return Merge(found, params.n_outputs, membrane_payload(params.output_width))


class SpikingCore(wiring.Component):
    """A network: `layer0`, `layer1`, … in a chain, or as `CoreParams.ports` connect them. Layers of
    a chain that share an engine are one block, `layers0_2`.

    Where a source has several consumers stands a `Fork`, where a layer has several sources, or a
    part of the inputs, a `Merge`, and a queue before it where a port has a `depth`; another one
    brings several outputs together.

    Members
    -------
    i : in stream, EventLayout(n_inputs, unsigned(input.payload_width))
        A step is its events in any order, at most `input_max` an address, then a token; the
        token of a sample's last step has `last` set. Where `input` is framed, a sample is one
        frame: its events, then one token with `last`.
    o : out stream, EventLayout(n_outputs, signed(output_width))
        The same for the output populations: their events, with addresses one population behind
        the other, then the token. With an early stop the token with `last` may come before the
        last step, and before the input's.
    decided : out, only with an early stop
        What is left inside of a sample that has been stopped is on its way out.
    draining : out, only where spikes go round in loops, or synapses have delays
        What is left inside of a sample that has ended is on its way to where it is dropped.
    load : in stream, LoadLayout, only where a layer's weights can be loaded
        Words of the weight memories, in any order. Between samples only: while a sample runs, a
        word that is written disturbs it.

    Both ends may stall at any time. Reset, or the token with `last`, returns every membrane to its
    initial value; reset in the middle of a sample does not restore membranes kept in memories.
    """

    i: stream.Interface
    o: stream.Interface
    decided: Signal
    draining: Signal
    load: stream.Interface

    def __init__(self, params: CoreParams, weights: Sequence[Weights]):
        self.params, self.weights = params, list(weights)
        n_words = load_words(engine_layers(params))
        super().__init__(
            {
                "i": In(event_stream(params.n_inputs, unsigned(params.input.payload_width))),
                "o": Out(event_stream(params.n_outputs, membrane_payload(params.output_width))),
                **({"decided": Out(1)} if params.stop is not None else {}),
                **({"draining": Out(1)} if params.drains else {}),
                **({"load": In(stream.Signature(LoadLayout(n_words)))} if n_words else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.params.is_chain:
            self._chain(m)
        else:
            self._graph(m)
        return m

    def _chain(self, m: Module) -> None:
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
        layers: list[Layer | SharedLayer] = []
        for unit in shared_units(len(self.params.layers), self.params.shared):
            k = unit[0]
            if len(unit) > 1:
                shared = SharedParams(tuple(self.params.layers[j] for j in unit))
                several = SharedLayer(shared, [self.weights[j] for j in unit])
                m.submodules[f"layers{k}_{unit[-1]}"] = several
                wiring.connect(m, here, several.i)
                here = several.o
                layers.append(several)
                continue
            params, weights = self.params.layers[k], self.weights[k]
            stoppable = stop is not None and params.replay > 0
            m.submodules[f"layer{k}"] = layer = Layer(params, weights, stoppable=stoppable)
            front = layer if stoppable else front
            wiring.connect(m, here, layer.i)
            here = layer.o
            layers.append(layer)
        self._load(m, layers)
        if self.params.drains:
            m.d.comb += self.draining.eq(Cat(_clearing(layers)).any())
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

    def _load(self, m: Module, layers: Sequence[Layer | SharedLayer]) -> None:
        """The way from `load` to the memories that can be loaded."""
        loaded = [layer for layer in layers if layer.params.loaded]
        if not loaded:
            return
        m.submodules.load = decoder = LoadDecoder([layer.params for layer in loaded])
        wiring.connect(m, wiring.flipped(self.load), decoder.i)
        for k, layer in enumerate(loaded):
            wiring.connect(m, decoder.port(k), layer.load)

    def _late(
        self,
        m: Module,
        k: int,
        j: int,
        group: tuple[PortParams, ...],
        port: Any,
        rings: list[EventRing],
    ) -> Any:
        """What the source drives in place of a port: a ring of events, where some are late."""
        delays = port_delays(self.params, group)
        if not delays:
            return port
        m.submodules[f"ring{k}_{j}"] = ring = EventRing(delays)
        rings.append(ring)
        wiring.connect(m, ring.o, port)
        return ring.i

    def _graph(self, m: Module) -> None:
        p = self.params
        layers: list[Layer] = []
        for k, (params, weights) in enumerate(zip(p.layers, self.weights, strict=True)):
            m.submodules[f"layer{k}"] = layer = Layer(params, weights)
            layers.append(layer)
        self._load(m, layers)
        # Who takes what: streams by their source, in the order of the layers, the output last.
        takers: dict[int, list[Any]] = {k: [] for k in range(INPUT, len(layers))}
        merges: list[Merge] = []
        rings: list[EventRing] = []
        for k, layer in enumerate(layers):
            groups = streams(p.layer_ports[k])
            if not needs_merge(p, k):
                takers[groups[0][0].source].append(self._late(m, k, 0, groups[0], layer.i, rings))
                continue
            m.submodules[f"merge{k}"] = merge = layer_merge(p, k)
            merges.append(merge)
            wiring.connect(m, merge.o, layer.i)
            for j, group in enumerate(groups):
                port = merge.port(j)
                if group[0].depth:
                    delay = Queue(port.payload.shape(), group[0].depth)
                    m.submodules[f"delay{k}_{j}"] = delay
                    wiring.connect(m, delay.o, port)
                    port = delay.i
                port = self._late(m, k, j, group, port, rings)
                takers[group[0].source].append(port)
        here: Any = wiring.flipped(self.o)
        if len(p.outputs) > 1:
            m.submodules.merge_outputs = merge = output_merge(p)
            wiring.connect(m, merge.o, here)
            for j, k in enumerate(sorted(p.outputs)):
                takers[k].append(merge.port(j))
        else:
            takers[p.output_layers[0]].append(here)
        for k, consumers in takers.items():
            source: Any = wiring.flipped(self.i) if k == INPUT else layers[k].o
            if len(consumers) > 1:
                fork = Fork(source.payload.shape(), len(consumers))
                m.submodules["fork_input" if k == INPUT else f"fork{k}"] = fork
                wiring.connect(m, source, fork.i)
                for j, consumer in enumerate(consumers):
                    wiring.connect(m, fork.o[j], consumer)
            elif consumers:
                wiring.connect(m, source, consumers[0])
        if p.drains:
            left = [merge.draining for merge in merges] + _clearing(layers)
            left += [ring.clearing for ring in rings]
            m.d.comb += self.draining.eq(Cat(left).any())
