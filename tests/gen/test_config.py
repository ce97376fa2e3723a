# SPDX-License-Identifier: Apache-2.0
"""TOML configs: what they mean, and every refusal with file, key, limit and value."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

from spikefab.gen.delays import late_biases, late_weights
from spikefab.gen.errors import InputError
from spikefab.gen.load import load_network
from spikefab.gen.network import Network
from spikefab.gen.nir_import import import_nir
from spikefab.sim.reference import run_reference

HEAD = '[network]\ndialect = "snntorch"\ninput = 3\n'
LAYER = "[[layer]]\nsize = 2\nbeta = 0.5\nweights = { seed = 1 }\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    arrays = {
        "fc": np.arange(6.0).reshape(2, 3),
        "turned": np.zeros((3, 2), np.float32),
        "nan": np.full((2, 3), np.nan),
        "text": np.array(["a"]),
        "beta": np.array([0.25, 0.75]),
    }
    np.savez(tmp_path / "w.npz", **arrays)  # type: ignore[arg-type]
    (tmp_path / "torn.npz").write_bytes((tmp_path / "w.npz").read_bytes()[:100])
    return tmp_path


def _load(folder: Path, text: str, **options: float) -> Network:
    (folder / "net.toml").write_text(text)
    return load_network(folder / "net.toml", **options)  # type: ignore[arg-type]


def _problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        _load(folder, text)
    for problem in caught.value.problems:
        assert problem.startswith(f"{folder / 'net.toml'}: ")
    return [p.removeprefix(f"{folder / 'net.toml'}: ") for p in caught.value.problems]


def test_everything_set(folder: Path) -> None:
    network = _load(
        folder,
        '[network]\nname = "n"\ndialect = "norse"\ninput = [1, 3]\ndt = 0.5\nsteps = 9\n'
        '[[layer]]\nname = "a"\nsize = 2\nneuron = "lif"\ntau = [1, 2]\nthreshold = 0.5\n'
        "v_leak = 0.1\nv_reset = [0.2, -0.2]\nv_init = 0.3\nbias = [1, -1]\n"
        'weights = { file = "w.npz", key = "fc" }\n'
        '[[layer]]\nsize = 4\nneuron = "if"\nweights = { seed = 1 }\n'
        '[[layer]]\nsize = 1\nneuron = "li"\nbeta = 0.75\nweights = { seed = 1 }\n',
    )
    assert (network.name, network.dt, network.steps) == ("n", 0.5, 9)
    assert (network.input_shape, str(network.dialect)) == ((1, 3), "norse")
    assert [p.name for p, _ in network.layers()] == ["a", "layer2", "layer3"]
    neuron = network.populations[0].neuron
    assert neuron.decay.tolist() == [0.5, 0.75]
    assert neuron.gain.tolist() == [0.5, 0.25]
    assert neuron.offset == pytest.approx([0.05, 0.025])
    assert neuron.threshold.tolist() == [0.5, 0.5]
    assert neuron.v_reset.tolist() == [0.2, -0.2]
    assert neuron.v_init.tolist() == [0.3, 0.3]
    assert network.projections[0].weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert network.projections[0].bias.tolist() == [1, -1]
    assert network.populations[1].neuron.decay.tolist() == [1] * 4
    assert not network.populations[2].neuron.spiking
    assert network.populations[2].neuron.decay.tolist() == [0.75]


CUBA = """[[layer]]
name = "n"
size = 2
neuron = "cuba-lif"
tau = [4e-3, 8e-3]
tau_syn = { file = "c.npz", key = "syn" }
r = [3, 5]
w_in = 2.5
threshold = [1, 0.5]
v_leak = 0.1
v_reset = 0.25
weights = { file = "w.npz", key = "fc" }
"""


@pytest.mark.parametrize(
    "dialect", ["nir-literal", "snntorch-subtract", "norse", "spyx", "sinabs,norm_input=false"]
)
@pytest.mark.parametrize("kind", ["cuba-lif", "cuba-li"])
def test_a_cuba_layer_is_the_nir_node_of_the_same_values(
    folder: Path, dialect: str, kind: str
) -> None:
    np.savez(folder / "c.npz", syn=np.array([1e-3, 2e-3]))
    text = CUBA.replace("cuba-lif", kind)
    if kind == "cuba-li":
        text = text.replace("threshold = [1, 0.5]\n", "").replace("v_reset = 0.25\n", "")
    head = f'[network]\ndialect = "{dialect}"\ninput = 3\ndt = 1e-3\n'
    made = _load(folder, head + text)
    given: dict[str, np.ndarray] = {
        "tau_mem": np.array([4e-3, 8e-3]), "tau_syn": np.array([1e-3, 2e-3]),
        "r": np.array([3.0, 5.0]), "w_in": np.full(2, 2.5), "v_leak": np.full(2, 0.1),
    }  # fmt: skip
    node: nir.NIRNode = nir.CubaLI(**given)
    if kind == "cuba-lif":
        node = nir.CubaLIF(**given, v_threshold=np.array([1, 0.5]), v_reset=np.full(2, 0.25))
    nodes = {"in": nir.Input(np.array([3])), "fc": nir.Linear(np.arange(6.0).reshape(2, 3)),
             "n": node, "out": nir.Output(np.array([2]))}  # fmt: skip
    graph = nir.NIRGraph(nodes=nodes, edges=list(pairwise(nodes)), type_check=False)
    expected = import_nir(graph, dialect=dialect, dt=1e-3)
    a, b = made.populations[0].neuron, expected.populations[0].neuron
    assert a.current is not None
    assert b.current is not None
    for field in ("spiking", "decay", "gain", "offset", "threshold", "v_reset", "v_init"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    for field in ("decay", "gain", "offset", "init"):
        np.testing.assert_array_equal(getattr(a.current, field), getattr(b.current, field))
    x = (np.random.default_rng(0).random((4, 30, 3)) < 0.4).astype(np.uint8)
    results = [run_reference(network, x, record=True) for network in (made, expected)]
    assert results[0].mem is not None
    assert results[1].mem is not None
    np.testing.assert_array_equal(results[0].mem["n"], results[1].mem["n"])
    np.testing.assert_array_equal(results[0].spikes["n"], results[1].spikes["n"])
    assert results[0].spikes["n"].any() == (kind == "cuba-lif")


def test_alpha_and_beta_are_what_snntorch_calls_so(folder: Path) -> None:
    np.savez(folder / "c.npz", alpha=np.array([0.5, 1.0]))
    text = LAYER.replace("beta = 0.5", 'beta = [0.75, 0.9]\nneuron = "cuba-lif"\n'
                         'alpha = { file = "c.npz", key = "alpha" }')  # fmt: skip
    for dialect in ("snntorch", "spyx", "rockpool"):
        neuron = _load(folder, HEAD + text, dialect=dialect).populations[0].neuron  # type: ignore[arg-type]
        assert neuron.current is not None
        assert neuron.current.decay.tolist() == [0.5, 1]
        assert neuron.decay.tolist() == [0.75, 0.9]
        assert neuron.gain.tolist() == [1, 1]
        assert neuron.current.gain.tolist() == [1, 1]


MAPS = """[network]
dialect = "snntorch-subtract"
input = [2, 7, 6]
[[layer]]
name = "maps"
conv = { channels = 4, kernel = [3, 2], stride = [2, 1], padding = [1, 0], groups = 2 }
neuron = "if"
threshold = [1, 0.5, 1, 2]
bias = [0, 0.25, 0, 0.5]
weights = { file = "k.npz", key = "k" }
[[layer]]
name = "same"
pool = { size = 2, kind = "mean" }
conv = { channels = 3, kernel = 2, padding = "same" }
beta = [0.5, 0.75, 0.25]
weights = { seed = 3, bits = 4 }
[[layer]]
name = "out"
pool = { size = [2, 1], stride = 1, padding = [1, 0] }
size = 5
neuron = "if"
weights = { file = "k.npz", key = "w" }
"""


def test_convolutions_and_poolings_are_the_nir_nodes_of_the_same_values(folder: Path) -> None:
    rng = np.random.default_rng(4)
    kernel, dense = rng.normal(0.3, 0.3, (4, 1, 3, 2)), rng.normal(0.2, 0.3, (5, 18))
    np.savez(folder / "k.npz", k=kernel, w=dense)
    made = _load(folder, MAPS)
    shapes = {p.name: p.shape for p, _ in made.layers()}
    assert shapes == {"maps": (4, 4, 5), "same": (3, 2, 2), "out": (5,)}

    def neurons(shape: tuple[int, ...], threshold: np.ndarray) -> nir.IF:
        values = np.broadcast_to(threshold.reshape(-1, *[1] * (len(shape) - 1)), shape)
        return nir.IF(r=np.ones(shape), v_threshold=values, v_reset=np.zeros(shape))

    own = next(p for p in made.projections if p.target == "same")
    beta = np.broadcast_to(np.array([0.5, 0.75, 0.25]).reshape(3, 1, 1), (3, 2, 2))
    (conv,) = [op for op in own.operations if hasattr(op, "groups")]
    nodes = {
        "input": nir.Input(np.array([2, 7, 6])),
        "c1": nir.Conv2d((7, 6), kernel, (2, 1), (1, 0), 1, 2, np.array([0, 0.25, 0, 0.5])),
        "maps": neurons((4, 4, 5), np.array([1, 0.5, 1, 2])),
        "p1": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "c2": nir.Conv2d((2, 2), conv.weight, 1, "same", 1, 1, np.zeros(3)),
        "same": nir.LIF(tau=1e-4 / (1 - beta), r=1 / (1 - beta), v_leak=np.zeros((3, 2, 2)),
                        v_threshold=np.ones((3, 2, 2)), v_reset=np.zeros((3, 2, 2))),
        "p2": nir.SumPool2d(np.array([2, 1]), np.array([1, 1]), np.array([1, 0])),
        "flat": nir.Flatten({"input": np.array([3, 3, 2])}, 0, -1),
        "fc": nir.Linear(dense),
        "out": neurons((5,), np.ones(1)),
        "output": nir.Output(np.array([5])),
    }  # fmt: skip
    graph = nir.NIRGraph(nodes=nodes, edges=list(pairwise(nodes)), type_check=False)
    expected = import_nir(graph, dialect="snntorch-subtract")
    x = (rng.random((4, 12, 2, 7, 6)) < 0.4).astype(np.uint8)
    results = [run_reference(network, x) for network in (made, expected)]
    for name in shapes:
        np.testing.assert_array_equal(results[0].spikes[name], results[1].spikes[name])
        assert results[0].spikes[name].any()


@pytest.mark.parametrize(
    ("line", "changed", "message"),
    [
        ("channels = 4, ", "", "layer[1].conv.channels: is missing; give the maps that it makes"),
        ("kernel = [3, 2], ", "", "layer[1].conv.kernel: is missing; give a number, or [rows"),
        ("kernel = [3, 2]", "kernel = [3, 2, 2]", "layer[1].conv.kernel = [3, 2, 2]: must be a "
         "whole number >= 1, or two, [rows, columns]"),
        ("kernel = [3, 2]", "kernel = 9", "layer[1].conv.kernel: spans [9, 9], more than the padded"
         " image [9, 6]; make it smaller, or pad more"),
        ("groups = 2", "groups = 3", "layer[1].conv.groups = 3: must divide the 2 channels that"),
        ("groups = 2", "grups = 2", "layer[1].conv.grups: is not a known key; did you mean 'grou"),
        ("padding = [1, 0], ", 'padding = "same", ', "layer[1].conv.padding = 'same': needs stride "
         "1; give the padding in numbers"),
        ("padding = [1, 0], ", 'padding = "full", ', "layer[1].conv.padding = 'full': must be "
         '"same", "valid", a whole number, or two'),
        ('name = "maps"', 'name = "maps"\nsize = 3', "layer[1].size = 3: follows from conv"),
        ('name = "maps"', 'name = "maps"\ndelays = 3', "layer[1].delays = 3: a convolution has"),
        ("threshold = [1, 0.5, 1, 2]", "threshold = [1, 2]", "layer[1].threshold = [1, 2]: has "
         "shape (2,); must be one number, or 4, one a channel"),
        ('key = "k"', 'key = "w"', "layer[1].weights.key = 'w': has shape (5, 18); must be "
         "(4, 1, 3, 2), (channels, channels in / groups, rows, columns)"),
        ("input = [2, 7, 6]", "input = 84", "layer[1].conv: takes (channels, rows, columns), but "
         "gets shape (84,); give the input such a shape"),
        ('pool = { size = 2, kind = "mean" }', "pool = 2", "layer[2].pool = 2: must be a table"),
        ("size = 2, kind", "kind", "layer[2].pool.size: is missing; give a number, or [rows"),
        ('kind = "mean"', 'kind = "max"', "layer[2].pool.kind = 'max': must be one of sum, mean"),
        ("channels = 4, ", "channels = 4000, ", "layer[1].conv: makes 4000 x 4 x 5 neurons, more "
         "than 65536"),
    ],
)  # fmt: skip
def test_windows_that_are_refused(folder: Path, line: str, changed: str, message: str) -> None:
    np.savez(folder / "k.npz", k=np.zeros((4, 1, 3, 2)), w=np.zeros((5, 18)))
    assert line in MAPS
    problems = _problems(folder, MAPS.replace(line, changed, 1))
    assert any(problem.startswith(message) for problem in problems), problems


def test_options_override(folder: Path) -> None:
    network = _load(folder, HEAD + LAYER, dialect="sinabs", dt=2.0, steps=4)  # type: ignore[arg-type]
    assert (str(network.dialect), network.dt, network.steps) == ("sinabs", 2.0, 4)


@pytest.mark.parametrize("dialect", ["snntorch", "norse", "sinabs,norm_input=false", "spyx"])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
def test_beta_is_the_decay(folder: Path, dialect: str, beta: float) -> None:
    if dialect == "norse" and beta == 1:
        beta = 0.25  # 1 leaves Norse an input gain of 0: refused
    text = HEAD + LAYER.replace("0.5", str(beta))
    neuron = _load(folder, text, dialect=dialect).populations[0].neuron  # type: ignore[arg-type]
    assert neuron.decay.tolist() == [beta, beta]
    expected = 1 - beta if dialect == "norse" else 1.0
    assert neuron.gain == pytest.approx([expected, expected])


def test_beta_from_a_file(folder: Path) -> None:
    text = HEAD + LAYER.replace("0.5", '{ file = "w.npz", key = "beta" }')
    assert _load(folder, text).populations[0].neuron.decay.tolist() == [0.25, 0.75]


def test_random_weights(folder: Path) -> None:
    def weight(spec: str, size: int = 300) -> np.ndarray:
        text = HEAD.replace("3", "200") + LAYER.replace("size = 2", f"size = {size}")
        return _load(folder, text.replace("seed = 1", spec)).projections[0].weight

    first = weight("seed = 1, bits = 4, scale = 0.25, density = 0.3")
    levels = first / 0.25
    assert set(np.unique(levels)) == set(range(-7, 8))
    assert np.mean(levels != 0) == pytest.approx(0.3, abs=0.01)
    assert np.array_equal(first, weight("seed = 1, bits = 4, scale = 0.25, density = 0.3"))
    assert not np.array_equal(first, weight("seed = 2, bits = 4, scale = 0.25, density = 0.3"))
    assert set(np.unique(weight('seed = 1, bits = "ternary"'))) == {-1.0, 1.0}
    assert set(np.unique(weight("seed = 1, bits = 1, scale = 0.5"))) == {-0.5, 0.5}
    assert np.abs(weight("seed = 1")).max() == 1.0
    assert not weight("seed = 1, density = 0").any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "network: is missing"),
        ("", "layer: is missing"),
        ("network = 3", "network = 3: must be a table"),
        (HEAD + "layer = 3", "network.layer: is not a known key"),
        ("layer = 3\n" + HEAD, "layer: must be an array of tables"),
        ("[networks]\n", "networks: is not a known key; did you mean 'network'?"),
        (HEAD + "[[layers]]\nsize=2", "layers: is not a known key; did you mean 'layer'?"),
        (HEAD + "step = 3\n" + LAYER, "network.step: is not a known key; did you mean 'steps'?"),
        (HEAD + "steps = 0\n" + LAYER, "network.steps = 0: must be a whole number >= 1"),
        (HEAD + "steps = 1.5\n" + LAYER, "network.steps = 1.5: must be a whole number >= 1"),
        (HEAD + "dt = -1\n" + LAYER, "network.dt = -1: must be a number of seconds > 0"),
        (HEAD + 'dt = "1"\n' + LAYER, "network.dt = '1': must be a number of seconds > 0"),
        (HEAD + "name = 3\n" + LAYER, "network.name = 3: must be a text"),
        ('[network]\ninput = 3\n' + LAYER, "network.dialect: is missing; choose one of nir-"),
        ('[network]\ndialect = "norse"\n' + LAYER, "network.input: is missing"),
        (HEAD.replace("3", "0") + LAYER, "network.input = 0: must be whole numbers >= 1"),
        (HEAD.replace("3", "[3, 2.5]") + LAYER, "network.input = [3, 2.5]: must be whole"),
        (HEAD.replace("3", "[]") + LAYER, "network.input = []: must be whole numbers"),
        (HEAD.replace("3", "true") + LAYER, "network.input = True: must be whole numbers"),
        (HEAD.replace("snntorch", "snntorh") + LAYER, "network.dialect: dialect 'snntorh': "
         "'snntorh' is not a preset (did you mean 'snntorch'?)"),
        (HEAD.replace('"snntorch"', "3") + LAYER, "network.dialect = 3: must be a text"),
        (HEAD + LAYER + "beeta = 1", "layer[1].beeta: is not a known key; did you mean 'beta'?"),
        (HEAD + LAYER.replace("size = 2", ""), "layer[1].size: is missing"),
        (HEAD + LAYER.replace("size = 2", "size = 0"), "layer[1].size = 0: must be a whole number "
         "from 1 to 65536"),
        (HEAD + LAYER.replace("size = 2", "size = 65537"), "layer[1].size = 65537: must be"),
        (HEAD.replace("3", "65536") + LAYER.replace("size = 2", "size = 65536"),
         "layer[1].size = 65536: times 65536 inputs is more than 67,108,864 synapses"),
        (HEAD + LAYER + 'neuron = "lf"', "layer[1].neuron = 'lf': must be one of if, lif, li"),
        (HEAD + LAYER + 'neuron = "li"\n' + LAYER, "layer[1].neuron = 'li': an li never spikes"),
        (HEAD + LAYER + "tau = 1", "layer[1].beta = 0.5: give either beta or tau, not both"),
        (HEAD + LAYER.replace("beta = 0.5", ""), "layer[1].beta: is missing: an lif neuron needs"),
        (HEAD + LAYER + 'neuron = "if"', "layer[1].beta = 0.5: an if neuron has none; remove it"),
        (HEAD + LAYER + 'neuron = "li"\nthreshold = 1', "layer[1].threshold = 1: an li neuron has"),
        (HEAD + LAYER + 'neuron = "cuba-lif"', "layer[1].alpha: is missing: a cuba-lif neuron "
         "needs alpha (what the synaptic current keeps each step) or tau_syn (seconds)"),
        (HEAD + LAYER + 'neuron = "cuba-lif"\nalpha = 2', "layer[1].alpha = 2: must be from 0 to"),
        (HEAD + LAYER + "alpha = 0.5", "layer[1].alpha = 0.5: an lif neuron has none; remove it"),
        (HEAD + LAYER + 'neuron = "cuba-li"\nalpha = 0.5\n' + LAYER, "layer[1].neuron = "
         "'cuba-li': a cuba-li never spikes and must be the last layer"),
        (HEAD + LAYER + 'neuron = "cuba-li"\nalpha = 0.5\ntau_syn = 1', "layer[1].alpha = 0.5: "
         "give either alpha or tau_syn, not both"),
        (HEAD + LAYER.replace("0.5", "1.5"), "layer[1].beta = 1.5: must be from 0 to 1"),
        (HEAD + LAYER.replace("0.5", "[0.5, 1.5]"), "layer[1].beta = [0.5, 1.5]: must be from 0"),
        (HEAD + LAYER.replace("beta = 0.5", "tau = 0"), "layer[1].tau = 0: must be > 0"),
        (HEAD + LAYER.replace("beta = 0.5", "tau = 1e-5"), "layer[1]: tau = 1e-05 s is below dt"),
        (HEAD + LAYER + "threshold = 0", "layer[1].threshold = 0: must be > 0"),
        (HEAD + LAYER + "threshold = nan", "layer[1].threshold = nan: must be finite"),
        (HEAD + LAYER + "v_leak = inf", "layer[1].v_leak = inf: must be finite"),
        (HEAD + LAYER + "bias = [1, 2, 3]", "layer[1].bias = [1, 2, 3]: has shape (3,); must be "
         "one number, or 2, one a neuron"),
        (HEAD + LAYER + 'bias = "x"', "layer[1].bias = 'x': must be a number, a list of numbers"),
        (HEAD + LAYER + "v_init = [1, true]", "layer[1].v_init = [1, True]: must be a number, a"),
        (HEAD + LAYER + 'name = ""', "layer[1].name = '': must be a text"),
        (HEAD + LAYER + 'name = "output"', "layer[1].name = 'output': is taken"),
        (HEAD + 2 * (LAYER + 'name = "a"\n'), "layer[2].name = 'a': is taken"),
        (HEAD + LAYER.replace("weights = { seed = 1 }", ""), "layer[1].weights: is missing; give"),
        (HEAD + LAYER.replace("{ seed = 1 }", "3"), "layer[1].weights = 3: must be {file"),
        (HEAD + LAYER.replace("{ seed = 1 }", "{}"), "layer[1].weights = {}: must be {file"),
        (HEAD + LAYER.replace("seed = 1", "seed = -1"), "layer[1].weights.seed = -1: must be a"),
        (HEAD + LAYER.replace("seed = 1", "seed = 1, density = 2"), "layer[1].weights.density = 2: "
         "must be from 0 to 1"),
        (HEAD + LAYER.replace("seed = 1", "seed = 1, bits = 9"), "layer[1].weights.bits = 9: must "
         'be 1 to 8, or "ternary"'),
        (HEAD + LAYER.replace("seed = 1", "seed = 1, bits = 1, density = 0.5"), "layer[1].weights."
         'density = 0.5: must be 1 with bits = 1; take "ternary"'),
        (HEAD + LAYER.replace("seed = 1", "seed = 1, scale = 0"), "layer[1].weights.scale = 0: "),
        (HEAD + LAYER.replace("seed = 1", "seed = 1, dens = 1"), "layer[1].weights.dens: is not a "
         "known key; did you mean 'density'?"),
    ],
)  # fmt: skip
def test_refusals(folder: Path, text: str, message: str) -> None:
    assert any(problem.startswith(message) for problem in _problems(folder, text))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ('file = "absent.npz", key = "fc"', "layer[1].weights.file = 'absent.npz': there is no"),
        ('file = "torn.npz", key = "fc"', "layer[1].weights.file = 'torn.npz': is not a readable"),
        ('file = "net.toml", key = "fc"', "layer[1].weights.file = 'net.toml': is not a readable"),
        ('file = "w.npz"', "layer[1].weights.key: is missing; give the .npz and the array's name"),
        ('file = 3, key = "fc"', "layer[1].weights.file = 3: must be a text"),
        ('file = "w.npz", key = "f"', "layer[1].weights.key = 'f': is not in w.npz, which has fc"),
        ('file = "w.npz", key = "turned"', "layer[1].weights.key = 'turned': has shape (3, 2); "
         "must be (2, 3), (size, inputs); transpose it"),
        ('file = "w.npz", key = "beta"', "layer[1].weights.key = 'beta': has shape (2,); must be"),
        ('file = "w.npz", key = "nan"', "layer[1].weights.key = 'nan': holds 6 NaN or infinite"),
        ('file = "w.npz", key = "text"', "layer[1].weights.key = 'text': holds <U1, not numbers"),
        ('file = "w.npz", kye = "fc"', "layer[1].weights.kye: is not a known key; did you mean"),
    ],
)  # fmt: skip
def test_refused_files(folder: Path, weights: str, message: str) -> None:
    problems = _problems(folder, HEAD + LAYER.replace("seed = 1", weights))
    assert any(problem.startswith(message) for problem in problems)


@pytest.mark.parametrize("text", ["[network", "a = ", "[network]\n[network]\n", "\x00"])
def test_refuses_broken_toml(folder: Path, text: str) -> None:
    assert _problems(folder, text)[0].startswith("is not valid TOML: ")


def test_refuses_what_is_no_text(folder: Path) -> None:
    (folder / "net.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not valid TOML"):
        load_network(folder / "net.toml")
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        load_network(folder / "absent.toml")


def test_every_problem_at_once(folder: Path) -> None:
    problems = _problems(
        folder,
        'extra = 1\n[network]\ndialect = "norse,compare=eq"\ninput = 0\ndt = 0\n'
        "[[layer]]\nsize = 2\nbeta = 2\nthreshold = -1\nbias = [1]\n"
        'weights = { file = "absent.npz", key = "a" }\n'
        '[[layer]]\nsize = -2\nneuron = "x"\n'
        "[[layer]]\nsize = 2\nbeta = 0.5\nv_leak = [1, 2, 3]\nweights = { seed = 1, bits = 9 }\n",
    )
    keys = [problem.split(":")[0].split(" = ")[0] for problem in problems]
    assert keys == [
        "extra", "network.input", "network.dialect", "network.dt",
        "layer[1].beta", "layer[1].threshold", "layer[1].weights.file",
        "layer[2].size", "layer[2].neuron", "layer[2].weights",
        "layer[3].v_leak", "layer[3].weights.bits",
    ]  # fmt: skip


def test_the_documented_example_runs(root: Path, tmp_path: Path) -> None:
    text = (root / "docs" / "config.md").read_text()
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    network = _load(tmp_path, example.group(1))
    assert [(p.name, p.n) for p, _ in network.layers()] == [("hidden", 32), ("classes", 10)]
    assert set(np.unique(network.projections[1].weight)) == {-0.5, 0.5}
    assert network.projections[1].bias[-1] == 0.25


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("threshold = 1e-320", "float32, which begins at"),
        ("weights = { seed = 1, scale = 1e300 }", "float32, which ends at"),
    ],
)
def test_values_that_float32_does_not_hold(line: str, words: str, tmp_path: Path) -> None:
    weights = "" if line.startswith("weights") else "weights = { seed = 1 }\n"
    (tmp_path / "net.toml").write_text(
        '[network]\ndialect = "norse"\ninput = 3\n'
        f"[[layer]]\nsize = 2\nbeta = 0.5\n{weights}{line}\n"
    )
    with pytest.raises(InputError, match=words):
        load_network(tmp_path / "net.toml")


def test_delays_become_ways_of_their_own(folder: Path) -> None:
    arrays = {"d": np.array([[0, 2, 0], [2, 0, 5]]), "in": np.array([1, 0, 4])}
    np.savez(folder / "d.npz", **arrays)  # type: ignore[arg-type]
    weights = 'weights = { file = "w.npz", key = "fc" }\n'
    text = f"{HEAD}[[layer]]\nsize = 2\nbeta = 0.5\nbias = [1, 2]\n{weights}delays = "

    def parts(text: str) -> dict[int, list[list[float]]]:
        (_, projections), *_ = _load(folder, text).layers()
        found: dict[int, np.ndarray] = {}
        for projection in projections:
            for steps, weight in late_weights(projection).items():
                found[steps] = found.get(steps, 0) + weight
        bias = [late_biases(p) for p in projections]
        assert sum(b.get(0, np.zeros(2)) for b in bias).tolist() == [1, 2]
        return {steps: weight.tolist() for steps, weight in found.items()}

    assert parts(text + '{ file = "d.npz", key = "d" }\n') == {
        0: [[0, 0, 2], [0, 4, 0]], 2: [[0, 1, 0], [3, 0, 0]], 5: [[0, 0, 0], [0, 0, 5]],
    }  # fmt: skip
    assert parts(text + '{ file = "d.npz", key = "in" }\n') == {
        0: [[0, 1, 0], [0, 4, 0]], 1: [[0, 0, 0], [3, 0, 0]], 4: [[0, 0, 2], [0, 0, 5]],
    }  # fmt: skip
    assert parts(text + "3\n") == {3: [[0, 1, 2], [3, 4, 5]]}
    random = parts(text + "{ seed = 1, longest = 4 }\n")
    assert set(random) <= {0, 1, 2, 3, 4}
    assert sum(np.array(w) for w in random.values()).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("delays", "problem"),
    [
        ('{ file = "w.npz", key = "turned" }', "has shape (3, 2); must be one number, or (3,), one "
         "an input, or (2, 3), (size, inputs); transpose it"),
        ('{ file = "w.npz", key = "nan" }', "must be whole numbers of steps, 0 to 1023"),
        ("1.5", "must be whole numbers of steps, 0 to 1023"),
        ("-1", "must be whole numbers of steps, 0 to 1023"),
        ("1024", "must be whole numbers of steps, 0 to 1023"),
        ('"two"', "must be whole numbers of steps, 0 to 1023"),
        ("true", "must be whole numbers of steps, 0 to 1023"),
        ("{ seed = 1 }", "is missing; give the longest delay, in steps"),
        ("{ seed = 1, longest = 0 }", "must be a whole number from 1 to 1023"),
        ("{ seed = 1, most = 3 }", "is not a known key"),
    ],
)  # fmt: skip
def test_delays_that_are_refused(delays: str, problem: str, folder: Path) -> None:
    found = _problems(folder, f"{HEAD}{LAYER}delays = {delays}\n")
    assert found[0].startswith("layer[1].delays")
    assert problem in found[0]
