# SPDX-License-Identifier: Apache-2.0
"""From a float network to integers: scales, fraction bits, leaks, thresholds, membrane widths."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikefab.gen.drive import drive_of
from spikefab.gen.network import Network
from spikefab.gen.options import QuantiseOptions, WeightBits, parse_weight_bits
from spikefab.gen.qnetwork import QInput, QNetwork, QOutput
from spikefab.gen.quantise_check import check_network, live_layers
from spikefab.gen.quantise_layer import LayerJob
from spikefab.gen.quantise_report import LayerReport, QuantiseReport

__all__ = [
    "LayerReport",
    "QuantiseOptions",
    "QuantiseReport",
    "WeightBits",
    "parse_weight_bits",
    "quantise",
    "quantise_with_report",
]

ROUNDS = 4
"""Times that layers are fitted again for what their feedback really carries."""


def quantise(
    network: Network,
    options: QuantiseOptions | None = None,
    activity: Mapping[str, np.ndarray] | None = None,
) -> QNetwork:
    """`quantise_with_report` without the report."""
    return quantise_with_report(network, options, activity)[0]


def quantise_with_report(
    network: Network,
    options: QuantiseOptions | None = None,
    activity: Mapping[str, np.ndarray] | None = None,
) -> tuple[QNetwork, QuantiseReport]:
    """The integer network that costs least against the float one, and what it costs.

    `activity`: for each input and population, by name, event counts (any number of steps, n):
    where given, scales are chosen for the sums that these make. Raises `InputError` where the
    network cannot be put in integers of the widths asked for. Populations that no output depends
    on are left out.

    `QNetwork.steps` is set only where a membrane's bound needs it.
    """
    options = options or QuantiseOptions()
    live, dead = live_layers(network)
    check_network(network, live, options, activity)
    bits = options.bits_of(len(live))
    steps = options.steps if options.steps is not None else network.steps
    inputs = tuple(
        QInput(name=i.name, shape=i.shape, max_events=options.own_max_of(i.name))
        for i in network.inputs
    )
    order = [*(i.name for i in inputs), *(population.name for population, _ in live)]
    jobs = [
        LayerJob(
            population,
            drive_of(population, projections, order, network.early),
            b,
            options,
            steps,
            activity,
            early=population.name in network.early,
        )
        for (population, projections), b in zip(live, bits, strict=True)
    ]
    most = {i.name: options.max_of(i.name) for i in inputs}
    _fit(jobs, most, options.max_count)
    graded = options.input.coding in ("spikes", "static")
    payloads = {i.name: options.input.payload_width for i in inputs if graded}
    qnet = QNetwork(
        name=network.name,
        inputs=inputs,
        layers=tuple(job.layer(payloads) for job in jobs),
        outputs=tuple(QOutput(name=out.name, source=out.source) for out in network.outputs),
        input_max=options.max_of(),
        input=options.input,
        steps=steps if any(job.fitted.needs_steps for job in jobs) else None,
        dialect=str(network.dialect),
        dt=network.dt,
    )
    notes = tuple(f"{name}: no output depends on it; it is left out" for name in dead)
    return qnet, QuantiseReport(layers=tuple(job.report() for job in jobs), notes=notes)


def _fit(jobs: list[LayerJob], most: dict[str, int], counted: int) -> None:
    """Fits all neurons. `most`: what an address of each input carries in a step; populations are
    added to it. `counted`: the most that any neuron can count.

    What a feedback carries follows from a fit that needs to know it: it is taken to be the most
    that can be counted, and then, where that turns out to be more than enough, what was found.
    """
    fed_back = {source.name for job in jobs for source in job.drive.sources if source.recurrent}
    multi = {job.name for job in jobs if job.name in fed_back and job.neuron.dialect.multi_spike}
    most |= dict.fromkeys((job.name for job in jobs), 1) | dict.fromkeys(multi, counted)
    for _ in range(ROUNDS):
        found = _fit_once(jobs, most, multi)
        if found == {name: most[name] for name in multi}:
            return
        if any(found[name] > most[name] for name in multi):
            most |= dict.fromkeys(multi, counted)
            _fit_once(jobs, most, multi)
            return
        most |= found


def _fit_once(jobs: list[LayerJob], most: dict[str, int], multi: set[str]) -> dict[str, int]:
    """Fits all neurons, sources first; what those of `multi` can count after it."""
    found = {}
    for job in jobs:
        job.fit(most)
        count = job.fitted.params.max_count
        if job.name in multi:
            found[job.name] = count
        else:
            most[job.name] = count
    return found
