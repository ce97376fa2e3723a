# SPDX-License-Identifier: Apache-2.0
"""Every kind of neuron, in registers and in memories, against the golden model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from helpers import build_core, drive, from_items, to_items

from spikefab.gen.bounds import accumulator_range, current_bound
from spikefab.gen.qnetwork import QInput, QLayer, QNetwork, QOutput, dense_edge
from spikefab.hdl.params import CurrentParams, NeuronParams, ParamError, SynapseOrder, SynapseParams
from spikefab.sim.golden import run_golden

N_IN, N = 5, 13


def legal_kinds() -> Iterator[dict[str, Any]]:
    """Every combination of the fields that name an order of operations."""
    for compare, reset, time, correction, lag, width in itertools.product(
        ("gt", "ge"),
        ("subtract", "zero", "value"),
        ("same", "next-before-leak", "next-after-leak", "next-discard"),
        (False, True),
        (False, True),
        (1, 2, 3),
    ):
        kind: dict[str, Any] = {
            "compare": compare,
            "reset": reset,
            "reset_time": time,
            "reset_correction": correction,
            "output_lag": lag,
            "count_width": width,
        }
        try:
            NeuronParams(n=1, fraction_bits=0, membrane_width=8, **kind)
        except ParamError:
            continue
        yield kind


KINDS = list(legal_kinds())


def network(seed: int, kind: dict[str, Any], saturate: bool = True) -> tuple[QNetwork, np.ndarray]:
    """One layer whose sums, thresholds and resets are of one size, so that all of it matters."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-6, 8, (N, N_IN))
    varied = bool(seed % 2)

    def values(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(v) for v in rng.integers(low, high, N if varied else 1))

    shift = int(rng.integers(0, 5))
    neuron = NeuronParams(
        n=N,
        fraction_bits=1,
        membrane_width=int(rng.integers(6, 9)) if saturate else 16,
        saturate=saturate,
        leak_num=values(1 << shift >> 1, (1 << shift) + 1),
        leak_shift=shift,
        leak_rounding=("floor", "nearest", "toward-zero")[seed % 3],
        threshold=values(2, 7),
        bias=values(0, 4),
        v_init=values(-9, 15),
        v_reset=values(-5, 3),
        v_min=values(-14, -4) if seed % 4 == 1 and saturate else None,
        **kind,
    )
    synapse = SynapseParams(
        n_in=N_IN,
        n_out=N,
        weight_width=4,
        acc_min=int(np.minimum(weights, 0).sum(1).min()),
        acc_max=int(np.maximum(weights, 0).sum(1).max()),
    )
    layer = QLayer(
        name="layer", edges=(dense_edge("in", weights),), synapse=synapse, neuron=neuron,
        scale=np.ones(1),
    )  # fmt: skip
    qnet = QNetwork(
        name="one", inputs=(QInput(name="in", shape=(N_IN,)),), layers=(layer,),
        outputs=(QOutput(name="out", source="layer"),),
    )  # fmt: skip
    return qnet, (rng.random((3, 10, N_IN)) < 0.35).astype(np.uint8)


def check(qnet: QNetwork, lanes: int, x: np.ndarray, pause_in: float = 0.0) -> None:
    out, _, _ = drive(
        build_core(qnet, [lanes]), to_items(x), x.shape[0] * x.shape[1], pause_in=pause_in
    )
    counts, _ = from_items(out, (*x.shape[:2], N))
    golden = run_golden(qnet, x).spikes["layer"]
    assert golden.any()
    np.testing.assert_array_equal(counts, golden)


def lively(seed: int, kind: dict[str, Any], saturate: bool = True) -> tuple[QNetwork, np.ndarray]:
    """The first network from a seed on in which half of the neurons spike."""
    while True:
        qnet, x = network(seed, kind, saturate)
        if run_golden(qnet, x).spikes["layer"].any(axis=(0, 1)).sum() > N // 2:
            return qnet, x
        seed += 12  # keeps what depends on the seed's remainders


