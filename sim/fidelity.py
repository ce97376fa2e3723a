# SPDX-License-Identifier: Apache-2.0
"""What rounding costs: the integer network against the float reference, on given inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.network import Network
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput
from spikefab.gen.samples import check_samples
from spikefab.sim.encode import encode
from spikefab.sim.golden import GoldenResult, run_golden
from spikefab.sim.reference import ReferenceResult, run_reference

__all__ = ["Difference", "Fidelity", "LayerFidelity", "compare_to_reference", "predicted_class"]

CHUNK_BYTES = 256 << 20
"""Memory that the traces of one chunk of samples may take."""


@dataclass(frozen=True)
class Difference:
    """How one layer's integers differ from its float reference."""

    spikes: int
    """Outputs (sample, step, neuron) whose spike counts differ."""
    outputs: int
    """All outputs."""
    share: float
    """Those that differ as a share of all."""
    first_spike: tuple[int, int, int] | None
    """(sample, step, neuron) of the first one, samples first; None where there is none."""
    membrane: float
    """Largest membrane difference, in the float network's units."""
    membrane_at: tuple[int, int, int] | None
    """(sample, step, neuron) of the largest; None where all membranes are equal."""
    spikes_by_step: tuple[int, ...]
    """Outputs (sample, neuron) of each step whose spike counts differ."""
    membrane_by_step: tuple[float, ...]
    """Largest membrane difference of each step."""


@dataclass(frozen=True)
class LayerFidelity:
    """One layer in both networks."""

    name: str
    spiking: bool
    float_spikes: float
    """Mean spikes a sample."""
    integer_spikes: float
    whole: Difference
    """With the differences that earlier layers hand on."""
    local: Difference | None
    """Each layer alone, driven by the float reference's spikes; None where not asked for."""


@dataclass(frozen=True)
class Fidelity:
    """A comparison over all samples."""

    samples: int
    steps: int
    input_events: float
    """Mean events a sample."""
    layers: tuple[LayerFidelity, ...]
    agreement: float
    """Share of the samples that both networks put in the same class."""
    float_accuracy: float | None
    """Share of the samples whose class is their label; None without labels."""
    integer_accuracy: float | None

    @property
    def points_lost(self) -> float | None:
        """Accuracy lost by rounding, in percentage points; negative where integers do better."""
        if self.float_accuracy is None or self.integer_accuracy is None:
            return None
        return 100 * (self.float_accuracy - self.integer_accuracy)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "points_lost": self.points_lost}

    def lines(self) -> list[str]:
        """A line a layer and one for the accuracy."""
        out = []
        for layer in self.layers:
            d = layer.whole
            text = f"{layer.name}: "
            if layer.spiking:
                text += f"{d.spikes} spike differences ({100 * d.share:.3g} %)"
                if d.first_spike is not None:
                    text += ", first at sample {}, step {}, neuron {}".format(*d.first_spike)
                text += "; "
            text += f"largest membrane difference {d.membrane:.4g}"
            if layer.spiking:
                text += f"; {layer.integer_spikes:.1f} spikes a sample for {layer.float_spikes:.1f}"
            if layer.local is not None and layer.spiking:
                text += f"; alone {layer.local.spikes} spike differences"
            out.append(text)
        text = f"same class in {100 * self.agreement:.2f} % of {self.samples} samples"
        if self.float_accuracy is not None and self.integer_accuracy is not None:
            text += (
                f"; accuracy {100 * self.float_accuracy:.2f} % in float, "
                f"{100 * self.integer_accuracy:.2f} % in integers"
            )
        return [*out, text]

    def by_step(self, width: int = 64) -> list[str]:
        """A picture a layer: how far it is off in each step, from the first to the last."""
        size = max((len(layer.name) for layer in self.layers), default=0)
        out = []
        for layer in self.layers:
            d = layer.whole
            if layer.spiking:
                outputs = d.outputs / self.steps
                values = [100 * count / outputs for count in d.spikes_by_step]
                scale = f"{max(values):.3g} % of a step's spikes differ"
            else:
                values = list(d.membrane_by_step)
                scale = f"{max(values):.3g} between membranes"
            if any(values):
                scale = f"at most {scale}"
            out.append(f"{layer.name:<{size}} {_bars(values, width)} {scale}")
        return out


