# SPDX-License-Identifier: Apache-2.0
"""The design's own cocotb test bench, which runs without spikefab."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["write_testbench"]


def write_testbench(
    folder: Path,
    manifest: dict[str, Any],
    x: np.ndarray,
    tokens: int,
    spikes: np.ndarray,
    mem: np.ndarray | None,
    steps_used: np.ndarray | None = None,
) -> None:
    """Writes `run.py`, `test_design.py`, `streams.json` and `vectors.npz`.

    `x`: samples as the core takes them, of `tokens` input tokens each; `spikes` and, for
    integrators, `mem` (samples, steps, outputs) as the golden model gives them, up to the steps
    that each sample uses.
    """
    folder.mkdir()
    templates = files("spikefab.gen") / "templates"
    for name in ("run.py", "test_design.py"):
        (folder / name).write_text((templates / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "streams.json").write_text(json.dumps(manifest["streams"]) + "\n", encoding="utf-8")
    arrays = {
        "x": x,
        "events": _events(manifest["input"], x),
        "tokens": np.array(tokens),
        "steps": np.full(len(x), spikes.shape[1]) if steps_used is None else steps_used,
        "spikes": spikes,
    }
    if mem is not None:
        arrays["mem"] = mem
        graded = {out["base"]: out["kind"] == "membrane" for out in manifest["outputs"]}
        arrays["graded"] = np.repeat(
            list(graded.values()), np.diff([*graded, manifest["output"]["addresses"]])
        )
    with open(folder / "vectors.npz", "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _events(coding: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """How many events each number of `x` is: as many as it counts, or one where it is a value that
    is to be sent."""
    if not coding["payload_width"]:
        return x
    sent = x != 0
    if coding["coding"] == "delta":
        sent[:, 1:] = x[:, 1:] != x[:, :-1]
    return sent.astype(np.uint8)
