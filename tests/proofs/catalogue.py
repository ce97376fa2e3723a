# SPDX-License-Identifier: Apache-2.0
"""The proofs: what is claimed of which block at which size, and by which method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from amaranth.hdl import unsigned
from proofs.arrays import array_harness
from proofs.collisions import colliding_memories
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
from proofs.models import model_harness, model_queues
from proofs.queues import queue_harness
from proofs.replays import replay_harness
from proofs.serialisers import last_spike_harness, serialiser_harness
from proofs.solver import Result, bounded, covered, unbounded
from proofs.stores import store_harness
from proofs.wholes import layer_harness

from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.core import Layer
from spikefab.hdl.neuron import NeuronArray
from spikefab.hdl.params import CurrentParams, LayerParams, SynapseOrder
from spikefab.hdl.queue import Queue
from spikefab.hdl.replay import Replay
from spikefab.hdl.serialise import MembraneSerialiser, SpikeSerialiser

__all__ = ["FAULTS", "PROOFS", "Fault", "Proof"]


@dataclass(frozen=True, kw_only=True)
class Proof:
    name: str
    block: str
    size: str
    claim: str
    build: Callable[[], Harness]
    depth: int = 0
    """Cycles from reset that are looked at; 0: all, by an inductive invariant."""
    cover_depth: int = 24
    slow: bool = False
    around: Callable[[], AbstractContextManager[Any]] = colliding_memories
    """What holds while the component is built."""

    @property
    def id(self) -> str:
        return self.name

    @property
    def method(self) -> str:
        return f"bounded, {self.depth} cycles" if self.depth else "unbounded"

    def run(self, folder: Path, timeout: int = 7200) -> Result:
        with self.around():
            if self.depth:
                return bounded(self.build(), folder, self.depth, timeout)
            return unbounded(self.build(), folder, timeout)

    def cover(self, folder: Path, timeout: int = 7200) -> Result:
        with self.around():
            return covered(self.build(), folder, self.cover_depth, timeout)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A broken component, and a check that has to find it without the help of the others."""

    name: str
    build: Callable[[], Harness]
    found_by: str
    depth: int = 16
    """Cycles from reset in which it has to be found."""
    slow: bool = False
    around: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def id(self) -> str:
        return f"{self.name}-{self.found_by}".replace(" ", "-")

    def run(self, folder: Path, timeout: int = 1800) -> Result:
        with self.around():
            return bounded(self.build().only(self.found_by), folder, self.depth, timeout)


def _chunks_of(lanes: int) -> Callable[[], AbstractContextManager[Any]]:
    @contextmanager
    def around() -> Iterator[None]:
        with mock.patch("spikefab.hdl.serialise.CHUNK", lanes), model_queues():
            yield

    return around


QUEUE = "n-th item out = n-th item in, offered within its latency, room comes back"
MODEL = "the same answers in every cycle as the model that stands for it in other proofs"
STORE = "a popped word is the last that was pushed in its place"
ENGINE = (
    "a token's sums = the weights of its step's events, each once; no read before its write; "
    "an item is taken at the latest `groups` cycles after an event, `rows` after a token"
)
REPLAY = "every step gets the frame's sums; as many steps as asked; the next frame is taken"
ARRAY = "each pass starts from the membrane that the one before left; outputs when due; not stuck"
SPIKES = (
    "a neuron's spikes leave as often as it fired, between the tokens of the step before and its "
    "own; each token once; addresses rise; something leaves while a token is due; room comes back"
)
MEMBRANES = SPIKES.replace("a neuron's spikes leave as often as it fired", "each membrane once")
LAYER = "spikes as an integrate-and-fire model says, in their step; items taken, tokens leave"

LI: dict[str, Any] = {"spiking": False, "reset": "none", "v_init": (1,)}
LEAK: dict[str, Any] = {"leak_num": (3,), "leak_shift": 2, "threshold": (1,)}
FOUR = layer_params(4, 2)
FOLDED = layer_params(4, 2, folds=2)
FRAMES = layer_params(4, 2, replay=3)
SMALL = layer_params(4, 2, 2, threshold=(1,))
SMALL_FOLDED = layer_params(4, 4, 2, folds=2, threshold=(1,))
PATIENCE = 12
"""Cycles in which a small layer answers."""
LATE: dict[str, Any] = {**LEAK, "reset_time": "next-after-leak"}


def _queue(depth: int, slow: bool) -> Proof:
    kind = "registers" if depth <= 4 else "memory"
    return Proof(
        name=f"queue-{depth}", block="Queue", size=f"{depth} deep ({kind}), 2 bits", claim=QUEUE,
        build=lambda: queue_harness(depth), slow=slow,
    )  # fmt: skip


