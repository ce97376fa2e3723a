# SPDX-License-Identifier: Apache-2.0
"""A saved network reads back as it was, byte for byte the same file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import nir
import numpy as np
import pytest

from spikefab.gen.errors import InputError
from spikefab.gen.network import Network
from spikefab.gen.network_file import load_saved_network, save_network
from spikefab.gen.nir_import import import_nir
from spikefab.sim.reference import run_reference


@pytest.fixture
def network() -> Network:
    rng = np.random.default_rng(3)
    graph = nir.NIRGraph(
        nodes={
            "in": nir.Input(np.array([2, 3])),
            "flat": nir.Flatten(np.array([2, 3]), start_dim=0),
            "fc": nir.Affine(rng.normal(size=(5, 6)), rng.normal(size=5)),
            "a.if": nir.IF(r=np.ones(5), v_threshold=np.full(5, 0.7), v_reset=np.zeros(5)),
            "fc2": nir.Linear(rng.normal(size=(4, 5)).astype(np.float32)),
            "li": nir.LI(tau=np.full(4, 9.0), r=np.ones(4), v_leak=np.full(4, 0.1)),
            "out": nir.Output(np.array([4])),
        },
        edges=[("in", "flat"), ("flat", "fc"), ("fc", "a.if"), ("a.if", "fc2"), ("fc2", "li"),
               ("li", "out")],
    )  # fmt: skip
    return import_nir(graph, dialect="sinabs,v_min=-threshold", steps=7)


def test_round_trip(network: Network, tmp_path: Path) -> None:
    save_network(network, tmp_path / "a.npz")
    again = load_saved_network(tmp_path / "a.npz")
    for field in dataclasses.fields(Network):
        if field.name not in ("populations", "projections"):
            assert getattr(again, field.name) == getattr(network, field.name), field.name
    assert again.dialect.preset == "sinabs"
    for a, b in zip(network.projections, again.projections, strict=True):
        assert (a.name, a.source, a.target) == (b.name, b.source, b.target)
        np.testing.assert_array_equal(a.weight, b.weight)
        np.testing.assert_array_equal(a.bias, b.bias)
        assert b.weight.dtype == np.float64
    for p, q in zip(network.populations, again.populations, strict=True):
        assert (p.name, p.shape, p.neuron.spiking, p.neuron.dialect) == (
            q.name, q.shape, q.neuron.spiking, q.neuron.dialect)  # fmt: skip
        assert (p.neuron.v_min is None) == (q.neuron.v_min is None)
        for key in ("decay", "gain", "offset", "threshold", "v_reset", "v_init"):
            np.testing.assert_array_equal(getattr(p.neuron, key), getattr(q.neuron, key))
        assert p.neuron.parameters.keys() == q.neuron.parameters.keys()
    x = np.random.default_rng(4).integers(0, 3, (2, 7, 2, 3))
    first, second = run_reference(network, x), run_reference(again, x)
    assert first.spikes["a.if"].any()
    np.testing.assert_array_equal(first.spikes["a.if"], second.spikes["a.if"])
    assert first.mem is not None
    assert second.mem is not None
    np.testing.assert_array_equal(first.mem["li"], second.mem["li"])


def test_same_bytes(network: Network, tmp_path: Path) -> None:
    save_network(network, tmp_path / "a.npz")
    save_network(load_saved_network(tmp_path / "a.npz"), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_failed_write_leaves_nothing(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"before")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(InputError, match=r"a.npz: cannot be written .No space left on device"):
        save_network(network, path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert path.read_bytes() == b"before"


def test_unwritable_folder(network: Network, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written .No such file or directory"):
        save_network(network, tmp_path / "absent" / "a.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04garbage", b"\x93NUMPY", None])
def test_refuses_other_files(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    if content is None:
        np.savez(path, x=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"a.npz: (is not a saved network|cannot be read)"):
        load_saved_network(path)


def test_refuses_missing_and_other_formats(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"cannot be read .No such file"):
        load_saved_network(tmp_path / "a.npz")
    monkeypatch.setattr("spikefab.gen.network_file.FORMAT", 99)
    save_network(network, tmp_path / "a.npz")
    monkeypatch.undo()
    with pytest.raises(InputError, match="has format 99, this version reads 2; compile"):
        load_saved_network(tmp_path / "a.npz")


def test_a_graph_with_every_part_survives(tmp_path: Path) -> None:
    """Synaptic currents, cycles, delays, convolutions, several ends: the same run, bit for bit."""
    rng = np.random.default_rng(5)
    ones = np.ones(4)
    cuba = nir.CubaLIF(tau_syn=3 * ones, tau_mem=5 * ones, r=5 * ones, v_leak=0.1 * ones,
                       v_threshold=0.8 * ones, v_reset=0 * ones, w_in=3 * ones)  # fmt: skip
    conv = nir.Conv2d(None, rng.normal(size=(2, 1, 2, 2)), 1, 0, 1, 1, rng.normal(size=2))
    signal = nir.Conv1d(None, rng.normal(size=(2, 1, 3)), 2, "valid", 1, 1, np.zeros(2))
    nodes = {
        "a": nir.Input(np.array([1, 3, 3])), "b": nir.Input(np.array([1, 5])),
        "conv": conv, "avg": nir.AvgPool2d(np.array([1, 2]), np.array([1, 1]), np.array([0, 0])),
        "signal": signal, "flat": nir.Flatten({"input": None}, 0),
        "flat2": nir.Flatten({"input": None}, 0),
        "s": nir.Scale(rng.normal(size=4)), "d": nir.Delay(np.array([0.0, 1, 2, 3])), "n": cuba,
        "w": nir.Affine(rng.normal(size=(4, 4)), rng.normal(size=4)),
        "li": nir.CubaLI(tau_syn=3 * ones, tau_mem=5 * ones, r=ones, v_leak=0 * ones, w_in=ones),
        "o": nir.Output(np.array([4])), "p": nir.Output(np.array([4])),
    }  # fmt: skip
    edges = ("a>conv conv>avg avg>flat flat>s s>n b>signal signal>flat2 flat2>d d>n n>w w>n n>li "
             "n>o li>p")  # fmt: skip
    pairs = [(a, b) for a, b in (edge.split(">") for edge in edges.split())]
    network = import_nir(nir.NIRGraph(nodes, pairs, type_check=False), dialect="norse", dt=1.0)
    save_network(network, tmp_path / "a.npz")
    again = load_saved_network(tmp_path / "a.npz")
    assert (again.inputs, again.outputs) == (network.inputs, network.outputs)
    for p, q in zip(network.projections, again.projections, strict=True):
        assert (p.recurrent, p.n_source, p.delayed) == (q.recurrent, q.n_source, q.delayed)
        for one, other in zip(p.operations, q.operations, strict=True):
            assert type(one) is type(other)
            for field in dataclasses.fields(one):
                value, copy = getattr(one, field.name), getattr(other, field.name)
                assert type(value) is type(copy)
                np.testing.assert_array_equal(value, copy)
                assert not isinstance(value, np.ndarray) or value.dtype == copy.dtype
    x = {"a": rng.integers(0, 3, (2, 9, 1, 3, 3)), "b": rng.integers(0, 3, (2, 9, 1, 5))}
    first, second = run_reference(network, x), run_reference(again, x)
    assert first.spikes["n"].any()
    np.testing.assert_array_equal(first.spikes["n"], second.spikes["n"])
    assert first.mem is not None
    assert second.mem is not None
    np.testing.assert_array_equal(first.mem["li"], second.mem["li"])