def _bars(values: Sequence[float], width: int) -> str:
    """Values in order as characters of eight heights, a dot for 0; the largest one of several."""
    n = min(width, len(values))
    ends = [round(k * len(values) / n) for k in range(n + 1)]
    tops = [max(values[a:b]) for a, b in pairwise(ends)]
    most = max(tops) or 1.0
    return "".join("·▁▂▃▄▅▆▇█"[math.ceil(8 * top / most)] for top in tops)


def predicted_class(
    spikes: np.ndarray, mem: np.ndarray | None = None, steps_used: np.ndarray | None = None
) -> np.ndarray:
    """The class of each sample, (samples,): the output with most spikes, the lowest of several.

    `spikes`: (samples, steps, n). With `mem` (an integrator's, same shape): the output with the
    largest membrane after the last step. `steps_used` (samples,): where an early stop ended it.
    """
    if mem is None:
        return spikes.sum(axis=1, dtype=np.int64).argmax(axis=1)
    at = -1 if steps_used is None else steps_used - 1
    return mem[np.arange(len(mem)), at].argmax(axis=1)


def compare_to_reference(
    network: Network,
    qnet: QNetwork,
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    local: bool = False,
    progress: Callable[[int, int], None] | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Fidelity:
    """Runs `x`, samples as `run_golden` takes them, through both networks; compares every output.

    All steps run in both, whatever early stop there is.

    `y`: labels (samples,). `local`: also each layer alone, driven by the reference's spikes, which
    tells where a difference comes from. Works on chunks of samples that keep the traces within
    `chunk_bytes`; `progress(done, total)` is called after each.
    """
    x = encode(qnet.input, check_samples(qnet, x))
    n_samples, n_steps = x.shape[:2]
    if y is not None and y.shape != (n_samples,):
        raise InputError(f"y has shape {y.shape}; labels are one integer a sample, ({n_samples},)")
    # Spikes and membranes of both networks, and the scratch of a comparison.
    a_sample = 40 * n_steps * (qnet.n_inputs + sum(layer.neuron.n for layer in qnet.layers))
    chunk = max(1, chunk_bytes // a_sample)
    tallies = {layer.name: (_Tally(layer), _Tally(layer)) for layer in qnet.layers}
    totals = {layer.name: [0, 0] for layer in qnet.layers}
    first = qnet.output_layers[0]
    early = network.early
    classes: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, n_samples, chunk):
        part = x[start : start + chunk]
        reference = run_reference(network, part, record=True)
        golden = run_golden(
            qnet, part, encoded=True, full=True, record=[layer.name for layer in qnet.layers]
        )
        assert reference.mem is not None
        for name in early & set(golden.spikes):
            golden.spikes[name] = _later(golden.spikes[name])
        flat = part.reshape(*part.shape[:2], -1)
        sources = {i: flat[:, :, at] for i, at in qnet.input_ranges.items()} | reference.spikes
        for layer in qnet.layers:
            name = layer.name
            tallies[name][0].add(start, reference, golden)
            if local:
                alone = _alone(qnet, layer, sources, early)
                if name in early:
                    alone.spikes[name] = _later(alone.spikes[name])
                tallies[name][1].add(start, reference, alone)
            totals[name][0] += int(reference.spikes[name].sum(dtype=np.int64))
            totals[name][1] += int(golden.spikes[name].sum(dtype=np.int64))
        spiking, name = first.neuron.spiking, first.name
        classes.append(
            (
                predicted_class(reference.spikes[name], None if spiking else reference.mem[name]),
                predicted_class(golden.spikes[name], None if spiking else golden.mem[name]),
            )
        )
        if progress is not None:
            progress(start + len(part), n_samples)
    by_float, by_integer = (np.concatenate(part) for part in zip(*classes, strict=True))
    return Fidelity(
        samples=n_samples,
        steps=n_steps,
        input_events=float(x.sum(dtype=np.int64)) / n_samples,
        layers=tuple(
            LayerFidelity(
                name=layer.name,
                spiking=layer.neuron.spiking,
                float_spikes=totals[layer.name][0] / n_samples,
                integer_spikes=totals[layer.name][1] / n_samples,
                whole=tallies[layer.name][0].difference(),
                local=tallies[layer.name][1].difference() if local else None,
            )
            for layer in qnet.layers
        ),
        agreement=float((by_float == by_integer).mean()),
        float_accuracy=None if y is None else float((by_float == y).mean()),
        integer_accuracy=None if y is None else float((by_integer == y).mean()),
    )


def _later(spikes: np.ndarray) -> np.ndarray:
    """Spikes (samples, steps, n) a step later; none in the first."""
    return np.concatenate([np.zeros_like(spikes[:, :1]), spikes[:, :-1]], axis=1)


def _alone(
    qnet: QNetwork, layer: QLayer, sources: Mapping[str, np.ndarray], early: Collection[str]
) -> GoldenResult:
    """`layer` driven by given spike counts (samples, steps, n) of its sources.

    Those of `early` already are a step later than what the integers put out.
    """
    inputs, edges, given = [], [], []
    for k, edge in enumerate(layer.edges):
        counts = sources[edge.source]
        if edge.recurrent and edge.source not in early:
            counts = _later(counts)
        most = max(1, int(counts.max(initial=0)))
        inputs.append(QInput(name=f"from {k}", shape=(edge.n_source,), max_events=most))
        edges.append(replace(edge, source=f"from {k}", recurrent=False))
        given.append(counts)
    alone = replace(
        qnet,
        inputs=tuple(inputs),
        layers=(replace(layer, edges=tuple(edges)),),
        outputs=(QOutput(name="out", source=layer.name),),
        input_max=max(i.max_events or 1 for i in inputs),
        stop=None,
    )
    return run_golden(alone, np.concatenate(given, axis=2), encoded=True, record=[layer.name])


class _Tally:
    """Sums up one layer's differences over chunks."""

    def __init__(self, layer: QLayer):
        self.name = layer.name
        self.lsb = layer.scale / 2.0**layer.neuron.fraction_bits
        self.outputs = self.spikes = 0
        self.first: tuple[int, int, int] | None = None
        self.membrane = 0.0
        self.at: tuple[int, int, int] | None = None
        self.spikes_by_step: np.ndarray | int = 0
        self.membrane_by_step: np.ndarray | float = 0.0

    def add(self, start: int, reference: ReferenceResult, golden: GoldenResult) -> None:
        differ = reference.spikes[self.name] != golden.spikes[self.name]
        self.outputs += differ.size
        count = int(differ.sum())
        if count and self.first is None:
            self.first = _position(int(differ.argmax()), differ.shape, start)
        self.spikes += count
        self.spikes_by_step = self.spikes_by_step + differ.sum(axis=(0, 2))
        assert reference.mem is not None
        off = np.abs(golden.mem[self.name] * self.lsb - reference.mem[self.name])
        self.membrane_by_step = np.maximum(self.membrane_by_step, off.max(axis=(0, 2)))
        worst = int(off.argmax())
        if off.flat[worst] > self.membrane:
            self.membrane = float(off.flat[worst])
            self.at = _position(worst, off.shape, start)

    def difference(self) -> Difference:
        return Difference(
            spikes=self.spikes,
            outputs=self.outputs,
            share=self.spikes / max(1, self.outputs),
            first_spike=self.first,
            membrane=self.membrane,
            membrane_at=self.at,
            spikes_by_step=tuple(int(n) for n in np.atleast_1d(self.spikes_by_step)),
            membrane_by_step=tuple(float(off) for off in np.atleast_1d(self.membrane_by_step)),
        )


def _position(index: int, shape: tuple[int, ...], start: int) -> tuple[int, int, int]:
    sample, step, neuron = (int(i) for i in np.unravel_index(index, shape))
    return start + sample, step, neuron
