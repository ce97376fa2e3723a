# SPDX-License-Identifier: Apache-2.0
"""The networks for static input: kept exactly by the quantiser, and as accurate as the README."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from spikefab.examples import mnist, mnist_static
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.quantise import quantise
from spikefab.hdl.params import InputParams
from spikefab.sim.fidelity import predicted_class
from spikefab.sim.golden import run_golden
from spikefab.sim.reference import run_reference

STEPS = 4
NETWORKS = {
    "mnist_static_784_128_10": ((784, 128, 10), 28, 0.98),
    "mnist_static_676_256_10": ((676, 256, 10), 26, 0.985),
    "mnist_static_up5k_196_64_10": ((196, 64, 10), 14, 0.97),
}
"""Sizes, pixels a row, and share of the test images that must be right in integers."""


def in_integers(path: Path, steps: int = STEPS) -> QNetwork:
    static = InputParams(coding="static", payload_width=3, steps=steps)
    options = QuantiseOptions(weight_bits=4, input_max=7, steps=steps, input=static)
    return quantise(load_network(path, steps=steps), options)


def images(shared_data: Path, side: int, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    if not (shared_data / "mnist").is_dir():
        pytest.skip(f"no MNIST at {shared_data / 'mnist'}")
    pixels, labels = mnist.load(shared_data / "mnist")
    return mnist_static.encode(pixels[:count], side), labels[:count]


@pytest.mark.parametrize("name", NETWORKS)
def test_quantiser_keeps_the_network(root: Path, name: str) -> None:
    path = root / "examples" / f"{name}.nir"
    graph, qnet = nir.read(path), in_integers(path)
    sizes, _, _ = NETWORKS[name]
    assert qnet.dialect == "snntorch-subtract"  # recognised
    for layer, n_in, n_out, fc in zip(qnet.layers, sizes, sizes[1:], ("fc1", "fc2"), strict=False):
        weight = graph.nodes[fc].weight
        assert (layer.weight_exact, layer.scale.tolist()) == (True, [1.0])
        assert weight.shape == (n_out, n_in)
        assert set(np.unique(layer.weights)) <= set(range(-8, 8))
        np.testing.assert_array_equal(layer.weights, weight)
        assert layer.neuron.fraction_bits == 0
        assert (layer.neuron.leak_num, layer.neuron.leak_shift) == ((1,), 0)
        assert not layer.neuron.saturate
    (threshold,) = qnet.layers[0].neuron.threshold
    np.testing.assert_array_equal(graph.nodes["lif1"].v_threshold, np.float32(threshold))
    assert path.stat().st_size <= 1_000_000


@pytest.mark.parametrize("name", NETWORKS)
def test_float_and_integers_agree_on_every_spike(root: Path, shared_data: Path, name: str) -> None:
    path = root / "examples" / f"{name}.nir"
    _, side, floor = NETWORKS[name]
    x, y = images(shared_data, side, 500)
    golden = run_golden(in_integers(path), x)
    in_float = run_reference(
        load_network(path, steps=STEPS), np.repeat(x[:, None], STEPS, axis=1), record=True
    )
    assert in_float.mem is not None
    np.testing.assert_array_equal(golden.spikes["lif1"], in_float.spikes["lif1"])
    np.testing.assert_array_equal(golden.mem["li2"], in_float.mem["li2"])
    right = predicted_class(golden.spikes["li2"], golden.mem["li2"]) == y
    assert right.mean() >= floor - 0.01  # the first 500 test images; a fiftieth is 10


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_accuracy_on_all_test_images(root: Path, shared_data: Path, name: str) -> None:
    _, side, floor = NETWORKS[name]
    x, y = images(shared_data, side, None)
    golden = run_golden(in_integers(root / "examples" / f"{name}.nir"), x)
    right = predicted_class(golden.spikes["li2"], golden.mem["li2"]) == y
    print(
        f"{name}: {right.mean():.2%}, {(x > 0).sum(axis=1).mean():.1f} pixels, "
        f"{golden.spikes['lif1'].sum(axis=(1, 2)).mean():.1f} hidden spikes"
    )
    assert len(x) == 10_000
    assert right.mean() >= floor


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_training_counts_what_the_hardware_counts(tmp_path: Path, steps: int) -> None:
    """The network in torch, its export and the golden model: the same spikes and membranes."""
    torch = pytest.importorskip("torch", reason="needs torch: pip install '.[train]'")
    from spikefab.examples.static_snn import StaticSNN, export

    torch.manual_seed(steps)
    model = StaticSNN((40, 30, 10), (4, 4), steps)
    with torch.no_grad():
        model.log_threshold.fill_(float(np.log(12)))
        for weight in model.weights:
            weight.mul_(6)
        model.clip()
    x = np.random.default_rng(steps).integers(0, 8, (50, 40)).astype(np.uint8)
    with torch.no_grad():
        membranes, counts = model(torch.from_numpy(x).float())
    export(model, tmp_path / "small.nir")
    golden = run_golden(in_integers(tmp_path / "small.nir", steps), x)
    np.testing.assert_array_equal(golden.spikes["lif1"].sum(axis=1), counts.numpy())
    np.testing.assert_array_equal(golden.mem["li2"][:, -1], membranes.numpy())
    assert set(np.unique(counts)) == set(range(steps + 1))
