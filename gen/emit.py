# SPDX-License-Identifier: Apache-2.0
"""A design directory from a plan: Verilog, memory images, manifest, test bench."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import unsigned
from amaranth.lib.data import StructLayout

from spikefab.gen.addresses import address_fields
from spikefab.gen.cost_conv import address_cycles
from spikefab.gen.design import FORMAT, Design
from spikefab.gen.errors import InputError
from spikefab.gen.late import by_events
from spikefab.gen.network import Network
from spikefab.gen.network_file import save_network
from spikefab.gen.plan import Plan
from spikefab.gen.qnetwork import QEdge, QLayer
from spikefab.gen.readme import design_readme, port_table
from spikefab.gen.shell import Shell
from spikefab.gen.testbench import write_testbench
from spikefab.gen.verilog import to_verilog
from spikefab.hdl.conv_params import ConvJoin
from spikefab.hdl.core import SpikingCore
from spikefab.hdl.event import EventLayout, membrane_payload
from spikefab.hdl.load import WORD, LoadLayout, load_columns, load_words
from spikefab.hdl.params import CoreParams, LayerParams
from spikefab.hdl.scatter import stored_params
from spikefab.hdl.shared import shared_words
from spikefab.hdl.shared_params import SharedParams, engine_layers, shared_units
from spikefab.hdl.sparse_params import SparseParams
from spikefab.hdl.weights import pack_weights

__all__ = ["TargetInfo", "Vectors", "emit"]


@dataclass(frozen=True, kw_only=True)
class TargetInfo:
    """What the manifest says of the target."""

    kind: str
    """`board` or `device`."""
    name: str
    device: str
    family: str
    clock_hz: float | None = None
    """Clock that a bare part must reach; a board's is its shell's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """Samples for the design's own test bench, with what the golden model says of them."""

    x: np.ndarray
    """(samples, steps, *input_shape) counts, or (samples, *input_shape) values."""
    spikes: np.ndarray
    """int16 (samples, steps, outputs); several populations side by side."""
    mem: np.ndarray | None
    """(samples, steps, outputs) of integrators, 0 elsewhere; None where there are none."""
    steps_used: np.ndarray | None = None
    """(samples,): where an early stop ends each sample; what `spikes` and `mem` hold behind it does
    not matter. None: all steps."""


def emit(
    plan: Plan,
    out: Path,
    *,
    target: TargetInfo,
    shell: Shell | None = None,
    reference: Network | None = None,
    vectors: Vectors | None = None,
    predicted: dict[str, Any] | None = None,
) -> Design:
    """Writes the design directory `out` as a whole, or leaves everything as it was.

    A design directory that is there already is replaced. Raises `InputError` where `out` holds
    anything else or cannot be written.
    """
    out = Path(out)
    real = out.resolve()  # a link to a folder stays one
    _check_replaceable(out)
    core = SpikingCore(plan.core, list(plan.structure.weights))
    manifest = _manifest(plan, target, shell, predicted or {})
    written = json.dumps(manifest, indent=2)
    text = _header(manifest) + to_verilog(core, "spikefab_core")
    if shell is not None:
        text += "\n" + shell.verilog
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{real.name}-", dir=real.parent) as folder:
            new = Path(folder) / "design"
            new.mkdir()
            (new / "design.v").write_text(text, encoding="utf-8")
            (new / "manifest.json").write_text(written + "\n", encoding="utf-8")
            (new / "README.md").write_text(design_readme(manifest), encoding="utf-8")
            plan.qnet.save(new / "network.npz")
            if reference is not None:
                save_network(reference, new / "reference.npz")
            if shell is not None:
                (new / shell.constraints_name).write_text(shell.constraints, encoding="utf-8")
            _write_memories(plan, new / "memory")
            if vectors is not None:
                tokens = 1 if plan.core.input.framed else vectors.x.shape[1]
                write_testbench(
                    new / "testbench",
                    manifest,
                    _addressed(plan, vectors.x),
                    tokens,
                    _shown(plan, vectors.spikes),
                    None if vectors.mem is None else _shown(plan, vectors.mem),
                    vectors.steps_used,
                )
            _replace(new, real, Path(folder) / "old")
    except OSError as error:
        raise InputError(
            f"{out}: cannot be written ({error.strerror or error}); nothing was changed: choose "
            "another folder, or make room"
        ) from None
    return Design(out, json.loads(written))


def _check_replaceable(out: Path) -> None:
    if out.is_dir():
        if any(out.iterdir()) and not (out / "manifest.json").is_file():
            raise InputError(
                f"{out}: holds files that are no design; choose an empty or a new folder"
            )
    elif out.exists():
        raise InputError(f"{out}: is a file; a design is a folder")


