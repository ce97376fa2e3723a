#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast the golden model is: a 784-512-10 network on 10,000 samples of 20 steps, one core.

    OPENBLAS_NUM_THREADS=1 python bench/golden.py [--samples N]

Weights and events are random: the time depends on sizes alone. With snnTorch installed (it is no
dependency) the same network is run there in the same process, at the same batch, and the ratio is
printed: wall times on a busy machine mean little, ratios in one run more.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

import numpy as np

from spikefab.gen.qnetwork import QLayer, QNetwork
from spikefab.hdl.params import NeuronParams, SynapseParams
from spikefab.sim.golden import run_golden

SIZES = (784, 512, 10)
STEPS = 20
RATE = 0.13


def network() -> QNetwork:
    """784-512-10, 6-bit weights, no leak, reset by subtraction a step late."""
    rng = np.random.default_rng(0)
    layers = []
    for k, (n_in, n) in enumerate(pairwise(SIZES)):
        weights = rng.integers(-32, 32, size=(n, n_in))
        synapse = SynapseParams(
            n_in=n_in,
            n_out=n,
            weight_width=6,
            acc_min=int(np.minimum(weights, 0).sum(1).min()),
            acc_max=int(np.maximum(weights, 0).sum(1).max()),
        )
        neuron = NeuronParams(
            n=n,
            fraction_bits=0,
            membrane_width=20,
            saturate=True,
            threshold=(400,),
            reset_time="next-after-leak",
        )
        layer = QLayer(
            name=f"layer{k}",
            weights=weights.astype(np.int8),
            synapse=synapse,
            neuron=neuron,
            scale=np.ones(1),
        )
        layers.append(layer)
    return QNetwork(
        name="bench",
        input_name="input",
        input_shape=(SIZES[0],),
        output_name="output",
        layers=tuple(layers),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    qnet = network()
    rng = np.random.default_rng(1)
    x = (rng.random((options.samples, STEPS, SIZES[0]), dtype=np.float32) < RATE).astype(np.uint8)
    start = time.perf_counter()
    result = run_golden(qnet, x)
    seconds = time.perf_counter() - start
    spikes = sum(int(s.sum()) for s in result.spikes.values()) / options.samples
    print(f"golden: {options.samples} samples x {STEPS} steps in {seconds:.1f} s, "
          f"{spikes:.0f} spikes a sample")  # fmt: skip
    try:
        import snntorch  # type: ignore[import-not-found]
        import torch
    except ImportError:
        print("snnTorch: not installed, no ratio")
        return
    torch.set_num_threads(1)
    cells = [snntorch.Leaky(beta=1.0, threshold=400.0) for _ in qnet.layers]
    maps = [torch.tensor(layer.weights.T, dtype=torch.float32) for layer in qnet.layers]
    start = time.perf_counter()
    with torch.no_grad():
        for first in range(0, options.samples, 500):
            part = torch.tensor(x[first : first + 500]).float()
            states = [cell.init_leaky() for cell in cells]
            for t in range(STEPS):
                s = part[:, t]
                for k, cell in enumerate(cells):
                    s, states[k] = cell(s @ maps[k], states[k])
    other = time.perf_counter() - start
    print(f"snnTorch: {other:.1f} s; golden / snnTorch = {seconds / other:.2f}")


if __name__ == "__main__":
    main()
