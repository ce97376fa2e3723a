# SPDX-License-Identifier: Apache-2.0
"""Trains the MNIST network (784-128-10 neurons, 8 steps) and writes it as NIR.

Needs torch (`pip install torch==2.13.0` was used), nir and the folder of MNIST's idx files; takes
some five minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from spikefab.examples import mnist
from spikefab.examples.snn import SNN, TrainOptions, export, report, train

HIDDEN = 128
BETA = 0.875
"""What a membrane keeps each step; 1 - 1/8, so that the leak is a shift and a subtraction."""


def shift(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The images, all moved by the same -1, 0 or 1 pixels down and across; their rims are dark."""
    images = pixels.reshape(-1, 28, 28)
    dy, dx = (int(d) for d in rng.integers(-1, 2, 2))
    return np.roll(images, (dy, dx), axis=(1, 2)).reshape(len(pixels), -1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train a 784-128-10 spiking network on MNIST and write it as NIR."
    )
    here = Path(__file__).resolve().parent
    parser.add_argument("folder", type=Path, help="folder of the idx files, plain or .gz")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=here / "mnist_784_128_10.nir",
        help="default: %(default)s",
    )
    parser.add_argument("--epochs", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    try:
        pixels, labels = mnist.load(options.folder, "train")
        test_pixels, test_labels = mnist.load(options.folder, "test")
    except (OSError, ValueError) as error:
        parser.error(str(error))

    torch.set_num_threads(1)  # the same sums in the same order, so the same network each time
    torch.manual_seed(options.seed)
    settings = TrainOptions(epochs=options.epochs, batch=128, seed=options.seed)
    model = SNN((784, HIDDEN, 10), BETA)

    def batches(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = rng.permutation(len(pixels))
        for i in range(0, len(order), settings.batch):
            chosen = order[i : i + settings.batch]
            yield mnist.encode(shift(pixels[chosen], rng)), labels[chosen]

    print(f"training 784-{HIDDEN}-10 on {len(pixels)} images, seed {options.seed}")
    train(model, batches, -(-len(pixels) // settings.batch), settings)
    report(model, mnist.encode(test_pixels), test_labels)
    export(model, options.output)
    print(f"wrote {options.output} ({options.output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
