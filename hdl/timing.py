# SPDX-License-Identifier: Apache-2.0
"""Cycle offsets of the neuron update: what the hardware builds and the cost model counts."""

from __future__ import annotations

from dataclasses import dataclass

from spikefab.hdl.params import Family, NeuronParams
from spikefab.hdl.store import RotatingStore

__all__ = ["NeuronTiming"]


@dataclass(frozen=True)
class NeuronTiming:
    """Cycles from the arrival of a group's sums to each register of its update.

    The pipeline never stalls; stages that a neuron does not need are left out.
    """

    neuron: NeuronParams
    groups: int
    family: Family = ""
    """What stores are laid out for."""

    @property
    def late(self) -> bool:
        """The membrane before the step is compared too."""
        n = self.neuron
        return n.spiking and (n.reset_time != "same" or n.output_lag)

    @property
    def remembers(self) -> bool:
        """The comparison of the membrane before the step is the spike of the step before, which is
        kept beside the membrane: no comparator. So it is where nothing changes the membrane after
        its comparison in a way that the comparison could tell."""
        n = self.neuron
        if not self.late or n.reset_time == "same" or n.reset_correction:
            return False
        # Clamps keep a membrane on its side of the threshold.
        top = (1 << (n.membrane_width - 1)) - 1
        clamp = -top - 1 if n.v_min is None else max(-top - 1, *n.v_min)
        return max(n.threshold) < top and clamp < min(1, *n.threshold)

    @property
    def fetch(self) -> int:
        """Membranes and sums are taken up: a slow memory needs a register behind it."""
        return 0 if RotatingStore.is_quick(self.groups, self.family) else 1

    @property
    def early_subtract(self) -> bool:
        return self.late and (self.neuron.reset, self.neuron.reset_time) == (
            "subtract",
            "next-before-leak",
        )

    @property
    def late_subtract(self) -> bool:
        return self.late and (self.neuron.reset, self.neuron.reset_time) == (
            "subtract",
            "next-after-leak",
        )

    @property
    def product(self) -> int:
        """The membrane times the leak's numerator."""
        return self.fetch + self.early_subtract + 1

    @property
    def current_used(self) -> int:
        """What acts on the membrane: a synaptic current, else the input itself."""
        current = self.neuron.current
        if current is None:
            return self.product
        # Its sum with the input; then, where it decays before its use, its leak.
        return self.product + 1 + (current.order == "add-decay-use")

    @property
    def current_store(self) -> int:
        """The synaptic current goes back to its store; never after the membrane."""
        current = self.neuron.current
        assert current is not None
        return self.current_used + (current.order == "add-use-decay")

    @property
    def update(self) -> int:
        """The membrane before this step's reset."""
        # A subtraction behind the leak goes on beside a current's sum.
        return max(self.product + self.late_subtract, self.current_used) + 1

    @property
    def by_difference(self) -> bool:
        """The spike is read off the membrane less the threshold, which is the next membrane: one
        carry chain where comparison and subtraction would take two. So it is with a threshold a
        neuron; one that is constant is compared without a carry chain."""
        n = self.neuron
        kind = (n.spiking, n.reset, n.reset_time, n.count_width)
        return kind == (True, "subtract", "same", 1) and len(set(n.threshold)) > 1

    @property
    def decided(self) -> int:
        """The spike counts can act on the membrane: one stage a bit."""
        return self.update + (self.neuron.count_width if self.neuron.spiking else 0)

    @property
    def spike(self) -> int:
        """The spike counts are in a register."""
        return self.decided + self.by_difference

    @property
    def clamped(self) -> bool:
        return self.neuron.v_min is not None or self.neuron.saturate

    @property
    def store(self) -> int:
        """The membrane goes back to its store."""
        n = self.neuron
        resets_now = n.spiking and (n.reset_time == "same" or n.reset_correction)
        return (self.decided if resets_now else self.update) + self.clamped

    @property
    def kept(self) -> int:
        """All state is back in its store."""
        return max(self.store, self.spike) if self.remembers else self.store

    @property
    def output(self) -> int:
        """The group's spikes, or membranes, leave."""
        return self.spike if self.neuron.spiking else self.store

    @property
    def spacing(self) -> int:
        """Fewest cycles from the start of one pass to the start of the next."""
        if RotatingStore.is_ring(self.groups, self.family):
            return self.groups + self.kept
        return max(self.groups, self.kept + RotatingStore.MEMORY_SETTLE)
