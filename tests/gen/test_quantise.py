# SPDX-License-Identifier: Apache-2.0
"""Integers that equal the float network where they can, stay near it where not, and say which."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from float_networks import make_network

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.quantise import (
    QuantiseOptions,
    parse_weight_bits,
    quantise,
    quantise_with_report,
)
from spikefab.sim.golden import run_golden
from spikefab.sim.reference import run_reference

DIALECTS = [
    "nir-literal",
    "snntorch-subtract",
    "snntorch-subtract,reset_delay=false",
    "snntorch-zero",
    "snntorch-zero,reset_delay=false",
    "norse",
    "norse,reset=subtract",
    "sinabs",
    "sinabs,v_min=-threshold",
    "sinabs,multi_spike=false,reset=zero",
    "sinabs,compare=gt,reset=zero",
    "spikingjelly",
    "spikingjelly,reset=subtract",
    "snntorch-subtract,output_lag=true",
    "nir-literal,reset_time=next-after-leak",
    "nir-literal,reset_time=next-before-leak",
]


def grid_weights(rng: np.random.Generator, n_out: int, n_in: int, bits: int = 5) -> np.ndarray:
    top = 1 << (bits - 1)
    return rng.integers(-top // 2, top, (n_out, n_in)) / 32


def spikes_of(network: Any, qnet: QNetwork, x: np.ndarray) -> tuple[dict, dict]:
    return run_reference(network, x).spikes, run_golden(qnet, x).spikes


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("threshold", [1.0, 0.7, 0.03])
def test_grid_weights_without_leak_equal_the_float_network(dialect: str, threshold: float) -> None:
    rng = np.random.default_rng(0)
    weights = [grid_weights(rng, 12, 20), grid_weights(rng, 7, 12)]
    network = make_network(weights, dialect, threshold=threshold)
    if network.dialect.multi_spike and threshold < 0.1:
        pytest.skip("more spikes a step than can be counted")
    if network.dialect.reset == "subtract" or network.dialect.multi_spike:
        threshold = round(threshold * 128) / 128  # Where its size counts, only a grid is exact.
        network = make_network(weights, dialect, threshold=threshold)
    qnet, report = quantise_with_report(network, QuantiseOptions(weight_bits=5, steps=25))
    x = (rng.random((8, 25, 20)) < 0.2).astype(np.int16)
    reference, golden = spikes_of(network, qnet, x)
    assert all(layer.weight_exact for layer in report.layers)
    assert reference["lif0"].sum() > 100
    for name in ("lif0", "lif1"):
        np.testing.assert_array_equal(golden[name], reference[name])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_constants_on_the_grid_stay_exact(dialect: str) -> None:
    rng = np.random.default_rng(1)
    network = make_network(
        [grid_weights(rng, 9, 10)],
        dialect,
        biases=[rng.integers(-4, 5, 9) / 64],
        v_init=rng.integers(-16, 17, 9) / 128,
        v_reset=-0.25 if "value" in dialect or "," not in dialect else 0,
        threshold=rng.integers(16, 40, 9) / 32,
    )
    if network.dialect.reset != "value":
        neuron = replace(network.populations[0].neuron, v_reset=np.zeros(9))
        network = replace(network, populations=(replace(network.populations[0], neuron=neuron),))
    qnet = quantise(network, QuantiseOptions(weight_bits=5, steps=30))
    x = (rng.random((6, 30, 10)) < 0.3).astype(np.int16)
    reference = run_reference(network, x, record=True)
    golden = run_golden(qnet, x, record=["lif0"])
    layer = qnet.layers[0]
    assert reference.mem is not None
    lsb = layer.scale / 2.0**layer.neuron.fraction_bits
    if "reset_delay=false" not in dialect:  # Its doubling leaves float32's exact range.
        np.testing.assert_array_equal(golden.mem["lif0"] * lsb, reference.mem["lif0"])
    np.testing.assert_array_equal(golden.spikes["lif0"], reference.spikes["lif0"])


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("decay", [0.5, 0.9, 0.97])
def test_leaky_neurons_stay_near_the_float_network(dialect: str, decay: float) -> None:
    rng = np.random.default_rng(2)
    network = make_network([grid_weights(rng, 40, 50)], dialect, decay=decay, threshold=1.37)
    x = (rng.random((4, 40, 50)) < 0.1).astype(np.int16)

    def differences(fraction_bits: int | None) -> float:
        options = QuantiseOptions(
            weight_bits=5, leak_tolerance=1e-5, steps=40, fraction_bits=fraction_bits
        )
        reference, golden = spikes_of(network, quantise(network, options), x)
        assert reference["lif0"].sum() > 300
        return float((golden["lif0"] != reference["lif0"]).mean())

    assert differences(None) < 0.02
    assert differences(14) < 0.0015


def test_gain_is_folded_into_weights_and_bias() -> None:
    rng = np.random.default_rng(3)
    weights, bias = grid_weights(rng, 6, 10), rng.integers(-2, 3, 6) / 32
    gain = np.array([1, 2, 0.5, 1, 0.25, 1.0])
    folded = make_network([weights * gain[:, None]], biases=[bias * gain])
    network = make_network([weights], biases=[bias], gain=gain)
    a, b = (quantise(n, QuantiseOptions(weight_bits=8, steps=9)) for n in (folded, network))
    np.testing.assert_array_equal(a.layers[0].weights, b.layers[0].weights)
    assert a.layers[0].neuron == b.layers[0].neuron
    assert a.layers[0].weight_exact


def test_gains_that_differ_keep_narrow_weights_exact_with_a_scale_each() -> None:
    rng = np.random.default_rng(4)
    weights = grid_weights(rng, 6, 30)
    gain = np.array([0.3, 1.7, 0.9, 1, 0.21, 1.3])
    qnet = quantise(make_network([weights], gain=gain), QuantiseOptions(weight_bits=5))
    assert qnet.layers[0].weight_exact
    assert len(qnet.layers[0].scale) == 6
    assert len(qnet.layers[0].neuron.threshold) == 6


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8, "ternary"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_trained_looking_weights_fit_and_a_wider_grid_costs_less(
    bits: Any, per_channel: bool
) -> None:
    rng = np.random.default_rng(5)
    network = make_network([rng.normal(size=(30, 60)) * 0.2], decay=0.9)
    options = QuantiseOptions(weight_bits=bits, per_channel=per_channel)
    qnet, report = quantise_with_report(network, options)
    layer = qnet.layers[0]
    width = 2 if bits == "ternary" else bits
    assert layer.weights.dtype == np.int8
    assert layer.synapse.weight_width == width
    if bits == 1:
        assert set(np.unique(layer.weights)) == {-1, 1}
    else:
        assert layer.weights.min() >= -(1 << (width - 1))
        assert layer.weights.max() < 1 << (width - 1)
    assert layer.ternary == (bits == "ternary")
    assert not layer.weight_exact
    limit = {1: 0.62, 2: 0.6, 3: 0.3, 4: 0.15, 6: 0.05, 8: 0.015, "ternary": 0.6}[bits]
    assert 0 < report.layers[0].weight_error < limit


def test_layers_may_have_widths_of_their_own() -> None:
    rng = np.random.default_rng(6)
    network = make_network([rng.normal(size=(8, 9)), rng.normal(size=(4, 8))])
    qnet = quantise(network, QuantiseOptions(weight_bits=(4, "ternary"), steps=5))
    assert [layer.synapse.weight_width for layer in qnet.layers] == [4, 2]
    assert [layer.ternary for layer in qnet.layers] == [False, True]
    with pytest.raises(InputError, match="3 entries; the network has 2 layers"):
        quantise(network, QuantiseOptions(weight_bits=(4, 4, 4)))


def test_one_bit_is_binary() -> None:
    signs = np.array([[1, -1, -1], [-1, 1, 1], [-1, -1, -1]])
    options = QuantiseOptions(weight_bits=1, input_max=3, steps=4)
    qnet, report = quantise_with_report(make_network([signs * 0.5]), options)
    layer = qnet.layers[0]
    assert layer.weight_exact
    assert layer.weights.tolist() == signs.tolist()
    assert (layer.scale.tolist(), layer.neuron.threshold) == ([0.5], (2,))
    synapse = layer.synapse
    assert (synapse.weight_width, synapse.acc_min, synapse.acc_max) == (1, -9, 6)
    assert report.lines()[0].startswith("lif0: binary weights, exact, scale 0.5; ")
    assert len(report.lines()) == 1


def test_zeros_are_said_to_become_plus_one() -> None:
    w = np.array([[0, -0.5, -0.5, 0.5], [-0.5, 0.5, 0.5, 0.5]])
    qnet, report = quantise_with_report(make_network([w]), QuantiseOptions(weight_bits=1))
    layer = qnet.layers[0]
    assert not layer.weight_exact
    assert layer.weights.tolist() == [[1, -1, -1, 1], [-1, 1, 1, 1]]
    assert report.lines()[1] == (
        "lif0: 12 % of the weights are 0, which binary weights are not: they become +1 LSB; "
        "ternary keeps them"
    )


@pytest.mark.parametrize(
    ("compare", "threshold", "expected"),
    [("gt", 0.99, 3), ("gt", 1.0, 4), ("gt", 1.01, 4), ("ge", 0.99, 4), ("ge", 1.0, 4),
     ("ge", 1.01, 5)],
)  # fmt: skip
def test_hard_resets_compare_exactly(compare: str, threshold: float, expected: int) -> None:
    weights = np.array([[0.25, 0.5, 0.75]])
    network = make_network([weights], f"nir-literal,compare={compare}", threshold=threshold)
    neuron = quantise(network, QuantiseOptions(weight_bits=4)).layers[0].neuron
    assert (neuron.threshold, neuron.fraction_bits, neuron.reset) == ((expected,), 0, "zero")


@pytest.mark.parametrize("compare", ["gt", "ge"])
@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_thresholds_below_0_are_exact_where_they_are_only_compared(
    compare: str, decay: float
) -> None:
    rng = np.random.default_rng(4)
    threshold = np.array([-0.75, -0.5, -0.3, 0, 0.1, 0.5, -2])
    weights = rng.integers(-3, 4, (7, 10)) / 4
    network = make_network(
        [weights, rng.integers(-3, 4, (3, 7)) / 4],
        f"nir-literal,compare={compare}",
        decay=decay,
    )
    first = network.populations[0]
    neuron = replace(first.neuron, threshold=threshold)
    network = replace(
        network, populations=(replace(first, neuron=neuron), *network.populations[1:])
    )
    qnet, report = quantise_with_report(network, QuantiseOptions(weight_bits=5, steps=20))
    assert min(qnet.layers[0].neuron.threshold) < 0
    assert report.layers[0].threshold_error == 0
    # Zeros and ones make sums that equal thresholds.
    x = (rng.random((8, 20, 10)) < 0.2).astype(np.int16)
    reference = run_reference(network, x, record=True)
    golden = run_golden(qnet, x, record=["lif0"])
    for name in ("lif0", "lif1"):
        np.testing.assert_array_equal(golden.spikes[name], reference.spikes[name])
    rates = reference.spikes["lif0"].mean(axis=(0, 1))
    assert 0 < rates[5] < rates[0]
    assert reference.mem is not None
    lsb = qnet.layers[0].scale / 2.0 ** qnet.layers[0].neuron.fraction_bits
    np.testing.assert_array_equal(golden.mem["lif0"] * lsb, reference.mem["lif0"])


def test_subtracted_threshold_off_the_grid_gets_fraction_bits() -> None:
    network = make_network([np.array([[0.25, 0.5, 0.75]])], threshold=0.9)
    neuron = quantise(network, QuantiseOptions(weight_bits=4, steps=9)).layers[0].neuron
    assert neuron.threshold[0] >= 1024
    assert abs(neuron.threshold[0] * 0.25 / 2**neuron.fraction_bits - 0.9) < 1e-3


@pytest.mark.parametrize(
    ("dialect", "values", "fraction"),
    [
        ("nir-literal", {"v_reset": -1 / 16}, 2),
        ("nir-literal", {"v_min": -1 / 8}, 1),
        ("nir-literal", {"v_init": 1 / 32}, 3),
        ("nir-literal", {"threshold": 0.3}, 0),
        ("snntorch-subtract", {"threshold": 1 + 1 / 16}, 2),
        # With a leak, where it takes up to four bits more than the leak asks for.
        ("nir-literal", {"decay": 0.5}, 6),
        ("nir-literal", {"decay": 0.5, "v_init": 2.0**-10}, 8),
        ("nir-literal", {"decay": 0.5, "v_init": 2.0**-13}, 6),
    ],
)
def test_constants_get_the_fraction_bits_that_hold_them(
    dialect: str, values: dict, fraction: int
) -> None:
    network = make_network([np.array([[0.25, 0.5, -0.75]])], dialect, **values)
    options = QuantiseOptions(weight_bits=4, steps=9)
    assert quantise(network, options).layers[0].neuron.fraction_bits == fraction


def test_membranes_are_as_wide_as_the_bound_and_hold_for_ever_with_a_leak() -> None:
    rng = np.random.default_rng(7)
    weights = [rng.normal(size=(8, 9))]
    leaky = quantise(make_network(weights, decay=0.75), QuantiseOptions(steps=10))
    assert leaky.steps is None
    kept, report = quantise_with_report(make_network(weights), QuantiseOptions(steps=10))
    assert kept.steps == 10
    assert report.lines()[0].endswith(" in 10 steps")
    longer = quantise(make_network(weights), QuantiseOptions(steps=1000))
    assert longer.layers[0].neuron.membrane_width > kept.layers[0].neuron.membrane_width
    for qnet in (leaky, kept, longer):
        (layer,) = qnet.layers
        assert not layer.neuron.saturate
        assert layer.bound is not None
        top = 1 << (layer.neuron.membrane_width - 1)
        assert -top <= layer.bound[0] < -top // 2 or top // 2 <= layer.bound[1] < top


def test_without_a_bound_the_membrane_is_clamped_and_the_report_says_so() -> None:
    rng = np.random.default_rng(8)
    network = make_network([rng.normal(size=(8, 9))])
    qnet, report = quantise_with_report(network, QuantiseOptions())
    (layer,) = qnet.layers
    assert layer.neuron.saturate
    assert layer.bound is None
    # Four steps of the worst input, or 16 thresholds, fit.
    worst = max(layer.synapse.acc_max, -layer.synapse.acc_min) << layer.neuron.fraction_bits
    room = max(4 * worst, 16 * layer.neuron.threshold[0])
    assert room < 1 << (layer.neuron.membrane_width - 1) <= 2 * room
    assert any("clamped to" in line and "number of steps" in line for line in report.lines())
    x = (rng.random((4, 50, 9)) < 0.3).astype(np.int16)
    reference, golden = spikes_of(network, qnet, x)
    assert (reference["lif0"] != golden["lif0"]).mean() < 0.2


def test_narrow_membranes_cost_fraction_bits_first_and_then_clamp() -> None:
    rng = np.random.default_rng(9)
    network = make_network([rng.normal(size=(8, 9)) * 0.3], decay=0.9)
    free, _ = quantise_with_report(network, QuantiseOptions(weight_bits=4))
    wide = free.layers[0].neuron
    fits, report = quantise_with_report(
        network, QuantiseOptions(weight_bits=4, membrane_bits=wide.membrane_width - 2)
    )
    tight = fits.layers[0].neuron
    assert not tight.saturate
    assert tight.membrane_width <= wide.membrane_width - 2
    assert tight.fraction_bits < wide.fraction_bits
    assert any("to fit" in line for line in report.lines())
    clamp, report = quantise_with_report(network, QuantiseOptions(weight_bits=4, membrane_bits=6))
    assert clamp.layers[0].neuron.saturate
    assert clamp.layers[0].neuron.membrane_width == 6
    assert any("clamped to 6 bits: its bound needs more" in line for line in report.lines())
    with pytest.raises(InputError, match="use more membrane bits"):
        quantise(network, QuantiseOptions(weight_bits=8, membrane_bits=3))


def test_fraction_bits_asked_for_are_taken() -> None:
    network = make_network([np.eye(4)], decay=0.9)
    for f in (0, 3, 12):
        neuron = quantise(network, QuantiseOptions(fraction_bits=f)).layers[0].neuron
        assert neuron.fraction_bits == f
        assert neuron.threshold == (1 << f,)


def test_slower_leaks_get_more_fraction_bits() -> None:
    bits = [
        quantise(make_network([np.eye(4)], decay=decay)).layers[0].neuron.fraction_bits
        for decay in (0.5, 0.9, 0.99)
    ]
    assert bits == sorted(bits)
    assert bits[0] >= 8 > 0
    assert bits[2] > bits[0]


def test_counts_of_multi_spike_neurons_are_as_wide_as_the_weights_allow() -> None:
    weights = np.full((3, 10), 0.5)
    network = make_network([weights, np.ones((2, 3))], "sinabs", decay=0.5)
    qnet = quantise(network, QuantiseOptions(weight_bits=4))
    # At most 10 * 0.5 a step on top of a remainder below 1, half of which stays: 5 spikes.
    assert qnet.layers[0].neuron.count_width == 3
    assert qnet.layers[1].synapse.acc_max == 3 * 7 * qnet.layers[1].weights.max()
    for compare, width in (("gt", 2), ("ge", 3)):  # At most 4.0 a step: 3 times above, 4 times at.
        network = make_network([np.full((3, 8), 0.5)], f"sinabs,compare={compare}", decay=0.0)
        qnet = quantise(network, QuantiseOptions(weight_bits=4))
        assert qnet.layers[0].neuron.count_width == width
    single = make_network([np.full((3, 10), 0.05)], "sinabs", decay=0.5)
    assert quantise(single, QuantiseOptions(weight_bits=4)).layers[0].neuron.count_width == 1
    many = make_network([np.full((3, 100), 5.0)], "sinabs", decay=0.5)
    qnet, report = quantise_with_report(many, QuantiseOptions(weight_bits=4))
    assert qnet.layers[0].neuron.count_width == 8
    assert any("at most 255 times a step" in line for line in report.lines())


def test_an_integrator_does_not_spike_and_follows_the_float_membrane() -> None:
    rng = np.random.default_rng(10)
    network = make_network([rng.normal(size=(6, 20))], decay=0.9, li_output=True)
    qnet, report = quantise_with_report(network, QuantiseOptions(weight_bits=8, per_channel=True))
    (layer,) = qnet.layers
    assert (layer.neuron.spiking, layer.neuron.reset) == (False, "none")
    assert len(layer.scale) == 1
    assert any("one scale for the layer" in line for line in report.lines())
    x = (rng.random((4, 30, 20)) < 0.3).astype(np.int16)
    reference, golden = run_reference(network, x), run_golden(qnet, x)
    assert reference.mem is not None
    lsb = layer.scale / 2.0**layer.neuron.fraction_bits
    off = np.abs(golden.mem["li"] * lsb - reference.mem["li"]).max()
    assert off < 0.02 * np.abs(reference.mem["li"]).max()


def test_a_lower_clamp_that_nothing_reaches_is_dropped_and_any_other_kept() -> None:
    weights = np.array([[0.5, -0.25]])
    for v_min, kept in ((-0.6, None), (-0.45, (-29,)), (-0.5, None)):
        network = make_network([weights], decay=0.5, v_min=v_min)
        options = QuantiseOptions(weight_bits=3, fraction_bits=4, leak_rounding="toward-zero")
        assert quantise(network, options).layers[0].neuron.v_min == kept


def test_lava_decay_rounds_toward_zero() -> None:
    network = make_network([np.eye(2)], "lava-dl", decay=0.9)
    assert quantise(network).layers[0].neuron.leak_rounding == "toward-zero"
    assert quantise(make_network([np.eye(2)])).layers[0].neuron.leak_rounding == "nearest"


def test_same_network_gives_the_same_integers_and_survives_a_file(tmp_path: Any) -> None:
    rng = np.random.default_rng(11)
    network = make_network([rng.normal(size=(8, 9)), rng.normal(size=(3, 8))], decay=0.8)
    a, b = quantise(network), quantise(network)
    a.save(tmp_path / "a.npz")
    b.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    c = QNetwork.load(tmp_path / "a.npz")
    assert [layer.neuron for layer in c.layers] == [layer.neuron for layer in a.layers]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_bits": 9}, "weight_bits = 9: must be 1 to 8, or 'ternary'"),
        ({"weight_bits": (4, "binary")}, "weight_bits = 'binary'"),
        ({"weight_bits": True}, "weight_bits = True"),
        ({"membrane_bits": 41}, "membrane_bits = 41: must be 2 to 40"),
        ({"fraction_bits": -1}, "fraction_bits = -1: must be 0 to 24"),
        ({"leak_rounding": "up"}, "leak_rounding = 'up': must be one of floor, nearest"),
        ({"leak_tolerance": 1.5}, "leak_tolerance = 1.5: must be 0 to below 1"),
        ({"input_max": 0}, "input_max = 0: must be 1 to 32767"),
        ({"steps": 0}, "steps = 0: must be at least 1"),
    ],
)
def test_bad_options_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        QuantiseOptions(**fields)


def test_all_bad_options_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        QuantiseOptions(weight_bits=0, input_max=0, steps=-3)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": 0.0}, "node 'lif0': threshold 0; a threshold that is subtracted, or"),
        ({"threshold": -1.0, "dialect": "sinabs,reset=zero"}, "node 'lif0': threshold -1; a thr"),
        ({"decay": 1.2}, "node 'lif0': a step keeps 1.2 of the membrane"),
        ({"dialect": "rockpool"}, "state=carry cannot be mapped so far"),
        ({"biases": [[np.nan, 0]]}, "node 'fc0': its bias hold NaN"),
        ({"threshold": 1e12}, "a threshold of 1e\\+12 is more than 40 bits"),
    ],
)
def test_networks_that_cannot_be_mapped_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantise(make_network([np.eye(2)], **values))


def test_activity_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"activity of 'input' has shape \(5, 3\)"):
        quantise(make_network([np.eye(2)]), activity={"input": np.zeros((5, 3), int)})


def test_a_constant_far_above_the_threshold_is_kept_or_refused_never_cut() -> None:
    network = make_network([np.eye(2) * 0.5], decay=0.5, v_init=[1000.0, -3.0])
    layer = quantise(network).layers[0]
    lsb = layer.scale[0] / 2**layer.neuron.fraction_bits
    assert [v * lsb for v in layer.neuron.v_init] == [1000, -3]


@pytest.mark.parametrize(
    ("text", "bits"),
    [("6", 6), ("ternary", "ternary"), ("4, 8", (4, 8)), ("4,ternary,2", (4, "ternary", 2))],
)
def test_weight_bits_are_read_as_written_on_the_command_line(text: str, bits: Any) -> None:
    assert parse_weight_bits(text) == bits


@pytest.mark.parametrize("text", ["", "9", "x", "4,,4", "-1"])
def test_bad_weight_bits_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="must be 1 to 8, or 'ternary'"):
        parse_weight_bits(text)
