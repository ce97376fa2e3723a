# SPDX-License-Identifier: Apache-2.0
"""From a network's edges to ports: their order, what delays, what no core can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from designs import BUDGETS, make_graph, make_network
from graphs import DrawnGraph, graphs
from hypothesis import HealthCheck, Phase, given, seed, settings

from spikefab.gen.cost import predict_cycles
from spikefab.gen.errors import InputError
from spikefab.gen.plan import make_plan
from spikefab.gen.ports import connect
from spikefab.gen.qnetwork import QNetwork, QOutput
from spikefab.hdl.params import INPUT, InputParams, PortParams, StopParams, find_deadlock
from spikefab.sim.golden import run_golden


def told(qnet: QNetwork) -> list[list[str]]:
    """The ports of each layer, in order: its sources, with a `*` where they are recurrent."""
    names = {k: layer.name for k, layer in enumerate(qnet.layers)} | {INPUT: "in"}
    found = connect(qnet)
    assert find_deadlock(found.ports, found.outputs) is None
    return [
        [("*" if port.recurrent else "") + names[port.source] for port in ports]
        for ports in found.ports
    ]


@pytest.mark.parametrize(
    ("layers", "order"),
    [
        # Its own spikes come while the next step's input is added up.
        ({"a": (3, ["*a", "in"])}, [["in", "*a"]]),
        ({"a": (3, ["*b", "in"]), "b": (2, ["a"])}, [["in", "*b"], ["a"]]),
        # The next layer takes the input too, before what is made of it.
        ({"a": (3, ["*a", "in"]), "b": (2, ["in", "a"])}, [["*a", "in"], ["in", "a"]]),
        ({"a": (3, ["in"]), "b": (2, ["*b", "in", "a"])}, [["in"], ["in", "a", "*b"]]),
    ],
)
def test_the_order_of_ports(layers: dict[str, Any], order: list[list[str]]) -> None:
    last = list(layers)[-1]
    assert told(make_graph({"in": 4}, layers, [last])) == order


def test_columns_follow_edges_and_addresses_inputs() -> None:
    qnet = make_graph(
        {"left": 4, "right": 6},
        {"a": (3, ["*a", "left", "right"]), "b": (2, ["right"])},
        ["a", "b"],
    )
    found = connect(qnet)
    assert found.input_size == 10
    assert found.outputs == (0, 1)
    assert sorted(found.ports[0], key=lambda port: port.offset) == [
        PortParams(source=0, size=3, offset=0, recurrent=True),
        PortParams(source=INPUT, base=0, size=4, offset=3),
        PortParams(source=INPUT, base=4, size=6, offset=7),
    ]
    assert found.ports[1] == (PortParams(source=INPUT, base=4, size=6, offset=0),)


def test_outputs_keep_their_order() -> None:
    qnet = make_graph({"in": 4}, {"a": (3, ["in"]), "b": (2, ["a"])}, ["b", "a"])
    core = make_plan(qnet, BUDGETS["ecp5"]).core
    assert core.outputs == (1, 0)
    assert core.output_offsets == (0, 2)


def test_a_second_name_of_an_output_costs_nothing() -> None:
    for layers, shown in (
        ({"a": (3, ["*a", "in"]), "b": (2, ["a"])}, ["b", "a"]),
        ({"a": (3, ["in"]), "b": (2, ["a"])}, ["b"]),
    ):
        qnet = make_graph({"in": 4}, layers, shown)
        again = replace(qnet, outputs=(*qnet.outputs, QOutput(name="again", source="b")))
        assert again.is_chain == qnet.is_chain
        plan, other = (make_plan(q, BUDGETS["ecp5"]) for q in (qnet, again))
        assert plan.core == other.core
        assert plan.hash == other.hash


def test_a_layer_of_recurrent_sources_alone_counts_the_inputs_steps() -> None:
    qnet = make_graph({"in": 4}, {"a": (3, ["in"]), "b": (2, ["*a", "*b"])}, ["b"])
    port = next(port for port in connect(qnet).ports[1] if port.source == INPUT)
    assert port.size == 0
    assert make_plan(qnet, BUDGETS["ecp5"]).core.layers[1].synapse.n_in == 5


def test_only_a_delay_that_does_not_come_back_gets_a_queue() -> None:
    layers = {"a": (3, ["*a", "in"]), "b": (2, ["a"]), "c": (2, ["*a", "b"])}
    qnet = make_graph({"in": 4}, layers, ["c"])
    depths = {
        (k, port.source): port.depth
        for k, ports in enumerate(connect(qnet).ports)
        for port in ports
    }
    assert depths.pop((2, 0)) == 4
    assert not any(depths.values())


def test_a_chain_is_a_chain() -> None:
    assert make_plan(make_network([4, 3, 2]), BUDGETS["ecp5"]).core.is_chain


@seed(3)
@settings(
    max_examples=40,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(drawn=graphs(max_layers=8, max_neurons=4, max_inputs=3))
def test_every_graph_has_an_order_in_which_it_runs(drawn: DrawnGraph) -> None:
    """Its processes in the cost model wait for each other as the blocks do, and come to an end."""
    core = make_plan(drawn.qnet, BUDGETS["ecp5"], lanes=2).core
    assert find_deadlock(core.layer_ports, core.output_layers) is None
    golden = run_golden(drawn.qnet, drawn.x)
    cycles = predict_cycles(core, drawn.x, [golden.spikes[q.name] for q in drawn.qnet.layers])
    assert (cycles.cycles > 0).all()


GRAPH: dict[str, Any] = {"a": (3, ["in"]), "b": (2, ["a"])}


@pytest.mark.parametrize(
    ("qnet", "message"),
    [
        (
            lambda: make_graph({"in": 4}, GRAPH, ["b"], integrators=["a"]),
            "a: an integrator drives b; on the fabric only spikes do: let it spike, or leave b out",
        ),
        (
            lambda: make_graph({"in": 4}, GRAPH, ["a"]),
            "b: drives nothing and is no output: leave it out",
        ),
        (
            lambda: replace(
                make_graph({"in": 4}, GRAPH, ["a", "b"]),
                input=InputParams(coding="rate", payload_width=2, steps=3, seed=1),
            ),
            "--input rate: needs a chain of populations",
        ),
        (
            lambda: replace(
                make_graph({"in": 4}, {"a": (3, ["*a", "in"])}, ["a"]),
                stop=StopParams(margins=(2,)),
            ),
            "--early-stop: needs a chain of populations",
        ),
    ],
)
def test_what_no_core_can_be_is_refused(qnet: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_plan(qnet(), BUDGETS["ecp5"])
