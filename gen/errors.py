# SPDX-License-Identifier: Apache-2.0
"""The error that a user caused and can cure."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["InputError"]


class InputError(Exception):
    """Bad input. Each problem names the thing, the limit and the cure; all are reported at once.

    The command line prints the problems and exits with status 2, without a traceback.
    """

    def __init__(self, problems: str | Iterable[str]):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))
