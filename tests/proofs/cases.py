# SPDX-License-Identifier: Apache-2.0
"""What a proof and a planted fault are, and how they are run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofs.collisions import colliding_memories
from proofs.harness import Harness
from proofs.solver import Result, bounded, covered, unbounded

__all__ = ["Fault", "Proof"]


@dataclass(frozen=True, kw_only=True)
class Proof:
    name: str
    block: str
    size: str
    claim: str
    build: Callable[[], Harness]
    depth: int = 0
    """Cycles from reset that are looked at; 0: all, by an inductive invariant."""
    cover_depth: int = 24
    slow: bool = False
    around: Callable[[], AbstractContextManager[Any]] = colliding_memories
    """What holds while the component is built."""

    @property
    def id(self) -> str:
        return self.name

    @property
    def method(self) -> str:
        return f"bounded, {self.depth} cycles" if self.depth else "unbounded"

    def run(self, folder: Path, timeout: int = 7200) -> Result:
        with self.around():
            if self.depth:
                return bounded(self.build(), folder, self.depth, timeout)
            return unbounded(self.build(), folder, timeout)

    def cover(self, folder: Path, timeout: int = 7200) -> Result:
        with self.around():
            return covered(self.build(), folder, self.cover_depth, timeout)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A broken component, and a check that has to find it without the help of the others."""

    name: str
    build: Callable[[], Harness]
    found_by: str
    depth: int = 16
    """Cycles from reset in which it has to be found."""
    slow: bool = False
    around: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def id(self) -> str:
        return f"{self.name}-{self.found_by}".replace(" ", "-")

    def run(self, folder: Path, timeout: int = 1800) -> Result:
        with self.around():
            return bounded(self.build().only(self.found_by), folder, self.depth, timeout)
