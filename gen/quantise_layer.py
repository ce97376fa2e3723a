# SPDX-License-Identifier: Apache-2.0
"""One population and what drives it, on the way to integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikefab.gen.bounds import accumulator_range
from spikefab.gen.conv import conv_range
from spikefab.gen.drive import Drive, Source
from spikefab.gen.grid import Grid, find_grid, fit_binary, fit_grid, fit_ternary
from spikefab.gen.leak import LeakRatio, leak_ratio
from spikefab.gen.membrane import FittedNeuron, MembraneFit
from spikefab.gen.network import Population
from spikefab.gen.options import QuantiseOptions, WeightBits
from spikefab.gen.qnetwork import ConvConnection, QEdge, QLayer, dense_edge
from spikefab.gen.quantise_report import CurrentReport, LayerReport
from spikefab.gen.scale_choice import choose_scales, threshold_is_all
from spikefab.gen.shared_drive import PATCH_STEPS, patches
from spikefab.hdl.conv_params import ConvParams
from spikefab.hdl.params import SynapseParams

__all__ = ["LayerJob"]


class LayerJob:
    """Its weights are put on a grid at once; `fit` finds its neurons' numbers.

    `activity`: event counts (steps, n) by source. `early`: its neurons put out each step's own
    spikes, whatever their dialect says.
    """

    fitted: FittedNeuron

    def __init__(
        self,
        population: Population,
        drive: Drive,
        bits: WeightBits,
        options: QuantiseOptions,
        steps: int | None,
        activity: Mapping[str, np.ndarray] | None,
        *,
        early: bool = False,
    ):
        self.population, self.options, self.steps = population, options, steps
        self.drive, self.early = drive, early
        self.name, self.neuron, self.bits = population.name, population.neuron, bits
        self.width = 2 if bits == "ternary" else int(bits)
        self.notes: list[str] = []
        self.leak = leak_ratio(self.neuron.decay, options.leak_tolerance)
        current = self.neuron.current
        self.current_leak = (
            None if current is None else leak_ratio(current.decay, options.leak_tolerance)
        )
        self.grid = self._grid(_recorded(drive, activity))
        self._own_notes = len(self.notes)

    def fit(self, most: Mapping[str, int]) -> None:
        """Finds the neurons' numbers. `most`: what an address of each source carries in a step."""
        del self.notes[self._own_notes :]
        low = high = np.zeros(self.population.n, np.int64)
        for source, part in zip(self.drive.sources, self.drive.columns(), strict=True):
            weights, largest = self.grid.weights[:, part], most[source.name]
            if source.conv is None:
                ends = accumulator_range(weights, largest)
            else:
                ends = conv_range(source.conv, _kernel(source.conv, weights), largest)
            low, high = low + ends[0], high + ends[1]
        self.acc = low, high
        self.membrane = MembraneFit(
            self.population,
            self.drive,
            self.leak,
            self.current_leak,
            self._neurons(self.grid),
            self.options,
            self._note,
        )
        fitted = self.membrane.fit(self.acc, self.steps)
        if self.early:
            fitted = replace(fitted, params=replace(fitted.params, output_lag=False))
        self.fitted = fitted

    def layer(self, payloads: Mapping[str, int]) -> QLayer:
        """The integers. `payloads`: bits of the values that sources' events carry, if they do."""
        columns = self.drive.columns()
        edges = tuple(
            _edge(source, self.grid.weights[:, part])
            for source, part in zip(self.drive.sources, columns, strict=True)
        )
        return QLayer(
            name=self.name,
            edges=edges,
            synapse=SynapseParams(
                n_in=sum(edge.n_source for edge in edges),
                n_out=self.population.n,
                weight_width=self.width,
                acc_min=int(self.acc[0].min()),
                acc_max=int(self.acc[1].max()),
                payload_width=max(payloads.get(s.name, 0) for s in self.drive.sources),
            ),
            neuron=self.fitted.params,
            scale=self._neurons(self.grid).scale,
            weight_exact=self.grid.exact,
            ternary=self.bits == "ternary",
            bound=self.fitted.bound,
        )

    def _grid(self, x: np.ndarray | None) -> Grid:
        w = self.drive.weight
        per_channel = self.options.per_channel
        if per_channel and not self.neuron.spiking:
            per_channel = False
            self._note("one scale for the layer: an integrator's membranes are compared")
        ternary = self.bits == "ternary"
        # Neurons that differ anyway lose nothing by a scale each.
        varied = self.neuron.spiking and any(np.ptp(gain) > 0 for gain in self._gains())
        leaks = [leak for leak in (self.leak, self.current_leak) if leak is not None]
        cheap = per_channel is None and threshold_is_all(self.neuron, self.drive, leaks)
        for channel in dict.fromkeys((False, bool(per_channel), varied or cheap)):
            found = find_grid(w, self.width, channel, ternary)
            if found is not None:
                return found
        if per_channel is None:
            per_channel, note = choose_scales(self.neuron, self.drive, cheap)
            if note is not None:
                self._note(note)
        threshold = self.neuron.threshold
        shared = self.neuron.spiking and np.ptp(threshold) == 0 and threshold[0] > 0
        unit = float(threshold[0]) if shared else None
        if ternary:
            return fit_ternary(w, per_channel, x, unit)
        if self.width == 1:
            zeros = float((w == 0).mean())
            if zeros:
                self._note(
                    f"{100 * zeros:.2g} % of the weights are 0, which binary weights are not: they "
                    "become +1 LSB; ternary keeps them"
                )
            return fit_binary(w, per_channel, x, unit)
        return fit_grid(w, self.width, per_channel, x, unit)

    def _neurons(self, grid: Grid) -> Grid:
        """The grid with a scale a neuron where rows have their own."""
        if len(grid.scale) == 1:
            return grid
        return Grid(grid.weights, np.repeat(grid.scale, self.drive.positions), grid.exact)

    def _note(self, text: str) -> None:
        note = f"{self.name}: {text}"
        if note not in self.notes:
            self.notes.append(note)

    def _current_report(self) -> CurrentReport | None:
        current, leak, params = self.neuron.current, self.current_leak, self.fitted.params.current
        if current is None or leak is None or params is None:
            return None
        self._check_leak("synaptic time constant", leak, current.decay)
        return CurrentReport(
            leak=(float(current.decay.min()), float(current.decay.max())),
            leak_ratio=(float(leak.value.min()), float(leak.value.max())),
            leak_error=leak.error,
            width=params.width,
        )

    def _check_leak(self, what: str, leak: LeakRatio, decay: np.ndarray) -> None:
        if leak.error > self.options.leak_tolerance:
            self._note(
                f"a {what} is off by {100 * leak.error:.2g} %: decay {decay.max():.9g} is too "
                f"close to 1 for {leak.shift} bits"
            )

    def _gains(self) -> list[np.ndarray]:
        current = self.neuron.current
        return [self.neuron.gain, *([] if current is None else [current.gain])]

    def report(self) -> LayerReport:
        """What rounding did."""
        neuron, grid, bound = self.fitted.params, self.grid, self.fitted.bound
        w, decay = self.drive.weight, self.neuron.decay
        norm = float(np.linalg.norm(w))
        error = float(np.linalg.norm(w - grid.weights * grid.scale[:, None]))
        off = self.membrane.threshold_error(neuron)
        if off > 0.05:
            self._note(
                f"a threshold of {min(neuron.threshold)} LSBs is off by {100 * off:.2g} %: "
                "more fraction bits would hold it"
            )
        self._check_leak("time constant", self.leak, decay)
        low, high = -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        beyond = w / grid.scale[:, None]
        clipped = 0.0
        if not grid.exact and self.bits not in (1, "ternary"):
            clipped = float(((beyond < low - 0.5) | (beyond > high + 0.5)).mean())
        current = self._current_report()
        return LayerReport(
            name=self.name,
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
            bound_steps=self.steps if self.fitted.needs_steps else None,
            current=current,
        )


