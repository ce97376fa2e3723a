# SPDX-License-Identifier: Apache-2.0
"""The page on data runs, and its picture is what its script draws."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest
from test_docs import run_page


def test_data_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page("docs/data.md")


def test_picture(root: Path, tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    shutil.copy(root / "docs" / "data.md", tmp_path)
    shutil.copy(root / "docs" / "img" / "recording.py", tmp_path / "img")
    runpy.run_path(str(tmp_path / "img" / "recording.py"), run_name="__main__")
    made = (tmp_path / "img" / "recording.svg").read_text()
    assert made == (root / "docs" / "img" / "recording.svg").read_text()
