# SPDX-License-Identifier: Apache-2.0
"""From a TOML config to a `Network`; `docs/config.md` lists the keys.

A config is checked as a whole: every problem is reported at once, each as `file: key = value: …`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.gen.config_conv import Shape, Window, read_conv, read_pool
from spikefab.gen.config_graph import ConfigLayer, config_graph
from spikefab.gen.config_table import TableReader
from spikefab.gen.dialect import PRESETS, Dialect, parse_dialect
from spikefab.gen.discretise import Kind, discretise
from spikefab.gen.errors import InputError
from spikefab.gen.graph import build_network
from spikefab.gen.network import Network
from spikefab.hdl.sparse_params import MAX_DELAY

__all__ = ["read_config"]

NETWORK_KEYS = ("name", "dialect", "dt", "steps", "input")
LAYER_KEYS = ("name", "size", "conv", "pool", "neuron", "beta", "tau", "alpha", "tau_syn", "r",
              "w_in", "threshold", "v_leak", "v_reset", "v_init", "weights", "delays",
              "bias")  # fmt: skip
RANDOM_DELAY_KEYS = ("seed", "longest")
RANDOM_KEYS = ("seed", "density", "bits", "scale")
NEURONS: dict[str, Kind] = {"if": "IF", "lif": "LIF", "li": "LI", "cuba-lif": "CubaLIF",
                            "cuba-li": "CubaLI"}  # fmt: skip
PER_NEURON = ("beta", "tau", "alpha", "tau_syn", "r", "w_in", "threshold", "v_leak", "v_reset",
              "v_init", "bias")  # fmt: skip
CURRENT = ("alpha", "tau_syn", "w_in")
UNUSED = {
    "if": ("beta", "tau", "v_leak", *CURRENT),
    "lif": CURRENT,
    "li": ("threshold", "v_reset", *CURRENT),
    "cuba-lif": (),
    "cuba-li": ("threshold", "v_reset"),
}
SILENT = ("li", "cuba-li")
LEAKS = (("beta", "tau", "membrane"), ("alpha", "tau_syn", "synaptic current"))
"""What is kept each step, the time constant, of what."""
MAX_SIZE = 65536
MAX_SYNAPSES = 1 << 26


def read_config(
    path: Path | str,
    *,
    dialect: str | None = None,
    dt: float | None = None,
    steps: int | None = None,
) -> Network:
    """Reads a config; `dialect`, `dt` and `steps` override its own.

    Raises `InputError` with every problem found.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not valid TOML: {error}") from None
    return _Reader(path, table).network(dialect, dt, steps)


