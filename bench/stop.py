# SPDX-License-Identifier: Apache-2.0
"""Early stop: steps and cycles saved, and what they cost, on images kept out of the calibration

Margins are chosen on the training images alone. On the test images the golden model counts steps
and right answers, and the cost model, which is exact, the cycles. Nothing is built.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.figures import Figure, Table
from bench.runs import HERE, BenchError
from spikefab.boards.target import find_target
from spikefab.examples import digits, mnist, mnist_static
from spikefab.gen.cost import predict_cycles
from spikefab.gen.load import load_network
from spikefab.gen.options import QuantiseOptions
from spikefab.gen.plan import make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.stop import calibrate_margins, with_stop
from spikefab.hdl.params import InputParams
from spikefab.scripts.pipeline import Samples, prepare, target_budget
from spikefab.sim.encode import encode
from spikefab.sim.golden import run_golden
from spikefab.sim.stop import leads, scores, steps_used

__all__ = ["add_arguments", "run"]

EXAMPLES = HERE.parent / "examples"
LOSSES = (0.0, 0.5, 1.0)
CHUNK = 2000
"""Images whose scores are kept at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Case:
    """A network on a part, with images to calibrate and images to judge."""

    title: str
    qnet: QNetwork
    lanes: int
    device: str
    training: Samples
    test: Samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mnist", type=Path, metavar="FOLDER", help="MNIST's idx files: its network too"
    )
    parser.add_argument("--images", type=int, default=1000, help="images to count cycles of")


def run(options: argparse.Namespace) -> list[Table]:
    cases = [_digits()]
    if options.mnist is not None:
        cases.append(_mnist(options.mnist))
    return [_table(case, options.images) for case in cases]


def _digits() -> _Case:
    pixels, labels = digits.load()
    training, test = (
        Samples(x=digits.encode(pixels[part]), y=labels[part], given=True)
        for part in digits.split(labels)
    )
    network = load_network(EXAMPLES / "digits.nir", steps=digits.STEPS)
    qnet = prepare(network, QuantiseOptions(weight_bits=6), training).qnet
    return _Case(title="digits, 64-48-10, spikes", qnet=qnet, lanes=8, device="ecp5-25f",
                 training=training, test=test)  # fmt: skip


def _mnist(folder: Path) -> _Case:
    static = InputParams(coding="static", payload_width=3, steps=4)
    parts = []
    for part in ("train", "test"):
        try:
            pixels, labels = mnist.load(folder, part)
        except (OSError, ValueError) as error:
            raise BenchError(f"--mnist: {error}") from None
        parts.append(Samples(x=mnist_static.encode(pixels), y=labels, given=True, input=static))
    network = load_network(EXAMPLES / "mnist_static_784_128_10.nir", steps=4)
    qnet = prepare(network, QuantiseOptions(weight_bits=4, steps=4), parts[0]).qnet
    return _Case(title="MNIST, 784-128-10, static", qnet=qnet, lanes=128, device="ecp5-25f",
                 training=parts[0], test=parts[1])  # fmt: skip


def _table(case: _Case, images: int) -> Table:
    training, test = _trace(case.qnet, case.training), _trace(case.qnet, case.test)
    n_steps = test[0].shape[1]
    what = f"images: {len(training[0]):,} to calibrate, to judge"
    figures = [Figure(what=what, value=len(test[0]))]
    for loss in (None, *LOSSES):
        stop = None if loss is None else calibrate_margins(*training, loss)
        used = steps_used(stop, test[0])
        right = test[1][np.arange(len(used)), used - 1].mean()
        cycles, interval = _cycles(case, with_stop(case.qnet, stop), images)
        name = "all steps" if loss is None else f"loss {loss:g}"
        if stop is not None:
            name += f", margins {' '.join(map(str, stop.margins))}"
        figures += [
            Figure(what=f"{name}: steps of {n_steps}", value=float(used.mean()), digits=2),
            Figure(what="  accuracy, %", value=100 * float(right), digits=2),
            Figure(what="  cycles an image", value=cycles, digits=1),
            Figure(what="  cycles back to back", value=interval, digits=1),
        ]
    return Table(title=f"{case.title}, {case.lanes} lanes", figures=figures, anchor="")


def _trace(qnet: QNetwork, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Lead and right answer after each step, (samples, steps)."""
    assert samples.y is not None
    lead, right = [], []
    output = qnet.layers[-1].name
    for start in range(0, len(samples.x), CHUNK):
        part = slice(start, start + CHUNK)
        golden = run_golden(qnet, samples.x[part], full=True)
        score = scores(golden.spikes[output], golden.mem.get(output))
        lead.append(leads(score))
        right.append(score.argmax(axis=2) == samples.y[part, None])
    return np.concatenate(lead), np.concatenate(right)


def _cycles(case: _Case, qnet: QNetwork, images: int) -> tuple[float, float]:
    """Cycles of an image alone, and back to back."""
    x = case.test.x[:images]
    budget = target_budget(find_target(case.device))
    core = make_plan(qnet, budget, lanes=case.lanes).core
    golden = run_golden(qnet, x, full=True)
    spikes = [golden.spikes[layer.name] for layer in qnet.layers]
    found = predict_cycles(core, x, spikes, golden.steps_used, encoded=encode(qnet.input, x))
    return float(found.cycles.mean()), float(found.interval.mean())
