# SPDX-License-Identifier: Apache-2.0
"""The coders and the readers of the example data."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikefab.examples import digits, mnist, mnist_static


@pytest.mark.parametrize(
    ("module", "brightest", "per_spike"), [(digits, 16, 24), (mnist, 255, 1024)]
)
@pytest.mark.parametrize("steps", [1, 8, 19])
def test_code_counts_and_spreads(
    module: ModuleType, brightest: int, per_spike: int, steps: int
) -> None:
    pixels = np.arange(brightest + 1, dtype=np.uint8)[None]
    spikes = module.encode(pixels, steps)
    assert spikes.shape == (1, steps, brightest + 1)
    assert spikes.dtype == np.uint8
    assert set(np.unique(spikes)) <= {0, 1}
    for p in range(brightest + 1):
        train = spikes[0, :, p]
        for t in range(1, steps + 1):  # never further than half a spike from p * t / per_spike
            assert abs(int(train[:t].sum()) - p * t / per_spike) <= 0.5
    assert not spikes[0, :, 0].any()


def test_digits_split_is_fixed_and_stratified() -> None:
    pixels, labels = digits.load()
    assert pixels.shape == (1797, 64)
    assert int(pixels.max()) == 16
    training, held_out = digits.split(labels)
    assert (len(training), len(held_out)) == (1433, 364)
    assert sorted([*training, *held_out]) == list(range(1797))
    shares = np.bincount(labels[held_out]) / np.bincount(labels)
    assert np.all(np.abs(shares - 0.2) < 0.005)
    assert held_out[:3].tolist() == [0, 1, 2]


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(header + array.tobytes())


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", rng.integers(0, 256, (5, 28, 28), np.uint8))
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", rng.integers(0, 10, 5, np.uint8))
    return tmp_path


def test_mnist_reads_plain_and_compressed(idx_folder: Path) -> None:
    pixels, labels = mnist.load(idx_folder)
    assert pixels.shape == (5, 784)
    assert labels.shape == (5,)
    for path in list(idx_folder.iterdir()):
        (path.parent / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    again, _ = mnist.load(idx_folder)
    np.testing.assert_array_equal(again, pixels)


def test_mnist_names_what_is_missing_or_broken(idx_folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no train-images-idx3-ubyte"):
        mnist.load(idx_folder, "train")
    path = idx_folder / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"4 bytes of data for the shape \(5,\)"):
        mnist.load(idx_folder)
    for broken in (b"\x1f\x8b not gzip", gzip.compress(b"\0" * 99)[:-9]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="labels-idx1-ubyte: broken gzip file"):
            mnist.load(idx_folder)
    path.write_bytes(b"garbage")
    with pytest.raises(ValueError, match="not an idx file"):
        mnist.load(idx_folder)


def test_static_pixels_have_three_bits() -> None:
    brightness = np.resize(np.arange(256, dtype=np.uint8), (4, 784))
    dark, level = mnist_static.SIDES[28]
    x = mnist_static.encode(brightness)
    assert (x.shape, x.dtype) == ((4, 784), np.uint8)
    assert set(np.unique(x)) == set(range(8))
    for p, value in zip(brightness.flat, x.flat, strict=True):
        assert value == (0 if p < dark else min(7, (int(p) - dark) // level))


def test_static_images_without_their_rim() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 784), np.uint8)
    whole, inner = mnist_static.encode(image), mnist_static.encode(image, 26)
    np.testing.assert_array_equal(inner.reshape(3, 26, 26), whole.reshape(3, 28, 28)[:, 1:-1, 1:-1])


def test_small_static_images_are_means() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 2:4, 4:6] = [[255, 255], [255, 252]]  # mean 254.25
    image[0, 26:28, 26:28] = [[255, 0], [0, 0]]  # mean 63.75
    x = mnist_static.encode(image.reshape(1, 784), 14).reshape(14, 14)
    dark, level = mnist_static.SIDES[14]
    assert x[1, 2] == min(7, (254 - dark) // level)
    assert x[13, 13] == max(0, 63 - dark) // level
    assert np.count_nonzero(x) <= 2


def test_commands_write_npz(idx_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npz"
    command = [sys.executable, "-m", "spikefab.examples.digits", str(output), "--count", "7"]
    subprocess.run(command, check=True, capture_output=True)
    with np.load(output) as data:
        assert data["x"].shape == (7, 8, 64)
        assert data["y"].shape == (7,)
    command = [sys.executable, "-m", "spikefab.examples.mnist", str(idx_folder), str(output)]
    subprocess.run([*command, "--count", "2"], check=True, capture_output=True)
    with np.load(output) as data:
        assert data["x"].shape == (2, 8, 784)
    command[2] = "spikefab.examples.mnist_static"
    subprocess.run([*command, "--side", "14"], check=True, capture_output=True)
    with np.load(output) as data:
        assert data["x"].shape == (5, 196)
        assert data["x"].max() <= mnist_static.LARGEST
        assert data["y"].shape == (5,)
