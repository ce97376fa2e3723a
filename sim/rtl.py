# SPDX-License-Identifier: Apache-2.0
"""Runs a design's Verilog in Verilator, as written or after synthesis: spikes and cycle counts.

`docs/simulation.md` says what is driven, when, and what is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spikefab.gen.design import Design, drains
from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QLayer
from spikefab.gen.samples import check_samples
from spikefab.sim.core_program import Core, Monitor, OutputPart, build_core
from spikefab.sim.core_run import SimResult, run_core
from spikefab.sim.gates import family_of, netlist
from spikefab.sim.toolchain import Progress, cells, locked

__all__ = ["Engine", "simulate_rtl"]

Engine = Literal["rtl", "gates"]

SHORT_RUN = 20_000
"""Clock cycles up to which compiling the model takes longer than running it unoptimised."""

LONG_RUN = 2_000_000
"""Clock cycles from which a slower, better compilation of the model pays."""


def simulate_rtl(
    design: Design,
    x: np.ndarray,
    *,
    engine: Engine = "rtl",
    fst: Path | None = None,
    record: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
    message: Progress | None = None,
    back_pressure: float = 0.0,
    seed: int = 0,
    shuffle: int | None = None,
) -> SimResult:
    """Runs samples through the module `spikefab_core` of a design.

    `x`: samples as `sim.golden.run_golden` takes them.
    `engine`: `rtl` for the Verilog as written, `gates` for its netlist after synthesis.
    `fst`: where to write a waveform of the samples, each alone in the core.
    `record`: populations whose membranes and spikes to record (`rtl` only).
    `back_pressure`: probability of a pause at either end, a cycle, in one more pass with `seed`.
    `shuffle`: a seed for the order of the events in each step; None: in order of address.
    `progress(done, total)` counts samples; `message` takes lines about the tools.
    Raises `SimulationError` where the core hangs or its passes differ, `InputError` for samples
    that it does not take and tools that are missing.
    """
    qnet = design.qnetwork()
    x = check_samples(qnet, x)
    steps = qnet.input.steps or x.shape[1]
    if qnet.input.framed:
        x = x[:, None]
    parts = tuple(
        OutputPart(name=layer.name, n=layer.neuron.n, membrane=not layer.neuron.spiking)
        for layer in qnet.output_layers
    )
    loaded = design.manifest.get("load")
    load = design.path / "memory" / "load.hex" if loaded else None
    if load is not None and not load.is_file():
        raise InputError(f"{load}: no such file; compile the design again")
    core = Core(
        n_inputs=qnet.n_inputs,
        n_outputs=qnet.n_outputs,
        payload_width=max(
            0 if layer.neuron.spiking else layer.neuron.membrane_width
            for layer in qnet.output_layers
        ),
        value_width=qnet.input.payload_width,
        changes=qnet.input.coding == "delta",
        stops=qnet.stop is not None,
        load_words=loaded["words"] if loaded else 0,
        drains=drains(design.manifest),
        input_at=design.input_addresses,
        output_at=design.output_addresses,
        parts=parts,
    )
    monitors = _monitors(design, record) if record else []
    if fst is not None:
        _check_writable(fst)
    folder = design.build / "simulate" / engine
    if engine == "gates" and record:
        raise InputError(
            "--record: a netlist after synthesis has no membranes to record; use --engine rtl"
        )
    events = int(np.count_nonzero(x) if qnet.input.payload_width else x.sum())
    busiest = max(_lanes_cost(design))
    cycles = 2 * (events * busiest + x.shape[0] * steps * 16)
    with locked(folder):
        sources = [design.verilog]
        if engine == "gates":
            family = family_of(design)
            sources = [
                netlist(
                    design.verilog,
                    family,
                    folder,
                    device=str(design.manifest["target"]["device"]),
                    progress=message,
                ),
                *cells(family, folder),
            ]
        program = build_core(
            core,
            sources,
            folder,
            monitors=monitors,
            fst=fst is not None,
            optimise=_level(engine, cycles),
            progress=message,
        )
    hang = 10_000 + 4 * sum(
        sum(edge.n_source * qnet.source_max(edge.source) for edge in layer.edges) * layer.neuron.n
        + layer.neuron.n * (1 + layer.neuron.max_count + max(e.longest for e in layer.edges))
        for layer in qnet.layers
    )
    return run_core(
        program,
        core,
        x.reshape(*x.shape[:2], -1),
        shuffle=shuffle,
        monitors=monitors,
        fst=fst,
        progress=progress,
        back_pressure=back_pressure,
        seed=seed,
        hang=hang,
        steps=steps,
        load=load,
    )


def _level(engine: Engine, cycles: int) -> str:
    """How well the model is to be compiled."""
    if engine == "gates":
        return "-O2" if cycles > LONG_RUN else "-Og"
    return "-O0" if cycles < SHORT_RUN else "-O1"


def _check_writable(fst: Path) -> None:
    """Verilator's writer says nothing where it cannot write."""
    try:
        fst.parent.mkdir(parents=True, exist_ok=True)
        new = not fst.exists()
        with open(fst, "ab"):
            pass
        if new:
            fst.unlink()
    except OSError as error:
        raise InputError(
            f"{fst}: the waveform cannot be written ({error.strerror or error}); choose another "
            "file, or make room"
        ) from None


def _lanes_cost(design: Design) -> list[int]:
    """Cycles that an event costs in each layer."""
    costs = []
    for layer, entry in zip(design.qnetwork().layers, design.manifest["layers"], strict=True):
        groups = -(-layer.neuron.n // int(entry.get("lanes", layer.neuron.n)))
        costs.append(int(entry.get("event_cycles", [groups])[-1]))
    return costs


def _monitors(design: Design, record: Sequence[str]) -> list[Monitor]:
    """Where the Verilog holds the recorded populations."""
    layers = design.qnetwork().layers
    names = [layer.name for layer in layers]
    unknown = [name for name in record if name not in names]
    if unknown:
        raise InputError(
            f"--record: no population {', '.join(map(repr, unknown))}; there are {', '.join(names)}"
        )
    entries = design.manifest["layers"]
    return [
        _monitor(k, layer, entry, design.place_order(k))
        for k, (layer, entry) in enumerate(zip(layers, entries, strict=True))
        if layer.name in record
    ]


def _monitor(k: int, layer: QLayer, entry: dict[str, Any], order: tuple[int, ...]) -> Monitor:
    """One population's neuron array, or its part of one that several share."""
    shared = entry.get("shared")
    counts = layer.neuron.count_width if layer.neuron.spiking else 0
    if shared:
        first = int(shared["first_place"])
        return Monitor(
            name=layer.name,
            path=f"{shared['module']}.neurons",
            n=int(shared["places"]),
            lanes=int(entry["row_lanes"]),
            membrane_width=int(shared["membrane_width"]),
            count_width=counts,
            order=tuple(range(first, first + layer.neuron.n)),
        )
    return Monitor(
        name=layer.name,
        path=f"layer{k}.neurons",
        n=int(entry.get("places", layer.neuron.n)),
        lanes=int(entry["row_lanes"]),
        membrane_width=layer.neuron.membrane_width,
        count_width=counts,
        order=order,
    )
