# SPDX-License-Identifier: Apache-2.0
"""Parameters: what is derived, and the words of every refusal."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from spikefab.hdl.params import (
    CoreParams,
    CurrentParams,
    InputParams,
    LayerParams,
    NeuronParams,
    ParamError,
    SynapseParams,
)

SYNAPSE = SynapseParams(n_in=4, n_out=3, weight_width=4, acc_min=-8, acc_max=7)
NEURON = NeuronParams(n=3, fraction_bits=2, membrane_width=8)
INTEGRATOR = NeuronParams(n=3, fraction_bits=2, membrane_width=8, spiking=False, reset="none")
CURRENT = CurrentParams(order="decay-add-use", width=9)
LAYER = LayerParams(name="fc", synapse=SYNAPSE, neuron=NEURON, lanes=2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n_in": 0}, "SynapseParams.n_in = 0: must be 1 to 65536"),
        ({"n_in": 65537}, "SynapseParams.n_in = 65537: must be 1 to 65536"),
        ({"n_out": 0}, "SynapseParams.n_out = 0: must be 1 to 65536"),
        ({"n_out": 65537}, "SynapseParams.n_out = 65537: must be 1 to 65536"),
        ({"weight_width": 0}, "SynapseParams.weight_width = 0: must be 1 to 8 bits"),
        ({"weight_width": 9}, "SynapseParams.weight_width = 9: must be 1 to 8 bits"),
        ({"acc_min": 1}, "SynapseParams.acc_min = 1: must be <= 0"),
        ({"acc_max": -1}, "SynapseParams.acc_max = -1: must be >= 0"),
    ],
)
def test_refused_synapses(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(words)}$"):
        replace(SYNAPSE, **fields)


@pytest.mark.parametrize(
    ("low", "high", "width"),
    [(0, 0, 5), (-8, 7, 5), (-16, 0, 5), (-16, 15, 5), (-17, 0, 6), (0, 16, 6), (-64, 63, 7),
     (-65, 63, 8), (-64, 64, 8)],
)  # fmt: skip
def test_accumulators_hold_the_whole_range(low: int, high: int, width: int) -> None:
    """Never narrower than a weight and a bit, else the narrowest that holds both ends."""
    assert replace(SYNAPSE, acc_min=low, acc_max=high).acc_width == width


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n": 0}, "NeuronParams.n = 0: must be 1 to 65536"),
        ({"n": 65537}, "NeuronParams.n = 65537: must be 1 to 65536"),
        ({"fraction_bits": -1}, "NeuronParams.fraction_bits = -1: must be 0 to 24"),
        ({"fraction_bits": 25}, "NeuronParams.fraction_bits = 25: must be 0 to 24"),
        ({"membrane_width": 1}, "NeuronParams.membrane_width = 1: must be 2 to 40 bits; "
         "use fewer fraction bits or a clamp"),
        ({"membrane_width": 41}, "NeuronParams.membrane_width = 41: must be 2 to 40 bits; "
         "use fewer fraction bits or a clamp"),
        ({"leak_shift": -1}, "NeuronParams.leak_shift = -1: must be 0 to 20"),
        ({"leak_shift": 21}, "NeuronParams.leak_shift = 21: must be 0 to 20"),
        ({"leak_rounding": "up"}, "NeuronParams.leak_rounding = 'up': must be one of floor, "
         "nearest, toward-zero"),
        ({"compare": "lt"}, "NeuronParams.compare = 'lt': must be one of gt, ge"),
        ({"reset": "half"}, "NeuronParams.reset = 'half': must be one of subtract, zero, value, "
         "none"),
        ({"reset_time": "later"}, "NeuronParams.reset_time = 'later': must be one of same, "
         "next-before-leak, next-after-leak, next-discard"),
        ({"reset_time": "next-discard"}, "NeuronParams.reset = 'subtract': must be 'zero' or "
         "'value' when reset_time is 'next-discard'"),
        ({"bias_late": (0,) * 2}, "len(NeuronParams.bias_late) = 2: must be 1 (shared) or 3 "
         "(one a neuron)"),
        ({"current": replace(CURRENT, leak_num=(1, 0))}, "len(CurrentParams.leak_num) = 2: must "
         "be 1 (shared) or 3 (one a neuron)"),
        ({"current": replace(CURRENT, bias=(1,) * 4)}, "len(CurrentParams.bias) = 4: must be 1 "
         "(shared) or 3 (one a neuron)"),
        ({"leak_num": (1, 1)}, "len(NeuronParams.leak_num) = 2: must be 1 (shared) or 3 "
         "(one a neuron)"),
        ({"threshold": ()}, "len(NeuronParams.threshold) = 0: must be 1 (shared) or 3 "
         "(one a neuron)"),
        ({"bias": (0,) * 4}, "len(NeuronParams.bias) = 4: must be 1 (shared) or 3 "
         "(one a neuron)"),
        ({"v_init": (0,) * 2}, "len(NeuronParams.v_init) = 2: must be 1 (shared) or 3 "
         "(one a neuron)"),
        ({"v_reset": (0,) * 2}, "len(NeuronParams.v_reset) = 2: must be 1 (shared) or 3 "
         "(one a neuron)"),
        ({"v_min": (0,) * 2}, "len(NeuronParams.v_min) = 2: must be 1 (shared) or 3 "
         "(one a neuron)"),
        ({"leak_num": (-1,)}, "NeuronParams.leak_num = (-1,): must be 0 to 2**leak_shift = 1"),
        ({"leak_num": (5,), "leak_shift": 2}, "NeuronParams.leak_num = (5,): must be 0 to "
         "2**leak_shift = 4"),
        ({"reset": "none"}, "NeuronParams.reset = 'none': must be 'none' for an integrator and "
         "only for one"),
        ({"spiking": False}, "NeuronParams.reset = 'subtract': must be 'none' for an integrator "
         "and only for one"),
        ({"threshold": (3, 0, 2)}, "NeuronParams.threshold = 0: must be >= 1 membrane LSB; "
         "use more fraction bits"),
        ({"threshold": (0,), "reset": "zero", "count_width": 2}, "NeuronParams.threshold = 0: must "
         "be >= 1 membrane LSB; use more fraction bits"),
        ({"threshold": (-(1 << 40) - 1,), "reset": "zero"}, "NeuronParams.threshold = "
         "-1099511627777: must be >= -2**40"),
        ({"v_init": (128,)}, "NeuronParams.v_init = 128: must be a signed 8-bit number; "
         "widen the membrane"),
        ({"v_reset": (-129,)}, "NeuronParams.v_reset = -129: must be a signed 8-bit number; "
         "widen the membrane"),
        ({"v_min": (-129,)}, "NeuronParams.v_min = -129: must be a signed 8-bit number; "
         "widen the membrane"),
        ({"reset_correction": True}, "NeuronParams.reset_correction = True: must be False when "
         "reset_time is 'same'"),
        ({"reset_correction": True, "reset_time": "next-after-leak", "reset": "value"},
         "NeuronParams.reset_correction = True: must be False when reset is 'value'"),
        ({"count_width": 0}, "NeuronParams.count_width = 0: must be 1 to 8"),
        ({"count_width": 9}, "NeuronParams.count_width = 9: must be 1 to 8"),
        ({"count_width": 2, "reset_time": "next-after-leak"}, "NeuronParams.count_width = 2: must "
         "be 1 unless reset_time is 'same' and output_lag is False"),
        ({"count_width": 2, "output_lag": True}, "NeuronParams.count_width = 2: must be 1 unless "
         "reset_time is 'same' and output_lag is False"),
        ({"count_width": 2, "spiking": False, "reset": "none"}, "NeuronParams.count_width = 2: "
         "must be 1 unless reset_time is 'same' and output_lag is False"),
    ],
)  # fmt: skip
def test_refused_neurons(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(words)}$"):
        replace(NEURON, **fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"order": "use"}, "CurrentParams.order = 'use': must be one of decay-add-use, "
         "add-use-decay, add-decay-use"),
        ({"width": 1}, "CurrentParams.width = 1: must be 2 to 40 bits; use fewer fraction bits"),
        ({"width": 41}, "CurrentParams.width = 41: must be 2 to 40 bits; use fewer fraction bits"),
        ({"leak_shift": 21}, "CurrentParams.leak_shift = 21: must be 0 to 20"),
        ({"leak_num": (5,), "leak_shift": 2}, "CurrentParams.leak_num = (5,): must be 0 to "
         "2**leak_shift = 4"),
        ({"leak_rounding": "up"}, "CurrentParams.leak_rounding = 'up': must be one of floor, "
         "nearest, toward-zero"),
    ],
)  # fmt: skip
def test_refused_currents(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(words)}$"):
        replace(CURRENT, **fields)


def test_the_ends_of_every_range_are_legal() -> None:
    replace(CURRENT, width=40, leak_num=(0, 1 << 20, 3), leak_shift=20, bias=(-(1 << 39),))
    replace(NEURON, reset="zero", reset_time="next-discard", reset_correction=True)
    replace(SYNAPSE, n_in=65536, n_out=65536, weight_width=8, acc_min=0, acc_max=0)
    replace(SYNAPSE, n_in=1, n_out=1, weight_width=1)
    replace(NEURON, fraction_bits=24, membrane_width=40, leak_shift=20, leak_num=(1 << 20,))
    replace(NEURON, fraction_bits=0, membrane_width=2, leak_num=(0,), v_init=(-2,), v_reset=(1,))
    replace(NEURON, count_width=8, threshold=(1, 2, 3), v_init=(-128, 0, 127))
    assert replace(NEURON, count_width=8).max_count == 255
    assert (NEURON.max_count, INTEGRATOR.max_count) == (1, 0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lanes": 0}, "layer 'fc': lanes = 0: must be 1 to the fan-out, 3"),
        ({"lanes": 4}, "layer 'fc': lanes = 4: must be 1 to the fan-out, 3"),
        ({"synapse": replace(SYNAPSE, n_out=2)}, "layer 'fc': synapse.n_out = 2: must be the "
         "population's size, 3"),
    ],
)  # fmt: skip
def test_refused_layers(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(words)}$"):
        replace(LAYER, **fields)


@pytest.mark.parametrize(("lanes", "groups"), [(1, 3), (2, 2), (3, 1)])
def test_groups(lanes: int, groups: int) -> None:
    assert replace(LAYER, lanes=lanes).groups == groups


def test_refused_cores() -> None:
    after = replace(LAYER, name="out", synapse=replace(SYNAPSE, n_in=3))
    CoreParams(layers=(LAYER, after))
    for layers, words in (
        ((), "CoreParams.layers = 0: must be at least one layer"),
        ((LAYER, replace(LAYER, name="out")), "layer 'out': synapse.n_in = 4: must be the size of "
         "layer 'fc', 3"),
        ((replace(LAYER, neuron=INTEGRATOR), after), "layer 'fc': spiking = False: must be True: "
         "only the last layer may be an integrator"),
    ):  # fmt: skip
        with pytest.raises(ParamError, match=f"^{re.escape(words)}$"):
            CoreParams(layers=layers)
    for most in (0, 32768):
        words = f"CoreParams.input_max = {most}: must be 1 to 32767"
        with pytest.raises(ParamError, match=f"^{re.escape(words)}$"):
            CoreParams(layers=(LAYER,), input_max=most)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"coding": "morse"}, "InputParams.coding = 'morse': must be one of spikes, static, rate, "
         "latency, delta"),
        ({"payload_width": 9}, "InputParams.payload_width = 9: must be 0 to 8 bits"),
        ({"coding": "delta", "threshold": 1}, "InputParams.payload_width = 0: must be 1 to 8 bits"),
        ({"coding": "rate", "payload_width": 3, "seed": 1}, "InputParams.steps = 0: must be 1 to "
         "32768 with coding 'rate'"),
        ({"steps": 3}, "InputParams.steps = 3: must be 0 with coding 'spikes'"),
        ({"coding": "rate", "payload_width": 3, "steps": 3}, "InputParams.seed = 0: must be 1 to "
         "4294967295 with coding 'rate'"),
        ({"seed": 1}, "InputParams.seed = 1: must be 0 to 0 with coding 'spikes'"),
        ({"coding": "delta", "payload_width": 3}, "InputParams.threshold = 0: must be 1 to 7 with "
         "coding 'delta'"),
        ({"coding": "delta", "payload_width": 3, "threshold": 8}, "InputParams.threshold = 8: must "
         "be 1 to 7 with coding 'delta'"),
        ({"off": True}, "InputParams.off = True: must be False with coding 'spikes'"),
    ],
)  # fmt: skip
def test_refused_inputs(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(words)}$"):
        InputParams(**fields)


def test_cores_whose_fabric_makes_spikes() -> None:
    delta = InputParams(coding="delta", payload_width=3, threshold=1, off=True)
    core = CoreParams(layers=(LAYER,), input=delta)
    assert (core.n_inputs, core.layers[0].synapse.n_in) == (2, 4)
    assert delta.sample_shape((4, 5)) == (2, 5)
    assert (delta.spiking, delta.framed) == (True, False)
    with pytest.raises(ParamError, match="input_max = 2: must be 1 with coding 'delta'"):
        CoreParams(layers=(LAYER,), input=delta, input_max=2)
    odd = replace(LAYER, synapse=replace(SYNAPSE, n_in=5))
    with pytest.raises(ParamError, match=r"synapse\.n_in = 5: must be even"):
        CoreParams(layers=(odd,), input=delta)


def test_derived_sizes_of_a_core() -> None:
    spikes = CoreParams(layers=(LAYER,))
    assert (spikes.n_inputs, spikes.n_outputs, spikes.output_width) == (4, 3, 0)
    assert CoreParams(layers=(replace(LAYER, neuron=INTEGRATOR),)).output_width == 8


def test_parameters_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        NEURON.n = 4  # type: ignore[misc]
    assert hash(LAYER) == hash(replace(LAYER))
