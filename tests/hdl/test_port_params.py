# SPDX-License-Identifier: Apache-2.0
"""Graphs of layers as parameters: what is refused, what is a chain, what would get stuck."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spikefab.hdl.params import (
    INPUT,
    CoreParams,
    InputParams,
    LayerParams,
    NeuronParams,
    ParamError,
    PortParams,
    StopParams,
    SynapseParams,
    find_deadlock,
)


def port(source: int, size: int, offset: int = 0, **more: Any) -> PortParams:
    return PortParams(source=source, size=size, offset=offset, **more)


def layer(n_in: int, n: int, **more: Any) -> LayerParams:
    synapse = SynapseParams(n_in=n_in, n_out=n, weight_width=2, acc_min=-99, acc_max=99)
    neuron = NeuronParams(n=n, fraction_bits=0, membrane_width=12, **more)
    return LayerParams(name=f"of{n}", synapse=synapse, neuron=neuron, lanes=1)


LI: dict[str, Any] = {"spiking": False, "reset": "none"}


def graph(**changes: Any) -> CoreParams:
    """Two layers: the first drives itself and the second, which also sees part of the input."""
    fields: dict[str, Any] = {
        "layers": (layer(9, 5), layer(7, 3)),
        "ports": (
            (port(0, 5, recurrent=True), port(INPUT, 4, 5)),
            (port(INPUT, 2, 5, base=2), port(0, 5)),
        ),
        "outputs": (1, 0),
        "input_size": 4,
    }
    return CoreParams(**fields | changes)


def test_a_graph_has_its_sizes() -> None:
    core = graph()
    assert (core.n_inputs, core.n_outputs, core.output_width) == (4, 8, 0)
    assert core.output_offsets == (0, 3)
    assert core.loops
    assert not core.is_chain
    mixed = graph(layers=(layer(9, 5), layer(7, 3, **LI)))
    assert mixed.output_width == 12
    assert mixed.counted_outputs == ((3, 8),)


def test_the_ports_of_a_chain_are_the_default() -> None:
    layers = (layer(4, 5), layer(5, 3))
    chain = CoreParams(layers=layers)
    said = CoreParams(
        layers=layers, ports=((port(INPUT, 4),), (port(0, 5),)), outputs=(1,), input_size=4
    )
    assert said == chain
    assert said.is_chain
    assert not said.loops
    assert chain.layer_ports == ((port(INPUT, 4),), (port(0, 5),))
    assert not CoreParams(layers=layers, outputs=(0, 1), input_size=4).is_chain


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ports": ((port(INPUT, 4),),)}, r"len\(CoreParams.ports\) = 1: must be 2"),
        ({"outputs": (1, 1)}, r"outputs = \(1, 1\): must be numbers of layers, 0 to 1, each once"),
        ({"outputs": (2,)}, r"outputs = \(2,\): must be numbers of layers"),
        ({"input_size": 0}, "input_size = 0: must be 1 to 65536"),
        ({"input_size": 3}, "base \\+ size = 4: must be at most 3, the input's addresses"),
        ({"outputs": (0,)}, "layer 'of3' = 1: must be a source of a layer, or an output"),
        ({"stop": StopParams(margins=(1,))}, "stop.*must be None in a graph; only a chain"),
        (
            {"input": InputParams(coding="rate", payload_width=2, steps=3, seed=1)},
            "coding = 'rate': must be 'spikes' in a graph",
        ),
        (
            {"layers": (layer(9, 5, **LI), layer(7, 3))},
            "layer 'of5': spiking = False: must be True: an integrator may only be an output",
        ),
    ],
)
def test_what_is_no_graph_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=message):
        graph(**changes)


LOOP, REST = port(0, 5, recurrent=True), port(INPUT, 4, 5)


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ((port(0, 5, recurrent=True),), "at least one that is not recurrent; add one of size 0"),
        ((port(INPUT, 4), port(1, 3, 4)), "source = 1: must be an earlier layer, or the port rec"),
        ((port(0, 4, recurrent=True), REST), r"base, size = \(0, 4\): must be \(0, 5\)"),
        ((REST, LOOP, port(INPUT, 0)), "one port a layer, and those of the input side by side"),
        (
            (LOOP, port(INPUT, 4, 5), port(INPUT, 2, 9)),
            "ranges that do not overlap; add their weights up",
        ),
        ((LOOP, port(INPUT, 4, 4)), "the 9 sources of the layer's weights, each once"),
        ((LOOP, port(INPUT, 3, 5)), "the 9 sources of the layer's weights, each once"),
        (
            (port(0, 5, recurrent=True, depth=5), REST),
            "depth = 5: must be 0, or more than the 5 events of a step",
        ),
    ],
)
def test_what_are_no_ports_is_refused(ports: tuple[PortParams, ...], message: str) -> None:
    with pytest.raises(ParamError, match=message):
        graph(ports=(ports, graph().ports[1]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: port(-2, 1), "source = -2: must be a layer's number or -1"),
        (lambda: port(0, -1), "size = -1: must be 0 to 65536"),
        (lambda: port(INPUT, 1, recurrent=True), "recurrent = True: must be False for the input"),
        (lambda: port(0, 1, depth=3), "depth = 3: must be 0 unless recurrent"),
    ],
)
def test_what_is_no_port_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ParamError, match=message):
        build()


def test_a_layer_without_the_inputs_values_takes_none() -> None:
    """Its port of the input only counts steps."""
    own = (port(INPUT, 0), port(0, 5, recurrent=True))
    values = InputParams(payload_width=3)
    graded = replace(layer(4, 3).synapse, payload_width=3)
    core = graph(
        layers=(layer(5, 5), replace(layer(4, 3), synapse=graded)),
        ports=(own, (port(INPUT, 4),)),
        input=values,
    )
    assert core.layers[0].synapse.payload_width == 0


R = {"recurrent": True}
A, B = 0, 1
"""Layers of one neuron, behind an input."""


@pytest.mark.parametrize(
    ("ports", "stuck"),
    [
        # A layer that drives itself, either port first.
        (((port(INPUT, 1), port(A, 1, **R)),), False),
        (((port(A, 1, **R), port(INPUT, 1)),), False),
        # The input waits for the first layer's spikes in front of the second one, which wait for
        # the input's next step in front of the first one.
        (((port(INPUT, 1), port(A, 1, **R)), (port(INPUT, 1), port(A, 1))), True),
        (((port(A, 1, **R), port(INPUT, 1)), (port(INPUT, 1), port(A, 1))), False),
        # Two layers with the same two sources in opposite orders block each other in their forks.
        (
            (
                (port(INPUT, 1), port(B, 1, **R)),
                (port(B, 1, **R), port(INPUT, 1), port(A, 1)),
            ),
            True,
        ),
        (
            (
                (port(B, 1, **R), port(INPUT, 1)),
                (port(B, 1, **R), port(INPUT, 1), port(A, 1)),
            ),
            False,
        ),
        # The later source first: the input waits for what it makes itself.
        (((port(INPUT, 1),), (port(A, 1), port(INPUT, 1))), True),
        (((port(INPUT, 1),), (port(INPUT, 1), port(A, 1))), False),
        # A delay beside a path without one.
        (((port(INPUT, 1),), (port(A, 1),), (port(A, 1, **R), port(B, 1))), True),
        (((port(INPUT, 1),), (port(A, 1),), (port(A, 1, **R, depth=2), port(B, 1))), False),
        # A source with and without a delay.
        (((port(INPUT, 1),), (port(A, 1, **R), port(A, 1))), True),
        (((port(INPUT, 1),), (port(A, 1, **R, depth=2), port(A, 1))), False),
    ],
)
def test_what_gets_stuck_is_found(ports: Any, stuck: bool) -> None:
    assert (find_deadlock(ports, [len(ports) - 1]) is not None) == stuck


def test_a_graph_that_gets_stuck_is_refused() -> None:
    layers = (layer(1, 1), layer(2, 1))
    ports = ((port(INPUT, 1),), (port(A, 1), port(INPUT, 1, 1)))
    with pytest.raises(ParamError, match="the input, 'of1' wait for each other in this order"):
        CoreParams(layers=layers, ports=ports, outputs=(1,), input_size=1)