class _Reader(TableReader):
    """Reads one config's table and collects its problems."""

    def __init__(self, path: Path, table: dict[str, Any]):
        super().__init__(path)
        self.table = table
        self.notes: list[str] = []
        self._dialect_known = False

    def network(self, dialect: str | None, dt: float | None, steps: int | None) -> Network:
        self.check_keys("", self.table, ("network", "layer"))
        head = self.table.get("network", {})
        if not isinstance(head, dict):
            self.fail("network", "must be a table: write [network]", head)
            head = {}
        elif "network" not in self.table:
            self.fail("network", "is missing; it needs at least `input`, the input's size")
        self.check_keys("network", head, NETWORK_KEYS)
        name = head.get("name", self.path.stem)
        if not isinstance(name, str) or not name:
            self.fail("network.name", "must be a text", name)
        shape = self.input_shape(head) if "network" in self.table else ()
        chosen = self.dialect(head, dialect)
        own_dt = self.number(head, "network", "dt", "a number of seconds > 0",
                             lambda v: v > 0 and math.isfinite(v))  # fmt: skip
        own_steps = self.number(head, "network", "steps", "a whole number >= 1",
                                lambda v: isinstance(v, int) and v >= 1)  # fmt: skip
        dt = own_dt if dt is None else dt
        if dt is None:
            dt = chosen.default_dt
            self.notes.append(f"dt = {dt:g}: the default of {chosen.preset}, none given")
        elif not (dt > 0 and math.isfinite(dt)):
            self.problems.append(f"dt = {dt!r}: must be a number of seconds > 0")
            dt = chosen.default_dt
        layers, here = [], shape or None
        for i, table in enumerate(self.layers()):
            layers.append(self.layer(i, table, here, chosen, dt))
            here = layers[-1].shape
        if self.problems:
            raise InputError(self.problems)
        try:
            return build_network(
                config_graph(shape, layers, float(dt)),
                name=name,
                dialect=chosen,
                dt=float(dt),
                steps=own_steps if steps is None else steps,
                problems=[],
                notes=self.notes,
            )
        except InputError as error:
            raise InputError([f"{self.path}: {problem}" for problem in error.problems]) from None

    def input_shape(self, head: dict[str, Any]) -> tuple[int, ...]:
        value = head.get("input")
        sizes = value if isinstance(value, list) else [value]
        good = bool(sizes) and all(isinstance(n, int) and not isinstance(n, bool) and n >= 1
                                   for n in sizes)  # fmt: skip
        if value is None:
            self.fail("network.input", "is missing; give the input's size, as 64 or [1, 8, 8]")
        elif not good or math.prod(sizes) > MAX_SIZE:
            self.fail("network.input", f"must be whole numbers >= 1, at most {MAX_SIZE} inputs in "
                      "all, as 64 or [1, 8, 8]", value)  # fmt: skip
        else:
            return tuple(sizes)
        return ()

    def dialect(self, head: dict[str, Any], override: str | None) -> Dialect:
        text = override if override is not None else head.get("dialect")
        if text is None:
            self.fail("network.dialect", f"is missing; choose one of {', '.join(PRESETS)}")
        elif not isinstance(text, str):
            self.fail("network.dialect", 'must be a text such as "snntorch-subtract"', text)
        else:
            try:
                dialect = parse_dialect(text)
            except InputError as error:
                for problem in error.problems:
                    self.fail("network.dialect", problem)
            else:
                self._dialect_known = True
                return dialect
        return PRESETS["nir-literal"]  # only to check the rest; never a result

    def layers(self) -> list[dict[str, Any]]:
        layers = self.table.get("layer", [])
        if not isinstance(layers, list) or not all(isinstance(a, dict) for a in layers):
            self.fail("layer", "must be an array of tables: write [[layer]] for each layer")
            return []
        if not layers:
            self.fail("layer", "is missing; write [[layer]] for each layer")
        names = [a.get("name", f"layer{i + 1}") for i, a in enumerate(layers)]
        for i, name in enumerate(names):
            if not isinstance(name, str) or not name:
                self.fail(f"layer[{i + 1}].name", "must be a text", name)
            elif name in names[:i] or name in ("input", "output"):
                self.fail(f"layer[{i + 1}].name", "is taken; every layer needs its own name, and "
                          "`input` and `output` are the ends", name)  # fmt: skip
        return layers

    def layer(
        self, index: int, table: dict[str, Any], before: Shape | None, dialect: Dialect, dt: float
    ) -> ConfigLayer:
        """Checks one layer; what is wrong with it is None in the result. `before`: the shape that
        comes; None: unknown, after a problem."""
        where, found = f"layer[{index + 1}]", len(self.problems)
        self.check_keys(where, table, LAYER_KEYS)
        pool = conv = None
        if "pool" in table:
            pool = read_pool(self, f"{where}.pool", table["pool"], before)
            before = None if pool is None else pool.out_shape
        if "conv" in table:
            conv = read_conv(self, f"{where}.conv", table["conv"], before)
            shape = self.maps(where, table, conv)
        else:
            shape = self.size(where, table)
        # A value for each neuron, or of maps one a channel.
        size, whose = None if shape is None else shape[0], "channel" if conv else "neuron"
        kind = table.get("neuron", "lif")
        values = {
            key: self.array(where, table[key], key, size, whose)
            for key in PER_NEURON
            if key in table
        }
        bias = values.pop("bias", None)
        parameters: dict[str, np.ndarray] = {}
        if not isinstance(kind, str) or kind not in NEURONS:
            self.fail(f"{where}.neuron", f"must be one of {', '.join(NEURONS)}", kind)
        else:
            self.check_kind(where, table, values, kind, dialect)
            if kind in SILENT and index < len(self.table["layer"]) - 1:
                self.fail(f"{where}.neuron", f"{_a(kind)} never spikes and must be the last layer",
                          kind)  # fmt: skip
            if len(self.problems) == found and size is not None and self._dialect_known:
                parameters = _node_parameters(kind, values, dialect, dt)
                self.check_step(where, kind, parameters, size, dialect, dt)
        delays = None
        if "conv" in table:
            wanted = None if conv is None else conv.weight_shape
            weight = self.weights(where, table, wanted, "(channels, channels in / groups, rows, "
                                  "columns)")  # fmt: skip
            if "delays" in table:
                self.fail(f"{where}.delays", "a convolution has none in a config; a NIR graph can "
                          "have a Delay before it", table["delays"])  # fmt: skip
        else:
            n_in = None if before is None else math.prod(before)
            weight = self.dense_weights(where, table, size, n_in)
            if "delays" in table:
                delays = self.delays(where, table["delays"], size, n_in)
        name = table.get("name", f"layer{index + 1}")
        return ConfigLayer(
            name=name, shape=shape, kind=NEURONS.get(str(kind), "LIF"), weight=weight, bias=bias,
            parameters=parameters, delays=delays, pool=pool, conv=conv,
        )  # fmt: skip

    def size(self, where: str, table: dict[str, Any]) -> Shape | None:
        """The shape of a dense layer."""
        if "size" not in table:
            self.fail(f"{where}.size", "is missing; give the number of neurons")
        size = self.number(table, where, "size", f"a whole number from 1 to {MAX_SIZE}",
                           lambda v: isinstance(v, int) and 1 <= v <= MAX_SIZE)  # fmt: skip
        return None if size is None else (size,)

    def maps(self, where: str, table: dict[str, Any], conv: Window | None) -> Shape | None:
        """The shape of a convolution's layer."""
        if "size" in table:
            self.fail(f"{where}.size", "follows from conv; remove it", table["size"])
        if conv is None:
            return None
        if math.prod(conv.out_shape) > MAX_SIZE:
            made = " x ".join(map(str, conv.out_shape))
            self.fail(f"{where}.conv", f"makes {made} neurons, more than {MAX_SIZE}")
            return None
        return conv.out_shape

    def check_step(
        self,
        where: str,
        kind: str,
        parameters: dict[str, np.ndarray],
        size: int,
        dialect: Dialect,
        dt: float,
    ) -> None:
        """Whether the dialect makes a step of it; here, so that no other problem hides it."""
        found: list[str] = []
        full = {key: np.broadcast_to(value, (size,)) for key, value in parameters.items()}
        discretise(where, NEURONS[kind], full, dialect, dt, found, [])
        self.problems += [f"{self.path}: {problem}" for problem in found]

    def check_kind(
        self,
        where: str,
        table: dict[str, Any],
        values: dict[str, Any],
        kind: str,
        dialect: Dialect,
    ) -> None:
        for key in UNUSED[kind]:
            if key in table:
                self.fail(f"{where}.{key}", f"{_a(kind)} neuron has none; remove it", table[key])
        for keeps, tau, what in LEAKS:
            if keeps in UNUSED[kind]:
                continue
            if keeps in table and tau in table:
                self.fail(f"{where}.{keeps}", f"give either {keeps} or {tau}, not both",
                          table[keeps])  # fmt: skip
            elif keeps not in table and tau not in table:
                self.fail(f"{where}.{keeps}", f"is missing: {_a(kind)} neuron needs {keeps} (what "
                          f"the {what} keeps each step) or {tau} (seconds)")  # fmt: skip
        limits: list[tuple[str, str, Callable[[np.ndarray], Any]]] = [
            (keeps, "from 0 to 1", lambda v: (v >= 0) & (v <= 1)) for keeps, _, _ in LEAKS
        ]
        limits += [(tau, "> 0", lambda v: v > 0) for _, tau, _ in LEAKS]
        if not (self._dialect_known and dialect.only_compares):
            limits.append(("threshold", "> 0", lambda v: v > 0))
        for key, limit, legal in limits:
            value = values.get(key)
            if value is not None and not np.all(legal(value)):
                self.fail(f"{where}.{key}", f"must be {limit}", table[key])

    def dense_weights(
        self, where: str, table: dict[str, Any], size: int | None, n_in: int | None
    ) -> np.ndarray | None:
        if size is not None and n_in is not None and size * n_in > MAX_SYNAPSES:
            self.fail(f"{where}.size", f"times {n_in} inputs is more than {MAX_SYNAPSES:,} "
                      "synapses; make the layer smaller", size)  # fmt: skip
            return None
        shape = None if size is None or n_in is None else (size, n_in)
        return self.weights(where, table, shape, "(size, inputs)")

    def weights(
        self, where: str, table: dict[str, Any], shape: Shape | None, axes: str
    ) -> np.ndarray | None:
        """Weights of a shape (None: unknown, after another problem), whose axes are called so."""
        dotted, value = f"{where}.weights", table.get("weights")
        if value is None:
            self.fail(dotted, 'is missing; give {file = "….npz", key = "…"} or {seed = 1}')
            return None
        if not isinstance(value, dict) or ("file" in value) == ("seed" in value):
            self.fail(dotted, 'must be {file = "….npz", key = "…"} or {seed = 1}', value)
            return None
        if "seed" in value:
            return self.random_weights(dotted, value, shape)
        array = self.from_file(dotted, value)
        if array is None or shape is None:
            return None
        if array.shape != shape:
            turned = len(shape) == 2 and array.shape == shape[::-1]
            cure = "; transpose it" if turned else ""
            self.fail(f"{dotted}.key", f"has shape {array.shape}; must be {shape}, {axes}{cure}",
                      value.get("key"))  # fmt: skip
            return None
        if not np.all(np.isfinite(array)):
            bad = int(np.sum(~np.isfinite(array)))
            self.fail(f"{dotted}.key", f"holds {bad} NaN or infinite values", value.get("key"))
            return None
        return array

    def delays(
        self, where: str, value: Any, size: int | None, n_in: int | None
    ) -> np.ndarray | None:
        """Whole steps, int64 (inputs,) or (size, inputs)."""
        dotted = f"{where}.delays"
        if isinstance(value, dict) and "seed" in value:
            return self.random_delays(dotted, value, size, n_in)
        array = self.from_file(dotted, value) if isinstance(value, dict) else np.asarray(value)
        if array is None or size is None or n_in is None:
            return None
        if array.shape not in ((), (n_in,), (size, n_in)):
            cure = "; transpose it" if array.shape == (n_in, size) else ""
            self.fail(dotted, f"has shape {array.shape}; must be one number, or ({n_in},), one an "
                      f"input, or ({size}, {n_in}), (size, inputs){cure}", value)  # fmt: skip
            return None
        number = np.issubdtype(array.dtype, np.number)
        if not number or not ((array >= 0) & (array <= MAX_DELAY) & (array % 1 == 0)).all():
            self.fail(dotted, f"must be whole numbers of steps, 0 to {MAX_DELAY}", value)
            return None
        steps = array.astype(np.int64)
        return np.broadcast_to(steps, (n_in,)) if steps.ndim == 0 else steps

    def random_delays(
        self, dotted: str, value: dict[str, Any], size: int | None, n_in: int | None
    ) -> np.ndarray | None:
        """A delay a synapse for area and timing studies, drawn evenly."""
        before = len(self.problems)
        self.check_keys(dotted, value, RANDOM_DELAY_KEYS)
        seed = self.number(value, dotted, "seed", "a whole number >= 0",
                           lambda v: isinstance(v, int) and v >= 0, 0)  # fmt: skip
        if "longest" not in value:
            self.fail(f"{dotted}.longest", "is missing; give the longest delay, in steps")
        longest = self.number(value, dotted, "longest", f"a whole number from 1 to {MAX_DELAY}",
                              lambda v: isinstance(v, int) and 1 <= v <= MAX_DELAY)  # fmt: skip
        if len(self.problems) > before or size is None or n_in is None:
            return None
        return np.random.default_rng(seed).integers(0, longest + 1, (size, n_in))

    def random_weights(
        self, dotted: str, value: dict[str, Any], shape: Shape | None
    ) -> np.ndarray | None:
        """Weights for area and timing studies: a grid of `bits` bits, a share of them zero."""
        before = len(self.problems)
        self.check_keys(dotted, value, RANDOM_KEYS)
        seed = self.number(value, dotted, "seed", "a whole number >= 0",
                           lambda v: isinstance(v, int) and v >= 0, 0)  # fmt: skip
        density = self.number(value, dotted, "density", "from 0 to 1, both included",
                              lambda v: 0 <= v <= 1, 1.0)  # fmt: skip
        bits = value.get("bits", 8)
        if bits != "ternary" and not (
            isinstance(bits, int) and not isinstance(bits, bool) and 1 <= bits <= 8
        ):
            self.fail(f"{dotted}.bits", 'must be 1 to 8, or "ternary"', bits)
            return None
        if bits == 1 and density != 1:
            self.fail(f"{dotted}.density", 'must be 1 with bits = 1; take "ternary"', density)
        top = 1 if bits in (1, "ternary") else (1 << (bits - 1)) - 1
        scale = self.number(value, dotted, "scale", "> 0",
                            lambda v: v > 0 and math.isfinite(v), 1.0 / top)  # fmt: skip
        if len(self.problems) > before or shape is None:
            return None
        rng = np.random.default_rng(seed)
        levels = np.concatenate([np.arange(-top, 0), np.arange(1, top + 1)])
        weight = rng.choice(levels, size=shape).astype(np.float64)
        weight[rng.random(shape) >= density] = 0.0
        return weight * scale


