# SPDX-License-Identifier: Apache-2.0
"""What place and route need not build of a synthesised netlist."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

__all__ = ["open_chain_ends"]


def open_chain_ends(netlist: Path) -> int:
    """Takes off the carry outputs of ECP5 adders (CCU2C) that lead nowhere; gives how many.

    Yosys names a net for each, and nextpnr brings every carry that has a net, at the end of a
    chain, to the fabric: a cell of two tables for nothing.
    """
    design = json.loads(netlist.read_text(encoding="utf-8"))
    opened = 0
    for module in design["modules"].values():
        cells = module.get("cells", {}).values()
        used = Counter(bit for c in cells for bits in c["connections"].values() for bit in bits)
        for port in module.get("ports", {}).values():
            used.update(port["bits"])
        for cell in cells:
            if cell["type"] == "CCU2C" and [used[b] for b in cell["connections"]["COUT"]] == [1]:
                cell["connections"]["COUT"] = ["x"]
                opened += 1
    if opened:
        netlist.write_text(json.dumps(design), encoding="utf-8")
    return opened
