# SPDX-License-Identifier: Apache-2.0
"""Which layers share an engine, where the device is too small for one each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from spikefab.gen.cost_shared import phase_latency
from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget, Resources, estimate_layer, estimate_shared
from spikefab.gen.layer_map import FOLDS, LayerMap
from spikefab.gen.storage import WeightStorage
from spikefab.hdl.params import LayerParams, ParamError
from spikefab.hdl.shared_params import SharedParams

__all__ = ["Share", "Shared", "check_runs", "place_run", "share_engines"]

Share = Literal["auto", "never"] | Sequence[tuple[int, int]]
"""Who shares an engine: as the device needs it, nobody, or given runs of first and last layer."""

WIDTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128)
"""Lanes that are tried for an engine, beside one a neuron of each layer."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Layers of which some share an engine."""

    layers: list[LayerParams]
    runs: tuple[tuple[int, int], ...]
    cycles: float
    """Expected cycles a step of the slowest engine."""


def place_run(
    maps: LayerMap, run: range, lanes: int, folds: int, store: WeightStorage
) -> list[LayerParams]:
    """The layers of a run on an engine of so many lanes, with their weights in block RAM."""
    ternary = lanes > 2 and all(store.ternary[k] for k in run)
    found = []
    for k in run:
        layer = maps.member(k, lanes, folds)
        synapse = replace(layer.synapse, trits=ternary)
        found.append(replace(layer, synapse=synapse, storage="block", family=store.budget.family))
    return found


@dataclass(frozen=True, kw_only=True)
class _Option:
    """One engine, for a layer or for several."""

    layers: tuple[LayerParams, ...]
    cycles: float
    need: Resources


class _Engines:
    """What engines there could be."""

    def __init__(
        self,
        maps: LayerMap,
        folds: Sequence[int | None],
        store: WeightStorage,
        lanes: Sequence[int] | None,
        most: int,
    ):
        self.maps, self.folds, self.store, self.lanes, self.most = maps, folds, store, lanes, most
        self.family = store.budget.family
        self.found: dict[tuple[int, int], list[_Option]] = {}

    @cached_property
    def sizes(self) -> list[int]:
        return [layer.neuron.n for layer in self.maps.lowering.qnet.layers]

    def options(self, unit: range) -> list[_Option]:
        """Engines for some layers, slower ones first; none where the layers cannot share one."""
        key = unit[0], unit[-1]
        if key not in self.found:
            every = list(self._single(unit[0]) if len(unit) == 1 else self._several(unit))
            self.found[key] = sorted(every, key=lambda option: (-option.cycles, option.need.lut))
        return self.found[key]

    def narrowest(self, unit: range) -> _Option | None:
        """The engine that takes the least logic."""
        return min(self.options(unit), key=lambda option: option.need.lut, default=None)

    def _widths(self, unit: range) -> list[int]:
        """Lanes to try."""
        sizes = [self.sizes[k] for k in unit]
        limit = min(self.most, max(sizes))
        if self.lanes is not None:
            limit = min(max(sizes), max(self.lanes[k] for k in unit))
        return sorted({n for n in (*WIDTHS, *sizes, limit) if n <= limit})

    def _single(self, k: int) -> Iterator[_Option]:
        least = self.maps.lowering.least_lanes(k)
        for lanes in self._widths(range(k, k + 1)):
            layer = self.maps.make(k, max(lanes, least), self.folds[k])
            layer = self.store.own(k, layer)
            need = estimate_layer(layer, self.family)
            yield _Option(layers=(layer,), cycles=self.maps.cycles(k, layer), need=need)

    def _several(self, unit: range) -> Iterator[_Option]:
        if any(self.store.asked[k] not in ("auto", "block") for k in unit):
            return
        given = [fold for fold in (self.folds[k] for k in unit) if fold is not None]
        for lanes in self._widths(unit):
            for folds in FOLDS:
                if lanes % folds or (given and folds > max(given)):
                    continue
                layers = tuple(place_run(self.maps, unit, lanes, folds, self.store))
                try:
                    shared = SharedParams(layers)
                    need = estimate_shared(shared, self.family)
                except ParamError:
                    continue
                yield _Option(layers=layers, cycles=self._cycles(unit, shared), need=need)

    def _cycles(self, unit: range, shared: SharedParams) -> float:
        """Expected cycles a step: those of the events and the passes of each phase. A phase's pass
        has left before the next one's begins."""
        busy = sum(self.maps.busy(k, layer) for k, layer in zip(unit, shared.layers, strict=True))
        return busy + shared.rows + (len(unit) - 1) * phase_latency(shared)


