# SPDX-License-Identifier: Apache-2.0
"""four dense layers on a UP5K (iCEBreaker), beside SYNtzulu

32-64-128-64-12 neurons with 4-bit weights at 25 % input rate; thresholds are such that each layer
spikes at about 25 % too. Accumulates a cycle are the synapses of all events over the cycles of the
whole inference, counted in simulation.

The two large layers have the four SPRAMs, 32 bits of weights a cycle each: eight lanes. The others
have as many as keep up with them.
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.figures import Figure, Table, at_least, at_most
from bench.runs import HERE, add_build, folder_for, measure, random_events
from spikefab.gen.design import Design
from spikefab.sim.golden import run_golden

__all__ = ["add_arguments", "run"]

STEPS, RATE, SAMPLES = 32, 0.25, 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", default="icebreaker")
    parser.add_argument("--clock", type=float, default=30, help="MHz")
    parser.add_argument("--lanes", default="4,8,8,3")
    parser.add_argument("--folds", default="4,1,2,1")
    parser.add_argument("--storage", default="block,spram,spram,block")
    parser.add_argument("--fraction-bits", default="2")
    parser.add_argument("--membrane-bits", default="12")
    add_build(parser)


def run(options: argparse.Namespace) -> list[Table]:
    network = HERE / "up5k_32_64_128_64_12.toml"
    with folder_for(options.keep) as folder:
        data = random_events(folder / "events.npz", RATE, SAMPLES, STEPS, 32)
        target = [
            "--board", options.board, "--clock", options.clock, "--lanes", options.lanes,
            "--folds", options.folds, "--storage", options.storage, "--weight-bits", 4,
            "--fraction-bits", options.fraction_bits, "--membrane-bits", options.membrane_bits,
        ]  # fmt: skip
        found = measure(folder / "board", network, data, options, target)
        design = Design.load(folder / "board")
        qnet = design.qnetwork()
        x = np.load(data)["x"]
        spikes = run_golden(qnet, x).spikes
    names = [layer.name for layer in qnet.layers]
    sources = [x, *(spikes[name] for name in names[:-1])]
    fan_outs = [layer.neuron.n for layer in qnet.layers]
    total = sum(int(source.sum()) * n for source, n in zip(sources, fan_outs, strict=True))
    accumulates = total / len(x)
    figures = [
        at_least("accumulates a cycle, whole inference", accumulates / found.cycles, 16,
                 "8 at peak", 2),
        Figure(what="accumulates a cycle, back to back", value=accumulates / found.interval,
               anchor="8 at peak", digits=2),
    ]  # fmt: skip
    if found.report:
        figures += [
            at_least("clock at which timing is met, MHz", found.clock, 30, "25.2", 1),
            Figure(what="Fmax, MHz", value=found.fmax, anchor="25.2", digits=1),
            at_most("LC", found.resource("lc"), 5_000, "3,493 with its CPU"),
            Figure(what="EBR", value=found.resource("ebr"), anchor="17"),
            Figure(what="SPRAM", value=found.resource("spram"), anchor="4"),
            Figure(what="million accumulates a second",
                   value=accumulates / found.cycles * found.clock, anchor="192 at peak"),
        ]  # fmt: skip
    figures += [
        Figure(what="accumulates an inference", value=accumulates),
        Figure(what="cycles an inference", value=found.cycles),
        *(
            Figure(what=f"rate into {name}, %", value=100 * float(source.mean()), digits=1)
            for name, source in zip(names, sources, strict=True)
        ),
    ]
    lanes = ", ".join(str(layer["lanes"]) for layer in design.manifest["layers"])
    return [
        Table(
            title=f"32-64-128-64-12 on {options.board}, lanes {lanes}",
            figures=figures,
            anchor="SYNtzulu, measured",
            notes=[f"  {found.seeds}"],
        )
    ]
