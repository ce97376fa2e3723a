# SPDX-License-Identifier: Apache-2.0
"""The virtual board: bytes at its pins, and a real design behind its real driver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import serial
from designs import make_design, make_network, make_samples

from spikefab.gen.design import Design
from spikefab.gen.errors import InputError
from spikefab.host.driver import Board
from spikefab.host.errors import HostError
from spikefab.sim.golden import run_golden
from spikefab.sim.virtual import VirtualBoard

# Sends each received bit pattern back, wired through: what comes in at rx leaves at tx.
LOOP = "module spikefab_top(input clk_pin, input rx_pin, output tx_pin);\n{}\nendmodule\n"


@pytest.fixture
def loop(tmp_path: Path) -> Design:
    """A top that echoes its UART line 25 clock cycles later."""
    manifest = {
        "format": 1,
        "name": "loop",
        "target": {
            "kind": "board", "name": "none", "device": "none", "family": "ecp5",
            "clock_hz": 30e6, "baud": 3e6,
        },
        "pins": {"clk": "clk_pin", "rx": "rx_pin", "tx": "tx_pin", "leds": None},
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "design.v").write_text(
        LOOP.format(
            "reg [24:0] line = {25{1'b1}}; assign tx_pin = line[24];\n"
            "always @(posedge clk_pin) line <= {line[23:0], rx_pin};"
        )
    )
    return Design.load(tmp_path)


def test_bytes_come_back(loop: Design) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, 3000, dtype=np.uint8).tobytes()
    with VirtualBoard(loop) as board:
        assert board.divisor == 10
        assert board.running
        with serial.Serial(board.port, 3_000_000, timeout=10) as line:
            for part in (bytes(range(256)), b"", data):
                line.write(part)
                assert line.read(len(part)) == part
        # The port outlives its user.
        with serial.Serial(board.port, 3_000_000, timeout=10) as line:
            line.write(b"again\x03\x04\x11\x13\r\n")
            assert line.read(12) == b"again\x03\x04\x11\x13\r\n"
        process = board._process
    assert process is not None
    assert process.returncode == 0
    assert not board.running
    assert board.cycles is not None
    assert board.cycles > 10 * 10 * len(data)
    with pytest.raises(RuntimeError, match="not running"):
        _ = board.port


def test_idle_board_leaves_the_processor_alone_and_wakes(loop: Design) -> None:
    with VirtualBoard(loop) as board, serial.Serial(board.port, timeout=10) as line:
        line.write(b"a")
        assert line.read(1) == b"a"
        time.sleep(1.0)
        assert board._process is not None
        stat = Path(f"/proc/{board._process.pid}/stat")
        if stat.exists():
            ticks = []
            for _ in range(2):
                time.sleep(0.5)
                ticks.append(sum(map(int, stat.read_text().split()[13:15])))
            assert (ticks[1] - ticks[0]) / os.sysconf("SC_CLK_TCK") < 0.25
        line.write(b"b")
        assert line.read(1) == b"b"


def test_ends_with_its_parent(loop: Design, tmp_path: Path) -> None:
    program = VirtualBoard(loop).build()
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([{str(program)!r}, '10'], stdout=subprocess.DEVNULL)\n"
        "print(p.pid, flush=True)\ntime.sleep(0.3)\nimport os; os._exit(0)\n"
    )
    pid = int(subprocess.check_output([sys.executable, "-c", code], text=True))
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]:
                break
        except (OSError, FileNotFoundError):
            break
        time.sleep(0.1)
    else:
        os.kill(pid, 9)
        pytest.fail("the board outlived its parent")


def test_refusals(loop: Design, tmp_path: Path) -> None:
    loop.manifest["pins"]["rx"] = None
    with pytest.raises(InputError, match=r"no pin for rx under 'pins'"):
        VirtualBoard(loop).start()
    loop.manifest["target"]["kind"] = "device"
    with pytest.raises(InputError, match="has no pins and no link; compile it with --board"):
        VirtualBoard(loop)


@pytest.mark.parametrize("target", ["ulx3s-25f", "icebreaker"])
def test_design_behind_the_host_driver(target: str, tmp_path: Path) -> None:
    network = make_network([20, 12, 5])
    design = make_design(network, tmp_path / "design", target, 4)
    x = make_samples(network, 15, 6)
    golden = run_golden(network, x)
    with VirtualBoard(design) as virtual, Board.open(virtual.port, design.manifest) as board:
        result = board.run(x)
        counters = board.counters()
    assert result.spikes is not None
    assert np.array_equal(result.spikes, golden.spikes["population1"])
    assert result.n_retries == 0
    assert counters.crc_errors == 0


def test_weights_loaded_over_the_link(tmp_path: Path) -> None:
    """SPRAM holds nothing at first: the driver fills it, and finds it filled the next time."""
    network = make_network([20, 40, 5])
    design = make_design(network, tmp_path / "design", "icebreaker", 8, storage="spram")
    x = make_samples(network, 4, 5)
    golden = run_golden(network, x)
    told: list[int] = []
    with VirtualBoard(design) as virtual:
        for _ in range(2):
            with Board.open(
                virtual.port, design.path, on_load=lambda done, of: told.append(done)
            ) as board:
                result = board.run(x)
            assert result.spikes is not None
            assert np.array_equal(result.spikes, golden.spikes["population1"])
            assert told.count(design.manifest["load"]["words"]) == 1


def test_one_driver_at_a_time(tmp_path: Path) -> None:
    network = make_network([4, 3])
    design = make_design(network, tmp_path / "design", "ulx3s-25f", 1)
    with (
        VirtualBoard(design) as virtual,
        Board.open(virtual.port, design.path),
        pytest.raises(HostError, match="another program uses it"),
    ):
        Board.open(virtual.port, design.path)


def test_no_amaranth(loop: Design) -> None:
    """The virtual board runs where only the files of a design are."""
    code = (
        "import sys\nsys.modules['amaranth'] = None\n"
        "from spikefab.gen.design import Design\nfrom spikefab.sim.virtual import VirtualBoard\n"
        f"VirtualBoard(Design.load({str(loop.path)!r}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
