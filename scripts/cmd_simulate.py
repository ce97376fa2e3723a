# SPDX-License-Identifier: Apache-2.0
"""runs samples through a design in float, integers, Verilog or gates

Engines: `float` the float reference in the framework's dialect; `golden` the integer model in
numpy; `rtl` the design's Verilog in Verilator; `gates` its netlist after synthesis. What rtl and
gates put out is compared with golden: exit status 1 and the first difference where they differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.gen.design import Design
from spikefab.gen.errors import InputError
from spikefab.gen.network_file import load_saved_network
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.samples import samples_for
from spikefab.scripts.console import Output
from spikefab.scripts.measured import record_measured
from spikefab.scripts.pipeline import locate_mismatch, save_result
from spikefab.sim.compare import first_mismatch
from spikefab.sim.core_run import SimResult
from spikefab.sim.encode import encode
from spikefab.sim.fidelity import predicted_class
from spikefab.sim.golden import GoldenResult, run_golden
from spikefab.sim.outputs import by_population, named_outputs
from spikefab.sim.reference import run_reference
from spikefab.sim.rtl import simulate_rtl


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", type=Path, help="a design directory")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="F.npz", help="samples: x, and y for labels"
    )
    parser.add_argument(
        "--engine",
        choices=("float", "golden", "rtl", "gates"),
        default="golden",
        help="what computes (default: golden)",
    )
    parser.add_argument("--count", type=int, metavar="N", help="only the first N samples")
    parser.add_argument("-o", "--out", type=Path, metavar="OUT.npz", help="where to save spikes")
    parser.add_argument("--record", choices=("mem",), help="also save the membranes of every layer")
    parser.add_argument("--fst", type=Path, metavar="WAVES", help="record a waveform (rtl, gates)")
    parser.add_argument(
        "--stalls",
        type=float,
        default=0.0,
        metavar="P",
        help="one more pass with random pauses at both ends, probability P a cycle (rtl, gates)",
    )


def run(options: argparse.Namespace, output: Output) -> int:
    design = Design.load(options.dir)
    qnet = design.qnetwork()
    hardware = options.engine in ("rtl", "gates")
    if options.fst and not hardware:
        raise InputError(f"--fst: engine {options.engine} has no waveform; use rtl or gates")
    if not 0 <= options.stalls < 1:
        raise InputError(f"--stalls {options.stalls}: must be 0 to below 1")
    if options.stalls and not hardware:
        raise InputError(f"--stalls: engine {options.engine} has no streams; use rtl or gates")
    x, y = samples_for(qnet, options.data)
    if options.count is not None:
        if options.count < 1:
            raise InputError(f"--count {options.count}: must be 1 or more")
        x, y = x[: options.count], None if y is None else y[: options.count]
    if options.engine == "float":
        return _float(design, qnet, x, y, options, output)
    names = [layer.name for layer in qnet.layers]
    record = names if options.record else []
    with output.progress("golden") as progress:
        golden = run_golden(qnet, x, record=record, progress=progress)
    spikes, mem = golden.spikes, dict(golden.mem)
    used = golden.steps_used
    values: dict[str, Any] = {
        "engine": options.engine,
        "samples": len(x),
        "steps": golden.spikes[names[-1]].shape[1],
    }
    arrays: dict[str, Any] = {}
    status = 0
    if hardware:
        with output.progress(options.engine) as progress:
            result = simulate_rtl(
                design,
                x,
                engine=options.engine,
                fst=options.fst,
                record=record,
                back_pressure=options.stalls,
                progress=progress,
                message=output.note,
            )
        status = _compare(design, x, golden, result, options, output)
        spikes, mem = by_population(qnet, result.spikes), result.mem or {}
        used = result.steps_used
        arrays |= {"cycles": result.cycles, "interval": result.interval}
        values |= {
            "cycles_per_inference": float(result.cycles.mean()),
            "interval_cycles": float(result.interval.mean()),
            "equals_golden": status == 0,
        }
        if status == 0 and options.engine == "rtl":
            record_measured(
                design,
                cycles_per_inference=values["cycles_per_inference"],
                interval_cycles=values["interval_cycles"],
                basis=f"{len(x)} simulated samples of {values['steps']} steps",
            )
        output.say(
            f"{result.cycles.mean():,.1f} cycles an inference, {result.interval.mean():,.1f} back "
            "to back"
        )
    if qnet.stop is not None:
        arrays |= {"steps_used": used}
        values |= {"steps_used": float(used.mean())}
        output.say(f"{used.mean():.2f} of {values['steps']} steps a sample")
    _finish(qnet, spikes, mem, y, arrays, values, options, output, used)
    return status


def _compare(
    design: Design,
    x: np.ndarray,
    golden: GoldenResult,
    result: SimResult,
    options: argparse.Namespace,
    output: Output,
) -> int:
    labels = ("golden", options.engine)
    put_out = by_population(design.qnetwork(), result.spikes)
    shown = {name: counts for name, counts in golden.spikes.items() if name in put_out}
    found = first_mismatch(shown, put_out, labels=labels)
    if found is None and result.mem:
        found = first_mismatch(golden.mem, result.mem, labels=labels, quantity="membrane")
    if found is None and (golden.steps_used != result.steps_used).any():
        at = int(np.argmax(golden.steps_used != result.steps_used))
        output.err.print(
            f"{options.engine} differs from golden: sample {at} ends after "
            f"{result.steps_used[at]} steps, not {golden.steps_used[at]}",
            style="red",
            markup=False,
        )
        return 1
    if found is None:
        output.say(f"{options.engine} = golden on {len(x)} samples, every spike")
        return 0
    output.err.print(f"{options.engine} differs from golden: {found}", style="red", markup=False)
    first = locate_mismatch(design, x, found.sample, output.note)
    if first is not None:
        output.err.print(f"it begins at {first}", style="red", markup=False)
    elif options.engine == "gates":
        output.note("the Verilog itself equals golden there: the difference is in the netlist")
    return 1


def _float(
    design: Design,
    qnet: QNetwork,
    x: np.ndarray,
    y: np.ndarray | None,
    options: argparse.Namespace,
    output: Output,
) -> int:
    network = load_saved_network(design.path / "reference.npz")
    x = encode(qnet.input, x)
    with output.progress("float") as progress:
        result = run_reference(network, x, record=bool(options.record), progress=progress)
    values = {"engine": "float", "samples": len(x), "steps": x.shape[1]}
    if qnet.stop is not None:
        output.say("float runs all steps: the early stop is the integers'")
    _finish(qnet, result.spikes, dict(result.mem or {}), y, {}, values, options, output)
    return 0


def _finish(
    qnet: QNetwork,
    spikes: dict[str, np.ndarray],
    mem: dict[str, np.ndarray],
    y: np.ndarray | None,
    arrays: dict[str, Any],
    values: dict[str, Any],
    options: argparse.Namespace,
    output: Output,
    used: np.ndarray | None = None,
) -> None:
    """Accuracy, of the first output, the file and the JSON: the same for every engine."""
    first = qnet.output_layers[0]
    if y is not None:
        membranes = None if first.neuron.spiking else mem[first.name]
        answers = predicted_class(spikes[first.name], membranes, used)
        values["accuracy"] = float((answers == y).mean())
        output.say(f"accuracy {values['accuracy']:.2%} of {len(y)} samples")
    spiking = [q.name for q in qnet.output_layers if q.neuron.spiking]
    if spiking:
        values["output_spikes"] = (
            sum(float(spikes[name].sum()) for name in spiking) / values["samples"]
        )
        output.say(f"{values['output_spikes']:.1f} output spikes a sample")
    if options.out:
        arrays |= named_outputs(qnet, spikes, mem)
        save_result(options.out, arrays)
        values["out"] = str(options.out)
        output.say(f"saved {', '.join(sorted(arrays))} in {options.out}")
    output.result(values)