def with_current(
    seed: int, kind: dict[str, Any], order: SynapseOrder | None, saturate: bool = True
) -> tuple[QNetwork, np.ndarray]:
    """The same with a synaptic current (or none), mostly with biases that come late."""
    while True:
        qnet, x = network(seed, kind, saturate)
        rng = np.random.default_rng(seed)
        layer, p = qnet.layers[0], qnet.layers[0].neuron

        def values(low: int, high: int, rng: Any = rng, size: int = N if seed % 2 else 1) -> Any:
            return tuple(int(v) for v in rng.integers(low, high, size))

        p = replace(p, bias_late=values(-4, 6) if seed % 5 else (0,))
        if order is not None:
            shift = int(rng.integers(1, 6))
            current = CurrentParams(
                order=order,
                width=40,
                leak_num=values(0, 1 << shift) if seed % 3 else values(1 << shift >> 1, 1 << shift),
                leak_shift=shift,
                leak_rounding=("floor", "nearest", "toward-zero")[seed // 3 % 3],
                bias=values(-2, 3) if seed % 4 else (0,),
            )
            acc = accumulator_range(layer.edges[0].weights, 1)
            bound = current_bound(replace(p, current=current), acc)
            assert bound is not None
            p = replace(p, current=replace(current, width=bound.width))
        if not saturate:
            p = replace(p, membrane_width=24)
        qnet = replace(qnet, layers=(replace(layer, neuron=p),))
        if run_golden(qnet, x).spikes["layer"].any(axis=(0, 1)).sum() > N // 2:
            return qnet, x
        seed += 60


ORDERS: tuple[SynapseOrder | None, ...] = (None, *get_args(SynapseOrder))


@pytest.mark.parametrize("lanes", [4, 2], ids=["registers", "memories"])
@pytest.mark.parametrize("order", ORDERS)
def test_currents(order: SynapseOrder | None, lanes: int) -> None:
    """Of a few kinds of neuron, others for each order; samples of one step too."""
    for k in range(6):
        seed = 700 + 10 * k + 5 * lanes + ORDERS.index(order)
        kind = KINDS[(7 * k + 31 * ORDERS.index(order) + lanes) % len(KINDS)]
        qnet, x = with_current(seed, kind, order, saturate=bool(k % 3))
        check(qnet, lanes, x)
        one_step = x.reshape(-1, 1, N_IN)
        if run_golden(qnet, one_step).spikes["layer"].any():
            check(qnet, lanes, one_step, 0.3)


@pytest.mark.parametrize("order", get_args(SynapseOrder))
def test_currents_of_lanes_that_differ(order: SynapseOrder) -> None:
    """A lane each with its own shifts and additions: smaller leaks have narrower results."""
    qnet, x = with_current(2003 * 97, KINDS[2003 % 15], order, saturate=False)
    assert qnet.layers[0].neuron.current is not None
    assert len(set(qnet.layers[0].neuron.current.leak_num)) > 5
    check(qnet, N, x)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2006))
@pytest.mark.parametrize("lanes", [13, 7, 4, 3, 2, 1])
@pytest.mark.parametrize("order", ORDERS)
def test_currents_often(order: SynapseOrder | None, lanes: int, seed: int) -> None:
    for k, kind in enumerate(KINDS[seed % 15 :: 15]):
        qnet, x = with_current(seed * 97 + k, kind, order, bool(k % 2))
        check(qnet, lanes, x)


@pytest.mark.parametrize("lanes", [4, 2], ids=["registers", "memories"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_every_kind(kind: dict[str, Any], lanes: int) -> None:
    """13 neurons on 4 lanes turn in rings, on 2 in memories; the last group is not full."""
    qnet, x = lively(2 * KINDS.index(kind) + (lanes == 2), kind)
    check(qnet, lanes, x)


@pytest.mark.parametrize("lanes", [3, 2], ids=["padding", "memories"])
def test_thresholds_of_any_sign_where_they_are_only_compared(lanes: int) -> None:
    """The lanes that pad the last group would spike in every step."""
    able = [kind for kind in KINDS if kind["reset"] != "subtract" and kind["count_width"] == 1]
    for k, kind in enumerate(able[lanes::4]):
        qnet, x = network(80 + k, kind, saturate=bool(k % 2))
        layer = qnet.layers[0]
        neuron = replace(layer.neuron, threshold=(0, -1, -9, 5, 2, 0, -300, 3, 1, -4, 9, -2, 4))
        if k % 3 == 0:
            neuron = replace(neuron, threshold=(-k,))
        assert neuron.only_compared
        check(replace(qnet, layers=(replace(layer, neuron=neuron),)), lanes, x)


LATE = [kind for kind in KINDS if kind["reset_time"] != "same" or kind["output_lag"]]


@pytest.mark.parametrize("lanes", [4, 2], ids=["registers", "memories"])
def test_passes_that_follow_at_once(lanes: int) -> None:
    """Without a clamp the membrane is back before the spike that the next step must know, and
    silent steps follow as closely as they may."""
    for k, kind in enumerate(LATE[::3]):
        qnet, x = lively(500 + 2 * k, kind, saturate=False)
        x[:, 3:6] = 0
        check(qnet, lanes, x)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1020))
@pytest.mark.parametrize("lanes", [13, 7, 4, 3, 2, 1])
def test_every_kind_often(seed: int, lanes: int) -> None:
    for k, kind in enumerate(KINDS[seed % 3 :: 3]):
        qnet, x = lively(seed * 97 + k, kind)
        check(qnet, lanes, x)


@pytest.mark.parametrize("lanes", [13, 4, 2, 1])
@pytest.mark.parametrize("pause", [0.0, 0.6])
def test_lanes_beyond_the_population_stay_silent(lanes: int, pause: float) -> None:
    """Every neuron spikes in every step, and so would what pads the last group."""
    qnet, x = network(4, {"reset": "zero"})
    neuron = NeuronParams(
        n=N, fraction_bits=1, membrane_width=10, saturate=True, bias=(200,), reset="zero"
    )
    layer = qnet.layers[0]
    qnet = replace(qnet, layers=(replace(layer, neuron=neuron),))
    assert run_golden(qnet, x).spikes["layer"].all()
    check(qnet, lanes, x, pause)
