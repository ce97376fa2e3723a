# SPDX-License-Identifier: Apache-2.0
"""Values of a TOML table: each read with its check, every problem collected, none raised."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["TableReader"]

FILE_KEYS = ("file", "key")


class TableReader:
    """Reads values; `problems` collects what is wrong, as `file: key = value: limit`."""

    def __init__(self, path: Path):
        self.path = path
        self.problems: list[str] = []
        self._files: dict[Path, dict[str, np.ndarray] | None] = {}

    def fail(self, key: str, message: str, value: object = None) -> None:
        shown = "" if value is None else f" = {_short(value)}"
        self.problems.append(f"{self.path}: {key}{shown}: {message}")

    def check_keys(self, where: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                close = get_close_matches(key, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                dotted = f"{where}.{key}" if where else key
                self.fail(dotted, f"is not a known key{hint} (known: {', '.join(known)})")

    def number(
        self,
        table: dict[str, Any],
        where: str,
        key: str,
        limit: str,
        legal: Callable[[float], bool],
        default: Any = None,
    ) -> Any:
        """A number that fulfils `legal`; `default` where it is absent or wrong."""
        if key not in table:
            return default
        value = table[key]
        if not _is_number(value) or not legal(value):
            self.fail(f"{where}.{key}", f"must be {limit}", value)
            return default
        return value

    def array(
        self, where: str, value: Any, key: str, size: int | None, whose: str = "neuron"
    ) -> np.ndarray | None:
        """A shared number, a list of one a neuron (or `whose`), or an array of an `.npz`."""
        dotted = f"{where}.{key}"
        if isinstance(value, dict):
            array = self.from_file(dotted, value)
        elif _is_number(value) or (isinstance(value, list) and all(map(_is_number, value))):
            array = np.asarray(value, np.float64)
        else:
            self.fail(dotted, "must be a number, a list of numbers, or {file, key}", value)
            return None
        if array is None:
            return None
        if not np.all(np.isfinite(array)):
            self.fail(dotted, "must be finite", value)
            return None
        if array.size != 1 and size is not None and array.shape != (size,):
            self.fail(dotted, f"has shape {array.shape}; must be one number, or {size}, one a "
                      f"{whose}", value)  # fmt: skip
            return None
        return array

    def from_file(self, dotted: str, value: dict[str, Any]) -> np.ndarray | None:
        """The array that {file, key} names; the file is relative to the config."""
        self.check_keys(dotted, value, FILE_KEYS)
        file, key = value.get("file"), value.get("key")
        for part, given in (("file", file), ("key", key)):
            if not isinstance(given, str):
                state = "is missing" if given is None else "must be a text"
                self.fail(f"{dotted}.{part}", f"{state}; give the .npz and the array's name", given)
        if not isinstance(file, str) or not isinstance(key, str):
            return None
        arrays = self.load_arrays(dotted, file)
        if arrays is None:
            return None
        if key not in arrays:
            self.fail(f"{dotted}.key", f"is not in {file}, which has "
                      f"{', '.join(arrays) or 'no arrays'}", key)  # fmt: skip
            return None
        array = arrays[key]
        if array.dtype.kind not in "fiub":
            self.fail(f"{dotted}.key", f"holds {array.dtype}, not numbers", key)
            return None
        return array.astype(np.float64)

    def load_arrays(self, dotted: str, file: str) -> dict[str, np.ndarray] | None:
        path = self.path.parent / file
        if path not in self._files:
            self._files[path] = None
            try:
                with np.load(path, allow_pickle=False) as loaded:
                    self._files[path] = {key: loaded[key] for key in loaded.files}
            except FileNotFoundError:
                self.fail(f"{dotted}.file", f"there is no file {path}", file)
                return None
            except Exception as error:  # zipfile and numpy each raise their own
                self.fail(f"{dotted}.file", f"is not a readable .npz ({error})", file)
                return None
        return self._files[path]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