def _node_parameters(
    kind: str, values: dict[str, Any], dialect: Dialect, dt: float
) -> dict[str, np.ndarray]:
    """The values as NIR would name them; what is not given is the framework's default."""
    zero, one = np.zeros(()), np.ones(())
    out: dict[str, np.ndarray] = {}
    cuba = kind.startswith("cuba")
    if kind == "if":
        out["r"] = values.get("r", one)
    else:
        tau = "tau_mem" if cuba else "tau"
        out |= _leak(values, "beta", "tau", dialect, dt, as_tau=tau, as_decay="decay")
        # The input gain of r*dt/tau is then 1, as in snnTorch.
        out["r"] = values.get("r", out[tau] / dt)
        out["v_leak"] = values.get("v_leak", zero)
    if cuba:
        out |= _leak(
            values, "alpha", "tau_syn", dialect, dt, as_tau="tau_syn", as_decay="decay_syn"
        )
        out["w_in"] = values.get("w_in", out["tau_syn"] / dt)
    if kind not in SILENT:
        out["v_threshold"] = values.get("threshold", one)
        out["v_reset"] = values.get("v_reset", zero)
    if "v_init" in values:
        out["v_init"] = values["v_init"]
    return out


def _leak(
    values: dict[str, Any],
    keeps: str,
    tau: str,
    dialect: Dialect,
    dt: float,
    *,
    as_tau: str,
    as_decay: str,
) -> dict[str, np.ndarray]:
    """A leak given as what is kept each step, or as a time constant."""
    if keeps not in values:
        return {as_tau: values[tau]}
    kept = values[keeps]
    with np.errstate(divide="ignore"):
        exponent = np.abs(np.log(np.maximum(kept, 1e-300)))
        return {as_tau: dt / (1 - kept if dialect.decay == "euler" else exponent), as_decay: kept}


def _a(kind: str) -> str:
    return f"a {kind}" if kind.startswith("cuba") else f"an {kind}"
