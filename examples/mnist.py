# SPDX-License-Identifier: Apache-2.0
"""MNIST's images (28 x 28 pixels, 0 to 255) as spikes, from the usual four idx files.

The files are not part of the repository: give the folder that holds `train-images-idx3-ubyte`,
`train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, plain or `.gz`.
"""

from __future__ import annotations

import argparse
import gzip
import zlib
from pathlib import Path

import numpy as np

__all__ = ["STEPS", "encode", "load", "read_idx"]

STEPS = 8
"""Steps that an image is shown for."""

PER_SPIKE = 1024
"""Brightness times steps that makes one spike: a white pixel spikes twice in 8 steps."""


def encode(pixels: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """Spikes of images: uint8 (B, steps, n) of 0 and 1, from integers 0 to 255 (B, n).

    A rate code without chance: a pixel p has spiked ``floor((p*t + 512) / 1024)`` times after t
    steps. Pixels below 64 never spike; a test image makes 209 spikes on average.
    """
    p = np.asarray(pixels, dtype=np.int32)[:, None, :]
    t = np.arange(steps + 1, dtype=np.int32)[None, :, None]
    total = (p * t + PER_SPIKE // 2) // PER_SPIKE
    return np.diff(total, axis=1).astype(np.uint8)


def read_idx(path: Path) -> np.ndarray:
    """The array in an idx file of bytes, plain or compressed with gzip.

    Raises `ValueError`, naming the file, where it is not one.
    """
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: broken gzip file: {error}") from error
    if data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path}: not an idx file of unsigned bytes")
    shape = tuple(np.frombuffer(data, ">u4", count=data[3], offset=4).tolist())
    start = 4 + 4 * data[3]
    if len(data) - start != np.prod(shape):
        raise ValueError(f"{path}: {len(data) - start} bytes of data for the shape {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def load(folder: Path, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Images of one part, `train` or `test`: pixels uint8 (B, 784), labels int64 (B,).

    Raises `FileNotFoundError` where the folder lacks a file.
    """
    stem = {"train": "train", "test": "t10k"}[part]
    arrays = []
    for name in (f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"):
        found = [p for p in (folder / name, folder / f"{name}.gz") if p.is_file()]
        if not found:
            raise FileNotFoundError(f"{folder}: no {name} or {name}.gz; give MNIST's idx folder")
        arrays.append(read_idx(found[0]))
    return arrays[0].reshape(len(arrays[0]), -1), arrays[1].astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write MNIST images as spikes into an .npz that every spikefab command reads."
    )
    parser.add_argument("folder", type=Path, help="folder of the idx files")
    parser.add_argument("output", type=Path, help="the .npz to write")
    parser.add_argument("--part", choices=("train", "test"), default="test")
    parser.add_argument("--count", type=int, help="first so many images (default: all)")
    options = parser.parse_args()
    try:
        pixels, labels = load(options.folder, options.part)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    spikes = encode(pixels[: options.count])
    np.savez_compressed(options.output, x=spikes, y=labels[: options.count])
    print(f"{options.output}: x {spikes.shape}, {spikes.sum() / len(spikes):.1f} spikes an image")


if __name__ == "__main__":
    main()
