# SPDX-License-Identifier: Apache-2.0
"""From a NIR graph to a `Network`: sequential graphs of dense layers and IF, LIF or LI neurons.

Everything that stands in the way is reported at once, each problem with the node's name.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import nir
import numpy as np

from spikefab.gen.chain import ChainBuilder
from spikefab.gen.dialect import ALIASES, PRESETS, Dialect, parse_dialect
from spikefab.gen.discretise import NEURON_PARAMETERS, Kind, dialect_problems
from spikefab.gen.errors import InputError
from spikefab.gen.network import Network
from spikefab.gen.nir_read import Graph, Node, from_nir, read_graph

__all__ = ["SUPPORTED", "import_nir"]

SUPPORTED = ("Input", "Output", "Linear", "Affine", "Scale", "Flatten", "IF", "LIF", "LI")
"""Node types that this version runs."""


def import_nir(
    source: Path | str | nir.NIRGraph,
    *,
    dialect: Dialect | str | None = None,
    dt: float | None = None,
    steps: int | None = None,
    name: str | None = None,
) -> Network:
    """Reads a `.nir` file or takes a graph in memory, checks it and discretises it.

    Without a `dialect` the exporter must be recognisable from the graph; without `dt` the
    dialect's default holds. Raises `InputError` with every problem found.
    """
    if isinstance(source, nir.NIRGraph):
        graph, name = from_nir(source), name or "network"
    else:
        graph, name = read_graph(Path(source)), name or Path(source).stem
    problems: list[str] = []
    notes = list(graph.notes)
    order = _order(graph, problems)
    if isinstance(dialect, str):
        dialect = parse_dialect(dialect)
    if not order:
        raise InputError(problems)
    if dialect is None:
        dialect, dt = _recognise(graph, dt, notes, problems)
    else:
        problems += dialect_problems(dialect)
    if problems and dialect is None:
        raise InputError(problems)
    assert dialect is not None
    if dt is None:
        dt = dialect.default_dt
        unit = "1 (tau counts steps)" if dt == 1 else f"{dt:g} s"
        notes.append(f"dt = {unit}: the default of {dialect.preset or 'this dialect'}, none given")
    elif not (np.isfinite(dt) and dt > 0):
        raise InputError(f"dt = {dt!r}: must be a number of seconds > 0")
    return _build(graph, order, dialect, dt, steps, name, problems, notes)


def _build(
    graph: Graph,
    order: list[str],
    dialect: Dialect,
    dt: float,
    steps: int | None,
    name: str,
    problems: list[str],
    notes: list[str],
) -> Network:
    """Walks the chain from input to output, with its own shape inference."""
    inputs = [n for n in order if graph.nodes[n].kind == "Input"]
    outputs = [n for n in order if graph.nodes[n].kind == "Output"]
    input_name = inputs[0] if inputs else _free_name("input", graph)
    output_name = outputs[0] if outputs else _free_name("output", graph)
    for kind, found in (("Input", inputs), ("Output", outputs)):
        if not found:
            notes.append(f"the graph has no {kind} node: one is put at the chain's end")
    middle = [n for n in order if graph.nodes[n].kind not in ("Input", "Output")]
    shape = _shape_of(graph.nodes[inputs[0]]) if inputs else ()
    builder = ChainBuilder(input_name, shape, dialect, dt, problems, notes)
    for node_name in middle:
        node = graph.nodes[node_name]
        before = len(problems)
        if node.kind in ("Linear", "Affine"):
            weight = _array(node_name, node, "weight", problems)
            bias = _array(node_name, node, "bias", problems) if node.kind == "Affine" else None
            if weight is None:
                builder.lost = True
            else:
                builder.linear(node_name, weight, bias)
        elif node.kind == "Scale":
            scale = _array(node_name, node, "scale", problems)
            if scale is not None:
                builder.scale(node_name, scale)
        elif node.kind == "Flatten":
            start = _axis(node_name, node, "start_dim", 1, problems)
            end = _axis(node_name, node, "end_dim", -1, problems)
            builder.flatten(node_name, start, end, _dims(node.values.get("input_type")))
        else:
            model: Kind = "IF" if node.kind == "IF" else "LIF" if node.kind == "LIF" else "LI"
            builder.neuron(node_name, model, _parameters(node_name, node, model, problems))
        if len(problems) > before and builder.lost:
            break  # shapes beyond this node would be guesses
    if not builder.lost:
        builder.finish(_shape_of(graph.nodes[outputs[0]]) if outputs else None, output_name)
    if problems:
        raise InputError(problems)
    return Network(
        name=name,
        input_name=input_name,
        input_shape=builder.input_shape,
        populations=tuple(builder.populations),
        projections=tuple(builder.projections),
        output_name=output_name,
        dialect=dialect,
        dt=dt,
        steps=steps,
        notes=tuple(notes),
    )


def _array(name: str, node: Node, key: str, problems: list[str]) -> np.ndarray | None:
    where = f"node {name!r} ({node.kind})"
    try:
        value = np.asarray(node.values[key], dtype=np.float64)
    except KeyError:
        problems.append(f"{where}: has no {key}; export the graph again")
        return None
    except (TypeError, ValueError):
        problems.append(f"{where}: {key} does not hold numbers")
        return None
    return value


def _parameters(name: str, node: Node, kind: Kind, problems: list[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray | None] = {}
    for key in NEURON_PARAMETERS[kind]:
        if key == "v_reset" and node.values.get(key) is None:
            found[key] = np.zeros(())  # older schemas have none; nir means 0 by that
        else:
            found[key] = _array(name, node, key, problems)
    return {key: value for key, value in found.items() if value is not None}


def _axis(name: str, node: Node, key: str, default: int, problems: list[str]) -> int:
    value = node.values.get(key, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        problems.append(f"node {name!r} ({node.kind}): {key} = {value!r} is not a whole number")
        return default


def _dims(value: object) -> tuple[int, ...]:
    """A shape that a graph states; () where it states none."""
    if isinstance(value, dict):
        value = next(iter(value.values()), None)
    try:
        return tuple(int(n) for n in np.atleast_1d(np.asarray(value)).ravel())
    except (TypeError, ValueError):
        return ()  # None, or axes of unknown length


def _shape_of(node: Node) -> tuple[int, ...]:
    return _dims(node.values.get("shape"))


def _free_name(name: str, graph: Graph) -> str:
    while name in graph.nodes:
        name += "_"
    return name


def _order(graph: Graph, problems: list[str]) -> list[str]:
    """Node names from input to output; empty, with problems, where the graph is no chain."""
    nodes, found = graph.nodes, len(problems)
    if not nodes:
        problems.append("the graph has no nodes")
        return []
    for name, node in nodes.items():
        if node.kind not in SUPPORTED:
            problems.append(
                f"node {name!r}: {node.kind} is not supported; supported are {', '.join(SUPPORTED)}"
            )
    edges = list(dict.fromkeys(graph.edges))
    for a, b in edges:
        for end in (a, b):
            if end not in nodes:
                problems.append(
                    f"edge {a!r} -> {b!r}: there is no node {end!r}; the nodes are "
                    f"{', '.join(map(repr, nodes))}"
                )
    edges = [(a, b) for a, b in edges if a in nodes and b in nodes]
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in edges:
        after[a].append(b)
    fan_in = Counter(b for _, b in edges)
    cycle = _find_cycle(after)
    if cycle:
        problems.append(
            f"node {cycle[0]!r}: is part of a cycle ({' -> '.join([*cycle, cycle[0]])}); "
            "recurrent networks are not supported"
        )
    else:
        for name, targets in after.items():
            if len(targets) > 1:
                problems.append(
                    f"node {name!r}: feeds {', '.join(map(repr, targets))}: branches are not "
                    "supported, only sequential graphs"
                )
            if fan_in[name] > 1:
                sources = ", ".join(repr(a) for a, b in edges if b == name)
                problems.append(
                    f"node {name!r}: is fed by {sources}: joins are not supported, only "
                    "sequential graphs"
                )
    for kind in ("Input", "Output"):
        several = [n for n, node in nodes.items() if node.kind == kind]
        if len(several) > 1:
            problems.append(
                f"nodes {', '.join(map(repr, several))}: {len(several)} {kind} nodes; exactly one "
                "is supported"
            )
    starts = [name for name in nodes if fan_in[name] == 0]
    if len(problems) > found:
        return []
    order = [starts[0]]
    while after[order[-1]]:
        order.append(after[order[-1]][0])
    if len(order) < len(nodes):
        loose = ", ".join(repr(n) for n in nodes if n not in order)
        problems.append(
            f"nodes {loose}: not connected to {order[0]!r}; every node must lie on one chain from "
            "input to output"
        )
    for position, name in enumerate(order):
        if nodes[name].kind == "Input" and position > 0:
            problems.append(f"node {name!r}: an Input node must not be fed by another node")
        if nodes[name].kind == "Output" and position < len(order) - 1:
            problems.append(f"node {name!r}: an Output node must not feed another node")
    return order if len(problems) == found else []


def _find_cycle(after: dict[str, list[str]]) -> list[str]:
    """Names along one cycle, empty where there is none. Iterative: graphs may be deep."""
    done: set[str] = set()
    for root in after:
        path: list[str] = []
        stack = [(root, iter(after[root]))] if root not in done else []
        path += [root] if stack else []
        while stack:
            name, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                done.add(name)
                stack.pop()
                path.pop()
            elif target in path:
                return path[path.index(target) :]
            elif target not in done:
                stack.append((target, iter(after[target])))
                path.append(target)
    return []


def _recognise(
    graph: Graph, dt: float | None, notes: list[str], problems: list[str]
) -> tuple[Dialect | None, float | None]:
    """The dialect, and dt, of the framework that wrote the graph, where it gives itself away."""
    preset, why, found_dt = _exporter(graph)
    if not preset:
        problems.append(
            "no dialect given, and the graph does not tell which framework wrote it; give "
            f"--dialect, one of {', '.join(PRESETS)}"
        )
        return None, dt
    dialect = PRESETS[preset]
    notes.append(f"dialect = {dialect}: recognised, {why}; --dialect overrides it")
    problems += dialect_problems(dialect)
    if dt is None and found_dt is not None:
        notes.append(f"dt = {found_dt:g} s: read from the graph's own parameters")
        dt = found_dt
    return dialect, dt


def _exporter(graph: Graph) -> tuple[str, str, float | None]:
    texts = [str(v.decode() if isinstance(v, bytes) else v).lower()
             for v in graph.metadata.values()]  # fmt: skip
    for word in [*PRESETS, *ALIASES]:
        if any(word in text.replace("_", "-") for text in texts):
            return ALIASES.get(word, word), f"the graph's metadata names {word}", None
    if any(n.endswith(("_LIFTorch", "_LIFNeuronTorch", "_LinearTorch")) for n in graph.nodes):
        return "rockpool", "its node names end in rockpool's module names", None
    neurons = [node for node in graph.nodes.values() if node.kind in ("IF", "LIF", "LI")]
    leaky = [node for node in neurons if node.kind != "IF"]
    tau = [np.asarray(n.values.get("tau", 0.0)) for n in leaky]
    r = [np.asarray(n.values.get("r", 0.0)) for n in leaky]
    single = all(t.dtype == np.float32 for t in tau)
    with np.errstate(all="ignore"):
        # beta = 1 is written as infinity over infinity.
        writes_r = all(
            t.size == q.size and np.all((np.abs(t / q / 1e-4 - 1) < 1e-5) | np.isinf(t))
            for t, q in zip(tau, r, strict=True)
        )
    if leaky and len(leaky) == len(neurons) and single and writes_r:
        return (
            "snntorch-subtract",
            "every r is tau/dt with dt = 1e-4 s in float32, as snnTorch writes it "
            "(the graph does not tell its reset: subtract is snnTorch's default)",
            1e-4,
        )
    rates = [np.asarray(n.values.get("r", 1.0), float) for n in neurons]
    if neurons and not leaky:
        low, high = min(r.min() for r in rates), max(r.max() for r in rates)
        if low == high and low > 1:
            return (
                "spikingjelly",
                "every IF's r is 1/dt, as SpikingJelly writes it "
                "(the graph does not tell its reset: hard is SpikingJelly's default)",
                float(1.0 / low),
            )
    return "", "", None
