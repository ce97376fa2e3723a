# SPDX-License-Identifier: Apache-2.0
"""streams samples to a board, or to the virtual one, and compares

`--port virtual` compiles the whole top, pins and UART included, with Verilator, and talks to it
through a pseudo-terminal with the very code that talks to a board. What comes back is compared with
the golden model: exit status 1 where it differs.
"""

from __future__ import annotations

import argparse
import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.gen.design import Design
from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.samples import samples_for
from spikefab.host.driver import Board, RunResult
from spikefab.scripts.console import Output
from spikefab.scripts.pipeline import save_result
from spikefab.sim.compare import first_mismatch
from spikefab.sim.golden import run_golden
from spikefab.sim.outputs import by_population, named_outputs
from spikefab.sim.virtual import VirtualBoard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", type=Path, help="a design directory for a board")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="F.npz", help="samples: x, and y for labels"
    )
    parser.add_argument(
        "--port", required=True, metavar="PORT", help="virtual, or a serial port: /dev/ttyUSB0"
    )
    parser.add_argument("--count", type=int, metavar="N", help="only the first N samples")
    parser.add_argument("-o", "--out", type=Path, metavar="OUT.npz", help="where to save spikes")
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds of silence to bear"
    )


def run(options: argparse.Namespace, output: Output) -> int:
    if not 0 < options.timeout < math.inf:
        raise InputError(f"--timeout {options.timeout:g}: must be a number of seconds above 0")
    design = Design.load(options.dir)
    qnet = design.qnetwork()
    x, y = samples_for(qnet, options.data)
    if options.count is not None:
        if options.count < 1:
            raise InputError(f"--count {options.count}: must be 1 or more")
        x, y = x[: options.count], None if y is None else y[: options.count]
    result = stream(design, x, options.port, output, timeout=options.timeout)
    values: dict[str, Any] = {
        "port": options.port,
        "samples": len(x),
        "retries": result.n_retries,
        "board_cycles": float(result.cycles.mean()),
        "line_bytes": [n / len(x) for n in result.n_line_bytes],
        "line_samples_per_s": line_limit(design, result),
    }
    if y is not None:
        values["accuracy"] = float((result.classes == y).mean())
        output.say(f"accuracy {values['accuracy']:.2%} of {len(y)} samples")
    sent, back = values["line_bytes"]
    output.say(
        f"the line: {sent:.0f} bytes a sample to the board, {back:.0f} back: at most "
        f"{values['line_samples_per_s']:,.0f} samples a second"
    )
    if result.n_retries:
        output.say(f"the line failed {result.n_retries} times; those samples were sent again")
    status = compare(design, x, result, output)
    values["equals_golden"] = status == 0
    if options.out:
        arrays: dict[str, Any] = {"classes": result.classes}
        arrays |= named_outputs(qnet, *_by_population(qnet, result))
        if qnet.stop is not None:
            arrays["steps_used"] = result.steps_used
        save_result(options.out, arrays)
        values["out"] = str(options.out)
        output.say(f"saved {', '.join(sorted(arrays))} in {options.out}")
    output.result(values)
    return status


def _by_population(
    qnet: QNetwork, result: RunResult
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Spikes of the output populations, and integrators' membranes."""
    assert result.spikes is not None
    mem = {} if result.mem is None else by_population(qnet, result.mem.astype(np.int64))
    kept = {name: own for name, own in mem.items() if not qnet.by_name[name].neuron.spiking}
    return by_population(qnet, result.spikes), kept


def stream(
    design: Design, x: np.ndarray, port: str, output: Output, *, timeout: float = 10.0
) -> RunResult:
    """Runs samples on the board behind a port; `virtual` starts one and stops it."""
    with ExitStack() as stack:
        if port == "virtual":
            port = stack.enter_context(VirtualBoard(design, message=output.note)).port
        with output.progress("weights, words") as on_load:
            board = Board.open(port, design.path, timeout=timeout, on_load=on_load)
        stack.enter_context(board)
        progress = stack.enter_context(output.progress("board"))
        return board.run(x, progress=progress)


def line_limit(design: Design, result: RunResult) -> float:
    """Samples a second that the UART can carry, ten bits a byte, both ways at once."""
    target = design.manifest["target"]
    clock = float(target["clock_hz"])
    baud = clock / round(clock / float(target["baud"]))
    return baud / 10 * len(result.classes) / max(1, *result.n_line_bytes)


def compare(design: Design, x: np.ndarray, result: RunResult, output: Output) -> int:
    """0 where the board's spikes, or membranes, and its steps equal the golden model's, else 1."""
    qnet = design.qnetwork()
    golden = run_golden(qnet, x)
    labels = ("golden", "board")
    spikes, mem = _by_population(qnet, result)
    found = first_mismatch(golden.spikes, spikes, labels=labels)
    if found is None and mem:
        found = first_mismatch(golden.mem, mem, labels=labels, quantity="membrane")
    differs = np.flatnonzero(result.steps_used != golden.steps_used)
    if found is None and len(differs):
        k = int(differs[0])
        output.err.print(
            f"the board differs from golden: sample {k} ended after {result.steps_used[k]} steps, "
            f"golden {golden.steps_used[k]}",
            style="red",
            markup=False,
        )
        return 1
    if found is None:
        output.say(f"board = golden on {len(x)} samples, every spike")
        return 0
    output.err.print(f"the board differs from golden: {found}", style="red", markup=False)
    return 1
