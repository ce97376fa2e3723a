# SPDX-License-Identifier: Apache-2.0
"""Design directories: complete, reproducible, replaced as a whole, and testable on their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from designs import BUDGETS, TARGETS, make_network, make_samples
from float_networks import make_network as make_float

from spikefab.boards.shell import board_shell
from spikefab.gen import emit as module
from spikefab.gen.design import Design
from spikefab.gen.emit import TargetInfo, Vectors, emit
from spikefab.gen.errors import InputError
from spikefab.gen.network_file import load_saved_network
from spikefab.gen.plan import Plan, make_plan
from spikefab.gen.qnetwork import QNetwork
from spikefab.sim.golden import run_golden

NETWORK = make_network([6, 7, 3])
DEVICE = TARGETS["ecp5-25f"]


def plan(network: QNetwork = NETWORK, lanes: Any = 3) -> Plan:
    return make_plan(network, BUDGETS["ecp5"], lanes=lanes)


def vectors(network: QNetwork) -> Vectors:
    x = make_samples(network, 3, 5, rate=0.5)
    golden, last = run_golden(network, x), network.layers[-1].name
    return Vectors(x=x, spikes=golden.spikes[last], mem=golden.mem.get(last))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make(out: Path, network: QNetwork = NETWORK, **options: Any) -> Design:
    options = {"target": DEVICE, "vectors": vectors(network), **options}
    return emit(plan(network), out, **options)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Design:
    reference = make_float([np.ones((7, 6)), np.ones((3, 7))])
    return make(tmp_path_factory.mktemp("good") / "d", reference=reference)


def test_every_file_is_there(good: Design) -> None:
    assert set(files(good.path)) == {
        "design.v", "manifest.json", "README.md", "network.npz", "reference.npz",
        "memory/layer0_weights.hex", "memory/layer1_weights.hex", "testbench/run.py",
        "testbench/test_design.py", "testbench/streams.json", "testbench/vectors.npz",
    }  # fmt: skip
    assert Design.load(good.path).manifest == good.manifest
    assert load_saved_network(good.path / "reference.npz").n_inputs == 6


def test_the_same_bytes_twice(
    good: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder, at another time, of other permissions."""
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    reference = make_float([np.ones((7, 6)), np.ones((3, 7))])
    again = make(tmp_path / "elsewhere" / "other name", reference=reference)
    assert files(again.path) == files(good.path)
    for name in ("network.npz", "reference.npz", "testbench/vectors.npz"):
        with zipfile.ZipFile(again.path / name) as archive:
            assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    for name, content in files(good.path).items():
        assert str(good.path).encode() not in content, name


def test_what_changes_the_hash(good: Design, tmp_path: Path) -> None:
    weights = NETWORK.layers[1].weights.copy()
    weights[0, 0] ^= 1
    layers = (NETWORK.layers[0], NETWORK.layers[1].with_weights(weights))
    hashes = {
        good.manifest["hash"],
        make(tmp_path / "weight", replace(NETWORK, layers=layers)).manifest["hash"],
        emit(plan(lanes=[3, 2]), tmp_path / "lane", target=DEVICE).manifest["hash"],
    }
    assert len(hashes) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", h) for h in hashes)


def test_the_manifest(good: Design) -> None:
    m = good.manifest
    assert (m["format"], m["name"], m["top"], m["pins"]) == (1, "small", "spikefab_core", None)
    assert m["target"]["device"] == "LFE5U-25F"
    assert m["input"] == {
        "name": "input", "shape": [6], "size": 6, "addresses": 6, "max_events": 1,
        "coding": "spikes", "payload_width": 0, "steps": 0, "seed": 0, "threshold": 0, "off": False,
    }  # fmt: skip
    assert m["output"] == {
        "name": "population1", "size": 3, "addresses": 3, "kind": "spikes", "payload_width": 0,
        "lsb": [0.25],
    }  # fmt: skip
    assert m["streams"] == {
        "i": {"token": [0, 1], "last": [1, 1], "address": [2, 3]},
        "o": {"token": [0, 1], "last": [1, 1], "address": [2, 2]},
    }
    first = m["layers"][0]
    assert (first["lanes"], first["groups"], first["why_lanes"]) == (3, 3, "3 asked for")
    assert first["synapse"]["n_in"] == 6
    assert first["neuron"]["threshold"] == [40]


