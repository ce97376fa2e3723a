# SPDX-License-Identifier: Apache-2.0
"""accuracy in integers beside the float reference's, at several weight widths

The integer network and the float reference in the source framework's dialect put the same samples
into classes. Scales are chosen on other samples where --calibration gives some, without labels.
The bar is for 8 bits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.figures import Figure, Table, at_most
from bench.runs import BenchError
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions, parse_weight_bits
from spikefab.scripts.pipeline import prepare, read_samples
from spikefab.sim.fidelity import compare_to_reference

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", type=Path, metavar="NET")
    parser.add_argument("--dialect", metavar="PRESET[,FIELD=VALUE…]")
    parser.add_argument("--dt", type=float, metavar="SECONDS")
    parser.add_argument("--data", type=Path, required=True, metavar="F.npz", help="with labels")
    parser.add_argument(
        "--calibration", type=Path, metavar="F.npz", help="samples for the scales (default: --data)"
    )
    parser.add_argument("--weight-bits", default=["8", "6", "4"], nargs="+", metavar="N")
    parser.add_argument(
        "--per-channel", action=argparse.BooleanOptionalAction, help="as `spikefab check` has it"
    )


def run(options: argparse.Namespace) -> list[Table]:
    network = load_network(options.network, dialect=options.dialect, dt=options.dt)
    data = read_samples(network, options.data, None)
    if data.y is None:
        raise BenchError(f"--data {options.data}: has no labels y, which accuracy needs")
    steps = data.counts.shape[1]
    calibration = read_samples(network, options.calibration or options.data, None)
    figures: list[Figure] = []
    for text in options.weight_bits:
        bits = parse_weight_bits(text)
        chosen = QuantiseOptions(
            weight_bits=bits,
            per_channel=options.per_channel,
            input_max=data.input_max,
            steps=max(steps, calibration.counts.shape[1]),
        )
        qnet = prepare(network, chosen, calibration).qnet
        fidelity = compare_to_reference(network, qnet, data.x, data.y)
        in_float, lost = fidelity.float_accuracy, fidelity.points_lost
        in_integers = fidelity.integer_accuracy
        assert in_float is not None
        assert in_integers is not None
        assert lost is not None
        if not figures:
            figures.append(Figure(what="in float, %", value=100 * in_float, digits=2))
        what = "  points lost"
        figures += [
            Figure(what=f"{text} weight bits, %", value=100 * in_integers, digits=2),
            at_most(what, lost, 1, digits=2)
            if bits == 8
            else Figure(what=what, value=lost, digits=2),
            Figure(what="  same class as in float, %", value=100 * fidelity.agreement, digits=2),
        ]
    title = f"{options.network.stem}, {network.dialect}, {len(data.x):,} samples of {steps} steps"
    return [Table(title=title, figures=figures)]
