# SPDX-License-Identifier: Apache-2.0
"""Which difference is named first, and how."""

from __future__ import annotations

import numpy as np
import pytest

from spikefab.sim.compare import first_mismatch


def two_layers() -> dict[str, np.ndarray]:
    return {"hidden": np.zeros((3, 4, 5), np.int16), "output": np.zeros((3, 4, 2), np.int16)}


def test_equal_is_none() -> None:
    assert first_mismatch(two_layers(), two_layers()) is None


def test_earliest_sample_then_step_then_layer_then_neuron() -> None:
    a, b = two_layers(), two_layers()
    b["output"][1, 2, 1] = 3
    b["hidden"][2, 0, 0] = 1
    found = first_mismatch(a, b, labels=("golden", "rtl"))
    assert found is not None
    assert (found.sample, found.step, found.layer, found.neuron) == (1, 2, "output", 1)
    b["hidden"][1, 3, 0] = 1
    assert (found := first_mismatch(a, b)) is not None
    assert (found.step, found.layer) == (2, "output")
    b["hidden"][1, 2, 4] = 1
    b["hidden"][1, 2, 3] = 2
    assert (found := first_mismatch(a, b)) is not None
    assert (found.layer, found.neuron, found.values, found.count) == ("hidden", 3, (0, 2), 5)


def test_text() -> None:
    a, b = two_layers(), two_layers()
    b["output"][1, 2, 1] = 3
    found = first_mismatch(a, b, labels=("golden", "rtl"), quantity="membrane")
    assert str(found) == (
        "sample 1, step 2, layer 'output', neuron 1: membrane 0 in golden, 3 in rtl "
        "(1 of 84 values differ)"
    )


def test_only_common_layers_count() -> None:
    a, b = two_layers(), two_layers()
    del b["hidden"]
    a["hidden"][:] = 7
    assert first_mismatch(a, b) is None


def test_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        first_mismatch(two_layers(), {})


def test_shapes_must_agree() -> None:
    a, b = two_layers(), two_layers()
    b["output"] = b["output"][:2]
    with pytest.raises(ValueError, match=r"layer 'output': shapes \(3, 4, 2\) in a, \(2, 4, 2\)"):
        first_mismatch(a, b)
