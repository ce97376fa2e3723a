# SPDX-License-Identifier: Apache-2.0
"""Where the boxes and arrows of a drawn graph are: layers from left to right, few crossings.

The steps are Sugiyama's: a column for each depth, a place in each column that an arrow passes, an
order within columns by the mean of the neighbours', and heights that straighten arrows. The same
graph always gives the same drawing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["Arrow", "Layout", "Place", "lay_out"]

WIDTH = 158.0
"""Of a box."""
GAP = 72.0
"""Between columns: room for the verticals of arrows that lead back."""
ROW = 36.0
"""Between boxes of a column: room for a box's own loop."""
PASS = 16.0
"""Height that an arrow takes where it passes a column."""
LANE = 14.0
"""Between arrows that lead back, below all boxes."""
MARGIN = 8.0
LOOP = 13.0
"""How far a box's own loop stands off."""
BEND = 6.0
SWEEPS = 8


@dataclass(eq=False)
class Place:
    """A box, or where an arrow passes a column."""

    column: int
    height: float
    is_box: bool
    y: float = 0.0
    """Its middle."""
    before: list[Place] = field(default_factory=list, repr=False)
    after: list[Place] = field(default_factory=list, repr=False)

    @property
    def left(self) -> float:
        return MARGIN + LOOP + self.column * (WIDTH + GAP)

    @property
    def right(self) -> float:
        return self.left + WIDTH


@dataclass(frozen=True)
class Arrow:
    """An arrow as an SVG path; it ends going right."""

    path: str
    end: tuple[float, float]
    back: bool


@dataclass(frozen=True)
class Layout:
    """Coordinates of a drawing."""

    width: float
    height: float
    boxes: Mapping[str, Place]
    arrows: Sequence[Arrow]
    """In the order of the links."""


def lay_out(heights: Mapping[str, float], links: Sequence[tuple[str, str, bool]]) -> Layout:
    """Boxes of these heights, sources first, with links (source, target, leads back).

    Links that do not lead back go from an earlier box to a later one.
    """
    boxes: dict[str, Place] = {}
    for name, height in heights.items():
        ahead = [boxes[a].column + 1 for a, b, back in links if b == name and not back]
        boxes[name] = Place(max(ahead, default=0), height, True)
    places = list(boxes.values())
    ways: list[list[Place]] = []
    for a, b, back in links:
        way = [boxes[a], boxes[b]]
        if not back:
            passed = range(boxes[a].column + 1, boxes[b].column)
            way[1:1] = [Place(column, PASS, False) for column in passed]
            places += way[1:-1]
            for one, other in pairwise(way):
                one.after.append(other)
                other.before.append(one)
        ways.append(way)
    columns = [
        [p for p in places if p.column == k] for k in range(1 + max(p.column for p in places))
    ]
    _order(columns)
    _settle(columns)
    lows = [p.y - p.height / 2 for p in places]
    loops = any(a == b for a, b, _ in links)
    shift = MARGIN + (LOOP if loops else 0) - min(lows)
    for p in places:
        p.y += shift
    floor = max(p.y + p.height / 2 for p in places)
    arrows, lanes = _arrows(boxes, links, ways, floor)
    right = max(p.right for p in places) + MARGIN + (GAP / 2 if lanes or loops else 0)
    return Layout(right, floor + MARGIN + (LANE * (lanes + 0.5) if lanes else 0), boxes, arrows)


def _order(columns: list[list[Place]]) -> None:
    """Turns each column's order so that few arrows cross: by the neighbours' mean place."""
    for sweep in range(SWEEPS):
        if sweep % 2 == 0:
            for before, column in pairwise(columns):
                _sort(column, before)
        else:
            for after, column in pairwise(columns[::-1]):
                _sort(column, after)


def _sort(column: list[Place], beside: list[Place]) -> None:
    at = {id(p): k for k, p in enumerate(beside)}
    ranks = []
    for k, p in enumerate(column):
        near = [at[id(q)] for q in (*p.before, *p.after) if id(q) in at]
        ranks.append(sum(near) / len(near) if near else k)
    order = sorted(range(len(column)), key=ranks.__getitem__)
    column[:] = [column[k] for k in order]


