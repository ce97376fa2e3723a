# SPDX-License-Identifier: Apache-2.0
"""Early stop on the command line: its options, its calibration, and what it saves."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QNetwork
from spikefab.gen.stop import calibrate_margins, parse_margins, with_stop
from spikefab.hdl.params import StopParams
from spikefab.scripts.pipeline import Prepared, Samples
from spikefab.sim.golden import run_golden
from spikefab.sim.stop import leads, scores, steps_used

__all__ = ["StopReport", "add_stop", "stop_of"]

CHUNK = 1024
"""Samples whose scores are kept at once."""


@dataclass(frozen=True, kw_only=True)
class StopReport:
    """What an early stop saves and costs, on samples that it was not calibrated on."""

    margins: tuple[int, ...] | None
    """None: the calibration found nothing to save."""
    loss: float | None
    """Percentage points that the calibration could lose; None where margins were given."""
    calibrated_on: int
    """Samples; 0 where margins were given."""
    samples: int
    steps: int
    mean_steps: float
    accuracy: float | None
    """None without labels."""
    accuracy_all_steps: float | None
    agreement: float
    """Share of the samples whose class is that of all steps."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """What a user wants to know."""
        if self.margins is None:
            return [
                f"early stop: no margin saves a step at a loss of {self.loss:g} points on "
                f"{self.calibrated_on} samples: all steps run"
            ]
        unit = "margin" if len(self.margins) == 1 else "margins of the steps"
        text = f"early stop: {unit} {', '.join(map(str, self.margins))}"
        if self.calibrated_on:
            text += f" (calibrated on {self.calibrated_on} samples, loss {self.loss:g} points)"
        kind = "other " if self.calibrated_on else ""
        result = f"on {self.samples} {kind}samples {self.mean_steps:.2f} of {self.steps} steps"
        if self.accuracy is not None and self.accuracy_all_steps is not None:
            result += (
                f", accuracy {self.accuracy:.2%} for {self.accuracy_all_steps:.2%} in all steps"
            )
        return [text, f"  {result}, same class in {self.agreement:.2%}"]


def add_stop(parser: argparse.ArgumentParser) -> None:
    """Options that end samples early."""
    group = parser.add_argument_group("early stop")
    one = group.add_mutually_exclusive_group()
    one.add_argument(
        "--early-stop",
        type=float,
        nargs="?",
        const=0.0,
        metavar="LOSS",
        help="end a sample when its best class leads by a margin; the smallest margins that cost "
        "at most LOSS percentage points (default: 0) on one half of --data, judged on the other",
    )
    one.add_argument(
        "--stop-margin",
        metavar="M|M,M,…",
        help="the same with given margins, in spikes or membrane LSBs, one for all steps or one a "
        "step, the last one for all later steps too; 0: never in this step",
    )


def stop_of(
    options: argparse.Namespace, prepared: Prepared, samples: Samples
) -> tuple[Prepared, StopReport | None]:
    """The network with the stop that the options ask for; a report where samples were given."""
    loss: float | None = options.early_stop
    qnet = prepared.qnet
    if options.stop_margin is not None:
        qnet = with_stop(qnet, parse_margins(options.stop_margin))
        report = None
        if samples.given:
            trace = _Trace(qnet, samples)
            report = trace.report(qnet.stop, slice(None), loss=None, calibrated_on=0)
        return replace(prepared, qnet=qnet), report
    if loss is None:
        return prepared, None
    if not 0 <= loss < 100 or not math.isfinite(loss):
        raise InputError(f"--early-stop {loss:g}: must be percentage points, 0 to below 100")
    if not samples.given:
        raise InputError("--early-stop: margins are chosen on samples; give --data")
    if len(samples.x) < 2:
        raise InputError("--early-stop: needs 2 samples or more: one half is to judge the other")
    if qnet.n_outputs < 2:
        raise InputError("--early-stop: the network has one output: there is no second best")
    trace = _Trace(qnet, samples)
    mine, others = slice(0, None, 2), slice(1, None, 2)
    stop = calibrate_margins(trace.lead[mine], trace.right[mine], loss)
    qnet = with_stop(qnet, stop)
    report = trace.report(stop, others, loss=loss, calibrated_on=len(trace.lead[mine]))
    return replace(prepared, qnet=qnet), report


class _Trace:
    """Of each sample and step, from the golden model: lead, class, and whether it is right."""

    def __init__(self, qnet: QNetwork, samples: Samples):
        lead, answer = [], []
        output = qnet.layers[-1]
        for start in range(0, len(samples.x), CHUNK):
            golden = run_golden(qnet, samples.x[start : start + CHUNK], full=True)
            score = scores(golden.spikes[output.name], golden.mem.get(output.name))
            lead.append(leads(score))
            answer.append(score.argmax(axis=2))
        self.lead = np.concatenate(lead)
        self.answer = np.concatenate(answer)
        self.labelled = samples.y is not None
        final = self.answer[:, -1] if samples.y is None else samples.y
        self.right = self.answer == final[:, None]

    def report(
        self, stop: StopParams | None, part: slice, *, loss: float | None, calibrated_on: int
    ) -> StopReport:
        """What the stop does to some of the samples."""
        lead, answer, right = self.lead[part], self.answer[part], self.right[part]
        used = steps_used(stop, lead)
        at = np.arange(len(used)), used - 1
        return StopReport(
            margins=None if stop is None else stop.margins,
            loss=loss,
            calibrated_on=calibrated_on,
            samples=len(used),
            steps=lead.shape[1],
            mean_steps=float(used.mean()),
            accuracy=float(right[at].mean()) if self.labelled else None,
            accuracy_all_steps=float(right[:, -1].mean()) if self.labelled else None,
            agreement=float((answer[at] == answer[:, -1]).mean()),
        )
