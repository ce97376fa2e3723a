# SPDX-License-Identifier: Apache-2.0
"""The path of a network, a function a step; the commands and the demo are made of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spikefab.boards.fit import check_fit
from spikefab.boards.shell import board_shell
from spikefab.boards.target import Target
from spikefab.gen.cost import predict_cycles
from spikefab.gen.design import Design
from spikefab.gen.emit import TargetInfo, Vectors, emit
from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget, Resources, estimate_link
from spikefab.gen.network import Network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.plan import DEFAULT_RATE, Plan, make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.quantise import quantise_with_report
from spikefab.gen.quantise_report import QuantiseReport
from spikefab.gen.samples import InputSamples, check_labels, load_inputs
from spikefab.gen.share import Share
from spikefab.gen.storage import Choice
from spikefab.hdl.params import (
    FRAMED,
    MAX_PAYLOAD_WIDTH,
    SPIKES,
    Coding,
    CoreParams,
    InputParams,
)
from spikefab.scripts.files import write_whole
from spikefab.sim.activity import record_activity
from spikefab.sim.compare import Mismatch, first_mismatch
from spikefab.sim.encode import encode
from spikefab.sim.golden import run_golden
from spikefab.sim.outputs import joined
from spikefab.sim.rtl import simulate_rtl

__all__ = [
    "MAX_INPUT",
    "CountEvents",
    "Prepared",
    "Samples",
    "compile_design",
    "fit_warnings",
    "locate_mismatch",
    "prepare",
    "read_samples",
    "save_result",
    "shell_resources",
    "target_budget",
]

CountEvents = Literal["one", "each", "auto"]

CALIBRATION_SAMPLES = 256
"""Samples that scales are chosen on."""

PREDICTION_SAMPLES = 64
"""Samples that cycles are predicted for."""

VECTOR_SAMPLES = 4
"""Samples in a design's own test bench."""

MAX_INPUT = 32767
"""Most events that an input may receive in a step."""

