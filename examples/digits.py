# SPDX-License-Identifier: Apache-2.0
"""Scikit-learn's 1,797 handwritten digits (8 x 8 pixels, 0 to 16) as spikes.

The images come inside scikit-learn; nothing is downloaded. They are split once and for all: of
each class, in file order, every fifth image is held out (364), the rest (1,433) is for training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

__all__ = ["STEPS", "encode", "load", "split"]

STEPS = 8
"""Steps that an image is shown for."""

PER_SPIKE = 24
"""Brightness times steps that makes one spike: 16, the brightest, spikes two steps in three."""


def encode(pixels: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """Spikes of images: uint8 (B, steps, n) of 0 and 1, from integers 0 to 16 (B, n).

    A rate code without chance: a pixel p has spiked ``floor((p*t + 12) / 24)`` times after t
    steps, so that its spikes are spread evenly; p = 16 spikes 5 times in 8 steps.
    """
    p = np.asarray(pixels, dtype=np.int64)[:, None, :]
    t = np.arange(steps + 1)[None, :, None]
    total = (p * t + PER_SPIKE // 2) // PER_SPIKE
    return np.diff(total, axis=1).astype(np.uint8)


def load() -> tuple[np.ndarray, np.ndarray]:
    """All images in file order: pixels uint8 (1797, 64), labels int64 (1797,)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data.astype(np.uint8), data.target.astype(np.int64)


def split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and of the held-out images, each in file order."""
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        held_out[np.flatnonzero(labels == label)[::5]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write the digits as spikes into an .npz that every spikefab command reads."
    )
    parser.add_argument("output", type=Path, help="the .npz to write")
    parser.add_argument("--part", choices=("held-out", "training", "all"), default="held-out")
    parser.add_argument("--count", type=int, help="first so many images (default: all)")
    options = parser.parse_args()
    pixels, labels = load()
    training, held_out = split(labels)
    parts = {"held-out": held_out, "training": training, "all": np.arange(len(labels))}
    chosen = parts[options.part][: options.count]
    spikes = encode(pixels[chosen])
    np.savez_compressed(options.output, x=spikes, y=labels[chosen])
    print(f"{options.output}: x {spikes.shape}, {spikes.sum() / len(spikes):.1f} spikes an image")


if __name__ == "__main__":
    main()
