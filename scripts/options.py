# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from spikefab.gen.errors import InputError
from spikefab.gen.load import load_network
from spikefab.gen.network import Network
from spikefab.gen.options import QuantiseOptions, parse_weight_bits
from spikefab.scripts.pipeline import MAX_INPUT, Samples, read_samples

__all__ = [
    "add_network",
    "add_quantise",
    "network_of",
    "parse_numbers",
    "quantise_of",
    "samples_of",
]


def add_network(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """NET and how to read it."""
    parser.add_argument(
        "net",
        metavar="NET",
        type=Path,
        nargs="?" if optional else None,
        help="a .nir graph or a .toml config",
    )
    group = parser.add_argument_group("reading the network")
    group.add_argument(
        "--dialect",
        metavar="PRESET[,FIELD=VALUE…]",
        help="how the source framework steps its neurons, e.g. snntorch-subtract, norse, sinabs, "
        "spikingjelly; `spikefab check --dialects` lists presets and fields",
    )
    group.add_argument(
        "--dt", type=float, metavar="SECONDS", help="length of a step (default: the dialect's)"
    )
    group.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="most steps a sample: bounds the membranes of neurons without a leak",
    )
    group.add_argument(
        "--data",
        type=Path,
        metavar="F.npz",
        help="samples: x, integer event counts (samples, steps, *input shape), or values "
        "(samples, *input shape) where --input takes frames, and y, labels, if there are any; "
        "scales and predictions are made on them",
    )
    group.add_argument(
        "--input",
        default="spikes",
        choices=("spikes", "static", "rate", "latency", "delta"),
        help="what the host sends: spikes; or values, of which the fabric makes the same input "
        "current in each of --steps steps (static), spikes with a probability (rate), one spike, "
        "the sooner the larger the value (latency), or a spike where a value has changed (delta)",
    )
    group.add_argument(
        "--graded",
        action="store_true",
        help="with --input spikes: a count of n is one event of value n instead of n events",
    )
    group.add_argument(
        "--rate-seed",
        type=int,
        metavar="N",
        help="with --input rate: where the random numbers of a sample start (default: 1)",
    )
    group.add_argument(
        "--delta-threshold",
        type=int,
        metavar="N",
        help="with --input delta: the smallest rise that makes a spike (default: 1)",
    )
    group.add_argument(
        "--delta-off",
        action="store_true",
        help="with --input delta: falls make spikes too, at the second half of the inputs",
    )


def add_quantise(parser: argparse.ArgumentParser) -> None:
    """How to put it in integers."""
    group = parser.add_argument_group("numbers")
    group.add_argument(
        "--weight-bits",
        default="6",
        metavar="N|N,N,…|ternary",
        help="bits of a weight, 1 (binary: +1 and -1) to 8, for all layers or one a layer "
        "(default: 6)",
    )
    group.add_argument(
        "--per-channel",
        action=argparse.BooleanOptionalAction,
        help="a weight scale for each neuron of every layer, or one for each layer (default: one "
        "each in layers whose neurons' weights differ much, where that costs a threshold each and "
        "no more; a line says so)",
    )
    group.add_argument(
        "--membrane-bits",
        type=int,
        metavar="N",
        help="most bits of a membrane; clamped there when the bound needs more "
        "(default: what the bound needs)",
    )
    group.add_argument(
        "--fraction-bits",
        type=int,
        metavar="N",
        help="bits of a membrane below a weight's (default: from thresholds and leaks)",
    )
    group.add_argument(
        "--count-bits",
        type=int,
        metavar="N",
        help="most bits of the spikes that a neuron counts in a step, where the dialect has "
        "several (default: what its weights can make it fire, at most 8)",
    )
    group.add_argument(
        "--leak-rounding",
        choices=("floor", "nearest", "toward-zero"),
        help="how a leaked membrane is rounded (default: nearest, or the dialect's)",
    )
    group.add_argument(
        "--input-max",
        type=int,
        metavar="N",
        help="most events that an input receives in a step (default: the data's, or 1)",
    )


def network_of(options: argparse.Namespace) -> Network:
    """Loads NET as the options say."""
    return load_network(options.net, dialect=options.dialect, dt=options.dt, steps=options.steps)


def samples_of(options: argparse.Namespace, network: Network) -> Samples:
    """The samples that --data names, or random ones."""
    limit = getattr(options, "input_max", None)
    if options.graded and options.input != "spikes":
        raise InputError(f"--graded: --input {options.input} carries values already; leave it out")
    if limit is not None and not 1 <= limit <= MAX_INPUT:
        raise InputError(f"--input-max {limit}: must be 1 to {MAX_INPUT}")
    seed, threshold = options.rate_seed, options.delta_threshold
    for flag, given, coding in (
        ("--rate-seed", seed is not None, "rate"),
        ("--delta-threshold", threshold is not None, "delta"),
        ("--delta-off", options.delta_off, "delta"),
    ):
        if given and options.input != coding:
            raise InputError(
                f"{flag}: only --input {coding} has it, this is --input {options.input}; leave it "
                "out"
            )
    if seed is not None and not 1 <= seed < 1 << 32:
        raise InputError(f"--rate-seed {seed}: must be 1 to {(1 << 32) - 1}")
    if threshold is not None and threshold < 1:
        raise InputError(f"--delta-threshold {threshold}: must be 1 or more")
    return read_samples(
        network,
        options.data,
        options.steps or network.steps,
        limit,
        coding=options.input,
        graded=options.graded,
        seed=1 if seed is None else seed,
        threshold=1 if threshold is None else threshold,
        off=options.delta_off,
    )


def quantise_of(
    options: argparse.Namespace, network: Network, samples: Samples | None = None
) -> QuantiseOptions:
    """The options as the quantiser takes them."""
    steps = options.steps or network.steps
    if steps is None and samples is not None and samples.given:
        steps = samples.counts.shape[1]
    return QuantiseOptions(
        weight_bits=parse_weight_bits(options.weight_bits),
        per_channel=options.per_channel,
        membrane_bits=options.membrane_bits,
        fraction_bits=options.fraction_bits,
        count_bits=options.count_bits,
        leak_rounding=options.leak_rounding,
        input_max=1 if options.input_max is None else options.input_max,
        steps=steps,
    )


def parse_numbers(option: str, text: str) -> int | list[int] | None:
    """`auto`, `N` or `N,N,…`: one for all layers, or one a layer."""
    if text == "auto":
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"{option} {text}: must be auto, a number, or a number a layer: 16,8"
        ) from None
    return numbers[0] if len(numbers) == 1 else numbers