def _model(depth: int) -> Proof:
    return Proof(
        name=f"queue-{depth}-model", block="Queue", size=f"{depth} deep (registers), 2 bits",
        claim=MODEL, build=lambda: model_harness(depth), slow=True,
    )  # fmt: skip


def _store(depth: int, slow: bool) -> Proof:
    kind = "ring" if depth <= 4 else "memory"
    return Proof(
        name=f"store-{depth}", block="RotatingStore",
        size=f"{depth} word{'s' * (depth > 1)} ({kind}), 2 bits", claim=STORE,
        build=lambda: store_harness(depth), slow=slow,
    )  # fmt: skip


def _clearing(depth: int) -> Proof:
    kind = "ring" if depth <= 4 else "memory"
    return Proof(
        name=f"store-{depth}-clear", block="RotatingStore",
        size=f"{depth} words ({kind}), 2 bits, with `clear`", claim=STORE,
        build=lambda: store_harness(depth, uniform=True), slow=True,
    )  # fmt: skip


def _folded(
    name: str, size: str, n: int, lanes: int, n_in: int, value_bits: int = 0, slow: bool = True
) -> Proof:
    return Proof(
        name=f"engine-folds{name}", block="AccumulateEngine", size=size, claim=ENGINE,
        build=lambda: engine_harness(
            layer_params(n, lanes, n_in, value_bits=value_bits, folds=2)
        ), cover_depth=40, slow=slow,
    )  # fmt: skip


def _array(name: str, size: str, n: int, lanes: int, slow: bool = True, **neuron: Any) -> Proof:
    return Proof(
        name=f"array-{name}", block="NeuronArray", size=size, claim=ARRAY,
        build=lambda: array_harness(layer_params(n, lanes, **neuron)), cover_depth=50, slow=slow,
    )  # fmt: skip


def _current(order: SynapseOrder) -> CurrentParams:
    return CurrentParams(order=order, width=3, leak_num=(1,), leak_shift=1)


