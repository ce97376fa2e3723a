# SPDX-License-Identifier: Apache-2.0
"""How a network's edges become the ports of a core's layers, and in what order these are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spikefab.gen.errors import InputError
from spikefab.gen.qnetwork import QLayer, QNetwork
from spikefab.hdl.params import INPUT, PortParams, find_deadlock

__all__ = ["Connections", "connect"]

Ports = tuple[PortParams, ...]


@dataclass(frozen=True, kw_only=True)
class Connections:
    """The graph as `CoreParams` has it."""

    ports: tuple[Ports, ...]
    outputs: tuple[int, ...]
    input_size: int


def connect(qnet: QNetwork) -> Connections:
    """The ports of each layer, and the outputs. Raises `InputError` for what no core can be."""
    numbers = {layer.name: k for k, layer in enumerate(qnet.layers)}
    shown = [layer.name for layer in qnet.output_layers]
    fed = {edge.source: layer.name for layer in qnet.layers[::-1] for edge in layer.edges}
    for layer in qnet.layers:
        if not layer.neuron.spiking and layer.name in fed:
            raise InputError(
                f"{layer.name}: an integrator drives {fed[layer.name]}; on the fabric only spikes "
                f"do: let it spike, or leave {fed[layer.name]} out and read it at an output"
            )
        if layer.name not in fed and layer.name not in shown:
            raise InputError(f"{layer.name}: drives nothing and is no output: leave it out")
    if not qnet.is_chain:
        _only_chains(qnet)
    _without_delays(qnet)
    inputs = sum(i.n for i in qnet.inputs)
    outputs = tuple(numbers[name] for name in shown)
    ports = [_ports(qnet, layer, numbers) for layer in qnet.layers]
    # Recurrent ports first is always possible where they close cycles. A source that comes before
    # the layer also acts without the delay, directly or not: a queue takes its step meanwhile.
    most = [layer.neuron.n * layer.neuron.max_count for layer in qnet.layers]
    for k, j in [(k, j) for k, own in enumerate(ports) for j in range(len(own))]:
        port = ports[k][j]
        if port.recurrent and port.source < k and _stuck(ports, outputs):
            deep = replace(port, depth=most[port.source] + 1)
            ports[k] = (*ports[k][:j], deep, *ports[k][j + 1 :])
    # Where the others can come
    # first, their events overlap with the pass that makes the recurrent ones.
    for k, own in enumerate(ports):
        turned = tuple(sorted(own, key=lambda port: port.recurrent))
        if turned != own:
            tried = [*ports[:k], turned, *ports[k + 1 :]]
            if not _stuck(tried, outputs):
                ports = tried
    return Connections(ports=tuple(ports), outputs=outputs, input_size=inputs)


def _stuck(ports: Sequence[Ports], outputs: Sequence[int]) -> bool:
    return find_deadlock(ports, outputs) is not None


def _only_chains(qnet: QNetwork) -> None:
    if qnet.input.coding != "spikes":
        raise InputError(
            f"--input {qnet.input.coding}: needs a chain of populations; network {qnet.name!r} has "
            "branches, loops, or several inputs or outputs: give it spikes"
        )
    if qnet.stop is not None:
        raise InputError(
            f"--early-stop: needs a chain of populations; network {qnet.name!r} has branches, "
            "loops, or several inputs or outputs: leave it out"
        )


def _without_delays(qnet: QNetwork) -> None:
    late = next((layer.name for layer in qnet.layers if layer.delays is not None), None)
    if late is None:
        return
    if qnet.input.coding != "spikes":
        raise InputError(
            f"--input {qnet.input.coding}: {late} has synapses with delays, which need an input "
            "that has steps of its own: give it spikes"
        )
    if qnet.stop is not None:
        raise InputError(
            f"--early-stop: {late} has synapses with delays, what is on its way would be cut off: "
            "leave the stop out"
        )


def _ports(qnet: QNetwork, layer: QLayer, numbers: dict[str, int]) -> Ports:
    found = []
    sources: set[tuple[str, bool]] = set()
    for edge, part in zip(layer.edges, layer.columns, strict=True):
        if (edge.source, edge.recurrent) in sources:
            raise InputError(
                f"{layer.name}: two connections from {edge.source!r}: add their weights up"
            )
        sources.add((edge.source, edge.recurrent))
        span = qnet.input_ranges.get(edge.source)
        found.append(
            PortParams(
                source=numbers.get(edge.source, INPUT),
                base=0 if span is None else span.start,
                size=edge.n_source,
                offset=part.start,
                recurrent=edge.recurrent,
            )
        )
    if all(port.recurrent for port in found):
        # Something has to say when a sample's first step ends.
        found.append(PortParams(source=INPUT, size=0))
    return tuple(found)
