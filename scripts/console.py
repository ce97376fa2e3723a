# SPDX-License-Identifier: Apache-2.0
"""What the commands say: results on standard output, progress on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

__all__ = ["Output"]

SLOW_SECONDS = 2.0
"""A piece of work shows its progress after this long."""


class Output:
    """Where a command's words go.

    With `as_json` standard output carries one JSON object at the end, and nothing else.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        """A line of the result, for people."""
        if not self.as_json:
            self.out.print(text, markup=False)

    def note(self, text: str) -> None:
        """A line on what is going on: standard error."""
        self.err.print(text, style="dim", markup=False)

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Two columns: what, and how much."""
        if self.as_json:
            return
        table = Table(title=title, show_header=False, title_justify="left")
        table.add_column(style="bold")
        table.add_column()
        for row in rows:
            table.add_row(*row)
        self.out.print(table, markup=False)

    def result(self, values: Mapping[str, Any]) -> None:
        """The result for machines, printed with `--json` only."""
        if self.as_json:
            print(json.dumps(values, default=_plain))

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Names a piece of work and says how long it took, on standard error."""
        self.err.print(f"▸ {title}", style="bold", markup=False)
        start = time.monotonic()
        yield
        self.err.print(f"  {time.monotonic() - start:.1f} s", style="dim", markup=False)

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """A bar that appears when the work takes more than two seconds; yields (done, total)."""
        if not sys.stderr.isatty():
            yield _Lines(self, title)
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.err, transient=True) as bars:
            task = bars.add_task(title, total=None, visible=False)
            start = time.monotonic()

            def update(done: int, total: int) -> None:
                slow = time.monotonic() - start > SLOW_SECONDS
                bars.update(task, completed=done, total=total, visible=slow)

            yield update


class _Lines:
    """Progress where there is no terminal: a line every ten seconds."""

    def __init__(self, output: Output, title: str) -> None:
        self.output, self.title = output, title
        self.said = time.monotonic() - 10 + SLOW_SECONDS

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self.said >= 10 and done < total:
            self.said = time.monotonic()
            self.output.note(f"  {self.title}: {done}/{total}")


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
