# SPDX-License-Identifier: Apache-2.0
"""A float network in lines to read: what feeds what, in the order in which it is computed."""

from __future__ import annotations

from spikefab.gen.network import Network, Population, Projection
from spikefab.gen.operations import AvgPool, Bias, Conv, Delay, Dense, Operation, Scale, SumPool

__all__ = ["describe_network"]


def describe_network(network: Network) -> list[str]:
    """A line for each input, population (with what feeds it) and output."""
    lines = [f"{i.name}: {_shape(i.shape)} inputs" for i in network.inputs]
    for population, into in network.layers():
        fed = "; ".join(_projection(p) for p in into)
        lines.append(f"{population.name}: {_population(population)}, fed by {fed or 'nothing'}")
    lines += [f"{o.name}: reads {o.source}" for o in network.outputs if len(network.outputs) > 1]
    return lines


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _population(population: Population) -> str:
    neuron = population.neuron
    current = " with a synaptic current" if neuron.current is not None else ""
    gives = "" if neuron.spiking else ", read by their membranes"
    noun = "neuron" if population.n == 1 else "neurons"
    return f"{_shape(population.shape)} {noun}{current}{gives}"


def _projection(projection: Projection) -> str:
    steps = [text for op in projection.operations if (text := _operation(op))]
    through = f" through {', '.join(steps)}" if steps else ""
    late = ", a step later" if projection.recurrent else ""
    return f"{projection.source}{through}{late}"


def _operation(op: Operation) -> str:
    match op:
        case Dense():
            return f"{op.n_out}x{op.n_in} weights"
        case Conv():
            kernel = op.kernel[1:] if op.flat else op.kernel
            groups = f" in {op.groups} groups" if op.groups > 1 else ""
            return f"{_shape(kernel)} convolution{groups} to {_shape(op.out_shape)}"
        case AvgPool():
            return f"{_shape(op.size)} mean"
        case SumPool():
            return f"{_shape(op.size)} sum"
        case Delay():
            low, high = int(op.steps.min()), int(op.steps.max())
            return f"a delay of {low}…{high} steps" if low < high else f"a delay of {low} steps"
        case Scale():
            return "factors"
        case Bias():
            return "a bias"
    return type(op).__name__
