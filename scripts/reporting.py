# SPDX-License-Identifier: Apache-2.0
"""From a design, and what was measured of it, to the values that a report shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikefab.gen.design import Design
from spikefab.gen.drive import drive_of
from spikefab.gen.network import Network
from spikefab.gen.network_file import load_saved_network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.qnetwork import QEdge, QNetwork
from spikefab.scripts.measured import read_measured
from spikefab.scripts.pipeline import Samples, prepare
from spikefab.scripts.reportdata import (
    BitSweep,
    Difference,
    Figures,
    LayerInfo,
    LinkInfo,
    Raster,
    ReportData,
    Resource,
    Trace,
    WeightChange,
)
from spikefab.sim.fidelity import predicted_class
from spikefab.sim.golden import GoldenResult, run_golden
from spikefab.sim.reference import ReferenceResult, run_reference
from spikefab.sim.stop import scores

__all__ = ["SWEEP", "make_report"]

SWEEP = (2, 3, 4, 5, 6, 7, 8)
"""Weight widths that the accuracy is drawn for."""

TRACES = 4
"""Neurons whose membranes are drawn."""

_RESOURCE_NAMES = {
    "comb": "logic (COMB)",
    "lc": "logic cells",
    "ff": "flip-flops",
    "ram": "block RAM",
    "ebr": "block RAM",
    "spram": "SPRAM",
    "dsp": "multipliers",
}


def make_report(
    design: Design,
    samples: Samples,
    calibration: Samples | None = None,
    *,
    board_kind: str = "virtual board",
) -> ReportData:
    """Runs the samples in float and in integers, and gathers what the design's folder holds.

    `calibration`: samples that the widths of the accuracy curve are calibrated on; none: plain
    rounding. They are not the judged ones.
    """
    qnet = design.qnetwork()
    network = load_saved_network(design.path / "reference.npz")
    x, y = samples.counts, samples.y
    # Membranes of one sample only: traces of a whole test set would fill the memory.
    reference, golden = run_reference(network, x), run_golden(qnet, x, encoded=True, full=True)
    shown = _liveliest(golden.spikes[qnet.layers[0].name])
    one_reference = run_reference(network, x[shown : shown + 1], record=True)
    one_golden = run_golden(
        qnet, x[shown : shown + 1], encoded=True, full=True, record=[p.name for p in qnet.layers]
    )
    report_file = design.path / "report.json"
    placed = json.loads(report_file.read_text(encoding="utf-8")) if report_file.is_file() else {}
    manifest = design.manifest
    label = "" if y is None else f", label {y[shown]}"
    return ReportData(
        name=manifest["name"],
        hash=manifest["hash"],
        target=f"{manifest['target']['name']} ({manifest['target']['device']})",
        version=manifest["version"],
        summary=f"Dialect {qnet.dialect}, {x.shape[1]} steps a sample.",
        figures=_figures(design, placed, samples, reference, golden, board_kind),
        input=(qnet.input_name, qnet.n_inputs),
        layers=[_layer(entry) for entry in manifest["layers"]],
        **_graph(qnet),
        raster=Raster(
            title=f"sample {shown}{label}",
            rows=[
                (qnet.input_name, x[shown].reshape(x.shape[1], -1)),
                *(
                    (layer.name, one_golden.spikes[layer.name][0])
                    for layer in qnet.layers
                    if layer.neuron.spiking
                ),
            ],
        ),
        traces=_traces(qnet, one_golden, one_reference),
        weights=_weights(network, qnet),
        resources=[
            Resource(name=_RESOURCE_NAMES[key], used=used, available=placed["capacity"][key])
            for key, used in placed.get("resources", {}).items()
            if placed["capacity"][key]
        ],
        bit_sweep=None if y is None else _sweep(network, qnet, samples, calibration, reference),
        confusion=None if y is None else _confusion(y, _classes(qnet, golden.spikes, golden.mem)),
        differences=[
            _difference(layer.name, reference, golden, layer.name in network.early)
            for layer in qnet.layers
        ],
        notes=[
            *network.notes,
            *_stop_note(qnet, golden),
            *(
                []
                if calibration
                else ["Other weight widths in the curve are rounded without calibration samples."]
            ),
            f"Cycles predicted on {manifest['predicted']['basis']}; measured by simulation of the "
            "design's Verilog.",
            "Not measured on silicon: the board is the design's whole top in a simulator."
            if board_kind == "virtual board"
            else f"The board was {board_kind}.",
        ],
    )


def _classes(
    qnet: QNetwork, spikes: dict[str, np.ndarray], mem: dict[str, np.ndarray] | None
) -> np.ndarray:
    first = qnet.output_layers[0]
    return predicted_class(
        spikes[first.name], None if first.neuron.spiking else (mem or {})[first.name]
    )


def _stop_note(qnet: QNetwork, golden: GoldenResult) -> list[str]:
    """What an early stop does, and that the other figures are of all steps."""
    if qnet.stop is None:
        return []
    (last,), used = qnet.output_layers, golden.steps_used
    score = scores(golden.spikes[last.name], golden.mem.get(last.name))
    samples = np.arange(len(used))
    same = (score[samples, used - 1].argmax(axis=1) == score[:, -1].argmax(axis=1)).mean()
    return [
        f"With its early stop a sample takes {used.mean():.2f} of {score.shape[1]} steps; "
        f"{same:.2%} end in the class of all steps. Spikes, differences and accuracy on this page "
        "are of all steps, cycles are with the stop."
    ]


def _liveliest(spikes: np.ndarray) -> int:
    """A sample to show: the first with as many spikes as the median sample has."""
    counts = spikes.sum(axis=(1, 2))
    return int(np.abs(counts - np.median(counts)).argmin())


def _figures(
    design: Design,
    placed: dict[str, Any],
    samples: Samples,
    reference: ReferenceResult,
    golden: GoldenResult,
    board_kind: str,
) -> Figures:
    qnet, measured, y = design.qnetwork(), read_measured(design), samples.y
    predicted = design.manifest["predicted"]
    exact = integer = None
    if y is not None:
        exact = float((_classes(qnet, reference.spikes, reference.mem) == y).mean())
        integer = float((_classes(qnet, golden.spikes, golden.mem) == y).mean())
    return Figures(
        accuracy_float=exact,
        accuracy_integer=integer,
        accuracy_board=measured.get("board_accuracy"),
        samples=len(samples.counts),
        samples_board=measured.get("board_samples"),
        board_kind=board_kind,
        input_spikes=float(samples.counts.sum() / len(samples.counts)),
        layer_spikes=sum(float(s.sum()) for s in golden.spikes.values()) / len(samples.counts),
        cycles_predicted=predicted["cycles_per_inference"],
        cycles_measured=measured.get("cycles_per_inference"),
        interval_cycles=measured.get("interval_cycles", predicted["interval_cycles"]),
        fmax_mhz=placed.get("fmax_mhz"),
        fmax_mhz_seeds=placed.get("fmax_mhz_seeds", ()),
        clock_mhz=placed.get("clock_mhz"),
    )


def _layer(entry: dict[str, Any]) -> LayerInfo:
    neuron = entry["neuron"]
    nums = set(neuron["leak_num"])
    keep = f"{max(nums) / 2 ** neuron['leak_shift']:.4g}" if len(nums) == 1 else "a neuron's own"
    return LayerInfo(
        name=entry["name"],
        neurons=neuron["n"],
        lanes=entry["lanes"],
        weight_bits=entry["synapse"]["weight_width"],
        ternary=entry["ternary"],
        note=f"{neuron['membrane_width']} bits, leak {keep}",
    )


def _graph(qnet: QNetwork) -> dict[str, Any]:
    """What the drawing needs of a network that is no chain without delays."""
    edges = [(edge, layer) for layer in qnet.layers for edge in layer.edges]
    if qnet.is_chain and len(qnet.outputs) == 1 and not any(edge.late for edge, _ in edges):
        return {}
    return {
        "inputs": [(node.name, node.n) for node in qnet.inputs],
        "outputs": [(node.name, node.source) for node in qnet.outputs],
        "links": [
            LinkInfo(
                source=edge.source,
                target=layer.name,
                recurrent=edge.recurrent,
                note=_late(edge) if edge.late else "",
            )
            for edge, layer in edges
        ],
    }


def _late(edge: QEdge) -> str:
    """An edge's delays, in words."""
    assert edge.delays is not None
    low, high = int(edge.delays.min()), int(edge.delays.max())
    return f"{low} late" if low == high else f"{low}…{high} late"


