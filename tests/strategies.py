# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies: whole integer networks with inputs, over the numeric contract's space."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, get_args

import numpy as np
from hypothesis import strategies as st

from spikefab.gen.bounds import accumulator_range, current_bound, membrane_bound, signed_width
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import (
    SPIKES,
    CurrentParams,
    InputParams,
    NeuronParams,
    ResetTime,
    StopParams,
    SynapseOrder,
    SynapseParams,
)

__all__ = ["PRESETS", "DrawnNetwork", "networks", "neuron_params"]

PRESETS: dict[str, dict[str, Any]] = {
    "nir-literal": {"compare": "gt", "reset": "value"},
    "snntorch-subtract": {
        "compare": "gt", "reset": "subtract", "reset_time": "next-after-leak",
    },
    "snntorch-subtract,reset_delay=false": {
        "compare": "gt", "reset": "subtract", "reset_time": "next-after-leak",
        "reset_correction": True,
    },
    "snntorch-zero": {"compare": "gt", "reset": "zero", "reset_time": "next-before-leak"},
    "snntorch-zero,reset_delay=false": {
        "compare": "gt", "reset": "zero", "reset_time": "next-before-leak",
        "reset_correction": True,
    },
    "snntorch-zero, Synaptic": {"compare": "gt", "reset": "zero", "reset_time": "next-discard"},
    "norse": {"compare": "gt", "reset": "value"},
    "norse,reset=subtract": {"compare": "gt", "reset": "subtract"},
    "sinabs": {"compare": "ge", "reset": "subtract", "multi_spike": True, "v_min": True},
    "sinabs,multi_spike=false": {"compare": "ge", "reset": "subtract"},
    "spikingjelly": {"compare": "ge", "reset": "value"},
    "spikingjelly,reset=subtract": {"compare": "ge", "reset": "subtract"},
}  # fmt: skip
"""What each dialect's neurons are in the integer contract."""

WEIGHT_WIDTHS: tuple[int | str, ...] = (4, 3, 5, 6, 7, 8, 2, "ternary", 1)


class DrawnNetwork(NamedTuple):
    """A network, how it is laid out, and samples for it."""

    qnet: QNetwork
    lanes: list[int]
    """Lanes of each layer, 1 to its fan-out."""
    folds: list[int]
    """Lanes that share a neuron datapath, at most."""
    x: np.ndarray
    """Samples as the input's coding takes them: counts (samples, steps, n_inputs) up to
    `qnet.input_max`, or frames of values (samples, n_inputs)."""


