# SPDX-License-Identifier: Apache-2.0
"""What events cost in a scatter engine, and when it takes them: exactly as the hardware does it.

Follows `hdl.address`, as `gen.cost` follows the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from spikefab.hdl.address import ConvAddresses
from spikefab.hdl.conv_params import ConvJoin, ConvParams
from spikefab.hdl.params import LayerParams
from spikefab.hdl.queue import Queue
from spikefab.hdl.scatter import ScatterEngine
from spikefab.hdl.sparse_params import SparseParams

__all__ = ["ScatterClock", "address_cycles", "event_cycles", "sparse_cycles"]


def event_cycles(conv: ConvParams, lanes: int) -> np.ndarray:
    """Cycles that an event of each input takes, int64 (C, H, W): the kernel positions that exist
    for it times the words of its group's output channels, 1 where none exists."""
    rows, columns = (np.array([entry.count for entry in axis], np.int64) for axis in conv.axes)
    hits = np.outer(rows, columns) * conv.span(lanes)
    return np.broadcast_to(np.maximum(hits, 1), conv.in_shape).copy()


def sparse_cycles(sparse: SparseParams) -> np.ndarray:
    """Cycles that an event of each source takes, int64 (n_in,): its words of weights, 1 where it
    has none."""
    return np.maximum([len(row) for row in sparse.rows], 1).astype(np.int64)


def address_cycles(params: LayerParams) -> list[int] | None:
    """Cycles that an event of each address takes; None where the layer has no structure."""
    structure = params.structure
    if structure is None:
        return None
    if not isinstance(structure, ConvJoin):
        return sparse_cycles(structure).tolist()
    found = [0] * structure.n_in
    for k, conv in enumerate(structure.convs):
        own = event_cycles(conv, params.lanes).ravel().tolist()
        for address, cycles in zip(conv.in_grid.addresses, own, strict=True):
            found[structure.offset(k) + address] = cycles
    return found


class ScatterClock:
    """When an address generator takes items; times are cycles. The same for both kinds.

    An item waits in a queue, then goes through two stages in front of the generator that hold an
    item each: it moves on when the next one is free, which it is when the item in it moves on.
    """

    def __init__(self) -> None:
        self.queue = deque([-1] * ScatterEngine.QUEUE, maxlen=ScatterEngine.QUEUE)
        """When the latest items left the queue: as many as it has."""
        self.stages = [0] * (ConvAddresses.AHEAD - 1)
        """When the item before left each stage but the last."""
        self.began = 0
        """When it left the last one: its first visit is in the next cycle."""
        self.free = 0
        """First cycle in which the next item can begin."""

    def item(
        self, offered: int, cycles: int, begin: Callable[[int], int] | None = None
    ) -> tuple[int, int]:
        """An item that is offered from a cycle on, and takes so many: (when it is taken, when it
        begins; of a token, when its pass does). `begin`: of a token, when a pass that could begin
        in a cycle does."""
        taken = max(offered, self.queue[0] + 1)
        leaves = [*self.stages, self.began]
        at = max(taken + Queue.latency(ScatterEngine.QUEUE), leaves[0])
        self.queue.append(at)
        for k, before in enumerate(leaves[1:]):
            self.stages[k] = at = max(at + 1, before)
        at = max(at + 1, self.free)
        if begin is None:
            self.began = at
        else:
            at = begin(at)
            self.began = at + ScatterEngine.ASKS
        self.free = self.began + cycles
        return taken, at
