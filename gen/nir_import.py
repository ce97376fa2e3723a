# SPDX-License-Identifier: Apache-2.0
"""From a NIR graph to a `Network`: sequential graphs of dense layers and IF, LIF or LI neurons.

Everything that stands in the way is reported at once, each problem with the node's name.
"""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np

from spikefab.gen.chain import ChainBuilder
from spikefab.gen.dialect import PRESETS, Dialect, parse_dialect
from spikefab.gen.discretise import NEURON_PARAMETERS, Kind
from spikefab.gen.errors import InputError
from spikefab.gen.network import Input, Network, Output
from spikefab.gen.nir_exporter import exporter
from spikefab.gen.nir_order import chain_order
from spikefab.gen.nir_read import Graph, Node, from_nir, read_graph

__all__ = ["import_nir"]


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
    order = chain_order(graph, problems)
    if isinstance(dialect, str):
        dialect = parse_dialect(dialect)
    if not order:
        raise InputError(problems)
    if dialect is None:
        dialect, dt = _recognise(graph, dt, notes, problems)
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
        inputs=(Input(name=input_name, shape=builder.input_shape),),
        outputs=(Output(name=output_name, source=builder.populations[-1].name),),
        populations=tuple(builder.populations),
        projections=tuple(builder.projections),
        dialect=dialect,
        dt=dt,
        steps=steps,
        notes=tuple(notes),
    )


def _array(name: str, node: Node, key: str, problems: list[str]) -> np.ndarray | None:
    where = f"node {name!r} ({node.kind})"
    try:
        if np.iscomplexobj(node.values[key]):
            raise TypeError("complex numbers")
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


def _recognise(
    graph: Graph, dt: float | None, notes: list[str], problems: list[str]
) -> tuple[Dialect | None, float | None]:
    """The dialect, and dt, of the framework that wrote the graph, where it gives itself away."""
    preset, why, found_dt = exporter(graph)
    if not preset:
        problems.append(
            "no dialect given, and the graph does not tell which framework wrote it; give "
            f"--dialect, one of {', '.join(PRESETS)}"
        )
        return None, dt
    dialect = PRESETS[preset]
    notes.append(f"dialect = {dialect}: recognised, {why}; --dialect overrides it")
    if dt is None and found_dt is not None:
        notes.append(f"dt = {found_dt:g} s: read from the graph's own parameters")
        dt = found_dt
    return dialect, dt
