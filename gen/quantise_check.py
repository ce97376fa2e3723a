# SPDX-License-Identifier: Apache-2.0
"""What of a float network cannot be put in integers so far, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.network import Network, Population, Projection
from spikefab.gen.options import QuantiseOptions

__all__ = ["NEAR", "check_network", "is_chain", "live_layers"]

NEAR = 1e-6
"""A gain or decay this close to 0 or 1 is it: float32 noise."""

Layers = Sequence[tuple[Population, tuple[Projection, ...]]]


def live_layers(network: Network) -> tuple[Layers, list[str]]:
    """The populations that an output depends on, sources first, and the names of the others."""
    layers = network.layers()
    into = {population.name: projections for population, projections in layers}
    live: set[str] = set()
    ahead = [output.source for output in network.outputs]
    while ahead:
        name = ahead.pop()
        if name in into and name not in live:
            live.add(name)
            ahead += [projection.source for projection in into[name]]
    dead = [population.name for population, _ in layers if population.name not in live]
    return [layer for layer in layers if layer[0].name in live], dead


def is_chain(network: Network, layers: Layers) -> bool:
    """One input, one population that is shown, and each driven by the one before alone."""
    shown = {output.source for output in network.outputs}
    if len(network.inputs) != 1 or len(shown) != 1:
        return False
    before = network.inputs[0].name
    for population, projections in layers:
        if any(p.recurrent or p.source != before for p in projections):
            return False
        before = population.name
    return shown == {before}


def check_network(
    network: Network,
    layers: Layers,
    options: QuantiseOptions,
    activity: Mapping[str, np.ndarray] | None,
) -> None:
    """Raises `InputError` with everything that stands in the way."""
    if not layers:
        raise InputError(f"network {network.name!r} has no neurons: nothing to map")
    problems = []
    if options.input.coding != "spikes" and not is_chain(network, layers):
        problems.append(
            f"--input {options.input.coding}: only a chain of layers can have it so far, this "
            "network branches or is fed back; use --input spikes"
        )
    late = [p for _, projections in layers for p in projections if p.delayed]
    if options.input.coding != "spikes" and late:
        problems.append(
            f"--input {options.input.coding}: node {late[0].name!r} holds a delay, which needs an "
            "input that has steps of its own; use --input spikes"
        )
    early, fed = network.early, _fed(layers)
    shown = {output.source for output in network.outputs}
    for population, projections in layers:
        problems += _neuron(population, fed.get(population.name))
        name = population.name
        if not projections:
            problems.append(f"node {name!r}: nothing feeds it; leave it out")
        if name in early and name in shown:
            problems.append(
                f"node {name!r}: an output that lags a step, and is fed back; so far it can be "
                "either: add ',output_lag=false' to the dialect"
            )
        if name in early and (population.neuron.v_init >= population.neuron.threshold).any():
            problems.append(
                f"node {name!r}: is fed back, and begins at its threshold in a dialect whose "
                "output lags; let it begin below"
            )
        for projection in projections:
            problems += _projection(projection, activity)
    if problems:
        raise InputError(list(dict.fromkeys(problems)))


def _fed(layers: Layers) -> dict[str, str]:
    """A population that each source feeds."""
    return {
        projection.source: population.name
        for population, projections in layers
        for projection in projections
    }


def _neuron(population: Population, feeds: str | None) -> list[str]:
    name, neuron = population.name, population.neuron
    problems = []
    if not neuron.spiking and feeds is not None:
        problems.append(
            f"node {name!r}: has no spikes to send on to {feeds!r}; it puts out its membrane (LI, "
            "CubaLI, I), a signed number, and events between populations carry spikes, or how many "
            f"there are: let it spike, or leave {feeds!r} out and read it at an output; a filter "
            f"alone can be the synaptic current of {feeds!r} (CubaLIF)"
        )
    if neuron.spiking and not (neuron.threshold > 0).all() and not neuron.dialect.only_compares:
        problems.append(
            f"node {name!r}: threshold {neuron.threshold.min():g}; a threshold that is subtracted, "
            "or that spikes of a step are counted by, must be above 0: set one, or use a dialect "
            "with reset=zero and multi_spike=false"
        )
    decays = [("membrane", neuron.decay)]
    if neuron.current is not None:
        decays.append(("synaptic current", neuron.current.decay))
    for what, decay in decays:
        if not ((decay >= -NEAR) & (decay <= 1 + NEAR)).all():
            worst = decay[np.abs(decay - 0.5).argmax()]
            problems.append(
                f"node {name!r}: a step keeps {worst:g} of the {what}; it must be 0 to 1: "
                "choose a smaller dt"
            )
    if neuron.dialect.state == "carry":
        problems.append(
            f"node {name!r}: state=carry cannot be mapped so far; add ',state=clear' to the dialect"
        )
    return problems


def _projection(projection: Projection, activity: Mapping[str, np.ndarray] | None) -> list[str]:
    problems = [
        f"node {projection.name!r}: its {what} hold NaN or infinity"
        for op in projection.operations
        for what, values in (
            ("weights", getattr(op, "weight", getattr(op, "factor", None))),
            ("bias", getattr(op, "value", None)),
        )
        if values is not None and not np.isfinite(values).all()
    ]
    x = None if activity is None else activity.get(projection.source)
    if x is not None and (x.ndim != 2 or x.shape[1] != projection.n_source):
        problems.append(
            f"activity of {projection.source!r} has shape {x.shape}; it must be "
            f"(steps, {projection.n_source})"
        )
    return problems
