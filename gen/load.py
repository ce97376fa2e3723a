# SPDX-License-Identifier: Apache-2.0
"""The one door for networks: a `.nir` graph or a `.toml` config."""

from __future__ import annotations

from pathlib import Path

from spikefab.gen.config import read_config
from spikefab.gen.errors import InputError
from spikefab.gen.network import Network
from spikefab.gen.nir_import import import_nir

__all__ = ["load_network"]


def load_network(
    path: Path | str,
    *,
    dialect: str | None = None,
    dt: float | None = None,
    steps: int | None = None,
) -> Network:
    """Reads, checks and discretises a network.

    `dialect`, `dt` (seconds a step) and `steps` override what a config says; a graph says none of
    them. Raises `InputError` with every problem found.
    """
    path = Path(path)
    if steps is not None and steps < 1:
        raise InputError(f"steps = {steps}: must be >= 1")
    suffix = path.suffix.lower()
    if suffix == ".nir":
        return import_nir(path, dialect=dialect, dt=dt, steps=steps)
    if suffix == ".toml":
        return read_config(path, dialect=dialect, dt=dt, steps=steps)
    raise InputError(f"{path}: is neither a .nir graph nor a .toml config")
