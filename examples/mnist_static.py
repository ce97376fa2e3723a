# SPDX-License-Identifier: Apache-2.0
"""MNIST's images as static input: 3-bit pixels that act in every step (direct coding).

A pixel is a whole number from 0 to 7, its current in each step; zero pixels send nothing. Images
are 28 x 28, 26 x 26 without the empty rim, or 14 x 14 for small parts. The files are those of
`spikefab.examples.mnist`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from spikefab.examples.mnist import load

__all__ = ["LARGEST", "SIDES", "encode"]

LARGEST = 7
"""Largest pixel."""

SIDES = {28: (128, 18), 26: (128, 18), 14: (48, 28)}
"""For each width of an image: the brightness that counts as dark, and brightness a level."""


def encode(pixels: np.ndarray, side: int = 28) -> np.ndarray:
    """3-bit images: uint8 (B, side*side), 0 to 7, from brightness 0 to 255 (B, 784).

    ``min(7, max(0, p - dark) // level)``. 26 x 26 images lack the rim, which is empty; 14 x 14
    images are of the mean (rounded down) of each 2 x 2 pixels. The faint edges of a stroke become
    0: of a test image 98.8 of 784 pixels are not, 98.8 of 676, and 33.6 of 196.
    """
    p = np.asarray(pixels).astype(np.int32).reshape(-1, 28, 28)
    if side == 26:
        p = p[:, 1:-1, 1:-1]
    elif side == 14:
        p = p.reshape(-1, 14, 2, 14, 2).sum(axis=(2, 4)) // 4
    dark, level = SIDES[side]
    x = np.minimum(np.maximum(p - dark, 0) // level, LARGEST)
    return x.astype(np.uint8).reshape(len(p), -1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write MNIST images as static input into an .npz that every spikefab command "
        "reads."
    )
    parser.add_argument("folder", type=Path, help="folder of the idx files")
    parser.add_argument("output", type=Path, help="the .npz to write")
    parser.add_argument("--part", choices=("train", "test"), default="test")
    parser.add_argument("--count", type=int, help="first so many images (default: all)")
    parser.add_argument("--side", type=int, choices=tuple(SIDES), default=28, help="pixels a row")
    options = parser.parse_args()
    try:
        pixels, labels = load(options.folder, options.part)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    x = encode(pixels[: options.count], options.side)
    np.savez_compressed(options.output, x=x, y=labels[: options.count])
    print(f"{options.output}: x {x.shape}, {(x > 0).sum(axis=1).mean():.1f} pixels not zero")


if __name__ == "__main__":
    main()