def test_memory_images_are_the_weights(good: Design) -> None:
    for k, layer in enumerate(NETWORK.layers):
        entry = good.manifest["layers"][k]
        lines = (good.path / entry["weights"]).read_text().split()
        lanes, groups = entry["lanes"], entry["groups"]
        assert len(lines) == layer.synapse.n_in * groups
        assert {len(line) for line in lines} == {-(-4 * lanes // 4)}
        for source in range(layer.synapse.n_in):
            for neuron in range(layer.neuron.n):
                group, lane = divmod(neuron, lanes)
                nibble = int(lines[source * groups + group], 16) >> (4 * lane) & 15
                assert nibble - 16 * (nibble > 7) == layer.weights[neuron, source]


def ports(verilog: str, name: str) -> dict[str, tuple[str, int]]:
    """Direction and width of a module's ports."""
    body = re.search(rf"^module {name}\(.*?^endmodule", verilog, re.M | re.S)
    assert body is not None
    found = re.findall(r"^  (input|output)(?: \[(\d+):0\])? (\w+);", body[0], re.M)
    return {port: (direction, int(top or 0) + 1) for direction, top, port in found}


@pytest.mark.parametrize("integrator", [False, True])
def test_port_table_and_readme_say_what_the_module_has(integrator: bool, tmp_path: Path) -> None:
    network = make_network([6, 7, 3], integrator=integrator)
    design = make(tmp_path / "d", network)
    verilog, readme = design.verilog.read_text(), (design.path / "README.md").read_text()
    has = ports(verilog, "spikefab_core")
    assert set(has) == {
        "clk", "rst", "i__payload", "i__valid", "i__ready", "o__payload", "o__valid", "o__ready",
    }  # fmt: skip
    for text, mark in ((verilog, "// "), (readme, "")):
        rows = re.findall(rf"^{mark}(\w+) +(in|out) +(\d+) ", text, re.M)
        assert {name: (f"{way}put", int(width)) for name, way, width in rows} == has
    fields = re.findall(r"^//   \[([\d:]+)\] +(\d+) +(\w+):", verilog, re.M)
    for stream in ("i", "o"):
        for name, (offset, width) in design.manifest["streams"][stream].items():
            bits = f"{offset + width - 1}:{offset}" if width > 1 else str(offset)
            fields.remove((bits, str(width), name))
    assert not fields
    assert design.manifest["hash"] in verilog
    assert design.manifest["hash"] in readme
    assert "| population0 | 6 → 7 | 4 | 16 | 3 | 3 |" in readme
    # The template names every port and declares what it connects.
    template = re.search(r"```verilog\n(.*?)```", readme, re.S)
    assert template is not None
    assert set(re.findall(r"\.(\w+) *\(", template[1])) == set(has)
    assert f"wire [{has['o__payload'][1] - 1}:0] o_payload;" in template[1]


def test_a_board_has_pins_and_constraints(tmp_path: Path) -> None:
    p = plan()
    design = emit(
        p,
        tmp_path / "d",
        target=TARGETS["ulx3s-25f"],
        shell=board_shell("ulx3s-25f", p.core, p.hash),
    )
    m = design.manifest
    assert m["top"] == "spikefab_top"
    assert (design.path / m["constraints"]).read_text().count("LOCATE COMP") >= 3
    clock, baud = m["target"]["clock_hz"], m["target"]["baud"]
    assert baud == round(clock / round(clock / baud))
    readme = (design.path / "README.md").read_text()
    assert all(f"`{m['pins'][role]}`" in readme for role in ("clk", "rx", "tx"))
    assert "\nmodule spikefab_top(" in design.verilog.read_text()


def test_a_name_of_many_lines_stays_a_comment(tmp_path: Path) -> None:
    name = "a\nmodule spikefab_core; endmodule\n`error // verilator lint_off"
    text = make(tmp_path / "d", replace(NETWORK, name=name)).verilog.read_text()
    assert text.startswith("// a module spikefab_core; endmodule")
    assert all(line.startswith("//") for line in text[: text.index("\n\n")].split("\n"))


# What is there already


def test_a_design_is_replaced_whole(tmp_path: Path) -> None:
    make(tmp_path / "d")
    (tmp_path / "d" / "build").mkdir()
    (tmp_path / "d" / "build" / "old.bit").write_text("stale")
    emit(plan(lanes=1), tmp_path / "d", target=DEVICE)
    assert "build/old.bit" not in files(tmp_path / "d")
    assert "testbench/run.py" not in files(tmp_path / "d")
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(
        InputError, match="holds files that are no design; choose an empty or a new"
    ):
        make(tmp_path)
    assert files(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("x")
    with pytest.raises(InputError, match="is a file; a design is a folder"):
        make(tmp_path / "d")
    with pytest.raises(InputError, match=r"cannot be written \(Not a directory\)|File exists"):
        make(tmp_path / "d" / "below")
    assert files(tmp_path) == {"d": b"x"}


def test_an_empty_folder_and_a_link_are_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    make(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "empty" / "design.v").is_file()
    make(tmp_path / "link")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "link"]


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("failure", [full, interrupted])
@pytest.mark.parametrize("where", ["write_testbench", "save_network", "design_readme", "rename"])
def test_a_failure_leaves_what_was_there(
    failure: Callable[..., None], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any moment: before, between and after the files, and while folders change places."""
    make(tmp_path / "d")
    before = files(tmp_path)
    if where == "rename":
        real = Path.rename

        def rename(self: Path, target: Path) -> Path:
            if self.name == "design":
                failure()
            return real(self, target)

        monkeypatch.setattr(Path, "rename", rename)
    else:
        monkeypatch.setattr(module, where, failure)
    network = replace(NETWORK, name="another")
    reference = make_float([np.ones((7, 6)), np.ones((3, 7))])
    error = InputError if failure is full else KeyboardInterrupt
    with pytest.raises(error) as caught:
        make(tmp_path / "d", network, reference=reference)
    if failure is full:
        assert str(caught.value) == (
            f"{tmp_path / 'd'}: cannot be written (No space left on device); nothing was "
            "changed: choose another folder, or make room"
        )
    assert files(tmp_path) == before
    with pytest.raises(error):
        make(tmp_path / "new", network, reference=reference)
    assert files(tmp_path) == before
    assert not (tmp_path / "new").exists()


# The test bench on its own


def run_testbench(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("cocotb")
    return subprocess.run(
        [sys.executable, "testbench/run.py"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def with_wrong_weights(verilog: str) -> str:
    """The sign of a weight in each word of the first layer's memory is turned."""
    found = re.search(
        r"reg \[\d+:0\] (?:constants|block_0_0) \[\d+:0\];\n  initial begin\n(.*?)  end\n",
        verilog,
        re.S,
    )
    assert found is not None

    def turned(match: re.Match[str]) -> str:
        return f"'h{int(match[1][0], 16) ^ 8:x}{match[1][1:]}"

    return verilog.replace(found[1], re.sub(r"'h(\w+)", turned, found[1]), 1)


def test_the_testbench_runs_alone(tmp_path: Path) -> None:
    """In a copy of the folder, without spikefab."""
    make(tmp_path / "d")
    shutil.copytree(tmp_path / "d", tmp_path / "copy")
    shutil.rmtree(tmp_path / "d")
    for path in (tmp_path / "copy" / "testbench").glob("*.py"):
        assert "import spikefab" not in path.read_text()
        assert "from spikefab" not in path.read_text()
    done = run_testbench(tmp_path / "copy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 tests, 0 failed" in done.stdout


@pytest.mark.slow
def test_the_testbench_finds_wrong_weights(tmp_path: Path) -> None:
    file = make(tmp_path / "d").verilog
    file.write_text(with_wrong_weights(file.read_text()))
    done = run_testbench(tmp_path / "d")
    assert done.returncode == 1
    assert "Failed 2 of 2 tests" in done.stderr
    said = done.stdout + done.stderr
    assert re.search(r"spikes: sample \d, step \d, neuron \d: \d, the golden model says \d", said)


@pytest.mark.slow
def test_the_testbench_compares_membranes(tmp_path: Path) -> None:
    design = make(tmp_path / "d", make_network([6, 7, 3], integrator=True))
    assert run_testbench(design.path, WAVES="1").returncode == 0
    assert [p for p in (design.path / "testbench").glob("*.vcd") if p.stat().st_size]
    with np.load(design.path / "testbench" / "vectors.npz") as arrays:
        values = dict(arrays)
    values["mem"][1, 2, 0] += 1
    np.savez(design.path / "testbench" / "vectors.npz", **values)
    done = run_testbench(design.path)
    assert done.returncode == 1
    assert "mem: sample 1, step 2, neuron 0: " in done.stdout + done.stderr


def test_target_info_is_plain() -> None:
    info = TargetInfo(kind="device", name="a", device="b", family="ecp5")
    with pytest.raises(AttributeError):
        info.kind = "board"  # type: ignore[misc]
