# SPDX-License-Identifier: Apache-2.0
"""Drawn NIR graphs, and what they compute, evaluated node by node as their equations read.

All constants are small multiples of powers of two, so that hardly a sum is rounded in float32.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from hypothesis import strategies as st

__all__ = ["Drawn", "direct", "drawn_graphs"]

Array = np.ndarray
Shape = tuple[int, ...]

STEPS = 4


@dataclass
class Drawn:
    """A graph and the shape that each of its nodes puts out."""

    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    in_shapes: dict[str, Shape] = field(default_factory=dict)
    input: dict[str, Array] = field(default_factory=dict)
    """Counts, (steps, n), of each Input node."""

    def add(self, name: str, node: nir.NIRNode, sources: list[str], shape: Shape) -> str:
        self.nodes[name], self.shapes[name] = node, shape
        if sources:
            self.in_shapes[name] = self.shapes[sources[0]]
        self.edges += [(source, name) for source in sources]
        return name

    def is_used(self, name: str) -> bool:
        """Whether a node leads to an output."""
        found = {name}
        for _ in self.nodes:
            found |= {b for a, b in self.edges if a in found}
        return any(isinstance(self.nodes[n], nir.Output) for n in found)

    def graph(self, order: list[int]) -> nir.NIRGraph:
        """With the edges put in another order."""
        edges = [self.edges[i] for i in order]
        return nir.NIRGraph(self.nodes, edges, type_check=False)


NEURONS = (nir.LIF, nir.LI, nir.IF, nir.I, nir.Threshold)


@st.composite
def drawn_graphs(draw: st.DrawFn) -> Drawn:
    """Branches, joins, cycles, several inputs and outputs; every node without a current."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    drawn = Drawn()
    names = (f"{prefix}{i}" for i, prefix in enumerate(itertools.cycle(["b.", "", "a.c", "z"])))
    for _ in range(draw(st.integers(1, 2))):
        shape = draw(st.sampled_from([(4,), (3,), (2, 6), (1, 5, 4), (2, 4, 4)]))
        name = drawn.add(next(names), nir.Input(np.array(shape)), [], shape)
        drawn.input[name] = rng.integers(0, 3, (STEPS, int(np.prod(shape))))
    kinds = ["linear", "affine", "scale", "conv", "pool", "flatten", "delay", "neuron", "neuron"]
    for _ in range(draw(st.integers(2, 9))):
        first = draw(st.sampled_from(sorted(drawn.nodes)))
        shape = drawn.shapes[first]
        others = [n for n in sorted(drawn.nodes) if drawn.shapes[n] == shape and n != first]
        sources = [first, *draw(st.lists(st.sampled_from(others), max_size=2, unique=True)
                                if others else st.just([]))]  # fmt: skip
        kind = draw(st.sampled_from(kinds))
        node, out = _node(draw, rng, kind, shape)
        drawn.add(next(names), node, sources, out)
    neurons = [n for n in drawn.nodes if isinstance(drawn.nodes[n], NEURONS)]
    for _ in range(draw(st.integers(0, 3)) if neurons else 0):
        source = draw(st.sampled_from(neurons))
        targets = [t for t in drawn.in_shapes if (source, t) not in drawn.edges]
        equal = [t for t in targets if drawn.in_shapes[t] == drawn.shapes[source]]
        flat = [t for t in targets if len(drawn.in_shapes[t]) == 1]
        if equal and draw(st.booleans()):
            drawn.edges.append((source, draw(st.sampled_from(equal))))
        elif flat and len(drawn.shapes[source]) == 1:
            target = draw(st.sampled_from(flat))
            (n_out,), (n_in,) = drawn.in_shapes[target], drawn.shapes[source]
            node = nir.Affine(_values(rng, n_out, n_in), _values(rng, n_out))
            name = drawn.add(next(names), node, [source], (n_out,))
            drawn.edges.append((name, target))
    ends = [n for n in drawn.nodes if all(a != n for a, _ in drawn.edges)]
    for end in (*ends, *neurons):
        if end in ends or not drawn.is_used(end):
            shape = drawn.shapes[end]
            drawn.add(next(names), nir.Output(np.array(shape)), [end], shape)
    return drawn


def _values(rng: np.random.Generator, *shape: int) -> Array:
    return rng.integers(-2, 3, shape) / 2


