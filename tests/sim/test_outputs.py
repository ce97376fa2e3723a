# SPDX-License-Identifier: Apache-2.0
"""Results under the names of their nodes; samples of several inputs by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from designs import make_network

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QInput, QNetwork, QOutput
from spikefab.sim.golden import run_golden
from spikefab.sim.outputs import by_population, named_outputs


def two_outputs() -> QNetwork:
    qnet = make_network([6, 5, 4, 3], integrator=True, threshold=(12,))
    return replace(
        qnet,
        outputs=(
            QOutput(name="membranes", source="population2"),
            QOutput(name="spikes", source="population0"),
        ),
    )


def test_names_of_results() -> None:
    x = (np.random.default_rng(0).random((3, 5, 6)) < 0.5).astype(np.uint8)
    chain = make_network([6, 5, 4])
    result = run_golden(chain, x, record=["population0", "population1"])
    named = named_outputs(chain, result.spikes, result.mem)
    assert sorted(named) == ["mem", "mem_population0", "spikes"]
    assert named["spikes"] is result.spikes["population1"]
    assert named["mem"] is result.mem["population1"]
    qnet = two_outputs()
    result = run_golden(qnet, x, record=["population1"])
    named = named_outputs(qnet, result.spikes, result.mem)
    assert sorted(named) == ["mem_membranes", "mem_population1", "spikes_membranes",
                             "spikes_spikes"]  # fmt: skip
    assert not named["spikes_membranes"].any()
    assert named["spikes_spikes"] is result.spikes["population0"]


def test_two_names_of_one_population() -> None:
    qnet = two_outputs()
    qnet = replace(qnet, outputs=(*qnet.outputs, QOutput(name="again", source="population2")))
    x = (np.random.default_rng(0).random((3, 5, 6)) < 0.5).astype(np.uint8)
    result = run_golden(qnet, x)
    named = named_outputs(qnet, result.spikes, result.mem)
    assert sorted(named) == ["mem_again", "mem_membranes", "spikes_again", "spikes_membranes",
                             "spikes_spikes"]  # fmt: skip
    assert named["mem_again"] is named["mem_membranes"]
    assert list(by_population(qnet, np.zeros((1, 2, 8)))) == ["population2", "population0"]


def test_the_output_stream_by_population() -> None:
    joined = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    found = by_population(two_outputs(), joined)
    assert list(found) == ["population2", "population0"]
    np.testing.assert_array_equal(found["population2"], joined[:, :, :3])
    np.testing.assert_array_equal(found["population0"], joined[:, :, 3:])


def test_inputs_by_name() -> None:
    chain = make_network([6, 5, 4], threshold=(12,))
    first = chain.layers[0]
    edge = first.edges[0]
    halves = [
        replace(edge, source=name, connection=replace(edge.connection, weights=edge.weights[:, at]))
        for name, at in (("a", slice(0, 4)), ("b", slice(4, 6)))
    ]
    qnet = replace(
        chain,
        inputs=(QInput(name="a", shape=(2, 2)), QInput(name="b", shape=(2,), max_events=2)),
        layers=(replace(first, edges=tuple(halves)), *chain.layers[1:]),
    )
    x = (np.random.default_rng(1).random((3, 5, 6)) < 0.5).astype(np.uint8)
    expected = run_golden(chain, x).spikes["population1"]
    assert expected.any()
    by_name = {"b": x[:, :, 4:], "a": x[:, :, :4].reshape(3, 5, 2, 2)}
    for given in (x, by_name):
        np.testing.assert_array_equal(run_golden(qnet, given).spikes["population1"], expected)
    with pytest.raises(InputError, match=r"x: arrays of inputs \['a'\]; the network has \['a'"):
        run_golden(qnet, {"a": by_name["a"]})
    with pytest.raises(InputError, match="input 'a': x holds 2 events for one input"):
        run_golden(qnet, 2 * x)
    twice = by_name | {"b": 2 * by_name["b"]}
    assert run_golden(replace(qnet, input_max=2), twice).spikes["population0"].any()
    with pytest.raises(InputError, match="x: x_a holds 2 events for one input"):
        run_golden(qnet, twice | {"a": 2 * by_name["a"]})
