# SPDX-License-Identifier: Apache-2.0
"""What is taken off a netlist before place and route."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spikefab.boards.netlist import open_chain_ends


def adder(cin: Any, cout: int) -> dict[str, Any]:
    return {"type": "CCU2C", "connections": {"CIN": [cin], "COUT": [cout], "S0": [cout + 100]}}


def test_only_carries_that_lead_nowhere(tmp_path: Path) -> None:
    """One carry goes on, one to a register, one out of a port, and one nowhere."""
    cells = {
        "first": adder("x", 2), "second": adder(2, 3), "third": adder("x", 4),
        "fourth": adder("x", 5), "register": {"type": "TRELLIS_FF", "connections": {"DI": [4]}},
    }  # fmt: skip
    path = tmp_path / "netlist.json"
    ports = {"o": {"direction": "output", "bits": [5]}}
    path.write_text(json.dumps({"modules": {"top": {"ports": ports, "cells": cells}}}))
    assert open_chain_ends(path) == 1
    after = json.loads(path.read_text())["modules"]["top"]["cells"]
    carries = [after[name]["connections"]["COUT"] for name in list(cells)[:4]]
    assert carries == [[2], ["x"], [4], [5]]
    assert open_chain_ends(path) == 0
