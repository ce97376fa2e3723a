# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["write_whole"]


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` with a file beside `path`, which then takes its place.

    What is no plain file (a pipe, `/dev/stdout`) is written to as it is, and never replaced.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with open(path, "wb") as file:
            write(file)
        return
    target = path.resolve()  # a link to a file stays one
    new = target.with_name(f".{target.name}-{os.getpid()}.new")
    try:
        with open(new, "xb") as file:
            write(file)
        os.replace(new, target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
