# SPDX-License-Identifier: Apache-2.0
"""Where events of a design's inputs and outputs go: the manifest's way to say it, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikefab.hdl.conv_params import GridParams

__all__ = ["address_fields", "node_addresses", "place_order"]


def address_fields(grid: GridParams | None) -> dict[str, list[int]] | None:
    """The address of a map's neuron, below the node's `base`: the shape in whose C order neurons
    are numbered, and for channel, row and column the lowest bit and the width. None: neuron n has
    address n."""
    if grid is None:
        return None
    return {
        "shape": list(grid.shape),
        "channel": [0, grid.c_bits],
        "row": [grid.c_bits + grid.x_bits, grid.y_bits],
        "column": [grid.c_bits, grid.x_bits],
    }


def node_addresses(nodes: Sequence[dict[str, Any]]) -> tuple[int, ...]:
    """The address of each neuron of the nodes, as the manifest has them, side by side, those that
    share their addresses once; empty: neuron n has address n."""
    if not any(node.get("fields") for node in nodes):
        return ()
    found: list[int] = []
    for node in {node["base"]: node for node in nodes}.values():
        fields = node.get("fields")
        own = np.arange(node["size"])
        if fields:
            parts = np.indices(fields["shape"])
            names = ("channel", "row", "column")
            own = sum(p << fields[f][0] for f, p in zip(names, parts, strict=True)).ravel()
        found += (node["base"] + own).tolist()
    return tuple(found)


def place_order(entry: dict[str, Any]) -> tuple[int, ...]:
    """The place of each neuron of a layer, as the manifest has it; empty: neuron n is at n."""
    if not entry.get("grid"):
        return ()
    numbers = GridParams(**entry["grid"]).neurons(entry["lanes"])
    places = {number: place for place, number in enumerate(numbers)}
    return tuple(places[k] for k in range(entry["neuron"]["n"]))
