# SPDX-License-Identifier: Apache-2.0
"""The proofs: what is claimed of which block at which size, and by which method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

from proofs.arrays import array_harness
from proofs.cases import Proof
from proofs.engines import engine_harness
from proofs.layers import layer_params
from proofs.models import model_harness, model_queues
from proofs.queues import queue_harness
from proofs.replays import replay_harness
from proofs.route_cases import ROUTE_PROOFS
from proofs.serialisers import last_spike_harness, serialiser_harness
from proofs.sizes import LATE, LEAK, LI, PATIENCE, SMALL, SMALL_FOLDED, current
from proofs.stores import store_harness
from proofs.wholes import layer_harness

__all__ = ["PROOFS"]


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
           current=current("decay-add-use"), bias_late=(1,), **LI),
    _array("current-used-2x2", "LI, current decays after its use, 2 × 2", 4, 2,
           current=current("add-use-decay"), **LI),
    _array("current-decayed-2x2", "LI, current decays before its use, 2 × 2", 4, 2,
           current=current("add-decay-use"), **LI),
    _array("current-discard-2x2", "LIF with a current, to zero late, input lost, 2 × 2", 4, 2,
           current=current("decay-add-use"), reset="zero", reset_time="next-discard",
           **LEAK),
    _array("current-memory", "LI with a current, 1 lane × 5 groups (memory)", 5, 1,
           current=current("decay-add-use"), **LI),
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
    *ROUTE_PROOFS,
]  # fmt: skip
