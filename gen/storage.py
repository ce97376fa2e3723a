# SPDX-License-Identifier: Apache-2.0
"""The mapper's choice of what each layer's weights are kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Budget, Resources, estimate_layer, weight_memory
from spikefab.gen.qnetwork import QNetwork
from spikefab.hdl.params import LayerParams, Storage

__all__ = ["Choice", "WeightStorage"]

Choice = Literal["auto", "block", "spram", "lutram", "logic"]

TINY = 10
"""Weights go to logic where this many times the tables they take there is no larger a share of the
device than the blocks that they would fill."""


@dataclass(frozen=True, kw_only=True)
class WeightStorage:
    """What was asked for, on a device."""

    budget: Budget
    asked: tuple[Choice, ...]
    """One a layer."""
    ternary: tuple[bool, ...]
    """The weights of the layer are ternary."""

    @classmethod
    def of(cls, qnet: QNetwork, budget: Budget, asked: Choice | Sequence[Choice]) -> WeightStorage:
        """Raises `InputError` for what does not match the network or the device."""
        n_layers = len(qnet.layers)
        choices = (asked,) * n_layers if isinstance(asked, str) else tuple(asked)
        if len(choices) == 1:
            choices *= n_layers
        if len(choices) != n_layers:
            names = ", ".join(layer.name for layer in qnet.layers)
            raise InputError(
                f"--storage: {len(choices)} words for {n_layers} layers ({names}); give one for "
                "all, or one a layer"
            )
        for choice in choices:
            if choice not in get_args(Choice):
                raise InputError(
                    f"--storage {choice}: unknown; it is one of {', '.join(get_args(Choice))}"
                )
            if choice == "spram" and not budget.spram:
                raise InputError(
                    "--storage spram: the target has no SPRAM (only the iCE40 UP5K has); use "
                    "block, or auto"
                )
            if choice == "lutram" and budget.family != "ecp5":
                raise InputError(
                    "--storage lutram: the target has no LUT RAM (ECP5 has); use block, logic or "
                    "auto"
                )
        return cls(
            budget=budget,
            asked=choices,
            ternary=tuple(layer.ternary for layer in qnet.layers),
        )

    def place(self, layers: Sequence[LayerParams]) -> list[LayerParams]:
        """The layers with their weights in their places."""
        placed = [self.own(k, layer) for k, layer in enumerate(layers)]
        while self._total(placed).ram > self.budget.ram:
            # SPRAM takes what fills most blocks.
            best, saved = None, 0
            for k, layer in enumerate(placed):
                if self.asked[k] != "auto" or layer.storage != "block" or not self.budget.spram:
                    continue
                moved = [*placed[:k], self._put(k, layer, "spram"), *placed[k + 1 :]]
                blocks = weight_memory(layer, self.budget.family).ram
                if self._total(moved).spram <= self.budget.spram and blocks > saved:
                    best, saved = moved, blocks
            if best is None:
                break
            placed = best
        return placed

    def reasons(self, layers: Sequence[LayerParams]) -> tuple[str, ...]:
        """Why the weights are where they are, a line a layer."""
        return tuple(self._reason(k, layer) for k, layer in enumerate(layers))

    def _reason(self, k: int, layer: LayerParams) -> str:
        need = weight_memory(layer, self.budget.family)
        if layer.storage == "block":
            what = f"{need.ram} block RAM{'s' if need.ram > 1 else ''}"
        elif layer.storage == "spram":
            what = f"{need.spram} SPRAM{'s' if need.spram > 1 else ''}, loaded at start"
        elif layer.storage == "lutram":
            what = "LUT RAM, loaded at start"
        else:
            what = f"about {need.lut} look-up tables"
        if self.asked[k] != "auto":
            return f"{what}: asked for"
        if layer.storage == "spram":
            return f"{what}: block RAM does not suffice for all layers"
        if layer.storage == "logic":
            return f"{what}: cheaper than block RAM for so few constants"
        return what

    def own(self, k: int, layer: LayerParams) -> LayerParams:
        """A layer where it goes by itself."""
        asked = self.asked[k]
        if asked != "auto":
            return self._put(k, layer, asked)
        block, logic = self._put(k, layer, "block"), self._put(k, layer, "logic")
        b = self.budget
        blocks = weight_memory(block, b.family).ram
        tables = weight_memory(logic, b.family).lut
        return logic if TINY * tables * max(1, b.ram) <= blocks * b.lut else block

    def _put(self, k: int, layer: LayerParams, storage: Storage) -> LayerParams:
        # Fewer than three trits take no fewer bits packed; logic would unpack what it packs.
        packed = self.ternary[k] and storage != "logic" and layer.lanes > 2
        return replace(
            layer,
            storage=storage,
            family=self.budget.family,
            synapse=replace(layer.synapse, trits=packed),
        )

    def _total(self, layers: Sequence[LayerParams]) -> Resources:
        return sum((estimate_layer(layer, self.budget.family) for layer in layers), Resources())