def _settle(columns: list[list[Place]]) -> None:
    """Heights: each near the mean of its neighbours, none over another."""
    for column in columns:
        _stack(column, [0.0] * len(column))
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else columns[::-1]:
            wanted = []
            for p in column:
                near = [q.y for q in (*p.before, *p.after)]
                wanted.append(sum(near) / len(near) if near else p.y)
            _stack(column, wanted)


def _stack(column: list[Place], wanted: Sequence[float]) -> None:
    """Puts places at the heights wanted, as far as they have room, in their order."""
    ys: list[float] = []
    for k, (p, y) in enumerate(zip(column, wanted, strict=True)):
        if k:
            above = column[k - 1]
            room = ROW if p.is_box or above.is_box else 0.0
            y = max(y, ys[-1] + (above.height + p.height) / 2 + room)
        ys.append(y)
    shift = sum(a - b for a, b in zip(wanted, ys, strict=True)) / max(1, len(ys))
    for p, y in zip(column, ys, strict=True):
        p.y = y + shift


def _arrows(
    boxes: Mapping[str, Place],
    links: Sequence[tuple[str, str, bool]],
    ways: Sequence[list[Place]],
    floor: float,
) -> tuple[list[Arrow], int]:
    """The arrows, and how many go below the floor."""
    leaves, enters = _ends(boxes, links, ways, "leave"), _ends(boxes, links, ways, "enter")
    arrows, lanes = [], 0
    for k, (a, b, back) in enumerate(links):
        start, end = boxes[a], boxes[b]
        y0, y1 = leaves[k], enters[k]
        if a == b:
            top = start.y - start.height / 2 - LOOP
            corners = [(start.right, y0), (start.right + LOOP, y0), (start.right + LOOP, top),
                       (start.left - LOOP, top), (start.left - LOOP, y1),
                       (start.left, y1)]  # fmt: skip
            path = _bent(corners)
        elif back:
            aside = LOOP + 5 + 6 * (lanes % 6)
            low = floor + LANE * (lanes + 1)
            lanes += 1
            corners = [(start.right, y0), (start.right + aside, y0), (start.right + aside, low),
                       (end.left - aside, low), (end.left - aside, y1), (end.left, y1)]  # fmt: skip
            path = _bent(corners)
        else:
            points = [(start.right, y0)]
            for p in ways[k][1:-1]:
                points += [(p.left, p.y), (p.right, p.y)]
            path = _curved([*points, (end.left, y1)])
        arrows.append(Arrow(path, (end.left, y1), back))
    return arrows, lanes


def _ends(
    boxes: Mapping[str, Place],
    links: Sequence[tuple[str, str, bool]],
    ways: Sequence[list[Place]],
    side: str,
) -> dict[int, float]:
    """Where each link leaves, or enters, its box: own loops first, those that lead back last,
    the others in the order of what they come from or go to."""
    found: dict[int, float] = {}
    for name, box in boxes.items():
        own = [k for k, (a, b, _) in enumerate(links) if (a if side == "leave" else b) == name]

        def rank(k: int) -> tuple[int, float]:
            a, b, back = links[k]
            other = ways[k][1] if side == "leave" else ways[k][-2]
            return (0 if a == b else 2 if back else 1), other.y

        for place, k in enumerate(sorted(own, key=rank)):
            found[k] = box.y + ((place + 0.5) / len(own) - 0.5) * (box.height - 12)
    return found


def _curved(points: Sequence[tuple[float, float]]) -> str:
    """Through the points, level at each."""
    x, y = points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for (xa, ya), (xb, yb) in pairwise(points):
        if ya == yb:
            parts.append(f"L{xb:.1f} {yb:.1f}")
        else:
            middle = (xa + xb) / 2
            parts.append(f"C{middle:.1f} {ya:.1f} {middle:.1f} {yb:.1f} {xb:.1f} {yb:.1f}")
    return "".join(parts)


def _bent(points: Sequence[tuple[float, float]]) -> str:
    """Level and upright by turns, with round corners."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(here, before), _towards(here, after)
        parts.append(
            f"L{near[0]:.1f} {near[1]:.1f}Q{here[0]:.1f} {here[1]:.1f} {far[0]:.1f} {far[1]:.1f}"
        )
    parts.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return "".join(parts)


def _towards(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """A point a bend away from `a` towards `b`, half way at most."""
    length = abs(b[0] - a[0]) + abs(b[1] - a[1])
    share = min(BEND, length / 2) / length if length else 0.0
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
