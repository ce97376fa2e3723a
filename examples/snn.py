# SPDX-License-Identifier: Apache-2.0
"""A small spiking network in PyTorch, and its export to NIR: what the training scripts share.

The neuron is snnTorch's `Leaky` with its defaults (reset by subtraction, one step late), written
out so that nothing but torch is needed. `export` writes the graph that snnTorch's own exporter
writes, so that spikefab recognises the dialect.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "SNN",
    "TrainOptions",
    "accuracy",
    "count_spikes",
    "export",
    "report",
    "rounded",
    "train",
]

DT = 1e-4
"""Seconds a step: the constant that snnTorch's exporter uses."""


class Spike(torch.autograd.Function):
    """Forward: 1 where the distance to the threshold is positive. Backward: a fast sigmoid's."""

    slope = 5.0

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad[0] / (1 + Spike.slope * x.abs()) ** 2


def rounded(weight: Tensor, bits: int | None) -> Tensor:
    """The weights as `bits`-bit signed integers times the layer's scale, largest weight at the end
    of the range; the gradient passes as if nothing were rounded. None: unchanged."""
    if bits is None:
        return weight
    top = 2 ** (bits - 1) - 1
    scale = weight.detach().abs().max() / top
    return weight + (torch.round(weight / scale) * scale - weight).detach()


class SNN(nn.Module):
    """Dense layers without bias, each followed by leaky integrate-and-fire neurons.

    A step of a layer, `m` its membrane, `x` its input spikes and threshold 1::

        r = m > 1;  m = beta * m + W @ x - r;  s = m > 1
    """

    def __init__(self, sizes: tuple[int, ...], beta: float):
        super().__init__()
        self.beta = beta
        self.sizes = sizes
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(sizes))
        with torch.no_grad():  # torch's own start is too small for enough neurons to spike
            for i, layer in enumerate(self.layers):
                layer.weight.mul_(1.5 if i == 0 else 2.0)

    def forward(self, x: Tensor, bits: int | None = None) -> list[Tensor]:
        """Spikes of every layer (T, B, n), from input spikes (T, B, n_in)."""
        out = []
        for layer in self.layers:
            currents = x @ rounded(layer.weight, bits).t()
            membrane = torch.zeros_like(currents[0])
            spike = torch.zeros_like(membrane)
            spikes = []
            for current in currents:
                membrane = self.beta * membrane + current - spike.detach()
                spike = Spike.apply(membrane - 1)
                spikes.append(spike)
            x = torch.stack(spikes)
            out.append(x)
        return out

    @torch.no_grad()
    def clip(self, sigmas: float) -> None:
        """Holds the weights within so many standard deviations of their layer: an outlier would
        widen the rounding step of all the others."""
        for layer in self.layers:
            limit = sigmas * layer.weight.std()
            layer.weight.clamp_(-limit, limit)


