# SPDX-License-Identifier: Apache-2.0
"""From a float network to integers: scales, fraction bits, leaks, thresholds, membrane widths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikefab.gen.bounds import accumulator_range
from spikefab.gen.errors import InputError
from spikefab.gen.grid import Grid, find_grid, fit_binary, fit_grid, fit_ternary
from spikefab.gen.leak import leak_ratio
from spikefab.gen.membrane import MembraneFit
from spikefab.gen.network import Network, Population, Projection
from spikefab.gen.options import QuantiseOptions, WeightBits, parse_weight_bits
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.gen.quantise_report import LayerReport, QuantiseReport
from spikefab.hdl.params import NeuronParams, SynapseParams

__all__ = [
    "LayerReport",
    "QuantiseOptions",
    "QuantiseReport",
    "WeightBits",
    "parse_weight_bits",
    "quantise",
    "quantise_with_report",
]

NEAR = 1e-6
"""A gain or decay this close to 1 is 1: float32 noise."""


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

    `activity`: for the input and each population, by name, event counts (any number of steps, n):
    where given, scales are chosen for the sums that these make. Raises `InputError` where the
    network cannot be put in integers of the widths asked for.

    `QNetwork.steps` is set only where a membrane's bound needs it.
    """
    options = options or QuantiseOptions()
    chain = network.chain()
    if not chain:
        raise InputError(f"network {network.name!r} has no neurons: nothing to map")
    bits = options.bits_of(len(chain))
    steps = options.steps if options.steps is not None else network.steps
    _check(chain, activity)
    source_max, layers, reports, bounded = options.input_max, [], [], False
    graded = options.input.coding in ("spikes", "static")
    payload_width = options.input.payload_width if graded else 0
    for (projection, population), b in zip(chain, bits, strict=True):
        recorded = None if activity is None else activity.get(projection.source)
        job = _LayerJob(projection, population, b, options, steps, source_max, recorded)
        layer, report, needs_steps = job.run(payload_width)
        payload_width = 0
        layers.append(layer)
        reports.append(report)
        bounded |= needs_steps
        source_max = layer.neuron.max_count
    qnet = QNetwork(
        name=network.name,
        inputs=(QInput(name=network.input_name, shape=network.input_shape),),
        layers=tuple(layers),
        outputs=(QOutput(name=network.output_name, source=layers[-1].name),),
        input_max=options.input_max,
        input=options.input,
        steps=steps if bounded else None,
        dialect=str(network.dialect),
        dt=network.dt,
    )
    return qnet, QuantiseReport(layers=tuple(reports))


def _check(
    chain: list[tuple[Projection, Population]], activity: Mapping[str, np.ndarray] | None
) -> None:
    problems = []
    for i, (projection, population) in enumerate(chain):
        name, neuron = population.name, population.neuron
        if not neuron.spiking and i + 1 < len(chain):
            problems.append(
                f"node {name!r}: an LI node can only be the last population so far; its "
                "membrane has no spikes to send on"
            )
        if neuron.spiking and not (neuron.threshold > 0).all():
            problems.append(
                f"node {name!r}: threshold {neuron.threshold.min():g}; the hardware needs "
                "thresholds above 0"
            )
        if not ((neuron.decay >= -NEAR) & (neuron.decay <= 1 + NEAR)).all():
            worst = neuron.decay[np.abs(neuron.decay - 0.5).argmax()]
            problems.append(
                f"node {name!r}: a step keeps {worst:g} of the membrane; it must be 0 to 1: "
                "choose a smaller dt"
            )
        if neuron.dialect.state == "carry":
            problems.append(
                f"node {name!r}: state=carry cannot be mapped so far; add ',state=clear' to "
                "the dialect"
            )
        for what, values in (("weights", projection.weight), ("bias", projection.bias)):
            if not np.isfinite(values).all():
                problems.append(f"node {projection.name!r}: its {what} hold NaN or infinity")
        x = None if activity is None else activity.get(projection.source)
        if x is not None and (x.ndim != 2 or x.shape[1] != projection.weight.shape[1]):
            problems.append(
                f"activity of {projection.source!r} has shape {x.shape}; it must be "
                f"(steps, {projection.weight.shape[1]})"
            )
    if problems:
        raise InputError(problems)


