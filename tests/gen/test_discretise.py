# SPDX-License-Identifier: Apache-2.0
"""Nodes with a synaptic current, integrators and thresholds: the constants of their step."""

from __future__ import annotations

import numpy as np
import pytest

from spikefab.gen.dialect import parse_dialect
from spikefab.gen.discretise import Kind, discretise
from spikefab.gen.network import Neuron

# tau_mem is 8 steps, tau_syn 4.
CUBA = {
    "tau_mem": 8e-4, "tau_syn": 4e-4, "r": 8.0, "w_in": 4.0, "v_leak": 0.0, "v_threshold": 1.0,
    "v_reset": 0.0,
}  # fmt: skip


def _step(
    kind: Kind, dialect: str, *, dt: float = 1e-4, recurrent: bool = False, **values: float
) -> tuple[Neuron | None, list[str], list[str]]:
    """The neuron, its problems and its notes."""
    problems: list[str] = []
    notes: list[str] = []
    neuron = discretise(
        "n", kind, {k: np.full(2, v) for k, v in values.items()}, parse_dialect(dialect), dt,
        problems, notes, recurrent=recurrent,
    )  # fmt: skip
    return neuron, problems, notes


def _neuron(kind: Kind, dialect: str, **values: float | bool) -> Neuron:
    neuron, problems, _ = _step(kind, dialect, **values)  # type: ignore[arg-type]
    assert neuron is not None, problems
    return neuron


@pytest.mark.parametrize(
    ("dialect", "changed", "expected"),
    [
        ("snntorch", {}, (0.75, 1, 0.875, 1)),
        ("snntorch", {"w_in": 2.0}, (0.75, 0.5, 0.875, 1)),
        ("nir-literal", {"r": 1.0, "w_in": 1.0}, (0.75, 0.25, 0.875, 0.125)),
        ("norse", {}, (0.75, 1, 0.875, 1)),
        ("norse", {"r": 1.0, "w_in": 1.0}, (0.75, 1, 0.875, 0.125)),
        ("norse,synapse_order=add-use-decay", {"r": 4.0, "w_in": 3.0}, (0.75, 3, 0.875, 0.5)),
        ("norse,synapse_order=decay-add-use", {"w_in": 1.0}, (0.75, 0.25, 0.875, 1)),
        ("spikingjelly", {}, (0.75, 1, 0.875, 1)),
        ("spyx", {}, (0.75, 1, 0.875, 1)),
        ("lava-dl", {}, (0.75, 1, 0.875, 1)),
        ("lava-dl", {"tau_mem": 3e-4}, (0.75, 1, 1 - 1365 / 4096, 1)),
        ("rockpool", {}, (np.exp(-0.25), 1, np.exp(-0.125), 1)),
        ("sinabs", {}, (np.exp(-0.25), 1, np.exp(-0.125), 1 - np.exp(-0.125))),
        ("sinabs,norm_input=false", {}, (np.exp(-0.25), 1, np.exp(-0.125), 1)),
        # snnTorch writes an alpha or beta of 1 without end.
        ("snntorch", {"tau_mem": np.inf, "r": np.inf}, (0.75, 1, 1, 1)),
        ("snntorch", {"tau_syn": np.inf, "w_in": np.inf}, (1, 1, 0.875, 1)),
    ],
)
def test_cuba(dialect: str, changed: dict[str, float], expected: tuple[float, ...]) -> None:
    """Decay and gain of the current, then of the membrane."""
    for kind in ("CubaLIF", "CubaLI"):
        values = {
            k: v for k, v in CUBA.items() if kind == "CubaLIF" or "v_" not in k or k == "v_leak"
        }
        neuron = _neuron(kind, dialect, **(values | changed))
        current = neuron.current
        assert current is not None
        assert (current.offset, current.init) == (None, None)
        found = (current.decay[0], current.gain[0], neuron.decay[0], neuron.gain[0])
        wanted = (*expected[:3], 1) if dialect == "sinabs" and kind == "CubaLI" else expected
        assert found == pytest.approx(wanted, rel=1e-12)
        assert neuron.spiking == (kind == "CubaLIF")


def test_norses_import_has_the_current_leak_towards_v_leak() -> None:
    neuron = _neuron("CubaLIF", "norse", **(CUBA | {"v_leak": 0.5}))
    assert neuron.current is not None
    assert neuron.current.offset is not None
    assert neuron.current.init is not None
    assert (neuron.current.offset[0], neuron.current.init[0]) == (0.125, 0.5)
    assert (neuron.offset[0], neuron.v_init[0]) == (0.0625, 0.5)
    cell = _neuron("CubaLIF", "norse", **(CUBA | {"v_leak": 0.5, "r": 1.0, "w_in": 1.0}))
    assert cell.current is not None
    assert (cell.current.offset, cell.current.init) == (None, None)


