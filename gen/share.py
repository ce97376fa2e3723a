# SPDX-License-Identifier: Apache-2.0
"""Which layers share an engine, where the device is too small for one each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from spikefab.gen.cost_shared import phase_latency
from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget, Resources, estimate_layer, estimate_shared, weight_memory
from spikefab.gen.layer_map import FOLDS, LayerMap
from spikefab.gen.storage import WeightStorage
from spikefab.hdl.params import LayerParams, ParamError, Storage
from spikefab.hdl.shared_params import SharedParams

__all__ = ["Share", "Shared", "check_runs", "place_run", "run_storage", "share_engines"]

Share = Literal["auto", "never"] | Sequence[tuple[int, int]]
"""Who shares an engine: as the device needs it, nobody, or given runs of first and last layer."""

WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Lanes that are tried for an engine."""

PHASE = 16
"""About what a phase costs beside its events and its pass, in cycles."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Layers of which some share an engine."""

    layers: list[LayerParams]
    runs: tuple[tuple[int, int], ...]
    cycles: float
    """Expected cycles a step of the slowest engine."""


def place_run(
    maps: LayerMap,
    run: range,
    lanes: int,
    folds: int,
    store: WeightStorage,
    storage: Storage = "block",
) -> list[LayerParams]:
    """The layers of a run on an engine of so many lanes, with their weights in `storage`."""
    return _put([maps.member(k, lanes, folds) for k in run], store, run, lanes, storage)


def _put(
    layers: Sequence[LayerParams], store: WeightStorage, run: range, lanes: int, storage: Storage
) -> list[LayerParams]:
    """Layers that share an engine with their weights in `storage`."""
    trits = lanes > 2 and all(store.ternary[k] for k in run) and storage != "logic"
    family = store.budget.family
    return [
        replace(
            layer,
            synapse=replace(layer.synapse, trits=trits),
            storage=storage,
            family=family,
        )
        for layer in layers
    ]


@dataclass(frozen=True, kw_only=True)
class _Option:
    """One engine, for a layer or for several."""

    layers: tuple[LayerParams, ...]
    cycles: float
    need: Resources


