# SPDX-License-Identifier: Apache-2.0
"""The report's charts. Each function returns one `<svg>` element."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spikefab.scripts.svg import Frame, circle, line, number, path, rect, svg, text, ticks

__all__ = [
    "bar_meter",
    "confusion_chart",
    "histogram_chart",
    "line_chart",
    "network_chart",
    "raster_chart",
    "steps_chart",
    "trace_chart",
]

Array = np.ndarray


def line_chart(
    x: Sequence[float],
    series: Sequence[tuple[str, Sequence[float], str]],
    *,
    x_label: str,
    y_label: str,
    levels: Sequence[tuple[str, float, str]] = (),
    marked: float | None = None,
    label: str,
) -> str:
    """Lines with a dot and its value at every point. `series`: (name, values, CSS class);
    `levels`: horizontal lines (name, value, CSS class), which the page's legend explains;
    `marked`: an x whose points get a ring."""
    values = [v for _, ys, _ in series for v in ys] + [v for _, v, _ in levels]
    low, high = min(values), max(values)
    pad = max((high - low) * 0.12, 0.5)
    frame = Frame((min(x) - 0.4, max(x) + 0.4), (low - pad, high + pad), height=250, right=16)
    body = frame.axes(x_label, y_label, x_ticks=x)
    for _, level, kind in levels:
        y = frame.y(level)
        body.append(line(frame.left, y, frame.right_edge, y, f"{kind} dashed"))
    for name, ys, kind in series:
        xs = [frame.x(v) for v in x]
        body.append(path(xs, [frame.y(v) for v in ys], f"stroke {kind}"))
        for at, px, v in zip(x, xs, ys, strict=True):
            if at == marked:
                body.append(circle(px, frame.y(v), 7, "dot chosen"))
            body.append(circle(px, frame.y(v), 3.5, f"dot {kind}", f"{name}: {number(v)}"))
            body.append(text(px, frame.y(v) - 11, f"{v:.1f}", "value"))
    return svg(frame.width, frame.height, body, label)


def raster_chart(rows: Sequence[tuple[str, Array]], *, label: str) -> str:
    """Spikes as dots, time to the right, one band a population. `rows`: (name, (T, n) counts)."""
    steps = max(len(spikes) for _, spikes in rows)
    gap, left, width, top = 12.0, 78.0, 460.0, 6.0
    sizes = [spikes.shape[1] for _, spikes in rows]
    heights = [max(11.0 * n, 34.0) if n <= 16 else min(max(2.4 * n, 110.0), 170.0) for n in sizes]
    step = (width - left - 12) / max(steps, 1)
    body, y = [], top
    for (name, spikes), height in zip(rows, heights, strict=True):
        n = spikes.shape[1]
        cell = height / n
        mark_h = max(1.1, min(cell * 0.72, 7.0))
        mark_w = max(2.0, min(step * 0.5, 14.0))
        body.append(rect(left, y, step * steps, height, "band", ' rx="4"'))
        body.append(text(left - 10, y + height / 2 - 1, name, "name", "end"))
        total = int(spikes.sum())
        plural = "spike" if total == 1 else "spikes"
        body.append(text(left - 10, y + height / 2 + 12, f"{total} {plural}", "tick", "end"))
        marks = []
        for t, k in np.argwhere(spikes > 0):
            x = left + (t + 0.5) * step - mark_w / 2
            top_edge = y + (k + 0.5) * cell - mark_h / 2
            marks.append(
                f"M{number(x)} {number(top_edge)}h{number(mark_w)}v{number(mark_h)}"
                f"h-{number(mark_w)}z"
            )
        if marks:
            body.append(f'<path d="{"".join(marks)}" class="spike"/>')
        if n <= 16:
            for k in range(n):
                body.append(
                    text(left + step * steps + 4, y + (k + 0.5) * cell + 3, str(k), "tiny", "start")
                )
        y += height + gap
    y -= gap
    every = max(1, math.ceil(steps / 16))
    for t in range(0, steps, every):
        body.append(text(left + (t + 0.5) * step, y + 14, str(t), "tick"))
    body.append(text(left + steps * step / 2, y + 30, "step", "label"))
    return svg(width, y + 36, body, label)


def trace_chart(
    reference: Array | None,
    integer: Array,
    threshold: float | None,
    spikes: Array | None,
    *,
    label: str,
) -> str:
    """One neuron's membrane over time against its threshold, in the network's units.

    `threshold` is None for an integrator. `reference` and `integer` (T,); `spikes` (T,) marks the
    steps in which it spiked."""
    curves = [integer] + ([] if reference is None else [reference])
    low = min(0.0, *(float(np.min(c)) for c in curves))
    high = max(threshold or 0.0, *(float(np.max(c)) for c in curves))
    pad = (high - low) * 0.12
    steps = len(integer)
    frame = Frame((-0.3, steps - 0.7), (low - pad, high + pad), width=360, height=190, left=40)
    body = frame.axes("step", "membrane")
    if threshold is not None:
        y = frame.y(threshold)
        body.append(line(frame.left, y, frame.right_edge, y, "threshold dashed"))
    xs = [frame.x(t) for t in range(steps)]
    if reference is not None:
        body.append(path(xs, [frame.y(float(v)) for v in reference], "stroke float wide"))
    body.append(path(xs, [frame.y(float(v)) for v in integer], "stroke integer"))
    for t in np.flatnonzero(spikes) if spikes is not None else ():
        x, at = xs[int(t)], frame.y(float(integer[int(t)]))
        body.append(circle(x, at, 3.2, "dot spiked"))
    return svg(frame.width, frame.height, body, label)


def steps_chart(values: Sequence[float], *, y_label: str, label: str) -> str:
    """One number a step, from 0 up."""
    steps, high = len(values), max(values)
    frame = Frame((-0.3, steps - 0.7), (0.0, 1.12 * high), width=360, height=190, left=46)
    body = frame.axes("step", y_label)
    xs = [frame.x(t) for t in range(steps)]
    body.append(path(xs, [frame.y(v) for v in values], "stroke integer"))
    return svg(frame.width, frame.height, body, label)


def histogram_chart(before: Array, after: Array, *, label: str) -> str:
    """Weights before rounding (a filled outline) and after it (one bar a level), each as shares
    of all weights; the two have vertical scales of their own."""
    before, after = np.ravel(before), np.ravel(after)
    edge = float(max(np.abs(before).max(), np.abs(after).max())) * 1.06 or 1.0
    frame = Frame((-edge, edge), (0, 1.08), width=360, height=190, left=14)
    body = []
    for value in ticks(-edge, edge, 6):
        body.append(text(frame.x(value), frame.bottom_edge + 15, number(value), "tick"))
    levels, counts = np.unique(np.round(after, 9), return_counts=True)
    spacing = float(np.diff(levels).min()) if len(levels) > 1 else edge
    bar = max(1.2, min(frame.x(spacing) - frame.x(0), 30.0) * 0.62)
    for level, share in zip(levels, counts / len(after), strict=True):
        top = frame.y(float(share * len(after) / counts.max()))
        hint = f"<title>{number(float(level))}: {100 * share:.1f} %</title>"
        body.append(
            f'<rect x="{number(frame.x(float(level)) - bar / 2)}" y="{number(top)}" '
            f'width="{number(bar)}" height="{number(frame.bottom_edge - top)}" class="bar" '
            f'rx="1">{hint}</rect>'
        )
    n_bins = int(np.clip(np.sqrt(len(before)), 15, 55)) | 1
    bins, edges = np.histogram(before, bins=n_bins, range=(-edge, edge))
    centres = (edges[:-1] + edges[1:]) / 2
    xs = [frame.x(float(v)) for v in centres]
    ys = [frame.y(float(v)) for v in bins / bins.max()]
    base = number(frame.bottom_edge)
    points = " ".join(f"{number(x)},{number(y)}" for x, y in zip(xs, ys, strict=True))
    body.append(
        f'<polygon points="{number(xs[0])},{base} {points} {number(xs[-1])},{base}" '
        f'class="area float"/>'
    )
    body.append(path(xs, ys, "stroke float"))
    body.append(line(frame.left, frame.bottom_edge, frame.right_edge, frame.bottom_edge, "axis"))
    body.append(text(frame.width / 2, frame.height - 5, "weight", "label"))
    return svg(frame.width, frame.height, body, label)


def bar_meter(used: float, available: float, *, label: str) -> str:
    """A horizontal bar, as wide as its box: how much of something is used."""
    share = min(used / available, 1.0) if available else 1.0
    kind = "over" if used > available else "meter"
    body = [
        rect(0, 0, 300, 12, "track"),
        rect(0, 0, max(300 * share, 1.0 if used else 0), 12, kind),
    ]
    return svg(300, 12, body, label, stretch=True)


def confusion_chart(matrix: Array, names: Sequence[str], *, label: str) -> str:
    """Rows are labels, columns answers; a cell's shade is its share of the row."""
    n = len(names)
    left, top = 46.0, 30.0
    cell = min(40.0, 400.0 / n)
    body = []
    for i, name in enumerate(names):
        body.append(text(left - 7, top + (i + 0.5) * cell + 4, name, "tick", "end"))
        body.append(text(left + (i + 0.5) * cell, top - 7, name, "tick"))
    for i in range(n):
        row = max(1, int(matrix[i].sum()))
        for j in range(n):
            count = int(matrix[i, j])
            x, y = left + j * cell, top + i * cell
            body.append(rect(x + 1, y + 1, cell - 2, cell - 2, "cell", ' rx="3"'))
            if count:
                kind = "right" if i == j else "wrong"
                shade = 0.18 + 0.82 * (count / row) if i == j else 0.25 + 0.75 * (count / row)
                shade = min(1.0, shade)
                extra = f' rx="3" fill-opacity="{number(shade)}"'
                body.append(rect(x + 1, y + 1, cell - 2, cell - 2, kind, extra))
                ink = "on-dark" if i == j and shade > 0.55 else "ink"
                body.append(text(x + cell / 2, y + cell / 2 + 4, str(count), ink))
    size = n * cell
    body.append(text(left + size / 2, 10, "answer", "label"))
    body.append(
        f'<text transform="translate(11 {number(top + size / 2)}) rotate(-90)" '
        f'text-anchor="middle" class="label">label</text>'
    )
    return svg(left + size + 4, top + size + 4, body, label)


