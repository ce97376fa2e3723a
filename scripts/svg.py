# SPDX-License-Identifier: Apache-2.0
"""The shapes that charts are made of, as SVG text, and the frame that holds them.

Colours are CSS classes of the page that holds the drawing (`scripts.style`), so that it follows
the page into dark mode and onto paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

__all__ = ["Frame", "circle", "line", "number", "path", "rect", "svg", "text", "ticks"]


def number(value: float) -> str:
    """A coordinate or a tick, short and without a trailing zero."""
    short = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if short in ("-0", "") else short


def svg(
    width: float, height: float, body: Sequence[str], label: str, *, stretch: bool = False
) -> str:
    """A drawing in a coordinate system of its own; `stretch`: it fills any box, out of shape."""
    fill = 'preserveAspectRatio="none" ' if stretch else ""
    return (
        f'<svg viewBox="0 0 {number(width)} {number(height)}" {fill}role="img" '
        f'aria-label="{escape(label, quote=True)}">' + "".join(body) + "</svg>"
    )


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "middle") -> str:
    style = f' class="{kind}"' if kind else ""
    return (
        f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"{style}>'
        f"{escape(content)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return (
        f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" '
        f'class="{kind}"/>'
    )


def rect(x: float, y: float, w: float, h: float, kind: str, extra: str = "") -> str:
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(max(w, 0))}" '
        f'height="{number(max(h, 0))}" class="{kind}"{extra}/>'
    )


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers that cover [low, high], about `count` of them."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


class Frame:
    """The axes of a chart: maps data to coordinates and draws grid, ticks and labels."""

    def __init__(
        self,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        *,
        width: float = 460,
        height: float = 220,
        left: float = 46,
        right: float = 12,
        top: float = 10,
        bottom: float = 38,
    ):
        self.width, self.height = width, height
        self.left, self.right_edge = left, width - right
        self.top, self.bottom_edge = top, height - bottom
        self.x_range = x_range
        low, high = y_range
        self.y_range = (low, high) if high > low else (low - 1, high + 1)

    def x(self, value: float) -> float:
        low, high = self.x_range
        part = (value - low) / (high - low) if high > low else 0.5
        return self.left + part * (self.right_edge - self.left)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.bottom_edge - (value - low) / (high - low) * (self.bottom_edge - self.top)

    def axes(
        self,
        x_label: str,
        y_label: str,
        *,
        x_ticks: Sequence[float] | None = None,
        y_count: int = 4,
        tick: Callable[[float], str] = number,
    ) -> list[str]:
        out = []
        for value in ticks(*self.y_range, y_count):
            y = self.y(value)
            out.append(line(self.left, y, self.right_edge, y, "grid"))
            out.append(text(self.left - 6, y + 3.5, tick(value), "tick", "end"))
        for value in ticks(*self.x_range, 8) if x_ticks is None else x_ticks:
            out.append(text(self.x(value), self.bottom_edge + 15, number(value), "tick"))
        out.append(line(self.left, self.bottom_edge, self.right_edge, self.bottom_edge, "axis"))
        middle = (self.left + self.right_edge) / 2
        out.append(text(middle, self.height - 5, x_label, "label"))
        if y_label:
            y = (self.top + self.bottom_edge) / 2
            out.append(
                f'<text transform="translate(11 {number(y)}) rotate(-90)" text-anchor="middle" '
                f'class="label">{escape(y_label)}</text>'
            )
        return out


def path(xs: Sequence[float], ys: Sequence[float], kind: str) -> str:
    points = " ".join(f"{number(x)},{number(y)}" for x, y in zip(xs, ys, strict=True))
    return f'<polyline points="{points}" class="{kind}"/>'


def circle(x: float, y: float, radius: float, kind: str, hint: str = "") -> str:
    title = f"<title>{escape(hint)}</title>" if hint else ""
    return (
        f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" class="{kind}">'
        f"{title}</circle>"
    )
