# SPDX-License-Identifier: Apache-2.0
"""the golden model's speed, and its ratio to snnTorch in one process

784-512-10 on 10,000 samples of 20 steps, on one core. Weights and events are random: the time
depends on sizes alone. Where snnTorch is installed (it is no dependency) it runs the same network
on the same events, as its users write it: a product and a `Leaky` a layer in each step, the output
layer's spikes kept. Spikes must be equal. The two take turns, and each pair of runs gives a ratio,
of processor times: each has one thread, and on a busy machine wall times mean little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from bench.figures import Figure, Table, at_least, at_most
from bench.runs import BenchError
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import NeuronParams, SynapseParams
from spikefab.sim.golden import run_golden

__all__ = ["add_arguments", "network", "run"]

SIZES = (784, 512, 10)
STEPS = 20
RATE = 0.13
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 500],
                        help="samples a call, for the ratios")  # fmt: skip
    parser.add_argument("--pairs", type=int, default=9, help="pairs of runs a ratio")


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
            edges=(dense_edge(f"layer{k - 1}" if k else "input", weights),),
            synapse=synapse,
            neuron=neuron,
            scale=np.ones(1),
        )
        layers.append(layer)
    return QNetwork(
        name="bench",
        inputs=(QInput(name="input", shape=(SIZES[0],)),),
        layers=tuple(layers),
        outputs=(QOutput(name="output", source=layers[-1].name),),
    )


def run(options: argparse.Namespace) -> list[Table]:
    _one_core()
    qnet = network()
    rng = np.random.default_rng(1)
    x = (rng.random((options.samples, STEPS, SIZES[0]), dtype=np.float32) < RATE).astype(np.uint8)
    start = time.perf_counter()
    processor = _processor(lambda: run_golden(qnet, x))
    seconds = time.perf_counter() - start
    figures = [
        at_most(f"seconds, {len(x):,} samples x {STEPS} steps", seconds, 20, digits=1)
        if len(x) == 10_000
        else Figure(what=f"seconds, {len(x):,} samples x {STEPS} steps", value=seconds, digits=1),
        Figure(what="processor seconds", value=processor, digits=1),
    ]
    notes = []
    other = _snntorch(qnet)
    if other is None:
        notes.append("  snnTorch is not installed: no ratios (pip install snntorch)")
    for batch in options.batch if other is not None else ():
        figures += _ratios(qnet, other, x, batch, options.pairs)
    title = "-".join(map(str, SIZES)) + " in the golden model, one core"
    return [Table(title=title, figures=figures, anchor="pairs of runs", notes=notes)]


def _one_core() -> None:
    """Libraries read their number of threads when they are loaded: starts over with one."""
    if any(os.environ.get(name) != "1" for name in THREADS):
        os.environ.update(dict.fromkeys(THREADS, "1"))
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]])


def _processor(body: Callable[[], object]) -> float:
    """Seconds of processor time."""
    start = time.process_time()
    body()
    return time.process_time() - start


def _ratios(
    qnet: QNetwork, other: Callable[[np.ndarray], Any], x: np.ndarray, batch: int, pairs: int
) -> list[Figure]:
    """snnTorch's time over the golden model's, run by run in turns, at one batch size."""
    some = x[: max(batch, min(len(x), 20 if batch == 1 else 2000))]
    parts = [some[at : at + batch] for at in range(0, len(some), batch)]
    last = qnet.layers[-1].name
    for part in parts:
        if not np.array_equal(run_golden(qnet, part).spikes[last], other(part)):
            raise BenchError("snnTorch's spikes differ from the golden model's")
    ratios, own = [], []
    for _ in range(pairs):
        golden = _processor(lambda: [run_golden(qnet, part) for part in parts])
        theirs = _processor(lambda: [other(part) for part in parts])
        ratios.append(theirs / golden)
        own.append(1e3 * golden / len(some))
    what = f"times as fast as snnTorch, batch {batch}"
    spread = f"{len(ratios)} ratios, {min(ratios):.2f} to {max(ratios):.2f}"
    bar = 5.0 if batch == 1 else 1.0
    return [
        at_least(what, statistics.median(ratios), bar, spread, 2),
        Figure(what=f"ms a sample, batch {batch}", value=statistics.median(own), digits=3),
    ]


def _snntorch(qnet: QNetwork) -> Callable[[np.ndarray], np.ndarray] | None:
    """The network in snnTorch, from events to the last layer's spikes; None where it is lacking."""
    try:
        import snntorch  # type: ignore[import-not-found]
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    cells = [
        snntorch.Leaky(beta=1.0, threshold=float(layer.neuron.threshold[0]))
        for layer in qnet.layers
    ]
    maps = [torch.tensor(layer.weights.T, dtype=torch.float32) for layer in qnet.layers]

    def forward(events: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            x = torch.from_numpy(events).float()
            states = [cell.init_leaky() for cell in cells]
            out = []
            for t in range(x.shape[1]):
                spikes = x[:, t]
                for k, cell in enumerate(cells):
                    spikes, states[k] = cell(spikes @ maps[k], states[k])
                out.append(spikes)
            return torch.stack(out, dim=1).numpy()

    return forward
