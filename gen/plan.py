# SPDX-License-Identifier: Apache-2.0
"""The mapper: how many lanes each layer gets, and what that costs on the device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget, Resources, estimate_around, estimate_core
from spikefab.gen.graded import graded_events
from spikefab.gen.layer_map import LayerMap
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.share import Share, check_runs, place_run, run_storage, share_engines
from spikefab.gen.storage import Choice, WeightStorage
from spikefab.gen.structure import Lowering, Structure
from spikefab.hdl.core import REVISION
from spikefab.hdl.params import CoreParams, LayerParams, ParamError
from spikefab.hdl.shared_params import SharedParams

__all__ = ["DEFAULT_RATE", "Plan", "make_plan"]

DEFAULT_RATE = 0.1
"""Share of sources that spike in a step, where no data say better."""

MAX_AUTO_LANES = 128
"""Most lanes that `auto` gives a layer; ask for more by number."""

FILL = {"ecp5": 0.6, "ice40": 0.85}
"""Share of the logic that `auto` fills: room for the placer to meet timing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """An integer network mapped onto a device."""

    qnet: QNetwork
    structure: Structure
    """The core, what it is filled with, and its addresses."""
    budget: Budget
    resources: Resources
    """Estimate for the core, without a board's link."""
    rates: tuple[float, ...]
    """Events a source a step that each layer is expected to receive."""
    busy: tuple[float, ...]
    """Cycles a step that these take in each layer."""
    reasons: tuple[str, ...]
    """Why each layer has the lanes that it has."""
    storage_reasons: tuple[str, ...]
    """Why each layer's weights are kept where they are."""

    @property
    def core(self) -> CoreParams:
        return self.structure.core

    @property
    def hash(self) -> bytes:
        """16 bytes over parameters, weights and the hardware's revision: designs that behave alike
        have one hash."""
        facts = {"revision": REVISION, **asdict(self.core)}
        for layer in facts["layers"]:
            del layer["family"]  # the same spikes, laid out for another part
        for port in [port for ports in facts["ports"] for port in ports]:
            if not port["delays"]:
                del port["delays"]
        if not self.core.shared:
            del facts["shared"]
        if self.core.is_chain:  # as it was when there was nothing else
            for field in ("ports", "outputs", "input_size"):
                del facts[field]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for words in self.structure.weights:
            digest.update(np.ascontiguousarray(words, np.int8).tobytes())
        return digest.digest()[:16]

    def step_cycles(self) -> list[float]:
        """Expected cycles a step of each layer: those of its events, and its rows."""
        return [b + layer.rows for b, layer in zip(self.busy, self.core.layers, strict=True)]


def make_plan(
    qnet: QNetwork,
    budget: Budget,
    *,
    lanes: int | Sequence[int] | None = None,
    folds: int | Sequence[int] | None = None,
    rates: Sequence[float | np.ndarray] | None = None,
    storage: Choice | Sequence[Choice] = "auto",
    graded: bool | None = None,
    share: Share = "auto",
) -> Plan:
    """Maps `qnet`. `lanes`: an upper limit for every layer, or one a layer; `folds`: as many lanes,
    at most, share a neuron datapath. None chooses.

    `rates`: events a step of each source into each layer, or one number for all of them, as
    measured on data. `storage`: where weights
    are kept, for all layers or one a layer. `graded`: neurons that spike several times in a step
    send one event with the count; None: where that saves enough, see `gen.graded`. `share`: layers
    share engines where the device is too small for one each, never, or in given runs, on the lanes
    and folds of each run's widest layer. Raises `InputError` for lanes, folds or a storage that do
    not match the network or the device.
    """
    n_layers = len(qnet.layers)
    lowering = _lowering(qnet)
    given = tuple(rates) if rates is not None else (DEFAULT_RATE,) * n_layers
    lanes = _per_layer(qnet, "--lanes", lanes)
    shared_folds = _per_layer(qnet, "--folds", folds)
    fold = [None] * n_layers if shared_folds is None else shared_folds
    maps = LayerMap(lowering, given)
    narrow = maps.narrow(fold)
    around = estimate_around(lowering.core(narrow), budget.family)
    store = WeightStorage.of(qnet, replace(budget, ram=budget.ram - around.ram), storage)
    shared: tuple[tuple[int, int], ...] = ()
    if lanes is None:
        layers, reasons = _choose(maps, budget, fold, store)
    else:
        layers = store.place([maps.make(k, n, fold[k]) for k, n in enumerate(lanes)])
        reasons = [f"{n} asked for" for n in lanes]
    found = None
    if not isinstance(share, str):
        found = _given_runs(maps, share, lanes, shared_folds, store)
    elif share == "auto":
        smallest = layers if lanes is None else store.place(narrow)
        found = _needed_runs(maps, budget, fold, store, lanes, smallest)
    if found is not None:
        layers, reasons, shared = found
    limit = _limit(budget)
    means = tuple(float(np.mean(rate)) for rate in given)
    core = graded_events(
        lowering.core(layers, shared),
        means,
        graded,
        lambda core: not limit.exceeded(estimate_core(core, budget.family)),
    )
    return Plan(
        qnet=qnet,
        structure=lowering.fill(core),
        budget=budget,
        resources=estimate_core(core, budget.family),
        rates=means,
        busy=tuple(maps.busy(k, layer) for k, layer in enumerate(layers)),
        reasons=tuple(reasons),
        storage_reasons=_storage_reasons(store, core, budget.family),
    )


