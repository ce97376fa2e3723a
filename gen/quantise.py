# SPDX-License-Identifier: Apache-2.0
"""From a float network to integers: scales, fraction bits, leaks, thresholds, membrane widths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, log2
from typing import Literal, get_args

import numpy as np

from spikefab.gen.bounds import accumulator_range, membrane_bound, signed_width
from spikefab.gen.errors import InputError
from spikefab.gen.grid import Grid, find_grid, fit_grid, fit_ternary
from spikefab.gen.leak import LeakRatio, leak_ratio
from spikefab.gen.network import Network, Neuron, Population, Projection
from spikefab.gen.qnetwork import QLayer, QNetwork
from spikefab.hdl.params import MAX_MEMBRANE_WIDTH, NeuronParams, Rounding, SynapseParams

__all__ = [
    "LayerReport",
    "QuantiseOptions",
    "QuantiseReport",
    "WeightBits",
    "parse_weight_bits",
    "quantise",
    "quantise_with_report",
]

WeightBits = int | Literal["ternary"]

MAX_FRACTION_BITS = 24
EXACT_FRACTION_BITS = 12
"""Fraction bits that are spent, at most, to hold constants exactly."""
NEAR = 1e-6
"""Relative float32 noise of a constant that is meant to be a whole number of LSBs."""


@dataclass(frozen=True, kw_only=True)
class QuantiseOptions:
    """How to turn floats into integers. Raises `InputError` with every bad field."""

    weight_bits: WeightBits | tuple[WeightBits, ...] = 6
    """Bits of a weight, 1 to 8, or "ternary"; one for all layers, or one a layer. 1 bit holds 0
    and -1 only and is refused where the weights are not that."""
    per_channel: bool = False
    """A scale for each output neuron instead of one for the layer."""
    membrane_bits: int | None = None
    """Most bits of a membrane. None: as many as the bound needs."""
    fraction_bits: int | None = None
    """Bits of the membrane below a weight LSB. None: chosen from thresholds and leaks."""
    leak_rounding: Rounding | None = None
    """None: "nearest", or "toward-zero" where the dialect says decay=round12."""
    leak_tolerance: float = 0.01
    """Largest relative change of a time constant."""
    input_max: int = 1
    """Most events that one input receives in one step."""
    steps: int | None = None
    """Most steps a sample; None: the network's own, or any number."""

    def __post_init__(self) -> None:
        problems = []
        bits = self.weight_bits if isinstance(self.weight_bits, tuple) else (self.weight_bits,)
        if not bits:
            problems.append("weight_bits = (): give one number, or one a layer")
        for b in bits:
            if b != "ternary" and not (_whole(b) and 1 <= int(b) <= 8):
                problems.append(f"weight_bits = {b!r}: must be 1 to 8, or 'ternary'")
        if self.membrane_bits is not None and not (
            _whole(self.membrane_bits) and 2 <= self.membrane_bits <= MAX_MEMBRANE_WIDTH
        ):
            problems.append(
                f"membrane_bits = {self.membrane_bits!r}: must be 2 to {MAX_MEMBRANE_WIDTH}"
            )
        if self.fraction_bits is not None and not (
            _whole(self.fraction_bits) and 0 <= self.fraction_bits <= MAX_FRACTION_BITS
        ):
            problems.append(
                f"fraction_bits = {self.fraction_bits!r}: must be 0 to {MAX_FRACTION_BITS}"
            )
        if self.leak_rounding is not None and self.leak_rounding not in get_args(Rounding):
            problems.append(
                f"leak_rounding = {self.leak_rounding!r}: must be one of "
                + ", ".join(get_args(Rounding))
            )
        if not 0 <= self.leak_tolerance < 1:
            problems.append(f"leak_tolerance = {self.leak_tolerance!r}: must be 0 to below 1")
        if not (_whole(self.input_max) and 1 <= self.input_max <= 32767):
            problems.append(f"input_max = {self.input_max!r}: must be 1 to 32767")
        if self.steps is not None and not (_whole(self.steps) and self.steps >= 1):
            problems.append(f"steps = {self.steps!r}: must be at least 1")
        if problems:
            raise InputError(problems)

    def bits_of(self, n_layers: int) -> list[WeightBits]:
        """Weight bits for each of `n_layers` layers."""
        if not isinstance(self.weight_bits, tuple):
            return [self.weight_bits] * n_layers
        if len(self.weight_bits) == 1:
            return list(self.weight_bits) * n_layers
        if len(self.weight_bits) != n_layers:
            raise InputError(
                f"weight_bits has {len(self.weight_bits)} entries; the network has {n_layers} "
                "layers: give one number, or one a layer"
            )
        return list(self.weight_bits)


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def parse_weight_bits(text: str) -> WeightBits | tuple[WeightBits, ...]:
    """Reads the command line's `N`, `N,N,…` or `ternary`."""
    parts: list[WeightBits] = []
    for part in (p.strip() for p in text.split(",")):
        if part == "ternary":
            parts.append("ternary")
        elif part.isdecimal() and 1 <= int(part) <= 8:
            parts.append(int(part))
        else:
            raise InputError(f"weight bits {text!r}: {part!r} must be 1 to 8, or 'ternary'")
    return parts[0] if len(parts) == 1 else tuple(parts)


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """What rounding one layer did."""

    name: str
    weight_bits: WeightBits
    weight_exact: bool
    scale: float
    """Float value of a weight LSB; the median one where channels have their own."""
    per_channel: bool
    weight_error: float
    """Relative error of the weights, ``|W - Wq| / |W|`` (Frobenius); 0 where they are exact."""
    clipped: float
    """Share of the weights that lie beyond the ends of the grid."""
    leak: tuple[float, float]
    """Smallest and largest decay of the float network."""
    leak_ratio: tuple[float, float]
    """The same after rounding."""
    leak_error: float
    """Largest relative change of a time constant."""
    threshold_error: float
    """Largest relative change of a threshold; 0 for an integrator."""
    fraction_bits: int
    membrane_width: int
    bound: tuple[int, int] | None
    """Membranes that can occur, in membrane LSBs; None: clamped."""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        bits = self.weight_bits if self.weight_bits == "ternary" else f"{self.weight_bits}-bit"
        cost = "exact" if self.weight_exact else f"off by {100 * self.weight_error:.2g} %"
        room = "clamped" if self.bound is None else f"bound {self.bound[0]} to {self.bound[1]}"
        return (
            f"{self.name}: {bits} weights, {cost}, scale {self.scale:.6g}"
            f"{' a channel' if self.per_channel else ''}; leak {self.leak_ratio[1]:.6g} for "
            f"{self.leak[1]:.6g}; {self.membrane_width}-bit membranes, {self.fraction_bits} "
            f"fraction bits, {room}"
        )


