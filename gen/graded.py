# SPDX-License-Identifier: Apache-2.0
"""Which populations send one event with a count, where they would send an event a spike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import exp

from spikefab.gen.errors import InputError
from spikefab.hdl.params import INPUT, CoreParams, LayerParams

__all__ = ["SAVED", "graded_events"]

SAVED = 0.1
"""Share of the events that must be saved, by default: a value costs its layers' lanes a product,
and up to two cycles of latency."""


def graded_events(
    core: CoreParams,
    rates: Sequence[float],
    wanted: bool | None,
    fits: Callable[[CoreParams], bool],
) -> CoreParams:
    """The core with one event a neuron and step, of value k where it spikes k times.

    `rates`: events a source a step into each layer. `wanted`: for all populations that can, or for
    none; None: for those where, were spikes independent of each other, `SAVED` of the events would
    be saved, as long as the core `fits`. A population that is an output keeps an event a spike.
    Raises `InputError` where they are asked for and no population can have them.
    """
    able = [
        k
        for k, layer in enumerate(core.layers)
        if layer.neuron.count_width > 1
        and k not in core.output_layers
        # Events that go to, or come from, a shared engine have no values.
        and not any(first - 1 <= k <= last for first, last in core.shared)
    ]
    if wanted and not able:
        raise InputError(
            "--count-events one: no population but the outputs spikes more than once in a step; "
            "leave it out"
        )
    if wanted is not None:
        return _with(core, able if wanted else [])
    for k in sorted(able, key=lambda k: -_rate(core, rates, k)):
        rate = _rate(core, rates, k)
        if rate <= 0 or 1 - (1 - exp(-rate)) / rate < SAVED:
            break
        already = [j for j, layer in enumerate(core.layers) if layer.graded]
        more = _with(core, [*already, k])
        core = more if fits(more) else core
    return core


def _rate(core: CoreParams, rates: Sequence[float], k: int) -> float:
    """Spikes a neuron and step of population k, as far as the rates tell."""
    return max(
        (
            rate
            for rate, ports in zip(rates, core.layer_ports, strict=True)
            if any(port.source == k for port in ports)
        ),
        default=0.0,
    )


def _with(core: CoreParams, graded: Sequence[int]) -> CoreParams:
    """The core whose populations `graded`, and no others, put values on their events."""
    layers = [replace(layer, graded=k in graded) for k, layer in enumerate(core.layers)]
    made: list[LayerParams] = []
    for layer, ports in zip(layers, core.layer_ports, strict=True):
        sources = [port.source for port in ports if port.size]
        widths = [layers[k].event_width for k in sources if k != INPUT]
        if INPUT in sources and core.input.coding in ("spikes", "static"):
            widths.append(core.input.payload_width)
        synapse = replace(layer.synapse, payload_width=max(widths, default=0))
        made.append(replace(layer, synapse=synapse))
    return replace(core, layers=tuple(made))
