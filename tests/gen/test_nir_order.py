# SPDX-License-Identifier: Apache-2.0
"""The order of nodes and the edges that lead back: the rule, and that no order of edges matters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefab.gen.nir_order import arrange, components, natural, reach


def _after(text: str) -> dict[str, list[str]]:
    """'ab bc' has the edges a -> b and b -> c."""
    after: dict[str, list[str]] = {name: [] for name in sorted(set(text) - {" "})}
    for a, b in text.split():
        after[a].append(b)
    return after


@pytest.mark.parametrize(
    ("edges", "order", "back"),
    [
        ("xa ab bc", "xabc", ""),
        ("xa ab ba", "xab", "ba"),
        ("xa aa ab", "xab", "aa"),
        ("xa ab bc ca", "xabc", "ca"),
        ("xa xc ab bc ca", "xabc", "ca"),  # a and c are as near: by name
        ("xa xb ab ba ac cb", "xacb", "ba"),  # a has fewer edges back than b
        ("xb xa ab ba ac ca", "xbac", "ab ca"),  # and b fewer than a
        ("xa ab bc cb", "xabc", "cb"),
        ("xa ab bc cb ca", "xabc", "cb ca"),
        ("xa xd ab ba bd", "xabd", "ba"),  # d is in no cycle: its edges never lead back
        ("xa yb ab ba", "xyab", "ba"),
        ("xa ab bc cd db ca", "xabcd", "db ca"),
    ],
)
def test_the_rule(edges: str, order: str, back: str) -> None:
    after = _after(edges)
    starts = [name for name in "xy" if name in after]
    assert arrange(after, starts) == (list(order), {(a, b) for a, b in back.split()})


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=25), st.integers(0, 1000))
def test_what_holds_of_every_graph(edges: set[tuple[int, int]], seed: int) -> None:
    after: dict[str, list[str]] = {str(i): [] for i in range(9)}
    for a, b in edges:
        after[str(a)].append(str(b))
    order, back = arrange(after, ["0"])
    assert sorted(order) == sorted(after)
    place = {name: i for i, name in enumerate(order)}
    for a, targets in after.items():
        for b in targets:
            assert ((a, b) in back) == (place[b] <= place[a])
            if (a, b) in back:
                assert a in reach(after, [b]), "an edge outside of any cycle leads back"
    for targets in after.values():
        random.Random(seed).shuffle(targets)
    shuffled = dict(random.Random(seed).sample(sorted(after.items()), len(after)))
    assert arrange(shuffled, ["0"]) == (order, back)


def test_components_are_what_reaches_each_other_in_order() -> None:
    after = _after("ab bc ca cd de ed ef")
    assert [sorted(group) for group in components(set("abcdef"), after)] == [
        ["a", "b", "c"], ["d", "e"], ["f"]]  # fmt: skip
    assert sorted(map(sorted, components(set("abde"), after))) == [["a"], ["b"], ["d", "e"]]


def test_deep_graphs_need_no_recursion() -> None:
    n = 3000
    after = {str(i): [str(i + 1)] if i < n else ["1500"] for i in range(n + 1)}
    order, back = arrange(after, ["0"])
    assert order == [str(i) for i in range(n + 1)]
    assert back == {(str(n), "1500")}


def test_names_sort_as_people_count() -> None:
    names = ["fc10", "fc2", "b", "2", "10", "a.c", "a.b1.x", "a.b"]
    assert sorted(names, key=natural) == ["2", "10", "a.b", "a.b1.x", "a.c", "b", "fc2", "fc10"]
