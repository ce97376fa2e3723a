# SPDX-License-Identifier: Apache-2.0
"""The cost model of the coders: when they take what comes in, and when their spikes leave.

Follows `hdl.rate_coder`, `hdl.latency` and `hdl.delta`. Their pipelines move as a whole: every move
takes one cycle, or as many as the spike or token at the end waits for room in the queue.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import numpy as np

from spikefab.hdl.coder import QUEUE
from spikefab.hdl.delta import DeltaCoder
from spikefab.hdl.latency import LatencyCoder
from spikefab.hdl.params import CoreParams, InputParams
from spikefab.hdl.queue import Queue
from spikefab.hdl.rate_coder import RateCoder

__all__ = ["DeltaClock", "FrameClock", "Take", "coded_samples", "coder_clock"]

Take = Callable[[int, bool], int]
"""The cycle in which the first layer takes an event, or a token (True), that is offered from a
cycle on."""


Frame = tuple[int, list[list[int]]]
"""Values that are not 0, and of each step the ones among them that spike, in order."""

Changes = list[list[bool]]
"""Of each step its changed values, in order: whether they spike."""


def coder_clock(params: CoreParams) -> FrameClock | DeltaClock | None:
    """The clock of a core's coder; None where it has none."""
    if not params.input.spiking:
        return None
    return DeltaClock(params.n_inputs) if _delta(params) else FrameClock(params.input)


def coded_samples(params: CoreParams, x: np.ndarray, encoded: np.ndarray) -> list[Any]:
    """The samples as the core's coder clock takes them: `Frame` or `Changes`."""
    n = params.n_inputs
    values = x.reshape(len(x), -1, n)
    spikes = np.asarray(encoded.reshape(*encoded.shape[:2], -1, n).any(axis=2))
    sent = values != 0
    if _delta(params):
        sent[:, 1:] = values[:, 1:] != values[:, :-1]
        return [
            [step[there].tolist() for step, there in zip(*sample, strict=True)]
            for sample in zip(spikes, sent, strict=True)
        ]
    return [
        (int(there.sum()), [np.flatnonzero(step[there]).tolist() for step in sample])
        for sample, (there,) in zip(spikes, sent, strict=True)
    ]


def _delta(params: CoreParams) -> bool:
    return params.input.coding == "delta"


class _Moves:
    """The cycle of each move of a pipeline, and the queue behind it."""

    def __init__(self, latency: int):
        self.latency = latency
        # Moves that had something for the queue, and their cycles; others follow one a cycle.
        self.numbers = [0]
        self.cycles = [0]
        self.left = [-1] * QUEUE  # when the queue's latest items were taken

    def cycle(self, move: int) -> int:
        """Known for moves up to the last one whose item was put in the queue, and while nothing
        behind it has something for the queue."""
        k = bisect_right(self.numbers, move) - 1
        return self.cycles[k] + move - self.numbers[k]

    def first(self, move: int, cycle: int) -> int:
        """The first move from `move` on that is not before `cycle`."""
        while self.cycle(move) < cycle:
            k = bisect_right(self.numbers, move)
            ahead = move + cycle - self.cycle(move)
            move = ahead if k == len(self.numbers) else min(ahead, self.numbers[k])
        return move

    def put(self, move: int, take: Take, token: bool) -> None:
        """What was issued in `move` reaches the queue, and then the first layer."""
        at = max(self.cycle(move + self.latency), self.left[-QUEUE] + 1)
        self.numbers.append(move + self.latency)
        self.cycles.append(at)
        offered = max(at + Queue.latency(QUEUE), self.left[-1] + 1)
        self.left.append(take(offered, token))

    def forget(self, move: int) -> None:
        """Nothing before `move` is asked for again."""
        k = max(0, bisect_right(self.numbers, move) - 1)
        del self.numbers[:k], self.cycles[:k], self.left[:-QUEUE]


class FrameClock:
    """What `hdl.rate_coder` and `hdl.latency` share: two banks, one filled while the other is
    walked."""

    def __init__(self, params: InputParams):
        self.rate = params.coding == "rate"
        self.moves = _Moves(RateCoder.LATENCY if self.rate else LatencyCoder.LATENCY)
        self.fill = 1 if self.rate else LatencyCoder.FILL
        self.free = [0, 0]  # when each bank takes a frame
        self.filled = 0  # when the next frame may come in, whatever is free
        self.walk = 0  # the first move of the next walk

    def sample(self, frame: Frame, take: Take, stopped: Callable[[], int]) -> int:
        """Returns when the frame's first item is accepted.

        `stopped` is the cycle from which the coder ends the frame with the step it is in; only rate
        coding's does.
        """
        moves, (n, spikes) = self.moves, frame
        start = max(self.filled, self.free[0])
        token = start + n
        self.filled = token + 1
        move = moves.first(self.walk, token + self.fill)
        for entries in spikes:
            if self.rate:
                for entry in entries:
                    moves.put(move + entry, take, False)
                move += n
            else:
                move += LatencyCoder.OVERHEAD
                for _ in entries:
                    moves.put(move, take, False)
                    move += 1
            cut = self.rate and moves.cycle(move) >= stopped()
            moves.put(move, take, True)
            move += 1
            if cut:
                break
        self.walk = move
        self.free = [self.free[1], moves.cycle(move - 1) + 1]
        moves.forget(move)
        return start


class DeltaClock:
    """`hdl.delta.DeltaCoder`: every item a move; the other memory is cleared meanwhile."""

    def __init__(self, n: int):
        self.n = n
        self.moves = _Moves(DeltaCoder.LATENCY)
        self.move = 0  # the first move that can take the next sample's item
        # The cycle in which the memories changed places. After reset both are clear.
        self.switched = -n - 1

    def sample(self, steps: Changes, take: Take, stopped: Callable[[], int]) -> int:
        """Returns when the sample's first item is accepted."""
        moves = self.moves
        self.move = move = moves.first(self.move, self.switched + 1)
        start = moves.cycle(move)
        clear = self.switched + self.n  # its last cycle, were nothing written
        for changes in steps:
            for spike in changes:
                # Written in the cycle after: clearing waits.
                clear += moves.cycle(move) + 1 <= clear
                if spike:
                    moves.put(move, take, False)
                move += 1
            moves.put(move, take, True)
            move += 1
        self.switched = max(moves.cycle(move - 1), clear + 1)
        moves.forget(move - 1)
        self.move = move
        return start
