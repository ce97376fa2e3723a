# SPDX-License-Identifier: Apache-2.0
"""Margins of an early stop: read, checked, and chosen on samples.

Calibration follows the idea of cutoff and Dynamic Confidence: an answer that leads by enough is as
good as the last one, and how much is enough is measured, step by step.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QNetwork
from spikefab.hdl.params import MAX_MARGINS, CoreParams, LayerParams, ParamError, StopParams

__all__ = ["calibrate_margins", "parse_margins", "with_stop"]

SWEEPS = 4
"""Passes over the steps' margins; a pass that changes nothing ends them."""


def parse_margins(text: str) -> StopParams:
    """Reads the command line's `M` or `M,M,…`."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(
            f"--stop-margin {text}: must be a whole number, or one a step: 0,4,3 (0: never there)"
        )
    try:
        return StopParams(margins=tuple(int(part) for part in parts))
    except ParamError as error:
        raise InputError(f"--stop-margin {text}: {error}") from None


def with_stop(qnet: QNetwork, stop: StopParams | None) -> QNetwork:
    """The network with another early stop; raises `InputError` where it cannot have it."""
    if stop is not None and not qnet.is_chain:
        raise InputError(
            "early stop: only a chain of layers can have one so far, this network branches or is "
            "fed back; leave it out"
        )
    (output, *_) = qnet.output_layers
    alone = LayerParams(
        name=output.name,
        synapse=replace(output.synapse, payload_width=0),
        neuron=output.neuron,
        lanes=1,
    )
    try:
        # The limits are the output's; how many steps a frame has narrows a count's.
        core = CoreParams(layers=(alone,), stop=stop)
        if stop is not None and qnet.input.framed and output.neuron.spiking:
            most = qnet.input.steps * output.neuron.max_count
            if max(stop.margins) > most:
                raise ParamError(
                    f"margin {max(stop.margins)}: an output spikes at most {most} times in "
                    f"{qnet.input.steps} steps"
                )
    except ParamError as error:
        raise InputError(f"early stop: {error}") from None
    return replace(qnet, stop=core.stop)


def calibrate_margins(lead: np.ndarray, right: np.ndarray, loss: float = 0.0) -> StopParams | None:
    """The smallest margins that cost at most `loss` percentage points of right answers.

    `lead` (samples, steps): best score less the second best after each step. `right`, the same
    shape: whether the answer would be right then. First the smallest margin for all steps, then
    from step to step a smaller one where it does no harm. None where nothing can be saved.
    """
    n_samples, n_steps = lead.shape
    least = int(right[:, -1].sum()) - int(np.floor(loss / 100 * n_samples + 1e-9))
    margins = np.zeros(n_steps, np.int64)
    for margin in np.unique(lead[:, :-1][lead[:, :-1] > 0]):
        margins[:] = margin
        if _right_answers(margins, lead, right) >= least:
            break
    else:
        margins[:] = 0
    # One entry is shared by all steps from the last one that a design can tell apart.
    own = min(n_steps - 1, MAX_MARGINS - 1)
    for _ in range(SWEEPS):
        before = margins.copy()
        for t in range(own):
            margins[t] = _smallest(t, margins, lead, right, least)
        if (margins == before).all():
            break
    if n_steps > 1:
        margins[-1] = margins[-2]  # the last step ends the sample anyway
    values = margins.tolist()
    while len(values) > 1 and values[-1] == values[-2]:
        values.pop()
    return StopParams(margins=tuple(values)) if any(values) else None


def _stops(margins: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """Where the margins end a sample, (samples, steps); the last step always does."""
    stops: np.ndarray = (lead >= margins) & (margins > 0)
    stops[:, -1] = True
    return stops


def _right_answers(margins: np.ndarray, lead: np.ndarray, right: np.ndarray) -> int:
    used = _stops(margins, lead).argmax(axis=1)
    return int(right[np.arange(len(right)), used].sum())


def _smallest(t: int, margins: np.ndarray, lead: np.ndarray, right: np.ndarray, least: int) -> int:
    """The smallest margin of step `t`, the others given, that leaves `least` right answers; the
    present one where it ends no sample."""
    stops = _stops(margins, lead)
    samples = np.arange(len(lead))
    before = stops[:, :t].any(axis=1)
    first = stops[:, :t].argmax(axis=1) if t else np.zeros(len(lead), int)
    settled = int(right[samples[before], first[before]].sum())
    here = samples[~before]
    after = t + 1 + stops[here, t + 1 :].argmax(axis=1)
    later = right[here, after].astype(np.int64)
    # Samples in order of their lead: those from the front on stop, the others go on.
    order = np.argsort(-lead[here, t], kind="stable")
    leads = lead[here, t][order]
    gain = np.cumsum(right[here, t].astype(np.int64)[order] - later[order])
    total = settled + int(later.sum()) + gain
    # A margin takes all samples of one lead.
    whole = np.append(leads[1:] != leads[:-1], True) if len(leads) else np.zeros(0, bool)
    fine = np.flatnonzero(whole & (total >= least) & (leads > 0))
    return int(leads[fine[-1]]) if len(fine) else int(margins[t])
