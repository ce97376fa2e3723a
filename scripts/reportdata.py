# SPDX-License-Identifier: Apache-2.0
"""What a report shows, as plain values; every section may be absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "BitSweep",
    "Difference",
    "Figures",
    "LayerInfo",
    "LinkInfo",
    "Raster",
    "ReportData",
    "Resource",
    "Trace",
    "WeightChange",
]

Array = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The numbers at the top. Accuracies are shares of 1; what is None is left out."""

    accuracy_float: float | None = None
    accuracy_integer: float | None = None
    accuracy_board: float | None = None
    samples: int | None = None
    """Images that the float and integer accuracies are over."""
    samples_board: int | None = None
    """Images that went through the board, virtual or real."""
    board_kind: str = "virtual board"
    """What the board was: `virtual board`, or the name of a real one."""
    input_spikes: float | None = None
    """Mean input spikes a sample."""
    layer_spikes: float | None = None
    """Mean spikes a sample that the network's own neurons fire, outputs included."""
    cycles_predicted: float | None = None
    """Mean clock cycles an inference, from the cost model."""
    cycles_measured: float | None = None
    """The same, counted in simulation."""
    interval_cycles: float | None = None
    """Mean cycles from one sample to the next, back to back."""
    fmax_mhz: float | None = None
    """Median over seeds after place and route: the clock that times are computed with."""
    fmax_mhz_seeds: Sequence[float] = ()
    clock_mhz: float | None = None
    """The clock that the design asks for."""


@dataclass(frozen=True, kw_only=True)
class LayerInfo:
    """A projection and its population, for the drawing."""

    name: str
    neurons: int
    lanes: int
    weight_bits: int
    ternary: bool = False
    note: str = ""
    """A few words below the column, such as the leak."""


@dataclass(frozen=True, kw_only=True)
class LinkInfo:
    """What one input or population brings to another, for the drawing."""

    source: str
    target: str
    recurrent: bool = False
    """A step later."""
    note: str = ""
    """A few words, such as a delay."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """Spikes of one sample. `rows`: (population, counts (steps, neurons)), input first."""

    title: str
    rows: Sequence[tuple[str, Array]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """One neuron's membrane through a sample, everything in units of the float network."""

    name: str
    threshold: float | None
    """None for an integrator."""
    integer: Array
    """(steps,) membrane of the integer network."""
    reference: Array | None = None
    """(steps,) membrane of the float network."""
    spikes: Array | None = None
    """(steps,) spikes of the integer network."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightChange:
    """A layer's weights before and after rounding, in the same units."""

    name: str
    before: Array
    after: Array
    bits: int
    ternary: bool = False


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What a part has, and how much of it the design takes after place and route."""

    name: str
    used: int
    available: int


@dataclass(frozen=True, kw_only=True)
class BitSweep:
    """Integer accuracy for several weight widths."""

    bits: Sequence[int]
    accuracy: Sequence[float]
    """Shares of 1, one for each width."""
    accuracy_float: float | None = None
    chosen: int | None = None
    """The width of the design."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a layer's integer spikes are from the float reference's."""

    name: str
    spikes_float: int
    spikes_integer: int
    differing: int
    """Neuron-steps in which the two differ."""
    neuron_steps: int
    share_by_step: Sequence[float] = ()
    """Share of the neurons that differ in each step."""
    samples_differing: int | None = None
    samples: int | None = None
    largest_membrane: float | None = None
    """Largest difference of a membrane, in thresholds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportData:
    """One report. A section that is None, or empty, leaves no trace on the page."""

    name: str
    """The design's name."""
    hash: str | None = None
    """The design's hash, 32 hex characters."""
    target: str | None = None
    """Board or part, in words."""
    version: str | None = None
    """Version of spikefab."""
    summary: str | None = None
    """A sentence below the title."""
    figures: Figures | None = None
    input: tuple[str, int] | None = None
    """The input's name and size; the drawing needs it."""
    layers: Sequence[LayerInfo] = ()
    inputs: Sequence[tuple[str, int]] = ()
    """Each input's name and size, where `links` are given."""
    links: Sequence[LinkInfo] = ()
    """What drives what; none: each layer drives the next."""
    outputs: Sequence[tuple[str, str]] = ()
    """Each output's name, and the layer that it shows, where `links` are given."""
    raster: Raster | None = None
    traces: Sequence[Trace] = ()
    weights: Sequence[WeightChange] = ()
    resources: Sequence[Resource] = ()
    bit_sweep: BitSweep | None = None
    confusion: Array | None = None
    """Counts (classes, classes): rows are labels, columns the integer network's answers."""
    class_names: Sequence[str] = field(default_factory=tuple)
    """Names of the classes; default: 0, 1, …"""
    differences: Sequence[Difference] = ()
    notes: Sequence[str] = ()
    """What the importer assumed, what was measured how; listed at the end."""