def _replace(new: Path, out: Path, old: Path) -> None:
    """Puts `new` in the place of `out`; on failure, or an interrupt, `out` is as it was."""
    try:
        if out.exists():
            out.rename(old)
        new.rename(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise


def _write_memories(plan: Plan, folder: Path) -> None:
    """One hexadecimal word a line, as `$readmemh` reads it: each layer's, and what is loaded."""
    folder.mkdir()
    loaded: list[str] = []
    core, weights = plan.core, plan.structure.weights
    for unit in shared_units(len(core.layers), core.shared):
        first, last = unit[0], unit[-1]
        if first < last:
            shared = SharedParams(core.layers[first : last + 1])
            params, rows = shared.engine, shared_words(shared, weights[first : last + 1])
        else:
            params, rows = core.layers[first], weights[first]
        words = _packed(params, rows)
        digits = -(-params.word_width // 4)
        lines = [f"{word:0{digits}x}" for word in words]
        (folder / f"{_module(first, last)}_weights.hex").write_text(
            "\n".join(lines) + "\n", encoding="utf-8"
        )
        mask = (1 << WORD) - 1
        loaded += [
            f"{word >> column * WORD & mask:04x}"
            for column in range(load_columns(params))
            for word in words
        ]
    if loaded:
        (folder / "load.hex").write_text("\n".join(loaded) + "\n", encoding="utf-8")


def _module(first: int, last: int) -> str:
    """The instance of a layer, or of layers that share an engine."""
    return f"layer{first}" if first == last else f"layers{first}_{last}"


def _addressed(plan: Plan, x: np.ndarray) -> np.ndarray:
    """Samples as they are sent: by address where that is not the input's number."""
    if plan.structure.is_plain:
        return x
    lead = x.shape[: 1 if plan.core.input.framed else 2]
    return plan.structure.to_addresses(x.reshape(*lead, -1))


def _shown(plan: Plan, out: np.ndarray) -> np.ndarray:
    """The same for outputs."""
    return out if plan.structure.is_plain else plan.structure.from_numbers(out)


def _packed(params: LayerParams, rows: list[list[int]]) -> list[int]:
    """The words of a layer's weight memory."""
    if params.structure is None:
        return pack_weights(params, rows)
    return pack_weights(
        stored_params(params, len(rows)), [list(lane) for lane in zip(*rows, strict=True)]
    )


def _structure(params: LayerParams) -> dict[str, Any] | None:
    """What is connected to what, in short."""
    if isinstance(params.structure, ConvJoin):
        return {"kind": "convolution", **asdict(params.structure)}
    if isinstance(params.structure, SparseParams):
        return {
            "kind": "sparse",
            "entries": params.structure.n_entries,
            "words": params.structure.words,
            "slots": params.structure.slots,
            "clear_cycles": params.clear_cycles,
        }
    return None


def _event_cycles(params: LayerParams) -> list[int]:
    """Fewest and most cycles that an event takes."""
    every = [cycles for cycles in address_cycles(params) or [params.groups] if cycles]
    return [min(every), max(every)]


def _manifest(
    plan: Plan, target: TargetInfo, shell: Shell | None, predicted: dict[str, Any]
) -> dict[str, Any]:
    qnet, core = plan.qnet, plan.core
    shown = qnet.output_layers
    ends = {
        layer.name: (layer, base, core.layers[k].grid)
        for layer, base, k in zip(shown, core.output_offsets, core.output_layers, strict=True)
    }
    kinds = {"spikes" if layer.neuron.spiking else "membrane" for layer in shown}
    place: dict[str, Any] = asdict(target)
    place["clock_hz"] = shell.clock_hz if shell else target.clock_hz
    place["oscillator_hz"] = shell.oscillator_hz if shell else None
    place["baud"] = shell.baud if shell else None
    n_loaded = load_words(engine_layers(core))
    layers = []
    for k, (layer, params, reason) in enumerate(
        zip(qnet.layers, core.layers, plan.reasons, strict=True)
    ):
        synapse = replace(params.synapse, n_in=layer.synapse.n_in, n_out=layer.synapse.n_out)
        flat = replace(params, structure=None, grid=None)
        entry = asdict(flat)
        entry |= {
            # By number, as in network.npz; `places` of the layout hold them.
            "synapse": asdict(synapse),
            "neuron": asdict(layer.neuron),
            "places": params.neuron.n,
            "grid": None if params.grid is None else asdict(params.grid),
            "structure": _structure(params),
            "event_cycles": _event_cycles(params),
            "groups": params.groups,
            "row_lanes": params.row_lanes,
            "rows": params.rows,
            "why_lanes": reason,
            "why_storage": plan.storage_reasons[k],
            "weights": f"memory/layer{k}_weights.hex",
            "weight_exact": layer.weight_exact,
            "ternary": layer.ternary,
            "membrane_bound": layer.bound,
            "membrane_lsb": _lsb(layer),
            "sources": [
                {
                    "name": edge.source,
                    "size": edge.n_source,
                    "offset": columns.start,
                    "recurrent": edge.recurrent,
                    "delays": _delays(edge),
                    "ring": ("events" if by_events(qnet, k) else "sums") if edge.late else None,
                }
                for edge, columns in zip(layer.edges, layer.columns, strict=True)
            ],
            **_shared(core, k),
        }
        layers.append(entry)
    return {
        "format": FORMAT,
        "name": qnet.name,
        "hash": plan.hash.hex(),
        "version": version("spikefab"),
        "target": place,
        "top": "spikefab_top" if shell else "spikefab_core",
        "pins": dict(shell.ports) if shell else None,
        "constraints": shell.constraints_name if shell else None,
        "input": {
            "name": qnet.input_name,
            "shape": list(qnet.sample_shape),
            "size": qnet.n_inputs,
            "addresses": core.n_inputs,
            "max_events": core.input_max,
            **asdict(core.input),
        },
        "output": {
            "name": "+".join(layer.name for layer in shown),
            "size": qnet.n_outputs,
            "addresses": core.n_outputs,
            "kind": kinds.pop() if len(kinds) == 1 else "mixed",
            "payload_width": core.output_width,
            **({"lsb": _lsb(shown[0])} if len(shown) == 1 else {}),
        },
        "inputs": [
            {
                "name": node.name,
                "shape": list(node.shape),
                "base": base,
                "size": node.n,
                "fields": address_fields(grid),
                "max_events": qnet.source_max(node.name),
            }
            for node, base, grid in plan.structure.inputs(qnet)
        ],
        "outputs": [
            {
                "name": node.name,
                "population": layer.name,
                "base": base,
                "size": layer.neuron.n,
                "fields": address_fields(grid),
                "kind": "spikes" if layer.neuron.spiking else "membrane",
                "lsb": _lsb(layer),
            }
            for node in qnet.outputs
            for layer, base, grid in [ends[node.source]]
        ],
        "steps": qnet.steps,
        "stop": None if core.stop is None else asdict(core.stop),
        "load": {"words": n_loaded} if n_loaded else None,
        "dialect": qnet.dialect,
        "dt": qnet.dt,
        "streams": {
            "i": _stream_fields(EventLayout(core.n_inputs, unsigned(core.input.payload_width))),
            "o": _stream_fields(EventLayout(core.n_outputs, membrane_payload(core.output_width))),
            **({"load": _stream_fields(LoadLayout(n_loaded))} if n_loaded else {}),
        },
        "layers": layers,
        "predicted": {"resources": asdict(plan.resources), **predicted},
    }


def _shared(core: CoreParams, k: int) -> dict[str, Any]:
    """Of a layer that shares its engine: who with, and where its neurons are in there."""
    for first, last in core.shared:
        if first <= k <= last:
            shared = SharedParams(core.layers[first : last + 1])
            phase, module = shared.phases[k - first], _module(first, last)
            return {
                "weights": f"memory/{module}_weights.hex",
                "row_lanes": shared.row_lanes,
                "rows": phase.rows,
                "shared": {
                    "module": module,
                    "layers": [layer.name for layer in shared.layers],
                    "phase": k - first,
                    "lanes": shared.lanes,
                    "folds": shared.folds,
                    "first_place": phase.first_row * shared.row_lanes,
                    "places": shared.array.neuron.n,
                    "membrane_width": shared.array.neuron.membrane_width,
                },
            }
    return {}


def _delays(edge: QEdge) -> list[int] | None:
    """The shortest and the longest delay of an edge; None where it has none."""
    return None if edge.delays is None else [int(edge.delays.min()), int(edge.delays.max())]


def _lsb(layer: QLayer) -> list[float]:
    """Value of one membrane LSB."""
    found: list[float] = (layer.scale / 2.0**layer.neuron.fraction_bits).tolist()
    return found


def _stream_fields(layout: StructLayout) -> dict[str, list[int]]:
    """Field name to [lowest bit, width] within `payload`."""
    return {name: [field.offset, field.width] for name, field in layout}


def _header(manifest: dict[str, Any]) -> str:
    name = " ".join(manifest["name"].split())  # a comment ends with its line
    lines = [
        f"{name}: a spiking network, made by spikefab {manifest['version']}.",
        f"Design hash {manifest['hash']}. Network, weights and numbers: manifest.json.",
        "",
        *port_table(manifest),
    ]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines) + "\n"
