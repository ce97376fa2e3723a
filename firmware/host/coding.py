# SPDX-License-Identifier: Apache-2.0
"""Which events a sample is, by the coding of the design's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikefab.host.check import DesignFacts

__all__ = ["Events", "sample_events"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Events:
    """A sample's events in order of time."""

    step: np.ndarray
    address: np.ndarray
    value: np.ndarray | None
    """None: events have no value."""
    n_steps: int
    """Tokens."""

    def __len__(self) -> int:
        return len(self.step)


def sample_events(sample: np.ndarray, facts: DesignFacts) -> Events:
    """The events of one sample, (steps, inputs), by address; a framed one has one step.

    Without values a count of n is n events. With values each number that is not 0 is one event,
    with delta coding each that is not as it was in the step before, at first 0.
    """
    if facts.coding == "delta":
        before = np.zeros_like(sample)
        before[1:] = sample[:-1]
        step, address = np.nonzero(sample != before)
    else:
        step, address = np.nonzero(sample)
    value = sample[step, address]
    address = facts.input_addresses[address]
    if facts.input_width:
        return Events(step=step, address=address, value=value, n_steps=len(sample))
    return Events(
        step=np.repeat(step, value), address=np.repeat(address, value), value=None,
        n_steps=len(sample),
    )  # fmt: skip
