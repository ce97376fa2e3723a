# SPDX-License-Identifier: Apache-2.0
"""A network that is no chain, drawn: boxes and arrows, what comes a step later dashed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from spikefab.scripts.graphlayout import WIDTH, Arrow, Layout, Place, lay_out
from spikefab.scripts.svg import number, rect, svg, text

__all__ = ["Box", "graph_chart"]

LINE = 14.5
"""From line to line in a box."""
NAME_LETTERS, LETTERS = 19, 23
"""That fit into a box: into its name, and into another line."""
HEAD = 6.0
"""Length of an arrow's head."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box: its name, and lines below it."""

    name: str
    lines: Sequence[str]
    kind: str
    """The CSS class of its frame: `input`, `neuron`, `shown`."""


def graph_chart(
    boxes: Sequence[Box], links: Sequence[tuple[str, str, bool, str]], *, label: str
) -> tuple[str, float]:
    """The drawing, and its width. `boxes`: sources first. `links`: (source, target, comes a step
    later, a few words or none)."""
    heights = {box.name: 14 + LINE * (1 + len(box.lines)) for box in boxes}
    layout = lay_out(heights, [link[:3] for link in links])
    body = [
        _arrow(arrow, f"{a} to {b}{f', {words}' if words else ''}")
        for arrow, (a, b, _, words) in zip(layout.arrows, links, strict=True)
    ]
    for box in boxes:
        body += _box(box, layout.boxes[box.name])
    body += _words(links, layout)
    return svg(layout.width, layout.height, body, label), layout.width


def _arrow(arrow: Arrow, hint: str) -> str:
    x, y = arrow.end
    back = " back" if arrow.back else ""
    told = f"{hint}, a step later" if arrow.back else hint
    head = f"M{number(x)} {number(y)}l{number(-HEAD)} -3.5v7z"
    return (
        f'<g><title>{escape(told)}</title><path d="{arrow.path}" class="link{back}"/>'
        f'<path d="{head}" class="head{back}"/></g>'
    )


def _box(box: Box, place: Place) -> list[str]:
    top, middle = place.y - place.height / 2, place.left + WIDTH / 2
    body = [rect(place.left, top, WIDTH, place.height, box.kind, ' rx="7"')]
    for k, line in enumerate((box.name, *box.lines)):
        most = LETTERS if k else NAME_LETTERS
        short = line if len(line) <= most else line[: most - 1] + "…"
        drawn = text(middle, top + 17 + LINE * k, short, "tick" if k else "name")
        if short != line:
            drawn = f"<g><title>{escape(line)}</title>{drawn}</g>"
        body.append(drawn)
    return body


def _words(links: Sequence[tuple[str, str, bool, str]], layout: Layout) -> list[str]:
    """What is said of an arrow, before its head."""
    return [
        text(arrow.end[0] - HEAD - 2, arrow.end[1] - 4, words, "said", "end")
        for arrow, (*_, words) in zip(layout.arrows, links, strict=True)
        if words
    ]