def _node(
    draw: st.DrawFn, rng: np.random.Generator, kind: str, shape: Shape
) -> tuple[nir.NIRNode, Shape]:
    """A node of a kind, or the nearest that takes `shape`, and what it puts out."""
    if kind == "conv" and len(shape) == 2:
        return _conv1d(draw, rng, shape)
    if kind == "conv" and len(shape) == 3:
        return _conv2d(draw, rng, shape)
    if kind == "pool" and len(shape) == 3 and min(shape[1:]) >= 2:
        make = draw(st.sampled_from([nir.SumPool2d, nir.AvgPool2d]))
        stride, pad = rng.integers(1, 3, 2), rng.integers(0, 2, 2)
        grid = [int((n + 2 * p - 2) // s + 1) for n, p, s in zip(shape[1:], pad, stride,
                                                                   strict=True)]  # fmt: skip
        return make(np.array([2, 2]), stride, pad), (shape[0], *grid)
    if kind == "scale":
        spread = draw(st.sampled_from([shape, (1,), shape[:1]]))
        return nir.Scale(2.0 ** rng.integers(-1, 2, spread)), shape
    if kind == "delay":
        return nir.Delay(rng.integers(0, 3, shape).astype(float)), shape
    if kind == "flatten" and len(shape) > 1:
        return nir.Flatten({"input": None}, start_dim=0), (int(np.prod(shape)),)
    if kind in ("linear", "affine") and len(shape) == 1:
        n = draw(st.sampled_from([3, 4, 6]))
        weight = _values(rng, n, *shape)
        return (nir.Linear(weight) if kind == "linear" else nir.Affine(weight, _values(rng, n))), (
            n,
        )
    return _neuron(draw, rng, shape), shape


def _neuron(draw: st.DrawFn, rng: np.random.Generator, shape: Shape) -> nir.NIRNode:
    kind = draw(st.sampled_from(["LIF", "LIF", "IF", "LI", "I", "Threshold"]))
    own = draw(st.sampled_from([shape, (1,), (), shape[:1], (*shape[:1], *[1] * (len(shape) - 1))]))
    threshold = rng.integers(1, 5, own) / 4
    two, one, zero = np.full(own, 2.0), np.ones(own), np.zeros(own)
    if kind == "LIF":
        return nir.LIF(tau=two, r=two, v_leak=zero, v_threshold=threshold, v_reset=zero)
    if kind == "IF":
        return nir.IF(r=one, v_threshold=threshold, v_reset=zero)
    if kind == "LI":
        return nir.LI(tau=two, r=two, v_leak=zero)
    return nir.I(r=one) if kind == "I" else nir.Threshold(threshold)


def _conv1d(draw: st.DrawFn, rng: np.random.Generator, shape: Shape) -> tuple[nir.NIRNode, Shape]:
    stride, padding, dilation = (int(n) for n in rng.integers(1, 3, 3))
    weight = _values(rng, 2, shape[0], 3)
    mode: Any = draw(st.sampled_from([padding, "same", "valid"]))
    if mode == "same":
        stride = 1
    node = nir.Conv1d(None, weight, stride, mode, dilation, 1, _values(rng, 2))
    total = {"same": 2 * dilation, "valid": 0}.get(mode, 2 * padding)
    length = (shape[1] + total - 2 * dilation - 1) // stride + 1
    return (node, (2, length)) if length >= 1 else (nir.Scale(np.ones(1)), shape)


