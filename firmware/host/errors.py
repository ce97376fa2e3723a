# SPDX-License-Identifier: Apache-2.0
"""The error that the host driver raises."""

from __future__ import annotations

__all__ = ["HostError"]


class HostError(Exception):
    """What went wrong between host and board, in words for the user: the thing, the limit, the
    cure."""
