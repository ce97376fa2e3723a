# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategy: NIR graphs of every node for every dialect, with options, a layout and
samples: what a user might bring, small.

What cannot be mapped so far is left out by construction: an integrator that feeds something, an
output that lags and is fed back, a delay in front of a bias, one source with two delays.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from nir_graphs import Array, Drawn, Shape

from spikefab.gen.dialect import PRESETS, Dialect, parse_dialect
from spikefab.gen.errors import InputError
from spikefab.gen.options import QuantiseOptions
from spikefab.hdl.params import SPIKES, InputParams

__all__ = ["KINDS", "DrawnRun", "nir_runs"]

KINDS = (
    "Input", "Output", "Linear", "Affine", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d",
    "Flatten", "I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Delay", "Threshold", "NIRGraph",
)  # fmt: skip
"""Every node of NIR 1.0.8."""

SHAPES: tuple[Shape, ...] = ((3,), (5,), (2, 5), (1, 6), (1, 4, 4), (2, 3, 3), (2, 4, 3))

OVERRIDES = (
    "compare=gt", "compare=ge", "reset=subtract", "reset=zero", "reset=value", "v_reset=-0.25",
    "reset_time=same", "reset_time=next-before-leak", "reset_time=next-after-leak",
    "reset_time=next-discard", "reset_time=snntorch", "reset_time=spyx", "reset_delay=false",
    "v_min=-threshold", "v_min=-threshold-if", "v_min=-0.5", "multi_spike=true",
    "multi_spike=false", "output_lag=true", "output_lag=false", "decay_input=true",
    "decay_input=false", "norm_input=true", "norm_input=lif", "norm_input=false",
    "bias_at_t0=false", "bias_at_t0=never", "bias_at_t0=true", "decay=exp", "decay=round12",
    "decay=euler", "input_gain=one", "input_gain=dt/tau", "input_gain=r*dt/tau",
    "input_gain=li-decay", "synapse_order=norse", "synapse_order=add-use-decay",
    "synapse_order=add-decay-use", "synapse_order=decay-add-use",
)  # fmt: skip
"""Fields set otherwise; `state=carry` cannot be mapped so far."""


@dataclass
class DrawnRun:
    """A graph, and what a user chooses for it."""

    graph: nir.NIRGraph
    dialect: str
    dt: float
    options: QuantiseOptions
    x: Array
    """Counts (samples, steps, inputs) of all Input nodes side by side, in order of their names; of
    one node (samples, steps, *shape)."""
    seed: int
    """Of its layout on the device."""
    plain: bool
    """All numbers are whole in integers, as far as the dialect's own constants allow."""
    kinds: list[str] = field(default_factory=list)
    """Each node's, those of nested graphs too."""


@st.composite
def nir_runs(draw: st.DrawFn, preset: str) -> DrawnRun:
    """A graph of one to four layers in a dialect that starts from `preset`."""
    dialect = _dialect(draw, preset)
    dt = draw(st.sampled_from([dialect.default_dt, 1.0, 1e-3]), label="dt")
    made = _Maker(draw, dialect, dt)
    made.grow()
    counts = {n: draw(st.sampled_from([1, 1, 3]), label=f"most of {n}") for n in made.inputs}
    rng = made.rng
    steps = draw(st.integers(3, 5), label="steps")
    names = sorted(made.inputs)
    parts = []
    for name in names:
        shape = 2, steps, int(np.prod(made.drawn.shapes[name]))
        some = rng.random(shape) < 0.6
        parts.append((rng.integers(1, counts[name] + 1, shape) * some).astype(np.int16))
    graded = len(names) == 1 and draw(st.integers(0, 3), label="graded input") == 0
    delayed = "Delay" in made.kinds()
    # Binary weights have no 0, which delays of a synapse need.
    bits: list[Any] = [8] if made.plain else [3, 4, 6, 8, 2, "ternary", *([] if delayed else [1])]
    options = QuantiseOptions(
        weight_bits=draw(st.sampled_from(bits), label="weight bits"),
        per_channel=draw(st.booleans(), label="per channel"),
        count_bits=draw(st.sampled_from([None, 2, 3]), label="count bits"),
        input_max=3 if graded else counts,
        input=InputParams(coding="spikes", payload_width=2) if graded else SPIKES,
        steps=draw(st.sampled_from([None, steps]), label="steps given"),
    )
    x = np.concatenate(parts, axis=2)
    if len(names) == 1:
        x = x.reshape(2, steps, *made.drawn.shapes[names[0]])
    return DrawnRun(
        graph=made.graph(),
        dialect=str(dialect),
        dt=dt,
        options=options,
        x=x,
        seed=draw(st.integers(0, 1 << 20), label="layout"),
        plain=made.plain,
        kinds=made.kinds(),
    )


