# SPDX-License-Identifier: Apache-2.0
"""The scatter engine: sums against the golden convolution, cycles against the cost model."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from conv_cases import convs
from hypothesis import given, settings
from hypothesis import strategies as st
from scatter_bench import Bench, Run

from spikefab.gen.cost_conv import event_cycles, sparse_cycles
from spikefab.gen.verilog import to_verilog
from spikefab.hdl.conv_params import ConvJoin, ConvParams
from spikefab.hdl.params import LayerParams, NeuronParams, ParamError, SynapseParams
from spikefab.hdl.scatter import ScatterEngine, kernel_words
from spikefab.hdl.sparse_params import SparseParams, compress
from spikefab.sim.conv import convolve


@dataclass
class Case:
    """A convolution on lanes, its weights, and steps of events for it."""

    conv: ConvParams
    lanes: int
    folds: int
    bits: int
    payload: int
    trits: bool
    weights: np.ndarray
    steps: list[list[tuple[int, int, int, int]]]
    """Events (c, y, x, value) of each step."""

    @property
    def params(self) -> LayerParams:
        n = self.conv.out_grid.words(self.lanes) * self.lanes
        most = (1 << self.payload) - 1 if self.payload else 1
        events = max(1, *(len(step) for step in self.steps))
        top = (1 << self.bits) * most * events
        return LayerParams(
            name="conv",
            synapse=SynapseParams(
                n_in=self.conv.in_grid.n_addresses, n_out=n, weight_width=self.bits,
                acc_min=-top, acc_max=top, payload_width=self.payload, trits=self.trits,
            ),
            neuron=NeuronParams(n=n, fraction_bits=0, membrane_width=8),
            lanes=self.lanes,
            folds=self.folds,
            structure=ConvJoin(convs=(self.conv,)),
            grid=self.conv.out_grid,
        )  # fmt: skip

    @property
    def expected(self) -> list[list[int]]:
        """The sums of each step in the order of the layout; padding 0."""
        x = np.zeros((len(self.steps), *self.conv.in_shape), np.int64)
        for t, step in enumerate(self.steps):
            for c, y, x_, value in step:
                x[t, c, y, x_] += value
        sums = convolve(self.conv, self.weights, x).reshape(len(x), -1)
        order = self.conv.out_grid.neurons(self.lanes)
        return [[0 if n is None else int(row[n]) for n in order] for row in sums]

    @property
    def bench(self) -> Bench:
        grid, cycles = self.conv.in_grid, event_cycles(self.conv, self.lanes)
        return Bench(
            params=self.params,
            words=words_of(self.conv, self.weights, self.lanes),
            steps=[[(grid.address(c, y, x), v) for c, y, x, v in step] for step in self.steps],
            expected=self.expected,
            costs={grid.address(*at): int(cycles[at]) for at in np.ndindex(cycles.shape)},
        )


def words_of(conv: ConvParams, weights: np.ndarray, lanes: int) -> list[list[int]]:
    return kernel_words(conv, weights.reshape(conv.out_channels, -1).tolist(), lanes)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    conv = draw(convs())
    own = conv.out_channels // conv.groups
    lanes = draw(st.integers(1, conv.out_channels).filter(
        lambda n: conv.groups == 1 or own % n == 0 or n % own == 0))  # fmt: skip
    folds = draw(st.sampled_from([f for f in range(1, lanes + 1) if lanes % f == 0]))
    trits = draw(st.integers(0, 4)) == 0
    bits = 2 if trits else draw(st.integers(2, 8))
    payload = draw(st.sampled_from([0, 0, 0, 1, 2, 3, 8]))
    seed = draw(st.integers(0, 1 << 16))
    weights, steps = contents(conv, bits, payload, trits, seed)
    return Case(conv, lanes, folds, bits, payload, trits, weights, steps)


def contents(
    conv: ConvParams, bits: int, payload: int, trits: bool, seed: int, most: int = 14
) -> tuple[np.ndarray, list[list[tuple[int, int, int, int]]]]:
    """Weights, and steps of up to `most` events, some of them close to each other."""
    rng, r = np.random.default_rng(seed), random.Random(seed)
    top = 1 << (bits - 1)
    shape = (conv.out_channels, conv.in_shape[0] // conv.groups, *conv.kernel)
    weights = rng.integers(-1 if trits else -top, 2 if trits else top, size=shape)
    steps = []
    for _ in range(r.randint(1, 4)):
        step = []
        near = tuple(r.randrange(size) for size in conv.in_shape)
        for _ in range(r.choice([0, 1, most // 2, most])):
            at = near if r.random() < 0.4 else tuple(r.randrange(size) for size in conv.in_shape)
            step.append((*at, r.randint(1, (1 << payload) - 1) if payload else 1))
        steps.append(step)
    return weights, steps


def check(case: Case) -> Run:
    """Sums and cycles at full rate."""
    bench = case.bench
    run = bench.check()
    bench.check_cycles(run)
    return run


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_sums_and_cycles(case: Case) -> None:
    check(case)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(cases(), st.sampled_from([(0.5, 0.0), (0.0, 0.8), (0.5, 0.5)]), st.integers(0, 1000))
def test_sums_with_stalls(case: Case, pauses: tuple[float, float], seed: int) -> None:
    case.bench.check(pause_in=pauses[0], pause_start=pauses[1], seed=seed)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, derandomize=True)
@given(cases(), st.sampled_from([(0.0, 0.0), (0.5, 0.0), (0.0, 0.8), (0.3, 0.5)]))
def test_sums_and_cycles_in_a_long_sweep(case: Case, pauses: tuple[float, float]) -> None:
    bench = case.bench
    run = bench.check(pause_in=pauses[0], pause_start=pauses[1], seed=1)
    if not any(pauses):
        bench.check_cycles(run)


FIRST = ConvParams(
    in_shape=(2, 34, 34), out_channels=16, kernel=(5, 5), stride=(2, 2), padding=((1, 1), (1, 1))
)
"""The first layer of the NIR paper's network for N-MNIST."""


