# SPDX-License-Identifier: Apache-2.0
"""What simulations and runs have measured of a design, kept in its `build` folder."""

from __future__ import annotations

import json
from typing import Any

from spikefab.gen.design import Design
from spikefab.gen.errors import InputError

__all__ = ["read_measured", "record_measured"]


def _file(design: Design) -> Any:
    return design.build / "measured.json"


def read_measured(design: Design) -> dict[str, Any]:
    """What has been measured of this very design; empty where nothing was."""
    try:
        values = json.loads(_file(design).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict) or values.get("hash") != design.manifest["hash"]:
        return {}
    return values


def record_measured(design: Design, **values: Any) -> None:
    """Adds values, and puts measured cycles into a `report.json` that is there."""
    merged = {"hash": design.manifest["hash"], **read_measured(design), **values}
    report_file = design.path / "report.json"
    try:
        design.build.mkdir(exist_ok=True)
        _replace(_file(design), merged)
        if report_file.is_file():
            report = json.loads(report_file.read_text(encoding="utf-8"))
            if report.get("hash") == design.manifest["hash"]:
                for key in ("cycles_per_inference", "interval_cycles"):
                    if key in merged:
                        report.setdefault(key, {})["measured"] = merged[key]
                if "basis" in merged:
                    report.setdefault("cycles_basis", {})["measured"] = merged["basis"]
                _replace(report_file, report)
    except OSError as error:
        raise InputError(
            f"{error.filename or design.build}: cannot be written ({error.strerror}); make room, "
            "or change its permissions"
        ) from None


def _replace(path: Any, values: dict[str, Any]) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    new.replace(path)
