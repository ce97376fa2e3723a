# SPDX-License-Identifier: Apache-2.0
"""Which layers have their delays in rings of events (`hdl.delay`), and which in rings of sums."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

from spikefab.gen.ports import Connections, connect
from spikefab.gen.qnetwork import QEdge, QLayer, QNetwork
from spikefab.hdl.delay import EventRing
from spikefab.hdl.params import INPUT, CoreParams, PortParams

__all__ = ["by_events", "connect_late", "describe_delays"]

_connected: WeakKeyDictionary[QNetwork, Connections] = WeakKeyDictionary()


def connect_late(qnet: QNetwork) -> Connections:
    """The ports of each layer, with rings of events where these are smaller than rings of sums."""
    if qnet not in _connected:
        found = connect(qnet)
        ports = [
            _with_rings(qnet, k, own) if _by_events(qnet, k, own) else own
            for k, own in enumerate(found.ports)
        ]
        _connected[qnet] = replace(found, ports=tuple(ports))
    return _connected[qnet]


def by_events(qnet: QNetwork, k: int) -> bool:
    """Layer `k` has its delays in rings of events."""
    return any(any(port.delays) for port in connect_late(qnet).ports[k])


def _edges(layer: QLayer, ports: tuple[PortParams, ...]) -> list[tuple[PortParams, QEdge | None]]:
    starts = {part.start: edge for part, edge in zip(layer.columns, layer.edges, strict=True)}
    return [(port, starts[port.offset] if port.size else None) for port in ports]


def _by_events(qnet: QNetwork, k: int, ports: tuple[PortParams, ...]) -> bool:
    layer = qnet.layers[k]
    late = [(port, e) for port, e in _edges(layer, ports) if e is not None and e.late]
    bits = 0
    for port, edge in late:
        assert edge.delays is not None
        most = qnet.input_max if port.source == INPUT else qnet.source_max(edge.source)
        if edge.delays.ndim > 1 or most > 1 or port.depth:
            return False
        if port.source == INPUT and qnet.input.payload_width:
            return False
        n = sum(i.n for i in qnet.inputs) if port.source == INPUT else edge.n_source
        bits += edge.longest * EventRing.words_of(n) * EventRing.fields_of(n)
    longest = max((edge.longest for _, edge in late if edge is not None), default=0)
    return 0 < bits < longest * layer.neuron.n * layer.synapse.acc_width


def _with_rings(qnet: QNetwork, k: int, ports: tuple[PortParams, ...]) -> tuple[PortParams, ...]:
    found = []
    for port, edge in _edges(qnet.layers[k], ports):
        if edge is not None and edge.late and edge.delays is not None:
            port = replace(port, delays=tuple(edge.delays.tolist()))
        found.append(port)
    return tuple(found)


def describe_delays(qnet: QNetwork, core: CoreParams, k: int) -> str:
    """Where layer `k` has its delays, in words; empty where it has none."""
    longest = max(edge.longest for edge in qnet.layers[k].edges)
    if not longest:
        return ""
    what = f"delays of up to {longest} {'step' if longest == 1 else 'steps'}"
    if by_events(qnet, k):
        return f"{what} in a ring of events"
    layer = core.layers[k]
    return f"{what} in a ring of sums, {layer.slots} slots of {layer.groups} words"
