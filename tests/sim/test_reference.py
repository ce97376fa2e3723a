# SPDX-License-Identifier: Apache-2.0
"""The float reference against traces of the frameworks themselves, and against small sums."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from spikefab.gen.errors import InputError
from spikefab.gen.load import load_network
from spikefab.gen.nir_import import import_nir
from spikefab.sim.reference import run_reference

N = 32


def _lif(tau: float, **values: float) -> nir.NIRNode:
    full = {"r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | values
    return nir.LIF(tau=_all(tau), **{k: _all(v) for k, v in full.items()})


def _all(value: float) -> np.ndarray:
    return np.full(N, value, np.float32)


def _if(r: float = 1.0) -> nir.NIRNode:
    return nir.IF(r=_all(r), v_threshold=_all(1.0), v_reset=_all(0.0))


def _cuba(tau_mem: float, tau_syn: float, **values: float) -> nir.NIRNode:
    full = {"r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "w_in": 1.0} | values
    return nir.CubaLIF(tau_mem=_all(tau_mem), tau_syn=_all(tau_syn),
                       **{k: _all(v) for k, v in full.items()})  # fmt: skip


# snnTorch writes tau = dt/(1 - beta), r = tau/dt and w_in = tau_syn/dt, with dt = 1e-4 s.
LEAKY = _lif(1e-4 / (1 - 0.9375), r=1 / (1 - 0.9375))
SYNAPTIC = _cuba(1e-4 / (1 - 0.9375), 1e-4 / (1 - 0.75), r=1 / (1 - 0.9375), w_in=4)


# A recording of a framework's cell by name, and a graph and dialect that say the same in other
# words than `test_framework_traces` has.
TRACES = [
    ("snntorch_Leaky_subtract_delay", LEAKY, None, None),
    # Norse 1.1.0 writes dt/tau_inv for tau.
    ("norse_LIFBox_value", _lif(0.001 / 125), "norse", None),
    ("norse_LIF_cuba", _cuba(0.001 / 125, 0.001 / 250), "norse", None),
    ("sinabs_IAF_multi_min-1", _if(), "sinabs,v_min=-threshold", None),
    ("spikingjelly_IF_hard", _if(1e4), None, None),
    ("rockpool_LIFNeuronTorch", _lif(0.016), "rockpool,state=clear", 1e-3),
    ("rockpool_LIFTorch", _cuba(0.016, 0.004), "rockpool,input_gain=one,state=clear", 1e-3),
    ("snntorch_Synaptic_zero_delay", SYNAPTIC, "snntorch,reset=zero,reset_time=next-discard", None),
    ("snntorch_Leaky_zero_delay", LEAKY, "snntorch-zero,reset_time=next-before-leak", None),
    ("spyx_CuBaLIF", _cuba(16, 4), "spyx,reset_time=next-before-leak", None),
    ("norse_LIF_cuba", _cuba(0.008, 0.004), "norse,synapse_order=add-use-decay", None),
]


def _graph(weight: np.ndarray, node: nir.NIRNode) -> nir.NIRGraph:
    return nir.NIRGraph(
        nodes={
            "input": nir.Input(np.array([weight.shape[1]])),
            "fc": nir.Linear(weight),
            "cell": node,
            "output": nir.Output(np.array([weight.shape[0]])),
        },
        edges=[("cell", "output"), ("input", "fc"), ("fc", "cell")],
    )


def _arrays(folder: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(folder / "frameworks" / f"{name}.npz") as file:
        return {key: file[key] for key in ("x", "W", "spikes", "mem")}


@pytest.mark.parametrize(("name", "node", "dialect", "dt"), TRACES)
def test_reproduces_framework(
    name: str, node: nir.NIRNode, dialect: str | None, dt: float | None, shared_data: Path
) -> None:
    recorded = _arrays(shared_data, name)
    network = import_nir(_graph(recorded["W"], node), dialect=dialect, dt=dt)
    result = run_reference(network, recorded["x"][None], record=True)
    assert recorded["spikes"].any()
    assert np.count_nonzero(result.spikes["cell"][0] != recorded["spikes"]) == 0
    assert result.mem is not None
    np.testing.assert_allclose(result.mem["cell"][0], recorded["mem"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("framework", "graph", "dialect"),
    [
        ("norse", "norse", "norse"),
        ("snntorch", "norse", "snntorch-zero"),
        ("rockpool", "rockpool", "rockpool,state=clear"),
        ("rockpool", "norse", "nir-literal,decay=exp"),
        ("spyx", "norse", "spyx,input_gain=r*dt/tau"),
        ("sinabs", "rockpool", "sinabs,norm_input=false"),
        ("lava_cpu_fixed", "norse", "nir-literal,reset=zero"),
        ("lava_cpu_float", "norse", "nir-literal,reset=zero"),
        ("lava_loihi_fixed", "norse", "nir-literal,reset=zero"),
        # Four spikes far apart: what else these do does not show.
        ("nengo", "norse", "nir-literal"),
        ("spinnaker2", "norse", "nir-literal"),
        ("exact", "norse", "nir-literal"),
    ],
)
def test_reproduces_the_nir_papers_lif(
    framework: str, graph: str, dialect: str, shared_data: Path
) -> None:
    """Columns: input (sinabs' is scaled), membrane (recorded here or there), output spike."""
    table = np.loadtxt(shared_data / "lif_paper" / f"lif_{framework}.csv", delimiter=",")
    path = shared_data / "nir" / f"nirpaper_lif_{graph}.nir"
    network = load_network(path, dialect=dialect, dt=1e-4)
    result = run_reference(network, (table[None, :, :1] > 0).astype(int))
    (spikes,) = result.spikes.values()
    assert spikes.sum() == 4
    # A process of Lava hands its spikes on in the next step.
    late = int(framework.startswith("lava"))
    np.testing.assert_array_equal(spikes[0, : 1000 - late, 0], table[late:, 2])


def test_config_runs_as_the_graph(shared_data: Path, tmp_path: Path) -> None:
    recorded = _arrays(shared_data, "snntorch_Leaky_subtract_delay")
    np.savez(tmp_path / "w.npz", fc=recorded["W"])
    (tmp_path / "net.toml").write_text(
        '[network]\ndialect = "snntorch-subtract"\ninput = 16\n'
        '[[layer]]\nname = "cell"\nsize = 32\nbeta = 0.9375\n'
        'weights = { file = "w.npz", key = "fc" }\n'
    )
    result = run_reference(load_network(tmp_path / "net.toml"), recorded["x"][None])
    np.testing.assert_array_equal(result.spikes["cell"][0], recorded["spikes"])


@pytest.mark.parametrize("dialect", ["snntorch", "norse", "sinabs", "spikingjelly", "nir-literal"])
def test_batches_do_not_mix(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any split into chunks gives the same; samples do not see each other."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-8, 24, (N, 16)) / 16
    network = import_nir(_graph(weight, _lif(5.0, v_threshold=0.5)), dialect=dialect, dt=1.0)
    x = rng.integers(0, 3, (7, 11, 16))
    calls: list[tuple[int, int]] = []
    whole = run_reference(network, x, record=True, progress=lambda a, b: calls.append((a, b)))
    assert calls == [(7, 7)]
    monkeypatch.setattr("spikefab.sim.reference.CHUNK_VALUES", 3 * 11 * N)
    parts = run_reference(network, x, record=True, progress=lambda a, b: calls.append((a, b)))
    assert calls[1:] == [(3, 7), (6, 7), (7, 7)]
    alone = run_reference(network, x[4:5])
    assert whole.spikes["cell"].any()
    assert whole.mem is not None
    assert parts.mem is not None
    np.testing.assert_array_equal(whole.spikes["cell"], parts.spikes["cell"])
    np.testing.assert_allclose(whole.mem["cell"], parts.mem["cell"], atol=1e-6)
    np.testing.assert_array_equal(whole.spikes["cell"][4], alone.spikes["cell"][0])


def _one(dialect: str, x: list[int], dt: float = 1.0, **values: float) -> tuple[list[int], list]:
    """One neuron with weight 1: spikes and membranes by step."""
    full = {"tau": 2.0, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | values
    node = nir.LIF(**{k: np.array([v]) for k, v in full.items()})
    network = import_nir(_graph(np.ones((1, 1)), node), dialect=dialect, dt=dt)
    result = run_reference(network, np.array(x).reshape(1, -1, 1), record=True)
    assert result.mem is not None
    return result.spikes["cell"][0, :, 0].tolist(), result.mem["cell"][0, :, 0].tolist()


@pytest.mark.parametrize(
    ("dialect", "values", "spikes", "mem"),
    [
        # v = v/2 + x/2 with r*dt/tau = 1/2; threshold 1: `gt` must not fire at 1.
        ("nir-literal", {"v_reset": 0.25}, [0, 1, 0, 1], [1, 0.25, 0.125, 0.25]),
        ("nir-literal,compare=ge", {}, [1, 1, 0, 1], [0, 0, 0, 0]),
        # beta 1/2; the reset subtracts one step late.
        ("snntorch", {"r": 2.0}, [1, 1, 0, 1], [2, 4.0, 1.0, 2.5]),
        ("snntorch-zero", {"r": 2.0}, [1, 1, 0, 1], [2, 4.0, 0.0, 2.0]),
        # The leak's pull, and Norse's start at v_leak.
        ("norse", {"v_leak": 0.5, "v_threshold": 9.0}, [0] * 4, [1.5, 3, 1.75, 2.125]),
        # Starts at v_reset, leaks towards v_leak.
        ("spikingjelly", {"v_leak": 0.5, "v_reset": 0.5, "v_threshold": 9.0}, [0] * 4,
         [1.5, 3.0, 1.75, 2.125]),
        ("spikingjelly,v_reset=-1,decay_input=false", {}, [1, 1, 0, 1], [-1, -1, -0.5, -1]),
        # The output is the comparison before the step.
        ("spyx", {}, [0, 1, 1, 0], [2, 4.0, 1.0, 2.5]),
    ],
)  # fmt: skip
def test_small_sums(dialect: str, values: dict, spikes: list[int], mem: list[float]) -> None:
    assert _one(dialect, [2, 4, 0, 2], **values) == (spikes, mem)


def test_multi_spike_counts() -> None:
    spikes, mem = _one(
        "sinabs,decay=euler,norm_input=false", [5, 0, 1, 0], v_threshold=2.0, tau=1e9
    )
    assert (spikes, mem) == ([2, 0, 1, 0], [1, 1, 0, 0])
    # `gt`: a membrane of exactly two thresholds spikes once.
    spikes, mem = _one(
        "sinabs,decay=euler,norm_input=false,compare=gt", [4, 0, 1, 0], v_threshold=2.0, tau=1e9
    )
    assert (spikes, mem) == ([1, 0, 1, 0], [2, 2, 1, 1])


def test_refuses_wrong_shape() -> None:
    network = import_nir(_graph(np.ones((N, 16)), LEAKY), dialect="snntorch")
    with pytest.raises(InputError, match=r"shape \(2, 3, 15\); it must be \(samples, steps, 16\)"):
        run_reference(network, np.zeros((2, 3, 15), int))