def network_chart(
    columns: Sequence[tuple[str, int, str]], links: Sequence[tuple[str, str]], *, label: str
) -> str:
    """Populations as columns of neurons, from left to right. `columns`: (name, neurons, a line
    below); `links`: two lines for each gap between columns."""
    count = len(columns)
    width, height, centre = max(320.0, 140.0 * count), 250.0, 100.0
    shown = [min(n, 11) for _, n, _ in columns]
    xs = [50 + i * (width - 100) / max(1, count - 1) for i in range(count)]
    places = []
    for n in shown:
        pitch = min(17.0, 176.0 / max(n, 1))
        places.append([centre + (k - (n - 1) / 2) * pitch for k in range(n)])
    body = []
    for i in range(count - 1):
        segments = "".join(
            f"M{number(xs[i] + 8)} {number(a)}L{number(xs[i + 1] - 8)} {number(b)}"
            for a in places[i]
            for b in places[i + 1]
        )
        body.append(f'<path d="{segments}" class="wire"/>')
    for (name, n, below), x, ys in zip(columns, xs, places, strict=True):
        for k, y in enumerate(ys):
            if n > len(ys) and k == len(ys) // 2:
                body.append(rect(x - 7, y - 8, 14, 16, "paper"))
                for dy in (-4.5, 0, 4.5):
                    body.append(circle(x, y + dy, 1.3, "ellipsis"))
            else:
                body.append(circle(x, y, 6, "input" if x == xs[0] else "neuron"))
        body.append(text(x, 212, name, "name"))
        body.append(text(x, 227, f"{n} {'inputs' if x == xs[0] else 'neurons'}", "tick"))
        if below:
            body.append(text(x, 242, below, "tick"))
    for (first, second), a, b in zip(links, xs, xs[1:], strict=False):
        middle = (a + b) / 2
        body.append(rect(middle - 50, centre - 19, 100, 38, "badge", ' rx="8"'))
        body.append(text(middle, centre - 3, first, "badge-text"))
        body.append(text(middle, centre + 12, second, "tick"))
    return svg(width, height, body, label)
