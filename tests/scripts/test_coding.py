# SPDX-License-Identifier: Apache-2.0
"""`--input rate|latency|delta` from the command line, on the digits and on what is refused."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefab.examples import digits
from spikefab.gen.design import Design


@pytest.fixture(scope="module")
def digits_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pixels of held-out digits, as frames and as a film of four steps."""
    folder = tmp_path_factory.mktemp("digits")
    pixels, labels = digits.load()
    _, held_out = digits.split(labels)
    x, y = pixels[held_out[:60]], labels[held_out[:60]]
    np.savez(folder / "frames.npz", x=x, y=y)
    film = x[:, None] * np.arange(1, 5)[None, :, None] // 4
    np.savez(folder / "film.npz", x=film, y=y)
    return folder


@pytest.mark.parametrize("coding", ["rate", "latency", "delta"])
def test_digits_end_to_end(coding: str, digits_data: Path, spikefab: Any, tmp_path: Path) -> None:
    """Compiled, checked and simulated: the Verilog equals the golden model, at the cycles that
    were predicted."""
    data = digits_data / ("film.npz" if coding == "delta" else "frames.npz")
    steps = [] if coding == "delta" else ["--steps", 8]
    with as_file(files("spikefab.examples") / "digits.nir") as net:
        common = [net, "--input", coding, *steps, "--data", data, "--json"]
        checked = spikefab("check", *common)
        compiled = spikefab("compile", *common, "--device", "up5k", "-o", tmp_path / "d")
    assert (checked.status, compiled.status) == (0, 0), checked.err + compiled.err
    assert checked.values["fidelity"]["integer_accuracy"] > 0.8
    entry = compiled.values["input"]
    assert (entry["coding"], entry["payload_width"], entry["shape"]) == (coding, 5, [64])
    golden = spikefab("simulate", tmp_path / "d", "--data", data, "--json")
    assert golden.values["accuracy"] > 0.8
    few = tmp_path / "few.npz"
    with np.load(data) as arrays:
        np.savez(few, x=arrays["x"][:8], y=arrays["y"][:8])
    with as_file(files("spikefab.examples") / "digits.nir") as net:
        common = [net, "--input", coding, *steps, "--data", few, "--input-max", 31, "--json"]
        compiled = spikefab("compile", *common, "--device", "up5k", "-o", tmp_path / "d")
    ran = spikefab("simulate", tmp_path / "d", "--data", few, "--engine", "rtl",
                   "--stalls", 0.3, "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    assert ran.values["equals_golden"]
    predicted = compiled.values["predicted"]
    for figure in ("cycles_per_inference", "interval_cycles"):
        assert ran.values[figure] == predicted[figure]


def test_what_is_asked_for_is_in_the_design(net: Path, spikefab: Any, tmp_path: Path) -> None:
    """Also without data."""
    out = tmp_path / "d"
    target = ["--device", "up5k", "-o", out, "--json"]
    ran = spikefab("compile", net, *target, "--input", "rate", "--rate-seed", 77)
    assert ran.status == 0, ran.err
    assert ran.values["input"]["seed"] == 77
    assert "random frames" in ran.values["predicted"]["basis"]
    ran = spikefab("compile", net, *target, "--input", "delta", "--delta-off",
                   "--delta-threshold", 5)  # fmt: skip
    assert ran.status == 0, ran.err
    found = Design.load(out).qnetwork()
    assert (found.input.threshold, found.input.off) == (5, True)
    assert (found.sample_shape, found.n_inputs, found.input_shape) == ((1, 3), 3, (2, 3))
    assert ran.values["input"]["shape"] == [1, 3]
    with np.load(out / "testbench" / "vectors.npz") as vectors:
        assert vectors["x"].shape[2:] == (1, 3)
        assert (vectors["events"][:, 1:] == (vectors["x"][:, 1:] != vectors["x"][:, :-1])).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--input", "rate", "--graded"], "--graded: --input rate carries values already"),
        (["--input", "rate", "--delta-off"], "--delta-off: only --input delta has it, this is "
         "--input rate; leave it out"),
        (["--rate-seed", "3"], "--rate-seed: only --input rate has it, this is --input spikes"),
        (["--input", "latency", "--delta-threshold", "3"], "--delta-threshold: only --input delta"),
        (["--input", "rate", "--rate-seed", "0"], "--rate-seed 0: must be 1 to 4294967295"),
        (["--input", "delta", "--delta-threshold", "0"], "--delta-threshold 0: must be 1 or more"),
        (["--input", "delta", "--delta-threshold", "8"], "--delta-threshold 8: values of 3 bits "
         "change by at most 7; choose 1 to 7"),
        (["--input", "rate", "--input-max", "300"], "values have at most 8 bits: scale them"),
    ],
)  # fmt: skip
def test_refused(options: list[str], words: str, net: Path, spikefab: Any, tmp_path: Path) -> None:
    ran = spikefab("compile", net, "--device", "up5k", "-o", tmp_path / "d", *options)
    assert ran.status == 2
    assert words in " ".join(ran.err.split())
    assert not (tmp_path / "d").exists()


def test_refused_for_this_network(net: Path, spikefab: Any, tmp_path: Path) -> None:
    text = net.read_text()
    (tmp_path / "odd.toml").write_text(text.replace("input = [2, 3]", "input = [3, 2]"))
    ran = spikefab("check", tmp_path / "odd.toml", "--input", "delta", "--delta-off")
    assert ran.status == 2
    assert "has shape (3, 2); its first axis must be even" in " ".join(ran.err.split())
    (tmp_path / "open.toml").write_text(text.replace("steps = 8\n", ""))
    for coding in ("rate", "latency", "static"):
        ran = spikefab("check", tmp_path / "open.toml", "--input", coding)
        assert ran.status == 2
        assert f"--steps: missing; with --input {coding} a sample" in " ".join(ran.err.split())
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 8, 2, 3), int))
    ran = spikefab("check", net, "--input", "latency", "--data", tmp_path / "x.npz")
    assert ran.status == 2
    assert "the network takes (samples, 2, 3); one frame a sample" in " ".join(ran.err.split())
