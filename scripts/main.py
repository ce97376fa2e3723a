# SPDX-License-Identifier: Apache-2.0
"""`spikefab`: the command line, a file a command."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from types import ModuleType

from spikefab.gen.errors import InputError
from spikefab.hdl.params import ParamError
from spikefab.host.errors import HostError
from spikefab.scripts import (
    cmd_boards,
    cmd_build,
    cmd_check,
    cmd_compile,
    cmd_data,
    cmd_demo,
    cmd_doctor,
    cmd_flash,
    cmd_report,
    cmd_run,
    cmd_simulate,
)
from spikefab.scripts.console import Output
from spikefab.sim.core_run import SimulationError

__all__ = ["main"]

COMMANDS: dict[str, ModuleType] = {
    "demo": cmd_demo,
    "data": cmd_data,
    "check": cmd_check,
    "compile": cmd_compile,
    "simulate": cmd_simulate,
    "build": cmd_build,
    "flash": cmd_flash,
    "run": cmd_run,
    "report": cmd_report,
    "boards": cmd_boards,
    "doctor": cmd_doctor,
}

DESCRIPTION = """From a trained spiking network to a verified bitstream and a running board.

  data      event recordings (N-MNIST, AEDAT, arrays) as samples, binned into steps
  check     what a network costs in integers, against the float reference
  compile   a design directory: Verilog, memory images, manifest, test bench
  simulate  the design in numpy, in Verilator, or as a netlist after synthesis
  build     a bitstream with open tools
  flash     onto the board
  run       streams samples to the board, or to a virtual one
"""

EPILOG = """first steps:
  spikefab demo                                   the whole path on a bundled network, no board
  spikefab check net.nir --data test.npz          what your own network costs in integers
  spikefab compile net.nir --board ulx3s-25f -o build/net
  spikefab simulate build/net --data test.npz --engine rtl

Exit status: 0 done; 1 a comparison failed; 2 bad input or a missing tool, with the reason.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spikefab",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"spikefab {version('spikefab')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").strip()
        command = commands.add_parser(
            name,
            help=summary.splitlines()[0],
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.add_argument(
            "--json", action="store_true", help="print one JSON object instead of text"
        )
    return parser


class _Terminated(KeyboardInterrupt):
    """SIGTERM, from `timeout` or a job's end: to be cleaned up after like Ctrl-C."""


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Has SIGTERM unwind the program, so that no tool and no half-written folder stays behind."""

    def terminate(*_: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal cannot show is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    output = Output(as_json=options.json)
    try:
        with _orderly_end():
            status: int = COMMANDS[options.command].run(options, output)
        return status
    except InputError as error:
        problems = error.problems
    except (HostError, ParamError) as error:
        problems = [str(error)]
    except SimulationError as error:
        output.err.print(f"spikefab {options.command}: {error}", style="red", markup=False)
        return 1
    except _Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone: `spikefab … | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        problems = [f"{where}{error.strerror or error}"]
    for problem in problems:
        output.err.print(f"spikefab {options.command}: {problem}", style="red", markup=False)
    return 2


if __name__ == "__main__":
    sys.exit(main())