def _conv2d(draw: st.DrawFn, rng: np.random.Generator, shape: Shape) -> tuple[nir.NIRNode, Shape]:
    groups = draw(st.sampled_from([1, shape[0]]))
    kernel = rng.integers(1, 4, 2)
    stride, padding, dilation = rng.integers(1, 3, 2), rng.integers(0, 3, 2), rng.integers(1, 3, 2)
    weight = _values(rng, 2, shape[0] // groups, *kernel)
    mode: Any = draw(st.sampled_from(["numbers", "same", "valid"]))
    if mode == "same":
        stride = np.array([1, 1])
    total = {"same": dilation * (kernel - 1), "valid": 0 * kernel}.get(mode, 2 * padding)
    grid = (np.array(shape[1:]) + total - dilation * (kernel - 1) - 1) // stride + 1
    if np.any(grid < 1):
        return nir.Scale(np.ones(1)), shape
    node = nir.Conv2d(None, weight, tuple(stride), tuple(padding) if mode == "numbers" else mode,
                      tuple(dilation), groups, _values(rng, 2))  # fmt: skip
    return node, (2, *(int(n) for n in grid))


class direct:
    """What each neuron and Output node of a drawn graph does, one equation after the other.

    `late`: pairs of neurons of which the second sees the first's output of the step before.
    Results are in `out`, (steps, n) by name.
    """

    def __init__(self, drawn: Drawn, order: list[str], late: set[tuple[str, str]]):
        self._drawn, self._late = drawn, late
        self.out = {name: np.array(x, float) for name, x in drawn.input.items()}
        state = {name: np.zeros(int(np.prod(drawn.shapes[name]))) for name in order}
        for name in order:
            self.out[name] = np.zeros((STEPS, len(state[name])))
        for t in range(STEPS):
            for name in order:
                x = self._sum(name, name, t)
                state[name], self.out[name][t] = self._update(name, state[name], x)

    def _sum(self, name: str, target: str, t: int) -> Array:
        total = np.zeros(int(np.prod(self._drawn.in_shapes[name])))
        for a, b in self._drawn.edges:
            if b == name:
                total = total + self._value(a, target, t)
        return total

    def _value(self, name: str, target: str, t: int) -> Array:
        """What a node puts out in step t, as seen on the way to `target`."""
        node = self._drawn.nodes[name]
        n = int(np.prod(self._drawn.shapes[name]))
        if name in self.out:
            when = t - ((name, target) in self._late)
            return self.out[name][when] if when >= 0 else np.zeros(n)
        if isinstance(node, nir.Delay):
            when = (t - node.delay.astype(int)).reshape(-1)
            zero = np.zeros(n)
            seen = {w: self._sum(name, target, w) if w >= 0 else zero for w in set(when.tolist())}
            return np.array([seen[w][i] for i, w in enumerate(when.tolist())])
        return self._stateless(name, self._sum(name, target, t))

    def _stateless(self, name: str, x: Array) -> Array:
        node, shape = self._drawn.nodes[name], self._drawn.in_shapes[name]
        if isinstance(node, nir.Linear | nir.Affine):
            y = np.array([sum(w * v for w, v in zip(row, x, strict=True)) for row in node.weight])
            return y + node.bias if isinstance(node, nir.Affine) else y
        if isinstance(node, nir.Scale):
            return (x.reshape(shape) * _per_channel(node.scale, shape)).reshape(-1)
        if isinstance(node, nir.Conv1d):
            pads = {"same": node.dilation * 2, "valid": 0}.get(node.padding)
            left = node.padding if pads is None else pads // 2
            return _convolve(x.reshape(shape[0], 1, shape[1]), node.weight[:, :, None], node.bias,
                             (1, node.stride), (0, left), (1, node.dilation), node.groups,
                             self._drawn.shapes[name][-1:], flat=True)  # fmt: skip
        if isinstance(node, nir.Conv2d):
            kernel = np.array(node.weight.shape[2:])
            before = node.padding
            if isinstance(before, str):
                total = np.array(node.dilation) * (kernel - 1) * (before == "same")
                before = tuple(total // 2)
            return _convolve(x.reshape(shape), node.weight, node.bias, node.stride, before,
                             node.dilation, node.groups, self._drawn.shapes[name][1:])  # fmt: skip
        if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
            channels = shape[0]
            ones = np.ones((channels, 1, *node.kernel_size))
            area = node.kernel_size.prod() if isinstance(node, nir.AvgPool2d) else 1
            return _convolve(x.reshape(shape), ones, np.zeros(channels), node.stride, node.padding,
                             (1, 1), channels, self._drawn.shapes[name][1:]) / area  # fmt: skip
        assert isinstance(node, nir.Flatten)
        return x

    def _update(self, name: str, v: Array, x: Array) -> tuple[Array, Array]:
        """One step of nir-literal with dt = 1."""
        node, shape = self._drawn.nodes[name], self._drawn.shapes[name]
        if isinstance(node, nir.Output):
            return v, x
        if isinstance(node, nir.LI | nir.I):
            v = v / 2 + x if isinstance(node, nir.LI) else v + x
            return v, v
        if isinstance(node, nir.Threshold):
            limit = node.threshold
            v = x
        else:
            limit = node.v_threshold
            v = v / 2 + x if isinstance(node, nir.LIF) else v + x
        full = np.broadcast_to(_per_channel(limit, shape), shape).reshape(-1)
        spike = v > full
        return np.where(spike, 0.0, v), spike.astype(float)


def _per_channel(value: Array, shape: Shape) -> Array:
    value = np.asarray(value)
    if value.ndim == 1 and value.size == shape[0] and value.size > 1:
        return value.reshape(-1, *[1] * (len(shape) - 1))
    return value


def _convolve(
    x: Array, weight: Array, bias: Array, stride: Any, before: Any, dilation: Any, groups: int,
    grid: Any, flat: bool = False,
) -> Array:  # fmt: skip
    """Four loops; pixels outside the image are 0."""
    rows, columns = (1, *grid) if flat else grid
    n_out, n_in = weight.shape[:2]
    y = np.zeros((n_out, rows, columns))
    for o, r, c in np.ndindex(y.shape):
        y[o, r, c] = bias[o]
        group = o // (n_out // groups)
        for i, a, b in np.ndindex(n_in, *weight.shape[2:]):
            row = r * stride[0] + a * dilation[0] - before[0]
            column = c * stride[1] + b * dilation[1] - before[1]
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                y[o, r, c] += weight[o, i, a, b] * x[group * n_in + i, row, column]
    return y.reshape(-1)