PROOFS: list[Proof] = [
    *(_queue(depth, slow=depth not in (2, 5)) for depth in (1, 2, 3, 4, 5, 6, 8)),
    *(_model(depth) for depth in (1, 2, 4)),
    *(_store(depth, slow=depth not in (2, 5)) for depth in (1, 2, 3, 4, 5, 6)),
    *(_clearing(depth) for depth in (2, 5)),
    Proof(
        name="engine-2x2", block="AccumulateEngine", size="2 lanes × 2 groups, 3 sources",
        claim=ENGINE, build=lambda: engine_harness(layer_params(4, 2)), cover_depth=26,
    ),
    Proof(
        name="engine-padded", block="AccumulateEngine", size="3 neurons on 2 lanes, 2 sources",
        claim=ENGINE, build=lambda: engine_harness(layer_params(3, 2, 2)), slow=True,
    ),
    Proof(
        name="engine-memory", block="AccumulateEngine",
        size="1 lane × 5 groups (memory), 2 sources", claim=ENGINE,
        build=lambda: engine_harness(layer_params(5, 1, 2)), cover_depth=32, slow=True,
    ),
    Proof(
        name="engine-graded", block="AccumulateEngine",
        size="2 lanes × 2 groups, 2 sources, 2-bit values", claim=ENGINE,
        build=lambda: engine_harness(layer_params(4, 2, 2, value_bits=2)), slow=True,
    ),
    _folded("", "2 lanes × 2 groups, 2 folds, 3 sources", 4, 2, 3, slow=False),
    _folded("-padded", "6 neurons on 4 lanes, 2 folds, 2 sources", 6, 4, 2),
    _folded("-odd", "3 lanes × 1 group, 2 folds, 2 sources", 3, 3, 2),
    _folded("-memory", "9 neurons on 2 lanes (memory), 2 folds, 1 source", 9, 2, 1),
    _folded("-graded", "2 lanes × 2 groups, 2 folds, 2 sources, 2-bit values", 4, 2, 2, 2),
    Proof(
        name="replay-2x2", block="Replay", size="2 lanes × 2 groups, 3 steps", claim=REPLAY,
        build=lambda: replay_harness(layer_params(4, 2, replay=3)), cover_depth=40,
    ),
    Proof(
        name="replay-memory", block="Replay", size="1 lane × 5 groups (memory), 2 steps",
        claim=REPLAY, build=lambda: replay_harness(layer_params(5, 1, replay=2)), cover_depth=50,
        slow=True,
    ),
    _array("li-2x2", "LI, 2 lanes × 2 groups", 4, 2, slow=False, **LI),
    _array("lif-2x2", "LIF, reset at once, 2 × 2", 4, 2, **LEAK),
    _array("zero-2x2", "LIF, to zero a step late, 2 × 2", 4, 2, reset="zero", **LATE),
    _array("late-2x2", "LIF, by subtraction a step late, 2 × 2", 4, 2, **LATE),
    _array("padded", "leaky LI, 3 neurons on 2 lanes", 3, 2, **{**LI, **LEAK}),
    _array("current-2x2", "LI with a current and a late bias, 2 × 2", 4, 2,
           current=_current("decay-add-use"), bias_late=(1,), **LI),
    _array("current-used-2x2", "LI, current decays after its use, 2 × 2", 4, 2,
           current=_current("add-use-decay"), **LI),
    _array("current-decayed-2x2", "LI, current decays before its use, 2 × 2", 4, 2,
           current=_current("add-decay-use"), **LI),
    _array("current-discard-2x2", "LIF with a current, to zero late, input lost, 2 × 2", 4, 2,
           current=_current("decay-add-use"), reset="zero", reset_time="next-discard",
           **LEAK),
    _array("current-memory", "LI with a current, 1 lane × 5 groups (memory)", 5, 1,
           current=_current("decay-add-use"), **LI),
    _array("li-memory", "LI, 1 lane × 5 groups (memory)", 5, 1, **LI),
    _array("lif-memory", "LIF, 1 lane × 5 groups (memory)", 5, 1, **LEAK),
    _array("zero-memory", "LIF, to zero late, 1 × 5 (memory)", 5, 1, reset="zero", **LATE),
    Proof(
        name="spikes-2x1", block="SpikeSerialiser", size="2 lanes × 1 group", claim=SPIKES,
        build=lambda: serialiser_harness(layer_params(2, 2)),
    ),
    Proof(
        name="spikes-2x2", block="SpikeSerialiser", size="2 lanes × 2 groups", claim=SPIKES,
        build=lambda: serialiser_harness(layer_params(4, 2)), slow=True,
    ),
    Proof(
        name="spikes-counts", block="SpikeSerialiser",
        size="3 neurons on 2 lanes, up to 3 spikes each", claim=SPIKES,
        build=lambda: serialiser_harness(layer_params(3, 2, count_width=2)), slow=True,
    ),
    Proof(
        name="spikes-last", block="SpikeSerialiser", size="`at_most_one` of 8 bits, no state",
        claim="it is 1 where the bits less the lowest of them are none", build=last_spike_harness,
        depth=2, cover_depth=2,
    ),
    Proof(
        name="spikes-chunks", block="SpikeSerialiser",
        size="9 lanes × 1 group (2 chunks of 8), queues' models", claim=SPIKES,
        build=lambda: serialiser_harness(layer_params(9, 9)), around=model_queues, slow=True,
    ),
    Proof(
        name="spikes-chunks-of-2", block="SpikeSerialiser",
        size="3 lanes × 1 group, chunks of 2, queues' models", claim=SPIKES,
        build=lambda: serialiser_harness(layer_params(3, 3)), around=_chunks_of(2), slow=True,
    ),
    Proof(
        name="spikes-chunks-2", block="SpikeSerialiser",
        size="4 neurons on 3 lanes, chunks of 2, queues' models", claim=SPIKES,
        build=lambda: serialiser_harness(layer_params(4, 3)), around=_chunks_of(2), depth=14,
        slow=True,
    ),
    Proof(
        name="membranes-2x2", block="MembraneSerialiser", size="2 lanes × 2 groups",
        claim=MEMBRANES,
        build=lambda: serialiser_harness(layer_params(4, 2, **{**LI, "membrane_width": 2})),
        slow=True,
    ),
    Proof(
        name="layer-2x2", block="Layer", size="IF, 2 lanes × 2 groups, 2 sources", claim=LAYER,
        build=lambda: layer_harness(SMALL, PATIENCE), depth=16, cover_depth=16, slow=True,
    ),
    Proof(
        name="layer-folds", block="Layer", size="IF, 4 lanes × 1 group, 2 folds, 2 sources",
        claim=LAYER, build=lambda: layer_harness(SMALL_FOLDED, PATIENCE),
        depth=16, cover_depth=16, slow=True,
    ),
]  # fmt: skip


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
            layer_params(4, 2, current=_current("add-use-decay"), **LI)
        ), slow=True,
    ),
    Fault(
        name="late biases at once", found_by="from_the_last_write", around=biases_from_the_start,
        build=lambda: array_harness(
            layer_params(4, 2, current=_current("decay-add-use"), bias_late=(1,), **LI)
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
]  # fmt: skip