class _Engines:
    """What engines there could be on a device."""

    def __init__(
        self,
        maps: LayerMap,
        limit: Budget,
        folds: Sequence[int | None],
        store: WeightStorage,
        lanes: Sequence[int] | None,
        most: int,
    ):
        self.maps, self.limit, self.folds, self.store = maps, limit, folds, store
        self.lanes, self.most = lanes, most
        self.sizes = [layer.neuron.n for layer in maps.lowering.qnet.layers]
        self.members: dict[tuple[int, int, int], LayerParams] = {}
        self.made: dict[tuple[range, int, int], list[_Option]] = {}
        self.every: dict[range, list[_Option]] = {}
        self.alike: dict[range, bool] = {}

    def cycles(self, unit: range) -> float:
        """About what a unit costs in comparison with others; infinite where the layers cannot
        share an engine."""
        if unit not in self.alike:
            self.alike[unit] = len(unit) == 1 or self._alike(unit)
        if not self.alike[unit]:
            return inf
        layers = [self.maps.lowering.qnet.layers[k] for k in unit]
        events = sum(float(self.maps.rates[k].sum()) * self.sizes[k] for k in unit)
        return events + sum(layer.neuron.n for layer in layers) + PHASE * (len(unit) - 1)

    def narrowest(self, unit: range) -> _Option | None:
        """An engine that takes little of what the device has."""
        few = ((n, n) for n in (1, 2, 4, 8))
        found = [option for n, folds in few for option in self._make(unit, n, folds)]
        return min(found, key=self._share, default=None)

    def options(self, unit: range) -> list[_Option]:
        """Engines for some layers, slower ones first."""
        if unit not in self.every:
            found: list[_Option] = []
            for lanes in self._widths(unit):
                folds = FOLDS if len(unit) > 1 else (1,)
                wide = [option for f in folds for option in self._make(unit, lanes, f)]
                found += wide
                # More lanes take more logic still.
                if wide and all(option.need.lut > self.limit.lut for option in wide):
                    break
            self.every[unit] = sorted(
                found, key=lambda option: (-option.cycles, self._share(option))
            )
        return self.every[unit]

    def _share(self, option: _Option) -> float:
        """Of the device that an engine takes, all kinds of cells together."""
        need, limit = option.need, self.limit
        memories = need.ram / max(1, limit.ram) + need.spram / max(1, limit.spram)
        return need.lut / limit.lut + need.ff / limit.ff + memories

    def _widths(self, unit: range) -> list[int]:
        """Lanes to try."""
        return sorted({min(n, self._limit(unit)) for n in WIDTHS})

    def _limit(self, unit: range) -> int:
        """Most lanes."""
        limit = self.most if self.lanes is None else max(self.lanes[k] for k in unit)
        return min(limit, max(self.sizes[k] for k in unit))

    def _alike(self, unit: range) -> bool:
        if not self._storages(unit):
            return False
        try:
            SharedParams(tuple(place_run(self.maps, unit, 1, 1, self.store)))
        except ParamError:
            return False
        return True

    def _storages(self, unit: range) -> list[Storage]:
        """What the weights of layers that share an engine may be kept in."""
        asked = {self.store.asked[k] for k in unit} - {"auto"}
        every: list[Storage] = ["block", "spram", "lutram", "logic"]
        if asked:
            return [kind for kind in every if asked == {kind}]
        return ["block", "spram"] if self.limit.spram else ["block"]

    def _make(self, unit: range, lanes: int, folds: int) -> list[_Option]:
        """Engines of so many lanes, folded so often."""
        key = unit, lanes, folds
        if key not in self.made:
            found: Iterator[_Option] = iter(())
            if lanes <= self._limit(unit):
                found = self._several(*key) if len(unit) > 1 else self._single(unit[0], lanes)
            self.made[key] = list(found)
        return self.made[key]

    def _single(self, k: int, lanes: int) -> Iterator[_Option]:
        layer = self.maps.make(k, max(lanes, self.maps.lowering.least_lanes(k)), self.folds[k])
        layer = self.store.own(k, layer)
        need = estimate_layer(layer, self.limit.family)
        yield _Option(layers=(layer,), cycles=self.maps.cycles(k, layer), need=need)

    def _member(self, k: int, lanes: int, folds: int) -> LayerParams:
        key = k, lanes, folds
        if key not in self.members:
            self.members[key] = self.maps.member(*key)
        return self.members[key]

    def _several(self, unit: range, lanes: int, folds: int) -> Iterator[_Option]:
        given = [fold for fold in (self.folds[k] for k in unit) if fold is not None]
        if lanes % folds or (given and folds > max(given)):
            return
        family, storages = self.limit.family, self._storages(unit)
        own = [self._member(k, lanes, folds) for k in unit]
        kinds = [own]
        if any(layer.structure is not None for layer in own):
            # All words of weights, so that nothing has to say which words they are.
            kinds.append([replace(layer, structure=None) for layer in own])
        for layers in kinds:
            put = _put(layers, self.store, unit, lanes, storages[0])
            try:
                shared = SharedParams(tuple(put))
                need = estimate_shared(shared, family)
            except ParamError:
                continue
            busy = [self.maps.busy(k, layer) for k, layer in zip(unit, put, strict=True)]
            cycles = shared.rows + len(unit) + sum(busy) + self._gaps(unit, shared, busy)
            yield _Option(layers=tuple(put), cycles=cycles, need=need)
            for storage in storages[1:]:
                # Nothing else of the engine changes.
                other = replace(shared.engine, storage=storage)
                more, less = weight_memory(other, family), weight_memory(shared.engine, family)
                yield _Option(
                    layers=tuple(_put(layers, self.store, unit, lanes, storage)),
                    cycles=cycles,
                    need=need + more + less * -1,
                )

    def _gaps(self, unit: range, shared: SharedParams, busy: Sequence[float]) -> float:
        """About the cycles in which the engine waits for the first spike of a phase's pass, or for
        the token behind its last row."""
        latency, gaps = phase_latency(shared), 0.0
        for k, phase, events in zip(unit[1:], shared.phases, busy[1:], strict=False):
            spikes = float(self.maps.rates[k].sum())
            gaps += max(0, latency - events, latency - phase.rows * spikes / (spikes + 1))
        return gaps


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
    engines = _Engines(maps, limit, folds, store, lanes, most)
    n = len(engines.sizes)
    narrow = [engines.narrowest(range(k, k + 1)) for k in range(n)]
    least = min(option.need.lut for option in narrow if option is not None)
    best: Shared | None = None
    for count in range(min(n - 1, limit.lut // least), 0, -1):
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
                cycles = max(slowest, engines.cycles(range(begin, end))) if begin < end else inf
                if cycles < row.get(end, (inf, 0))[0]:
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


def run_storage(shared: SharedParams, family: str) -> str:
    """What the weights of a run are kept in."""
    need = weight_memory(shared.engine, family)
    kinds = {
        "block": f"{need.ram} block RAM{'s' if need.ram > 1 else ''}",
        "spram": f"{need.spram} SPRAM{'s' if need.spram > 1 else ''}, loaded at start",
        "lutram": "LUT RAM, loaded at start",
        "logic": f"about {need.lut} look-up tables",
    }
    return f"{kinds[shared.engine.storage]}, together with those of the layers beside it"


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