@pytest.mark.parametrize(
    ("kind", "dialect", "recurrent", "time"),
    [
        ("LIF", "snntorch", False, "next-after-leak"),
        ("CubaLIF", "snntorch", True, "next-after-leak"),
        ("LIF", "snntorch-zero", False, "next-before-leak"),
        ("IF", "snntorch-zero", False, "next-before-leak"),
        ("LIF", "snntorch-zero", True, "next-discard"),
        ("CubaLIF", "snntorch-zero", False, "next-discard"),
        ("CubaLIF", "snntorch-zero,reset_time=next-before-leak", False, "next-before-leak"),
        ("LIF", "spyx", True, "next-after-leak"),
        ("CubaLIF", "spyx", False, "next-before-leak"),
        ("CubaLIF", "norse", True, "same"),
    ],
)
def test_reset_time_of_each_node(kind: Kind, dialect: str, recurrent: bool, time: str) -> None:
    values = CUBA | {"tau": 8e-4, "r": 8.0}
    keys = {"IF": ("r", "v_threshold", "v_reset")}.get(kind, tuple(values))
    neuron, _, notes = _step(
        kind, dialect, dt=1e-4, recurrent=recurrent, **{k: values[k] for k in keys}
    )
    assert neuron is not None
    assert neuron.dialect.node_reset_time == time
    differs = dialect == "snntorch-zero" and time == "next-discard"
    assert any(f"reset_time = {time}" in note for note in notes) == (
        differs or (dialect, kind) == ("spyx", "CubaLIF")
    )


def test_a_compound_value_is_no_nodes_own() -> None:
    with pytest.raises(ValueError, match="reset_time = snntorch is no node's own"):
        _ = parse_dialect("snntorch").node_reset_time


def test_integrator_and_threshold() -> None:
    i = _neuron("I", "norse", r=1.0)
    assert (i.spiking, i.decay[0], i.gain[0]) == (False, 1, 1)
    assert _neuron("I", "nir-literal", r=1e4).gain[0] == 1
    for dialect in ("spyx", "sinabs,v_min=-1", "snntorch,reset_delay=false"):
        t = _neuron("Threshold", dialect, threshold=0.5)
        assert (t.spiking, t.decay[0], t.gain[0], t.threshold[0], t.v_min) == (
            True,
            0,
            1,
            0.5,
            None,
        )
        d = t.dialect
        assert (d.reset_time, d.multi_spike, d.output_lag) == ("same", False, False)
        assert not d.reset_correction


def test_sinabs_import_clamps_if_nodes_alone() -> None:
    dialect = "sinabs,v_min=-threshold-if"
    clamp = _neuron("IF", dialect, r=1.0, v_threshold=2.0, v_reset=0.0).v_min
    assert clamp is not None
    assert clamp[0] == -2
    assert _neuron("CubaLIF", dialect, dt=1e-4, **CUBA).v_min is None


@pytest.mark.parametrize(
    ("dialect", "gain"),
    [("rockpool", np.exp(-0.125)), ("sinabs", 1), ("sinabs,norm_input=true", 1 - np.exp(-0.125)),
     ("spyx", 1), ("norse", 0.125), ("spikingjelly", 0.125), ("nir-literal", 1)],
)  # fmt: skip
def test_gain_of_a_leaky_integrator(dialect: str, gain: float) -> None:
    li = _neuron("LI", dialect, tau=8e-4, r=8.0, v_leak=0.0)
    assert li.gain[0] == pytest.approx(gain, rel=1e-12)


@pytest.mark.parametrize(
    ("dialect", "changed", "problem"),
    [
        ("nir-literal", {"w_in": 0.0}, "n: w_in = 0 leaves an input gain of 0"),
        ("nir-literal", {"r": 0.0}, "n: r = 0 leaves an input gain of 0"),
        ("snntorch", {"tau_syn": 5e-5}, "n: tau_syn = 5e-05 s is below dt = 0.0001 s"),
        ("lava-dl", {"tau_mem": 5e-5}, "n: tau_mem = 5e-05 s is below dt = 0.0001 s"),
        ("snntorch", {"tau_syn": -1.0}, "n: tau_syn = -1: must be > 0"),
        ("snntorch", {"w_in": np.nan}, "n: w_in holds NaN or infinity"),
        ("snntorch", {"w_in": np.inf}, "n: w_in holds NaN or infinity"),
        ("snntorch", {"v_threshold": 0.0}, "n: v_threshold = 0: must be > 0"),
    ],
)
def test_refusals(dialect: str, changed: dict[str, float], problem: str) -> None:
    neuron, problems, _ = _step("CubaLIF", dialect, **(CUBA | changed))
    assert neuron is None
    assert any(found.startswith(problem) for found in problems), problems


def test_norses_exported_time_constants_are_repaired_together() -> None:
    """It writes dt/tau_inv; only where both are below a step, and r is its own 1."""
    exported = CUBA | {"tau_mem": 8e-6, "tau_syn": 4e-6, "r": 1.0, "w_in": 1.0}
    neuron, _, notes = _step("CubaLIF", "norse", dt=1e-3, **exported)
    assert neuron is not None
    assert neuron.current is not None
    assert (neuron.decay[0], neuron.current.decay[0]) == (0.875, 0.75)
    assert sum("Norse 1.1.0 writes" in note for note in notes) == 2
    for changed in ({"r": 10.0}, {"tau_mem": 8e-3}):
        neuron, problems, _ = _step("CubaLIF", "norse", dt=1e-3, **(exported | changed))
        assert neuron is None
        assert "give the dt" in problems[0]
