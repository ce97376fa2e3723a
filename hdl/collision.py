# SPDX-License-Identifier: Apache-2.0
"""What synthesis is told of memories that are read and written in the same cycle."""

from __future__ import annotations

from typing import Any

__all__ = ["NO_COLLISION"]

NO_COLLISION: dict[str, Any] = {"no_rw_check": 1}
"""Attributes of a memory from which no word is used that was read while it was written. Otherwise
synthesis adds registers and multiplexers that make such a read come out right: on iCE40, two logic
cells a bit."""