class _LayerJob:
    """One layer on its way to integers."""

    def __init__(
        self,
        projection: Projection,
        population: Population,
        bits: WeightBits,
        options: QuantiseOptions,
        steps: int | None,
        source_max: int,
        x: np.ndarray | None,
    ):
        self.source = projection.source
        self.population, self.options, self.steps = population, options, steps
        self.neuron = population.neuron
        self.bits, self.source_max, self.x = bits, source_max, x
        self.width = 2 if bits == "ternary" else int(bits)
        self.notes: list[str] = []
        gain = np.where(np.abs(self.neuron.gain - 1) <= NEAR, 1.0, self.neuron.gain)
        self.effective = projection.weight * gain[:, None]
        self.bias = projection.bias * gain + self.neuron.offset
        self.leak = leak_ratio(self.neuron.decay, options.leak_tolerance)

    def run(self, payload_width: int) -> tuple[QLayer, LayerReport, bool]:
        grid = self._grid()
        acc = accumulator_range(grid.weights, self.source_max)
        fit = MembraneFit(self.population, self.bias, self.leak, grid, self.options, self._note)
        fitted = fit.fit(acc, self.steps)
        layer = QLayer(
            name=self.population.name,
            edges=(dense_edge(self.source, grid.weights),),
            synapse=SynapseParams(
                n_in=grid.weights.shape[1],
                n_out=grid.weights.shape[0],
                weight_width=self.width,
                acc_min=int(acc[0].min()),
                acc_max=int(acc[1].max()),
                payload_width=payload_width,
            ),
            neuron=fitted.params,
            scale=grid.scale,
            weight_exact=grid.exact,
            ternary=self.bits == "ternary",
            bound=fitted.bound,
        )
        report = self._report(grid, fitted.params, fitted.bound, fit)
        report = replace(report, bound_steps=self.steps if fitted.needs_steps else None)
        return layer, report, fitted.needs_steps

    def _grid(self) -> Grid:
        w = self.effective
        per_channel = self.options.per_channel
        if per_channel and not self.neuron.spiking:
            per_channel = False
            self._note("one scale for the layer: an integrator's membranes are compared")
        ternary = self.bits == "ternary"
        # Neurons that differ anyway lose nothing by a scale each.
        varied = self.neuron.spiking and np.ptp(self.neuron.gain) > 0
        for channel in dict.fromkeys((False, per_channel, varied)):
            found = find_grid(w, self.width, bool(channel), ternary)
            if found is not None:
                return found
        threshold = self.neuron.threshold
        unit = float(threshold[0]) if self.neuron.spiking and np.ptp(threshold) == 0 else None
        if ternary:
            return fit_ternary(w, per_channel, self.x, unit)
        if self.width == 1:
            zeros = float((w == 0).mean())
            if zeros:
                self._note(
                    f"{100 * zeros:.2g} % of the weights are 0, which binary weights are not: they "
                    "become +1 LSB; ternary keeps them"
                )
            return fit_binary(w, per_channel, self.x, unit)
        return fit_grid(w, self.width, per_channel, self.x, unit)

    def _note(self, text: str) -> None:
        note = f"{self.population.name}: {text}"
        if note not in self.notes:
            self.notes.append(note)

    def _report(
        self,
        grid: Grid,
        neuron: NeuronParams,
        bound: tuple[int, int] | None,
        fit: MembraneFit,
    ) -> LayerReport:
        w, decay = self.effective, self.neuron.decay
        norm = float(np.linalg.norm(w))
        error = float(np.linalg.norm(w - grid.weights * grid.scale[:, None]))
        off = fit.threshold_error(neuron)
        if off > 0.05:
            self._note(
                f"a threshold of {min(neuron.threshold)} LSBs is off by {100 * off:.2g} %: "
                "more fraction bits would hold it"
            )
        if self.leak.error > self.options.leak_tolerance:
            self._note(
                f"a time constant is off by {100 * self.leak.error:.2g} %: "
                f"decay {decay.max():.9g} is too close to 1 for {self.leak.shift} bits"
            )
        low, high = -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        beyond = w / grid.scale[:, None]
        clipped = 0.0
        if not grid.exact and self.bits not in (1, "ternary"):
            clipped = float(((beyond < low - 0.5) | (beyond > high + 0.5)).mean())
        return LayerReport(
            name=self.population.name,
            weight_bits=self.bits,
            weight_exact=grid.exact,
            scale=float(np.median(grid.scale)),
            per_channel=len(grid.scale) > 1,
            weight_error=0.0 if grid.exact or norm == 0 else error / norm,
            clipped=clipped,
            leak=(float(decay.min()), float(decay.max())),
            leak_ratio=(float(self.leak.value.min()), float(self.leak.value.max())),
            leak_error=self.leak.error,
            threshold_error=off,
            fraction_bits=neuron.fraction_bits,
            membrane_width=neuron.membrane_width,
            bound=bound,
            notes=tuple(self.notes),
        )