@dataclass(frozen=True, kw_only=True)
class QuantiseReport:
    """What rounding a network did, for the user to read."""

    layers: tuple[LayerReport, ...]

    def lines(self) -> list[str]:
        """A line a layer, then its notes."""
        return [line for layer in self.layers for line in (str(layer), *layer.notes)]


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
    for (projection, population), b in zip(chain, bits, strict=True):
        recorded = None if activity is None else activity.get(projection.source)
        job = _LayerJob(projection, population, b, options, steps, source_max, recorded)
        layer, report, needs_steps = job.run()
        layers.append(layer)
        reports.append(report)
        bounded |= needs_steps
        source_max = layer.neuron.max_count
    qnet = QNetwork(
        name=network.name,
        input_name=network.input_name,
        input_shape=network.input_shape,
        output_name=network.output_name,
        layers=tuple(layers),
        input_max=options.input_max,
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
        self.population, self.options, self.steps = population, options, steps
        self.neuron: Neuron = population.neuron
        self.bits, self.source_max, self.x = bits, source_max, x
        self.width = 2 if bits == "ternary" else int(bits)
        self.notes: list[str] = []
        gain = np.where(np.abs(self.neuron.gain - 1) <= NEAR, 1.0, self.neuron.gain)
        self.effective = projection.weight * gain[:, None]
        self.bias = projection.bias * gain + self.neuron.offset
        self.leak: LeakRatio = leak_ratio(self.neuron.decay, options.leak_tolerance)
        d = self.neuron.dialect
        # Then a threshold's value matters only to the next whole LSB.
        self.only_compared = d.reset != "subtract" and not d.multi_spike

    def run(self) -> tuple[QLayer, LayerReport, bool]:
        grid = self._grid()
        acc = accumulator_range(grid.weights, self.source_max)
        neuron, bound, needs_steps = self._fit(grid, acc)
        layer = QLayer(
            name=self.population.name,
            weights=grid.weights,
            synapse=SynapseParams(
                n_in=grid.weights.shape[1],
                n_out=grid.weights.shape[0],
                weight_width=self.width,
                acc_min=int(acc[0].min()),
                acc_max=int(acc[1].max()),
            ),
            neuron=neuron,
            scale=grid.scale,
            weight_exact=grid.exact,
            ternary=self.bits == "ternary",
            bound=bound,
        )
        return layer, self._report(grid, neuron, bound), needs_steps

    # Weights

    def _grid(self) -> Grid:
        name, w = self.population.name, self.effective
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
        if self.width == 1:
            raise InputError(
                f"node {name!r}: 1-bit weights are 0 and -1 times a scale, and the layer has "
                "others; use at least 2 bits, or ternary"
            )
        threshold = self.neuron.threshold
        unit = float(threshold[0]) if self.neuron.spiking and np.ptp(threshold) == 0 else None
        if ternary:
            return fit_ternary(w, per_channel, self.x, unit)
        return fit_grid(w, self.width, per_channel, self.x, unit)

    # Membranes

    def _fit(
        self, grid: Grid, acc: tuple[np.ndarray, np.ndarray]
    ) -> tuple[NeuronParams, tuple[int, int] | None, bool]:
        """The widest fraction that fits: (neuron, bound, whether the bound needs `steps`)."""
        o = self.options
        limit = o.membrane_bits if o.membrane_bits is not None else MAX_MEMBRANE_WIDTH
        best = o.fraction_bits if o.fraction_bits is not None else self._fraction_bits(grid)
        coarsest = best
        if o.fraction_bits is None:
            # Below 64 LSBs a threshold, the rounding of a leak begins to move spikes.
            reach = self._reach(grid)
            enough = 0 if reach <= 0 else ceil(log2(64 / reach))
            coarsest = min(best, max(0, enough))
        bounded = True
        for f in range(best, coarsest - 1, -1):
            neuron = self._neuron(grid, f)
            bound = membrane_bound(neuron, acc, self.steps)
            if bound is None:
                bounded = False
                break
            if neuron.count_width > 1:
                neuron = replace(neuron, count_width=self._count_width(neuron, bound.u_hi))
            if bound.width <= limit:
                if f < best:
                    self._note(f"{f} fraction bits instead of {best}, to fit {limit} bits")
                neuron = replace(neuron, membrane_width=bound.width)
                return neuron, bound.layer, bound.steps is not None
        return self._clamped(grid, acc, best, bounded), None, False

    def _clamped(
        self, grid: Grid, acc: tuple[np.ndarray, np.ndarray], best: int, bounded: bool
    ) -> NeuronParams:
        """A membrane that saturates at the width asked for, or at a default one."""
        o = self.options
        coarsest = best if o.fraction_bits is not None else 0
        for f in range(best, coarsest - 1, -1):
            neuron = self._neuron(grid, f)
            constants = [0, *neuron.v_init, *neuron.v_reset, *(neuron.v_min or ())]
            largest = max(neuron.threshold) if neuron.spiking else 1
            need = signed_width(min(constants), max(*constants, largest + (neuron.compare == "gt")))
            # Room for what a step can add: without it the clamp would act all the time.
            step = max(-int(acc[0].min()), int(acc[1].max()), 1) << f
            room = max(4 * step, 16 * largest) if neuron.spiking else 256 * step
            wanted = max(need, signed_width(-room, room))
            if o.membrane_bits is None:
                width = min(wanted, MAX_MEMBRANE_WIDTH)
                comfortable = need <= width
            else:
                width = o.membrane_bits
                comfortable = need + 1 <= width or (f == coarsest and need <= width)
            if comfortable:
                break
        else:
            raise InputError(
                f"node {self.population.name!r}: thresholds and constants need {need} membrane "
                f"bits at {coarsest} fraction bits, and {width} are allowed; use "
                "more membrane bits, fewer fraction bits, or fewer weight bits"
            )
        if bounded:
            why = f"its bound needs more than {width} bits"
        elif self.steps is None:
            why = "it has no finite bound without a number of steps a sample"
        else:
            why = f"it has no finite bound in {self.steps} steps"
        self._note(f"the membrane is clamped to {width} bits: {why}")
        neuron = replace(neuron, membrane_width=width, saturate=True)
        if neuron.count_width > 1:
            most = (1 << (width - 1)) + (acc[1] << neuron.fraction_bits) + max(0, *neuron.bias, 0)
            neuron = replace(neuron, count_width=self._count_width(neuron, most))
        return neuron

    def _count_width(self, neuron: NeuronParams, u_hi: np.ndarray) -> int:
        threshold = np.array(neuron.threshold, dtype=np.int64)
        slack = neuron.compare == "gt"
        most = int(np.maximum((u_hi - slack) // threshold, 1).max())
        if most > neuron.max_count:
            self._note(
                f"a neuron spikes at most {neuron.max_count} times a step; the weights could "
                f"make it {most}: raise its threshold, or lower the input's counts"
            )
        return min(most.bit_length(), neuron.count_width)

    def _reach(self, grid: Grid) -> float:
        """Weight LSBs of what a membrane is measured against: the smallest threshold."""
        if self.neuron.spiking:
            return float((self.neuron.threshold / grid.scale).min())
        return float(max(1, np.abs(grid.weights.astype(int)).max()))

    def _fraction_bits(self, grid: Grid) -> int:
        """Enough for constants to be exact where that is cheap, else for errors to stay small."""
        reach = self._reach(grid)
        exact = self._exact_fraction_bits(grid)
        decay = self.leak.value
        still = bool(((decay == 1) | (decay == 0)).all())
        if still:
            # Nothing is ever rounded once the constants are whole numbers.
            if exact is not None:
                return max(exact, ceil(-log2(reach)))
            target = 1024.0
        else:
            # A leak's rounding error adds up to about half an LSB times 1 / (1 - decay).
            slowest = float(1 - decay[decay < 1].max())
            target = min(max(256.0, 32 / slowest), 16384.0)
        f = max(0, ceil(log2(target / reach)))
        if exact is not None and f < exact <= f + 4:
            f = exact
        return min(f, MAX_FRACTION_BITS)

    def _exact_fraction_bits(self, grid: Grid) -> int | None:
        """Fewest fraction bits at which every constant is a whole number of LSBs."""
        values = [self.bias, self.neuron.v_init]
        if self.neuron.spiking and not self.only_compared:
            values.append(self.neuron.threshold)
        if self.neuron.dialect.reset == "value":
            values.append(self.neuron.v_reset)
        if self.neuron.v_min is not None:
            values.append(self.neuron.v_min)
        lsb = np.stack([value / grid.scale for value in values])
        for f in range(EXACT_FRACTION_BITS + 1):
            scaled = lsb * 2.0**f
            if (np.abs(scaled - np.rint(scaled)) <= NEAR * np.maximum(1, np.abs(scaled))).all():
                return f
        return None

    def _neuron(self, grid: Grid, f: int) -> NeuronParams:
        """The layer's neurons at `f` fraction bits, with the widest membrane."""
        d, source = self.neuron.dialect, self.neuron
        lsb = grid.scale / 2.0**f

        def whole(values: np.ndarray) -> tuple[int, ...]:
            return _shared(np.rint(values / lsb))

        for what, values in (
            ("threshold", source.threshold),
            ("bias", self.bias),
            ("initial membrane", source.v_init),
            ("reset membrane", source.v_reset),
        ):
            if np.abs(values / lsb).max() >= 1 << (MAX_MEMBRANE_WIDTH - 1):
                raise InputError(
                    f"node {self.population.name!r}: a {what} of {np.abs(values).max():g} is "
                    f"more than {MAX_MEMBRANE_WIDTH} bits of its LSB, {lsb.min():.3g}; use fewer "
                    "fraction bits or larger weights"
                )
        bias, v_init = whole(self.bias), whole(source.v_init)
        rounding = self.options.leak_rounding or (
            "toward-zero" if d.decay == "round12" else "nearest"
        )
        v_min = None if source.v_min is None else whole(source.v_min)
        common = NeuronParams(
            n=self.population.n,
            spiking=False,
            reset="none",
            fraction_bits=f,
            membrane_width=MAX_MEMBRANE_WIDTH,
            leak_num=_shared(self.leak.num),
            leak_shift=self.leak.shift,
            leak_rounding=rounding,
            bias=bias,
            v_init=v_init,
            v_min=v_min,
        )
        if not source.spiking:
            return common
        v_reset = whole(source.v_reset) if d.reset == "value" else (0,)
        return replace(
            common,
            spiking=True,
            threshold=self._threshold(lsb),
            v_reset=v_reset,
            compare=d.compare,
            reset="zero" if d.reset == "value" and v_reset == (0,) else d.reset,
            reset_time=d.reset_time,
            reset_correction=d.reset_correction,
            output_lag=d.output_lag,
            count_width=8 if d.multi_spike else 1,
        )

    def _threshold(self, lsb: np.ndarray) -> tuple[int, ...]:
        """Membrane LSBs. A hard reset only compares, and then there is an exact integer:
        u*lsb > th is u > floor(th/lsb), u*lsb >= th is u >= ceil(th/lsb). A reset by subtraction,
        and a count of spikes, also use its size: nearest."""
        ratio = self.neuron.threshold / lsb
        nearest = np.rint(ratio)
        if self.only_compared:
            cut = np.floor(ratio) if self.neuron.dialect.compare == "gt" else np.ceil(ratio)
            meant = np.abs(ratio - nearest) <= NEAR * np.maximum(1, ratio)
            nearest = np.where(meant, nearest, cut)
        return _shared(np.maximum(nearest, 1))

    # Report

    def _note(self, text: str) -> None:
        note = f"{self.population.name}: {text}"
        if note not in self.notes:
            self.notes.append(note)

    def _report(
        self, grid: Grid, neuron: NeuronParams, bound: tuple[int, int] | None
    ) -> LayerReport:
        w, decay = self.effective, self.neuron.decay
        norm = float(np.linalg.norm(w))
        error = float(np.linalg.norm(w - grid.weights * grid.scale[:, None]))
        lsb = grid.scale / 2.0**neuron.fraction_bits
        off = 0.0
        if neuron.spiking:
            off = float(np.abs(np.array(neuron.threshold) * lsb / self.neuron.threshold - 1).max())
            if off > 0.05:
                self._note(
                    f"a threshold is off by {100 * off:.2g} % in {max(neuron.threshold)} LSBs: "
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
        if not grid.exact and self.bits != "ternary":
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


def _shared(values: np.ndarray) -> tuple[int, ...]:
    """One integer where all are the same, else all."""
    whole = [int(value) for value in values]
    return tuple(whole[:1]) if len(set(whole)) == 1 else tuple(whole)
