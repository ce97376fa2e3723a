# SPDX-License-Identifier: Apache-2.0
"""The mapper: how many lanes each layer gets, and what that costs on the device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget, Resources, estimate_around, estimate_core
from spikefab.gen.graded import graded_events
from spikefab.gen.late import by_events, connect_late, least_lanes, structure_of, weight_rows
from spikefab.gen.ports import Connections
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.storage import Choice, WeightStorage
from spikefab.hdl.core import REVISION
from spikefab.hdl.params import CoreParams, LayerParams

__all__ = ["DEFAULT_RATE", "Plan", "make_plan"]

DEFAULT_RATE = 0.1
"""Share of sources that spike in a step, where no data say better."""

MAX_AUTO_LANES = 128
"""Most lanes that `auto` gives a layer; ask for more by number."""

FOLD_CYCLES = 8
"""Most cycles that a pass of neuron updates may take beyond an event's, where `auto` lets lanes
share neuron datapaths."""

FOLD_SHARE = 0.05
"""Most that this may add to a step's expected cycles."""

FOLDS = (8, 4, 2, 1)

FILL = {"ecp5": 0.6, "ice40": 0.85}
"""Share of the logic that `auto` fills: room for the placer to meet timing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """An integer network mapped onto a device."""

    qnet: QNetwork
    core: CoreParams
    budget: Budget
    resources: Resources
    """Estimate for the core, without a board's link."""
    rates: tuple[float, ...]
    """Events a source a step that each layer is expected to receive."""
    reasons: tuple[str, ...]
    """Why each layer has the lanes that it has."""
    storage_reasons: tuple[str, ...]
    """Why each layer's weights are kept where they are."""

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
        if self.core.is_chain:  # as it was when there was nothing else
            for field in ("ports", "outputs", "input_size"):
                del facts[field]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for layer in self.qnet.layers:
            digest.update(np.ascontiguousarray(layer.weights, np.int8).tobytes())
        return digest.digest()[:16]

    @property
    def weights(self) -> list[list[list[int]]]:
        """Of each layer, as `hdl.core.Layer` takes them."""
        pairs = zip(self.qnet.layers, self.core.layers, strict=True)
        return [weight_rows(layer, params) for layer, params in pairs]

    def step_cycles(self) -> list[float]:
        """Expected cycles a step of each layer: events x groups + rows."""
        return [
            _cycles(layer, rate) for layer, rate in zip(self.core.layers, self.rates, strict=True)
        ]


def make_plan(
    qnet: QNetwork,
    budget: Budget,
    *,
    lanes: int | Sequence[int] | None = None,
    folds: int | Sequence[int] | None = None,
    rates: Sequence[float] | None = None,
    storage: Choice | Sequence[Choice] = "auto",
    graded: bool | None = None,
) -> Plan:
    """Maps `qnet`. `lanes`: an upper limit for every layer, or one a layer; `folds`: as many lanes,
    at most, share a neuron datapath. None chooses.

    `rates`: events a source a step into each layer, as measured on data. `storage`: where weights
    are kept, for all layers or one a layer. `graded`: neurons that spike several times in a step
    send one event with the count; None: where that saves enough, see `gen.graded`. Raises
    `InputError` for lanes, folds or a storage that do not match the network or the device.
    """
    n_layers = len(qnet.layers)
    connections = connect_late(qnet)
    rates = tuple(rates) if rates is not None else (DEFAULT_RATE,) * n_layers
    lanes = _per_layer(qnet, "--lanes", lanes)
    shared = _per_layer(qnet, "--folds", folds)
    fold = [None] * n_layers if shared is None else shared
    narrow = [_layer(qnet, k, _least_lanes(qnet, k), rates[k], fold[k]) for k in range(n_layers)]
    around = estimate_around(_core(qnet, connections, narrow), budget.family)
    store = WeightStorage.of(qnet, replace(budget, ram=budget.ram - around.ram), storage)
    if lanes is None:
        layers, reasons = _choose(qnet, connections, budget, rates, fold, store)
    else:
        layers = store.place(
            [
                _layer(qnet, k, min(n, qnet.layers[k].neuron.n), rates[k], fold[k])
                for k, n in enumerate(lanes)
            ]
        )
        reasons = [f"{n} asked for" for n in lanes]
    limit = _limit(budget)
    core = graded_events(
        _core(qnet, connections, layers),
        rates,
        graded,
        lambda core: not limit.exceeded(estimate_core(core, budget.family)),
    )
    return Plan(
        qnet=qnet,
        core=core,
        budget=budget,
        resources=estimate_core(core, budget.family),
        rates=rates,
        reasons=tuple(reasons),
        storage_reasons=store.reasons(layers),
    )


def _core(qnet: QNetwork, connections: Connections, layers: Sequence[LayerParams]) -> CoreParams:
    return CoreParams(
        layers=tuple(layers),
        input_max=qnet.input_max,
        input=qnet.input,
        stop=qnet.stop,
        ports=connections.ports,
        outputs=connections.outputs,
        input_size=connections.input_size,
    )


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


def _least_lanes(qnet: QNetwork, k: int) -> int:
    return 1 if by_events(qnet, k) else least_lanes(qnet.layers[k])


def _cycles(layer: LayerParams, rate: float) -> float:
    """Expected cycles a step."""
    if layer.structure is not None:
        return rate * layer.weight_words + layer.rows
    return layer.groups * rate * layer.synapse.n_in + layer.rows


