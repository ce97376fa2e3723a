# SPDX-License-Identifier: Apache-2.0
"""The planted faults: a broken component, and the check that has to find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import unsigned
from proofs.arrays import array_harness
from proofs.cases import Fault
from proofs.engines import engine_harness
from proofs.faults import (
    BrokenOutput,
    LateStore,
    StuckInput,
    biases_from_the_start,
    broken_by,
    early_pops,
    hasty_currents,
    hasty_passes,
    late_store,
    short_queue,
    swapped_rows,
)
from proofs.harness import Harness
from proofs.layers import layer_params, weights_for
from proofs.queues import queue_harness
from proofs.replays import replay_harness
from proofs.route_cases import ROUTE_FAULTS
from proofs.serialisers import serialiser_harness
from proofs.sizes import FOLDED, FOUR, FRAMES, LEAK, LI, PATIENCE, SMALL, SMALL_FOLDED, current
from proofs.stores import store_harness
from proofs.wholes import layer_harness

from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.core import Layer
from spikefab.hdl.neuron import NeuronArray
from spikefab.hdl.params import LayerParams
from spikefab.hdl.queue import Queue
from spikefab.hdl.replay import Replay
from spikefab.hdl.serialise import MembraneSerialiser, SpikeSerialiser

__all__ = ["FAULTS"]


def _queue_fault(kind: str, found_by: str, slow: bool = True) -> Fault:
    def build() -> Harness:
        queue = BrokenOutput(Queue(unsigned(2), 2), kind)
        return broken_by(queue_harness(2, queue=queue), queue)

    return Fault(name=f"queue {kind}", build=build, found_by=found_by, slow=slow)


def _spike_fault(kind: str, found_by: str, slow: bool = True) -> Fault:
    def build() -> Harness:
        params = layer_params(4, 2)
        serialiser = BrokenOutput(SpikeSerialiser(params), kind)
        return broken_by(serialiser_harness(params, serialiser), serialiser)

    return Fault(name=f"serialiser {kind}", build=build, found_by=found_by, slow=slow)


def _membrane_fault(kind: str, found_by: str) -> Fault:
    def build() -> Harness:
        params = layer_params(4, 2, **{**LI, "membrane_width": 2})
        serialiser = BrokenOutput(MembraneSerialiser(params), kind)
        return broken_by(serialiser_harness(params, serialiser), serialiser)

    return Fault(name=f"membranes {kind}", build=build, found_by=found_by, slow=True)


def _late(
    name: str,
    module: str,
    build: Callable[[], Harness],
    found_by: str,
    slow: bool = True,
    depth: int = 16,
) -> Fault:
    return Fault(
        name=f"{name} reads before the write",
        build=build,
        found_by=found_by,
        slow=slow,
        depth=depth,
        around=lambda: late_store(module),
    )


def _stuck(name: str, component: Any, port: str, harness: Any, found_by: str) -> Fault:
    """`component()` stops to take from `port`; `harness(it)` has to notice."""

    def build() -> Harness:
        broken = StuckInput(component(), port)
        return broken_by(harness(broken), broken)

    return Fault(name=f"{name} gets stuck", build=build, found_by=found_by, slow=True)


def _layer_fault(kind: str, found_by: str, params: LayerParams = SMALL) -> Fault:
    def build() -> Harness:
        layer = BrokenOutput(Layer(params, weights_for(params)), kind)
        return broken_by(layer_harness(params, PATIENCE, layer), layer)

    folded = "folded " * (params.folds > 1)
    return Fault(name=f"{folded}layer {kind}", build=build, found_by=found_by, depth=24, slow=True)


def _engine_with_wrong_weight() -> Harness:
    params = layer_params(4, 2)
    weights = weights_for(params)
    weights[3][2] = 1 if weights[3][2] != 1 else 0
    return engine_harness(params, AccumulateEngine(params, weights))


FAULTS: list[Fault] = [
    _queue_fault("loses", "as_it_came", slow=False),
    _queue_fault("loses", "offered_within_its_latency"),
    _queue_fault("repeats", "as_it_came"),
    _queue_fault("repeats", "nothing_from_nowhere"),
    _queue_fault("changes", "as_it_came"),
    _queue_fault("changes", "o_stays_offered"),
    _queue_fault("swaps", "as_it_came"),
    _queue_fault("falls silent", "offered_within_its_latency"),
    Fault(
        name="ring is late", build=lambda: store_harness(2, store=LateStore(2, [1, 2])),
        found_by="last_write_is_read",
    ),
    Fault(
        name="memory is late", build=lambda: store_harness(5, store=LateStore(2, [1, 2, 3, 0, 1])),
        found_by="last_write_is_read", slow=True,
    ),
    Fault(
        name="memory is popped early", build=lambda: store_harness(5), around=early_pops,
        found_by="last_write_is_read", slow=True,
    ),
    _late("engine", "accumulate", lambda: engine_harness(layer_params(4, 2)), "sum_of_the_step",
          slow=False),
    _late("engine in memory", "accumulate", lambda: engine_harness(layer_params(5, 1, 2)),
          "sum_of_the_step", depth=30),
    _late("folded engine", "accumulate", lambda: engine_harness(FOLDED), "sum_of_the_step"),
    Fault(
        name="engine swaps rows", build=lambda: engine_harness(FOLDED), around=swapped_rows,
        found_by="sum_of_the_step",
    ),
    Fault(
        name="engine has a wrong weight", build=_engine_with_wrong_weight,
        found_by="sum_of_the_step", slow=True,
    ),
    _late("replay", "replay", lambda: replay_harness(layer_params(4, 2, replay=3)),
          "the_sum_that_came"),
    _late("array", "neuron", lambda: array_harness(layer_params(4, 2, **LI)),
          "from_the_last_write"),
    _late("array in memory", "neuron", lambda: array_harness(layer_params(5, 1, **LI)),
          "from_the_last_write"),
    Fault(
        name="currents too early", found_by="from_the_last_write", around=hasty_currents,
        build=lambda: array_harness(
            layer_params(4, 2, current=current("add-use-decay"), **LI)
        ), slow=True,
    ),
    Fault(
        name="late biases at once", found_by="from_the_last_write", around=biases_from_the_start,
        build=lambda: array_harness(
            layer_params(4, 2, current=current("decay-add-use"), bias_late=(1,), **LI)
        ), slow=True,
    ),
    Fault(
        name="passes too close", build=lambda: array_harness(layer_params(4, 2, **LI)),
        around=hasty_passes, found_by="from_the_last_write",
    ),
    Fault(
        name="passes too close in a memory",
        build=lambda: array_harness(layer_params(5, 1, **LEAK)), around=hasty_passes,
        found_by="from_the_last_write", slow=True,
    ),
    _spike_fault("loses", "as_often_as_it_came", slow=False),
    _spike_fault("loses", "something_leaves"),
    _spike_fault("repeats", "not_before_it_came"),
    _spike_fault("repeats", "addresses_rise"),
    _spike_fault("repeats", "token_behind_its_pass"),
    _spike_fault("swaps", "as_often_as_it_came"),
    _spike_fault("swaps", "addresses_rise"),
    _spike_fault("changes", "last_with_tokens_only"),
    _spike_fault("falls silent", "something_leaves"),
    Fault(
        name="serialiser grants too much", build=lambda: serialiser_harness(layer_params(4, 2)),
        around=short_queue, found_by="as_often_as_it_came", slow=True,
    ),
    _membrane_fault("changes", "the_value_that_came"),
    _membrane_fault("swaps", "as_often_as_it_came"),
    _membrane_fault("loses", "as_often_as_it_came"),
    _stuck("queue", lambda: Queue(unsigned(2), 2), "i", lambda it: queue_harness(2, queue=it),
           "room_is_offered"),
    _stuck("engine", lambda: AccumulateEngine(FOUR, weights_for(FOUR)), "i",
           lambda it: engine_harness(FOUR, it), "never_stuck"),
    _stuck("folded engine", lambda: AccumulateEngine(FOLDED, weights_for(FOLDED)), "i",
           lambda it: engine_harness(FOLDED, it), "no_bubble"),
    _stuck("array", lambda: NeuronArray(FOUR), "start", lambda it: array_harness(FOUR, it),
           "never_stuck"),
    _stuck("replay", lambda: Replay(FRAMES), "start", lambda it: replay_harness(FRAMES, it),
           "the_next_frame_is_taken"),
    _stuck("serialiser", lambda: SpikeSerialiser(FOUR), "reserve",
           lambda it: serialiser_harness(FOUR, it), "room_for_a_pass"),
    _stuck("layer", lambda: Layer(SMALL, weights_for(SMALL)), "i",
           lambda it: layer_harness(SMALL, PATIENCE, it), "items_are_taken"),
    _layer_fault("loses", "spikes_as_the_model"),
    _layer_fault("loses", "spikes_as_the_model", SMALL_FOLDED),
    _layer_fault("repeats", "no_spike_that_is_not_due"),
    _layer_fault("falls silent", "something_leaves"),
    *ROUTE_FAULTS,
]  # fmt: skip
