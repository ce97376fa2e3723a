# SPDX-License-Identifier: Apache-2.0
"""What fits a part, what is refused, and what the refusal says."""

from __future__ import annotations

import pytest
from designs import make_network

from spikefab.boards.fit import SLACK, check_fit, needs
from spikefab.boards.target import find_target
from spikefab.gen.errors import InputError
from spikefab.gen.estimate import Resources, estimate_core, estimate_link
from spikefab.gen.plan import make_plan
from spikefab.hdl.params import CoreParams
from spikefab.scripts.pipeline import target_budget

CURE = "less network"


def core_of(sizes: list[int], target: str, lanes: int = 1) -> CoreParams:
    budget = target_budget(find_target(target))
    return make_plan(make_network(sizes), budget, lanes=lanes, share="never").core


@pytest.mark.parametrize("name", ["up5k", "icebreaker", "ecp5-25f"])
def test_the_rows_add_up_to_the_estimate(name: str) -> None:
    target = find_target(name)
    core = core_of([12, 9, 4], name)
    found = needs(target, core)
    assert list(found)[:2] == [layer.name for layer in core.layers]
    expected = estimate_core(core, target.family)
    if target.board is not None:
        expected += estimate_link(target.family, core)
    assert sum(found.values(), Resources()) == expected
    assert check_fit(target, core, title="small", cure=CURE) == []


def test_a_network_that_does_not_fit_is_refused_with_the_budget() -> None:
    core = core_of([64, *[24] * 30, 10], "up5k")
    target = find_target("up5k")
    with pytest.raises(InputError) as caught:
        check_fit(target, core, title="deep", cure=CURE)
    first, heads, *rows, have, last = caught.value.problems[0].splitlines()
    assert first.startswith("deep: up5k has too few logic cells, flip-flops and block RAMs, as")
    assert heads.split("  ")[-1].strip() == "multipliers"
    assert rows[0].split()[0] == core.layers[0].name
    assert have.split()[:5] == ["up5k", "has", "5,280", "5,280", "30"]
    named = [int(row.split()[-5].replace(",", "")) for row in rows]
    assert sum(named[:-1]) == named[-1] == estimate_core(core, "ice40").lut
    assert last.startswith("use less network, or a bigger part (ecp5-25f has room)")
    (warning,) = check_fit(target, core, title="deep", cure=CURE, oversize=True)
    assert warning.startswith(
        "warning: probably too many logic cells, flip-flops and block RAMs for up5k"
    )
    # The part that is named has room.
    other = core_of([64, *[24] * 30, 10], "ecp5-25f")
    assert check_fit(find_target("ecp5-25f"), other, title="deep", cure=CURE) == []


def test_nothing_has_room() -> None:
    core = core_of([4000, 1500], "ecp5-85f")
    with pytest.raises(InputError, match="no known part has room"):
        check_fit(find_target("ecp5-85f"), core, title="wide", cure=CURE)


def test_logic_may_be_a_little_over_as_estimates_are() -> None:
    """Between full and `SLACK` of that a warning, beyond an error; memories have no slack."""
    target = find_target("hx1k")
    seen = set()
    for n in range(20, 36):
        core = core_of([6, n], "hx1k", n // 5)
        need = estimate_core(core, "ice40").lut / target.capacity.lut
        try:
            found = check_fit(target, core, title="near", cure=CURE)
            kind = "warned" if found else "fits"
        except InputError:
            kind = "refused"
        seen.add(kind)
        assert kind == ("fits" if need <= 1 else "warned" if need <= SLACK else "refused")
    assert seen == {"fits", "warned", "refused"}
