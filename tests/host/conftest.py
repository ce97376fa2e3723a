# SPDX-License-Identifier: Apache-2.0
"""Boards in Amaranth's simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from simulated_board import SimulatedBoard, make_simulated


@pytest.fixture
def simulated() -> Callable[..., tuple[SimulatedBoard, dict[str, Any]]]:
    """Makes simulated boards: `simulated(n=5, width=0, delay=0, …)` -> transport, manifest."""
    return make_simulated
