# SPDX-License-Identifier: Apache-2.0
"""From a NIR graph to a `Network`: every node of NIR 1.0.8, in any directed graph.

Everything that stands in the way is reported at once, each problem with the node's name.
"""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np

from spikefab.gen.dialect import PRESETS, Dialect, parse_dialect
from spikefab.gen.errors import InputError
from spikefab.gen.graph import build_network
from spikefab.gen.graph_ends import frame_of
from spikefab.gen.network import Network
from spikefab.gen.nir_dt import own_dt
from spikefab.gen.nir_exporter import exporter
from spikefab.gen.nir_flatten import flatten_graph
from spikefab.gen.nir_read import Graph, from_nir, read_graph

__all__ = ["import_nir"]


def import_nir(
    source: Path | str | nir.NIRGraph,
    *,
    dialect: Dialect | str | None = None,
    dt: float | None = None,
    steps: int | None = None,
    name: str | None = None,
) -> Network:
    """Reads a `.nir` file or takes a graph in memory, checks it and discretises it.

    Without a `dialect` the exporter must be recognisable from the graph; without `dt` the graph's
    own holds, where its parameters tell it, else the dialect's default. Raises `InputError` with
    every problem found.
    """
    if isinstance(source, nir.NIRGraph):
        graph, name = from_nir(source), name or "network"
    else:
        graph, name = read_graph(Path(source)), name or Path(source).stem
    problems: list[str] = []
    graph = flatten_graph(graph, problems)
    notes = list(graph.notes)
    if isinstance(dialect, str):
        dialect = parse_dialect(dialect)
    if dialect is None:
        dialect, dt = _recognise(graph, dt, notes, problems)
    if dialect is None:
        frame_of(graph, problems, notes)
        raise InputError(problems)
    if dt is None and (dt := own_dt(graph)) is not None:
        notes.append(f"dt = {dt:g} s: read from the graph's own parameters, r = tau/dt")
    elif dt is None:
        dt = dialect.default_dt
        unit = "1 (tau counts steps)" if dt == 1 else f"{dt:g} s"
        notes.append(f"dt = {unit}: the default of {dialect.preset or 'this dialect'}, none given")
    elif not (np.isfinite(dt) and dt > 0):
        raise InputError(f"dt = {dt!r}: must be a number of seconds > 0")
    return build_network(
        graph, name=name, dialect=dialect, dt=dt, steps=steps, problems=problems, notes=notes
    )


def _recognise(
    graph: Graph, dt: float | None, notes: list[str], problems: list[str]
) -> tuple[Dialect | None, float | None]:
    """The dialect, and dt, of the framework that wrote the graph, where it gives itself away."""
    preset, why, found_dt = exporter(graph)
    if not preset:
        problems.append(
            "no dialect given, and the graph does not tell which framework wrote it; give "
            f"--dialect, one of {', '.join(PRESETS)}"
        )
        return None, dt
    dialect = PRESETS[preset]
    notes.append(f"dialect = {dialect}: recognised, {why}; --dialect overrides it")
    if dt is None and found_dt is not None:
        notes.append(f"dt = {found_dt:g} s: read from the graph's own parameters")
        dt = found_dt
    return dialect, dt
