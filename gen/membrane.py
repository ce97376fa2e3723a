# SPDX-License-Identifier: Apache-2.0
"""A layer's neurons in integers: fraction bits, constants, thresholds and the membrane's width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, log2

import numpy as np

from spikefab.gen.bounds import current_bound, membrane_bound, signed_width
from spikefab.gen.drive import Drive
from spikefab.gen.errors import InputError
from spikefab.gen.grid import Grid
from spikefab.gen.leak import LeakRatio
from spikefab.gen.network import Population
from spikefab.gen.options import MAX_FRACTION_BITS, QuantiseOptions
from spikefab.hdl.params import MAX_MEMBRANE_WIDTH, CurrentParams, NeuronParams

__all__ = ["FittedNeuron", "MembraneFit"]

EXACT_FRACTION_BITS = 12
"""Fraction bits that are spent, at most, to hold constants exactly."""
FINE = 64
"""LSBs of a threshold below which the rounding of a leak begins to move spikes."""
NEAR = 1e-6
"""Relative float32 noise of a constant that is meant to be a whole number of LSBs."""


@dataclass(frozen=True)
class FittedNeuron:
    """A population in integers."""

    params: NeuronParams
    bound: tuple[int, int] | None
    """Membranes that can occur; None where they are clamped."""
    needs_steps: bool
    """True: the bound holds for the number of steps only."""


class MembraneFit:
    """Finds the integers of one population whose weights are on `grid`.

    `leak`, `current_leak`: of the membrane and of the synaptic current, where there is one. `note`
    takes what the user should know.
    """

    def __init__(
        self,
        population: Population,
        drive: Drive,
        leak: LeakRatio,
        current_leak: LeakRatio | None,
        grid: Grid,
        options: QuantiseOptions,
        note: Callable[[str], None],
    ):
        self.name, self.n, self.neuron = population.name, population.n, population.neuron
        self.drive, self.leak, self.current_leak = drive, leak, current_leak
        self.grid, self.options = grid, options
        self.note = note
        # Then a threshold's value matters only to the next whole LSB.
        self.only_compared = self.neuron.dialect.only_compares

    def fit(self, acc: tuple[np.ndarray, np.ndarray], steps: int | None) -> FittedNeuron:
        """The finest membrane that fits, with a bound where there is one, else clamped.

        `acc`: `accumulator_range` of the layer. Raises `InputError` where nothing fits.
        """
        o = self.options
        limit = o.membrane_bits if o.membrane_bits is not None else MAX_MEMBRANE_WIDTH
        best = o.fraction_bits if o.fraction_bits is not None else self._fraction_bits()
        coarsest = best
        if o.fraction_bits is None:
            coarsest = min(best, max(0, ceil(log2(FINE / self._reach()))))
        bounded = False
        for f in range(best, coarsest - 1, -1):
            found = self._with_current(self._neuron(f), acc, steps)
            if found is None:
                continue  # Fewer fraction bits make the current narrower.
            neuron, held = found
            bound = membrane_bound(neuron, acc, steps)
            if bound is None:
                if steps is None:
                    break
                continue  # Fewer fraction bits may bring it within what is followed.
            bounded = True
            if neuron.v_min is not None and (bound.lo > np.array(neuron.v_min)).all():
                # A clamp that never acts costs a comparison for nothing.
                neuron = replace(neuron, v_min=None)
                bound = membrane_bound(neuron, acc, steps) or bound
            if neuron.count_width > 1:
                neuron = replace(neuron, count_width=self._count_width(neuron, bound.u_hi))
            if bound.width <= limit:
                if f < best:
                    self.note(f"{f} fraction bits instead of {best}, to fit {limit} bits")
                neuron = replace(neuron, membrane_width=bound.width)
                return FittedNeuron(neuron, bound.layer, held or bound.steps is not None)
        if bounded:
            why = "its bound needs more bits"
        elif steps is None:
            why = "it has no finite bound without a number of steps a sample (steps)"
        else:
            why = f"it has no finite bound in {steps} steps"
        neuron, held = self._clamped(acc, best, steps, why)
        return FittedNeuron(neuron, None, held)

    def _with_current(
        self, neuron: NeuronParams, acc: tuple[np.ndarray, np.ndarray], steps: int | None
    ) -> tuple[NeuronParams, bool] | None:
        """`neuron` with a current as wide as its bound, and whether that holds for `steps` alone;
        None where the bound needs more than a current can have."""
        if neuron.current is None:
            return neuron, False
        bound = current_bound(neuron, acc, steps)
        if bound is None:
            return None
        current = replace(neuron.current, width=bound.width)
        return replace(neuron, current=current), bound.steps is not None

    def _clamped(
        self, acc: tuple[np.ndarray, np.ndarray], best: int, steps: int | None, why: str
    ) -> tuple[NeuronParams, bool]:
        """A membrane that saturates at the width asked for, or at a default one, and whether its
        current's bound holds for `steps` alone."""
        o = self.options
        coarsest = best if o.fraction_bits is not None else 0
        need = None
        for f in range(best, coarsest - 1, -1):
            found = self._with_current(self._neuron(f), acc, steps)
            if found is None:
                continue
            neuron, held = found
            constants = [0, *neuron.v_init, *neuron.v_reset, *(neuron.v_min or ())]
            largest = max(1, *map(abs, neuron.threshold)) if neuron.spiking else 1
            need = signed_width(min(constants), max(*constants, largest + (neuron.compare == "gt")))
            # Room for what a step can add: without it the clamp would act all the time.
            step = max(-int(acc[0].min()), int(acc[1].max()), 1) << f
            if neuron.current is not None:
                step = max(step, 1 << neuron.current.width)
            room = max(4 * step, 16 * largest) if neuron.spiking else 256 * step
            wanted = max(need, signed_width(-room, room))
            if o.membrane_bits is None:
                width = min(wanted, MAX_MEMBRANE_WIDTH)
                comfortable = need <= width
            else:
                width = o.membrane_bits
                comfortable = need + 1 <= width or (f == coarsest and need <= width)
            if comfortable:
                break
        else:
            if need is None:
                raise InputError(
                    f"node {self.name!r}: its synaptic current has no bound of at most "
                    f"{MAX_MEMBRANE_WIDTH} bits; give the steps of a sample (--steps), or use "
                    "fewer weight bits"
                )
            raise InputError(
                f"node {self.name!r}: thresholds and constants need {need} membrane "
                f"bits at {coarsest} fraction bits, and {width} are allowed; use "
                "more membrane bits, fewer fraction bits, or fewer weight bits"
            )
        self.note(f"the membrane is clamped to {width} bits: {why}")
        neuron = replace(neuron, membrane_width=width, saturate=True)
        if neuron.count_width > 1:
            most = (1 << (width - 1)) + (acc[1] << neuron.fraction_bits)
            most = most + max(0, *neuron.bias) + max(0, *neuron.bias_late)
            if neuron.current is not None:
                most = most + (1 << neuron.current.width) + max(0, *neuron.current.bias)
            neuron = replace(neuron, count_width=self._count_width(neuron, most))
        return neuron, held

    def _count_width(self, neuron: NeuronParams, u_hi: np.ndarray) -> int:
        threshold = np.array(neuron.threshold, dtype=np.int64)
        slack = neuron.compare == "gt"
        most = int(np.maximum((u_hi - slack) // threshold, 1).max())
        if most > neuron.max_count:
            self.note(
                f"a neuron spikes at most {neuron.max_count} times a step; the weights could "
                f"make it {most}: raise its threshold, or lower the input's counts"
            )
        return min(most.bit_length(), neuron.count_width)

    def _reach(self) -> float:
        """Weight LSBs of what a membrane is measured against: the smallest threshold but 0."""
        if self.neuron.spiking and self.neuron.threshold.any():
            apart = np.abs(self.neuron.threshold / self.grid.scale)
            return float(apart[apart > 0].min())
        return float(max(1, np.abs(self.grid.weights.astype(int)).max()))

    def _fraction_bits(self) -> int:
        """Enough for constants to be exact where that is cheap, else for errors to stay small."""
        reach = self._reach()
        exact = self._exact_fraction_bits()
        decay = np.concatenate([leak.value for leak in (self.leak, self.current_leak) if leak])
        still = bool(((decay == 1) | (decay == 0)).all())
        if still:
            # Nothing is ever rounded once the constants are whole numbers.
            if exact is not None:
                return min(max(exact, ceil(-log2(reach))), MAX_FRACTION_BITS)
            target = 1024.0
        else:
            # A leak's rounding error adds up to about half an LSB times 1 / (1 - decay).
            slowest = float(1 - decay[decay < 1].max())
            target = min(max(256.0, 32 / slowest), 16384.0)
            if self.current_leak is not None:
                target = max(target, min(32 * self._rounding_through_current(), 65536.0))
        f = max(0, ceil(log2(target / reach)))
        if exact is not None and f < exact <= f + 4:
            f = exact
        return min(f, MAX_FRACTION_BITS)

    def _rounding_through_current(self) -> float:
        """How far half an LSB, lost in each step of the current, moves the membrane: the sum of
        both leaks' geometric series, in half LSBs. A leak of 1 or 0 rounds nothing."""
        assert self.current_leak is not None
        lost = [
            np.where((decay > 0) & (decay < 1), 1 / np.maximum(1 - decay, 1e-9), 0.0)
            for decay in (self.current_leak.value, self.leak.value)
        ]
        current, membrane = np.broadcast_arrays(*lost)
        return float((current * np.maximum(membrane, 1) + membrane).max())

    def _exact_fraction_bits(self) -> int | None:
        """Fewest fraction bits at which every constant is a whole number of LSBs."""
        values = [self.drive.bias, self.drive.late, self.neuron.v_init]
        if self.drive.current_bias is not None:
            values.append(self.drive.current_bias)
        if self.neuron.spiking and not self.only_compared:
            values.append(self.neuron.threshold)
        if self.neuron.dialect.reset == "value":
            values.append(self.neuron.v_reset)
        if self.neuron.v_min is not None:
            values.append(self.neuron.v_min)
        lsb = np.stack([value / self.grid.scale for value in values])
        for f in range(EXACT_FRACTION_BITS + 1):
            scaled = lsb * 2.0**f
            if (np.abs(scaled - np.rint(scaled)) <= NEAR * np.maximum(1, np.abs(scaled))).all():
                return f
        return None

    def _neuron(self, f: int) -> NeuronParams:
        """The layer's neurons at `f` fraction bits, with the widest membrane."""
        d, source = self.neuron.dialect, self.neuron
        lsb = self.grid.scale / 2.0**f

        def whole(values: np.ndarray) -> tuple[int, ...]:
            return _shared(np.rint(values / lsb))

        for what, values in (
            ("threshold", source.threshold),
            ("bias", self.drive.bias),
            ("recurrent bias", self.drive.late),
            ("initial membrane", source.v_init),
            ("reset membrane", source.v_reset),
        ):
            if np.abs(values / lsb).max() >= 1 << (MAX_MEMBRANE_WIDTH - 1):
                raise InputError(
                    f"node {self.name!r}: a {what} of {np.abs(values).max():g} is "
                    f"more than {MAX_MEMBRANE_WIDTH} bits of its LSB, {lsb.min():.3g}; use fewer "
                    "fraction bits or larger weights"
                )
        bias, v_init = whole(self.drive.bias), whole(source.v_init)
        rounding = self.options.leak_rounding or (
            "toward-zero" if d.decay == "round12" else "nearest"
        )
        current = None
        if self.current_leak is not None and self.drive.current_bias is not None:
            assert d.synapse_order != "norse"  # no node's own: see `Dialect.for_node`
            current = CurrentParams(
                order=d.synapse_order,
                width=MAX_MEMBRANE_WIDTH,
                leak_num=_shared(self.current_leak.num),
                leak_shift=self.current_leak.shift,
                leak_rounding=rounding,
                bias=whole(self.drive.current_bias),
            )
        v_min = None if source.v_min is None else whole(source.v_min)
        common = NeuronParams(
            n=self.n,
            spiking=False,
            reset="none",
            fraction_bits=f,
            membrane_width=MAX_MEMBRANE_WIDTH,
            leak_num=_shared(self.leak.num),
            leak_shift=self.leak.shift,
            leak_rounding=rounding,
            bias=bias,
            bias_late=whole(self.drive.late),
            current=current,
            v_init=v_init,
            v_min=v_min,
        )
        if not source.spiking:
            return common
        v_reset = whole(source.v_reset) if d.reset == "value" else (0,)
        # A subtraction after the leak loses no input, wherever it stands.
        same_late = d.reset == "subtract" and d.node_reset_time == "next-discard"
        return replace(
            common,
            spiking=True,
            threshold=self._threshold(lsb),
            v_reset=v_reset,
            compare=d.compare,
            reset="zero" if d.reset == "value" and v_reset == (0,) else d.reset,
            reset_time="next-after-leak" if same_late else d.node_reset_time,
            reset_correction=d.reset_correction,
            output_lag=d.output_lag,
            count_width=self.options.max_count.bit_length() if d.multi_spike else 1,
        )

    def _threshold(self, lsb: np.ndarray) -> tuple[int, ...]:
        """Membrane LSBs. A hard reset only compares, and then there is an exact integer:
        u*lsb > th is u > floor(th/lsb), u*lsb >= th is u >= ceil(th/lsb). A reset by subtraction,
        and a count of spikes, also use its size: nearest."""
        ratio = self.neuron.threshold / lsb
        nearest = np.rint(ratio)
        if self.only_compared:
            cut = np.floor(ratio) if self.neuron.dialect.compare == "gt" else np.ceil(ratio)
            meant = np.abs(ratio - nearest) <= NEAR * np.maximum(1, np.abs(ratio))
            return _shared(np.where(meant, nearest, cut))
        return _shared(np.maximum(nearest, 1))

    def threshold_error(self, params: NeuronParams) -> float:
        """Largest relative change of a threshold; 0 where it is only compared, which is exact."""
        if not params.spiking or self.only_compared:
            return 0.0
        ratio = self.neuron.threshold / (self.grid.scale / 2.0**params.fraction_bits)
        return float(np.abs(np.array(params.threshold) / ratio - 1).max())


def _shared(values: np.ndarray) -> tuple[int, ...]:
    """One integer where all are the same, else all."""
    whole = [int(value) for value in values]
    return tuple(whole[:1]) if len(set(whole)) == 1 else tuple(whole)
