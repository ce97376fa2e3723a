# SPDX-License-Identifier: Apache-2.0
"""The graphs and dialects that say what recorded framework cells were, from each file's own notes.

A recording `<framework>_<cell>_….npz` holds `x` (steps, inputs), `W` (n, inputs), `WR` (n, n) for
a cell that feeds itself, `spikes` and `mem` (steps, n), and `meta`, JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np

__all__ = ["Trace", "read_trace"]

DT = 1e-4
"""What snnTorch and SpikingJelly write time constants with."""


@dataclass(frozen=True, eq=False)
class Trace:
    """One recording, and the graph and dialect that are to reproduce it."""

    graph: nir.NIRGraph
    dialect: str
    x: np.ndarray
    spikes: np.ndarray
    mem: np.ndarray


@dataclass(frozen=True)
class _Cell:
    node: str
    """NIR's type."""
    values: dict[str, float]
    dialect: str
    feedback: str = "none"
    """`rows`: WR[target, source]; `columns`: the other way."""


def read_trace(path: Path) -> Trace:
    """The recording, with its cell as the only population, `cell`, of a graph."""
    with np.load(path) as file:
        a = {key: file[key] for key in ("x", "W", "WR", "spikes", "mem")}
        meta = json.loads(str(file["meta"]))
    framework, kind = path.stem.split("_")[:2]
    cell = _CELLS[framework](kind, meta)
    n, n_in = a["W"].shape
    values = {key: np.full(n, value, np.float32) for key, value in cell.values.items()}
    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array([n_in])),
        "fc": nir.Linear(a["W"]),
        "cell": getattr(nir, cell.node)(**values),
        "output": nir.Output(np.array([n])),
    }
    edges = [("cell", "output"), ("input", "fc"), ("fc", "cell")]
    if cell.feedback != "none":
        nodes["rec"] = nir.Linear(a["WR"] if cell.feedback == "rows" else a["WR"].T)
        edges += [("cell", "rec"), ("rec", "cell")]
    graph = nir.NIRGraph(nodes=nodes, edges=edges)
    # An integrator's recording has membranes under both names.
    spikes = np.zeros_like(a["spikes"]) if cell.node == "LI" else a["spikes"]
    return Trace(graph, cell.dialect, a["x"], spikes, a["mem"])


def _if(threshold: float = 1.0, *, r: float = 1.0, v_reset: float = 0.0) -> dict[str, float]:
    return {"r": r, "v_threshold": threshold, "v_reset": v_reset}


def _lif(tau: float, threshold: float = 1.0, **others: float) -> dict[str, float]:
    return _if(threshold) | {"tau": tau, "v_leak": 0.0} | others


def _cuba(tau_mem: float, tau_syn: float, threshold: float = 1.0, **others: float) -> dict:
    taus = {"tau_mem": tau_mem, "tau_syn": tau_syn, "w_in": 1.0, "v_leak": 0.0}
    return _if(threshold) | taus | others


def _snntorch(kind: str, meta: dict[str, Any]) -> _Cell:
    mem, syn = 1 / (1 - meta["beta"]), 1 / (1 - meta["alpha"])
    dialect = f"snntorch-{meta['reset']}" + ("" if meta["reset_delay"] else ",reset_delay=false")
    feedback = "rows" if meta["recurrent"] else "none"
    if kind.endswith("Synaptic"):
        values = _cuba(DT * mem, DT * syn, meta["threshold"], r=mem, w_in=syn)
        return _Cell("CubaLIF", values, dialect, feedback)
    return _Cell("LIF", _lif(DT * mem, meta["threshold"], r=mem), dialect, feedback)


def _norse(kind: str, meta: dict[str, Any]) -> _Cell:
    _, reset, *numbers = meta["args"]
    number = [None if text == "None" else float(text) for text in numbers] + [None] * 4
    dialect = "norse" + (",reset=subtract" if reset == "sub" else "")
    threshold = 1.0 if number[3] is None else number[3]
    if kind == "IAF":
        return _Cell("IF", _if(threshold), dialect)
    assert number[0]
    tau = 1 / number[0]
    if kind == "LIBox":
        return _Cell("LI", {"tau": tau, "r": 1.0, "v_leak": 0.0}, dialect)
    if kind == "LIFBox":
        return _Cell("LIF", _lif(tau, threshold), dialect)
    assert number[1]
    return _Cell("CubaLIF", _cuba(tau, 1 / number[1], threshold), dialect)


def _sinabs(kind: str, meta: dict[str, Any]) -> _Cell:
    dialect = "sinabs"
    if not meta.get("norm", False):
        dialect += ",norm_input=false"
    if "vmin" in meta:
        dialect += f",v_min={meta['vmin']:g}"
    if not meta.get("multi", True):
        dialect += ",multi_spike=false"
    if "reset" in meta:
        dialect += f",reset={meta['reset']}"
    threshold = meta.get("th", 1.0)
    if kind == "IAF":
        return _Cell("IF", _if(threshold), dialect)
    return _Cell("LIF", _lif(-1 / np.log(meta["alpha"]), threshold), dialect)


def _spikingjelly(kind: str, meta: dict[str, Any]) -> _Cell:
    threshold, reset = meta.get("th", 1.0), meta.get("vr", 0.0)
    dialect = "spikingjelly" + (",reset=subtract" if reset is None else "")
    rest = 0.0 if reset is None else reset
    if kind == "IF":
        return _Cell("IF", _if(threshold, r=1 / DT, v_reset=rest), dialect)
    if kind == "LIF":
        decays = meta.get("di", True)
        values = _lif(meta["tau"] * DT, threshold, v_leak=rest, v_reset=rest)
        values["r"] = 1.0 if decays else meta["tau"]
        return _Cell("LIF", values, dialect + ("" if decays else ",decay_input=false"))
    # Its notes do not tell the decays, which were 1/2 and 7/8.
    syn, mem = 2.0, 8.0
    values = _cuba(mem * DT, syn * DT, threshold, r=mem, w_in=syn, v_reset=rest)
    return _Cell("CubaLIF", values, dialect)


def _rockpool(kind: str, meta: dict[str, Any]) -> _Cell:
    mem, syn = (-1e-3 / np.log(meta[key]) for key in ("alpha", "beta"))
    if kind == "LIFNeuronTorch":
        return _Cell("LIF", _lif(mem), "rockpool")
    return _Cell("CubaLIF", _cuba(mem, syn), "rockpool")


def _spyx(kind: str, meta: dict[str, Any]) -> _Cell:
    mem, syn = (1 / (1 - meta[key]) for key in ("beta", "alpha"))
    feedback = "columns" if kind.startswith("R") else "none"
    if kind.endswith("CuBaLIF"):
        return _Cell("CubaLIF", _cuba(mem, syn, r=meta["beta"]), "spyx", feedback)
    if kind.endswith("LIF"):
        return _Cell("LIF", _lif(mem, r=meta["beta"]), "spyx", feedback)
    return _Cell("IF", _if(), "spyx", feedback)


_CELLS = {
    "snntorch": _snntorch,
    "norse": _norse,
    "sinabs": _sinabs,
    "spikingjelly": _spikingjelly,
    "rockpool": _rockpool,
    "spyx": _spyx,
}
