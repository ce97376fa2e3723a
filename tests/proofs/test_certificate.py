# SPDX-License-Identifier: Apache-2.0
"""An invariant counts only when it holds at reset, is kept, and is strong enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from amaranth.hdl import unsigned
from proofs.certificate import confirm
from proofs.faults import BrokenOutput, broken_by
from proofs.queues import queue_harness
from proofs.solver import unbounded

from spikefab.hdl.queue import Queue


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
    n = sum(map(_is_cube, lines))
    assert 0 < confirm(model, _written(tmp_path, lines)) <= n


def test_a_clause_that_does_not_last_is_left_out(
    proved: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """That a latch stays at 0 for ever is true of few, or none."""
    model, lines = proved
    right = confirm(model, _written(tmp_path, lines))
    (labels,) = (line.split()[1:] for line in lines if line.startswith(".ilb"))
    stuck = [
        "".join("1" if k == n else "-" for k in range(len(labels))) for n in range(len(labels))
    ]
    assert confirm(model, _written(tmp_path, [*lines, *(cube + " 1" for cube in stuck)])) < (
        right + len(stuck)
    )


def test_one_that_excludes_reset_is_refused(proved: tuple[Path, list[str]], tmp_path: Path) -> None:
    model, lines = proved
    (labels,) = (line.split()[1:] for line in lines if line.startswith(".ilb"))
    with pytest.raises(AssertionError, match="at reset"):
        confirm(model, _written(tmp_path, [*lines, "0" * len(labels) + " 1"]))


def test_an_empty_one_is_refused(proved: tuple[Path, list[str]], tmp_path: Path) -> None:
    model, lines = proved
    weak = [line for line in lines if not _is_cube(line)]
    with pytest.raises(AssertionError, match="a check fails"):
        confirm(model, _written(tmp_path, weak))


def test_one_of_another_model_is_refused(proved: tuple[Path, list[str]], tmp_path: Path) -> None:
    """The queue of two's invariant proves nothing of one whose items change on the way."""
    _, lines = proved
    queue = BrokenOutput(Queue(unsigned(2), 2), "changes")
    harness = broken_by(queue_harness(2, queue=queue), queue)
    assert unbounded(harness, tmp_path).status == "FAIL"
    with pytest.raises(AssertionError, match="a check fails"):
        confirm(tmp_path / "work" / "model" / "design_aiger.aig", _written(tmp_path, lines))


@pytest.mark.parametrize(("following", "holds"), [(b"2", True), (b"3", False)])
def test_a_latch_that_must_stay_at_0(tmp_path: Path, following: bytes, holds: bool) -> None:
    """One latch, which keeps its value or turns it over, and must never be 1."""
    model = tmp_path / "latch.aig"
    model.write_bytes(b"aig 1 0 1 0 0 1\n" + following + b"\n2\n")
    invariant = _written(tmp_path, [".i 1", ".o 1", ".p 1", ".ilb lo0", ".ob inv", "1 1", ".e"])
    if holds:
        assert confirm(model, invariant) == 1
    else:
        with pytest.raises(AssertionError, match="a check fails"):
            confirm(model, invariant)
