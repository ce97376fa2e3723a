# SPDX-License-Identifier: Apache-2.0
"""From a NIR file to named nodes and edges, as much of it as can be understood."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from spikefab.gen.errors import InputError

__all__ = ["Graph", "Node", "from_nir", "read_graph"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A node as the file states it: nothing broadcast, nothing checked."""

    kind: str
    """NIR's type name."""
    values: dict[str, Any]
    graph: Graph | None = None
    """What a node of kind NIRGraph holds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Nodes by name, edges in the file's order."""

    nodes: dict[str, Node]
    edges: list[tuple[str, str]]
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def from_nir(graph: nir.NIRGraph, notes: tuple[str, ...] = ()) -> Graph:
    """A graph in memory, as `read_graph` would give it."""
    nodes = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            nodes[str(name)] = Node(kind="NIRGraph", values={}, graph=from_nir(node))
            continue
        values = {k: v for k, v in vars(node).items() if k != "metadata"}
        if isinstance(node, nir.Input):
            values["shape"] = node.input_type
        elif isinstance(node, nir.Output):
            values["shape"] = node.output_type
        nodes[str(name)] = Node(kind=type(node).__name__, values=values)
    metadata = graph.metadata if isinstance(graph.metadata, dict) else {}
    edges = [(str(a), str(b)) for a, b in graph.edges]
    return Graph(nodes=nodes, edges=edges, metadata=metadata, notes=notes)


def read_graph(path: Path) -> Graph:
    """Reads a `.nir` file: strictly, else without type check, else field by field.

    Raises `InputError` where the file is missing, damaged, or holds no graph.
    """
    _check_file(path)
    reasons = []
    for type_check in (True, False):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                graph = nir.read(path, type_check=type_check)
        except Exception as error:  # nir raises whatever its constructors meet
            reasons.append(_one_line(error))
            continue
        if not isinstance(graph, nir.NIRGraph):
            raise InputError(f"{path}: holds a single {type(graph).__name__} node, not a graph")
        refused = [f"nir's type check refuses this file ({r}); read without it" for r in reasons]
        return from_nir(graph, tuple(refused))
    return _read_fields(path, reasons[-1])


def _check_file(path: Path) -> None:
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path}: {reason}; give a .nir file")
    try:
        if not h5py.is_hdf5(path):
            raise InputError(f"{path}: is not HDF5, so it is no .nir graph; export it again")
        with h5py.File(path, "r") as file:
            if "node" not in file:
                raise InputError(
                    f"{path}: is HDF5, but holds no NIR graph (no group 'node'; it has "
                    f"{', '.join(file) or 'nothing'})"
                )
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read, it is truncated or damaged ({_one_line(error)}); "
            "copy or export it again"
        ) from None


def _read_fields(path: Path, reason: str) -> Graph:
    """What nir refuses, dataset by dataset: schemas change, parameters mean the same."""
    problems: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            graph = _read_group(file["node"], "", f"{path}:", problems)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path}: cannot be read, it is damaged ({_one_line(error)}); export it again"
        ) from None
    if problems:
        raise InputError(problems)
    note = f"nir {nir.version} refuses this file ({reason}); read field by field"
    return replace(graph, notes=(note,))


def _read_group(group: Any, prefix: str, where: str, problems: list[str]) -> Graph:
    """A graph and those nested in it; `prefix` is the names of what it is nested in."""
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    of = f"node {prefix[:-1]!r}:" if prefix else "the graph"
    for key in ("nodes", "edges"):
        if key not in group:
            problems.append(
                f"{where} {of} has no {key!r}: it was exported incomplete; export it again"
            )
    for name, member in group.get("nodes", {}).items():
        try:
            values = {k: v[()] for k, v in member.items() if isinstance(v, h5py.Dataset)}
            kind = _text(values.pop("type"))
        except (KeyError, AttributeError):
            problems.append(
                f"{where} node {prefix + name!r} has no type: the file is damaged; export it again"
            )
            continue
        nested = None
        if kind == "NIRGraph":
            nested = _read_group(member, f"{prefix}{name}.", where, problems)
        nodes[name] = Node(kind=kind, values=values, graph=nested)
    if "edges" in group:
        edges = [(_text(a), _text(b)) for a, b in np.asarray(group["edges"][()])]
    return Graph(nodes=nodes, edges=edges)


def _text(value: Any) -> str:
    return value.decode("utf8", "replace") if isinstance(value, bytes) else str(value)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "…"
