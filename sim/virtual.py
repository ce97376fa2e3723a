# SPDX-License-Identifier: Apache-2.0
"""The virtual board: a design's whole top, pins and UART included, on a pseudo-terminal.

It needs nothing but the files of a design directory and a compiler. Time in it is counted in clock
cycles of the fabric; a PLL is an ideal clock.
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from types import TracebackType

from spikefab.gen.design import Design
from spikefab.gen.errors import InputError
from spikefab.sim.gates import family_of
from spikefab.sim.toolchain import HARNESS, Progress, build_program, cells, locked

__all__ = ["VirtualBoard"]

STOP_SECONDS = 10.0


class VirtualBoard:
    """Runs a board design in Verilator behind a serial port, while the `with` block lasts.

    ```
    with VirtualBoard(Design.load("build/demo")) as board:
        serial.Serial(board.port)
    ```
    """

    def __init__(
        self, design: Design, *, fst: Path | None = None, message: Progress | None = None
    ) -> None:
        """`fst`: where to write a waveform. `message` takes lines about the tools."""
        target = design.manifest["target"]
        if target.get("kind") != "board":
            raise InputError(
                f"{design.path}: made for the bare device {target.get('device')!r}, which has no "
                "pins and no link; compile it with --board to run it on the virtual board"
            )
        self.design = design
        self.fst = fst
        self.message = message
        self.divisor = round(float(target["clock_hz"]) / float(target["baud"]))
        """Clock cycles of the fabric a bit of the UART."""
        self.cycles: int | None = None
        """Clock cycles that were simulated; known once the board has stopped."""
        self._process: subprocess.Popen[str] | None = None
        self._port: str | None = None
        self._errors: list[str] = []

    @property
    def port(self) -> str:
        """The serial port, while the board runs."""
        if self._port is None:
            raise RuntimeError("the virtual board is not running: call start() or use `with`")
        return self._port

    @property
    def running(self) -> bool:
        """False before the start, after the stop, and when the program has died."""
        return self._process is not None and self._process.poll() is None

    def build(self) -> Path:
        """Compiles the board's program; gives its path."""
        folder = self.design.build / "virtual"
        with locked(folder):
            bench = folder / "board.sv"
            text = _bench(self.design.manifest["pins"])
            if not bench.is_file() or bench.read_text(encoding="utf-8") != text:
                bench.write_text(text, encoding="utf-8")
            return build_program(
                "board" + ("_fst" if self.fst else ""),
                sources=[bench, self.design.verilog, *cells(family_of(self.design), folder)],
                top="spikefab_board",
                main=HARNESS / "board.cpp",
                folder=folder,
                fst=self.fst is not None,
                optimise="-O2",
                progress=self.message,
            )

    def start(self) -> VirtualBoard:
        """Builds and starts the board; `port` is there when this returns."""
        if self._process is not None:
            raise RuntimeError("the virtual board has been started already")
        program = self.build()
        command = [str(program), str(self.divisor)]
        if self.fst is not None:
            self.fst.parent.mkdir(parents=True, exist_ok=True)
            command.append(str(self.fst))
        # A session of its own: an interrupt from the keyboard is the driver's to handle.
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        reader = threading.Thread(target=self._read_errors, args=(self._process,), daemon=True)
        reader.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("port "):
            code = self._process.wait(timeout=STOP_SECONDS)
            reader.join(timeout=STOP_SECONDS)
            self._process.stdout.close()
            self._process = None
            raise InputError(
                f"virtual board: {program} did not start (exit status {code}): "
                f"{''.join(self._errors).strip() or 'no message'}"
            )
        self._port = line.split(maxsplit=1)[1].strip()
        return self

    def _read_errors(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            self._errors += list(stream)

    def stop(self) -> None:
        """Stops the board; the port is gone after it. Stopping twice does nothing."""
        process, self._process, self._port = self._process, None, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                if line.startswith("cycles "):
                    self.cycles = int(line.split()[1])

    def __enter__(self) -> VirtualBoard:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _bench(pins: dict[str, object]) -> str:
    """The top with the names that the C++ harness knows."""
    missing = [role for role in ("clk", "rx", "tx") if not pins.get(role)]
    if missing:
        raise InputError(
            f"manifest.json: no pin for {', '.join(missing)} under 'pins'; compile the design again"
        )
    return f"""// The board's top under the names of the C++ harness.
module spikefab_board (input clk, input rx, output tx);
    spikefab_top top (
        .{pins["clk"]}(clk),
        .{pins["rx"]}(rx),
        .{pins["tx"]}(tx)
    );
endmodule
"""