def _traces(qnet: QNetwork, golden: GoldenResult, reference: ReferenceResult) -> Sequence[Trace]:
    """The liveliest neurons of the first and the last layer, in float units."""
    assert reference.mem is not None
    traces = []
    ends = {layer.name: layer for layer in (qnet.layers[0], qnet.output_layers[0])}
    layers = list(ends.values())
    for layer in layers:
        activity = golden.spikes[layer.name][0].sum(axis=0)
        if not layer.neuron.spiking:
            activity = golden.mem[layer.name][0, -1]
        lsb = np.broadcast_to(layer.scale / 2.0**layer.neuron.fraction_bits, layer.neuron.n)
        threshold = np.broadcast_to(np.array(layer.neuron.threshold), layer.neuron.n)
        for n in np.argsort(-activity, kind="stable")[: TRACES // len(layers)]:
            traces.append(
                Trace(
                    name=f"{layer.name}, neuron {n}",
                    threshold=float(threshold[n] * lsb[n]) if layer.neuron.spiking else None,
                    integer=golden.mem[layer.name][0, :, n] * lsb[n],
                    reference=reference.mem[layer.name][0, :, n],
                    spikes=golden.spikes[layer.name][0, :, n],
                )
            )
    return traces


def _weights(network: Network, qnet: QNetwork) -> Sequence[WeightChange]:
    changes = []
    into = {
        population.name: (population, projections) for population, projections in network.layers()
    }
    order = [*(i.name for i in qnet.inputs), *(layer.name for layer in qnet.layers)]
    for layer in qnet.layers:
        stored = layer.stored
        # Neurons that share a row have one scale.
        scale = np.broadcast_to(layer.scale, layer.neuron.n)[:: layer.neuron.n // len(stored), None]
        changes.append(
            WeightChange(
                name=layer.name,
                before=drive_of(*into[layer.name], order, network.early).weight,
                after=stored * scale,
                bits=layer.synapse.weight_width,
                ternary=layer.ternary,
            )
        )
    return changes


def _sweep(
    network: Network,
    qnet: QNetwork,
    samples: Samples,
    calibration: Samples | None,
    reference: ReferenceResult,
) -> BitSweep:
    assert samples.y is not None
    calibration = calibration or replace(samples, given=False)
    widths = {layer.synapse.weight_width for layer in qnet.layers}
    chosen = widths.pop() if len(widths) == 1 and not qnet.layers[0].ternary else None
    accuracy = []
    for bits in SWEEP:
        if bits == chosen:
            # The design as it is, whatever it was calibrated on.
            mine = run_golden(qnet, samples.counts, encoded=True, full=True)
            answers = _classes(qnet, mine.spikes, mine.mem)
            accuracy.append(float((answers == samples.y).mean()))
            continue
        options = QuantiseOptions(
            weight_bits=bits, input_max=qnet.input_max, steps=samples.counts.shape[1]
        )
        candidate = prepare(network, options, calibration).qnet
        result = run_golden(candidate, samples.counts, encoded=True)
        answers = _classes(candidate, result.spikes, result.mem)
        accuracy.append(float((answers == samples.y).mean()))
    exact = _classes(qnet, reference.spikes, reference.mem) == samples.y
    return BitSweep(
        bits=SWEEP,
        accuracy=accuracy,
        accuracy_float=float(exact.mean()),
        chosen=chosen,
    )


def _confusion(labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
    n = int(max(labels.max(), answers.max())) + 1
    matrix = np.zeros((n, n), np.int64)
    np.add.at(matrix, (labels, answers), 1)
    return matrix


def _difference(
    name: str, reference: ReferenceResult, golden: GoldenResult, early: bool
) -> Difference:
    """`early`: the integers put out spikes a step before the reference."""
    a, b = reference.spikes[name], golden.spikes[name]
    if early:
        b = np.concatenate([np.zeros_like(b[:, :1]), b[:, :-1]], axis=1)
    differs = a != b
    return Difference(
        name=name,
        spikes_float=int(a.sum()),
        spikes_integer=int(b.sum()),
        differing=int(differs.sum()),
        neuron_steps=differs.size,
        share_by_step=tuple(differs.mean(axis=(0, 2)).tolist()),
        samples_differing=int(differs.any(axis=(1, 2)).sum()),
        samples=len(a),
    )
