# SPDX-License-Identifier: Apache-2.0
"""How the layers of a core are connected, as plain data, and whether that can get stuck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from spikefab.hdl.param_error import ParamError, require
from spikefab.hdl.sparse_params import MAX_DELAY

__all__ = [
    "INPUT",
    "PortParams",
    "chain_ports",
    "check_ports",
    "find_deadlock",
    "stream_delays",
    "streams",
]

INPUT = -1
"""The core's input stream as a `PortParams.source`."""


@dataclass(frozen=True, kw_only=True)
class PortParams:
    """What one source brings to a layer: a range of its addresses as sources of the layer's
    weights.

    A layer's ports are taken in their order, a whole step of each. Ports of the input that follow
    each other share one stream, and are taken together.
    """

    source: int
    """Number of a layer, or `INPUT`."""
    size: int
    """Addresses that pass: of a layer all; of the input 0 or more. 0: its steps are counted, its
    events are not."""
    base: int = 0
    """The first of them in the source's addresses."""
    offset: int = 0
    """The first of them in the layer's `n_in`."""
    recurrent: bool = False
    """The source's step t acts in step t + 1; nothing comes in a sample's first step."""
    depth: int = 0
    """Items of a queue in front of the port, enough for all of one step, where `recurrent` delays
    spikes that do not come back; 0: none."""
    delays: tuple[int, ...] = ()
    """Steps by which each address is late: a ring of events stands in front of the port, for all
    ports of the stream; none where all are 0."""

    def __post_init__(self) -> None:
        require(self.source >= INPUT, "PortParams.source", self.source, "a layer's number or -1")
        for field, limit in (
            ("size", 1 << 16),
            ("base", (1 << 16) - 1),
            ("offset", 1 << 16),
            ("depth", 1 << 24),
        ):
            value = getattr(self, field)
            require(0 <= value <= limit, f"PortParams.{field}", value, f"0 to {limit}")
        require(not self.recurrent or self.source != INPUT, "PortParams.recurrent", True,
                "False for the input")  # fmt: skip
        require(not self.depth or self.recurrent, "PortParams.depth", self.depth,
                "0 unless recurrent")  # fmt: skip
        require(len(self.delays) in (0, self.size), "len(PortParams.delays)", len(self.delays),
                f"0 or the port's size, {self.size}")  # fmt: skip
        require(all(0 <= d <= MAX_DELAY for d in self.delays), "PortParams.delays", self.delays[:3],
                f"0 to {MAX_DELAY} steps")  # fmt: skip
        require(not self.depth or not self.delays, "PortParams.delays", self.delays[:3],
                "none behind a queue")  # fmt: skip

    @property
    def delay(self) -> int:
        """Steps by which the source is ahead."""
        return int(self.recurrent)


Ports = tuple[PortParams, ...]


def chain_ports(sizes: Sequence[int]) -> tuple[Ports, ...]:
    """The ports of a chain: `sizes` of the input and of each layer but the last."""
    return tuple((PortParams(source=k - 1, size=n),) for k, n in enumerate(sizes))


def streams(ports: Ports) -> tuple[Ports, ...]:
    """A layer's ports by the stream that brings them, in order."""
    found: list[list[PortParams]] = []
    for port in ports:
        if found and (port.source, port.recurrent) == (
            found[-1][-1].source,
            found[-1][-1].recurrent,
        ):
            found[-1].append(port)
        else:
            found.append([port])
    return tuple(tuple(group) for group in found)


def stream_delays(group: Ports, n: int) -> list[int]:
    """The delay of each of a stream's `n` addresses; none where nothing is late."""
    found = [0] * n
    for port in group:
        found[port.base : port.base + len(port.delays)] = port.delays
    return found if any(found) else []


