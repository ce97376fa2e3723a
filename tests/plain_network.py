# SPDX-License-Identifier: Apache-2.0
"""A drawn network of a few neurons, and what it does by plain sums, one neuron after the other.

Written from the dialects' fields alone, in Python's floats, with nothing of the float reference.
Numbers are short binary fractions, so that sums over a few steps are exact in float32 too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import ceil, exp, floor, trunc
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from spikefab.gen.dialect import CHOICES, PRESETS, Dialect
from spikefab.gen.discretise import NEURON_PARAMETERS, SPIKING, Kind, discretise
from spikefab.gen.errors import InputError
from spikefab.gen.network import Input, Network, Output, Population, Projection
from spikefab.gen.operations import Bias, Delay, Dense, Operation, Scale

__all__ = ["Drawn", "drawn_networks", "evaluate", "to_network"]

STEPS = 5
KINDS: tuple[Kind, ...] = ("IF", "LIF", "LI", "I", "CubaLIF", "CubaLI", "Threshold")


@dataclass
class Edge:
    source: str
    target: str
    weight: np.ndarray
    bias: np.ndarray | None
    delay: np.ndarray | None
    scale: float | None
    recurrent: bool


@dataclass
class Cell:
    name: str
    kind: Kind
    n: int
    values: dict[str, float]


@dataclass
class Drawn:
    dialect: Dialect
    inputs: dict[str, int]
    cells: list[Cell]
    edges: list[Edge]
    x: dict[str, np.ndarray]
    """(samples, steps, n) by input."""


def _eighths(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda k: k / 8)


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    """Any preset, and up to four fields set otherwise."""
    base = PRESETS[draw(st.sampled_from(list(PRESETS)))]
    for name in draw(st.lists(st.sampled_from(list(CHOICES)), unique=True, max_size=4)):
        choice = draw(st.sampled_from(CHOICES[name]))
        value: Any = draw(_eighths(-8, 4)) if choice is float else choice
        try:
            base = replace(base, **{name: value})
        except InputError:
            continue  # a combination that the class refuses
    return base


@st.composite
def drawn_networks(draw: st.DrawFn) -> Drawn:
    """One to three populations in a graph with skips, feedback and delays."""
    dialect = draw(dialects())
    size = st.integers(1, 3)
    inputs = {f"in{k}": draw(size) for k in range(draw(st.integers(1, 2)))}
    cells = [
        Cell(f"p{k}", draw(st.sampled_from(KINDS)), draw(size), draw(_values()))
        for k in range(draw(st.integers(1, 3)))
    ]
    sizes = inputs | {cell.name: cell.n for cell in cells}
    edges = []
    for k, cell in enumerate(cells):
        earlier = [*inputs, *(c.name for c in cells[:k])]
        sources = draw(st.lists(st.sampled_from(earlier), min_size=1, max_size=2))
        edges += [draw(_edge(s, cell.name, sizes, False)) for s in sources]
        back = st.lists(st.sampled_from([c.name for c in cells]), max_size=2)
        edges += [draw(_edge(s, cell.name, sizes, True)) for s in draw(back)]
    if draw(st.booleans()):
        for e in edges:  # below what lava's integers hold
            e.weight += 3 / 32768
    samples = draw(st.integers(1, 2))
    x = {
        name: np.array(
            draw(
                st.lists(
                    st.integers(0, 2), min_size=samples * STEPS * n, max_size=samples * STEPS * n
                )
            )
        ).reshape(samples, STEPS, n)
        for name, n in inputs.items()
    }
    return Drawn(dialect, inputs, cells, edges, x)


@st.composite
def _edge(
    draw: st.DrawFn, source: str, target: str, sizes: dict[str, int], recurrent: bool
) -> Edge:
    n, m = sizes[target], sizes[source]
    flat = draw(st.lists(_eighths(-6, 12), min_size=n * m, max_size=n * m))
    some = st.booleans()
    return Edge(
        source,
        target,
        np.array(flat).reshape(n, m),
        np.array(draw(st.lists(_eighths(-2, 3), min_size=n, max_size=n))) if draw(some) else None,
        np.array(draw(st.lists(st.integers(0, 2), min_size=m, max_size=m))) if draw(some) else None,
        draw(st.sampled_from([0.5, 2.0])) if draw(some) else None,
        recurrent,
    )


@st.composite
def _values(draw: st.DrawFn) -> dict[str, float]:
    tau = st.sampled_from([1.0, 2.0, 3.0, 4.0])
    return {
        "tau": draw(tau),
        "tau_mem": draw(tau),
        "tau_syn": draw(tau),
        "r": draw(st.sampled_from([1.0, 2.0, 4.0])),
        "w_in": draw(st.sampled_from([1.0, 2.0])),
        "v_leak": draw(st.sampled_from([0.0, 0.0, 0.25])),
        "v_threshold": draw(st.sampled_from([0.5, 1.0])),
        "threshold": draw(_eighths(0, 8)),
        "v_reset": draw(st.sampled_from([0.0, -0.25, 0.125])),
    }


def to_network(drawn: Drawn) -> Network:
    """The same for the float reference, in steps of 1."""
    populations: list[Population] = []
    for cell in drawn.cells:
        p = {key: np.full(cell.n, cell.values[key]) for key in NEURON_PARAMETERS[cell.kind]}
        neuron = discretise(
            cell.name, cell.kind, p, drawn.dialect, 1.0, [], [],
            recurrent=_loops(drawn, cell.name),
        )  # fmt: skip
        assume(neuron is not None)  # an input gain of 0 is refused
        populations.append(Population(name=cell.name, shape=(cell.n,), neuron=neuron))
    projections = []
    for k, e in enumerate(drawn.edges):
        operations: list[Operation] = []
        if e.delay is not None:
            operations.append(Delay(shape=e.delay.shape, steps=e.delay))
        operations.append(Dense(weight=e.weight))
        if e.bias is not None:
            operations.append(Bias(shape=e.bias.shape, value=e.bias))
        if e.scale is not None:
            n = len(e.weight)
            operations.append(Scale(shape=(n,), factor=np.full(n, e.scale)))
        projections.append(
            Projection(
                name=f"e{k}",
                source=e.source,
                target=e.target,
                operations=tuple(operations),
                recurrent=e.recurrent,
            )
        )
    return Network(
        name="drawn",
        inputs=tuple(Input(name=name, shape=(n,)) for name, n in drawn.inputs.items()),
        outputs=(Output(name="out", source=drawn.cells[-1].name),),
        populations=tuple(populations),
        projections=tuple(projections),
        dialect=drawn.dialect,
        dt=1.0,
    )


def _loops(drawn: Drawn, name: str) -> bool:
    return any(e.recurrent and e.source == e.target == name for e in drawn.edges)


class _Neuron:
    """One neuron. In lava's integers a unit is 4096 LSBs, and every product is truncated."""

    def __init__(self, cell: Cell, d: Dialect, loops: bool):
        self.d, self.kind, self.p = d, cell.kind, cell.values
        self.cuba = cell.kind.startswith("Cuba")
        self.spikes = cell.kind in SPIKING
        self.whole = d.decay == "round12"
        self.unit = 4096 if self.whole else 1
        self.threshold = self.lsbs(self.p["v_threshold"])
        self.when, self.reset = self.reset_rule(loops)
        self.v_reset = 0.0
        if self.reset == "value":
            self.v_reset = self.p["v_reset"] if d.v_reset == "graph" else float(d.v_reset)
        start = 0.0
        if d.decay_input != "none" and self.reset == "value" and self.spikes:
            start = self.v_reset
        elif d.input_gain == "dt/tau" and cell.kind in ("LIF", "LI", "CubaLIF", "CubaLI"):
            start = self.p["v_leak"]
        self.v_reset = self.lsbs(self.v_reset)
        self.v = self.lsbs(start)
        self.i = self.lsbs(self.p["v_leak"]) if self.norse_import else 0.0
        self.near = float("inf")

    def lsbs(self, value: float) -> float:
        return trunc(value * self.unit) if self.whole else value

    @property
    def norse_order(self) -> str:
        if self.d.synapse_order != "norse":
            return self.d.synapse_order
        plain = self.p["r"] == 1 and self.p["w_in"] == 1
        return "add-use-decay" if plain else "decay-add-use"

    @property
    def norse_import(self) -> bool:
        gain = self.d.input_gain == "dt/tau"
        return self.cuba and gain and self.norse_order == "decay-add-use"

    def reset_rule(self, loops: bool) -> tuple[str, str]:
        d, when = self.d, self.d.reset_time
        if when == "snntorch":
            if d.reset == "subtract":
                when = "next-after-leak"
            else:
                when = "next-discard" if self.cuba or loops else "next-before-leak"
        if when == "spyx":
            when = "next-before-leak" if self.cuba else "next-after-leak"
        return when, d.reset

    def keeps(self, tau: float) -> float:
        if self.d.decay == "exp":
            return exp(-1 / tau)
        return 1 - (round(4096 / tau) / 4096 if self.whole else 1 / tau)

    def leaked(self, state: float, tau: float) -> float:
        return trunc(state * self.keeps(tau)) if self.whole else state * self.keeps(tau)

    def due(self) -> int:
        """Whether the membrane is above the threshold now."""
        if not self.spikes or self.kind == "Threshold":
            return 0
        return int(self.above(self.v, self.threshold))

    def note_gap(self, gap: float) -> None:
        if gap:
            self.near = min(self.near, abs(gap) / self.unit)

    def above(self, v: float, threshold: float) -> bool:
        self.note_gap(v - threshold)
        return v >= threshold if self.d.compare == "ge" else v > threshold

    def step(self, x: float) -> tuple[float, float]:
        """Output and membrane."""
        p, d = self.p, self.d
        if self.kind == "Threshold":
            threshold = self.lsbs(trunc(p["threshold"] * 64) / 64 if self.whole else p["threshold"])
            fires = int(self.above(self.lsbs(x), threshold))
            return fires, 0.0 if fires else self.lsbs(x) / self.unit
        x = self.synapse(x) if self.cuba else self.lsbs(self.gain() * x)
        tau = p["tau_mem"] if self.cuba else p["tau"]
        leaks = self.kind not in ("IF", "I")
        r = self.due() if self.when != "same" or d.output_lag else 0
        v = self.v
        if r and self.when == "next-before-leak":
            v = self.after_reset(v, 1)
        v = self.leaked(v, tau) if leaks else v
        if r and self.when == "next-after-leak":
            v = self.after_reset(v, 1)
        if leaks:
            pull = 1 / tau if d.decay == "euler" else 1 - self.keeps(tau)
            x += self.lsbs(pull * p["v_leak"])
        v += x
        if r and self.when == "next-discard":
            v = self.after_reset(v, 1)
        if not self.spikes:
            self.v = self.clamped(v)
            return self.v / self.unit, self.v / self.unit
        s = self.count(v)
        if self.when == "same":
            v = self.after_reset(v, s) if s else v
        elif not d.reset_delay:
            v -= (s - r) * (self.threshold if self.reset == "subtract" else v)
        self.v = self.clamped(v)
        return (r if d.output_lag else s), self.v / self.unit

    def gain(self) -> float:
        p, d = self.p, self.d
        if self.kind in ("IF", "I"):
            return p["r"] if d.input_gain == "r*dt/tau" else 1.0
        tau = p["tau_mem"] if self.cuba else p["tau"]
        gain = {
            "one": 1.0,
            "li-decay": self.keeps(tau) if self.kind == "LI" else 1.0,
            "dt/tau": (p["r"] if self.cuba else 1.0) / tau,
            "r*dt/tau": p["r"] / tau,
        }[d.input_gain]
        if d.decay_input is True and not self.cuba:
            gain /= tau
        normed = d.norm_input is True
        if d.norm_input == "lif":
            normed = self.kind in ("LIF", "CubaLIF")
        return gain * (1 - self.keeps(tau)) if normed else gain

    def synapse(self, x: float) -> float:
        """Takes the current further; returns what drives the membrane."""
        p, d, tau = self.p, self.d, self.p["tau_syn"]
        order, rest = self.norse_order, 0.0
        if d.input_gain == "r*dt/tau" or self.norse_import:
            x *= p["w_in"] / tau
        elif d.input_gain == "dt/tau":
            x *= p["w_in"]
        if self.norse_import:
            rest = (1 / tau if d.decay == "euler" else 1 - self.keeps(tau)) * p["v_leak"]
        x = self.lsbs(x) + self.lsbs(rest)
        if order == "decay-add-use":
            self.i = used = self.leaked(self.i, tau) + x
        elif order == "add-use-decay":
            used = self.i + x
            self.i = self.leaked(used, tau)
        else:
            self.i = used = self.leaked(self.i + x, tau)
        gain = self.gain()
        return trunc(gain * used) if self.whole else gain * used

    def count(self, v: float) -> int:
        if not self.above(v, self.threshold):
            return 0
        if not self.d.multi_spike:
            return 1
        times = v / self.threshold
        self.note_gap((times - round(times)) * self.threshold)
        return floor(times) if self.d.compare == "ge" else ceil(times) - 1

    def after_reset(self, v: float, times: int) -> float:
        return v - times * self.threshold if self.reset == "subtract" else self.v_reset

    def clamped(self, v: float) -> float:
        low = self.d.v_min
        if low == "-threshold-if":
            low = "-threshold" if self.kind == "IF" else "none"
        if low == "none" or (low == "-threshold" and not self.spikes):
            return v
        return max(v, -self.threshold if low == "-threshold" else self.lsbs(float(low)))