RANDOM_STEPS = 16
"""Steps of random samples where nothing says better."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Data that the user gave, or random events where there are none."""

    x: np.ndarray
    y: np.ndarray | None
    given: bool
    input: InputParams = SPIKES
    """How `x` becomes events."""

    @cached_property
    def counts(self) -> np.ndarray:
        """What each input of the first layer receives in each step: (samples, steps, *shape)."""
        return encode(self.input, self.x)

    @property
    def input_max(self) -> int:
        """Most that an input of the first layer receives in a step."""
        return 1 if self.input.spiking else max(1, int(self.counts.max()))

    @property
    def basis(self) -> str:
        """What a prediction on these samples rests on."""
        if self.given:
            n = min(len(self.x), PREDICTION_SAMPLES)
            return f"{'the first ' if n < len(self.x) else ''}{n} samples of the data"
        if self.input.framed:
            return f"random frames, {DEFAULT_RATE:.0%} of the inputs not zero"
        if self.input.coding == "delta":
            return (
                f"random values: {DEFAULT_RATE:.0%} of the inputs not zero in each of "
                f"{self.x.shape[1]} steps"
            )
        return f"random events: {DEFAULT_RATE:.0%} of the inputs in each of {self.x.shape[1]} steps"


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A network in float and in integers."""

    network: Network
    qnet: QNetwork
    report: QuantiseReport


def read_samples(
    network: Network,
    data: Path | None,
    steps: int | None,
    input_max: int | None = None,
    *,
    coding: Coding = "spikes",
    graded: bool = False,
    seed: int = 1,
    threshold: int = 1,
    off: bool = False,
) -> Samples:
    """The user's samples, or the same random ones every time.

    `coding`: what they hold. `graded`: a count is the value of one event. `input_max`: the largest
    number that they may hold; the width of a value is taken from it, else from the samples.
    `seed`: of `rate`; `threshold`, `off`: of `delta`.
    """
    framed = coding in FRAMED
    several = len(network.inputs) > 1
    if several and (coding != "spikes" or graded):
        raise InputError(
            f"{'--graded' if graded else f'--input {coding}'}: the network has "
            f"{len(network.inputs)} inputs, which take plain spikes only so far; leave it out"
        )
    shape = (network.n_inputs,) if several else network.input_shape
    if off:
        if not shape or shape[0] % 2:
            raise InputError(
                f"--delta-off: the network's input has shape {shape}; its first axis must be even: "
                "rises in its first half, falls in the second"
            )
        shape = (shape[0] // 2, *shape[1:])
    y = None
    if data is not None:
        inputs = [
            InputSamples(name=i.name, shape=i.shape if several else shape, max_events=input_max)
            for i in network.inputs
        ]
        x, y = load_inputs(data, inputs, steps, framed=framed)
        if y is not None:
            names = [output.name for output in network.outputs]
            check_labels(y, network.size(network.outputs[0].source), str(data), names)
        if coding == "spikes" and not graded and x.max() > MAX_INPUT:
            raise InputError(
                f"{data}: x holds {int(x.max())} events for one input in one step; a design takes "
                f"at most {MAX_INPUT}: scale them"
            )
    else:
        rng = np.random.default_rng(0)
        lead = (
            (VECTOR_SAMPLES,)
            if framed
            else (VECTOR_SAMPLES, steps or network.steps or RANDOM_STEPS)
        )
        valued = coding != "spikes" or graded
        largest = min(255, input_max or (7 if valued else 1))
        x = rng.integers(1, largest, (*lead, *shape), endpoint=True)
        x = (x * (rng.random(x.shape) < DEFAULT_RATE)).astype(np.uint8)
    largest = int(input_max or x.max())
    params = _coding(coding, graded, steps or network.steps, largest, seed, threshold, off)
    return Samples(x=x, y=y, given=data is not None, input=params)


def _coding(
    coding: Coding,
    graded: bool,
    steps: int | None,
    largest: int,
    seed: int,
    threshold: int,
    off: bool,
) -> InputParams:
    """The input of the core for samples that hold at most `largest`."""
    if coding == "spikes" and not graded:
        return SPIKES
    width = max(1, largest.bit_length())
    if width > MAX_PAYLOAD_WIDTH:
        raise InputError(
            f"--input {coding}: values of up to {largest}; values have at most "
            f"{MAX_PAYLOAD_WIDTH} bits: scale them to 0 to {(1 << MAX_PAYLOAD_WIDTH) - 1}"
        )
    if coding == "delta":
        most = (1 << width) - 1
        if threshold > most:
            raise InputError(
                f"--delta-threshold {threshold}: values of {width} bits change by at most {most}; "
                f"choose 1 to {most}, or say how large values may be with --input-max"
            )
        return InputParams(coding=coding, payload_width=width, threshold=threshold, off=off)
    if coding not in FRAMED:
        return InputParams(coding=coding, payload_width=width)
    if steps is None:
        raise InputError(
            f"--steps: missing; with --input {coding} a sample is one frame, and --steps N says "
            "for how many steps it acts"
        )
    seed = seed if coding == "rate" else 0
    return InputParams(coding=coding, payload_width=width, steps=steps, seed=seed)


def prepare(network: Network, options: QuantiseOptions, calibration: Samples) -> Prepared:
    """Puts a network in integers, with scales chosen on samples where the user gave some."""
    activity = None
    if calibration.given:
        activity = record_activity(network, calibration.counts, CALIBRATION_SAMPLES)
    largest = _input_max(network, options, calibration)
    options = replace(options, input_max=largest, input=calibration.input)
    qnet, report = quantise_with_report(network, options, activity)
    return Prepared(network=network, qnet=qnet, report=report)


def _input_max(
    network: Network, options: QuantiseOptions, calibration: Samples
) -> int | dict[str, int]:
    """Most that an input may receive in a step; of several input nodes, each one's own."""
    if len(network.inputs) == 1:
        largest = calibration.input_max if calibration.given else 1
        if calibration.input.coding in ("spikes", "static"):
            # Any value of the width may come.
            largest = max(largest, options.max_of(), calibration.input.max_value)
        return largest
    ends = np.cumsum([i.n for i in network.inputs])[:-1]
    parts = np.split(calibration.counts, ends, axis=2)
    return {
        i.name: max(options.max_of(i.name), int(x.max()) if calibration.given else 1)
        for i, x in zip(network.inputs, parts, strict=True)
    }


def shell_resources(target: Target, core: CoreParams | None = None) -> Resources:
    """What a target adds around the core; None: around most."""
    return estimate_link(target.family, core) if target.board is not None else Resources()


def target_budget(target: Target) -> Budget:
    """What the mapper may use of a target: what a board's link leaves."""
    c, link = target.capacity, shell_resources(target)
    return Budget(
        family=target.family,
        lut=c.lut - link.lut,
        ff=c.ff - link.ff,
        ram=c.ram - link.ram,
        dsp=c.dsp,
        spram=c.spram,
    )


