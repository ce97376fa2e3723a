# SPDX-License-Identifier: Apache-2.0
"""The steps between the commands: samples, integers, designs, results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefab.boards.target import find_target
from spikefab.gen.cost import predict_cycles
from spikefab.gen.errors import InputError
from spikefab.gen.load import load_network
from spikefab.gen.network import Network
from spikefab.gen.options import QuantiseOptions
from spikefab.scripts.pipeline import (
    CALIBRATION_SAMPLES,
    PREDICTION_SAMPLES,
    RANDOM_STEPS,
    VECTOR_SAMPLES,
    Prepared,
    Samples,
    compile_design,
    locate_mismatch,
    prepare,
    read_samples,
    save_result,
    shell_resources,
    target_budget,
)
from spikefab.sim.golden import run_golden


@pytest.fixture
def network(net: Path) -> Network:
    return load_network(net)


@pytest.fixture
def prepared(network: Network, data: Path) -> Prepared:
    samples = read_samples(network, data, None)
    return prepare(network, QuantiseOptions(weight_bits=4, steps=8), samples)


def test_given_and_random_samples(network: Network, data: Path) -> None:
    given = read_samples(network, data, None)
    assert given.given
    assert given.y is not None
    assert given.basis == "5 samples of the data"
    random = read_samples(network, None, None)
    assert (random.given, random.y) == (False, None)
    assert random.x.shape == (VECTOR_SAMPLES, 8, 2, 3)
    assert random.basis == "random events: 10% of the inputs in each of 8 steps"
    np.testing.assert_array_equal(random.x, read_samples(network, None, None).x)
    assert read_samples(network, None, 3).x.shape[1] == 3
    assert 0 < random.x.mean() < 0.3
    with pytest.raises(InputError, match="8 steps a sample"):
        read_samples(network, data, 7)
    with pytest.raises(InputError, match="holds 1 events"):
        read_samples(network, data, None, 0)


def test_more_events_than_a_design_takes(network: Network, tmp_path: Path) -> None:
    x = np.zeros((1, 8, *network.input_shape), int)
    x[0, 0] = 32768
    np.savez(tmp_path / "many.npz", x=x)
    with pytest.raises(InputError, match=r"many\.npz: x holds 32768 events .* at most 32767"):
        read_samples(network, tmp_path / "many.npz", None)


def test_random_steps_where_nothing_says_better(net: Path, tmp_path: Path) -> None:
    (tmp_path / "n.toml").write_text(net.read_text().replace("steps = 8\n", ""))
    network = load_network(tmp_path / "n.toml")
    assert read_samples(network, None, None).x.shape[1] == RANDOM_STEPS


def test_a_prediction_names_its_basis() -> None:
    x = np.zeros((PREDICTION_SAMPLES + 1, 2, 3), int)
    assert Samples(x=x, y=None, given=True).basis == (
        f"the first {PREDICTION_SAMPLES} samples of the data"
    )
    assert Samples(x=x, y=None, given=True).input_max == 1
    assert Samples(x=x + 4, y=None, given=True).input_max == 4


def test_the_data_widen_what_an_input_may_receive(network: Network) -> None:
    x = np.zeros((2, 8, 2, 3), int)
    x[1, 2, 1, 1] = 3
    options = QuantiseOptions(weight_bits=4, steps=8, input_max=2)
    assert prepare(network, options, Samples(x=x, y=None, given=True)).qnet.input_max == 3
    assert prepare(network, options, Samples(x=x, y=None, given=False)).qnet.input_max == 2
    assert CALIBRATION_SAMPLES > 2


@pytest.mark.parametrize("name", ["ulx3s-85f", "ecp5-85f"])
def test_budgets_of_targets(name: str) -> None:
    """A board keeps room for its link; a bare part has none."""
    target = find_target(name)
    budget, link = target_budget(target), shell_resources(target)
    assert (link.lut > 0) == (target.board is not None)
    assert (budget.family, budget.lut, budget.ram) == ("ecp5", 83_640 - link.lut, 208 - link.ram)


@pytest.mark.parametrize("spare", [0, 70])
def test_compile_predicts_what_the_data_cost(
    spare: int, prepared: Prepared, network: Network, data: Path, tmp_path: Path
) -> None:
    x = read_samples(network, data, None).x
    x = np.concatenate([x] * (1 + spare // 5))
    samples = Samples(x=x, y=None, given=True)
    target = find_target("ecp5-25f", "device")
    design, plan = compile_design(prepared, target, tmp_path / "d", samples, lanes=[2, 3])
    part = x[:PREDICTION_SAMPLES]
    golden = run_golden(prepared.qnet, part)
    cycles = predict_cycles(plan.core, part, list(golden.spikes.values()))
    predicted = design.manifest["predicted"]
    assert predicted["cycles_per_inference"] == cycles.cycles.mean()
    assert predicted["interval_cycles"] == cycles.interval.mean()
    assert predicted["basis"] == samples.basis
    assert plan.rates == pytest.approx((part.mean(), golden.spikes["hidden"].mean()))
    assert [layer.lanes for layer in plan.core.layers] == [2, 3]
    with np.load(design.path / "testbench" / "vectors.npz") as vectors:
        np.testing.assert_array_equal(vectors["x"], x[:VECTOR_SAMPLES])
        expected = golden.spikes["classes"][:VECTOR_SAMPLES]
        np.testing.assert_array_equal(vectors["spikes"], expected)
        assert "mem" not in vectors.files


def test_results_are_saved_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "o.npz"
    save_result(out, {"spikes": np.ones(3, np.int16)})
    with np.load(out) as arrays:
        assert arrays["spikes"].tolist() == [1, 1, 1]
    before = out.read_bytes()

    def fail(error: BaseException) -> Any:
        def save(file: Any, **_: Any) -> None:
            file.write(b"half")
            raise error

        return save

    for error, caught in (
        (OSError(28, "No space left on device"), InputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(np, "savez_compressed", fail(error))
            with pytest.raises(caught):
                save_result(out, {"spikes": np.zeros(3)})
        assert out.read_bytes() == before
        assert [path.name for path in out.parent.iterdir()] == ["o.npz"]


def test_no_mismatch_to_locate(prepared: Prepared, network: Network, tmp_path: Path) -> None:
    x = read_samples(network, None, 4).x
    samples = Samples(x=x, y=None, given=False)
    target = find_target("up5k", "device")
    design, _ = compile_design(prepared, target, tmp_path / "d", samples)
    assert locate_mismatch(design, x, 1, lambda _: None) is None
