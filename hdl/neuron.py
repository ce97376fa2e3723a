# SPDX-License-Identifier: Apache-2.0
"""The neuron array: one update datapath a lane, time-multiplexed over the groups of neurons."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.accumulate import GroupSums
from spikefab.hdl.constants import GroupConstants, PassControl
from spikefab.hdl.lane import NeuronLane
from spikefab.hdl.params import LayerParams
from spikefab.hdl.store import RotatingStore
from spikefab.hdl.timing import NeuronTiming

__all__ = ["GroupOutput", "NeuronArray"]


class GroupOutput(data.StructLayout):
    """What one group of neurons put out in a step.

    Members
    -------
    end : 1
        The pass's last group.
    last : 1
        The pass closes the sample's last step.
    values : lanes x unsigned(count_width), or signed(membrane_width) for an integrator
        Spike counts, or membranes.
    """

    def __init__(self, params: LayerParams):
        neuron = params.neuron
        value = unsigned(neuron.count_width) if neuron.spiking else signed(neuron.membrane_width)
        super().__init__(
            {
                "end": unsigned(1),
                "last": unsigned(1),
                "values": data.ArrayLayout(value, params.lanes),
            }
        )


class NeuronArray(wiring.Component):
    """Updates every neuron of a population once a step: `docs/numeric-contract.md`.

    Members
    -------
    start : in stream, 1 bit
        A pass is about to begin; accepted when the membranes of the pass before are stored and
        the consumer has room for a whole pass.
    reserve : out stream, 1 bit
        Asks the consumer for room for one pass.
    i : in stream without back-pressure, GroupSums
        `groups` consecutive items a pass.
    o : out stream without back-pressure, GroupOutput
        The same groups, `NeuronTiming.output` cycles later.
    """

    start: stream.Interface
    reserve: stream.Interface
    i: stream.Interface
    o: stream.Interface

    def __init__(self, params: LayerParams, spacing: int = 0):
        """`spacing`: fewest cycles from one start to the next, where passes are parts of a rotation
        and their user keeps them apart (`hdl.shared`); 0: what whole rotations need."""
        self.params = params
        self.timing = NeuronTiming(params.neuron, params.groups, params.family)
        self.spacing = spacing or self.timing.spacing
        super().__init__(
            {
                "start": In(stream.Signature(unsigned(1))),
                "reserve": Out(stream.Signature(unsigned(1))),
                "i": In(
                    stream.Signature(
                        GroupSums(params.lanes, params.synapse.acc_width), always_ready=True
                    )
                ),
                "o": Out(stream.Signature(GroupOutput(params), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._space_passes(m)
        control = PassControl(m, self.i.valid, self.i.payload.end, self.i.payload.last)
        constants = GroupConstants(m, self.params, control)
        p, timing = self.params, self.timing

        width = p.neuron.membrane_width
        init = constants.words("v_init", width)
        m.submodules.membranes = store = RotatingStore(p.lanes * width, init, p.family)
        heads = data.View(data.ArrayLayout(signed(width), p.lanes), store.head)
        monitor = [
            Signal(p.lanes * width, name="monitor_membranes"),
            Signal(name="monitor_stored"),
        ]
        spiked_before = self._remember(m, control, constants) if timing.remembers else None
        currents = self._currents(m, control) if p.neuron.current else None
        stored, outputs, stored_currents = [], [], []
        for lane in range(p.lanes):
            datapath = NeuronLane(m, p, timing, constants, control, lane)
            before = None if spiked_before is None else spiked_before.head[lane]
            current = None if currents is None else currents[0][lane]
            w, out = datapath.build(heads[lane], self.i.payload["sums"][lane], before, current)
            stored_currents.append(datapath.current)
            stored.append(w)
            outputs.append(out)
            if spiked_before is not None:
                first = constants.lanes("v_init_above", timing.spike)[lane]
                m.d.comb += spiked_before.data[lane].eq(
                    Mux(control.last(timing.spike), first[0], datapath.spiked)
                )
        if currents is not None:
            m.d.comb += currents[1].data.eq(Cat(*stored_currents))
        m.d.comb += [
            store.pop.eq(self.i.valid),
            store.push.eq(control.valid(timing.store)),
            monitor[0].eq(Cat(*stored)),
            monitor[1].eq(store.push),
            self.o.valid.eq(control.valid(timing.output)),
            self.o.payload.end.eq(control.end(timing.output)),
            self.o.payload.last.eq(control.last(timing.output)),
        ]
        # The sample ends: the next one starts from the initial membranes.
        if store.uniform:
            m.d.comb += [
                store.clear.eq(control.last(timing.store - 1)),
                store.data.eq(monitor[0]),
            ]
        else:
            first_membranes = constants.word("v_init", timing.store, width)
            last = control.last(timing.store)
            m.d.comb += store.data.eq(Mux(last, first_membranes, monitor[0]))
        real = p.neuron.n - (p.groups - 1) * p.lanes
        for lane, out in enumerate(outputs):
            # Lanes beyond the population's end exist in its last group only; they stay silent.
            padded = control.end(timing.output) if lane >= real else Const(0)
            m.d.comb += self.o.payload["values"][lane].eq(Mux(padded, 0, out))
        return m

    def _remember(
        self, m: Module, control: PassControl, constants: GroupConstants
    ) -> RotatingStore:
        """A bit a neuron: whether it spiked in the step before."""
        init = constants.words("v_init_above", 1)
        m.submodules.spiked = store = RotatingStore(self.params.lanes, init, self.params.family)
        m.d.comb += [
            store.pop.eq(self.i.valid),
            store.push.eq(control.valid(self.timing.spike)),
        ]
        return store

    def _currents(self, m: Module, control: PassControl) -> tuple[data.View, RotatingStore]:
        """The synaptic currents: one row's, and their store. They are 0 when a sample begins."""
        p, timing = self.params, self.timing
        assert p.neuron.current is not None
        width = p.neuron.current.width
        m.submodules.currents = store = RotatingStore(p.lanes * width, [0] * p.groups, p.family)
        m.d.comb += [
            store.pop.eq(self.i.valid),
            store.push.eq(control.valid(timing.current_store)),
            store.clear.eq(control.last(timing.current_store - 1)),
        ]
        return data.View(data.ArrayLayout(signed(width), p.lanes), store.head), store

    def _space_passes(self, m: Module) -> None:
        spacing = self.spacing
        left = Signal(range(max(spacing, 2)))
        m.d.comb += [
            self.reserve.valid.eq(self.start.valid & (left == 0)),
            self.reserve.payload.eq(self.start.payload),
            self.start.ready.eq(self.reserve.ready & (left == 0)),
        ]
        with m.If(self.start.valid & self.start.ready):
            m.d.sync += left.eq(spacing - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
