# SPDX-License-Identifier: Apache-2.0
"""A config's layers as the nodes that a NIR graph would have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikefab.gen.config_conv import Shape, Window
from spikefab.gen.discretise import Kind
from spikefab.gen.nir_read import Graph, Node

__all__ = ["ConfigLayer", "config_graph"]


@dataclass(frozen=True, kw_only=True)
class ConfigLayer:
    """A checked layer; what is wrong is None."""

    name: str
    shape: Shape | None
    """Of its neurons: (size,), or (channels, rows, columns)."""
    kind: Kind
    weight: np.ndarray | None
    bias: np.ndarray | None
    parameters: dict[str, np.ndarray]
    """As NIR names them."""
    delays: np.ndarray | None = None
    """Steps, int64 (inputs,) or (size, inputs)."""
    pool: Window | None = None
    """In front of the weights."""
    conv: Window | None = None
    """None: the weights are dense."""


def config_graph(shape: Shape, layers: Sequence[ConfigLayer], dt: float) -> Graph:
    """The layers as a graph: a chain, where no synapse has a delay of its own. Else each delay of a
    layer is a way beside the others, with the weights that have it. `shape`: the input's.
    """
    taken = {layer.name for layer in layers}

    def free(name: str) -> str:
        return free(f"{name}_") if name in taken else name

    nodes = {"input": Node(kind="Input", values={"shape": shape})}
    edges: list[tuple[str, str]] = []
    here, axes = "input", len(shape)

    def after(source: str, name: str, kind: str, **values: Any) -> str:
        nodes[name] = Node(kind=kind, values=values)
        edges.append((source, name))
        return name

    for layer in layers:
        ends: list[str] = []
        if layer.pool is not None:
            here = after(here, free(f"{layer.name}.pool"), layer.pool.kind, **layer.pool.values)
        if layer.conv is not None:
            name = free(f"{layer.name}.weights")
            values = layer.conv.values | {"weight": layer.weight, "bias": layer.bias}
            here = after(here, name, layer.conv.kind, **values)
            here, axes = after(here, layer.name, layer.kind, **layer.parameters), 3
            continue
        if axes > 1:
            name = free(f"{layer.name}.flatten")
            here = after(here, name, "Flatten", start_dim=0, end_dim=-1)
        for steps, delays, weight in _ways(layer):
            end, mark = here, "" if steps is None else f"{steps}"
            if delays is not None:
                end = after(end, free(f"{layer.name}.delay{mark}"), "Delay", delay=delays * dt)
            # The bias of all of them.
            bias = None if ends else layer.bias
            kind = "Linear" if bias is None else "Affine"
            name = free(f"{layer.name}.weights{mark}")
            ends.append(after(end, name, kind, weight=weight, bias=bias))
        here, axes = after(ends[0], layer.name, layer.kind, **layer.parameters), 1
        edges += [(end, here) for end in ends[1:]]
    after(here, "output", "Output")
    return Graph(nodes=nodes, edges=edges)


def _ways(layer: ConfigLayer) -> list[tuple[int | None, np.ndarray | None, np.ndarray | None]]:
    """The ways into a layer: delay, where there are several; delays, one an input; weights."""
    weight, delays = layer.weight, layer.delays
    if weight is None or delays is None or delays.ndim == 1:
        return [(None, delays, weight)]
    steps = np.unique(delays[weight != 0]).tolist() or [0]
    return [(d, np.full(weight.shape[1], d), np.where(delays == d, weight, 0.0)) for d in steps]
