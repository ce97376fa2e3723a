# SPDX-License-Identifier: Apache-2.0
"""An invariant counts only when it holds at reset, is kept, and is strong enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from proofs.certificate import confirm
from proofs.queues import queue_harness
from proofs.solver import unbounded


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """(model, lines of its invariant)."""
    folder = tmp_path_factory.mktemp("proof")
    assert unbounded(queue_harness(2), folder).status == "PASS"
    invariant = folder / "work" / "engine_0" / "invariants.pla"
    return folder / "work" / "model" / "design_aiger.aig", invariant.read_text().splitlines()


def _written(tmp_path: Path, lines: list[str]) -> Path:
    path = tmp_path / "invariant.pla"
    path.write_text("\n".join(lines) + "\n")
    return path


def _is_cube(line: str) -> bool:
    return line.endswith(" 1") and set(line[:-2]) <= set("01-")


def test_a_right_one_is_confirmed(proved: tuple[Path, list[str]], tmp_path: Path) -> None:
    model, lines = proved
    assert confirm(model, _written(tmp_path, lines)) == sum(map(_is_cube, lines))


def test_one_that_excludes_reset_is_refused(proved: tuple[Path, list[str]], tmp_path: Path) -> None:
    model, lines = proved
    (labels,) = (line for line in lines if line.startswith(".ilb"))
    lines = [*lines, "0" * (len(labels.split()) - 1) + " 1"]
    with pytest.raises(AssertionError, match="at reset"):
        confirm(model, _written(tmp_path, lines))


def test_an_empty_one_is_refused(proved: tuple[Path, list[str]], tmp_path: Path) -> None:
    model, lines = proved
    weak = [line for line in lines if not _is_cube(line)]
    with pytest.raises(AssertionError, match="a check fails"):
        confirm(model, _written(tmp_path, weak))


def test_none_of_its_clauses_can_be_missing(proved: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Without one, most break; which of the two reasons applies depends on the clause."""
    model, lines = proved
    cubes = [line for line in lines if _is_cube(line)]
    reasons = []
    for cube in cubes:
        try:
            confirm(model, _written(tmp_path, [line for line in lines if line != cube]))
        except AssertionError as error:
            reasons.append(str(error))
    assert len(reasons) > len(cubes) // 2
    assert any("not inductive" in reason for reason in reasons)
