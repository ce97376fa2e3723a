# SPDX-License-Identifier: Apache-2.0
"""A figure beside its bar and what others reach; a table of them, for people or machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Figure", "Table", "as_json", "at_least", "at_most"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number."""

    what: str
    value: float
    bar: float | None = None
    upper: bool = True
    """The bar is the most that the value may be; False: the least."""
    anchor: str = ""
    """What it is measured against, with its source where that is not the table's."""
    digits: int = 0
    """Decimals printed."""

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value <= self.bar if self.upper else self.value >= self.bar

    def cells(self) -> tuple[str, str, str, str]:
        bar = ""
        if self.bar is not None:
            sign = "≤" if self.upper else "≥"
            bar = f"{sign} {self.bar:,.{self.digits}f} {'met' if self.met else 'MISSED'}"
        return self.what, f"{self.value:,.{self.digits}f}", bar, self.anchor


def at_most(what: str, value: float, bar: float, anchor: str = "", digits: int = 0) -> Figure:
    return Figure(what=what, value=value, bar=bar, anchor=anchor, digits=digits)


def at_least(what: str, value: float, bar: float, anchor: str = "", digits: int = 0) -> Figure:
    return Figure(what=what, value=value, bar=bar, upper=False, anchor=anchor, digits=digits)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The figures of one run."""

    title: str
    figures: Sequence[Figure]
    anchor: str = ""
    """Heads the column of what others reach."""
    notes: Sequence[str] = ()

    def text(self) -> str:
        rows = [("", "here", "bar", self.anchor), *(f.cells() for f in self.figures)]
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        lines = [
            f"{a:{widths[0]}}  {b:>{widths[1]}}  {c:{widths[2]}}  {d}".rstrip()
            for a, b, c, d in rows
        ]
        return "\n".join([self.title, *("  " + line for line in lines), *self.notes])

    def values(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "anchor": self.anchor,
            "figures": [{**asdict(figure), "met": figure.met} for figure in self.figures],
            "notes": list(self.notes),
        }


def as_json(tables: Sequence[Table]) -> str:
    return json.dumps([table.values() for table in tables], indent=2)
