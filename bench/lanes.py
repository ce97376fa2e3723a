# SPDX-License-Identifier: Apache-2.0
"""how well the engine's lanes are used, counted in simulation

Accumulates (synapses that exist, weight zero or not) over lanes times the cycles in which events
wait: those in which an event is offered to a layer's engine or is being issued. Images stream
through the Verilog back to back. The bar is the first layer's; later layers get their events from a
serialiser, which gives one a cycle.
"""

from __future__ import annotations

import argparse

from bench.figures import Figure, Table, at_least
from bench.mnist import add_network, compile_words
from bench.runs import folder_for, spikefab
from spikefab.gen.design import Design
from spikefab.gen.samples import samples_for
from spikefab.sim.lane_use import count_lane_use

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network(parser)


def run(options: argparse.Namespace) -> list[Table]:
    with folder_for(None) as folder:
        spikefab("compile", options.network, "--data", options.data, "-o", folder / "design",
                 *compile_words(options))  # fmt: skip
        design = Design.load(folder / "design")
        x, _ = samples_for(design.qnetwork(), options.data)
        x = x[: options.images]
        counted = count_lane_use(design, x)
    figures = []
    for k, use in enumerate(counted):
        what = f"lane use of {use.name}, {use.lanes} lanes for {use.fan_out}, %"
        figures += [
            Figure(what=what, value=100 * use.share, digits=1)
            if k
            else at_least(what, 100 * use.share, 95, digits=1),
            Figure(what="  events an image", value=use.events / len(x), digits=1),
            Figure(what="  cycles while events wait", value=use.cycles / len(x), digits=1),
        ]
    return [Table(title=f"{options.network.stem}, {len(x)} images back to back", figures=figures)]
