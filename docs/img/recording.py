# SPDX-License-Identifier: Apache-2.0
"""Draws recording.svg: a recording of docs/data.md, and its counts. `python docs/img/recording.py`.

The recording is made by that page's own first block, the counts by `spikefab data`'s binning.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.scripts.binning import Binned, Binning, stack
from spikefab.scripts.recordings import Events

HERE = Path(__file__).resolve().parent
SHOWN = (3, 7, 12, 16, 22, 27)
"""Steps that are drawn."""

STYLE = """
    .panel { fill: #ffffff; stroke: #d0d7de; }
    text { fill: #1f2328; font-size: 12.5px; }
    .head { font-size: 16px; font-weight: 600; }
    .note { fill: #57606a; }
    .axis { stroke: #57606a; fill: none; }
    .band { fill: #eef4fb; }
    .on { fill: #9a4b00; }
    .off { fill: #3b6ea5; }
    @media (prefers-color-scheme: dark) {
      .panel { fill: #0d1117; stroke: #30363d; }
      text { fill: #e6edf3; }
      .note { fill: #a3adb8; }
      .axis { stroke: #a3adb8; }
      .band { fill: #10233a; }
      .on { fill: #f0a35e; }
      .off { fill: #6ea8e0; }
    }
"""


def squares(kind: str, places: list[tuple[float, float]], side: float) -> str:
    """Many squares of one colour as one path."""
    d = "".join(f"M{x:.4g} {y:.4g}h{side:g}v{side:g}h-{side:g}z" for x, y in places)
    return f'<path class="{kind}" d="{d}"/>'


def draw(events: np.ndarray) -> str:
    how = Binning(bin_us=10_000, sensor=(34, 34))
    recording = Events(**{name: events[name] for name in "txyp"}, sensor=(34, 34))
    counts = stack([Binned.of(recording, how)], how)[0]
    out = ['<rect class="panel" x="0.5" y="0.5" width="919" height="409" rx="8"/>']
    out.append('<text class="head" x="20" y="30">Events: column of the pixel over time</text>')
    left, top, width, height = 40, 44, 850, 136
    first = int(events["t"][0])

    def at(t: float) -> float:
        return left + width * (t - first) / (len(counts) * 10_000)

    for step in SHOWN:
        x, end = at(first + 10_000 * step), at(first + 10_000 * (step + 1))
        out.append(
            f'<rect class="band" x="{x:.1f}" y="{top}" width="{end - x:.1f}" height="{height}"/>'
        )
    for kind, p in (("off", 0), ("on", 1)):
        chosen = events[events["p"] == p]
        places = [(at(e["t"]), top + e["x"] * height / 34) for e in chosen]
        out.append(squares(kind, places, 1.2))
    out.append(f'<path class="axis" d="M{left} {top}v{height}h{width}"/>')
    for ms in range(0, 301, 50):
        x = left + width * ms / (len(counts) * 10)
        words = f"{ms} ms" if ms == 300 else str(ms)
        out.append(f'<text x="{x:.1f}" y="{top + height + 16}" text-anchor="middle">{words}</text>')
    out.append('<text class="head" x="20" y="232">Counts: six of the steps of 10 ms</text>')
    for k, step in enumerate(SHOWN):
        x0, y0, side = 40 + 145 * k, 246, 125
        out.append(f'<rect class="panel" x="{x0}" y="{y0}" width="{side}" height="{side}"/>')
        for kind, p in (("off", 0), ("on", 1)):
            rows, cols = np.nonzero(counts[step, p])
            cell = side / 34
            pixels = [(x0 + c * cell, y0 + r * cell) for r, c in zip(rows, cols, strict=True)]
            out.append(squares(kind, pixels, round(cell, 2)))
        text = f"step {step}: {counts[step].sum()} events"
        out.append(f'<text x="{x0 + side / 2}" y="388" text-anchor="middle">{text}</text>')
    out.append(squares("on", [(640, 22)], 9) + '<text class="note" x="654" y="31">brighter</text>')
    out.append(squares("off", [(724, 22)], 9) + '<text class="note" x="738" y="31">darker</text>')
    return "\n".join(out)


def main() -> None:
    page = (HERE.parent / "data.md").read_text()
    blocks = re.findall(r"(<!--.*-->\n)?```python\n(.*?)```", page, re.DOTALL)
    code = next(body for mark, body in blocks if not mark).split("rng = ")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    events = names["record"](names["SHAPES"]["ring"], np.random.default_rng(1))
    body = draw(events)
    (HERE / "recording.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 410" role="img" '
        'aria-labelledby="title desc" font-family="system-ui, -apple-system, '
        "'Segoe UI', 'DejaVu Sans', sans-serif\">\n"
        '<title id="title">A recording, binned</title>\n'
        '<desc id="desc">Above, the events of a ring that moves along three sides of a triangle in '
        "300 ms, each a dot at its time and column. Below, six steps of 10 ms as images of 34 by "
        "34 pixels with the events of each counted.</desc>\n"
        f"<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


if __name__ == "__main__":
    main()
