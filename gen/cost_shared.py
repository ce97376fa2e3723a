# SPDX-License-Identifier: Apache-2.0
"""The part of the cost model of layers that share an engine: follows `hdl.shared`."""

from __future__ import annotations

from collections.abc import Callable

from spikefab.gen.cost_conv import ScatterClock, sparse_cycles
from spikefab.gen.cost_layer import LayerClock
from spikefab.hdl.queue import Queue
from spikefab.hdl.scatter import ScatterEngine
from spikefab.hdl.shared import SHARED_SPACING
from spikefab.hdl.shared_params import SharedParams
from spikefab.hdl.sparse_params import SparseParams

__all__ = ["SharedClock", "phase_cycles", "phase_latency"]


def phase_cycles(shared: SharedParams, phase: int) -> int | list[int]:
    """Cycles that an event of a phase takes; of each address where they differ."""
    structure = shared.layers[phase].structure
    if isinstance(structure, SparseParams):
        return sparse_cycles(structure).tolist()
    return shared.phases[phase].words


class SharedClock(LayerClock):
    """When each register of layers that share an engine was last loaded.

    As a `LayerClock` whose items belong to a phase.
    """

    def __init__(self, shared: SharedParams):
        super().__init__(shared.array)
        self.shared = shared
        self.phase_cycles = [phase_cycles(shared, k) for k in range(len(shared.phases))]
        self.ahead = ScatterClock()
        sums = ScatterEngine.latency(shared.engine)
        self.done += sums - self.sums
        self.sums = sums
        self.spacing = SHARED_SPACING
        self.queue = Queue.latency(shared.queue_depth)
        self.returns = [-1] * shared.queue_depth
        self.rows = shared.most_rows
        self.taken = -1  # when the previous item was taken

    def event(self, ready: int, address: int = 0, phase: int = 0) -> int:
        """The cycle in which an event that is offered from `ready` is accepted. `address`: among
        the sources of its layer."""
        cycles = self.phase_cycles[phase]
        return self._item(ready, cycles if isinstance(cycles, int) else cycles[address])[0]

    def token(self, ready: int, last: bool = False, phase: int = 0) -> tuple[int, int]:
        """The same for a token, and the cycle in which its pass starts."""
        rows = self.shared.phases[phase].rows
        return self._item(ready, rows, lambda at: self._begin(at, rows))

    def _item(
        self, ready: int, cycles: int, begin: Callable[[int], int] | None = None
    ) -> tuple[int, int]:
        """Items of the two sources are taken one after the other."""
        assert self.ahead is not None
        taken, at = self.ahead.item(max(ready, self.taken + 1), cycles, begin)
        self.taken = taken
        return taken, at

    def _begin(self, ready: int, rows: int) -> int:
        self.returns.sort()
        # There must be room for the largest phase.
        at = max(ready, self.pass_free, self.returns[self.rows - 1] + 1)
        del self.returns[:rows]
        self.pass_free = at + self.spacing
        return at


def phase_latency(shared: SharedParams) -> int:
    """Cycles that the engine waits between a phase's pass and the next one's, where no spike
    leaves."""
    clock = SharedClock(shared)
    # To the queue, through it, to the output, and through the address generator's two stages.
    return clock.done + clock.queue + 3 * clock.split + 3
