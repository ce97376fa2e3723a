# SPDX-License-Identifier: Apache-2.0
"""Drawn graphs: no box over another, no arrow through a box, sources left of their targets."""

from __future__ import annotations

import random
import re

import pytest

from spikefab.scripts.graphlayout import WIDTH, Layout, lay_out

Links = list[tuple[str, str, bool]]
Point = tuple[float, float]


def drawn(seed: int) -> tuple[dict[str, float], Links]:
    """Boxes of two heights; each has a source before it, most several, some loops and ways back."""
    rng = random.Random(seed)
    names = [f"n{k}" for k in range(rng.randint(2, 9))]
    links: Links = []
    for k, name in enumerate(names):
        for source in rng.sample(names[:k], min(k, rng.randint(1, 3))):
            links.append((source, name, False))
        for source in rng.sample(names[k:], rng.randint(0, 1)):
            links.append((source, name, True))
    return {name: rng.choice([43.0, 86.0]) for name in names}, links


def points(path: str) -> list[Point]:
    """The path, finely: cubic and quadratic curves in 16 parts."""
    found: list[Point] = []
    for kind, numbers in re.findall("([MLCQ])([^MLCQ]*)", path):
        values = [float(v) for v in numbers.split()]
        at = list(zip(values[::2], values[1::2], strict=True))
        if kind in "ML":
            start, at = (found or at)[-1], at * 2
        else:
            start = found[-1]
        curve = [start, *at]
        while len(curve) < 4:
            curve.insert(1, curve[1])
        if kind == "Q":
            (a, _, b, c) = curve
            curve = [a, ((a[0] + 2 * b[0]) / 3, (a[1] + 2 * b[1]) / 3),
                     ((c[0] + 2 * b[0]) / 3, (c[1] + 2 * b[1]) / 3), c]  # fmt: skip
        for k in range(17):
            t = k / 16
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            x, y = (sum(w * p[i] for w, p in zip(weights, curve, strict=True)) for i in (0, 1))
            found.append((x, y))
    return found


def inside(layout: Layout, point: Point) -> list[str]:
    x, y = point
    return [
        name
        for name, box in layout.boxes.items()
        if box.left + 0.2 < x < box.left + WIDTH - 0.2 and abs(y - box.y) < box.height / 2 - 0.2
    ]


@pytest.mark.parametrize("seed", range(40))
def test_drawn_graphs(seed: int) -> None:
    heights, links = drawn(seed)
    layout = lay_out(heights, links)
    boxes = layout.boxes
    for name, box in boxes.items():
        assert box.left > 0
        assert box.right < layout.width
        assert box.y - box.height / 2 > 0
        assert box.y + box.height / 2 < layout.height
        for other, beside in boxes.items():
            if other != name and beside.column == box.column:
                assert abs(beside.y - box.y) >= (beside.height + box.height) / 2 + 30
    assert len(layout.arrows) == len(links)
    for (a, b, back), arrow in zip(links, layout.arrows, strict=True):
        way = points(arrow.path)
        assert way[0][0] == pytest.approx(boxes[a].right, abs=0.1)
        assert abs(way[0][1] - boxes[a].y) < boxes[a].height / 2
        assert way[-1] == pytest.approx(arrow.end, abs=0.1)
        assert arrow.end[0] == boxes[b].left
        assert abs(arrow.end[1] - boxes[b].y) < boxes[b].height / 2
        assert back or boxes[a].column < boxes[b].column
        assert not [p for p in way if inside(layout, p)]
        assert all(0 < x < layout.width and 0 < y < layout.height for x, y in way)
    assert lay_out(heights, links).arrows == layout.arrows


def test_a_chain_is_a_row_and_a_skip_goes_round() -> None:
    heights = dict.fromkeys(("a", "b", "c"), 50.0)
    row = lay_out(heights, [("a", "b", False), ("b", "c", False)])
    assert len({box.y for box in row.boxes.values()}) == 1
    assert [box.column for box in row.boxes.values()] == [0, 1, 2]
    assert all("C" not in arrow.path for arrow in row.arrows)
    skip = lay_out(heights, [("a", "b", False), ("b", "c", False), ("a", "c", False)])
    assert skip.height > row.height


def test_arrows_that_lead_back_go_below_all_boxes() -> None:
    heights = dict.fromkeys("abcd", 50.0)
    links = [(x, y, False) for x, y in ("ab", "bc", "cd")]
    links += [("d", "b", True), ("c", "b", True)]
    layout = lay_out(heights, links)
    floor = max(box.y + box.height / 2 for box in layout.boxes.values())
    depths = [max(y for _, y in points(arrow.path)) for arrow in layout.arrows[3:]]
    assert floor < depths[0] < depths[1] < layout.height
