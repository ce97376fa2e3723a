# SPDX-License-Identifier: Apache-2.0
"""Whether a layer's neurons get a weight scale each where the user leaves it open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikefab.gen.drive import Drive
from spikefab.gen.leak import LeakRatio
from spikefab.gen.network import Neuron

__all__ = ["choose_scales", "threshold_is_all", "unevenness"]

UNEVEN = 1.5
"""Times as coarse as a scale for each neuron that one for all must be, to be given up for them.
The networks that are shipped reach 1.1; of the NIR paper's recurrent ones, which lose points for
it, the one that loses least reaches 1.9 (`docs/performance.md`)."""


def unevenness(w: np.ndarray) -> float:
    """How many times as coarsely one scale rounds `w` (n_out, n_in) as one for each row does.

    A scale that reaches the largest weight rounds by an error in proportion to that weight: this
    is the largest weight of all over the root mean square of the rows' own, without silent rows.
    """
    peaks = np.abs(w).max(axis=1, initial=0.0)
    peaks = peaks[peaks > 0]
    return float(peaks.max() / np.sqrt((peaks**2).mean())) if peaks.size else 1.0


def threshold_is_all(neuron: Neuron, drive: Drive, leaks: Sequence[LeakRatio]) -> bool:
    """Whether a scale for each neuron costs no more than a threshold for each: a word of a table.

    It costs more where one row serves many neurons, where each bit of a count compares with the
    threshold, and where only a threshold that is a whole number of weight LSBs spares the membrane
    its fraction: without a leak. An integrator has no threshold, and its membranes are compared.

    `leaks`: of the membrane, and of the synaptic current where there is one.
    """
    still = all(((leak.value == 0) | (leak.value == 1)).all() for leak in leaks)
    several = drive.positions > 1 or neuron.dialect.multi_spike
    return neuron.spiking and not several and not still


def choose_scales(neuron: Neuron, drive: Drive, cheap: bool) -> tuple[bool, str | None]:
    """Whether each neuron gets a scale of its own, and what the user should know of it.

    `cheap`: `threshold_is_all`.
    """
    times = unevenness(drive.weight)
    if not neuron.spiking or times < UNEVEN:
        return False, None
    if cheap:
        return True, (
            f"each neuron has its own scale: one for the layer would round {times:.2g} times as "
            "coarsely (--no-per-channel to have it)"
        )
    return False, (
        f"one scale for the layer rounds {times:.2g} times as coarsely as one each would, "
        "which need more bits of membranes and thresholds (--per-channel to have those)"
    )
