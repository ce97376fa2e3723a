# SPDX-License-Identifier: Apache-2.0
"""The float reference: a network as its source framework runs it, in float32, step by step.

Populations are computed one after the other, each over all steps, in the order of
`Network.layers`; those that a recurrent edge ties together, step by step. A recurrent edge
carries what its source's membranes of the step before make it put out: its output of the step
before, or, where the dialect's output lags, its output of this step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.network import Network, Population
from spikefab.sim.reference_neuron import FloatNeurons
from spikefab.sim.reference_path import Path, Walk
from spikefab.sim.reference_shift import ShiftNeurons

__all__ = ["ReferenceResult", "run_reference"]

Array = np.ndarray
CHUNK_VALUES = 1 << 24
"""Values of the widest layer, over samples and steps, that are held at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceResult:
    """What each population did."""

    spikes: dict[str, Array]
    """int16 (samples, steps, n) by population; 0 where it puts out its membrane."""
    mem: dict[str, Array] | None
    """float32 (samples, steps, n), after each step: of every population where recorded, else of
    those that put it out (LI, CubaLI, I); None where there is neither."""


def run_reference(
    network: Network,
    x: Array | Mapping[str, Array],
    *,
    record: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReferenceResult:
    """Runs samples through a network.

    `x` holds input counts, int (samples, steps, *input shape); of several inputs the arrays by
    name, or all values one after the other. `record` keeps every membrane. With `state=carry` a
    sample begins in the state that the one before it left. `progress(done, total)` is called as
    samples finish. Raises `InputError` on a wrong shape.
    """
    signals = _signals(network, x)
    samples, steps = next(iter(signals.values())).shape[:2]
    parts = _parts(network)
    widest = max([network.n_inputs, *(part.n for part in parts)])
    carry = network.dialect.state == "carry"
    chunk = samples if carry else CHUNK_VALUES // max(1, steps * widest)
    groups = _groups(parts)
    spikes = {p.name: np.zeros((samples, steps, p.n), np.int16) for p in parts}
    mem = {
        p.name: np.zeros((samples, steps, p.n), np.float32) for p in parts if record or not p.spikes
    }
    for start in range(0, samples, max(1, chunk)):
        part = slice(start, min(start + max(1, chunk), samples))
        # With carried state all samples are one, the steps of which follow each other.
        rows = 1 if carry else part.stop - start
        outputs = {
            name: np.ascontiguousarray(signal[part], np.float32).reshape(rows, -1, signal.shape[2])
            for name, signal in signals.items()
        }
        for group in groups:
            kept = {p.name: _like(outputs, p.n) for p in group if p.name in mem}
            _run_group(group, outputs, kept)
            for p in group:
                if p.spikes:
                    spikes[p.name][part] = outputs[p.name].reshape(-1, steps, p.n)
                if p.name in kept:
                    mem[p.name][part] = kept[p.name].reshape(-1, steps, p.n)
        if progress is not None:
            progress(part.stop, samples)
    return ReferenceResult(spikes=spikes, mem=mem or None)


def _signals(network: Network, x: Array | Mapping[str, Array]) -> dict[str, Array]:
    """The inputs' values, each (samples, steps, n)."""
    names = [i.name for i in network.inputs]
    if isinstance(x, Mapping):
        if sorted(x) != sorted(names):
            raise InputError(
                f"input data is given for {', '.join(map(repr, x)) or 'nothing'}; the network's "
                f"inputs are {', '.join(map(repr, names))}"
            )
        given = [(i.name, i.shape, i.n, x[i.name]) for i in network.inputs]
    elif len(names) == 1:
        given = [(names[0], network.inputs[0].shape, network.n_inputs, x)]
    else:
        given = [("", (network.n_inputs,), network.n_inputs, x)]
    for name, shape, n, values in given:
        if values.ndim < 2 or values.shape[2:] not in (shape, (n,)):
            of = f" of {name!r}" if len(given) > 1 else ""
            raise InputError(
                f"input data{of} has shape {values.shape}; it must be (samples, steps, "
                f"{', '.join(map(str, shape))})"
            )
    if len({values.shape[:2] for *_, values in given}) > 1:
        shapes = ", ".join(f"{name!r} {values.shape[:2]}" for name, *_, values in given)
        raise InputError(f"input data differs in samples or steps: {shapes}")
    flat = {name: v.reshape(*v.shape[:2], n) for name, _, n, v in given}
    if "" in flat and len(names) > 1:
        ends = np.cumsum([i.n for i in network.inputs])[:-1]
        flat = dict(zip(names, np.split(flat[""], ends, axis=2), strict=True))
    return flat


class _Part:
    """A population and the paths into it."""

    def __init__(self, population: Population):
        self.name, self.n = population.name, population.n
        neuron = population.neuron
        shifts = neuron.dialect.decay == "round12"
        self.neurons = ShiftNeurons(neuron) if shifts else FloatNeurons(neuron)
        self.spikes, self.lags = self.neurons.spiking, self.neurons.lags
        self.paths: list[Path] = []


def _parts(network: Network) -> list[_Part]:
    """The populations, sources first."""
    layers = network.layers()
    parts = {population.name: _Part(population) for population, _ in layers}
    for population, into in layers:
        for projection in into:
            source = parts.get(projection.source)
            late = projection.recurrent and (source is None or not source.lags)
            bias = population.neuron.dialect.bias_at_t0
            parts[population.name].paths.append(Path(projection, bias_at_t0=bias, late=late))
    return list(parts.values())


def _groups(parts: list[_Part]) -> list[list[_Part]]:
    """The populations in order, those from a recurrent edge's target to its source together."""
    at = {part.name: k for k, part in enumerate(parts)}
    first = list(range(len(parts)))  # Of each population, the first one that is tied to it.
    for k, part in enumerate(parts):
        for path in part.paths:
            source = at.get(path.source, -1)
            if path.recurrent and source >= k:
                for j in range(k, source + 1):
                    first[j] = min(first[j], k)
    groups: list[list[_Part]] = []
    begins: list[int] = []
    for k, part in enumerate(parts):
        groups.append([part])
        begins.append(k)
        while len(groups) > 1 and first[k] < begins[-1]:
            tied = groups.pop()
            groups[-1] += tied
            begins.pop()
    return groups


def _like(outputs: dict[str, Array], n: int) -> Array:
    rows, steps = next(iter(outputs.values())).shape[:2]
    return np.zeros((rows, steps, n), np.float32)


def _run_group(group: list[_Part], outputs: dict[str, Array], kept: dict[str, Array]) -> None:
    """Adds each population's output over all steps, float32 (rows, steps, n), to `outputs`.

    `kept` holds the arrays that membranes are recorded in.
    """
    inside = {part.name: part for part in group}
    jobs = [_Job(part, inside, outputs) for part in group]
    for part in group:
        outputs[part.name] = _like(outputs, part.n)
    rows, steps = outputs[group[0].name].shape[:2]
    back = {p.name: np.zeros((rows, p.n), np.float32) for p in group}
    for t in range(steps):
        for job in jobs:
            if job.part.lags:
                back[job.part.name] = job.part.neurons.due(job.state)
        now: dict[str, Array] = {}
        for job in jobs:
            name = job.part.name
            now[name] = outputs[name][:, t] = job.step(t, now, back)
            if name in kept:
                kept[name][:, t] = job.part.neurons.membrane(job.state)
        back = now


class _Job:
    """One population over the steps of one chunk."""

    def __init__(self, part: _Part, inside: dict[str, _Part], outputs: dict[str, Array]):
        self.part = part
        rows = len(next(iter(outputs.values())))
        self.state = part.neurons.start(rows)
        self._silence = np.zeros((rows, part.n), np.float32)
        # What comes from outside is known for all steps; from within, step by step.
        self._known: dict[bool, Array | None] = {False: None, True: None}
        self._walks: dict[bool, list[tuple[str, Walk]]] = {False: [], True: []}
        for path in part.paths:
            if path.source in inside:
                self._walks[path.recurrent].append((path.source, path.walk()))
                continue
            value = path.whole(outputs[path.source])
            known = self._known[path.recurrent]
            self._known[path.recurrent] = value if known is None else known + value

    def step(self, t: int, now: dict[str, Array], back: dict[str, Array]) -> Array:
        x = self._current(False, t, now)
        y = self._current(True, t, back)
        return self.part.neurons.step(self.state, self._silence if x is None else x, y)

    def _current(self, recurrent: bool, t: int, sources: dict[str, Array]) -> Array | None:
        known = self._known[recurrent]
        total = None if known is None else known[:, t]
        for source, walk in self._walks[recurrent]:
            value = walk.step(sources[source])
            total = value if total is None else total + value
        return total
