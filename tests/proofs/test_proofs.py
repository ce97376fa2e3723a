# SPDX-License-Identifier: Apache-2.0
"""Every proof of the catalogue holds, is about something, and fails on a broken component."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from proofs.cases import Fault, Proof
from proofs.catalogue import PROOFS
from proofs.fault_list import FAULTS


def _marked(entries: list[Any]) -> list[Any]:
    return [pytest.param(e, id=e.id, marks=[pytest.mark.slow] if e.slow else []) for e in entries]


@pytest.mark.parametrize("proof", _marked(PROOFS))
def test_it_holds(proof: Proof, tmp_path: Path) -> None:
    result = proof.run(tmp_path)
    assert result.status == "PASS", f"{result.failing}\n{result.log[-1500:]}"
    assert bool(result.clauses) == (not proof.depth)


@pytest.mark.parametrize("proof", _marked(PROOFS))
def test_it_is_about_something(proof: Proof, tmp_path: Path) -> None:
    result = proof.cover(tmp_path)
    assert result.status == "PASS", result.log[-1500:]


@pytest.mark.parametrize("fault", _marked(FAULTS))
def test_it_finds_a_fault(fault: Fault, tmp_path: Path) -> None:
    result = fault.run(tmp_path)
    assert result.status == "FAIL", result.log[-1500:]
    assert result.failing == [fault.found_by], result.log[-1500:]