def share_engines(
    maps: LayerMap,
    limit: Budget,
    around: Resources,
    folds: Sequence[int | None],
    store: WeightStorage,
    lanes: Sequence[int] | None,
    most: int,
) -> Shared | None:
    """The fastest way to have fewer engines than layers that fits; None where there is none.

    For each number of engines, the layers are divided so that the slowest engine has least to do;
    then the slowest is widened, again and again, while the device has room. `around`: what stands
    around the layers; `lanes`: most of each layer, else `most` of all.
    """
    engines = _Engines(maps, folds, store, lanes, most)
    n = len(engines.sizes)
    best: Shared | None = None
    for count in range(n - 1, 0, -1):
        units = _divide(engines, n, count)
        chosen = None if units is None else _widen(engines, units, limit, around)
        if units is None or chosen is None:
            continue
        cycles = max(option.cycles for option in chosen)
        if best is None or cycles < best.cycles:
            layers = [layer for option in chosen for layer in option.layers]
            runs = tuple((unit[0], unit[-1]) for unit in units if len(unit) > 1)
            best = Shared(layers=layers, runs=runs, cycles=cycles)
    return best


def _divide(engines: _Engines, n: int, count: int) -> list[range] | None:
    """The layers in so many parts that follow each other, the slowest as fast as may be."""
    # Of the first k layers in c parts: cycles of the slowest, and where the last part begins.
    table: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for _ in range(count):
        row: dict[int, tuple[float, int]] = {}
        for end in range(1, n + 1):
            for begin, (slowest, _) in table[-1].items():
                if begin >= end:
                    continue
                option = engines.narrowest(range(begin, end))
                if option is None:
                    continue
                cycles = max(slowest, option.cycles)
                if end not in row or cycles < row[end][0]:
                    row[end] = cycles, begin
        table.append(row)
    units, end = [], n
    for row in reversed(table[1:]):
        if end not in row:
            return None
        begin = row[end][1]
        units.append(range(begin, end))
        end = begin
    return units[::-1]


def _widen(
    engines: _Engines, units: Sequence[range], limit: Budget, around: Resources
) -> list[_Option] | None:
    """The widest engines that fit; None where the narrowest do not."""
    chosen: list[_Option] = []
    for unit in units:
        option = engines.narrowest(unit)
        if option is None:
            return None
        chosen.append(option)
    if limit.exceeded(sum((option.need for option in chosen), around)):
        return None
    while True:
        slowest = max(range(len(units)), key=lambda k: chosen[k].cycles)
        rest = sum((o.need for k, o in enumerate(chosen) if k != slowest), around)
        faster = [
            option
            for option in engines.options(units[slowest])
            if option.cycles < chosen[slowest].cycles and not limit.exceeded(rest + option.need)
        ]
        if not faster:
            return chosen
        chosen[slowest] = faster[0]


def check_runs(n_layers: int, runs: Sequence[tuple[int, int]]) -> None:
    """Raises `InputError` for runs that are none."""
    before = -1
    for first, last in runs:
        if not before < first < last < n_layers:
            raise InputError(
                f"layers {first} to {last} on one engine: runs are first and last layer, in order, "
                f"of the layers 0 to {n_layers - 1}"
            )
        before = last
