# SPDX-License-Identifier: Apache-2.0
"""Checks an inductive invariant with z3: it holds at reset, every cycle keeps it, and no state
that it allows breaks a check. Whoever found it need not be trusted."""

from __future__ import annotations

import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Circuit", "confirm", "read_aiger"]

Cube = list[tuple[int, bool]]
"""(latch, value) of all latches in it."""


@dataclass(frozen=True)
class Circuit:
    """An and-inverter graph; literals are AIGER's: 2 x variable, + 1 when inverted."""

    n_inputs: int
    latches: list[int]
    """The next state of each latch; all begin at 0."""
    bad: list[int]
    constraints: list[int]
    ands: list[tuple[int, int]]

    @property
    def n_variables(self) -> int:
        return self.n_inputs + len(self.latches) + len(self.ands)

    def latch(self, index: int) -> int:
        """The variable of a latch."""
        return 1 + self.n_inputs + index


def read_aiger(path: Path) -> Circuit:
    """A binary AIGER file with checks ("bad") and constraints."""
    raw = path.read_bytes()
    position = 0

    def line() -> list[str]:
        nonlocal position
        end = raw.index(b"\n", position)
        text, position = raw[position:end].decode(), end + 1
        return text.split()

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = raw[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    head = line()
    assert head[0] == "aig", head
    counts = [int(word) for word in head[1:]] + [0] * 9
    _, n_inputs, n_latches, n_outputs, n_ands, n_bad, n_constraints = counts[:7]
    latches = []
    for _ in range(n_latches):
        words = line()
        assert len(words) == 1 or words[1] == "0", f"a latch that does not begin at 0: {words}"
        latches.append(int(words[0]))
    outputs = [int(line()[0]) for _ in range(n_outputs)]
    bad = [int(line()[0]) for _ in range(n_bad)]
    constraints = [int(line()[0]) for _ in range(n_constraints)]
    ands = []
    for k in range(n_ands):
        left = 2 * (1 + n_inputs + n_latches + k)
        right0 = left - number()
        ands.append((right0, right0 - number()))
    return Circuit(n_inputs, latches, bad or outputs, constraints, ands)


def read_cubes(path: Path, n_latches: int) -> list[Cube]:
    """The states that an invariant written by ABC excludes. It has a latch more where there are
    constraints: whether one was broken before, which here is never."""
    cubes: list[Cube] = []
    columns: list[int] = []
    for text in path.read_text().splitlines():
        words = text.split()
        if words and words[0] == ".ilb":
            assert all(name.startswith("lo") for name in words[1:]), text
            columns = [int(name[2:]) for name in words[1:]]
        elif len(words) == 2 and set(words[0]) <= set("01-"):
            bits = zip(columns, words[0], strict=True)
            cube = [(latch, bit == "1") for latch, bit in bits if bit != "-"]
            if not any(latch >= n_latches and value for latch, value in cube):
                cubes.append([(latch, value) for latch, value in cube if latch < n_latches])
    return cubes


def confirm(model: Path, invariant: Path) -> int:
    """Raises AssertionError when the invariant proves nothing; returns its number of clauses.

    Clauses that a cycle can break are left out, until the rest is kept; what ABC writes may have
    some of them besides. Then the rest must be strong enough.
    """
    circuit = read_aiger(model)
    cubes = read_cubes(invariant, len(circuit.latches))
    for cube in cubes:
        assert any(value for _, value in cube), "the invariant does not hold at reset"
    always = _definitions(circuit) + [[_cnf(literal)] for literal in circuit.constraints]
    while cubes:
        clauses = always + [_excluded(circuit, cube) for cube in cubes]
        flags = range(circuit.n_variables + 2, circuit.n_variables + 2 + len(cubes))
        for flag, cube in zip(flags, cubes, strict=True):
            reached = [_cnf(circuit.latches[latch] ^ (not value)) for latch, value in cube]
            clauses += [[-flag, literal] for literal in reached]
        true = _solution([*clauses, list(flags)], flags.stop - 1)
        if true is None:
            break
        cubes = [cube for flag, cube in zip(flags, cubes, strict=True) if flag not in true]
    clauses = always + [_excluded(circuit, cube) for cube in cubes]
    clauses.append([_cnf(bad) for bad in circuit.bad])
    assert _solution(clauses, circuit.n_variables + 1) is None, (
        "the invariant allows a state in which a check fails"
    )
    return len(cubes)


def _excluded(circuit: Circuit, cube: Cube) -> list[int]:
    """The clause that a state of the cube breaks."""
    return [_cnf(2 * circuit.latch(latch) + value) for latch, value in cube]


def _cnf(literal: int) -> int:
    """An AIGER literal as one of DIMACS; the constant is variable 1."""
    variable = literal // 2 + 1
    return -variable if literal & 1 else variable


def _definitions(circuit: Circuit) -> list[list[int]]:
    clauses = [[-1]]
    first = 1 + circuit.n_inputs + len(circuit.latches)
    for k, (a, b) in enumerate(circuit.ands):
        left, a, b = _cnf(2 * (first + k)), _cnf(a), _cnf(b)
        clauses += [[-left, a], [-left, b], [left, -a, -b]]
    return clauses


def _solution(clauses: list[list[int]], n_variables: int) -> set[int] | None:
    """The variables that are true in a solution; None when z3 says that there is none."""
    assert all(abs(literal) <= n_variables for clause in clauses for literal in clause)
    text = [f"p cnf {n_variables} {len(clauses)}"]
    text += [" ".join(map(str, clause)) + " 0" for clause in clauses]
    z3 = Path(sysconfig.get_path("scripts")) / "z3"
    done = subprocess.run(
        [str(z3) if z3.exists() else "z3", "-dimacs", "-in"],
        input="\n".join(text) + "\n",
        capture_output=True,
        text=True,
    )
    answer = done.stdout.split()
    if "UNSATISFIABLE" in answer:
        return None
    assert "SATISFIABLE" in answer, f"z3: {done.stdout[:200]} {done.stderr[:200]}"
    return {int(word) for word in answer if word.isdigit()}
