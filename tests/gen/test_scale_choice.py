# SPDX-License-Identifier: Apache-2.0
"""When neurons get a weight scale each without being asked, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from float_graphs import cuba_neuron, population, projection
from float_networks import make_network, make_neuron

from spikefab.gen.dialect import parse_dialect
from spikefab.gen.network import Input, Network, Output, Projection
from spikefab.gen.operations import Conv
from spikefab.gen.quantise import QuantiseOptions, quantise, quantise_with_report
from spikefab.gen.quantise_report import QuantiseReport
from spikefab.gen.scale_choice import unevenness
from spikefab.sim.fidelity import compare_to_reference

SPREAD = np.geomspace(0.05, 1, 12)[:, None]


def weights(spread: Any = SPREAD, seed: int = 0) -> np.ndarray:
    """12 rows of 20, whose largest weights are in the ratio of `spread`."""
    w = np.random.default_rng(seed).normal(size=(12, 20))
    return spread * w / np.abs(w).max(axis=1, keepdims=True)


def notes(report: QuantiseReport) -> list[str]:
    return [note for note in report.lines() if "per-channel" in note]


def own_scales(network: Network, per_channel: bool | None = None, bits: Any = 6) -> list[bool]:
    options = QuantiseOptions(weight_bits=bits, per_channel=per_channel, steps=20)
    return [len(layer.scale) > 1 for layer in quantise(network, options).layers]


@pytest.mark.parametrize(
    ("rows", "times"),
    [
        ([[1.0, -2], [2, 0.5], [-2, 2]], 1.0),
        ([[1.0, 0], [0, -2]], 2 / np.sqrt(2.5)),
        ([[1.0, 0], [0, 0], [0, -2], [0, 0]], 2 / np.sqrt(2.5)),
        ([[3.0] * 4, *[[0.0, 0, 1, 0]] * 15], 3 / np.sqrt(24 / 16)),
        ([[0.0, 0], [0, 0]], 1.0),
    ],
)
def test_unevenness_is_the_largest_weight_over_the_rows_own(rows: Any, times: float) -> None:
    assert unevenness(np.array(rows)) == pytest.approx(times)


@pytest.mark.parametrize("bits", [6, 8])
def test_rounding_errors_shrink_by_the_unevenness(bits: int) -> None:
    w = weights(np.linspace(0.3, 1, 12)[:, None])
    network = make_network([w], decay=0.9)
    errors = [
        quantise_with_report(network, QuantiseOptions(weight_bits=bits, per_channel=choice))[1]
        .layers[0]
        .weight_error
        for choice in (False, True)
    ]
    assert errors[0] / errors[1] == pytest.approx(unevenness(w), rel=0.2)


def test_uneven_leaky_neurons_get_a_scale_each_and_a_line_says_so() -> None:
    network = make_network([weights(), weights(1.0)[:, :12]], decay=0.9)
    qnet, report = quantise_with_report(network)
    assert [layer.per_channel for layer in report.layers] == [True, False]
    times = unevenness(weights())
    assert notes(report) == [
        f"lif0: each neuron has its own scale: one for the layer would round {times:.2g} times as "
        "coarsely (--no-per-channel to have it)"
    ]
    # As if that layer alone had been asked for.
    asked = quantise(network, QuantiseOptions(per_channel=True)).layers[0]
    np.testing.assert_array_equal(qnet.layers[0].weights, asked.weights)
    assert qnet.layers[0].neuron == asked.neuron
    assert len(set(qnet.layers[0].neuron.threshold)) > 1


def test_refused_and_asked_for_are_not_argued_with() -> None:
    network = make_network([weights(), weights()[:, :12]], decay=0.9)
    for choice in (False, True):
        _, report = quantise_with_report(network, QuantiseOptions(per_channel=choice))
        assert [layer.per_channel for layer in report.layers] == [choice] * 2
        assert notes(report) == []


def test_the_limit_lies_at_half_as_coarse_again() -> None:
    # One row of 1, eleven of p: 1.5 at p**2 = (12 / 2.25 - 1) / 11.
    limit = np.sqrt((12 / 2.25 - 1) / 11)
    for peak, own in ((limit * 1.01, False), (limit * 0.99, True)):
        w = weights(np.array([1.0, *[peak] * 11])[:, None])
        assert (unevenness(w) > 1.5) == own
        assert own_scales(make_network([w], decay=0.9)) == [own]


@pytest.mark.parametrize(
    ("dialect", "values"),
    [
        ("snntorch-subtract", {}),  # no leak: thresholds of whole LSBs need no fraction
        ("norse", {"decay": 0.0}),
        ("sinabs,norm_input=false", {"decay": 0.9}),  # several spikes a step
    ],
)
def test_where_it_costs_more_one_scale_stays_and_the_line_names_the_option(
    dialect: str, values: dict[str, float]
) -> None:
    network = make_network([weights()], dialect, **values)
    _, report = quantise_with_report(network, QuantiseOptions(steps=20))
    (note,) = notes(report)
    assert not report.layers[0].per_channel
    assert note.startswith("lif0: one scale for the layer rounds 2")
    assert note.endswith("(--per-channel to have those)")
    assert own_scales(network, True) == [True]


def test_a_kernel_keeps_one_scale_for_each_position_would_have_its_threshold() -> None:
    kernel = Conv(image=(2, 7, 6), weight=weights()[:, :18].reshape(12, 2, 3, 3))
    dialect = parse_dialect("snntorch-zero")
    network = Network(
        name="conv",
        inputs=(Input(name="in", shape=(2, 7, 6)),),
        outputs=(Output(name="out", source="a"),),
        populations=(population("a", make_neuron(kernel.n_out, dialect, decay=0.9)),),
        projections=(Projection(name="conv", source="in", target="a", operations=(kernel,)),),
        dialect=dialect,
        dt=1e-4,
    )
    assert own_scales(network) == [False]
    assert own_scales(network, True) == [True]
    (note,) = notes(quantise_with_report(network)[1])
    assert note.endswith("(--per-channel to have those)")


def test_integrators_and_exact_weights_keep_one_scale_in_silence() -> None:
    integrator = make_network([weights()], decay=0.9, li_output=True)
    on_a_grid = make_network([np.rint(weights() * 31) / 31], decay=0.9)
    each_on_its_own = make_network(
        [np.rint(weights(1.0) * 31) * np.linspace(0.02, 0.03, 12)[:, None]],
        decay=0.9,
        li_output=True,
    )
    for network in (integrator, each_on_its_own, on_a_grid):
        _, report = quantise_with_report(network)
        assert not report.layers[0].per_channel
        assert notes(report) == []


def test_a_network_that_feeds_itself_keeps_more_of_its_spikes() -> None:
    rng = np.random.default_rng(7)
    dialect = parse_dialect("norse")
    neuron = cuba_neuron(12, dialect, decay_syn=0.5, decay=0.9)
    network = Network(
        name="loop",
        inputs=(Input(name="in", shape=(20,)),),
        outputs=(Output(name="out", source="a"),),
        populations=(population("a", neuron),),
        projections=(
            projection("in", "a", weights() * np.sign(rng.normal(0.7, 1, (12, 20)))),
            projection("a", "a", SPREAD * rng.normal(0, 0.4, (12, 12)), recurrent=True),
        ),
        dialect=dialect,
        dt=1e-4,
    )
    x = (rng.random((20, 60, 20)) < 0.2).astype(np.int16)
    differ = []
    for choice in (False, None):
        qnet = quantise(network, QuantiseOptions(weight_bits=5, per_channel=choice))
        (layer,) = compare_to_reference(network, qnet, x).layers
        assert layer.float_spikes > 20
        differ.append(layer.whole.spikes)
    assert differ[1] < 0.6 * differ[0]


def test_weights_that_are_exact_with_a_scale_each_stay_exact() -> None:
    """As training leaves them that rounds each neuron's weights to a scale of its own."""
    scales = np.random.default_rng(3).uniform(0.08, 0.1, (12, 1))
    whole = np.clip(np.rint(weights(1.0) * 7), -7, 7)
    network = make_network([whole * scales], decay=0.9)
    for choice, exact in ((None, True), (False, False)):
        options = QuantiseOptions(weight_bits=4, per_channel=choice)
        assert quantise(network, options).layers[0].weight_exact == exact
    np.testing.assert_array_equal(
        quantise(network, QuantiseOptions(weight_bits=4)).layers[0].weights, whole
    )
