# SPDX-License-Identifier: Apache-2.0
"""What rounding a network did, for the user to read."""

from __future__ import annotations

from dataclasses import dataclass

from spikefab.gen.options import WeightBits

__all__ = ["CurrentReport", "LayerReport", "QuantiseReport"]


@dataclass(frozen=True, kw_only=True)
class CurrentReport:
    """What rounding one layer's synaptic currents did."""

    leak: tuple[float, float]
    """Smallest and largest decay of the float network."""
    leak_ratio: tuple[float, float]
    """The same after rounding."""
    leak_error: float
    """Largest relative change of a time constant."""
    width: int

    def __str__(self) -> str:
        return f"{self.width}-bit currents, leak {self.leak_ratio[1]:.6g} for {self.leak[1]:.6g}"


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """What rounding one layer did."""

    name: str
    weight_bits: WeightBits
    weight_exact: bool
    scale: float
    """Float value of a weight LSB; the median one where channels have their own."""
    per_channel: bool
    weight_error: float
    """Relative error of the weights, ``|W - Wq| / |W|`` (Frobenius); 0 where they are exact."""
    clipped: float
    """Share of the weights that lie beyond the ends of the grid."""
    leak: tuple[float, float]
    """Smallest and largest decay of the float network."""
    leak_ratio: tuple[float, float]
    """The same after rounding."""
    leak_error: float
    """Largest relative change of a time constant."""
    threshold_error: float
    """Largest relative change of a threshold; 0 for an integrator."""
    fraction_bits: int
    membrane_width: int
    bound: tuple[int, int] | None
    """Membranes that can occur, in membrane LSBs; None: clamped."""
    notes: tuple[str, ...] = ()
    bound_steps: int | None = None
    """Steps a sample that the bounds hold for; None: any number."""
    current: CurrentReport | None = None
    """None where the input acts on the membrane directly."""

    def __str__(self) -> str:
        named: dict[WeightBits, str] = {1: "binary", "ternary": "ternary"}
        bits = named.get(self.weight_bits, f"{self.weight_bits}-bit")
        cost = "exact" if self.weight_exact else f"off by {100 * self.weight_error:.2g} %"
        room = "clamped" if self.bound is None else f"bound {self.bound[0]} to {self.bound[1]}"
        if self.bound_steps is not None:
            room += f" in {self.bound_steps} steps"
        current = "" if self.current is None else f"{self.current}; "
        return (
            f"{self.name}: {bits} weights, {cost}, scale {self.scale:.6g}"
            f"{' a channel' if self.per_channel else ''}; leak {self.leak_ratio[1]:.6g} for "
            f"{self.leak[1]:.6g}; {current}{self.membrane_width}-bit membranes, "
            f"{self.fraction_bits} fraction bits, {room}"
        )


@dataclass(frozen=True, kw_only=True)
class QuantiseReport:
    """What rounding a network did, for the user to read."""

    layers: tuple[LayerReport, ...]
    notes: tuple[str, ...] = ()
    """About the network as a whole."""

    def lines(self) -> list[str]:
        """A line a layer and its notes, then the network's."""
        lines = [line for layer in self.layers for line in (str(layer), *layer.notes)]
        return [*lines, *self.notes]
