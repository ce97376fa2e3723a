# SPDX-License-Identifier: Apache-2.0
"""What forks, merges and their queues take: `hdl.route`."""

from __future__ import annotations

from spikefab.gen.cells import Resources, adder, bits_for, logic, memory, rom
from spikefab.hdl.core import needs_merge, port_delays
from spikefab.hdl.delay import EventRing
from spikefab.hdl.params import INPUT, CoreParams, PortParams, streams
from spikefab.hdl.queue import REGISTERS_MAX
from spikefab.hdl.route import Merge

__all__ = ["estimate_queue", "estimate_route"]


def estimate_queue(width: int, depth: int, family: str) -> Resources:
    """A `Queue`."""
    level = bits_for(depth + 1)
    if depth <= REGISTERS_MAX:
        places = 2 * bits_for(depth) + level
        return logic(family, width * (depth - 1) + 8, width * depth + places, places)
    inner = depth - 1
    address = bits_for(inner)
    counts = 2 * (adder(address, family) + address) + 2 * adder(level, family) + 6
    held = 2 * address + level + 1
    return memory(width, inner, family) + logic(family, counts, held, held)


def estimate_route(core: CoreParams, family: str) -> Resources:
    """All that stands between the layers of a graph; nothing in a chain."""
    found = Resources()
    if core.is_chain:
        return found
    n_takers = dict.fromkeys(range(INPUT, len(core.layers)), 0)
    for k, layer in enumerate(core.layers):
        groups = streams(core.layer_ports[k])
        for group in groups:
            n_takers[group[0].source] += 1
            delays = port_delays(core, group)
            if delays:
                found += _ring(delays, family)
            if group[0].depth:
                width = 2 + bits_for(group[0].size) + layer.synapse.payload_width
                found += estimate_queue(width, group[0].depth, family)
        if needs_merge(core, k):
            s = layer.synapse
            found += _merge(groups, s.n_in, s.payload_width, core.n_inputs, family)
    outputs = sorted(zip(core.output_layers, core.output_offsets, strict=True))
    if len(outputs) > 1:
        ports = tuple(
            (PortParams(source=k, size=core.layers[k].neuron.n, offset=offset),)
            for k, offset in outputs
        )
        found += _merge(ports, core.n_outputs, core.output_width, core.n_inputs, family)
    for k in core.output_layers:
        n_takers[k] += 1
    for n in n_takers.values():
        if n > 1:
            found += logic(family, 2 * n + 1, n, n)
    return found


def _ring(delays: list[int], family: str) -> Resources:
    """An `EventRing`."""
    n, fields = len(delays), EventRing.fields_of(len(delays))
    top = max(delays) * EventRing.words_of(n)
    address, place = bits_for(n), bits_for(top)
    held = 2 + address + 2 * place + bits_for(EventRing.words_of(n)) + fields + 8
    tables = 4 * adder(place + 1, family) + 4 * fields + address + 30
    found = memory(fields, top, family) + rom(1 + place, n, family)
    return found + logic(family, tables, held, held)


def _merge(
    groups: tuple[tuple[PortParams, ...], ...], n: int, payload: int, n_input: int, family: str
) -> Resources:
    """A `Merge`: what moves and compares addresses, the choice of a port, a queue."""
    address = bits_for(n)
    found = estimate_queue(2 + address + payload, Merge.DEPTH, family)
    found += logic(family, (len(groups) - 1) * (2 + address + payload))
    recurrent = sum(group[0].recurrent for group in groups)
    for group in groups:
        for port in group:
            moved = port.offset != port.base and port.size > 0
            edges = (port.base > 0) + (0 < port.base + port.size < n_input)
            if port.source != INPUT:
                edges = 0
            found += logic(family, moved * adder(address, family) + edges * address // 2)
    held = bits_for(len(groups)) + (1 + recurrent + 1 if recurrent else 0)
    # As synthesised: merges of 2 and of 3 ports, 12 to 500 addresses.
    a_port = 13 if family == "ecp5" else 5
    return found + logic(family, 8 + a_port * len(groups) + 3 * recurrent, held, held)
