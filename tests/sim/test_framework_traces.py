# SPDX-License-Identifier: Apache-2.0
"""The float reference against recordings of the frameworks themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest
from framework_traces import Trace, read_trace

from spikefab.gen.load import load_network
from spikefab.gen.network import Network
from spikefab.sim.reference import run_reference

CELLS = [
    "norse_IAF", "norse_LIBox", "norse_LIFBox_subtract", "norse_LIFBox_value", "norse_LIF_cuba",
    "rockpool_LIFNeuronTorch", "rockpool_LIFTorch", "sinabs_IAF_multi", "sinabs_IAF_multi_min-1",
    "sinabs_LIF_nonorm", "sinabs_LIF_nonorm_single_reset", "sinabs_LIF_norm",
    "snntorch_Leaky_subtract_delay", "snntorch_Leaky_subtract_nodelay",
    "snntorch_Leaky_zero_delay", "snntorch_RLeaky_subtract_delay",
    "snntorch_RLeaky_zero_nodelay", "snntorch_RSynaptic_zero_delay",
    "snntorch_Synaptic_subtract_delay", "snntorch_Synaptic_subtract_nodelay",
    "snntorch_Synaptic_zero_delay", "spikingjelly_CUBALIF_hard", "spikingjelly_IF_hard",
    "spikingjelly_IF_soft", "spikingjelly_LIF_decayinput_hard", "spikingjelly_LIF_nodecay_hard",
    "spyx_CuBaLIF", "spyx_IF", "spyx_RLIF",
]  # fmt: skip


def _run(trace: Trace, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and membranes (steps, n), by way of a file."""
    path = folder / "net.nir"
    nir.write(path, trace.graph)
    network = load_network(path, dialect=trace.dialect)
    result = run_reference(network, trace.x[None].astype(np.int64), record=True)
    assert result.mem is not None
    return result.spikes["cell"][0], result.mem["cell"][0]


@pytest.mark.parametrize("name", CELLS)
def test_reproduces_the_cell(name: str, shared_data: Path, tmp_path: Path) -> None:
    trace = read_trace(shared_data / "frameworks" / f"{name}.npz")
    spikes, mem = _run(trace, tmp_path)
    assert trace.spikes.any() or name == "norse_LIBox"
    assert np.count_nonzero(spikes != trace.spikes) == 0
    np.testing.assert_allclose(mem, trace.mem, rtol=0, atol=1e-6)


def test_no_recording_is_left_out(shared_data: Path, tmp_path: Path) -> None:
    """Also what was recorded later: its own notes say what it is."""
    for path in sorted((shared_data / "frameworks").glob("*.npz")):
        if path.stem not in CELLS:
            trace = read_trace(path)
            assert np.array_equal(_run(trace, tmp_path)[0], trace.spikes), path.stem


BIAS, SUBTRACT = "noDelay_bias_zero", "noDelay_noBias_subtract"


@pytest.mark.parametrize(
    ("framework", "graph", "dialect"),
    [
        ("snntorch", BIAS, "snntorch-zero,reset_delay=false"),
        ("snntorch", SUBTRACT, "snntorch-subtract,reset_delay=false"),
        ("norse", BIAS, "norse"),
        ("norse", SUBTRACT, "norse"),
        ("spyx", BIAS, "spyx"),
        ("spyx", SUBTRACT, "spyx"),
        ("lava", BIAS, "lava-dl"),
    ],
)
def test_reproduces_the_nir_papers_braille_network(
    framework: str, graph: str, dialect: str, shared_data: Path
) -> None:
    """The first layer's spikes that the paper's authors stored, one recording of 256 steps."""
    network, x, spikes = _braille(shared_data, framework, graph, dialect)
    result = run_reference(network, x)
    assert spikes.sum() > 100
    assert np.count_nonzero(result.spikes["lif1.lif"][0] != spikes) == 0


def _braille(
    shared_data: Path, framework: str, graph: str, dialect: str
) -> tuple[Network, np.ndarray, np.ndarray]:
    network = load_network(
        shared_data / "nir" / f"nirpaper_braille_{graph}.nir", dialect=dialect, dt=1e-4
    )
    with np.load(shared_data / "braille" / "braille_test0.npz") as file:
        return network, file["input"][None].astype(int), file[f"{framework}__{graph}"]


def test_rockpools_braille_recording_began_in_another_samples_state(shared_data: Path) -> None:
    """rockpool keeps its state between calls, and the authors' call came after others.

    From a cleared state 37 of 10,240 outputs differ, the last at step 117. For every neuron there
    is a state to begin in with which all 256 steps agree.
    """
    network, x, spikes = _braille(shared_data, "rockpool", SUBTRACT, "rockpool,state=clear")
    result = run_reference(network, x)
    steps, _ = np.nonzero(result.spikes["lif1.lif"][0] != spikes)
    assert (len(steps), steps.max()) == (37, 117)

    first = network.populations[0]
    assert first.name == "lif1.lif"
    assert first.neuron.current is not None
    v, i = _state_to_begin_in(network, x[0], spikes)
    neuron = replace(first.neuron, v_init=v, current=replace(first.neuron.current, init=i))
    begun = replace(network, populations=(replace(first, neuron=neuron), network.populations[1]))
    result = run_reference(begun, x)
    assert np.count_nonzero(result.spikes["lif1.lif"][0] != spikes) == 0


def _state_to_begin_in(
    network: Network, x: np.ndarray, spikes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Membranes and currents with which the recorded spikes, and no others, come about.

    With all spikes known a membrane is linear in the two numbers that it and its current began
    at, so that each step bounds them by two half planes. Returns a point within them all.
    """
    forward, back = network.layers()[0][1]
    before = np.vstack([np.zeros_like(spikes[:1]), spikes[:-1]])
    drive = x @ forward.weight.T + before @ back.weight.T
    neuron = network.populations[0].neuron
    assert neuron.current is not None
    found = []
    for n, (a, b) in enumerate(zip(neuron.decay, neuron.current.decay, strict=True)):
        corners = np.array([[-50.0, -50], [50, -50], [50, 50], [-50, 50]])
        v, i, of_v, of_i, kept = 0.0, 0.0, 1.0, 0.0, 1.0
        for t, k in enumerate(spikes[:, n]):
            i, kept = (i + drive[t, n]) * b, kept * b
            v, of_v, of_i = v * a + i, of_v * a, of_i * a + kept
            if k > 0:
                corners = _clip(corners, (-of_v, -of_i), v - k)
            corners = _clip(corners, (of_v, of_i), k + 1 - v)
            assert len(corners) > 2, f"neuron {n}: no state to begin in fits step {t}"
            v -= k
        found.append(corners.mean(axis=0))
    v_init, i_init = np.array(found).T
    return v_init, i_init


def _clip(corners: np.ndarray, normal: tuple[float, float], limit: float) -> np.ndarray:
    """The part of a convex polygon where normal . point <= limit."""
    inside = limit - corners @ np.array(normal)
    kept = []
    for p, q, s, t in zip(
        corners, np.roll(corners, -1, 0), inside, np.roll(inside, -1), strict=True
    ):
        if s >= 0:
            kept.append(p)
        if s * t < 0:
            kept.append(p + (q - p) * (s / (s - t)))
    return np.array(kept).reshape(-1, 2)