def _kernel(conv: ConvParams, weights: np.ndarray) -> np.ndarray:
    return weights.reshape(conv.out_channels, -1, *conv.kernel)


def _edge(source: Source, weights: np.ndarray) -> QEdge:
    if source.conv is None:
        return dense_edge(source.name, weights, recurrent=source.recurrent, delays=source.delays)
    kernel = _kernel(source.conv, weights).astype(np.int8)
    return QEdge(
        source=source.name,
        connection=ConvConnection(params=source.conv, kernel=kernel),
        recurrent=source.recurrent,
        delays=source.delays,
    )


def _recorded(drive: Drive, activity: Mapping[str, np.ndarray] | None) -> np.ndarray | None:
    """Counts of all sources side by side, (steps, columns); None where one is not known."""
    if activity is None or any(source.name not in activity for source in drive.sources):
        return None
    # A recurrent source's step acts in the next one; that a sample's last step then meets the next
    # sample's first does not matter for a scale. Neither does what of a delay is a weight's own.
    counts = [_late(source, activity[source.name]) for source in drive.sources]
    if any(source.conv is not None for source in drive.sources):
        active = np.flatnonzero(np.any([x.any(axis=1) for x in counts], axis=0))
        if not len(active):
            return None
        chosen = np.linspace(0, len(active) - 1, min(len(active), PATCH_STEPS)).astype(int)
        counts = [
            x if source.conv is None else patches(source.conv, x[active[chosen]])
            for source, x in zip(drive.sources, counts, strict=True)
        ]
    return np.concatenate(counts, axis=1)


def _late(source: Source, counts: np.ndarray) -> np.ndarray:
    """Counts (steps, n) of a source in the steps in which they act."""
    steps = np.zeros(counts.shape[1], int) + source.recurrent
    if source.delays is not None and source.delays.ndim == 1:
        steps = steps + source.delays
    if not steps.any():
        return counts
    rows = (np.arange(len(counts))[:, None] - steps) % max(1, len(counts))
    return np.take_along_axis(counts, rows, 0)