def _layer(qnet: QNetwork, k: int, lanes: int, rate: float, folds: int | None) -> LayerParams:
    """Layer k on at most `lanes` lanes: as many as fill its groups evenly; `folds` of them, or as
    many as cost little time, share a neuron datapath."""
    layer = qnet.layers[k]
    n = layer.neuron.n
    groups = -(-n // lanes)
    # Fewer lanes for the same number of groups cost no cycle, and pad fewer weights.
    even = -(-n // groups)
    events = rate * layer.synapse.n_in
    for share in FOLDS if folds is None else range(min(folds, lanes), 0, -1):
        wide = even if groups == 1 else -(-even // share) * share
        if share > wide or wide > lanes:
            continue
        here = LayerParams(
            name=layer.name,
            synapse=layer.synapse,
            neuron=layer.neuron,
            lanes=wide,
            folds=share,
            replay=qnet.input.steps if k == 0 and qnet.input.coding == "static" else 0,
            structure=None if by_events(qnet, k) else structure_of(layer, wide),
        )
        more = here.rows - groups
        if folds is not None or more <= min(FOLD_CYCLES, FOLD_SHARE * (events + 1) * groups):
            break
    return here


def _choose(
    qnet: QNetwork,
    connections: Connections,
    budget: Budget,
    rates: Sequence[float],
    folds: Sequence[int | None],
    store: WeightStorage,
) -> tuple[list[LayerParams], list[str]]:
    """Widens the slowest layer, again and again, while the device has room. Where block RAM is what
    does not suffice, a second try lets more lanes share neuron datapaths, if that is faster."""
    layers, reasons = _widen(qnet, connections, budget, rates, folds, store, sharing=False)
    if any(reason.endswith("block RAM") for reason in reasons):
        shared = _widen(qnet, connections, budget, rates, folds, store, sharing=True)
        if _slowest(shared[0], rates)[1] < _slowest(layers, rates)[1]:
            return shared
    return layers, reasons


def _slowest(layers: Sequence[LayerParams], rates: Sequence[float]) -> tuple[int, float]:
    """The layer whose steps take longest, and its cycles."""
    cycles = [_cycles(layer, rate) for layer, rate in zip(layers, rates, strict=True)]
    return cycles.index(max(cycles)), max(cycles)


def _widen(
    qnet: QNetwork,
    connections: Connections,
    budget: Budget,
    rates: Sequence[float],
    folds: Sequence[int | None],
    store: WeightStorage,
    *,
    sharing: bool,
) -> tuple[list[LayerParams], list[str]]:
    """The widths that `_choose` compares."""
    narrow = [
        _layer(qnet, k, _least_lanes(qnet, k), rates[k], folds[k]) for k in range(len(qnet.layers))
    ]
    layers = store.place(narrow)
    reasons = ["fast enough beside the slowest layer"] * len(layers)
    limit = _limit(budget)

    def estimate(layers: Sequence[LayerParams]) -> Resources:
        return estimate_core(_core(qnet, connections, layers), budget.family)

    while True:
        slowest, bound = _slowest(layers, rates)
        here = layers[slowest]
        first = ""
        for wider in _wider(qnet, slowest, here, rates[slowest], folds[slowest]):
            if wider.lanes > MAX_AUTO_LANES:
                first = first or f"`auto` stops at {MAX_AUTO_LANES} lanes"
                break
            placed = store.place([*layers[:slowest], wider, *layers[slowest + 1 :]])
            tight = limit.exceeded(estimate(placed))
            if tight == "block RAM" and sharing:
                placed = _share(placed, limit, rates, folds, bound, estimate)
                tight = limit.exceeded(estimate(placed))
            if not tight:
                layers = placed
                break
            first = first or f"more lanes would take too much {tight}"
            if tight in ("logic", "flip-flops"):
                break
            # Fewer groups may need no memories for what is kept of each.
        if layers[slowest] is here:
            most = "one lane a neuron: no layer is slower"
            reasons[slowest] = f"the slowest layer; {first}" if first else most
            return layers, reasons


def _wider(
    qnet: QNetwork, k: int, here: LayerParams, rate: float, folds: int | None
) -> Iterator[LayerParams]:
    """Layer k in fewer groups than `here`; but first, where it shares more neuron datapaths than it
    would by itself, in as many groups with less of that."""
    alone = _layer(qnet, k, here.lanes, rate, folds)
    for share in range(here.folds - 1, alone.folds - 1, -1):
        if here.lanes % share == 0:
            yield replace(here, folds=share)
    for groups in range(here.groups - 1, 0, -1):
        yield _layer(qnet, k, -(-here.neuron.n // groups), rate, folds)


def _limit(budget: Budget) -> Budget:
    """What the mapper fills by itself."""
    fill = FILL[budget.family]
    return replace(budget, lut=int(budget.lut * fill), ff=int(budget.ff * fill))


def _share(
    layers: Sequence[LayerParams],
    limit: Budget,
    rates: Sequence[float],
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
                if folds[k] is not None or _cycles(folded, rates[k]) >= bound:
                    break
                changed = [*now[:k], folded, *now[k + 1 :]]
                left = estimate(changed).ram
                if left < ram:
                    options.append((_cycles(folded, rates[k]), k, left, changed))
                    break
        if not options:
            break
        _, _, ram, now = min(options, key=lambda option: option[:3])
    return now
