# SPDX-License-Identifier: Apache-2.0
"""The whole link: its parameters, its Verilog, its size. `tests/host` runs it with the driver."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from spikefab.gen.synth import synth_script
from spikefab.gen.verilog import to_verilog
from spikefab.hdl.link import HostLink, LinkParams
from spikefab.host.protocol import Identity
from spikefab.sim.toolchain import run_yosys

SOUND: dict[str, Any] = {
    "n_inputs": 64, "n_outputs": 10, "output_width": 0, "design_hash": bytes(range(16)),
    "divisor": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"n_inputs": 0}, "LinkParams.n_inputs = 0: must be 1 to 65536"),
        ({"n_outputs": 65537}, "n_outputs = 65537: must be 1 to 65536"),
        ({"output_width": 41}, "output_width = 41: must be 0 to 40"),
        ({"input_width": 9}, "LinkParams.input_width = 9: must be 0 to 8"),
        ({"load_words": 1 << 24}, "LinkParams.load_words = 16777216: must be 0 to 8388608"),
        ({"design_hash": b"abc"}, "LinkParams.design_hash: 3 bytes, must be 16"),
        ({"divisor": 3}, "divisor = 3: must be 4 to 65535 clock cycles a bit"),
        ({"max_payload": 250}, "LinkParams.max_payload = 250: must be 16 to 249"),
        ({"buffer": 1000}, "LinkParams.buffer = 1000: must be a power of two, 512 to 32768"),
    ],
)
def test_refusals(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        LinkParams(**{**SOUND, **changes})


@pytest.mark.parametrize(
    ("n", "width", "buffer", "words"), [(64, 0, 1024, 0), (65536, 40, 32768, 70000)]
)
def test_driver_reads_the_identity(n: int, width: int, buffer: int, words: int) -> None:
    params = LinkParams(
        **{**SOUND, "n_inputs": n, "n_outputs": n - 1, "output_width": width, "buffer": buffer,
           "input_width": width // 5, "load_words": words}
    )  # fmt: skip
    state = b"\x07\x01\x0a\xcd\xab"
    identity = Identity.decode(b"\x34\x12" + params.identity + state)
    assert identity == Identity(
        nonce=0x1234, version=2, design_hash=bytes(range(16)), n_inputs=n, n_outputs=n - 1,
        output_width=width, input_width=width // 5, max_payload=249, buffer=buffer,
        load_words=words, loaded=True, total=0xABCD,
    )  # fmt: skip
    assert identity.capacity == params.capacity == buffer - 130


@pytest.mark.parametrize(
    ("n_inputs", "n_outputs", "width", "value", "words"),
    [(64, 10, 0, 0, 0), (784, 10, 20, 3, 0), (1, 1, 40, 8, 1), (32, 12, 0, 0, 65536)],
)
def test_converts_to_verilog(
    n_inputs: int, n_outputs: int, width: int, value: int, words: int
) -> None:
    params = LinkParams(
        **{**SOUND, "n_inputs": n_inputs, "n_outputs": n_outputs, "output_width": width,
           "input_width": value, "load_words": words}
    )  # fmt: skip
    text = to_verilog(HostLink(params), "link")
    top = text[text.index("module link(") :]
    top = top[: top.index("endmodule")]
    ports = set(re.findall(r"^  (?:input|output) (?:\[\d+:0\] )?(\w+);", top, re.M))
    names = ("events", "results", "load") if words else ("events", "results")
    streams = {f"{s}__{p}" for s in names for p in ("payload", "valid", "ready")}
    assert ports == {"clk", "rst", "rx", "tx", "busy", "error"} | streams


@pytest.mark.parametrize(("words", "most_luts", "most_flops"), [(0, 780, 360), (65536, 850, 410)])
def test_size_on_ice40(tmp_path: Path, words: int, most_luts: int, most_flops: int) -> None:
    """The link with its readout stays a small part of a UP5K, and its memories are block RAM."""
    params = LinkParams(**{**SOUND, "load_words": words})
    (tmp_path / "link.v").write_text(to_verilog(HostLink(params), "link"))
    synthesis = synth_script("link.v", "ice40", "link", device="up5k")
    run_yosys(synthesis + "tee -q -o stat.json stat -json\n", tmp_path)
    stat = json.loads((tmp_path / "stat.json").read_text())
    cells = stat["modules"]["\\link"]["num_cells_by_type"]
    flops = sum(n for kind, n in cells.items() if kind.startswith("SB_DFF"))
    assert cells["SB_RAM40_4K"] == 5
    assert cells["SB_LUT4"] < most_luts
    assert flops < most_flops