def check_ports(
    name: str,
    k: int,
    ports: Ports,
    n_in: int,
    n_input: int,
    sizes: Sequence[int],
    most: Sequence[int],
    places: Sequence[tuple[int, int]] | None = None,
) -> None:
    """Raises `ParamError` unless these can be the ports of layer `k`, of `n_in` sources, in a core
    of `n_input` input addresses and layers of `sizes`, which send at `most` so many events a
    step.

    `places`: (offset, size) of each source where the layer's structure has them, by offset."""
    where = f"layer {name!r}: ports"
    require(any(not port.recurrent for port in ports), where, ports,
            "at least one that is not recurrent", "add one of size 0 from the input")  # fmt: skip
    for port in ports:
        require(port.source < (len(sizes) if port.recurrent else k), f"{where}: source",
                port.source, "an earlier layer, or the port recurrent")  # fmt: skip
        if port.source == INPUT:
            require(port.base + port.size <= n_input, f"{where}: base + size",
                    port.base + port.size, f"at most {n_input}, the input's addresses")  # fmt: skip
        else:
            n = sizes[port.source]
            require((port.base, port.size) == (0, n), f"{where}: base, size",
                    (port.base, port.size), f"(0, {n}): all of layer {port.source}")  # fmt: skip
            require(port.depth == 0 or port.depth > most[port.source], f"{where}: depth",
                    port.depth, f"0, or more than the {most[port.source]} events of a "
                    "step")  # fmt: skip
    heads = [(group[0].source, group[0].recurrent) for group in streams(ports)]
    require(len(set(heads)) == len(heads), f"{where}: sources", heads,
            "one port a layer, and those of the input side by side")  # fmt: skip
    for group in streams(ports):
        spans = sorted((port.base, port.base + port.size) for port in group)
        require(all(a[1] <= b[0] for a, b in pairwise(spans)), f"{where}: addresses", spans,
                "ranges that do not overlap", "add their weights up")  # fmt: skip
    if places is not None:
        found = sorted((port.offset, port.size) for port in ports if port.size)
        require(found == list(places), f"{where}: offset, size", found,
                f"those of the layer's structure, {list(places)}")  # fmt: skip
        return
    columns = sorted((port.offset, port.offset + port.size) for port in ports if port.size)
    ends = [0, *(end for _, end in columns)]
    require([start for start, _ in columns] == ends[:-1] and ends[-1] == n_in,
            f"{where}: offset, size", columns,
            f"the {n_in} sources of the layer's weights, each once")  # fmt: skip


def find_deadlock(ports: Sequence[Ports], outputs: Sequence[int]) -> list[int] | None:
    """Sources that can wait for each other for ever, or None.

    Takes the worst case: between a source and its consumers is no room, or that of a queue in front
    of a port, and all consumers must take a step's items together. Then "the items of source a in
    step t can leave only after those of source b in step t - w" follows from the order of ports,
    for every t, and the graph is stuck where these add up, round a loop, to a step that waits for
    itself or a later one.
    """
    waits: list[tuple[int, int, int]] = []
    n = len(ports)
    for k, layer in enumerate(ports):
        taken = []
        for group in streams(layer):
            source = group[0].source
            if group[0].depth:
                # What leaves the queue has come; what comes finds it empty but for the step before.
                waits += [(n, source, 0), (source, n, 1)]
                source, n = n, n + 1
            taken.append((source, group[0].delay))
        waits += _in_turn(taken)
        # A pass follows its step's items; there is room for two passes behind a layer.
        waits += [(k, source, delay) for source, delay in taken]
        waits.append((taken[-1][0], k, 2 - taken[-1][1]))
    waits += _in_turn([(k, 0) for k in sorted(outputs)])
    found = _loop(waits, n + 1)
    return None if found is None else [k for k in found if k < len(ports)]


def _in_turn(taken: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Who waits for whom where a consumer takes (source, delay) in this order in every step."""
    found = [(b, a, da - db) for (a, da), (b, db) in pairwise(taken)]
    if taken:
        (first, d_first), (last, d_last) = taken[0], taken[-1]
        found.append((first, last, 1 + d_last - d_first))
    return found


def _loop(waits: Sequence[tuple[int, int, int]], n: int) -> list[int] | None:
    """A loop of total weight 0 or less (Bellman and Ford), if there is one."""
    # Scaled so that a loop of at most n waits is negative when, and only when, its weights are not
    # positive.
    scaled = [(a, b, w * (n + 1) - 1) for a, b, w in waits]
    distance = dict.fromkeys(range(INPUT, n), 0)
    before: dict[int, int] = {}
    changed: int | None = None
    for _ in range(n + 1):
        changed = None
        for a, b, w in scaled:
            if distance[a] + w < distance[b]:
                distance[b], before[b], changed = distance[a] + w, a, b
        if changed is None:
            return None
    assert changed is not None
    for _ in range(n + 1):
        changed = before[changed]
    found = [changed]
    while before[found[-1]] != changed:
        found.append(before[found[-1]])
    return sorted(set(found))


def check_deadlock(names: Sequence[str], ports: Sequence[Ports], outputs: Sequence[int]) -> None:
    """Raises `ParamError` where layers can wait for each other for ever."""
    stuck = find_deadlock(ports, outputs)
    if stuck is not None:
        told = ", ".join("the input" if k == INPUT else repr(names[k]) for k in stuck)
        raise ParamError(f"CoreParams.ports: {told} wait for each other in this order of ports; "
                         "take recurrent ports first, each in the order of the layers, and give "
                         "those a depth whose sources come before the layer")  # fmt: skip