def _storage_reasons(store: WeightStorage, core: CoreParams, family: str) -> tuple[str, ...]:
    found = list(store.reasons(core.layers))
    for first, last in core.shared:
        shared = SharedParams(core.layers[first : last + 1])
        found[first : last + 1] = [run_storage(shared, family)] * (last + 1 - first)
    return tuple(found)


Found = tuple[list[LayerParams], list[str], tuple[tuple[int, int], ...]]
"""Layers, why they have their lanes, and the runs that share an engine."""


def _given_runs(
    maps: LayerMap,
    runs: Sequence[tuple[int, int]],
    lanes: Sequence[int] | None,
    folds: Sequence[int] | None,
    store: WeightStorage,
) -> Found:
    """Runs that were asked for, each on the lanes and folds of its widest layer."""
    check_runs(len(store.asked), runs)
    if lanes is None:
        raise InputError("layers that share an engine: give the lanes too")
    many = [1] * len(lanes) if folds is None else folds
    layers = store.place([maps.make(k, n, many[k]) for k, n in enumerate(lanes)])
    for first, last in runs:
        run = range(first, last + 1)
        widest = max(run, key=lambda k: lanes[k])
        wide = min(lanes[widest], max(maps.lowering.qnet.layers[k].neuron.n for k in run))
        share = max(f for f in range(1, many[widest] + 1) if wide % f == 0)
        layers[first : last + 1] = place_run(maps, run, wide, share, store, layers[first].storage)
        _check_run(layers[first : last + 1])
    return layers, [f"{n} asked for" for n in lanes], tuple(runs)


def _check_run(layers: Sequence[LayerParams]) -> None:
    try:
        SharedParams(tuple(layers))
    except ParamError as error:
        raise InputError(str(error)) from None


def _needed_runs(
    maps: LayerMap,
    budget: Budget,
    folds: Sequence[int | None],
    store: WeightStorage,
    lanes: Sequence[int] | None,
    smallest: Sequence[LayerParams],
) -> Found | None:
    """Who shares an engine, where the device is too small for one each; None where it is not, or
    where sharing does not help. `smallest`: the layers with an engine each."""
    core = maps.lowering.core(smallest)
    tight = budget.exceeded(estimate_core(core, budget.family))
    if not tight or not core.is_chain:
        return None
    around = estimate_around(core, budget.family)
    for limit in (_limit(budget), budget):
        found = share_engines(maps, limit, around, folds, store, lanes, MAX_AUTO_LANES)
        if found is not None:
            break
    else:
        return None
    reasons = [f"as fast as fits: too much {tight} with an engine a layer"] * len(smallest)
    return found.layers, reasons, found.runs


def _lowering(qnet: QNetwork) -> Lowering:
    try:
        return Lowering(qnet)
    except ParamError as error:
        raise InputError(f"{qnet.name}: {error}") from None


def _per_layer(
    qnet: QNetwork, option: str, numbers: int | Sequence[int] | None
) -> Sequence[int] | None:
    """A number for each layer, checked."""
    if numbers is None:
        return None
    n_layers = len(qnet.layers)
    if isinstance(numbers, int):
        numbers = [numbers] * n_layers
    if len(numbers) != n_layers:
        names = ", ".join(layer.name for layer in qnet.layers)
        raise InputError(
            f"{option}: {len(numbers)} numbers for {n_layers} layers ({names}); give one for all, "
            "or one a layer"
        )
    if min(numbers) < 1:
        raise InputError(f"{option}: {min(numbers)}; a layer needs at least 1")
    return numbers