def _dialect(draw: st.DrawFn, preset: str) -> Dialect:
    """`preset`, and now and then a field or two set otherwise, where such a dialect exists."""
    text = preset + (",state=clear" if PRESETS[preset].state == "carry" else "")
    n = draw(st.sampled_from([0, 0, 1, 2]), label="overrides")
    for setting in draw(st.permutations(OVERRIDES), label="fields")[:n]:
        try:
            parse_dialect(f"{text},{setting}")
        except InputError:
            continue
        text = f"{text},{setting}"
    return parse_dialect(text)


class _Maker:
    """Grows a graph: populations of neurons, each behind ways from one to three sources."""

    def __init__(self, draw: st.DrawFn, dialect: Dialect, dt: float):
        self.draw, self.dialect, self.dt = draw, dialect, dt
        number = draw(st.integers(0, 2**32 - 1), label="seed")
        assume(number)  # Hypothesis begins with the simplest of everything.
        self.rng = np.random.default_rng(number)
        self.drawn = Drawn()
        self.inputs: list[str] = []
        self.spiking: list[str] = []
        self.plain = self.one_in(4, "plain")
        """Numbers that integers are: sums of quarters, and states that keep all or nothing."""
        self.looped: set[str] = set()
        """Neurons on a cycle."""
        self.backs: set[tuple[str, str]] = set()
        prefixes = itertools.cycle(["b.", "n", "a.c", "z_"])
        self.names = (f"{prefix}{i}" for i, prefix in enumerate(prefixes))

    def kinds(self) -> list[str]:
        found: list[str] = []
        ahead = list(self.drawn.nodes.values())
        while ahead:
            node = ahead.pop()
            found.append(type(node).__name__)
            ahead += node.nodes.values() if isinstance(node, nir.NIRGraph) else []
        return found

    def graph(self) -> nir.NIRGraph:
        edges = list(self.drawn.edges)
        self.rng.shuffle(edges)
        return nir.NIRGraph(self.drawn.nodes, [(a, b) for a, b in edges], type_check=False)

    def one_in(self, n: int, what: str) -> bool:
        return self.draw(st.integers(0, n - 1), label=what) == n - 1

    def pick(self, values: Any, what: str) -> Any:
        return self.draw(st.sampled_from(list(values)), label=what)

    def add(self, node: nir.NIRNode, sources: list[str], shape: Shape) -> str:
        return self.drawn.add(next(self.names), node, sources, shape)

    # The graph.

    def grow(self) -> None:
        for _ in range(self.pick([1, 1, 1, 2], "inputs")):
            shape = self.pick(SHAPES, "shape of an input")
            self.inputs.append(self.add(nir.Input(np.array(shape)), [], shape))
        for k in range(self.pick([1, 1, 2, 2, 3], "populations")):
            # Every input leads on; later layers take what came last.
            last = k < len(self.inputs) and self.inputs[k]
            self._population(last or self.spiking[-1])
        for name in self.inputs:
            if not self._leads_on(name):
                self._population(name)
        for _ in range(self.pick([0, 0, 1], "ways back")):
            self._way_back()
        lags = self.dialect.output_lag
        shown = [n for n in self.spiking if not (lags and n in self.looped)]
        for name in self.spiking:
            free = not self.drawn.is_used(name)
            if free and (name not in shown or self.one_in(2, "integrator")):
                self._integrator(name)
            elif free or (name in shown and self.one_in(4, "shown")):
                self._show(name)

    def _leads_on(self, name: str) -> bool:
        return any(a == name for a, _ in self.drawn.edges)

    def _population(self, first: str) -> None:
        """A population of spiking neurons behind `first`, and perhaps others."""
        ends = [self._way(first)]
        shape = self.drawn.shapes[ends[0]]
        sources = [*self.inputs, *self.spiking]
        if self._late(ends[0]):
            sources.remove(first)
        taken = {first}
        for _ in range(self.pick([0, 0, 1, 2], "more sources") if sources else 0):
            other = self.pick(sources, "source")
            end = self._way_to(other, shape, delayed=other not in taken)
            if end is not None and end not in ends:
                ends.append(end)
                taken.add(other)
                if self._late(end):
                    sources.remove(other)
            if not sources:
                break
        if len(ends) > 1 and len(shape) == 1 and self.one_in(3, "joined in front"):
            ends = [self._dense(ends, shape, self.pick([3, 4], "neurons"))]
            shape = self.drawn.shapes[ends[0]]
        # Dense weights into maps: the neuron says which.
        maps = {4: (2, 2), 6: (2, 1, 3), 8: (2, 2, 2)}.get(shape[0]) if len(shape) == 1 else None
        if maps is not None and self.one_in(2, "as maps"):
            node, shape = self._neuron(maps, whole=True), maps
        else:
            node = self._neuron(shape)
        if len(ends) == 1 and ends[0] != first and self.one_in(3, "nested"):
            name = self._nested(node, ends[0], shape)
        else:
            name = self.add(node, ends, shape)
        self.spiking.append(name)
        if self.one_in(3, "fed back"):
            self._back(name, name)

    def _late(self, end: str) -> bool:
        """A delay leads to `end`, from the neuron or input before it."""
        node = self.drawn.nodes[end]
        if end in (*self.inputs, *self.spiking):
            return False
        before = [a for a, b in self.drawn.edges if b == end]
        return isinstance(node, nir.Delay) or any(map(self._late, before))

    def _way_back(self) -> None:
        """From a neuron to one before it."""
        source = self.pick(self.spiking, "fed back from")
        targets = [n for n in self.spiking if self._reaches(n, source)]
        if targets:
            self._back(source, self.pick(targets, "fed back to"))

    def _reaches(self, first: str, last: str) -> bool:
        found = {first}
        for _ in self.drawn.nodes:
            found |= {b for a, b in self.drawn.edges if a in found}
        return last in found

    def _back(self, source: str, target: str) -> None:
        if (source, target) in self.drawn.edges or (source, target) in self.backs:
            return
        into = self.drawn.in_shapes[target]
        if not isinstance(self.drawn.nodes[target], nir.NIRGraph):
            end = self._way_to(source, into, delayed=True)
            if end is not None:
                self.backs.add((source, target))
                self.drawn.edges.append((end, target))
                self.looped |= {
                    n for n in self.spiking if self._reaches(target, n) and self._reaches(n, source)
                }

    def _integrator(self, source: str) -> None:
        """What puts out a membrane, or sums as they come, and its Output."""
        end = self._way(source, inputs=False)
        shape = self.drawn.shapes[end]
        kind = self.pick(["LI", "CubaLI", "I", "", "LI", "CubaLI"], "integrator")
        if kind:
            end = self.add(self._cell(kind, shape), [end], shape)
            self._show(end)
        elif end != source:  # Else it would be shown as it is.
            self._show(end)
        else:
            self._show(self.add(self._linear_like(shape), [end], shape))

    def _show(self, name: str) -> None:
        """An Output, or two."""
        shape = self.drawn.shapes[name]
        for _ in range(self.pick([1, 1, 1, 2], "names")):
            self.add(nir.Output(np.array(shape)), [name], shape)

    # Nodes without state.

    def _way(self, source: str, *, inputs: bool = True) -> str:
        """Some nodes behind `source`; their end."""
        end = source
        if self.one_in(5, "delay first"):
            end = self._delay(end)
        for _ in range(self.pick([1, 1, 2, 2, 0] if inputs else [1, 1, 0], "nodes")):
            end = self._stage(end)
        return end

    def _stage(self, end: str) -> str:
        shape = self.drawn.shapes[end]
        options = ["scale", "dense", "dense", "dense"]
        if len(shape) == 2:
            options = ["conv1d", "conv1d", "conv1d", "flatten", "scale"]
        elif len(shape) == 3:
            options = ["conv2d", "conv2d", "conv2d", "pool", "pool", "flatten", "scale"]
        kind = self.pick(options, "node")
        if kind == "dense":
            return self._dense([end], shape, self.pick([3, 4, 6, 8], "neurons"))
        if kind == "conv1d":
            return self._conv1d(end, shape)
        if kind == "conv2d":
            return self._conv2d(end, shape)
        if kind == "pool":
            return self._pool(end, shape)
        if kind == "flatten":
            return self._flatten(end)
        return self.add(self._linear_like(shape), [end], shape)

    def _way_to(self, source: str, shape: Shape, *, delayed: bool) -> str | None:
        """Nodes that make of `source` what has `shape`; None where there are none."""
        own = self.drawn.shapes[source]
        if own[1:] != shape[1:] and len(shape) > 1:
            return None
        if delayed and self.one_in(4, "delay"):
            source = self._delay(source)
        if own == shape and self.one_in(3, "as it is"):
            return source
        if own == shape and self.one_in(3, "scaled"):
            return self.add(self._linear_like(shape), [source], shape)
        if len(shape) == 1:
            source = self._flatten(source) if len(own) > 1 else source
            return self._dense([source], self.drawn.shapes[source], shape[0])
        weight = self._weights(shape[0], own[0], *[3 for _ in shape[1:]])
        make, image = (nir.Conv1d, own[1]) if len(shape) == 2 else (nir.Conv2d, own[1:])
        node = make(image, weight, 1, "same", 1, 1, self._bias(shape[0]))
        return self.add(node, [source], shape)

    def _dense(self, sources: list[str], shape: Shape, n: int) -> str:
        weight = self._weights(n, *shape)
        if self.one_in(2, "bias"):
            return self.add(nir.Affine(weight, self._bias(n)), sources, (n,))
        return self.add(nir.Linear(weight), sources, (n,))

    def _linear_like(self, shape: Shape) -> nir.NIRNode:
        own = self.pick([shape, (1,), (), shape[:1]], "scale")
        factors = [1.0, 2.0, -1.0] if self.plain else [0.5, 1.0, 1.5, -0.5, 0.3]
        return nir.Scale(self._some(factors, own))

    def _flatten(self, end: str) -> str:
        shape = self.drawn.shapes[end]
        n = int(np.prod(shape))
        return self.add(nir.Flatten({"input": np.array(shape)}, start_dim=0), [end], (n,))

    def _delay(self, end: str) -> str:
        shape = self.drawn.shapes[end]
        own = self.pick([shape, (1,), ()], "delays")
        steps = self.rng.integers(0, 4, own)
        return self.add(nir.Delay(steps * self.dt), [end], shape)

    def _conv1d(self, end: str, shape: Shape) -> str:
        stride, padding, dilation = (int(n) for n in self.rng.integers(1, 3, 3))
        mode: Any = self.pick([padding, "same", "valid"], "padding")
        stride = 1 if mode == "same" else stride
        reach = dilation * (3 - 1)
        total = {"same": reach, "valid": 0}.get(mode, 2 * padding)
        length = (shape[1] + total - reach - 1) // stride + 1
        if length < 1:
            return self._flatten(end)
        groups = self.pick([1, shape[0]], "groups")
        n = 2 * groups if groups > 1 else self.pick([1, 2, 3], "channels")
        weight = self._weights(n, shape[0] // groups, 3)
        node = nir.Conv1d(self.pick([None, shape[1]], "stated"), weight, stride, mode, dilation,
                          groups, self._bias(n))  # fmt: skip
        return self.add(node, [end], (n, length))

    def _conv2d(self, end: str, shape: Shape) -> str:
        kernel, stride = self.rng.integers(1, 4, 2), self.rng.integers(1, 3, 2)
        padding, dilation = self.rng.integers(0, 3, 2), self.rng.integers(1, 3, 2)
        mode: Any = self.pick(["numbers", "same", "valid"], "padding")
        stride = np.array([1, 1]) if mode == "same" else stride
        reach = dilation * (kernel - 1)
        total = {"same": reach, "valid": 0 * reach}.get(mode, 2 * padding)
        grid = (np.array(shape[1:]) + total - reach - 1) // stride + 1
        if np.any(grid < 1):
            return self._flatten(end)
        groups = self.pick([1, shape[0]], "groups")
        n = shape[0] if groups > 1 else self.pick([1, 2, 3], "channels")
        weight = self._weights(n, shape[0] // groups, *kernel)
        pad: Any = tuple(int(p) for p in padding) if mode == "numbers" else mode
        image = self.pick([None, shape[1:], shape[1:]], "stated")
        node = nir.Conv2d(image, weight, tuple(stride), pad, tuple(dilation), groups, self._bias(n))
        return self.add(node, [end], (n, *(int(size) for size in grid)))

    def _pool(self, end: str, shape: Shape) -> str:
        size = np.minimum(self.rng.integers(1, 4, 2), shape[1:])
        stride, pad = self.rng.integers(1, 3, 2), np.minimum(self.rng.integers(0, 2, 2), size // 2)
        grid = (np.array(shape[1:]) + 2 * pad - size) // stride + 1
        make = self.pick([nir.SumPool2d, nir.AvgPool2d], "pooling")
        return self.add(make(size, stride, pad), [end], (shape[0], *(int(n) for n in grid)))

    def _weights(self, *shape: int) -> Array:
        """More positive than not; coarse ones or fine ones, some of them 0."""
        size = max(1.0, np.sqrt(np.prod(shape[1:])) / 2)
        if self.plain or self.one_in(3, "coarse"):
            return self.rng.integers(-2, 4, shape) / 4
        kept = self.rng.random(shape) < self.pick([1.0, 1.0, 0.4], "density")
        return self.rng.normal(0.3, 0.6, shape) * kept / size

    def _bias(self, n: int) -> Array:
        if self.plain:
            return self.rng.integers(-1, 2, n) / 4
        return self.rng.normal(0.05, 0.15, n) * (self.rng.random() < 0.7)

    # Neurons.

    def _nested(self, node: nir.NIRNode, end: str, shape: Shape) -> str:
        """The neuron in a graph of its own, perhaps with a way back to itself in it."""
        into = self.drawn.shapes[end]
        nodes = {"input": nir.Input(np.array(into)), "cell": node,
                 "output": nir.Output(np.array(shape))}  # fmt: skip
        edges = [("input", "cell"), ("cell", "output")]
        name = next(self.names)
        if len(shape) == 1 and shape == into and self.one_in(2, "fed back within"):
            weight = self._weights(*shape, *shape)
            nodes["w.rec"] = nir.Affine(weight, self._bias(*shape))
            edges += [("cell", "w.rec"), ("w.rec", "cell")]
            self.looped.add(name)
        return self.drawn.add(name, nir.NIRGraph(nodes, edges, type_check=False), [end], shape)

    def _neuron(self, shape: Shape, *, whole: bool = False) -> nir.NIRNode:
        kinds = ["LIF", "LIF", "IF", "CubaLIF", "CubaLIF", "Threshold"]
        return self._cell(self.pick(kinds, "neuron"), shape, whole=whole)

    def _cell(self, kind: str, shape: Shape, *, whole: bool = False) -> nir.NIRNode:
        """A neuron of `shape`: parameters of all, of a channel, of a neuron. `whole`: of each."""
        across = (*shape[:1], *[1] * (len(shape) - 1))
        sizes = [shape] if whole else [shape, (1,), (), shape[:1], across]
        own = self.pick(sizes, "parameters")
        tau = [1.0] if self.plain else [1.0, 1.25, 2.0, 2.5, 4.0, 10.0]
        fields: dict[str, Array] = {
            "v_threshold": self._some([0.5, 0.5, 0.75, 1.0, 0.75 if self.plain else 0.6], own),
            "v_leak": self._some([0.0, 0.0, 0.25] if self.one_in(3, "leaks up") else [0.0], own),
            "v_reset": self._some([0.0, -0.25] if self.one_in(3, "resets") else [0.0], own),
        }
        for name in ("tau", "tau_mem", "tau_syn"):
            fields[name] = self._some(tau, own) * self.dt
        factor = self.pick(["tau/dt", "tau/dt", "1", "tau/dt" if self.plain else "other"], "r")
        for r, time in (("r", "tau_mem" if kind.startswith("Cuba") else "tau"),
                        ("w_in", "tau_syn")):  # fmt: skip
            as_steps = fields[time] / self.dt
            fields[r] = {"tau/dt": as_steps, "1": np.ones(own)}.get(
                factor, as_steps * self._some([0.5, 1.0, 1.3], own)
            )
        if kind in ("IF", "I"):
            fields["r"] = np.full(own, 1 / self.dt if factor == "tau/dt" else 1.0)
        free = self.dialect.only_compares and not self.dialect.output_lag
        if (free or kind == "Threshold") and self.one_in(3, "thresholds below 0"):
            fields["v_threshold"] = self._some([0.5, 0.25, 0.0, -0.25], own)
        if kind == "Threshold":
            return nir.Threshold(fields["v_threshold"])
        make = getattr(nir, kind)
        used = [name for name in make.__dataclass_fields__ if name in fields]
        node = make(**{name: fields[name] for name in used})
        if not whole and self.one_in(4, "one of another size"):
            # What no constructor of nir lets pass, files hold.
            name = self.pick(used, "of another size")
            values = np.unique(fields[name])
            setattr(node, name, self._some(values, self.pick(sizes, "size")))
        return node

    def _some(self, values: Any, shape: Shape) -> Array:
        return np.asarray(self.rng.choice(np.asarray(values, float), shape))
