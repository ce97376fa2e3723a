# SPDX-License-Identifier: Apache-2.0
"""Trains the digits network (64-48-10 neurons, 8 steps) and writes `digits.nir`.

Needs torch (`pip install torch==2.13.0` was used), scikit-learn and nir; takes about a minute.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from spikefab.examples import digits
from spikefab.examples.snn import SNN, TrainOptions, export, report, train

HIDDEN = 48
BETA = 0.875
"""What a membrane keeps each step; 1 - 1/8, so that the leak is a shift and a subtraction."""


def jitter(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The images, each turned, stretched and moved a little: up to 0.08 rad, 6 % and 0.4 pixels."""
    n = len(pixels)
    angle = rng.uniform(-0.08, 0.08, n)
    stretch = 1 + rng.uniform(-0.06, 0.06, (2, n))
    shift = rng.uniform(-0.4, 0.4, (2, n)) / 4  # the grid's unit is half an image: 4 pixels
    rows = [
        [np.cos(angle) * stretch[0], -np.sin(angle), shift[0]],
        [np.sin(angle), np.cos(angle) * stretch[1], shift[1]],
    ]
    affine = torch.from_numpy(np.array(rows).transpose(2, 0, 1)).float()
    images = torch.from_numpy(pixels.reshape(n, 1, 8, 8)).float()
    grid = torch.nn.functional.affine_grid(affine, list(images.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(images, grid, align_corners=False)
    return moved.round().clamp(0, 16).numpy().reshape(n, 64).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train a 64-48-10 spiking network on scikit-learn's digits and write it as NIR."
    )
    here = Path(__file__).resolve().parent
    parser.add_argument(
        "-o", "--output", type=Path, default=here / "digits.nir", help="default: %(default)s"
    )
    parser.add_argument("--epochs", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args()

    torch.set_num_threads(1)  # the same sums in the same order, so the same network each time
    torch.manual_seed(options.seed)
    pixels, labels = digits.load()
    training, held_out = digits.split(labels)
    settings = TrainOptions(epochs=options.epochs, batch=64, drop=0.1, seed=options.seed)
    model = SNN((64, HIDDEN, 10), BETA)

    def batches(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = training[rng.permutation(len(training))]
        spikes = digits.encode(jitter(pixels[order], rng))
        for i in range(0, len(order), settings.batch):
            yield spikes[i : i + settings.batch], labels[order[i : i + settings.batch]]

    print(f"training 64-{HIDDEN}-10 on {len(training)} images, seed {options.seed}")
    train(model, batches, -(-len(training) // settings.batch), settings)
    report(model, digits.encode(pixels[held_out]), labels[held_out])
    export(model, options.output)
    print(f"wrote {options.output} ({options.output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
