# SPDX-License-Identifier: Apache-2.0
"""What convolutions, sparse connections, delays and branches take: recorded numbers here, the tools
themselves in the slow set, as in `test_estimate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mapped_networks as networks
import pytest
from designs import TARGETS
from packing import pack

from spikefab.boards.target import find_target
from spikefab.gen.cells import Budget, Resources
from spikefab.gen.emit import emit
from spikefab.gen.plan import Plan, make_plan
from spikefab.gen.qnetwork import QNetwork

BUDGETS = {
    "ecp5": Budget(family="ecp5", lut=83_640, ff=83_640, ram=208, dsp=156),
    # Larger than the part: what counts is how it is laid out.
    "ice40": Budget(family="ice40", lut=83_640, ff=83_640, ram=208, dsp=8, spram=4),
}


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A small core and what it takes."""

    make: Callable[[], QNetwork]
    family: str
    lanes: int
    folds: int = 1
    cells: tuple[int, int, int]
    """Logic cells, flip-flops, block RAMs."""

    def __str__(self) -> str:
        return f"{self.family}-{self.make.__name__}"

    def plan(self) -> Plan:
        budget = BUDGETS[self.family]
        return make_plan(self.make(), budget, lanes=self.lanes, folds=self.folds, storage="block")


PACKED = [
    Packed(make=networks.late_neurons, family="ecp5", lanes=8, cells=(1541, 2802, 2)),
    Packed(make=networks.late_synapses, family="ecp5", lanes=8, cells=(1882, 2888, 3)),
    Packed(make=networks.branches, family="ecp5", lanes=8, cells=(2161, 4006, 3)),
    Packed(make=networks.pruned, family="ecp5", lanes=8, cells=(2805, 2416, 4)),
    Packed(make=networks.maps, family="ecp5", lanes=8, cells=(3093, 3182, 10)),
    Packed(make=networks.multi, family="ecp5", lanes=8, folds=2, cells=(3885, 3330, 9)),
    Packed(make=networks.channels, family="ecp5", lanes=4, cells=(1474, 1216, 11)),
    Packed(make=networks.maps, family="ice40", lanes=4, cells=(2893, 1891, 19)),
    Packed(make=networks.pruned, family="ice40", lanes=4, cells=(1989, 1069, 20)),
    Packed(make=networks.late_synapses, family="ice40", lanes=4, cells=(2648, 2145, 10)),
    Packed(make=networks.late_neurons, family="ice40", lanes=4, cells=(2678, 2163, 5)),
    Packed(make=networks.branches, family="ice40", lanes=4, cells=(3800, 3096, 8)),
    Packed(make=networks.channels, family="ice40", lanes=4, cells=(2024, 1091, 33)),
]


def close(found: Resources, cells: tuple[int, int, int]) -> None:
    """Within 15 % where logic is estimated, exact where blocks are counted."""
    assert (found.lut, found.ff) == pytest.approx(cells[:2], rel=0.15)
    assert (found.ram, found.dsp, found.spram) == (cells[2], 0, 0)


@pytest.mark.parametrize("case", PACKED, ids=str)
def test_recorded_cores(case: Packed) -> None:
    close(case.plan().resources, case.cells)


@pytest.mark.slow
@pytest.mark.parametrize("case", PACKED, ids=str)
def test_recorded_cores_are_still_so(case: Packed, tmp_path: Path) -> None:
    """The tools again: what is recorded above is what they make now."""
    target = find_target("ecp5-25f" if case.family == "ecp5" else "up5k")
    design = emit(case.plan(), tmp_path / "design", target=TARGETS[target.name])
    close(pack(design.path, design.verilog.name, target, "spikefab_core"), case.cells)
