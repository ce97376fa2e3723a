# SPDX-License-Identifier: Apache-2.0
"""The time step that a graph's own parameters tell."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

from spikefab.gen.load import load_network
from spikefab.gen.nir_dt import own_dt
from spikefab.gen.nir_read import from_nir


def _all(value: float) -> np.ndarray:
    return np.full(2, value)


def _lif(tau: float, r: float) -> nir.LIF:
    return nir.LIF(tau=_all(tau), r=_all(r), v_leak=_all(0), v_threshold=_all(1))


def _cuba(tau_mem: float, r: float, tau_syn: float, w_in: float) -> nir.CubaLIF:
    return nir.CubaLIF(tau_mem=_all(tau_mem), tau_syn=_all(tau_syn), r=_all(r), w_in=_all(w_in),
                       v_leak=_all(0), v_threshold=_all(1))  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "dt"),
    [
        ([_lif(1.6e-3, 16)], 1e-4),
        ([_lif(16e-3, 16), _lif(8e-3, 8.00001)], 1e-3),
        ([_cuba(16, 16, 4, 4)], 1.0),
        ([_cuba(1.6e-3, 16, 4e-4, 1)], 1e-4),  # an older schema has no w_in
        ([_lif(1.6e-3, 16), _lif(4e-4, 1)], 1e-4),  # SpikingJelly, with and without decay_input
        ([_lif(np.inf, np.inf), _lif(8e-4, 8)], 1e-4),
        ([_lif(1.6e-3, 1)], None),
        ([_lif(1.6e-3, 16), _lif(8e-3, 8)], None),
        ([_cuba(1.6e-3, 16, 4e-4, 2)], None),
        ([_lif(0.02, 2)], None),
        ([_lif(1e-3, 1e-3)], None),
        ([nir.IF(r=_all(1e4), v_threshold=_all(1))], None),
    ],
)
def test_own_dt(nodes: list[nir.NIRNode], dt: float | None) -> None:
    names = [f"n{k}" for k in range(len(nodes))]
    ends = {"in": nir.Input(np.array([2])), "out": nir.Output(np.array([2]))}
    order = ["in", *names, "out"]
    graph = nir.NIRGraph(ends | dict(zip(names, nodes, strict=True)), list(pairwise(order)))
    assert own_dt(from_nir(graph)) == dt


@pytest.mark.parametrize("dialect", ["norse", "spyx", "rockpool", "lava-dl", "snntorch-zero"])
def test_a_graph_that_tells_its_dt_needs_none(dialect: str, shared_data: Path) -> None:
    """snnTorch wrote it with 1e-4 s; what runs it has another default."""
    path = shared_data / "nir" / "nirpaper_braille_noDelay_bias_zero.nir"
    network = load_network(path, dialect=dialect)
    assert network.dt == 1e-4
    assert any("read from the graph's own parameters" in note for note in network.notes)
    assert load_network(path, dialect=dialect, dt=1e-5).dt == 1e-5
