# SPDX-License-Identifier: Apache-2.0
"""Layers that share an engine, as parameters: where everything is, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spikefab.hdl.params import CoreParams, LayerParams, NeuronParams, ParamError, SynapseParams
from spikefab.hdl.shared import shared_words
from spikefab.hdl.shared_params import RING_MAX, SharedParams, engine_layers, shared_units
from spikefab.hdl.sparse_params import compress
from spikefab.hdl.store import ring_max


def layer(
    name: str, n_in: int, n: int, lanes: int = 2, folds: int = 1, **neuron: Any
) -> LayerParams:
    fields: dict[str, Any] = {"fraction_bits": 1, "membrane_width": 9, "threshold": (5,)}
    synapse = SynapseParams(n_in=n_in, n_out=n, weight_width=4, acc_min=-8 * n_in, acc_max=7 * n_in)
    return LayerParams(
        name=name,
        synapse=synapse,
        neuron=NeuronParams(n=n, **fields | neuron),
        lanes=min(lanes, n),
        folds=folds,
    )


def test_places() -> None:
    shared = SharedParams((layer("a", 3, 5), layer("b", 5, 4), layer("c", 4, 3)))
    assert [(p.first_word, p.words, p.first_row, p.rows) for p in shared.phases] == [
        (0, 3, 0, 3),
        (3, 2, 3, 2),
        (5, 2, 5, 2),
    ]
    assert (shared.words, shared.rows, shared.queue_depth) == (7, 7, 6)
    # Places of a (one is padding) and of b, then the inputs; the last layer drives nothing inside.
    assert (shared.first_input, shared.first_token) == (10, 13)
    structure = shared.engine.structure
    assert structure is not None
    b, c, a = (3, 4), (5, 6), (0, 1, 2)
    assert structure.rows == (b, b, b, b, b, (), c, c, c, c, a, a, a)  # type: ignore[union-attr]
    assert shared.array.neuron.n == 14


def test_rows_of_folds_leave_out_what_is_empty() -> None:
    shared = SharedParams((layer("a", 3, 9, 4, 4), layer("b", 9, 6, 4, 4)))
    assert [(p.words, p.rows, p.end) for p in shared.phases] == [(3, 9, 8), (2, 6, 14)]


def test_numbers_that_differ_are_placed() -> None:
    a = layer("a", 3, 5, threshold=(5, 6, 7, 8, 9), leak_num=(3,), leak_shift=2)
    b = layer("b", 5, 4, threshold=(20,), leak_num=(7,), leak_shift=3, membrane_width=12)
    neuron = SharedParams((a, b)).array.neuron
    assert neuron.threshold == (5, 6, 7, 8, 9, 9, 20, 20, 20, 20)
    assert (neuron.leak_shift, neuron.leak_num) == (3, (6,) * 6 + (7,) * 4)
    assert (neuron.bias, neuron.membrane_width) == ((0,), 12)


def test_finer_membranes_shift_weights() -> None:
    a, b = layer("a", 2, 3), layer("b", 3, 3, fraction_bits=3)
    shared = SharedParams((a, b, layer("c", 3, 2)))
    assert (shared.shifts, shared.weight_width) == ((0, 2, 0), 6)
    assert shared.array.neuron.fraction_bits == 1
    assert (shared.engine.synapse.acc_min, shared.engine.synapse.acc_max) == (-96, 84)
    weights = [[[1, 2], [3, 4], [5, 6]], [[1, 2, 3], [4, 5, 6], [7, -8, 0]], [[1, 2, 3], [4, 5, 6]]]
    assert shared_words(shared, weights) == [
        [4, 16], [28, 0], [8, 20], [-32, 0], [12, 24], [0, 0],
        [1, 4], [2, 5], [3, 6],
        [1, 3], [5, 0], [2, 4], [6, 0],
    ]  # fmt: skip


def test_sparse_layers_keep_their_words() -> None:
    structure, entries = compress([[0, 3, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]], 2)
    b = replace(layer("b", 3, 4), structure=structure)
    shared = SharedParams((layer("a", 1, 3), b, layer("c", 4, 3)))
    engine = shared.engine.structure
    assert engine.rows[:4] == ((3,), (2,), (), ())  # type: ignore[union-attr]
    assert shared_words(shared, [[[1], [2], [3]], entries, [[0] * 4] * 3])[:2] == [[0, 1], [3, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reset": "zero"}, "reset of layer 'b' = 'zero'"),
        ({"compare": "ge"}, "compare of layer 'b' = 'ge'"),
        ({"v_min": (-3,)}, "v_min of layer 'b'"),
        ({"saturate": True}, "saturate of layer 'b'"),
        ({"spiking": False, "reset": "none"}, "layer 'b' = 'another kind'"),
        ({"bias_late": (1,)}, "layer 'b' = 'another kind'"),
        ({"fraction_bits": 6}, "weight bits = 9: must be at most 8"),
    ],
)
def test_what_differs_in_kind_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=message):
        SharedParams((layer("a", 3, 5), layer("b", 5, 9, **change)))


def test_other_refusals() -> None:
    a, b = layer("a", 3, 5), layer("b", 5, 9)
    with pytest.raises(ParamError, match="at least two"):
        SharedParams((a,))
    with pytest.raises(ParamError, match=r"synapse\.n_in = 6"):
        SharedParams((a, layer("b", 6, 9)))
    with pytest.raises(ParamError, match="lanes of layer 'b' = 3"):
        SharedParams((layer("a", 3, 5, 4), replace(b, lanes=3)))
    with pytest.raises(ParamError, match="storage of layer 'b' = 'logic'"):
        SharedParams((a, replace(b, storage="logic")))
    with pytest.raises(ParamError, match="rows of neurons = 4: must be more than 4"):
        SharedParams((layer("a", 3, 8, 4), layer("b", 8, 5, 4)))


def test_registers_do_not_turn_in_part() -> None:
    families: tuple[Any, ...] = ("", "ecp5", "ice40")
    assert {family: ring_max(family) for family in families} == RING_MAX


def test_units() -> None:
    assert shared_units(3, ()) == (range(0, 1), range(1, 2), range(2, 3))
    assert shared_units(6, ((1, 2), (3, 5))) == (range(0, 1), range(1, 3), range(3, 6))
    layers = (layer("a", 3, 5), layer("b", 5, 9), layer("c", 9, 2))
    core = CoreParams(layers=layers, shared=((0, 1),))
    assert [one.name for one in engine_layers(core)] == ["a+b", "c"]


@pytest.mark.parametrize("shared", [((1, 1),), ((1, 3),), ((0, 1), (1, 2)), ((1, 2), (0, 1))])
def test_runs_are_checked(shared: tuple[tuple[int, int], ...]) -> None:
    layers = (layer("a", 3, 5), layer("b", 5, 9), layer("c", 9, 2))
    with pytest.raises(ParamError, match=r"CoreParams\.shared"):
        CoreParams(layers=layers, shared=shared)
