# SPDX-License-Identifier: Apache-2.0
"""Design directories that are what they say, and what is said of those that are not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from designs import make_design, make_network

from spikefab.gen.design import Design
from spikefab.gen.errors import InputError


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = make_network([4, 3, 2], integrator=True, v_min=(-3, -2, -1)[:1])
    return make_design(network, tmp_path_factory.mktemp("good") / "d", "up5k").path


@pytest.fixture
def design(good: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(good, tmp_path / "d")
    return tmp_path / "d"


def test_it_reads_back_what_was_emitted(good: Path) -> None:
    design = Design.load(str(good))
    network = make_network([4, 3, 2], integrator=True, v_min=(-3,))
    qnet = design.qnetwork()
    assert design.verilog.is_file()
    assert (qnet.name, qnet.input_shape, qnet.steps) == ("small", (4,), None)
    for a, b in zip(qnet.layers, network.layers, strict=True):
        assert (a.name, a.neuron, a.synapse) == (b.name, b.neuron, b.synapse)
        np.testing.assert_array_equal(a.weights, b.weights)
        assert a.weights.dtype == np.int8


def test_no_design(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        words = (
            f"{path}: not a design directory (no manifest.json); make one with `spikefab compile"
        )
        with pytest.raises(InputError, match=re.escape(words)):
            Design.load(path)
    network = tmp_path / "net.toml"
    network.write_text("")
    words = f"{network}: a file, not a design directory; make one with `spikefab compile {network}"
    with pytest.raises(InputError, match=re.escape(words)):
        Design.load(network)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"format": 1, "na', r"damaged \(.*\); compile the design again"),
        (b"\xff\xfe\x00", r"damaged \(.*\); compile the design again"),
        (b"", r"damaged \(.*\); compile the design again"),
        (b"[1, 2]", "format None, this version reads 1; compile the design again"),
        (b'{"format": 2}', "format 2, this version reads 1; compile the design again"),
        (b'{"format": 1, "name": "a"}', r"damaged \(it lacks target\); compile"),
    ],
)
def test_damaged_manifests(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match=f"^{re.escape(str(tmp_path))}/manifest.json: {words}"):
        Design.load(tmp_path)


def damage(path: Path, kind: str) -> None:
    data = path.read_bytes()
    if kind == "gone":
        path.unlink()
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "flipped":
        at = len(data) // 3
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    elif kind == "text":
        path.write_bytes(b"not a zip file")
    else:
        with np.load(path) as arrays:
            values = dict(arrays)
        if kind == "an array less":
            del values["weights_1_0"]
        else:
            meta = json.loads(str(values["meta"]))
            meta["layers"][0]["neuron"]["membrane_width"] = 99
            values["meta"] = np.array(json.dumps(meta))
        np.savez(path, **values)


@pytest.mark.parametrize(
    "kind",
    ["gone", "folder", "empty", "truncated", "flipped", "text", "an array less", "illegal value"],
)
def test_damaged_networks(design: Path, kind: str) -> None:
    damage(design / "network.npz", kind)
    with pytest.raises(InputError, match=r"network\.npz: .*compile the design again$") as caught:
        Design.load(design).qnetwork()
    assert ("membrane_width = 99" in str(caught.value)) == (kind == "illegal value")


def change(manifest: dict[str, Any], kind: str) -> None:
    if kind == "none":
        del manifest["layers"]
    elif kind == "fewer":
        del manifest["layers"][0]
    elif kind == "wider":
        manifest["layers"][1]["neuron"]["n"] = 5
    else:
        manifest["layers"] = 3


@pytest.mark.parametrize("kind", ["none", "fewer", "wider", "a number"])
def test_a_manifest_of_another_network(design: Path, kind: str) -> None:
    manifest = json.loads((design / "manifest.json").read_text())
    change(manifest, kind)
    (design / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="are of different designs; compile the design again"):
        Design.load(design).qnetwork()