def evaluate(drawn: Drawn) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Outputs and membranes (samples, steps, n), and the smallest gap to a threshold but 0."""
    samples = len(next(iter(drawn.x.values())))
    shapes = {cell.name: (samples, STEPS, cell.n) for cell in drawn.cells}
    outputs = {name: np.zeros(shape) for name, shape in shapes.items()}
    mem = {name: np.zeros(shape) for name, shape in shapes.items()}
    run, near = None, float("inf")
    for sample in range(samples):
        if run is None or drawn.dialect.state == "clear":
            run = _Run(drawn)
        for t in range(STEPS):
            run.step({name: x[sample, t] for name, x in drawn.x.items()})
            for cell in drawn.cells:
                outputs[cell.name][sample, t] = run.now[cell.name]
                mem[cell.name][sample, t] = run.mem[cell.name]
        near = min(near, *(n.near for group in run.neurons.values() for n in group))
    return outputs, mem, near


class _Run:
    """All state from the first step on."""

    def __init__(self, drawn: Drawn):
        self.drawn, self.t = drawn, 0
        self.neurons = {
            c.name: [_Neuron(c, drawn.dialect, _loops(drawn, c.name)) for _ in range(c.n)]
            for c in drawn.cells
        }
        self.now: dict[str, list[float]] = {c.name: [0.0] * c.n for c in drawn.cells}
        self.mem: dict[str, list[float]] = {}
        self.past = [deque([np.zeros(e.weight.shape[1])] * 4, maxlen=4) for e in drawn.edges]

    def step(self, x: dict[str, np.ndarray]) -> None:
        d = self.drawn.dialect
        back = dict(self.now) | {name: [0.0] * len(v) for name, v in x.items()}
        if d.output_lag:
            for cell in self.drawn.cells:
                if cell.kind in SPIKING and cell.kind != "Threshold":
                    back[cell.name] = [n.due() for n in self.neurons[cell.name]]
        self.now |= {name: list(v) for name, v in x.items()}
        for cell in self.drawn.cells:
            total = np.zeros(cell.n)
            for e, past in zip(self.drawn.edges, self.past, strict=True):
                if e.target == cell.name:
                    source = (back if e.recurrent else self.now)[e.source]
                    total = total + self.carried(e, past, np.array(source, float))
            neurons = self.neurons[cell.name]
            results = [n.step(value) for n, value in zip(neurons, total, strict=True)]
            self.now[cell.name] = [output for output, _ in results]
            self.mem[cell.name] = [v for _, v in results]
        self.t += 1

    def carried(self, e: Edge, past: deque, value: np.ndarray) -> np.ndarray:
        rule = self.drawn.dialect.bias_at_t0
        past.appendleft(value)
        if e.delay is not None:
            value = np.array([past[d][k] for k, d in enumerate(e.delay)])
        out = e.weight @ value
        if e.bias is not None and not (e.recurrent and rule == "never"):
            out = out + e.bias
        if e.recurrent and rule is False and self.t == 0:
            return np.zeros(len(out))
        return out if e.scale is None else out * e.scale
