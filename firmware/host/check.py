# SPDX-License-Identifier: Apache-2.0
"""Checks on what the user gives: the design's manifest, the samples."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.hdl.params import FRAMED
from spikefab.host.errors import HostError

__all__ = ["DesignFacts", "check_samples", "read_image", "read_manifest"]

MAX_STEPS = 65535
"""The board counts a sample's steps in 16 bits."""


@dataclass(frozen=True, kw_only=True)
class InputRange:
    """An input node: a range of a sample's inputs."""

    name: str
    start: int
    stop: int
    max_events: int
    """Most events that one of its inputs takes in a step."""


@dataclass(frozen=True, kw_only=True)
class DesignFacts:
    """What the driver needs to know of a design."""

    name: str
    design_hash: bytes
    input_shape: tuple[int, ...]
    n_inputs: int
    input_addresses: np.ndarray = field(compare=False)  # the hash stands for it
    """int64 (n_inputs,): the address of each input."""
    input_space: int
    """Addresses of the input stream."""
    coding: str
    """What samples hold, as `InputParams.coding`."""
    input_width: int
    """Bits of an input event's value; 0: it has none."""
    frame_steps: int
    """Steps that a frame becomes, where a sample is one; else 0."""
    inputs: tuple[InputRange, ...]
    """The input nodes, side by side."""
    n_outputs: int
    output_addresses: np.ndarray = field(compare=False)
    """int64 (n_outputs,): the address of each output."""
    output_space: int
    """Addresses of the output stream."""
    output_width: int
    """Bits of an output event's payload; 0: all are spikes."""
    counted: tuple[tuple[int, int], ...]
    """Where there are payloads: addresses, from one and below another, of spikes."""
    steps: int | None
    stops: bool
    """A sample may end before its last step."""
    load_words: int
    """16-bit words that the design's memories need before the first sample."""
    baud: int | None

    @property
    def is_membrane(self) -> bool:
        return self.output_width > 0

    @property
    def is_framed(self) -> bool:
        return self.coding in FRAMED

    def max_number(self, node: InputRange) -> int:
        """The largest number that a sample may hold for an input of a node."""
        return (1 << self.input_width) - 1 if self.input_width else node.max_events


