# SPDX-License-Identifier: Apache-2.0
"""What the user may get wrong, and what may happen to a port."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefab.host.check import check_samples, read_manifest
from spikefab.host.coding import sample_events
from spikefab.host.driver import Board
from spikefab.host.errors import HostError

MANIFEST: dict[str, Any] = {
    "format": 1,
    "name": "digits",
    "hash": "00" * 16,
    "target": {"kind": "board", "baud": 3_000_000},
    "input": {"name": "in", "shape": [2, 3], "size": 6, "max_events": 2},
    "output": {"name": "out", "size": 4, "kind": "spikes", "payload_width": 0},
    "steps": 10,
}


def test_unsigned_counts_of_64_bits_can_be_sent() -> None:
    x = np.array([[[0, 1, 1, 0, 0, 1]]], np.uint64)
    facts = read_manifest(MANIFEST)
    events, same = (
        sample_events(sample, facts) for sample in (check_samples(x, facts)[0], x[0].astype(int))
    )
    assert events.address.tolist() == same.address.tolist() == [1, 2, 5]


def test_each_input_has_its_own_limit() -> None:
    """An error names the node, and the input in it."""
    nodes = [{"name": "ears", "base": 0, "size": 4, "max_events": 3},
             {"name": "eyes", "base": 4, "size": 2, "max_events": 1}]  # fmt: skip
    whole = {"name": "ears+eyes", "shape": [6], "size": 6, "max_events": 3}
    facts = read_manifest({**MANIFEST, "input": whole, "inputs": nodes})
    x = np.array([[[3, 0, 1, 3, 1, 1]]])
    assert (check_samples(x, facts) == x).all()
    for at, most, text in (
        (
            3,
            3,
            r"x\[0, 0\], input 3 \(input 3 of node 'ears'\): the count 4 is too large, must be ",
        ),
        (
            5,
            1,
            r"x\[0, 0\], input 5 \(input 1 of node 'eyes'\): the count 2 is too large, must be ",
        ),
    ):
        wrong = x.copy()
        wrong[0, 0, at] = most + 1
        with pytest.raises(HostError, match=f"{text}at most {most}; compile the design for larger"):
            check_samples(wrong, facts)
    nodes[1]["size"] = 3
    with pytest.raises(HostError, match="nodes of 7 inputs for 6"):
        read_manifest({**MANIFEST, "input": whole, "inputs": nodes})


def test_reads_manifest_from_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(MANIFEST))
    facts = [vars(read_manifest(source)) for source in (tmp_path, file, MANIFEST)]
    for own in facts:
        own |= {k: v.tolist() for k, v in own.items() if isinstance(v, np.ndarray)}
    assert facts[0] == facts[1] == facts[2]
    assert read_manifest(str(tmp_path)).baud == 3_000_000


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"format": 2}, "format 2, this driver reads 1; compile the design again"),
        ({"hash": "00"}, "hash of 1 bytes, must be 16"),
        ({"hash": None}, "not a design's manifest"),
        ({"input": {}}, "not a design's manifest"),
    ],
)
def test_refuses_manifest(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(HostError, match=text):
        read_manifest({**MANIFEST, **changes})


def test_refuses_manifest_file(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(HostError, match="damaged"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("shape", [(3, 5, 2, 3), (3, 5, 6)])
def test_takes_samples(shape: tuple[int, ...]) -> None:
    x = np.arange(90).reshape(shape) % 3
    assert np.array_equal(check_samples(x, read_manifest(MANIFEST)), x.reshape(3, 5, 6))


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.zeros((1, 5, 6)), "type float64, must be integers"),
        (np.zeros((1, 5, 7), int), r"shape \(1, 5, 7\), must be \(samples, steps, 2, 3\)"),
        (np.zeros((6,), int), r"shape \(6,\)"),
        (np.zeros((1, 11, 6), int), "11 steps a sample, must be 1 to 10 .*--steps 11"),
        (np.zeros((1, 0, 6), int), "0 steps a sample, must be 1 to 10"),
        (np.full((1, 5, 6), -1), r"x\[0, 0\], input 0: the count -1 is negative"),
        (np.full((1, 5, 6), 3), r"the count 3 is too large, must be at most 2; compile"),
    ],
)
def test_refuses_samples(x: np.ndarray, text: str) -> None:
    with pytest.raises(HostError, match=text):
        check_samples(x, read_manifest(MANIFEST))


def test_no_such_port(tmp_path: Path) -> None:
    with pytest.raises(
        HostError, match=r"cannot be opened at 3000000 baud .* check the port's name"
    ):
        Board.open(str(tmp_path / "ttyNONE"), MANIFEST)


def test_silent_pseudo_terminal() -> None:
    """pyserial on a pseudo-terminal: opens, times out, says so."""
    control, line = os.openpty()
    try:
        with pytest.raises(HostError, match=r"no answer within 0.3 s, not a byte"):
            Board.open(os.ttyname(line), MANIFEST, baud=115200, timeout=0.3)
    finally:
        os.close(control)
        os.close(line)


def test_unplugged_port() -> None:
    control, line = os.openpty()
    name = os.ttyname(line)
    os.close(line)

    class Unplugged:
        """Reads fail as pyserial's do when the device disappears."""

        in_waiting = 0

        def write(self, data: bytes) -> int:
            return len(data)

        def read(self, n: int) -> bytes:
            raise OSError("device reports readiness to read but returned no data")

    try:
        with pytest.raises(HostError, match=rf"{name}: connection lost .* check the cable"):
            Board(Unplugged(), MANIFEST, name=name)
    finally:
        os.close(control)
