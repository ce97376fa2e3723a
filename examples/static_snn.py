# SPDX-License-Identifier: Apache-2.0
"""A directly coded spiking network that is trained in the integers it will run in.

One hidden layer of integrate-and-fire neurons (snnTorch's `Leaky` with β = 1, reset by
subtraction) and a layer of integrators, whose largest membrane after the last step is the class.
Weights are whole numbers of a stated width and thresholds whole numbers, so that the quantiser
has nothing left to round.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["StaticSNN", "export"]


class Round(torch.autograd.Function):
    """Forward: the nearest whole number. Backward: as if nothing were rounded."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grad: Tensor) -> Tensor:
        return grad[0]


class SpikeCount(torch.autograd.Function):
    """Forward: spikes in T steps of a neuron whose constant current is `x / T` thresholds.

    It has spiked ``ceil(x * t / T) - 1`` times after t steps, at most once a step, and never for
    x <= 0: the comparison is ``>``. Backward: the slope of the straight line, half a spike further
    at either end.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, steps: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.steps = steps
        return torch.ceil(x).sub_(1).clamp_(0, steps)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        steps: int = ctx.steps
        return grad[0] * ((x > -0.5) & (x < steps + 1)), None


class StaticSNN(nn.Module):
    """`sizes[0]` inputs, `sizes[1]` hidden neurons, `sizes[2]` integrators, no bias.

    With a constant input a neuron that resets by subtraction and does not leak spikes as often as
    its current times the steps holds the threshold, whichever steps those are in. So the counts of
    all steps follow from one product, and the integrators need the counts alone.
    """

    def __init__(self, sizes: tuple[int, int, int], bits: tuple[int, int], steps: int):
        super().__init__()
        self.sizes, self.bits, self.steps = sizes, bits, steps
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(b, a) * 2.0 ** (n - 5))
            for (a, b), n in zip(pairwise(sizes), bits, strict=True)
        )
        # Both as logarithms: they must stay positive.
        self.log_threshold = nn.Parameter(torch.tensor(70.0).log())
        self.log_scale = nn.Parameter(torch.tensor(0.05).log())

    @property
    def threshold(self) -> Tensor:
        return Round.apply(self.log_threshold.exp())

    def integers(self) -> list[Tensor]:
        """The weights as they are exported."""
        return [Round.apply(w) for w in self.weights]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Final membranes (B, n_out) and hidden spike counts (B, n), from pixels (B, n_in)."""
        first, second = self.integers()
        counts = SpikeCount.apply(x @ first.t() * self.steps / self.threshold, self.steps)
        return counts @ second.t(), counts

    def logits(self, membranes: Tensor) -> Tensor:
        """The membranes in units that a cross-entropy is used to."""
        return membranes * self.log_scale.exp()

    @torch.no_grad()
    def clip(self) -> None:
        """Keeps every weight where it rounds to its width."""
        for weight, bits in zip(self.weights, self.bits, strict=True):
            top = 2.0 ** (bits - 1)
            weight.clamp_(-top - 0.49, top - 0.51)


def export(model: StaticSNN, path: Path) -> None:
    """Writes the network as snnTorch's exporter would: β = 1 is an infinite tau and r."""
    first, second = (w.detach().numpy().astype(np.float32) for w in model.integers())
    _, hidden, outputs = model.sizes

    def full(n: int, value: float) -> np.ndarray:
        return np.full(n, value, np.float32)

    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array([model.sizes[0]])),
        "fc1": nir.Linear(weight=first),
        "lif1": nir.LIF(
            tau=full(hidden, np.inf),
            r=full(hidden, np.inf),
            v_leak=full(hidden, 0),
            v_threshold=full(hidden, model.threshold.item()),
        ),
        "fc2": nir.Linear(weight=second),
        "li2": nir.LI(tau=full(outputs, np.inf), r=full(outputs, np.inf), v_leak=full(outputs, 0)),
        "output": nir.Output(np.array([outputs])),
    }
    temporary = path.with_suffix(".tmp")
    nir.write(temporary, nir.NIRGraph(nodes, list(pairwise(nodes))))
    os.replace(temporary, path)
