# SPDX-License-Identifier: Apache-2.0
"""MNIST: accuracy in integers, microseconds an image, images a second

A network trained with direct coding, its images offered as event streams, one event a cycle. Cycles
are counted in simulation on the first images, where Verilog and golden model must be equal, and
given by the cost model, which is exact, on all of them; microseconds are at the placed clock.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.figures import Figure, Table, at_least, at_most
from bench.runs import HERE, BenchError, add_build, folder_for, measure
from spikefab.boards.target import find_target
from spikefab.gen.cost import predict_cycles
from spikefab.gen.design import Design
from spikefab.gen.plan import make_plan
from spikefab.gen.samples import samples_for
from spikefab.scripts.pipeline import target_budget
from spikefab.sim.golden import run_golden
from spikefab.sim.stop import scores

__all__ = ["add_arguments", "add_network", "compile_words", "run"]

EXAMPLES = HERE.parent / "examples"


def add_network(parser: argparse.ArgumentParser) -> None:
    """A trained network and its images."""
    parser.add_argument(
        "network",
        type=Path,
        nargs="?",
        default=EXAMPLES / "mnist_static_784_128_10.nir",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="F.npz",
        help="the test images, as spikefab.examples.mnist_static writes them",
    )
    parser.add_argument("--input", default="static", help="coding of the samples")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--device", default="ecp5-25f")
    parser.add_argument("--lanes", default="128")
    parser.add_argument("--weight-bits", default="4")
    parser.add_argument("--images", type=int, default=200, help="images to simulate")


def compile_words(options: argparse.Namespace) -> list[object]:
    """The options of `spikefab compile` that say the same."""
    return [
        "--device", options.device, "--lanes", options.lanes,
        "--weight-bits", options.weight_bits, "--input", options.input, "--steps", options.steps,
    ]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network(parser)
    parser.add_argument("--accuracy", type=float, default=98.0, help="the bar, %%")
    add_build(parser)


def run(options: argparse.Namespace) -> list[Table]:
    with folder_for(options.keep) as folder:
        found = measure(folder / "mnist", options.network, options.data, options,
                        compile_words(options),
                        ["--count", options.images])  # fmt: skip
        design = Design.load(folder / "mnist")
        qnet = design.qnetwork()
    x, labels = samples_for(qnet, options.data)
    if labels is None:
        raise BenchError(f"{options.data}: no labels y in it")
    golden = run_golden(qnet, x, full=True)
    spikes = [golden.spikes[layer.name] for layer in qnet.layers]
    used = golden.steps_used
    score = scores(spikes[-1], golden.mem.get(qnet.layers[-1].name))
    answers = score[np.arange(len(x)), used - 1].argmax(axis=1)
    right = 100 * float((answers == labels).mean())
    layers = design.manifest["layers"]
    lanes, folds, storage = (
        [layer[key] for layer in layers] for key in ("lanes", "folds", "storage")
    )
    budget = target_budget(find_target(options.device))
    core = make_plan(qnet, budget, lanes=lanes, folds=folds, storage=storage).core
    exact = predict_cycles(core, x, spikes, used)
    n = min(options.images, len(x))
    first = predict_cycles(core, x[:n], [s[:n] for s in spikes], used[:n])
    for name, counted, told in (
        ("cycles", found.cycles, first.cycles.mean()),
        ("interval", found.interval, first.interval.mean()),
    ):
        if counted != told:
            raise BenchError(f"{name}: {counted} in simulation, {told} by the cost model")
    cycles, interval = float(exact.cycles.mean()), float(exact.interval.mean())
    events = float(np.count_nonzero(x) if qnet.input.payload_width else x.sum()) / len(x)
    hidden = sum(float(s.sum()) for s in spikes[:-1]) / len(x)
    figures = [at_least(f"accuracy of {len(x):,} images, %", right, options.accuracy, digits=2)]
    if found.report:
        mhz = found.fmax
        us, rate = cycles / mhz, 1e6 * mhz / interval
        others = "780 (Spiker+), 26 (Cerebron), stated"
        slower = "22,600 (Skydiver), 13,086 (SyncNN), stated"
        if options.device == "ecp5-25f":
            figures += [
                at_most("µs an image", us, 3, others, 2),
                at_least("images a second", rate, 500_000, slower),
            ]
        else:  # The bars are the 25F's.
            figures += [
                Figure(what="µs an image", value=us, anchor=others, digits=2),
                Figure(what="images a second", value=rate, anchor=slower),
            ]
        what = "COMB" if "comb" in found.report["resources"] else "LC"
        figures += [
            Figure(what="Fmax, MHz", value=mhz, digits=1),
            Figure(what=what, value=found.resource("comb", "lc")),
            Figure(what="block RAM", value=found.resource("ram", "ebr")),
        ]
    figures += [
        Figure(what="cycles an image", value=cycles, digits=1),
        Figure(what="cycles back to back", value=interval, digits=1),
        Figure(what="steps an image", value=float(used.mean()), digits=2),
        Figure(what="events an image", value=events, digits=1),
        Figure(what="hidden spikes an image", value=hidden, digits=1),
        Figure(what="images on which Verilog = golden", value=n),
    ]
    return [
        Table(
            title=f"{options.network.stem} on {options.device}, {options.lanes} lanes, "
            f"{options.input} input, {options.steps} steps",
            figures=figures,
            anchor="others",
            notes=[f"  {found.seeds}"],
        )
    ]
