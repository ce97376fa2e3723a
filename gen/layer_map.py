# SPDX-License-Identifier: Apache-2.0
"""What a layer is on so many lanes, and how long its steps take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from spikefab.gen.cells import bits_for
from spikefab.gen.structure import Lowering
from spikefab.hdl.params import LayerParams
from spikefab.hdl.sparse_params import SparseParams

__all__ = ["FOLDS", "FOLD_CYCLES", "FOLD_SHARE", "LayerMap"]

FOLD_CYCLES = 8
"""Most cycles that a pass of neuron updates may take beyond an event's, where `auto` lets lanes
share neuron datapaths."""

FOLD_SHARE = 0.05
"""Most that this may add to a step's expected cycles."""

FOLDS = (8, 4, 2, 1)


class LayerMap:
    """The layers of a network as they would be on given lanes."""

    def __init__(self, lowering: Lowering, rates: Sequence[float | np.ndarray]):
        """`rates`: events of each source a step into each layer, or of all of its sources."""
        self.lowering = lowering
        layers = lowering.qnet.layers
        self.rates = [
            np.broadcast_to(np.asarray(rate, float), (layer.synapse.n_in,))
            for layer, rate in zip(layers, rates, strict=True)
        ]
        self._busy: dict[tuple[int, int, bool], float] = {}

    def cycles(self, k: int, params: LayerParams) -> float:
        """Expected cycles a step: those of its events, and a pass."""
        return self.busy(k, params) + params.rows

    def busy(self, k: int, params: LayerParams) -> float:
        """Expected cycles a step that events take."""
        if params.structure is None:
            return params.groups * float(self.rates[k].sum())
        key = k, params.lanes, isinstance(params.structure, SparseParams)
        if key not in self._busy:
            self._busy[key] = float(self.rates[k] @ self.lowering.event_cycles(k, params))
        return self._busy[key]

    def narrow(self, folds: Sequence[int | None]) -> list[LayerParams]:
        """Every layer on as few lanes as it can have."""
        return [self.make(k, self.lowering.least_lanes(k), fold) for k, fold in enumerate(folds)]

    def make(self, k: int, lanes: int, folds: int | None) -> LayerParams:
        """Layer k on at most `lanes` lanes: as many as fill its words evenly; `folds` of them, or
        as many as cost little time, share a neuron datapath."""
        lowering = self.lowering
        layer = lowering.qnet.layers[k]
        if layer.name in lowering.grids:
            return self._make_map(k, lanes, folds)
        n = layer.neuron.n
        groups = -(-n // min(lanes, n))
        # Fewer lanes for the same number of groups cost no cycle, and pad fewer weights.
        even = -(-n // groups)
        for share in _shares(folds, lanes):
            wide = even if groups == 1 else -(-even // share) * share
            if share > wide or wide > lanes:
                continue
            here = self._own(k, wide, share)
            if folds is not None or self._is_hidden(k, here, FOLD_CYCLES):
                break
        return here

    def _make_map(self, k: int, lanes: int, folds: int | None) -> LayerParams:
        """The same of a population of maps: lanes are channels of one position."""
        single = self._own(k, lanes, 1)
        for share in _shares(folds, single.lanes):
            if single.lanes % share:
                continue
            here = replace(single, folds=share)
            # A pass visits every position anyway.
            if folds is not None or self._is_hidden(k, here, single.rows):
                break
        return here

    def _is_hidden(self, k: int, here: LayerParams, most: int) -> bool:
        """Folds cost little time."""
        allowed = FOLD_SHARE * (self.busy(k, here) + here.groups)
        return here.rows - here.groups <= min(most, allowed)

    def member(self, k: int, lanes: int, folds: int) -> LayerParams:
        """Layer k on an engine of so many lanes that it shares with others."""
        return self._own(k, min(lanes, self.lowering.qnet.layers[k].neuron.n), folds)

    def _own(self, k: int, lanes: int, folds: int) -> LayerParams:
        """Layer k, of sparse connections where most of its words are 0."""
        dense = self.lowering.layer(k, lanes, folds, sparse=False)
        return self.lowering.layer(k, lanes, folds, sparse=True) if self._pays(k, dense) else dense

    def _pays(self, k: int, dense: LayerParams) -> bool:
        """At least half of the words of weights are 0, and what is kept of the others takes fewer
        bits: they, the number of each, where each source's begin and how many there are. Then no
        event takes more cycles, and most take fewer."""
        layer = self.lowering.qnet.layers[k]
        if dense.structure is not None or dense.groups == 1 or layer.synapse.weight_width == 1:
            return False
        rows = self.lowering.rows(k, dense.lanes)
        padded = np.zeros((dense.groups * dense.lanes, rows.shape[1]), bool)
        padded[: len(rows)] = rows != 0
        kept = padded.reshape(dense.groups, dense.lanes, -1).any(axis=1)
        n_kept, width = int(kept.sum()), dense.lanes * layer.synapse.weight_width
        table = rows.shape[1] * (bits_for(max(2, n_kept)) + bits_for(dense.groups + 1))
        bits = n_kept * (width + bits_for(dense.groups)) + table
        return 2 * n_kept <= kept.size and bits < kept.size * width

    def wider(self, k: int, here: LayerParams, folds: int | None) -> Iterator[LayerParams]:
        """Layer k with events of fewer cycles than `here`; but first, where it shares more neuron
        datapaths than it would by itself, with events of as many and less of that."""
        alone = self.make(k, here.lanes, folds)
        for share in range(here.folds - 1, alone.folds - 1, -1):
            if here.lanes % share == 0:
                yield replace(here, folds=share)
        if here.grid is None:
            for groups in range(here.groups - 1, 0, -1):
                yield self.make(k, -(-here.neuron.n // groups), folds)
            return
        for lanes in range(here.lanes + 1, here.grid.channels + 1):
            wide = self.make(k, lanes, folds)
            if wide.lanes == lanes:
                yield wide

    def folded(self, k: int, here: LayerParams, bound: float) -> LayerParams:
        """Layer k with as many folds as keep its steps within `bound` cycles."""
        for share in FOLDS:
            if share > here.folds and here.lanes % share == 0:
                more = replace(here, folds=share)
                if self.cycles(k, more) <= bound:
                    return more
        return here


def _shares(folds: int | None, lanes: int) -> Sequence[int]:
    return FOLDS if folds is None else range(min(folds, lanes), 0, -1)