@st.composite
def networks(
    draw: st.DrawFn,
    max_layers: int = 4,
    max_neurons: int = 64,
    max_samples: int = 3,
    max_steps: int = 8,
    stops: bool = False,
) -> DrawnNetwork:
    """Networks of 1 to `max_layers` layers over every field of the contract, lanes, and samples.

    What a layer does is drawn field by field, so that a failure shrinks; its many numbers come
    from a generator whose seed is drawn. Half of the draws repeat a dialect's preset, the others
    change some of its fields. `stops`: every third network with two outputs or more ends samples
    early.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    n_layers = draw(st.integers(1, max_layers), label="layers")
    n_samples = draw(st.integers(1, max_samples), label="samples")
    n_steps = draw(st.integers(1, max_steps), label="steps")
    coding, input_max = draw(_input(n_steps), label="input")
    n_inputs = draw(st.integers(1, max_neurons), label="inputs")
    n_in = n_inputs = n_inputs + n_inputs % 2 if coding.off else n_inputs
    source_max, layers, lanes, folds, bounded = input_max, [], [], [], False
    for i in range(n_layers):
        n = draw(st.integers(1, max_neurons), label=f"neurons {i}")
        integrator = i == n_layers - 1 and draw(st.integers(0, 3), label="LI output") == 3
        layer, needs_steps = _layer(draw, rng, i, n_in, n, source_max, n_steps, integrator)
        if i == 0:
            width = 0 if coding.spiking else coding.payload_width
            graded = replace(layer.synapse, payload_width=width)
            layer = replace(layer, synapse=graded)
        layers.append(layer)
        bounded |= needs_steps
        lanes.append(draw(st.integers(1, n) | st.just(n) | st.just(1), label=f"lanes {i}"))
        folds.append(draw(st.just(1) | st.integers(1, 9), label=f"folds {i}"))
        n_in, source_max = n, layer.neuron.max_count
    qnet = QNetwork(
        name="drawn",
        inputs=(QInput(name="input", shape=(n_inputs,)),),
        layers=tuple(layers),
        outputs=(QOutput(name="output", source=layers[-1].name),),
        input_max=input_max,
        input=coding,
        steps=n_steps if bounded else None,
    )
    if stops and qnet.n_outputs > 1 and draw(st.integers(0, 2), label="early stop") == 2:
        qnet = replace(qnet, stop=draw(_stop(qnet, n_steps)))
    most = coding.max_value if coding.payload_width else input_max
    x = _samples(draw, rng, n_samples, n_steps, qnet.n_inputs, most)
    return DrawnNetwork(qnet, lanes, folds, x[:, 0] if coding.framed else x)


@st.composite
def _stop(draw: st.DrawFn, qnet: QNetwork, steps: int) -> StopParams:
    """Margins that random outputs reach now and then."""
    neuron = qnet.layers[-1].neuron
    top = steps * neuron.max_count
    likely = [1, 2, 3]
    if not neuron.spiking:
        top = (1 << neuron.membrane_width) - 1
        likely = [1, 1 + (top >> 6), 1 + (top >> 4)]
    margin = st.sampled_from([min(top, m) for m in likely]) | st.just(0)
    margins = draw(st.lists(margin, min_size=1, max_size=steps + 1).filter(any), label="margins")
    return StopParams(margins=tuple(margins))


@st.composite
def _input(draw: st.DrawFn, steps: int) -> tuple[InputParams, int]:
    """How the input is coded, and the most that one of its addresses receives in a step."""
    kinds = ["spikes", "counts", "graded", "static", "rate", "latency", "delta"]
    kind: Any = draw(st.sampled_from(kinds))
    if kind == "spikes":
        return SPIKES, 1
    if kind == "counts":
        return SPIKES, draw(st.sampled_from([2, 5]))
    width = draw(st.sampled_from([3, 1, 2, 4, 5, 8]), label="payload width")
    fields: dict[str, Any] = {"payload_width": width}
    if kind == "graded":
        kind = "spikes"
    elif kind == "delta":
        most = (1 << width) - 1
        fields["threshold"] = draw(st.sampled_from([1, 1 + most // 4, most]), label="threshold")
        fields["off"] = draw(st.booleans(), label="off")
    else:
        fields["steps"] = steps
        if kind == "rate":
            fields["seed"] = draw(st.integers(1, (1 << 32) - 1), label="rate seed")
    coding = InputParams(coding=kind, **fields)
    return coding, 1 if coding.spiking else coding.max_value


def _samples(
    draw: st.DrawFn, rng: np.random.Generator, samples: int, steps: int, n: int, most: int
) -> np.ndarray:
    """Counts: from silence to every input at its most, with silent steps."""
    density = draw(st.sampled_from([0.5, 0.2, 0.05, 1.0, 0.0]), label="density")
    x = rng.integers(1, most + 1, (samples, steps, n)) * (rng.random((samples, steps, n)) < density)
    if density == 1.0 and draw(st.booleans(), label="worst case"):
        x[:] = most
    silent = rng.random((samples, steps)) < draw(st.sampled_from([0, 0, 0.3]), label="silent")
    x[silent] = 0
    return x.astype(np.int16)


def _layer(
    draw: st.DrawFn,
    rng: np.random.Generator,
    index: int,
    n_in: int,
    n: int,
    source_max: int,
    steps: int,
    integrator: bool,
) -> tuple[QLayer, bool]:
    bits = draw(st.sampled_from(WEIGHT_WIDTHS), label=f"weights {index}")
    width = 2 if bits == "ternary" else int(bits)
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    if bits in (1, "ternary"):
        low, high = -1, 1
    weights = rng.integers(low, high + 1, (n, n_in))
    if bits == 1:
        weights = np.where(weights < 0, -1, 1)
    if draw(st.booleans(), label="excitatory"):
        weights = np.where(rng.random(weights.shape) < 0.7, np.abs(weights), weights)
        weights = np.minimum(weights, high)
    acc = accumulator_range(weights, source_max)
    largest = max(int(acc[1].max()), -int(acc[0].min()), 1)
    excited = bool(acc[1].max() > 0)
    some = neuron_params(n, largest, rng, integrator, excited)
    neuron = draw(some, label=f"neuron {index}")
    current_needs_steps = False
    if neuron.current is not None:
        reached = current_bound(neuron, acc, steps)
        assert reached is not None
        spare = draw(st.sampled_from([0, 0, 1]), label="spare bits of the current")
        current = replace(neuron.current, width=min(40, reached.width + spare))
        neuron = replace(neuron, current=current)
        current_needs_steps = reached.steps is not None
    bound = membrane_bound(neuron, acc, steps)
    held = bound is not None and bound.width <= 40
    if held and draw(st.integers(0, 2), label="clamp") != 2:
        assert bound is not None
        spare = draw(st.sampled_from([0, 0, 1]), label="spare bits")
        neuron = replace(neuron, membrane_width=min(40, bound.width + spare))
        reach, needs_steps = bound.layer, bound.steps is not None
    else:
        neuron, reach, needs_steps = _clamped(draw, neuron, largest), None, False
    synapse = SynapseParams(
        n_in=n_in,
        n_out=n,
        weight_width=width,
        acc_min=int(acc[0].min()),
        acc_max=int(acc[1].max()),
    )
    layer = QLayer(
        name=f"layer{index}",
        edges=(dense_edge(f"layer{index - 1}" if index else "input", weights),),
        synapse=synapse,
        neuron=neuron,
        scale=np.ones(1),
        weight_exact=True,
        ternary=bits == "ternary",
        bound=reach,
    )
    return layer, needs_steps or current_needs_steps


def _clamped(draw: st.DrawFn, neuron: NeuronParams, largest: int) -> NeuronParams:
    """A membrane that saturates, from the narrowest that holds the constants on."""
    constants = [0, *neuron.v_init, *neuron.v_reset, *(neuron.v_min or ())]
    need = signed_width(min(constants), max(constants))
    step = signed_width(0, largest << neuron.fraction_bits)
    width = draw(st.integers(need, min(40, max(need, step) + 2)), label="clamped width")
    return replace(neuron, membrane_width=width, saturate=True)


@st.composite
def neuron_params(
    draw: st.DrawFn,
    n: int,
    largest: int,
    rng: np.random.Generator,
    integrator: bool = False,
    excited: bool = True,
    currents: bool = True,
) -> NeuronParams:
    """Neurons of the widest membrane, without saturation; `largest`: a step's largest sum.

    Where no weight is positive (`excited` False), mostly the bias makes the neurons spike.
    `currents`: half have a synaptic current, of the widest.
    """
    fraction = draw(st.sampled_from([0, 0, 1, 3, 6]), label="fraction bits")
    reach = largest << fraction

    def values(low: int, high: int, label: str) -> tuple[int, ...]:
        """One shared value or one a neuron."""
        shared = n == 1 or draw(st.integers(0, 2), label=f"{label} per neuron") < 2
        return tuple(int(v) for v in rng.integers(low, high + 1, 1 if shared else n))

    def leak(label: str) -> dict[str, Any]:
        shift = draw(st.sampled_from([0, 0, 1, 3, 6, 10, 16]), label=f"{label} shift")
        kind = draw(st.sampled_from(["keep", "any", "high"]), label=label)
        top = 1 << shift
        ends = {"keep": (top, top), "any": (0, top), "high": (top - top // 8, top)}[kind]
        return {
            "leak_num": values(*ends, label),
            "leak_shift": shift,
            "leak_rounding": draw(st.sampled_from(["floor", "nearest", "toward-zero"])),
        }

    fields: dict[str, Any] = {
        "n": n,
        "fraction_bits": fraction,
        "membrane_width": 40,
        **leak("leak"),
    }
    order = draw(st.sampled_from([None, None, None, *get_args(SynapseOrder)]), label="current")
    order = order if currents else None
    late = draw(st.integers(0, 2), label="late bias") == 2
    if currents and late:
        fields["bias_late"] = values(-reach // 4 - 1, reach // 4 + 1, "late bias")
    if order is not None:
        given = draw(st.integers(0, 2), label="current's bias") == 2
        bias = values(-reach // 4 - 1, reach // 4 + 1, "current's bias") if given else (0,)
        fields["current"] = CurrentParams(
            order=order, width=40, bias=bias, **leak("current's leak")
        )
    bias = draw(st.integers(0, 2), label="bias")
    if not excited and bias < 2:
        fields["bias"] = values(0, reach // 2 + 1, "bias")
    elif bias == 2:
        fields["bias"] = values(-reach // 4 - 1, reach // 4 + 1, "bias")
    if draw(st.integers(0, 3), label="v_init") == 3:
        fields["v_init"] = values(-reach // 2 - 1, reach // 2 + 1, "v_init")
    if integrator:
        if draw(st.booleans(), label="v_min"):
            fields["v_min"] = values(-reach // 2, 0, "v_min")
        return NeuronParams(**fields, spiking=False, reset="none")
    ceiling = max(1, reach // draw(st.sampled_from([5, 20, 2, 1000]), label="threshold"))
    fields["threshold"] = values(max(1, ceiling // 2), ceiling, "threshold")
    fields |= draw(_dialect(), label="dialect")
    multi, clamp = fields.pop("multi_spike", False), fields.pop("v_min", False)
    if multi:
        fields["count_width"] = draw(st.integers(2, 4) | st.just(8), label="count width")
    if clamp:
        minus_threshold = draw(st.booleans(), label="v_min = -threshold")
        threshold = fields["threshold"]
        fields["v_min"] = (
            tuple(-t for t in threshold) if minus_threshold else values(-reach // 2, 0, "v_min")
        )
    if fields["reset"] == "value":
        low = -reach // 2
        fields["v_reset"] = values(low, max(low, min(fields["threshold"]) // 2), "v_reset")
    return NeuronParams(**fields)


@st.composite
def _dialect(draw: st.DrawFn) -> dict[str, Any]:
    """A preset's fields, or the same with some changed to other legal values."""
    fields = dict(PRESETS[draw(st.sampled_from(sorted(PRESETS)), label="preset")])
    if draw(st.booleans(), label="overrides"):
        choices: dict[str, list[Any]] = {
            "compare": ["gt", "ge"],
            "reset": ["subtract", "zero", "value"],
            "reset_time": list(get_args(ResetTime)),
            "reset_correction": [False, True],
            "output_lag": [False, True],
            "multi_spike": [False, True],
            "v_min": [False, True],
        }
        for name in draw(st.sets(st.sampled_from(sorted(choices)), max_size=4), label="changed"):
            fields[name] = draw(st.sampled_from(choices[name]), label=name)
    # Fields that exclude each other: the later ones give way.
    if fields.get("reset_time") == "next-discard" and fields["reset"] == "subtract":
        fields["reset_time"] = "next-after-leak"
    late = fields.get("reset_time", "same") != "same"
    if not late or fields["reset"] == "value":
        fields["reset_correction"] = False
    if late or fields.get("output_lag"):
        fields["multi_spike"] = False
    return fields