def case_of(conv: ConvParams, lanes: int, steps: list[list[tuple[int, int, int, int]]]) -> Case:
    weights, _ = contents(conv, 4, 0, False, 1)
    return Case(conv, lanes, 1, 4, 0, False, weights, steps)


@pytest.mark.parametrize("distance", [0, 1, 2, 3])
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_sum_is_right_however_soon_it_is_hit_again(distance: int, lanes: int) -> None:
    """Events of one cycle each: the same one again at every distance, others between."""
    conv = ConvParams(in_shape=(1, 4, 4), out_channels=lanes, kernel=(1, 1))
    rng = random.Random(distance)
    between = [(0, 1, k, 1) for k in range(4)]
    step = []
    for _ in range(6):
        step += [(0, 0, 0, 1), *rng.sample(between, distance)]
    case = case_of(conv, lanes, [step, step[:2], step])
    check(case)


def test_events_of_one_cycle_follow_each_other_without_a_bubble() -> None:
    conv = ConvParams(in_shape=(1, 4, 4), out_channels=3, kernel=(1, 1))
    case = case_of(conv, 3, [[(0, k // 4, k % 4, 1) for k in range(16)]])
    run = case.bench.check()
    assert [b - a for a, b in pairwise(run.taken)] == [1] * 16


def test_borders_cost_what_they_hit() -> None:
    """A corner of the first N-MNIST layer hits one position, its inside four to nine."""
    cost = event_cycles(FIRST, 16)
    assert cost[0, 0, 0] == 1 * 1
    assert cost[1, 17, 17] == 3 * 3
    assert cost[1, 17, 18] == 3 * 2
    assert cost[0, 16, 18] == 2 * 2
    assert event_cycles(FIRST, 4)[0, 16, 18] == 2 * 2 * 4
    step = [(0, 0, 0, 1), (1, 17, 17, 1), (0, 16, 18, 1), (1, 33, 33, 1)]
    case = case_of(FIRST, 16, [step, []])
    check(case)


def test_an_event_that_hits_nothing_takes_one_cycle() -> None:
    """Rows that a pooling leaves out, and inputs between the positions of a stride."""
    conv = ConvParams(in_shape=(1, 5, 5), out_channels=4, kernel=(1, 1), stride=(2, 2),
                      pool_kernel=(2, 2), pool_stride=(2, 2))  # fmt: skip
    cost = event_cycles(conv, 2)
    assert cost[0, 4, 0] == cost[0, 0, 4] == cost[0, 2, 0] == 1
    assert cost[0, 0, 0] == 2
    step = [(0, 4, 0, 1), (0, 4, 4, 1), (0, 0, 0, 1), (0, 2, 2, 1), (0, 1, 1, 1), (0, 4, 1, 1)]
    case = case_of(conv, 2, [step, step])
    check(case)


def test_the_order_of_events_changes_nothing() -> None:
    conv = ConvParams(in_shape=(3, 6, 6), out_channels=4, kernel=(3, 3), padding=((1, 1), (1, 1)))
    weights, steps = contents(conv, 5, 0, False, 4, most=40)
    runs = []
    for seed in range(3):
        for step in steps:
            random.Random(seed).shuffle(step)
        runs.append(Case(conv, 2, 1, 5, 0, False, weights, steps).bench.drive().sums)
    assert runs[0] == runs[1] == runs[2]


def test_lanes_that_do_not_fit_a_grouped_convolution_are_refused() -> None:
    conv = ConvParams(in_shape=(4, 3, 3), out_channels=8, kernel=(1, 1), groups=2)
    conv.check_lanes(2)
    conv.check_lanes(8)
    with pytest.raises(ParamError, match="a divisor or a multiple of a group's output channels, 4"):
        conv.check_lanes(3)
    with pytest.raises(ParamError, match="1 to the output channels, 8"):
        conv.check_lanes(9)


def test_binary_weights_keep_to_their_group() -> None:
    """They have no 0: a word must not reach into another group's channels."""
    conv = ConvParams(in_shape=(2, 3, 3), out_channels=4, kernel=(2, 2), groups=2)
    weights = np.random.default_rng(0).choice([-1, 1], size=(4, 1, 2, 2))
    step = [(0, 1, 1, 1), (1, 2, 0, 1), (0, 0, 2, 1)]
    check(Case(conv, 2, 1, 1, 0, False, weights, [step]))
    with pytest.raises(ParamError, match="binary weights have no 0"):
        Case(conv, 4, 1, 1, 0, False, weights, [step]).bench.drive()


def test_it_converts() -> None:
    case = case_of(FIRST, 16, [[]])
    bench = case.bench
    text = to_verilog(ScatterEngine(bench.params, bench.words), "engine")
    assert "[12:0] i__payload" not in text
    assert "[14:0] i__payload" in text


def join_bench(conv: ConvParams, kinds: list[str], lanes: int, seed: int) -> Bench:
    """A convolution, and others from sources of their own into the same population."""
    c, h, w = conv.out_shape
    r, rng = random.Random(seed), np.random.default_rng(seed)
    around, zero = ((1, 1), (1, 1)), ((0, 0), (0, 0))
    convs = [conv]
    for kind in kinds:
        more: dict[str, Any] = {
            "identity": {"in_shape": (c, h, w), "kernel": (1, 1), "groups": c},
            "same": {"in_shape": (2, h, w), "kernel": (3, 3), "padding": around},
            "stride": {"in_shape": (3, 2 * h, 2 * w), "kernel": (2, 2), "stride": (2, 2)},
            "pool": {"in_shape": (1, 3 * h, 2 * w), "kernel": (1, 1), "pool_kernel": (2, 2),
                     "pool_stride": (3, 2)},
            "full": {"in_shape": (2, 1, 3), "kernel": (h, w + 2),
                     "padding": ((h - 1, h - 1), (w - 1, w - 1))},
        }[kind]  # fmt: skip
        convs.append(ConvParams(out_channels=c, **{"padding": zero, **more}))
        assert convs[-1].out_shape == conv.out_shape, kind
    r.shuffle(convs)
    join = ConvJoin(convs=tuple(convs))
    words, costs, steps = [], {}, [[] for _ in range(3)]
    sums = np.zeros((len(steps), *conv.out_shape), np.int64)
    for k, each in enumerate(convs):
        shape = (c, each.in_shape[0] // each.groups, *each.kernel)
        weights = rng.integers(-8, 8, size=shape)
        words += words_of(each, weights, lanes)
        cycles = event_cycles(each, lanes)
        for at in np.ndindex(each.in_shape):
            costs[join.offset(k) + each.in_grid.address(*at)] = int(cycles[at])
        for t, step in enumerate(steps):
            x = np.zeros(each.in_shape, np.int64)
            for _ in range(r.choice([0, 4, 8])):
                at = tuple(r.randrange(size) for size in each.in_shape)
                x[at] += 1
                step.append((join.offset(k) + each.in_grid.address(*at), 1))
            sums[t] += convolve(each, weights, x)
    for step in steps:
        r.shuffle(step)
    order = join.out_grid.neurons(lanes)
    expected = [[0 if n is None else int(row.flat[n]) for n in order] for row in sums]
    n = len(order)
    params = LayerParams(
        name="join",
        synapse=SynapseParams(n_in=join.n_in, n_out=n, weight_width=4, acc_min=-1023,
                              acc_max=1023),
        neuron=NeuronParams(n=n, fraction_bits=0, membrane_width=8),
        lanes=lanes,
        structure=join,
        grid=join.out_grid,
    )  # fmt: skip
    return Bench(params, words, steps, expected, costs)


@st.composite
def join_benches(draw: st.DrawFn) -> Bench:
    conv = draw(convs().filter(lambda conv: conv.groups == 1))
    kinds = draw(
        st.lists(
            st.sampled_from(["identity", "same", "stride", "pool", "full"]),
            min_size=1,
            max_size=3,
        )
    )
    lanes = draw(st.integers(1, conv.out_channels))
    return join_bench(conv, kinds, lanes, draw(st.integers(0, 1 << 16)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(join_benches())
def test_joined_convolutions_share_their_sums(bench: Bench) -> None:
    bench.check_cycles(bench.check())


def test_joins_that_are_refused() -> None:
    conv = ConvParams(in_shape=(2, 5, 5), out_channels=4, kernel=(3, 3))
    other = ConvParams(in_shape=(2, 5, 5), out_channels=4, kernel=(2, 3))
    with pytest.raises(ParamError, match="out_shape"):
        ConvJoin(convs=(conv, other))
    wide = ConvParams(in_shape=(200, 3, 3), out_channels=500, kernel=(3, 3))
    with pytest.raises(ParamError, match="use more lanes"):
        ConvJoin(convs=(wide,)).check_lanes(1)
    deep = ConvParams(in_shape=(256, 16, 15), out_channels=4, kernel=(3, 3))
    with pytest.raises(ParamError, match="join fewer or smaller sources"):
        ConvJoin(convs=(deep, deep))


def sparse_bench(
    n_in: int, n: int, lanes: int, folds: int, density: float, payload: int, seed: int
) -> Bench:
    """Connections that exist with a probability, in whole rows and columns too."""
    rng, r = np.random.default_rng(seed), random.Random(seed)
    weights = rng.integers(-8, 8, size=(n, n_in)) * (rng.random((n, n_in)) < density)
    weights[:, rng.random(n_in) < 0.3] = 0
    sparse, entries = compress(weights.tolist(), lanes)
    most = (1 << payload) - 1 if payload else 1
    steps = []
    for _ in range(r.randint(1, 4)):
        near = r.randrange(n_in)
        steps.append([
            (near if r.random() < 0.4 else r.randrange(n_in), r.randint(1, most))
            for _ in range(r.choice([0, 1, 8, 20]))
        ])  # fmt: skip
    x = np.zeros((len(steps), n_in), np.int64)
    for t, step in enumerate(steps):
        for address, value in step:
            x[t, address] += value
    sums = np.zeros((len(steps), sparse.words * lanes), np.int64)
    sums[:, :n] = x @ weights.T
    top = 8 * 20 * most
    params = LayerParams(
        name="sparse",
        synapse=SynapseParams(n_in=n_in, n_out=n, weight_width=4,
                              acc_min=-top, acc_max=top, payload_width=payload),
        neuron=NeuronParams(n=n, fraction_bits=0, membrane_width=8),
        lanes=lanes,
        folds=folds,
        structure=sparse,
    )  # fmt: skip
    costs = dict(enumerate(sparse_cycles(sparse).tolist()))
    # Rows without a neuron are not handed over.
    sums = sums[:, : params.rows * params.row_lanes]
    return Bench(params, entries, steps, sums.tolist(), costs)


@st.composite
def sparse_benches(draw: st.DrawFn) -> Bench:
    n = draw(st.integers(1, 24))
    lanes = draw(st.integers(1, n))
    folds = draw(st.sampled_from([f for f in range(1, lanes + 1) if lanes % f == 0]))
    return sparse_bench(
        draw(st.integers(1, 20)), n, lanes, folds, draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
        draw(st.sampled_from([0, 0, 1, 3])), draw(st.integers(0, 1 << 16)),
    )  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(sparse_benches())
def test_sparse_sums_and_cycles(bench: Bench) -> None:
    bench.check_cycles(bench.check())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(sparse_benches(), st.sampled_from([(0.5, 0.0), (0.0, 0.8), (0.5, 0.5)]))
def test_sparse_sums_with_stalls(bench: Bench, pauses: tuple[float, float]) -> None:
    bench.check(pause_in=pauses[0], pause_start=pauses[1])


def test_a_pruned_layer_costs_its_words() -> None:
    weights = [[0, 3, 0], [0, 0, 0], [1, 0, 0], [0, -2, 0]]
    sparse, entries = compress(weights, 2)
    assert sparse == SparseParams(words=2, rows=((1,), (0, 1), ()))
    assert entries == [[1, 0], [3, 0], [0, -2]]
    assert sparse_cycles(sparse).tolist() == [1, 2, 1]
    assert compress([[0, 0]], 1) == (SparseParams(words=1, rows=((0,), ())), [[0]])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"words": 0}, "words = 0"),
        ({"rows": ()}, "1 to 65536 sources"),
        ({"rows": ((0, 2),)}, "words from 0 to 1"),
        ({"rows": ((), ())}, "entries = 0"),
        ({"rows": ((0, 1) * 32769,)}, "prune more"),
    ],
)
def test_sparse_parameters_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=message):
        SparseParams(**{"words": 2, "rows": ((0,),), **fields})


def test_sparse_connections_convert() -> None:
    bench = sparse_bench(9, 8, 4, 1, 0.5, 0, 1)
    text = to_verilog(ScatterEngine(bench.params, bench.words), "engine")
    assert "[5:0] i__payload" in text


def late_bench(
    n_in: int, n: int, lanes: int, folds: int, longest: int, payload: int, uniform: bool, seed: int
) -> Bench:
    """Sparse connections with a delay a source, or a synapse, and several samples."""
    rng, r = np.random.default_rng(seed), random.Random(seed)
    weights = rng.integers(-8, 8, size=(n, n_in)) * (rng.random((n, n_in)) < 0.6)
    weights[0, 0] = 3
    delays = rng.integers(0, longest + 1, size=(1 if uniform else n, n_in))
    delays[0, 0] = longest
    delays = np.broadcast_to(delays, (n, n_in))
    sparse, entries = compress(weights.tolist(), lanes, delays.tolist())
    assert sparse.slots == longest + 1
    most = (1 << payload) - 1 if payload else 1
    n_steps = r.randint(1, 3 * longest + 2)
    lasts = [t for t in range(n_steps) if r.random() < 0.2]
    steps, x = [], np.zeros((n_steps, n_in), np.int64)
    for t in range(n_steps):
        near = r.randrange(n_in)
        steps.append([
            (near if r.random() < 0.4 else r.randrange(n_in), r.randint(1, most))
            for _ in range(r.choice([0, 1, 4, 12]))
        ])  # fmt: skip
        for address, value in steps[-1]:
            x[t, address] += value
    sums = np.zeros((n_steps, sparse.words * lanes), np.int64)
    sample = np.cumsum([0, *(t in lasts for t in range(n_steps - 1))])
    for t, source, target in np.ndindex(n_steps, n_in, n):
        at = t + delays[target, source]
        if at < n_steps and sample[at] == sample[t]:
            sums[at, target] += weights[target, source] * x[t, source]
    top = 8 * 20 * most * n_in
    params = LayerParams(
        name="late",
        synapse=SynapseParams(n_in=n_in, n_out=n, weight_width=4,
                              acc_min=-top, acc_max=top, payload_width=payload),
        neuron=NeuronParams(n=n, fraction_bits=0, membrane_width=8),
        lanes=lanes,
        folds=folds,
        structure=sparse,
    )  # fmt: skip
    costs = dict(enumerate(sparse_cycles(sparse).tolist()))
    # Rows without a neuron are not handed over.
    sums = sums[:, : params.rows * params.row_lanes]
    return Bench(params, entries, steps, sums.tolist(), costs, lasts)


@st.composite
def late_benches(draw: st.DrawFn) -> Bench:
    n = draw(st.integers(1, 12))
    lanes = draw(st.integers(1, n))
    folds = draw(st.sampled_from([f for f in range(1, lanes + 1) if lanes % f == 0]))
    return late_bench(
        draw(st.integers(1, 8)), n, lanes, folds, draw(st.integers(1, 6)),
        draw(st.sampled_from([0, 0, 2])), draw(st.booleans()), draw(st.integers(0, 1 << 16)),
    )  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(late_benches())
def test_late_sums_and_cycles(bench: Bench) -> None:
    bench.check_cycles(bench.check())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(late_benches(), st.sampled_from([(0.5, 0.0), (0.0, 0.8), (0.5, 0.5)]))
def test_late_sums_with_stalls(bench: Bench, pauses: tuple[float, float]) -> None:
    bench.check(pause_in=pauses[0], pause_start=pauses[1])


def test_words_of_several_delays_are_kept_once_each() -> None:
    weights, delays = [[0, 3, 5], [0, 0, 1], [1, 0, 0], [0, -2, 0]], [[0, 2, 1]] * 4
    sparse, entries = compress(weights, 2, delays)
    assert sparse == SparseParams(words=2, rows=((1,), (4, 5), (2,)), slots=3)
    assert entries == [[1, 0], [3, 0], [0, -2], [5, 1]]
    sparse, entries = compress([[5], [6], [7]], 3, [[0], [2], [0]])
    assert sparse == SparseParams(words=1, rows=((0, 2),), slots=3)
    assert entries == [[5, 0, 7], [0, 6, 0]]
    with pytest.raises(ParamError, match="delays of at most 1023 steps"):
        compress([[1]], 1, [[1024]])
    with pytest.raises(ParamError, match="use more lanes, or shorter delays"):
        compress([[1]] * 100, 1, [[1000]] * 100)
