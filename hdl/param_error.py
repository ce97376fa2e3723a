# SPDX-License-Identifier: Apache-2.0
"""How parameters are refused."""

from __future__ import annotations

__all__ = ["ParamError", "require"]


class ParamError(ValueError):
    """A parameter outside its legal range; the message names field, value, limit and cure."""


def require(condition: bool, field: str, value: object, limit: str, cure: str = "") -> None:
    """Raises `ParamError` unless the condition holds."""
    if not condition:
        raise ParamError(f"{field} = {value!r}: must be {limit}" + (f"; {cure}" if cure else ""))
