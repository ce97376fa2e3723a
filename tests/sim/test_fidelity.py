# SPDX-License-Identifier: Apache-2.0
"""The comparison of integers with the float reference counts what is there, and points at it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from float_networks import make_network

from spikefab.gen.errors import InputError
from spikefab.gen.network import Network
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.quantise import QuantiseOptions, quantise
from spikefab.sim.fidelity import compare_to_reference, predicted_class
from spikefab.sim.golden import run_golden
from spikefab.sim.reference import run_reference


def pair(bits: int = 3, li_output: bool = False, exact: bool = False) -> tuple[Network, QNetwork]:
    rng = np.random.default_rng(0)
    shapes = [(12, 10), (8, 12), (4, 8)]
    if exact:
        weights = [rng.integers(-3, 4, shape) / 8 for shape in shapes]
    else:
        weights = [rng.normal(0.05, 0.4, shape) for shape in shapes]
    network = make_network(weights, li_output=li_output)
    return network, quantise(network, QuantiseOptions(weight_bits=bits, steps=20))


@pytest.fixture
def x() -> np.ndarray:
    return (np.random.default_rng(1).random((30, 20, 10)) < 0.3).astype(np.int16)


def test_an_exact_network_has_no_differences(x: np.ndarray) -> None:
    network, qnet = pair(exact=True)
    y = np.arange(30) % 4
    result = compare_to_reference(network, qnet, x, y, local=True)
    assert (result.samples, result.steps, result.agreement) == (30, 20, 1.0)
    assert result.input_events == x.sum() / 30
    assert result.points_lost == 0
    for layer in result.layers:
        for difference in (layer.whole, layer.local):
            assert difference is not None
            assert (difference.spikes, difference.share, difference.first_spike) == (0, 0, None)
            assert (difference.membrane, difference.membrane_at) == (0, None)
        assert layer.float_spikes == layer.integer_spikes > 0


@pytest.mark.parametrize("chunk_bytes", [1, 400_000, 1 << 28])
def test_differences_are_those_of_the_two_runs(x: np.ndarray, chunk_bytes: int) -> None:
    network, qnet = pair()
    reference = run_reference(network, x, record=True)
    names = [layer.name for layer in qnet.layers]
    golden = run_golden(qnet, x, record=names)
    calls: list[tuple[int, int]] = []
    result = compare_to_reference(
        network, qnet, x, chunk_bytes=chunk_bytes, progress=lambda *call: calls.append(call)
    )
    assert calls[-1] == (30, 30)
    assert len(calls) == {1: 30, 1 << 28: 1}.get(chunk_bytes, len(calls))
    assert reference.mem is not None
    for layer, q in zip(result.layers, qnet.layers, strict=True):
        differ = reference.spikes[layer.name] != golden.spikes[layer.name]
        assert layer.whole.spikes == differ.sum() > 0
        assert layer.whole.share == differ.mean()
        assert layer.whole.first_spike == tuple(np.argwhere(differ)[0])
        off = np.abs(
            golden.mem[layer.name] * q.scale / 2.0**q.neuron.fraction_bits
            - reference.mem[layer.name]
        )
        assert layer.whole.membrane == off.max()
        assert layer.whole.membrane_at is not None
        assert off[layer.whole.membrane_at] == off.max()
        assert layer.float_spikes == pytest.approx(reference.spikes[layer.name].sum() / 30)
        assert layer.integer_spikes == pytest.approx(golden.spikes[layer.name].sum() / 30)
        assert layer.local is None


def test_a_layer_alone_shows_where_the_difference_comes_from(x: np.ndarray) -> None:
    """Only the first layer is rounded: the others differ by what it hands on, alone not at all."""
    rng = np.random.default_rng(2)
    weights = [rng.normal(0.05, 0.4, (12, 10)), rng.integers(-3, 4, (8, 12)) / 8]
    network = make_network(weights)
    qnet = quantise(network, QuantiseOptions(weight_bits=3, steps=20))
    assert [layer.weight_exact for layer in qnet.layers] == [False, True]
    first, second = compare_to_reference(network, qnet, x, local=True).layers
    assert first.local == first.whole
    assert first.whole.spikes > 0
    assert second.whole.spikes > 0
    assert second.local is not None
    assert second.local.spikes == 0
    assert second.local.membrane == 0


def test_a_wrong_weight_is_found_at_the_sample_step_and_neuron_it_shows(x: np.ndarray) -> None:
    network, qnet = pair(exact=True)
    middle = qnet.layers[1]
    weights = middle.weights.copy()
    weights[5] = 3
    broken = replace(qnet, layers=(qnet.layers[0], middle.with_weights(weights), qnet.layers[2]))
    result = compare_to_reference(network, broken, x)
    assert result.layers[0].whole.spikes == 0
    at = result.layers[1].whole.first_spike
    assert at is not None
    assert at[2] == 5


def test_accuracy_is_that_of_spike_counts_and_ties_go_to_the_lowest(x: np.ndarray) -> None:
    spikes = np.zeros((3, 4, 3), np.int16)
    spikes[0, :2, 2] = 1
    spikes[1, 0, 1] = spikes[1, 3, 2] = 1
    assert predicted_class(spikes).tolist() == [2, 1, 0]
    network, qnet = pair()
    y = predicted_class(run_reference(network, x).spikes["lif2"])
    result = compare_to_reference(network, qnet, x, y)
    mine = predicted_class(run_golden(qnet, x).spikes["lif2"])
    assert result.float_accuracy == 1
    assert result.integer_accuracy == result.agreement == (mine == y).mean()
    assert result.points_lost == pytest.approx(100 * (1 - (mine == y).mean()))


def test_an_integrator_is_judged_by_its_last_membrane(x: np.ndarray) -> None:
    mem = np.zeros((2, 3, 2))
    mem[0, :, 0], mem[0, 2, 1] = 5, 6
    mem[1, 0, 1] = 9
    assert predicted_class(np.zeros((2, 3, 2)), mem).tolist() == [1, 0]
    network, qnet = pair(bits=8, li_output=True)
    reference = run_reference(network, x)
    assert reference.mem is not None
    y = reference.mem["li"][:, -1].argmax(axis=1)
    result = compare_to_reference(network, qnet, x, y)
    assert result.float_accuracy == 1
    assert result.integer_accuracy is not None
    assert result.integer_accuracy > 0.8
    assert not result.layers[-1].spiking
    assert "spike differences" not in result.lines()[-2]


def test_the_result_is_plain_values_and_readable_lines(x: np.ndarray) -> None:
    network, qnet = pair()
    result = compare_to_reference(network, qnet, x, np.zeros(30, int), local=True)
    read = json.loads(json.dumps(result.as_dict()))
    assert read["layers"][0]["whole"]["spikes"] == result.layers[0].whole.spikes
    assert read["points_lost"] == result.points_lost
    lines = result.lines()
    assert len(lines) == 4
    assert lines[0].startswith("lif0: ")
    assert "first at sample" in lines[0]
    assert "accuracy" in lines[-1]


def test_differences_step_by_step_and_their_picture(x: np.ndarray) -> None:
    network, qnet = pair(li_output=True)
    names = [layer.name for layer in qnet.layers]
    reference = run_reference(network, x, record=True)
    golden = run_golden(qnet, x, record=names)
    result = compare_to_reference(network, qnet, x, chunk_bytes=400_000)
    assert reference.mem is not None
    for layer, q in zip(result.layers, qnet.layers, strict=True):
        differ = reference.spikes[layer.name] != golden.spikes[layer.name]
        assert layer.whole.outputs == differ.size
        assert list(layer.whole.spikes_by_step) == differ.sum(axis=(0, 2)).tolist()
        lsb = q.scale / 2.0**q.neuron.fraction_bits
        off = np.abs(golden.mem[layer.name] * lsb - reference.mem[layer.name])
        assert list(layer.whole.membrane_by_step) == off.max(axis=(0, 2)).tolist()
        assert max(layer.whole.membrane_by_step) == layer.whole.membrane
    first, _, li = result.by_step()
    counts = result.layers[0].whole.spikes_by_step
    bars = first.split()[1]
    assert len(bars) == 20
    assert bars[int(np.argmax(counts))] == "█"
    assert [bar == "·" for bar in bars] == [count == 0 for count in counts]
    share = 100 * max(counts) / (30 * 12)
    assert first.endswith(f"at most {share:.3g} % of a step's spikes differ")
    assert li.endswith(f"at most {result.layers[2].whole.membrane:.3g} between membranes")
    short = result.by_step(width=5)[0].split()[1]
    assert short.index("█") == int(np.argmax(counts)) // 4
    same = compare_to_reference(*pair(exact=True), x).by_step()
    assert same[0] == f"lif0 {'·' * 20} 0 % of a step's spikes differ"


def test_labels_and_samples_of_the_wrong_shape_are_refused(x: np.ndarray) -> None:
    network, qnet = pair()
    with pytest.raises(InputError, match=r"y has shape \(29,\)"):
        compare_to_reference(network, qnet, x, np.zeros(29, int))
    with pytest.raises(InputError, match="x has shape"):
        compare_to_reference(network, qnet, x[:, :, :9])
