# SPDX-License-Identifier: Apache-2.0
"""Format, lint, types, packaging: one definition for laptop and CI."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOMS = ["hdl", "gen", "sim", "boards", "firmware", "scripts", "examples", "tests", "bench"]


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_format(root: Path) -> None:
    run("ruff", "format", "--check", ".", cwd=root)


def test_lint(root: Path) -> None:
    run("ruff", "check", ".", cwd=root)


def test_types(root: Path) -> None:
    rooms = sorted(path.name for path in (root / "typings/spikefab").iterdir())
    assert "hdl" in rooms
    run("mypy", *(f"-pspikefab.{room}" for room in rooms), cwd=root)


def test_every_file_names_its_licence(root: Path) -> None:
    files = [p for room in ROOMS for p in (root / room).rglob("*.py") if "templates" not in p.parts]
    lacking = [
        str(path.relative_to(root))
        for path in files
        if path.stat().st_size and "SPDX-License-Identifier: Apache-2.0" not in path.read_text()
    ]
    assert not lacking


def test_every_room_is_packaged(root: Path, tmp_path: Path) -> None:
    """The wheel holds every module and data file: an editable install would hide a missing one."""
    run(
        "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), ".",
        cwd=root,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    rooms = {"hdl": "hdl", "gen": "gen", "sim": "sim", "boards": "boards", "scripts": "scripts",
             "examples": "examples", "firmware/host": "host"}  # fmt: skip
    for folder, name in rooms.items():
        for path in (root / folder).rglob("*"):
            if path.suffix in {".py", ".v", ".cpp", ".h", ".vlt", ".nir", ".toml"}:
                inside = f"spikefab/{name}/{path.relative_to(root / folder)}"
                assert inside in names, f"{path} is not in the wheel"


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "LICENSE"])
def test_project_pages_exist(page: str, root: Path) -> None:
    assert (root / page).read_text().strip()


def test_links_between_pages_lead_somewhere(root: Path) -> None:
    pages = [root / "README.md", *(root / "docs").rglob("*.md"), root / "examples" / "README.md"]
    broken = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(root)}: {target}")
    assert not broken
