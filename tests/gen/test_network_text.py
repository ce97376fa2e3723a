# SPDX-License-Identifier: Apache-2.0
"""The graph in lines: every kind of operation, recurrence, several ends."""

from __future__ import annotations

import nir
import numpy as np

from spikefab.gen.network_text import describe_network
from spikefab.gen.nir_import import import_nir


def test_every_operation_is_named() -> None:
    one = np.ones(())
    lif = nir.LIF(tau=2 * one, r=2 * one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)
    cuba = nir.CubaLIF(*(np.full(3, v) for v in (2.0, 2.0, 2.0, 0.0, 1.0, 0.0)))
    nodes = {
        "a": nir.Input(np.array([4, 6, 5])), "b": nir.Input(np.array([2, 8])),
        "c": nir.Conv2d(None, np.ones((2, 2, 3, 2)), 1, "same", 1, 2, np.ones(2)),
        "avg": nir.AvgPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0])),
        "sum": nir.SumPool2d(np.array([1, 5]), np.array([1, 1]), np.array([0, 0])),
        "f": nir.Flatten({"input": None}, 0),
        "l": lif, "fc": nir.Linear(np.ones((3, 6))), "s": nir.Scale(np.arange(3.0)),
        "d": nir.Delay(np.array([0.0, 2, 1])), "d2": nir.Delay(np.array(2.0)), "k": cuba,
        "c1": nir.Conv1d(None, np.ones((3, 2, 8)), 1, 0, 1, 1, np.zeros(3)),
        "f1": nir.Flatten({"input": None}, 0),
        "li": nir.LI(tau=np.full(3, 2.0), r=np.full(3, 2.0), v_leak=np.zeros(3)),
        "o": nir.Output(np.array([3])), "p": nir.Output(np.array([3])),
    }  # fmt: skip
    edges = ("a>c c>avg avg>sum sum>l l>f f>fc fc>s s>d d>k b>c1 c1>f1 f1>d2 d2>k k>k "
             "k>li li>o k>p")  # fmt: skip
    pairs = [(a, b) for a, b in (edge.split(">") for edge in edges.split())]
    network = import_nir(nir.NIRGraph(nodes, pairs, type_check=False), dialect="norse", dt=1.0)
    assert describe_network(network) == [
        "a: 4x6x5 inputs",
        "b: 2x8 inputs",
        "l: 2x3x1 neurons, fed by a through 3x2 convolution in 2 groups to 2x6x5, a bias, 2x1 "
        "mean, 1x5 sum",
        "k: 3 neurons with a synaptic current, fed by b through 8 convolution to 3x1, a delay of 2 "
        "steps; l through 3x6 weights, factors, a delay of 0…2 steps; k, a step later",
        "li: 3 neurons, read by their membranes, fed by k",
        "o: reads li",
        "p: reads k",
    ]