def class_loss(counts: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """Cross-entropy of spike counts (B, classes). The right class starts `margin` spikes behind,
    so that it must win by more than that: a tie is an error."""
    behind = margin * nn.functional.one_hot(labels, counts.shape[1])
    return nn.functional.cross_entropy(counts - behind, labels)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How `train` trains."""

    epochs: int
    batch: int
    bits: tuple[int | None, ...] = (4, None)
    """Widths that the weights are rounded to, drawn anew for each batch, None for not at all: the
    network learns to work with each of them."""
    rate: float = 4e-3
    """Largest learning rate of the one-cycle schedule."""
    margin: float = 1.0
    """Spikes by which the right output must lead."""
    sparsity: float = 0.05
    """Cost of one spike of each hidden neuron."""
    drop: float = 0.0
    """Share of the input spikes that are left out in training, drawn anew each time."""
    clip: float = 3.0
    """Standard deviations that a weight may reach: see `SNN.clip`."""
    seed: int = 1


def train(
    model: SNN,
    batches: Callable[[np.random.Generator], Iterator[tuple[np.ndarray, np.ndarray]]],
    n_batches: int,
    options: TrainOptions,
    say: Callable[[str], None] = print,
) -> None:
    """Trains in place. `batches` yields an epoch's (spikes (B, T, n_in), labels (B,))."""
    rng = np.random.default_rng(options.seed)
    optimiser = torch.optim.Adam(model.parameters(), options.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.rate, total_steps=options.epochs * n_batches
    )
    start = time.monotonic()
    for epoch in range(1, options.epochs + 1):
        total = 0.0
        for x, y in batches(rng):
            if options.drop:
                x = x * (rng.random(x.shape, dtype=np.float32) >= options.drop)
            bits = options.bits[int(rng.random() * len(options.bits))]
            hidden, *_, output = model(torch.from_numpy(x).float().transpose(0, 1), bits)
            loss = class_loss(output.sum(0), torch.from_numpy(y), margin=options.margin)
            total += loss.item()
            loss = loss + options.sparsity * hidden.sum(0).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            model.clip(options.clip)
        if epoch % max(1, options.epochs // 10) == 0:
            seconds = time.monotonic() - start
            say(f"epoch {epoch:4d}/{options.epochs}  loss {total / n_batches:.4f}  {seconds:.0f} s")


def report(model: SNN, x: np.ndarray, y: np.ndarray, say: Callable[[str], None] = print) -> None:
    """Prints accuracy in float and with plainly rounded weights, spikes and ties."""
    counts = count_spikes(model, x)
    names = ["input", *(f"lif{i}" for i in range(1, len(counts) + 1))]
    spikes = [x.sum() / len(x), *(layer.sum(1).mean() for layer in counts)]
    best = np.sort(counts[-1], axis=1)
    ties = int(np.sum(best[:, -1] == best[:, -2]))
    say(f"{len(x)} held-out images, {x.shape[1]} steps")
    say("spikes an image: " + ", ".join(f"{n} {s:.1f}" for n, s in zip(names, spikes, strict=True)))
    say(f"images whose first place is tied: {ties}")
    for bits in (None, 8, 7, 6, 5, 4, 3, 2):
        share = accuracy(count_spikes(model, x, bits)[-1], y)
        say(f"{'float' if bits is None else f'{bits} bits':>7}: {100 * share:.2f} %")


@torch.no_grad()
def count_spikes(model: SNN, x: np.ndarray, bits: int | None = None) -> list[np.ndarray]:
    """Spike counts of each layer (B, n), for samples `x` (B, T, n_in)."""
    parts = []
    for part in np.array_split(x, max(1, len(x) // 500)):
        spikes = model(torch.from_numpy(part).float().transpose(0, 1), bits)
        parts.append([layer.sum(0).to(torch.int32).numpy() for layer in spikes])
    return [np.concatenate(layer) for layer in zip(*parts, strict=True)]


def accuracy(counts: np.ndarray, labels: np.ndarray) -> float:
    """Share of samples whose most active output is the label; of equals, the first wins."""
    return float(np.mean(np.argmax(counts, axis=1) == labels))


def export(model: SNN, path: Path) -> None:
    """Writes the network as snnTorch's exporter would: tau = dt / (1 - beta), r = tau / dt."""
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([model.sizes[0]]))}
    for i, layer in enumerate(model.layers, start=1):
        n = model.sizes[i]
        beta = np.full(n, model.beta, np.float32)
        tau = DT / (1 - beta)
        nodes[f"fc{i}"] = nir.Linear(weight=layer.weight.detach().numpy())
        nodes[f"lif{i}"] = nir.LIF(
            tau=tau,
            r=tau / DT,
            v_leak=np.zeros_like(beta),
            v_threshold=np.ones_like(beta),
        )
    nodes["output"] = nir.Output(np.array([model.sizes[-1]]))
    names = list(nodes)
    temporary = path.with_suffix(".tmp")
    nir.write(temporary, nir.NIRGraph(nodes, list(pairwise(names))))
    os.replace(temporary, path)
