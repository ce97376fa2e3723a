# SPDX-License-Identifier: Apache-2.0
"""Whether a part can hold a mapped network, as far as estimates say, and which part can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spikefab.boards.target import Target, targets
from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Resources, estimate_core, estimate_link, estimate_unit
from spikefab.hdl.params import CoreParams
from spikefab.hdl.shared_params import shared_units

__all__ = ["SLACK", "check_fit", "needs"]

SLACK = 1.15
"""Estimates of logic and flip-flops may be off by 15 %; memories are exact."""

FULL = 0.85
"""Share of the logic that a design may fill of a part that is recommended for it."""

_TITLES = {
    "lut": {"ecp5": "COMB cells", "ice40": "logic cells"},
    "ff": {"ecp5": "flip-flops", "ice40": "flip-flops"},
    "ram": {"ecp5": "block RAMs", "ice40": "block RAMs"},
    "spram": {"ecp5": "SPRAMs", "ice40": "SPRAMs"},
    "dsp": {"ecp5": "multipliers", "ice40": "multipliers"},
}


def needs(target: Target, core: CoreParams) -> dict[str, Resources]:
    """What each layer, or those that share an engine, are estimated to take, what is around and
    between them, and the link."""
    family = target.family
    found = {
        "+".join(core.layers[k].name for k in unit): estimate_unit(core, unit, family)
        for unit in shared_units(len(core.layers), core.shared)
    }
    layers = sum(found.values(), Resources())
    whole = estimate_core(core, family)
    found["around the layers"] = Resources(
        **{key: getattr(whole, key) - getattr(layers, key) for key in _TITLES}
    )
    if target.board is not None:
        found["the board's link"] = estimate_link(family, core)
    return found


def check_fit(
    target: Target, core: CoreParams, *, title: str, cure: str, oversize: bool = False
) -> list[str]:
    """Warnings where a core may be too large for its target. Raises `InputError`, with the budget,
    where it is for certain, unless `oversize`. `cure`: what makes the core smaller."""
    found = needs(target, core)
    total = sum(found.values(), Resources())
    over = _over(target, total, 1.0)
    if not over:
        return []
    names = [_TITLES[key][target.family] for key in over]
    words = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    if oversize or not _over(target, total, SLACK):
        return [f"warning: probably too many {words} for {target.name}: {cure}, or a bigger part"]
    other = _room(target, core)
    bigger = f"{other.name} has room" if other else "no known part has room for it"
    lines = [
        f"{title}: {target.name} has too few {words}, as estimated; nothing was written",
        *_table(target, found, total),
        f"use {cure}, or a bigger part ({bigger}); --oversize writes the design anyway",
    ]
    raise InputError("\n".join(lines))


def _over(target: Target, need: Resources, slack: float) -> list[str]:
    """The resources of which there are too few."""
    have = target.capacity
    allowed = {"lut": slack, "ff": slack}
    return [
        key for key in _TITLES if getattr(need, key) > allowed.get(key, 1.0) * getattr(have, key)
    ]


def _room(target: Target, core: CoreParams) -> Target | None:
    """The smallest target of the same kind that has room, of the same family first."""
    found = []
    for other in targets().values():
        layers = core.layers
        if other.family != target.family:
            layers = tuple(replace(a, storage="block", family=other.family) for a in layers)
        # A larger part need not share engines.
        alone = replace(core, layers=layers, shared=())
        total = sum(needs(other, alone).values(), Resources())
        if other.kind == target.kind and not _over(other, total, FULL):
            found.append(other)
    return min(found, key=lambda t: (t.family != target.family, t.capacity.lut), default=None)


def _table(target: Target, found: Mapping[str, Resources], total: Resources) -> list[str]:
    """A line a layer."""
    keys = [k for k in _TITLES if getattr(target.capacity, k) or getattr(total, k)]
    heads = [_TITLES[key][target.family] for key in keys]
    have = {key: getattr(target.capacity, key) for key in keys}
    rows = [(name, {k: getattr(need, k) for k in keys}) for name, need in found.items()]
    rows += [("in all", {k: getattr(total, k) for k in keys}), (f"{target.name} has", have)]
    width = max(len(name) for name, _ in rows)
    lines = ["  ".join([" " * width, *heads])]
    for name, values in rows:
        cells = [f"{values[k]:>{len(head)},}" for k, head in zip(keys, heads, strict=True)]
        lines.append("  ".join([f"{name:<{width}}", *cells]))
    return ["  " + line for line in lines]