def compile_design(
    prepared: Prepared,
    target: Target,
    out: Path,
    samples: Samples,
    *,
    lanes: int | Sequence[int] | None = None,
    folds: int | Sequence[int] | None = None,
    storage: Choice | Sequence[Choice] = "auto",
    count_events: CountEvents = "auto",
    clock_hz: float | None = None,
    baud: int | None = None,
    oversize: bool = False,
    share: Share = "auto",
) -> tuple[Design, Plan]:
    """Maps the network onto the target and writes the design directory.

    The samples say how much spikes, which decides lanes and predictions, and are the design's own
    test vectors. `count_events`: what the spikes of a neuron that spikes several times in a step
    are: one event with the count, an event each, or what is faster. Raises `InputError` where the
    target is too small, unless `oversize`.
    """
    qnet = prepared.qnet
    x = samples.x[:PREDICTION_SAMPLES]
    golden = run_golden(qnet, x, full=True)
    counts = encode(samples.input, x)
    spikes = [golden.spikes[layer.name] for layer in qnet.layers]
    rates = _rates(qnet, counts, golden.spikes)
    plan = make_plan(
        qnet,
        target_budget(target),
        lanes=lanes,
        folds=folds,
        rates=rates,
        storage=storage,
        share=share,
        graded=None if count_events == "auto" else count_events == "one",
    )
    fit_warnings(plan, target, asked=lanes is not None, oversize=oversize)
    items = x
    if not plan.structure.is_plain:
        lead = x.shape[: 1 if samples.input.framed else 2]
        items = plan.structure.to_addresses(x.reshape(*lead, -1))
    cycles = predict_cycles(plan.core, items, spikes, golden.steps_used, encoded=counts)
    shell = None
    if target.board is not None:
        shell = board_shell(target.name, plan.core, plan.hash, clock_hz=clock_hz, baud=baud)
    put_out, mem = joined(qnet, golden.spikes, golden.mem)
    predicted = {
        "cycles_per_inference": float(cycles.cycles.mean()),
        "interval_cycles": float(cycles.interval.mean()),
        "basis": samples.basis,
    }
    design = emit(
        plan,
        out,
        target=TargetInfo(
            kind=target.kind,
            name=target.name,
            device=target.device,
            family=target.family,
            clock_hz=clock_hz,
        ),
        shell=shell,
        reference=prepared.network,
        vectors=Vectors(
            x=x[:VECTOR_SAMPLES],
            spikes=put_out[:VECTOR_SAMPLES],
            mem=None if mem is None else mem[:VECTOR_SAMPLES],
            steps_used=golden.steps_used[:VECTOR_SAMPLES],
        ),
        predicted=predicted,
    )
    return design, plan


def fit_warnings(plan: Plan, target: Target, *, asked: bool, oversize: bool = False) -> list[str]:
    """Where the target may be too small. Raises `InputError` where it is. `asked`: for lanes."""
    cure = "fewer --lanes, fewer --weight-bits" if asked else "fewer --weight-bits, less network"
    return check_fit(target, plan.core, title=plan.qnet.name, cure=cure, oversize=oversize)


def _rates(
    qnet: QNetwork, counts: np.ndarray, spikes: dict[str, np.ndarray]
) -> list[float | np.ndarray]:
    """Events of each of each layer's sources in a step, on average."""
    flat = counts.reshape(*counts.shape[:2], -1)
    events = (flat != 0) if qnet.input.payload_width else flat
    sources = {name: events[:, :, part] for name, part in qnet.input_ranges.items()} | spikes
    every = [[sources[edge.source] for edge in layer.edges] for layer in qnet.layers]
    return [np.concatenate(parts, axis=2).mean(axis=(0, 1)) for parts in every]


def save_result(path: Path, arrays: dict[str, Any]) -> None:
    """Writes an `.npz` as a whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda file: np.savez_compressed(file, **arrays))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); choose another folder, or "
            "make room"
        ) from None


def locate_mismatch(
    design: Design, x: np.ndarray, sample: int, message: Callable[[str], None]
) -> Mismatch | None:
    """Simulates one sample again with every layer watched: the first value that differs."""
    qnet = design.qnetwork()
    names = [layer.name for layer in qnet.layers]
    one = x[sample : sample + 1]
    golden = run_golden(qnet, one, record=names)
    result = simulate_rtl(design, one, record=names, message=message)
    labels = ("golden", "rtl")
    spikes = first_mismatch(golden.spikes, result.hidden, labels=labels)
    mem = first_mismatch(golden.mem, result.mem or {}, labels=labels, quantity="membrane")
    found = [m for m in (spikes, mem) if m is not None]
    order = {name: k for k, name in enumerate(names)}
    first = min(found, key=lambda m: (m.step, order[m.layer]), default=None)
    return None if first is None else replace(first, sample=sample)
