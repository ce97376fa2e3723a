# SPDX-License-Identifier: Apache-2.0
"""one self-contained HTML page on a design

Network, spike raster, membranes against the threshold, weights before and after rounding,
resources, accuracy against weight bits. Without --data the design's own test vectors are shown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from spikefab.gen.design import Design
from spikefab.gen.samples import samples_for
from spikefab.scripts.console import Output
from spikefab.scripts.htmlreport import write_report
from spikefab.scripts.pipeline import Samples
from spikefab.scripts.reporting import make_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", type=Path, help="a design directory")
    parser.add_argument("--data", type=Path, metavar="F.npz", help="samples: x, and y for labels")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="PAGE", help="the page (default: DIR/report.html)"
    )


def run(options: argparse.Namespace, output: Output) -> int:
    design = Design.load(options.dir)
    qnet = design.qnetwork()
    data = options.data
    if data is None:
        with np.load(design.path / "testbench" / "vectors.npz") as vectors:
            x = vectors["x"]
        if design.input_addresses:  # they are as they are sent
            x = x[..., design.input_addresses]
        x = x.reshape(*x.shape[: 1 if qnet.input.framed else 2], *qnet.sample_shape)
        samples = Samples(x=x, y=None, given=False, input=qnet.input)
    else:
        x, y = samples_for(qnet, data)
        samples = Samples(x=x, y=y, given=True, input=qnet.input)
    page = options.out or design.path / "report.html"
    with output.step("running the samples and drawing"):
        write_report(page, make_report(design, samples))
    output.say(f"report in {page}")
    output.result({"report": str(page)})
    return 0