def read_manifest(source: dict[str, Any] | str | Path) -> DesignFacts:
    """Reads a manifest, `manifest.json`, or the folder that holds it; raises `HostError`."""
    where = "manifest"
    manifest: Any = source
    if not isinstance(source, dict):
        path = Path(source)
        path = path / "manifest.json" if path.is_dir() else path
        where = str(path)
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise HostError(f"{path}: cannot be read ({error.strerror}); give a design directory "
                            f"that `spikefab compile` wrote") from None  # fmt: skip
        except ValueError as error:
            raise HostError(f"{path}: damaged ({error}); compile the design again") from None
    try:
        if manifest["format"] != 1:
            raise HostError(f"{where}: format {manifest['format']!r}, this driver reads 1; compile "
                            f"the design again or update the driver")  # fmt: skip
        output = manifest["output"]
        ends = {
            what: _addresses(manifest.get(what + "s", ()), int(manifest[what]["size"]))
            for what in ("input", "output")
        }
        spaces = {
            what: int(manifest[what].get("addresses", manifest[what]["size"]))
            for what in ("input", "output")
        }
        # Nodes that show the same population share its addresses.
        shown = {int(part["base"]): part for part in manifest.get("outputs", ())}
        facts = DesignFacts(
            name=str(manifest["name"]),
            design_hash=bytes.fromhex(manifest["hash"]),
            input_shape=tuple(int(n) for n in manifest["input"]["shape"]),
            n_inputs=int(manifest["input"]["size"]),
            input_addresses=ends["input"],
            input_space=spaces["input"],
            coding=str(manifest["input"].get("coding", "spikes")),
            input_width=int(manifest["input"].get("payload_width", 0)),
            frame_steps=int(manifest["input"].get("steps", 0)),
            inputs=_inputs(manifest),
            n_outputs=int(output["size"]),
            output_addresses=ends["output"],
            output_space=spaces["output"],
            output_width=0 if output["kind"] == "spikes" else int(output["payload_width"]),
            counted=tuple(
                (base, end)
                for base, end in zip(shown, [*list(shown)[1:], spaces["output"]], strict=False)
                if output["kind"] == "mixed" and shown[base]["kind"] == "spikes"
            ),
            steps=None if manifest.get("steps") is None else int(manifest["steps"]),
            stops=bool(manifest.get("stop")),
            load_words=int((manifest.get("load") or {}).get("words", 0)),
            baud=None
            if manifest["target"].get("baud") is None
            else int(manifest["target"]["baud"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HostError(f"{where}: not a design's manifest ({type(error).__name__}: {error}); "
                        f"compile the design again") from None  # fmt: skip
    if len(facts.design_hash) != 16:
        raise HostError(f"{where}: hash of {len(facts.design_hash)} bytes, must be 16; compile "
                        f"the design again")  # fmt: skip
    return facts


def _inputs(manifest: dict[str, Any]) -> tuple[InputRange, ...]:
    """The input nodes by the numbers of their inputs; a node without its own limit has that of
    all."""
    whole, found, start = manifest["input"], [], 0
    nodes = manifest.get("inputs", ())
    # One alone is all of the input, of which a coder may make more sources than a sample has.
    for node in nodes if len(nodes) > 1 else [whole]:
        stop, most = start + int(node["size"]), int(node.get("max_events", whole["max_events"]))
        name = str(node.get("name", "input"))
        found.append(InputRange(name=name, start=start, stop=stop, max_events=most))
        start = stop
    if start != int(whole["size"]):
        raise ValueError(f"nodes of {start} inputs for {whole['size']}")
    return tuple(found)


def _addresses(nodes: Any, size: int) -> np.ndarray:
    """The address of each neuron of the nodes, side by side; nodes of one base are the same."""
    if not any(node.get("fields") for node in nodes):
        return np.arange(size)
    found = []
    for node in {int(node["base"]): node for node in nodes}.values():
        own = np.arange(int(node["size"]))
        fields = node.get("fields")
        if fields:
            channel, row, column = np.indices(fields["shape"])
            own = channel << int(fields["channel"][0])
            own = own + (row << int(fields["row"][0])) + (column << int(fields["column"][0]))
        found.append(int(node["base"]) + own.ravel())
    addresses = np.concatenate(found)
    if len(addresses) != size:
        raise ValueError(f"{len(addresses)} addresses for {size} numbers")
    return addresses


def read_image(source: dict[str, Any] | str | Path, facts: DesignFacts) -> np.ndarray:
    """The contents of the design's memories, uint16 (words,); raises `HostError`.

    `source`: as for `read_manifest`; the image lies beside the manifest.
    """
    if isinstance(source, dict):
        raise HostError(f"design {facts.name!r} needs its memories loaded, and its manifest alone "
                        f"does not hold their contents; give the design directory")  # fmt: skip
    path = Path(source)
    path = (path if path.is_dir() else path.parent) / "memory" / "load.hex"
    try:
        words = [int(line, 16) for line in path.read_text(encoding="ascii").split()]
    except OSError as error:
        raise HostError(f"{path}: cannot be read ({error.strerror}); compile the design "
                        f"again") from None  # fmt: skip
    except ValueError as error:
        raise HostError(f"{path}: damaged ({error}); compile the design again") from None
    if len(words) != facts.load_words or not all(0 <= word < 1 << 16 for word in words):
        raise HostError(f"{path}: {len(words)} words, must be {facts.load_words} of 16 bits; "
                        f"compile the design again")  # fmt: skip
    return np.array(words, np.uint16)


def check_samples(x: np.ndarray, facts: DesignFacts) -> np.ndarray:
    """`x` as (samples, steps, inputs), one step where a sample is a frame; raises `HostError`
    where the design cannot take it."""
    x = np.asarray(x)
    shape = facts.input_shape
    what = "values" if facts.input_width else "counts of events"
    if x.dtype.kind not in "iub":
        raise HostError(f"x has elements of type {x.dtype}, must be integers: {what}; "
                        f"round them, or choose an input coding")  # fmt: skip
    lead = ("samples",) if facts.is_framed else ("samples", "steps")
    if x.ndim < len(lead) or x.shape[len(lead) :] not in (shape, (facts.n_inputs,)):
        how = f", one frame a sample with input coding {facts.coding}" if facts.is_framed else ""
        raise HostError(f"x has shape {x.shape}, must be ({', '.join(map(str, (*lead, *shape)))}) "
                        f"for design {facts.name!r}{how}; reshape it")  # fmt: skip
    steps = 1 if facts.is_framed else x.shape[1]
    limit = MAX_STEPS if facts.steps is None else min(facts.steps, MAX_STEPS)
    if not 1 <= steps <= limit:
        raise HostError(f"x has {steps} steps a sample, must be 1 to {limit} for design "
                        f"{facts.name!r}; compile with --steps {max(steps, 1)}")  # fmt: skip
    x = x.reshape(len(x), steps, facts.n_inputs)
    what = "value" if facts.input_width else "count"
    _refuse(x, x < 0, facts, "negative", "at least 0", f"a {what} has no sign")
    cure = "" if facts.input_width else ", or spread them over more steps"
    for node in facts.inputs:
        most, large = facts.max_number(node), np.zeros(x.shape, bool)
        large[..., node.start : node.stop] = x[..., node.start : node.stop] > most
        _refuse(x, large, facts, "too large", f"at most {most}",
                f"compile the design for larger ones{cure}")  # fmt: skip
    # Counts repeat addresses, which numpy does not do with uint64.
    return x.astype(np.int64) if x.dtype.kind in "b" or x.dtype == np.uint64 else x


def _refuse(
    x: np.ndarray, bad: np.ndarray, facts: DesignFacts, how: str, limit: str, cure: str
) -> None:
    """Raises `HostError` about the first number that is bad, with its input."""
    if not bad.any():
        return
    sample, step, number = (int(k[0]) for k in np.nonzero(bad))
    at = f"x[{sample}]" if facts.is_framed else f"x[{sample}, {step}]"
    node = next(node for node in facts.inputs if node.start <= number < node.stop)
    name = "value" if facts.input_width else "count"
    where = f"input {number}"
    if len(facts.inputs) > 1:
        where += f" (input {number - node.start} of node {node.name!r})"
    raise HostError(f"{at}, {where}: the {name} {x[sample, step, number]} is {how}, must be "
                    f"{limit}; {cure}")  # fmt: skip
