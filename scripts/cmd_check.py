# SPDX-License-Identifier: Apache-2.0
"""what maps, and what the integers cost against the float reference

Reads the network, puts it in integers and, with --data, runs both on the same samples: spike
differences and the largest membrane difference a layer, and the accuracy of both where the data
have labels.
"""

from __future__ import annotations

import argparse

from spikefab.gen.dialect import describe_dialects
from spikefab.gen.errors import InputError
from spikefab.gen.network_text import describe_network
from spikefab.scripts.console import Output
from spikefab.scripts.options import (
    add_network,
    add_quantise,
    network_of,
    quantise_of,
    samples_of,
)
from spikefab.scripts.pipeline import prepare
from spikefab.scripts.stopping import add_stop, stop_of
from spikefab.sim.fidelity import compare_to_reference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network(parser, optional=True)  # `check --dialects` needs none
    add_quantise(parser)
    add_stop(parser)
    parser.add_argument(
        "--dialects", action="store_true", help="list dialect presets and fields, and stop"
    )


def run(options: argparse.Namespace, output: Output) -> int:
    if options.dialects:
        text = describe_dialects()
        output.say(text)
        output.result({"dialects": text})
        return 0
    if options.net is None:
        raise InputError("NET: missing; give a .nir graph or a .toml config (or --dialects)")
    network = network_of(options)
    for note in network.notes:
        output.say(f"note: {note}")
    output.say(f"{network.name}: dialect {network.dialect}, dt {network.dt:g} s")
    graph = describe_network(network)
    for line in graph:
        output.say(f"  {line}")
    samples = samples_of(options, network)
    prepared = prepare(network, quantise_of(options, network, samples), samples)
    prepared, stop = stop_of(options, prepared, samples)
    output.say("in integers:")
    for line in prepared.report.lines():
        output.say(f"  {line}")
    values: dict[str, object] = {
        "name": network.name,
        "dialect": str(network.dialect),
        "dt": network.dt,
        "notes": list(network.notes),
        "graph": graph,
        "layers": prepared.report.lines(),
    }
    if samples.given:
        with output.progress("comparing") as progress:
            fidelity = compare_to_reference(
                network, prepared.qnet, samples.x, samples.y, local=True, progress=progress
            )
        output.say(f"against the float reference, {fidelity.samples} samples:")
        for line in fidelity.lines():
            output.say(f"  {line}")
        output.say("step by step:")
        for line in fidelity.by_step():
            output.say(f"  {line}")
        values["fidelity"] = fidelity.as_dict()
        if stop is not None:
            for line in stop.lines():
                output.say(line)
            values["early_stop"] = stop.as_dict()
    else:
        output.say("give samples with --data to see what the integers cost")
    output.result(values)
    return 0
