#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The accumulate engine after place and route, beside the figure that it is measured against.

    python bench/engine.py --lanes 64 [--seeds 3]

784-128-10 neurons, 4-bit weights, reset by subtraction, 100 steps at 10 % input rate, on an ECP5
LFE5U-25F-6 with unconstrained pins. Spiker+ 2.0.3 (measured with the same part and tools, its own
VHDL for the same sizes): 14,236 COMB, 50.8 MHz, 92,565 cycles an inference. Place and route takes
minutes a seed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from spikefab.boards.flow import build
from spikefab.boards.target import find_target
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.scripts.pipeline import compile_design, prepare, read_samples

HERE = Path(__file__).resolve().parent
SPIKER = {"comb": 14_236, "fmax": 50.8, "cycles": 92_565}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--membrane-bits", type=int, help="clamp membranes (default: the bound)")
    options = parser.parse_args()
    network = load_network(HERE / "mnist_784_128_10.toml")
    samples = read_samples(network, None, 100)
    widths = QuantiseOptions(weight_bits=4, membrane_bits=options.membrane_bits, steps=100)
    prepared = prepare(network, widths, samples)
    with tempfile.TemporaryDirectory() as folder:
        design, _ = compile_design(
            prepared, find_target("ecp5-25f"), Path(folder) / "design", samples, lanes=options.lanes
        )
        cycles = design.manifest["predicted"]["cycles_per_inference"]
        report = build(
            design, seeds=options.seeds, progress=lambda text: print(text, file=sys.stderr)
        )
    fmax, comb = report["fmax_mhz"], report["resources"]["comb"]
    microseconds = cycles / fmax
    print(f"{'':24}{'COMB':>8}{'MHz':>8}{'cycles':>10}{'µs':>10}")
    print(f"{f'spikefab, {options.lanes} lanes':24}{comb:8,}{fmax:8.1f}{cycles:10,.0f}"
          f"{microseconds:10.1f}")  # fmt: skip
    print(f"{'Spiker+ 2.0.3':24}{SPIKER['comb']:8,}{SPIKER['fmax']:8.1f}{SPIKER['cycles']:10,}"
          f"{SPIKER['cycles'] / SPIKER['fmax']:10.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
