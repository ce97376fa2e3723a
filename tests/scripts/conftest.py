# SPDX-License-Identifier: Apache-2.0
"""A tiny network, samples for it, designs of it, and the command line as a function."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefab.scripts.main import main

NET = """[network]
name = "tiny"
input = [2, 3]
dialect = "snntorch-subtract"
steps = 8

[[layer]]
name = "hidden"
size = 5
neuron = "if"
weights = { seed = 1, scale = 0.01 }

[[layer]]
name = "classes"
size = 3
beta = 0.9
weights = { seed = 2, scale = 0.02 }
"""


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def values(self) -> dict[str, Any]:
        """The one JSON object on standard output, and nothing else."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Spikefab = Callable[..., Ran]


@pytest.fixture
def spikefab(capsys: pytest.CaptureFixture[str]) -> Spikefab:
    """Runs the command line in this process: an exception that leaves it fails the test."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse
            status = int(error.code or 0)
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return run


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `net.toml` and `data.npz`."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "net.toml").write_text(NET)
    rng = np.random.default_rng(0)
    x = (rng.random((5, 8, 2, 3)) < 0.4).astype(np.uint8)
    x[1, 4] = 0
    np.savez(folder / "data.npz", x=x, y=rng.integers(0, 3, 5))
    return folder


@pytest.fixture
def net(inputs: Path) -> Path:
    return inputs / "net.toml"


@pytest.fixture
def data(inputs: Path) -> Path:
    return inputs / "data.npz"


def _compiled(inputs: Path, folder: Path, target: Sequence[str]) -> Path:
    arguments = ["compile", str(inputs / "net.toml"), *target, "--lanes", "2",
                 "--data", str(inputs / "data.npz"), "-o", str(folder)]  # fmt: skip
    assert main(arguments) == 0
    return folder


@pytest.fixture(scope="session")
def device_original(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("device") / "d"
    return _compiled(inputs, folder, ["--device", "up5k"])


@pytest.fixture(scope="session")
def board_original(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board") / "d"
    return _compiled(inputs, folder, ["--board", "icebreaker"])


@pytest.fixture
def device(device_original: Path, tmp_path: Path) -> Path:
    """A design for a bare part, to be used or damaged."""
    return Path(shutil.copytree(device_original, tmp_path / "device"))


@pytest.fixture
def board(board_original: Path, tmp_path: Path) -> Path:
    """A design for a board, to be used or damaged."""
    return Path(shutil.copytree(board_original, tmp_path / "board"))
