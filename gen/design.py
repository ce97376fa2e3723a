# SPDX-License-Identifier: Apache-2.0
"""A design directory: what `compile` writes and every later step reads."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefab.gen.addresses import node_addresses, place_order
from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QNetwork

__all__ = ["FORMAT", "Design", "drains"]

FORMAT = 1
"""Version of the directory's layout and of `manifest.json`."""

_KEYS = ("name", "target")
"""What every later step relies on; what else it needs it looks for itself."""


def drains(manifest: dict[str, Any]) -> bool:
    """Something of a sample is left inside when its last output has left: spikes of a step act in a
    later one."""
    return any(
        (layer.get("structure") or {}).get("slots", 1) > 1
        or any(
            source["recurrent"] or source.get("ring") == "events"
            for source in layer.get("sources", ())
        )
        for layer in manifest["layers"]
    )


@dataclass(frozen=True)
class Design:
    """A design directory on disk."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Design:
        """Reads `manifest.json`; raises `InputError` where the folder is not a design."""
        path = Path(path)
        file = path / "manifest.json"
        if path.is_file():
            raise InputError(f"{path}: a file, not a design directory; make one with `spikefab "
                             f"compile {path} --board B -o DIR` and give DIR")  # fmt: skip
        if not file.is_file():
            raise InputError(f"{path}: not a design directory (no manifest.json); make one with "
                             f"`spikefab compile NET --board B -o {path}`")  # fmt: skip
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{file}: damaged ({error}); compile the design again") from None
        found = manifest.get("format") if isinstance(manifest, dict) else None
        if found != FORMAT:
            raise InputError(
                f"{file}: format {found!r}, this version reads {FORMAT}; compile the design again"
            )
        missing = [key for key in _KEYS if key not in manifest]
        if missing:
            raise InputError(
                f"{file}: damaged (it lacks {', '.join(missing)}); compile the design again"
            )
        return cls(path, manifest)

    @property
    def verilog(self) -> Path:
        """The design's one Verilog file."""
        return self.path / "design.v"

    @property
    def build(self) -> Path:
        """Where tools put their outputs and logs; may be deleted at any time."""
        return self.path / "build"

    @property
    def input_addresses(self) -> tuple[int, ...]:
        """The address of each input; empty: input n has address n."""
        return node_addresses(self.manifest.get("inputs", ()))

    def place_order(self, k: int) -> tuple[int, ...]:
        """The place of each neuron of layer k; empty: neuron n is at n."""
        return place_order(self.manifest["layers"][k])

    @property
    def output_addresses(self) -> tuple[int, ...]:
        """The address of each output; empty: output n has address n."""
        return node_addresses(self.manifest.get("outputs", ()))

    def qnetwork(self) -> QNetwork:
        """The integer network; raises `InputError` where its file is damaged or another's."""
        file = self.path / "network.npz"
        try:
            qnet = QNetwork.load(file)
        except FileNotFoundError:
            raise InputError(f"{file}: no such file; compile the design again") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error,
                NotImplementedError) as error:  # fmt: skip
            raise InputError(
                f"{file}: damaged ({error or type(error).__name__}); compile the design again"
            ) from None
        sizes = [(q.name, q.neuron.n, q.synapse.n_in) for q in qnet.layers]
        try:
            told = [
                (e["name"], e["neuron"]["n"], e["synapse"]["n_in"]) for e in self.manifest["layers"]
            ]
        except (KeyError, TypeError):
            told = []
        if sizes != told:
            raise InputError(
                f"{self.path}: manifest.json and network.npz are of different designs; compile "
                "the design again"
            )
        return qnet
