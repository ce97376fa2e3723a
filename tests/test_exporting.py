# SPDX-License-Identifier: Apache-2.0
"""The sections of docs/exporting.md, each where its framework is installed: same spikes, every one.

No framework is a dependency. To run one: an environment with it (the page's table) and spikefab.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from test_docs import blocks, captured, expect, run_line, run_page, text_of

PAGE = "docs/exporting.md"
SECTIONS = {
    "snnTorch": "snntorch",
    "Norse": "norse",
    "sinabs": "sinabs",
    "SpikingJelly": "spikingjelly",
}


def section_of(line: int) -> str:
    """The heading above a line of the page."""
    above = "\n".join(text_of(PAGE).splitlines()[:line])
    return re.findall(r"^## (.+)$", above, re.MULTILINE)[-1]


def test_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs no framework runs, and the others have all that the sections' tests run."""
    monkeypatch.chdir(tmp_path)
    run_page(PAGE)
    assert (tmp_path / "test.npz").is_file()
    kinds: dict[str, list[str]] = {}
    for block in blocks(PAGE):
        if "an excerpt" not in block.mark:
            kinds.setdefault(section_of(block.line), []).append(block.language)
    assert kinds.pop("Data and training") == ["python", "python"]
    assert kinds == {name: ["python", "bash", "python", "text"] for name in SECTIONS}


@pytest.mark.parametrize("section", SECTIONS)
def test_section(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(SECTIONS[section], reason=f"{section} is not installed")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "docs"}
    printed = ""
    ran = 0
    for block in blocks(PAGE):
        where = f"{PAGE}:{block.line}"
        if section_of(block.line) not in ("Data and training", section):
            continue
        if block.language == "text":
            expect(block.body, printed, where)
            ran += 1
        elif block.language == "bash":
            printed = "".join(run_line(line) for line in block.body.splitlines())
        elif "an excerpt" not in block.mark:
            with captured() as out:
                exec(compile(block.body, where, "exec"), names)
            printed = out.getvalue()
    assert ran == 1
    assert 0 < names["own"].sum() < names["own"].size
