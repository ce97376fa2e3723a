# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page about a design: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.scripts.charts import (
    bar_meter,
    confusion_chart,
    histogram_chart,
    line_chart,
    network_chart,
    raster_chart,
    steps_chart,
    trace_chart,
)
from spikefab.scripts.files import write_whole
from spikefab.scripts.graphchart import Box, graph_chart
from spikefab.scripts.reportdata import Figures, LayerInfo, ReportData
from spikefab.scripts.style import STYLE

__all__ = ["page", "write_report"]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _count(value: float) -> str:
    """A count with thousands separated; a mean keeps one decimal."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _section(title: str, explain: str, body: str) -> str:
    lead = f'<p class="explain">{escape(explain)}</p>' if explain else ""
    return f"<section><h2>{escape(title)}</h2>{lead}{body}</section>"


def _header(data: ReportData) -> str:
    facts = [
        ("Target", data.target and escape(data.target)),
        ("Design hash", data.hash and f"<code>{escape(data.hash)}</code>"),
        ("spikefab", data.version and escape(data.version)),
    ]
    meta = "".join(f"<span>{name} <b>{value}</b></span>" for name, value in facts if value)
    return (
        '<header><p class="kicker">spikefab report</p>'
        f"<h1>{escape(data.name)}</h1>"
        + (f'<p class="lead">{escape(data.summary)}</p>' if data.summary else "")
        + (f'<p class="meta">{meta}</p>' if meta else "")
        + "</header>"
    )


def _microseconds(figures: Figures, cycles: float | None) -> float | None:
    return cycles / figures.fmax_mhz if cycles is not None and figures.fmax_mhz else None


def _cycles(figures: Figures) -> float | None:
    """Measured where it was measured, else predicted."""
    if figures.cycles_measured is not None:
        return figures.cycles_measured
    return figures.cycles_predicted


def _tiles(figures: Figures) -> str:
    tiles = []
    accuracy = figures.accuracy_integer
    if accuracy is not None:
        tiles.append(("accuracy in integers", f"{100 * accuracy:.2f}", "%"))
    time = _microseconds(figures, _cycles(figures))
    if time is not None:
        tiles.append(("an inference", f"{time:.1f}" if time < 1000 else f"{time:,.0f}", "µs"))
    if figures.fmax_mhz is not None:
        tiles.append(("placed Fmax", f"{figures.fmax_mhz:.1f}", "MHz"))
    if figures.input_spikes is not None:
        spikes = figures.input_spikes + (figures.layer_spikes or 0)
        tiles.append(("spikes a sample", f"{spikes:,.0f}", ""))
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><span>{name}</span><strong>{value}</strong>'
            + (f"<small>{unit}</small>" if unit else "")
            + "</div>"
            for name, value, unit in tiles
        )
        + "</div>"
        if tiles
        else ""
    )


def _accuracy_rows(figures: Figures) -> list[tuple[str, str, str]]:
    over = f"{figures.samples:,} samples" if figures.samples else ""
    streamed = f"{figures.samples_board:,} samples" if figures.samples_board else ""
    rows = []
    if figures.accuracy_float is not None:
        rows.append(("Accuracy, float reference", _percent(figures.accuracy_float), over))
    if figures.accuracy_integer is not None:
        note = over
        if figures.accuracy_float is not None:
            points = 100 * (figures.accuracy_integer - figures.accuracy_float)
            note += f"{', ' if over else ''}{points:+.2f} points".replace("-", "−")
        rows.append(("Accuracy, integers", _percent(figures.accuracy_integer), note))
    if figures.accuracy_board is not None:
        name = f"Accuracy, {figures.board_kind}"
        rows.append((name, _percent(figures.accuracy_board), streamed))
    return rows


def _time_rows(figures: Figures) -> list[tuple[str, str, str]]:
    rows = []
    for name, value, note in (
        ("Input spikes a sample", figures.input_spikes, "mean"),
        ("Spikes fired a sample", figures.layer_spikes, "mean, all layers"),
    ):
        if value is not None:
            rows.append((name, f"{value:,.1f}", note))
    cycles = _cycles(figures)
    if cycles is not None:
        measured = figures.cycles_measured is not None
        note = "counted in simulation" if measured else "predicted by the cost model"
        if measured and figures.cycles_predicted is not None:
            note += f"; predicted {_count(figures.cycles_predicted)}"
        rows.append(("Cycles an inference", _count(cycles), note))
        time = _microseconds(figures, cycles)
        if time is not None:
            rows.append(("Time an inference", f"{time:,.2f} µs", "at the placed Fmax"))
    interval = _microseconds(figures, figures.interval_cycles)
    if interval is not None and figures.interval_cycles is not None:
        note = f"back to back, {_count(figures.interval_cycles)} cycles apart"
        rows.append(("Inferences a second", f"{1e6 / interval:,.0f}", note))
    if figures.fmax_mhz is not None:
        note = "after place and route"
        if len(figures.fmax_mhz_seeds) > 1:
            seeds = ", ".join(f"{f:.1f}" for f in figures.fmax_mhz_seeds)
            note += f"; median of {seeds}"
        rows.append(("Fmax", f"{figures.fmax_mhz:.1f} MHz", note))
    if figures.clock_mhz is not None:
        rows.append(("Clock of the design", f"{figures.clock_mhz:.2f} MHz", ""))
    return rows


def _figures(data: ReportData) -> str:
    if data.figures is None:
        return ""
    rows = _accuracy_rows(data.figures) + _time_rows(data.figures)
    rows += [
        (r.name, f"{r.used:,}", f"of {r.available:,}, {100 * r.used / r.available:.1f} %")
        for r in data.resources
        if r.available
    ]
    if not rows:
        return ""
    body = "".join(
        f'<tr><th>{escape(name)}</th><td class="n">{escape(value)}</td>'
        f'<td class="note">{escape(note)}</td></tr>'
        for name, value, note in rows
    )
    return _tiles(data.figures) + _section(
        "Figures", "", f'<table class="figures"><tbody>{body}</tbody></table>'
    )


def _network(data: ReportData) -> str:
    if data.links and data.layers:
        return _graph(data)
    if data.input is None or not data.layers:
        return ""
    name, size = data.input
    columns = [(name, size, "")]
    columns += [(layer.name, layer.neurons, layer.note) for layer in data.layers]
    links = [(_stored(layer), _lanes(layer)) for layer in data.layers]
    chart = network_chart(columns, links, label=f"Network with {len(data.layers)} layers")
    return _section("Network", EVENTS, f'<div class="scroll net">{chart}</div>')


EVENTS = (
    "Every event of a layer's input costs one cycle for each group of neurons that its lanes "
    "work through."
)


def _graph(data: ReportData) -> str:
    """The drawing of a network that is no chain."""
    shown: dict[str, list[str]] = {}
    for output, population in data.outputs:
        shown.setdefault(population, []).append(output)
    boxes = [Box(name=name, lines=[f"{n:,} inputs"], kind="input") for name, n in data.inputs]
    for layer in data.layers:
        lines = [f"{layer.neurons:,} neurons", f"{_stored(layer)}, {_lanes(layer)}"]
        lines += [layer.note] if layer.note else []
        if layer.name in shown:
            lines.append(f"read as {', '.join(shown[layer.name])}")
        boxes.append(
            Box(name=layer.name, lines=lines, kind="shown" if layer.name in shown else "neuron")
        )
    links = [(link.source, link.target, link.recurrent, link.note) for link in data.links]
    chart, width = graph_chart(boxes, links, label=f"Network with {len(data.layers)} layers")
    explain = EVENTS
    if any(link.recurrent for link in data.links):
        explain += " Dashed: what a population puts out acts a step later."
    if any(link.note for link in data.links):
        explain += " Late: a connection's delay, in steps."
    style = f"min-width:{0.75 * width:.0f}px;max-width:{1.15 * width:.0f}px"
    body = f'<div class="scroll graph"><div style="{style}">{chart}</div></div>'
    return _section("Network", explain, body)


def _stored(layer: LayerInfo) -> str:
    return _width(layer.weight_bits, layer.ternary) or f"{layer.weight_bits}-bit weights"


def _lanes(layer: LayerInfo) -> str:
    return f"{layer.lanes} lane{'s' if layer.lanes != 1 else ''}"


def _width(bits: int, ternary: bool) -> str:
    """The name of weights that have one."""
    return "ternary" if ternary else "binary" if bits == 1 else ""


def _raster(data: ReportData) -> str:
    if data.raster is None:
        return ""
    chart = raster_chart(data.raster.rows, label=f"Spike raster of {data.raster.title}")
    explain = f"{data.raster.title}. A mark is a spike; neurons from top to bottom, steps across."
    return _section("Spikes of one sample", explain, f'<div class="scroll raster">{chart}</div>')


def _legend(*entries: tuple[str, str]) -> str:
    return (
        '<ul class="legend">'
        + "".join(f'<li><i class="{kind}"></i>{name}</li>' for kind, name in entries)
        + "</ul>"
    )


def _traces(data: ReportData) -> str:
    if not data.traces:
        return ""
    body = "".join(
        f"<div><h3>{escape(t.name)}</h3>"
        + trace_chart(t.reference, t.integer, t.threshold, t.spikes, label=f"Membrane of {t.name}")
        + "</div>"
        for t in data.traces
    )
    entries = [("bg-integer", "integers"), ("bg-integer round", "spike"), ("dash", "threshold")]
    if any(t.reference is not None for t in data.traces):
        entries.insert(0, ("bg-float", "float reference"))
    explain = (
        "Membranes at the end of each step; where the thin line hides the wide one they agree."
    )
    return _section("Membranes", explain, _legend(*entries) + f'<div class="pair">{body}</div>')


def _weights(data: ReportData) -> str:
    if not data.weights:
        return ""
    parts = []
    for layer in data.weights:
        levels = len(np.unique(np.round(layer.after, 9)))
        width = _width(layer.bits, layer.ternary) or f"{layer.bits} bits"
        error = float(np.sqrt(np.mean((np.ravel(layer.after) - np.ravel(layer.before)) ** 2)))
        spread = float(np.std(layer.before)) or 1.0
        caption = f"{width}, {levels} levels in use, rms error {100 * error / spread:.1f} % of σ"
        chart = histogram_chart(layer.before, layer.after, label=f"Weights of {layer.name}")
        parts.append(
            f'<div><h3>{escape(layer.name)}</h3><p class="explain">{caption}</p>{chart}</div>'
        )
    legend = _legend(("bg-float", "trained"), ("bg-integer", "rounded"))
    explain = "Trained weights as a density, rounded ones as bars; each has its own height."
    return _section("Weights", explain, legend + f'<div class="pair">{"".join(parts)}</div>')


def _resources(data: ReportData) -> str:
    if not data.resources:
        return ""
    rows = "".join(
        f'<div class="meter-row"><div><span>{escape(r.name)}</span>'
        f"<em>{r.used:,} of {r.available:,}</em></div>"
        + bar_meter(r.used, r.available, label=f"{r.name}: {r.used} of {r.available}")
        + "</div>"
        for r in data.resources
    )
    explain = f"After place and route on {data.target}." if data.target else ""
    return _section("Resources", explain, rows)


def _bits(data: ReportData) -> str:
    sweep = data.bit_sweep
    if sweep is None:
        return ""
    levels, legend = [], ""
    if sweep.accuracy_float is not None:
        level = 100 * sweep.accuracy_float
        levels = [("float reference", level, "float")]
        legend = _legend(
            ("bg-integer", "integers"), ("dash-float", f"float reference, {level:.2f} %")
        )
    chart = line_chart(
        [float(b) for b in sweep.bits],
        [("integers", [100 * a for a in sweep.accuracy], "integer")],
        x_label="bits of a weight",
        y_label="accuracy, %",
        levels=levels,
        marked=None if sweep.chosen is None else float(sweep.chosen),
        label="Accuracy against weight bits",
    )
    explain = "The same trained network with its weights rounded to fewer and fewer bits."
    if sweep.chosen is not None:
        explain += f" The ring marks this design: {sweep.chosen} bits."
    body = f'{legend}<div class="scroll sweep">{chart}</div>'
    return _section("Accuracy against weight bits", explain, body)


def _confusion(data: ReportData) -> str:
    if data.confusion is None:
        return ""
    matrix = np.asarray(data.confusion)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"ReportData.confusion has shape {matrix.shape}: must be square")
    names = list(data.class_names) or [str(i) for i in range(len(matrix))]
    total, right = int(matrix.sum()), int(np.trace(matrix))
    chart = confusion_chart(matrix, names, label="Confusion matrix")
    explain = f"{right:,} of {total:,} answers are right, {total - right:,} are not."
    return _section("Answers", explain, f'<div class="limit">{chart}</div>')


def _differences(data: ReportData) -> str:
    if not data.differences:
        return ""
    heads = ["Layer", "Spikes, float", "Spikes, integers", "Neuron-steps that differ"]
    with_samples = any(d.samples_differing is not None for d in data.differences)
    with_membrane = any(d.largest_membrane is not None for d in data.differences)
    heads += ["Samples that differ"] if with_samples else []
    heads += ["Largest membrane difference"] if with_membrane else []
    rows = []
    for d in data.differences:
        share = 100 * d.differing / d.neuron_steps if d.neuron_steps else 0.0
        cells = [f"{d.spikes_float:,}", f"{d.spikes_integer:,}", f"{d.differing:,} ({share:.2f} %)"]
        if with_samples:
            of = f" of {d.samples:,}" if d.samples is not None else ""
            cells.append("" if d.samples_differing is None else f"{d.samples_differing:,}{of}")
        if with_membrane:
            largest = d.largest_membrane
            cells.append("" if largest is None else f"{largest:.3f} thresholds")
        numbers = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        rows.append(f"<tr><th>{escape(d.name)}</th>{numbers}</tr>")
    head = "".join(
        f"<th{' class=n' if i else ''}>{escape(name)}</th>" for i, name in enumerate(heads)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    explain = "Integers against the float reference, step by step, on the same input."
    body = f'<div class="scroll">{table}</div>{_differences_by_step(data)}'
    return _section("What rounding changed", explain, body)


def _differences_by_step(data: ReportData) -> str:
    parts = []
    for d in data.differences:
        if len(d.share_by_step) < 2 or not any(d.share_by_step):
            continue
        chart = steps_chart(
            [100 * share for share in d.share_by_step],
            y_label="neurons that differ, %",
            label=f"Differences of {d.name} in each step",
        )
        parts.append(f"<div><h3>{escape(d.name)}</h3>{chart}</div>")
    return f'<div class="pair">{"".join(parts)}</div>' if parts else ""


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return _section("Notes", "", f'<ul class="notes">{items}</ul>')


def page(data: ReportData) -> str:
    """The whole page; the same data gives the same text."""
    sections = (
        _figures(data),
        _network(data),
        _raster(data),
        _traces(data),
        _weights(data),
        _bits(data),
        _resources(data),
        _confusion(data),
        _differences(data),
        _notes(data.notes),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(data.name)} · spikefab</title>\n<style>\n{STYLE}\n</style></head>\n"
        f"<body><main>{_header(data)}\n" + "\n".join(s for s in sections if s) + "\n"
        "<footer>Made by spikefab from the design's own files. "
        "Only the numbers shown as measured were measured.</footer></main></body></html>\n"
    )


def write_report(path: Path, data: ReportData) -> None:
    """Writes the page, whole or not at all. Raises `InputError` where the path can't be written."""
    content = page(data)
    try:
        write_whole(path, lambda file: file.write(content.encode()))
    except OSError as error:
        raise InputError(
            f"report {str(path)!r}: {error.strerror}; choose a folder that can be written"
        ) from error
