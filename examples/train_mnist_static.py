# SPDX-License-Identifier: Apache-2.0
"""Trains an MNIST network for static input, in the integers that it will run in; writes it as NIR.

Needs torch (`pip install torch==2.13.0` was used), nir and the folder of MNIST's idx files; takes
one to five minutes on one core.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from spikefab.examples import mnist, mnist_static
from spikefab.examples.static_snn import StaticSNN, export

BATCH = 200
HELD_BACK = 10_000
"""Training images, the last ones, that `--validate` scores on instead of training on them."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network and how it is trained."""

    side: int
    """Pixels a row."""
    hidden: int
    bits: tuple[int, int] = (4, 4)
    """Bits of a weight, a layer."""
    steps: int = 4
    epochs: int = 100
    seed: int = 1
    rate: float = 0.03
    """Largest learning rate of the one-cycle schedule, in weight LSBs."""
    sparsity: float = 0.001
    """Cost of one hidden spike."""
    distortion: float = 0.7
    """Size of the distortions: see `Distortion`."""

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.side**2, self.hidden, 10


RECIPES = {
    "784_128_10": Recipe(side=28, hidden=128),
    "676_256_10": Recipe(side=26, hidden=256),
    "up5k_196_64_10": Recipe(side=14, hidden=64, sparsity=0.0015),
}


class Distortion:
    """Turns, stretches, shears, moves and bends images, each in its own way.

    At size 1: up to 12 degrees, 12 %, 0.2 and 2 pixels; bent by a smooth field of 6 x 6 random
    vectors with a standard deviation of 0.8 pixels.
    """

    def __init__(self, size: float):
        self.size = size
        axis = (torch.arange(28) + 0.5) / 14 - 1
        down, across = torch.meshgrid(axis, axis, indexing="ij")
        bends = nn.functional.interpolate(
            torch.eye(36).view(36, 1, 6, 6), (28, 28), mode="bicubic", align_corners=False
        )
        flat = [across.flatten(), down.flatten(), torch.ones(784)]
        # Where a pixel is taken from is linear in this: one product makes a batch's fields.
        self.basis = torch.cat([torch.stack(flat), bends.view(36, 784)])

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, 1, 28, 28), distorted."""
        n = len(images)

        def draw(*shape: int) -> Tensor:
            return (2 * torch.rand(n, *shape) - 1) * self.size

        angle, stretch = 0.21 * draw(), 1 + 0.12 * draw(2)
        shear, shift = 0.2 * draw(), draw(2) / 7
        cos, sin = angle.cos(), angle.sin()
        affine = torch.stack(
            [
                torch.stack([cos * stretch[:, 0], shear - sin, shift[:, 0]], 1),
                torch.stack([sin, cos * stretch[:, 1], shift[:, 1]], 1),
            ],
            1,
        )
        bend = 0.055 * self.size * torch.randn(n, 2, 36)
        field = torch.cat([affine, bend], 2) @ self.basis
        grid = field.transpose(1, 2).reshape(n, 28, 28, 2)
        return nn.functional.grid_sample(images, grid, align_corners=False)


def encode(images: Tensor, side: int) -> Tensor:
    """The 3-bit pixels of images, (B, side*side) as floats."""
    pixels = images.reshape(len(images), 784).numpy()
    return torch.from_numpy(mnist_static.encode(pixels, side)).float()


def train(recipe: Recipe, pixels: np.ndarray, labels: np.ndarray) -> StaticSNN:
    """A network that has learnt images uint8 (B, 784) with labels (B,)."""
    torch.set_num_threads(1)  # the same sums in the same order, so the same network each time
    torch.manual_seed(recipe.seed)
    images = torch.from_numpy(pixels.astype(np.float32)).view(-1, 1, 28, 28)
    classes = torch.from_numpy(labels)
    distort = Distortion(recipe.distortion)
    model = StaticSNN(recipe.sizes, recipe.bits, recipe.steps)
    scales = [model.log_threshold, model.log_scale]
    optimiser = torch.optim.Adam(
        [{"params": [*model.weights]}, {"params": scales, "lr": 0.01}], recipe.rate
    )
    n_batches = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [recipe.rate, 0.01], total_steps=recipe.epochs * n_batches, pct_start=0.1
    )
    start = time.monotonic()
    for epoch in range(1, recipe.epochs + 1):
        order = torch.randperm(len(images))
        total = spikes = 0.0
        for chosen in order[: n_batches * BATCH].split(BATCH):
            membranes, counts = model(encode(distort(images[chosen]), recipe.side))
            loss = nn.functional.cross_entropy(model.logits(membranes), classes[chosen])
            active = counts.sum(1).mean()
            total, spikes = total + loss.item(), spikes + active.item()
            optimiser.zero_grad()
            (loss + recipe.sparsity * active).backward()
            optimiser.step()
            schedule.step()
            model.clip()
        if epoch % max(1, recipe.epochs // 10) == 0:
            print(
                f"epoch {epoch:4d}/{recipe.epochs}  loss {total / n_batches:.4f}  "
                f"{spikes / n_batches:.1f} hidden spikes  {time.monotonic() - start:.0f} s",
                flush=True,
            )
    return model


@torch.no_grad()
def report(model: StaticSNN, x: np.ndarray, y: np.ndarray, what: str) -> None:
    """Prints accuracy and activity on 3-bit images (B, n)."""
    membranes, counts = model(torch.from_numpy(x).float())
    best = membranes.sort(dim=1).values
    right = (membranes.argmax(1).numpy() == y).mean()
    print(
        f"{len(x)} {what} images, {model.steps} steps: {100 * right:.2f} %, "
        f"{int((best[:, -1] == best[:, -2]).sum())} tied; an image has "
        f"{(x > 0).sum(1).mean():.1f} pixels above zero and {counts.sum(1).mean():.1f} hidden "
        f"spikes; threshold {model.threshold.item():.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train a directly coded MNIST network in integers and write it as NIR."
    )
    here = Path(__file__).resolve().parent
    parser.add_argument("folder", type=Path, help="folder of the idx files, plain or .gz")
    parser.add_argument("--network", choices=tuple(RECIPES), default="784_128_10")
    parser.add_argument("-o", "--output", type=Path, help="default: mnist_static_NETWORK.nir here")
    parser.add_argument("--epochs", type=int, help="default: the network's own")
    parser.add_argument("--seed", type=int, help="default: the network's own")
    parser.add_argument(
        "--validate",
        action="store_true",
        help=f"score on the last {HELD_BACK} training images, which are then not trained on, "
        "instead of the test images",
    )
    options = parser.parse_args()
    try:
        pixels, labels = mnist.load(options.folder, "train")
        held, held_labels = mnist.load(options.folder, "test")
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.validate:
        held, held_labels = pixels[-HELD_BACK:], labels[-HELD_BACK:]
        pixels, labels = pixels[:-HELD_BACK], labels[:-HELD_BACK]
    given = {name: getattr(options, name) for name in ("epochs", "seed")}
    recipe = replace(
        RECIPES[options.network], **{name: value for name, value in given.items() if value}
    )
    print(f"training {options.network} on {len(pixels)} images, seed {recipe.seed}")
    model = train(recipe, pixels, labels)
    what = "validation" if options.validate else "test"
    report(model, mnist_static.encode(held, recipe.side), held_labels, what)
    output = options.output or here / f"mnist_static_{options.network}.nir"
    export(model, output)
    print(f"wrote {output} ({output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
