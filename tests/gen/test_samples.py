# SPDX-License-Identifier: Apache-2.0
"""Samples: what is taken, in which types, and the words for what is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefab.gen.errors import InputError
from spikefab.gen.samples import (
    InputSamples,
    check_counts,
    check_labels,
    load_inputs,
    load_samples,
)


def save(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "x.npz", **arrays)
    return folder / "x.npz"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "kind", [bool, np.uint8, np.int8, np.int64, np.uint64, np.float16, np.float32, float]
)
def test_every_type_that_holds_counts(kind: type, tmp_path: Path) -> None:
    x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
    got, y = load_samples(save(tmp_path, x=x.astype(kind), y=[3, 4]), (2,), 1)
    np.testing.assert_array_equal(got, x)
    assert np.issubdtype(got.dtype, np.integer)
    assert np.repeat(np.arange(4), got[0].ravel()).tolist() == [1, 2]
    assert y is not None
    assert y.tolist() == [3, 4]


def test_shapes_limits_and_no_labels(tmp_path: Path) -> None:
    x = np.zeros((3, 4, 1, 2, 5), int)
    x[2, 3, 0, 1, 4] = 9
    got, y = load_samples(save(tmp_path, x=x), (1, 2, 5), 9, 4)
    assert (got.shape, y) == (x.shape, None)
    assert check_counts(x, (1, 2, 5), None).max() == 9


ONE = np.zeros((2, 3, 4), int)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"events": ONE, "y": [0, 1]}, "no array 'x' (found ['events', 'y']); save it with "
         "numpy.savez(file, x=events, y=labels)"),
        ({"x": ONE[0]}, "x has shape (3, 4); the network takes (samples, steps, 4)"),
        ({"x": ONE.reshape(2, 4, 3)}, "x has shape (2, 4, 3); the network takes (samples, steps, "
         "4)"),
        ({"x": ONE[:0]}, "x has shape (0, 3, 4); it needs at least one sample and step"),
        ({"x": ONE[:, :0]}, "x has shape (2, 0, 4); it needs at least one sample and step"),
        ({"x": ONE.astype(complex)}, "x has type complex128; event counts are integers"),
        ({"x": ONE.astype("U1")}, "x has type <U1; event counts are integers"),
        ({"x": ONE + 0.5}, "x has values that are not whole numbers; events are counts: encode "
         "the data into spikes first"),
        ({"x": ONE + np.nan}, "x has values that are not whole numbers; events are counts: encode "
         "the data into spikes first"),
        ({"x": ONE + np.inf}, "x has values that are not whole numbers; events are counts: encode "
         "the data into spikes first"),
        ({"x": ONE - 2}, "x holds -2; an event count is 0 or more"),
        ({"x": ONE + 5}, "x holds 5 events for one input in one step; this design takes at most "
         "4; compile with --data, or --input-max 5"),
        ({"x": np.full((2, 3, 4), 1e12)}, "x holds 1000000000000 events for one input in one step; "
         "this design takes at most 4; compile with --data, or --input-max 1000000000000"),
        # Not 1, as it would be in 32 bits.
        ({"x": ONE + (2.0**32 + 1)}, "x holds 4294967297 events for one input in one step; this "
         "design takes at most 4; compile with --data, or --input-max 4294967297"),
        ({"x": ONE - 1e30}, f"x holds {int(-1e30)}; an event count is 0 or more"),
        ({"x": ONE.astype(np.uint64) + np.uint64(2**63)}, "x holds 9223372036854775808 events for "
         "one input in one step; this design takes at most 4; compile with --data, or "
         "--input-max 9223372036854775808"),
        ({"x": np.zeros((2, 6, 4), int)}, "6 steps a sample; the membranes of this design are "
         "proven for at most 5; compile with --steps 6"),
        ({"x": ONE, "y": [1, 2, 3]}, "y has shape (3,); labels are one integer a sample, (2,)"),
        ({"x": ONE, "y": [0.0, 1.0]}, "y has type float64; labels are integers"),
    ],
)  # fmt: skip
def test_refused_arrays(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = save(tmp_path, **arrays)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {words}')}$"):
        load_samples(path, (4,), 4, 5)


def test_fractions_in_frames_are_to_be_scaled(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.full((2, 4), 0.5))
    with pytest.raises(InputError, match="a frame holds integers of 1 to 8 bits: scale and round"):
        load_samples(path, (4,), 7, framed=True)


def test_refused_files(tmp_path: Path) -> None:
    path = save(tmp_path, x=ONE)
    whole = path.read_bytes()
    with pytest.raises(InputError, match=r"none\.npz: no such file$"):
        load_samples(tmp_path / "none.npz", (4,), 1)
    objects = np.empty(1, object)
    np.save(tmp_path / "bare.npy", ONE)
    np.savez(tmp_path / "objects.npz", x=objects)
    (tmp_path / "folder.npz").mkdir()
    files = {"half": whole[: len(whole) // 2], "empty": b"", "text": b"1,2,3\n", "short": whole[:3]}
    flipped = bytearray(whole)
    flipped[200] ^= 0xFF
    files["flipped"] = bytes(flipped)
    for name, content in files.items():
        (tmp_path / f"{name}.npz").write_bytes(content)
    for name in [*files, "objects", "folder"]:
        with pytest.raises(InputError, match=rf"{name}\.npz: not a readable \.npz file"):
            load_samples(tmp_path / f"{name}.npz", (4,), 1)
    with pytest.raises(InputError, match=r"bare\.npy: no array 'x' \(found one bare array\)"):
        load_samples(tmp_path / "bare.npy", (4,), 1)


@pytest.mark.parametrize(("labels", "wrong"), [([0, 3], "3"), ([-1, 0], "-1")])
def test_labels_beyond_the_outputs_are_refused(labels: list[int], wrong: str) -> None:
    check_labels(np.array([0, 2]), 3)
    with pytest.raises(
        InputError, match=rf"f\.npz: y holds the label {wrong}; the network has 3 out"
    ):
        check_labels(np.array(labels), 3, "f.npz")


EARS, EYES = (
    InputSamples(name="ears", shape=(2, 2), max_events=3),
    InputSamples(name="eyes", shape=(3,), max_events=1),
)


def two(**changed: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = {"x_ears": rng.integers(0, 4, (5, 6, 2, 2)), "x_eyes": rng.integers(0, 2, (5, 6, 3))}
    return {name: value for name, value in {**x, **changed}.items() if value is not None}


def test_several_inputs_become_one_array(tmp_path: Path) -> None:
    arrays = two(y=np.arange(5))
    x, y = load_inputs(save(tmp_path, **arrays), [EARS, EYES])
    assert (x.shape, y is not None) == ((5, 6, 7), True)
    np.testing.assert_array_equal(x[:, :, :4].reshape(5, 6, 2, 2), arrays["x_ears"])
    np.testing.assert_array_equal(x[:, :, 4:], arrays["x_eyes"])


def test_a_single_input_may_be_named(tmp_path: Path) -> None:
    got, _ = load_samples(save(tmp_path, x_node=ONE), (4,), 1, name="node")
    assert got.shape == (2, 3, 4)
    both, _ = load_samples(save(tmp_path, x_node=ONE, x=ONE + 1), (4,), 1, name="node")
    assert both.all()
    with pytest.raises(InputError, match="no array 'x' "):
        load_samples(save(tmp_path, x_other=ONE), (4,), 1, name="node")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"x_eyes": None}, "no array 'x_eyes' (found ['x_ears']); save it with numpy.savez(file, "
         "x_ears=events, x_eyes=events, y=labels)"),
        ({"x_eyes": two()["x_eyes"][:, :4]}, "x_eyes has 5 samples of 4 steps, x_ears has 5 of 6; "
         "all inputs must have the same"),
        ({"x_eyes": two()["x_eyes"] * 2}, "x_eyes holds 2 events for one input"),
        ({"x_ears": two()["x_ears"] + 0.5}, "x_ears has values that are not whole numbers"),
        ({"x_ears": two()["x_eyes"]}, "x_ears has shape (5, 6, 3); the network takes (samples, "
         "steps, 2, 2)"),
    ],
)  # fmt: skip
def test_what_several_inputs_refuse(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        load_inputs(save(tmp_path, **two(**changed)), [EARS, EYES])