def _choose(
    maps: LayerMap, budget: Budget, folds: Sequence[int | None], store: WeightStorage
) -> tuple[list[LayerParams], list[str]]:
    """Widens the slowest layer, again and again, while the device has room. Where block RAM is what
    does not suffice, a second try lets more lanes share neuron datapaths, if that is faster."""
    layers, reasons = _widen(maps, budget, folds, store, sharing=False)
    if any(reason.endswith("block RAM") for reason in reasons):
        shared = _widen(maps, budget, folds, store, sharing=True)
        if _slowest(maps, shared[0])[1] < _slowest(maps, layers)[1]:
            layers, reasons = shared
    # A pass over maps may take long where another layer takes longer.
    bound = _slowest(maps, layers)[1]
    for k, layer in enumerate(layers):
        if layer.grid is not None and folds[k] is None:
            layers[k] = maps.folded(k, layer, bound)
    return layers, reasons


def _slowest(maps: LayerMap, layers: Sequence[LayerParams]) -> tuple[int, float]:
    """The layer whose steps take longest, and its cycles."""
    cycles = [maps.cycles(k, layer) for k, layer in enumerate(layers)]
    return cycles.index(max(cycles)), max(cycles)


def _widen(
    maps: LayerMap,
    budget: Budget,
    folds: Sequence[int | None],
    store: WeightStorage,
    *,
    sharing: bool,
) -> tuple[list[LayerParams], list[str]]:
    """The widths that `_choose` compares."""
    layers = store.place(maps.narrow(folds))
    reasons = ["fast enough beside the slowest layer"] * len(layers)
    limit = _limit(budget)

    def estimate(layers: Sequence[LayerParams]) -> Resources:
        return estimate_core(maps.lowering.core(layers), budget.family)

    while True:
        slowest, bound = _slowest(maps, layers)
        here = layers[slowest]
        first = ""
        for wider in maps.wider(slowest, here, folds[slowest]):
            if wider.lanes > MAX_AUTO_LANES:
                first = first or f"`auto` stops at {MAX_AUTO_LANES} lanes"
                break
            placed = store.place([*layers[:slowest], wider, *layers[slowest + 1 :]])
            tight = limit.exceeded(estimate(placed))
            if tight == "block RAM" and sharing:
                placed = _share(maps, placed, limit, folds, bound, estimate)
                tight = limit.exceeded(estimate(placed))
            if not tight:
                layers = placed
                break
            first = first or f"more lanes would take too much {tight}"
            if tight in ("logic", "flip-flops"):
                break
            # Fewer groups may need no memories for what is kept of each.
        if layers[slowest] is here:
            most = f"one lane a {'neuron' if here.grid is None else 'channel'}"
            most += ": no layer is slower"
            reasons[slowest] = f"the slowest layer; {first}" if first else most
            return layers, reasons


def _limit(budget: Budget) -> Budget:
    """What the mapper fills by itself."""
    fill = FILL[budget.family]
    return replace(budget, lut=int(budget.lut * fill), ff=int(budget.ff * fill))


def _share(
    maps: LayerMap,
    layers: Sequence[LayerParams],
    limit: Budget,
    folds: Sequence[int | None],
    bound: float,
    estimate: Callable[[Sequence[LayerParams]], Resources],
) -> list[LayerParams]:
    """Lets more lanes share a neuron datapath, whose membranes then fill fewer block RAMs, until
    these suffice or no layer that would stay below `bound` cycles saves any. Of such layers the one
    that stays fastest comes first."""
    now = list(layers)
    ram = estimate(now).ram
    while ram > limit.ram:
        options = []
        for k, layer in enumerate(now):
            for share in range(layer.folds + 1, layer.lanes + 1):
                folded = replace(layer, folds=share) if layer.lanes % share == 0 else layer
                cycles = maps.cycles(k, folded)
                if folds[k] is not None or cycles >= bound:
                    break
                changed = [*now[:k], folded, *now[k + 1 :]]
                left = estimate(changed).ram
                if left < ram:
                    options.append((cycles, k, left, changed))
                    break
        if not options:
            break
        _, _, ram, now = min(options, key=lambda option: option[:3])
    return now
