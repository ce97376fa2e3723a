# SPDX-License-Identifier: Apache-2.0
"""Checks on what the user gives: the design's manifest, the samples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.host.errors import HostError

__all__ = ["DesignFacts", "check_samples", "read_manifest"]

MAX_STEPS = 65535
"""The board counts a sample's steps in 16 bits."""


@dataclass(frozen=True, kw_only=True)
class DesignFacts:
    """What the driver needs to know of a design."""

    name: str
    design_hash: bytes
    input_shape: tuple[int, ...]
    n_inputs: int
    max_events: int
    n_outputs: int
    output_width: int
    steps: int | None
    baud: int | None

    @property
    def is_membrane(self) -> bool:
        return self.output_width > 0


def read_manifest(source: dict[str, Any] | str | Path) -> DesignFacts:
    """Reads a manifest, `manifest.json`, or the folder that holds it; raises `HostError`."""
    where = "manifest"
    manifest: Any = source
    if not isinstance(source, dict):
        path = Path(source)
        path = path / "manifest.json" if path.is_dir() else path
        where = str(path)
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise HostError(f"{path}: cannot be read ({error.strerror}); give a design directory "
                            f"that `spikefab compile` wrote") from None  # fmt: skip
        except ValueError as error:
            raise HostError(f"{path}: damaged ({error}); compile the design again") from None
    try:
        if manifest["format"] != 1:
            raise HostError(f"{where}: format {manifest['format']!r}, this driver reads 1; compile "
                            f"the design again or update the driver")  # fmt: skip
        output = manifest["output"]
        facts = DesignFacts(
            name=str(manifest["name"]),
            design_hash=bytes.fromhex(manifest["hash"]),
            input_shape=tuple(int(n) for n in manifest["input"]["shape"]),
            n_inputs=int(manifest["input"]["size"]),
            max_events=int(manifest["input"]["max_events"]),
            n_outputs=int(output["size"]),
            output_width=int(output["payload_width"]) if output["kind"] == "membrane" else 0,
            steps=None if manifest.get("steps") is None else int(manifest["steps"]),
            baud=None
            if manifest["target"].get("baud") is None
            else int(manifest["target"]["baud"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HostError(f"{where}: not a design's manifest ({type(error).__name__}: {error}); "
                        f"compile the design again") from None  # fmt: skip
    if len(facts.design_hash) != 16:
        raise HostError(f"{where}: hash of {len(facts.design_hash)} bytes, must be 16; compile "
                        f"the design again")  # fmt: skip
    return facts


def check_samples(x: np.ndarray, facts: DesignFacts) -> np.ndarray:
    """`x` as (samples, steps, inputs); raises `HostError` where the design cannot take it."""
    x = np.asarray(x)
    shape = facts.input_shape
    if x.dtype.kind not in "iub":
        raise HostError(f"x has elements of type {x.dtype}, must be integers: counts of events; "
                        f"round them, or choose an input coding")  # fmt: skip
    if x.ndim < 2 or x.shape[2:] not in (shape, (facts.n_inputs,)):
        raise HostError(f"x has shape {x.shape}, must be (samples, steps, "
                        f"{', '.join(map(str, shape))}) for design {facts.name!r}; "
                        f"reshape it")  # fmt: skip
    steps = x.shape[1]
    limit = MAX_STEPS if facts.steps is None else min(facts.steps, MAX_STEPS)
    if not 1 <= steps <= limit:
        raise HostError(f"x has {steps} steps a sample, must be 1 to {limit} for design "
                        f"{facts.name!r}; compile with --steps {max(steps, 1)}")  # fmt: skip
    x = x.reshape(len(x), steps, facts.n_inputs)
    for bad, value, limit_text, cure in (
        (x < 0, "negative", "at least 0", "a count of events has no sign"),
        (x > facts.max_events, "too large", f"at most {facts.max_events}",
         "compile the design for larger counts, or spread them over more steps"),
    ):  # fmt: skip
        if bad.any():
            sample, step, address = (int(k[0]) for k in np.nonzero(bad))
            raise HostError(f"x[{sample}, {step}], input {address}: the count "
                            f"{x[sample, step, address]} is {value}, must be {limit_text}; "
                            f"{cure}")  # fmt: skip
    # Counts repeat addresses, which numpy does not do with uint64.
    return x.astype(np.int64) if x.dtype == np.uint64 else x
