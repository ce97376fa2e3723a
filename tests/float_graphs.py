# SPDX-License-Identifier: Apache-2.0
"""Float graphs with joins, skips, feedback, two inputs and outputs, for tests of what takes a
`Network`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from float_networks import make_neuron

from spikefab.gen.dialect import Dialect, parse_dialect
from spikefab.gen.network import Current, Input, Network, Neuron, Output, Population, Projection
from spikefab.gen.operations import Bias, Dense

__all__ = ["cuba_neuron", "make_graph", "population", "projection"]


def cuba_neuron(
    n: int,
    dialect: Dialect,
    *,
    decay_syn: float,
    gain_syn: float = 1.0,
    rest: float | None = None,
    **values: Any,
) -> Neuron:
    """A neuron with a synaptic current, which begins at `rest` and leaks towards it."""
    spiking = values.pop("spiking", True)
    neuron = make_neuron(n, dialect, spiking, **values)
    current = Current(
        decay=np.full(n, decay_syn),
        gain=np.full(n, gain_syn),
        offset=None if rest is None else np.full(n, (1 - decay_syn) * rest),
        init=None if rest is None else np.full(n, rest),
    )
    # What Norse's formula takes; a power of two keeps float32 exact.
    rate, dt = 1 - decay_syn, 2.0**-13
    parameters = {
        "dt": dt, "tau_syn_inv": rate / dt, "w_in": gain_syn / (rate or 1), "v_leak": rest or 0.0,
    }  # fmt: skip
    return replace(
        neuron,
        dialect=dialect.for_node("CubaLIF" if spiking else "CubaLI"),
        current=current,
        parameters={name: np.full(n, value) for name, value in parameters.items()},
    )


def population(name: str, neuron: Neuron) -> Population:
    return Population(name=name, shape=neuron.decay.shape, neuron=neuron)


def projection(
    source: str,
    target: str,
    weight: np.ndarray | None = None,
    *,
    n: int = 0,
    bias: np.ndarray | None = None,
    recurrent: bool = False,
) -> Projection:
    """Dense, or the identity of `n` without a weight."""
    operations: list[Any] = [] if weight is None else [Dense(weight=np.asarray(weight, float))]
    if bias is not None:
        operations.append(Bias(shape=bias.shape, value=bias))
    return Projection(
        name=f"{source}-{target}",
        source=source,
        target=target,
        operations=tuple(operations),
        recurrent=recurrent,
        n_source=n if weight is None else 0,
    )


def make_graph(dialect: str, seed: int = 0, *, output: str = "c", **values: Any) -> Network:
    """Two inputs; populations a (feeds itself, and is fed back by b), b (joins a and an input), c
    (with a current that keeps nothing or all, joins a and b, the identity among them), and d, which
    nothing shows. Weights and biases are multiples of 1/16; `values` of all neurons."""
    rng = np.random.default_rng(seed)
    parsed = parse_dialect(dialect)

    def weights(n_out: int, n_in: int) -> np.ndarray:
        return rng.integers(-5, 8, (n_out, n_in)) / 16

    # In one of the orders a current that keeps nothing is none.
    kept = 1.0 if parsed.synapse_order == "add-decay-use" else 0.0

    def biases(n: int) -> np.ndarray:
        return rng.integers(-3, 4, n) / 16

    return Network(
        name="graph",
        inputs=(Input(name="ears", shape=(2, 3)), Input(name="eyes", shape=(4,))),
        outputs=(Output(name="out", source=output), Output(name="side", source="b")),
        populations=(
            population("d", make_neuron(3, parsed, **values)),
            population("c", cuba_neuron(5, parsed, decay_syn=kept, **values)),
            population("b", make_neuron(5, parsed, **values)),
            population("a", make_neuron(7, parsed, **values)),
        ),
        projections=(
            projection("b", "c", n=5),
            projection("ears", "a", weights(7, 6), bias=biases(7)),
            projection("a", "a", weights(7, 7), recurrent=True, bias=biases(7)),
            projection("b", "a", weights(7, 5), recurrent=True),
            projection("a", "b", weights(5, 7)),
            projection("a", "b", weights(5, 7), bias=biases(5)),
            projection("eyes", "b", weights(5, 4)),
            projection("a", "c", weights(5, 7), bias=biases(5)),
            projection("c", "d", weights(3, 5)),
        ),
        dialect=parsed,
        dt=1e-4,
        steps=12,
    )
