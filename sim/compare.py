# SPDX-License-Identifier: Apache-2.0
"""Compares what two engines put out, and names the first difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Mismatch", "first_mismatch"]


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """The first value that differs: earliest sample, then step, then layer, then neuron."""

    sample: int
    step: int
    layer: str
    neuron: int
    values: tuple[int, int]
    labels: tuple[str, str]
    quantity: str
    """What differs: `spikes`, `membrane`."""
    count: int
    """Values that differ in all compared layers."""
    total: int
    """Values compared."""

    def __str__(self) -> str:
        (a, b), (va, vb) = self.labels, self.values
        return (
            f"sample {self.sample}, step {self.step}, layer {self.layer!r}, neuron {self.neuron}: "
            f"{self.quantity} {va} in {a}, {vb} in {b} "
            f"({self.count:,} of {self.total:,} values differ)"
        )


def first_mismatch(
    a: Mapping[str, np.ndarray],
    b: Mapping[str, np.ndarray],
    *,
    labels: tuple[str, str] = ("a", "b"),
    quantity: str = "spikes",
) -> Mismatch | None:
    """The first difference between two engines' arrays (samples, steps, n), by layer name.

    Layers are compared that both have, in the order of `a`: give them from input to output, so
    that of one step's differences the one nearest to the input is named. None: all are equal.
    """
    names = [name for name in a if name in b]
    if not names:
        raise ValueError(f"nothing to compare: {list(a)} and {list(b)}")
    found: tuple[int, int, int, int] | None = None
    count = total = 0
    for index, name in enumerate(names):
        left, right = np.asarray(a[name]), np.asarray(b[name])
        if left.shape != right.shape:
            raise ValueError(
                f"layer {name!r}: shapes {left.shape} in {labels[0]}, {right.shape} in {labels[1]}"
            )
        differs = left != right
        total += left.size
        here = int(np.count_nonzero(differs))
        if not here:
            continue
        count += here
        at = np.unravel_index(int(differs.argmax()), differs.shape)
        where = (int(at[0]), int(at[1]), index, int(at[2]))
        found = where if found is None else min(found, where)
    if found is None:
        return None
    sample, step, index, neuron = found
    name = names[index]
    return Mismatch(
        sample=sample,
        step=step,
        layer=name,
        neuron=neuron,
        values=(int(a[name][sample, step, neuron]), int(b[name][sample, step, neuron])),
        labels=labels,
        quantity=quantity,
        count=count,
        total=total,
    )
