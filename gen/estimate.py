# SPDX-License-Identifier: Apache-2.0
"""What a core takes on a device, before synthesis.

Follows what the hardware builds, component by component. A carry chain, and a two-way choice, take
a table a bit; what registers hold, a flip-flop a bit. Block RAMs and multipliers are exact. Numbers
that stand alone are of control logic, counted in designs that nextpnr has packed;
`tests/gen/test_estimate.py` holds some of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from spikefab.gen.cells import Budget, Resources, adder, bits_for, choice, logic
from spikefab.gen.estimate_io import estimate_coder, estimate_link, estimate_loads, estimate_stop
from spikefab.gen.estimate_neurons import estimate_neurons, estimate_store
from spikefab.gen.estimate_route import estimate_queue, estimate_route
from spikefab.gen.estimate_scatter import estimate_scatter
from spikefab.hdl.accumulate import AccumulateEngine
from spikefab.hdl.memory_layout import SPRAM_DEPTH, plan_blocks
from spikefab.hdl.params import CoreParams, LayerParams, SynapseParams
from spikefab.hdl.products import booth_digits
from spikefab.hdl.queue import REGISTERS_MAX
from spikefab.hdl.scatter import ScatterEngine
from spikefab.hdl.serialise import CHUNK, CHUNKS_DEPTH, SpikeSerialiser, queue_depth
from spikefab.hdl.shared_params import Phase, SharedParams, shared_units
from spikefab.hdl.store import RotatingStore

__all__ = [
    "Budget",
    "Resources",
    "estimate_around",
    "estimate_core",
    "estimate_layer",
    "estimate_link",
    "estimate_shared",
    "estimate_unit",
    "weight_memory",
]


def estimate_core(core: CoreParams, family: str) -> Resources:
    """A core: its layers and what stands between and around them."""
    units = shared_units(len(core.layers), core.shared)
    layers = (estimate_unit(core, unit, family) for unit in units)
    between = estimate_loads(core, family) + estimate_route(core, family)
    return sum(layers, estimate_around(core, family) + between)


def estimate_around(core: CoreParams, family: str) -> Resources:
    """What does not depend on how layers are mapped: input coder, early stop, both ends."""
    ends = logic(family, 20, 10)
    return estimate_coder(core, family) + estimate_stop(core, family) + ends


def estimate_layer(layer: LayerParams, family: str) -> Resources:
    """One layer of a core."""
    out = _spikes(layer, family) if layer.neuron.spiking else _membranes(layer, family)
    engine = _engine(layer, family) + weight_memory(layer, family) + _replay(layer, family)
    return engine + estimate_neurons(layer, family) + out


def estimate_unit(core: CoreParams, unit: range, family: str) -> Resources:
    """What has one engine: a layer, or several that share it, as `shared_units` has them."""
    if len(unit) == 1:
        return estimate_layer(core.layers[unit[0]], family)
    return estimate_shared(SharedParams(core.layers[unit[0] : unit[-1] + 1]), family)


def estimate_shared(shared: SharedParams, family: str) -> Resources:
    """Layers that share an engine."""
    engine = _engine(shared.engine, family, shared.phases) + weight_memory(shared.engine, family)
    found = engine + estimate_neurons(shared.array, family)
    found += _spikes(shared.array, family, shared)
    # Addresses from outside, from inside and of tokens; those that leave; whose turn it is.
    address = bits_for(shared.first_token + len(shared.phases))
    out = bits_for(shared.layers[-1].neuron.n)
    turn = bits_for(len(shared.phases))
    moved = 2 * address + 2 * adder(address, family) + adder(out, family) + out
    return found + logic(family, moved + 2 * turn + 10, address + turn + 1, address + turn)


def weight_memory(layer: LayerParams, family: str) -> Resources:
    """What the layer's weights take, where they are kept, without the register behind them."""
    width, depth = layer.word_width, layer.weight_words
    rows = -(-depth // 16)
    found = Resources()
    if layer.synapse.trits:
        # A few tables for five of them, and a register more.
        found = logic(family, -(-layer.lanes // 5) * 24, width)
    if layer.storage == "block":
        tile = plan_blocks(depth, width, family)
        return found + Resources(lut=tile.choices, ram=tile.n_blocks)
    if layer.storage == "spram":
        banks = -(-depth // SPRAM_DEPTH)
        address = Resources(lut=bits_for(depth) + 4 + width * (banks - 1))
        return found + address + Resources(spram=-(-width // 16) * banks)
    if layer.storage == "lutram":
        cells = -(-width // 4) * 6 * rows
        return found + logic(family, 60 + cells + width * choice(rows), bits_for(depth) + 30)
    # Tables of 16 words, and choices between them: of their own on iCE40, wired in on ECP5.
    return found + Resources(lut=width * (rows if family == "ecp5" else 2 * rows - 1))


def _engine(layer: LayerParams, family: str, phases: Sequence[Phase] = ()) -> Resources:
    """The accumulate engine, without the memory of weights."""
    s, lanes, acc = layer.synapse, layer.lanes, layer.synapse.acc_width
    found = _product(s, family) * lanes
    if layer.structure is not None:
        found += logic(family, 0, lanes * s.weight_width)
        return found + estimate_scatter(layer, family, ScatterEngine.latency(layer), phases)
    ring = RotatingStore.is_ring(layer.groups, layer.family)
    # The sums: what goes back to the ring's last word is cleared by the registers.
    found += logic(family, adder(acc, family) * lanes)
    found += estimate_store(lanes * acc, layer.groups, layer, family)
    if ring:
        found += logic(family, 0, 0, lanes * acc)
    elif family == "ecp5":
        found += logic(family, lanes * acc, 0)
    if not RotatingStore.is_quick(layer.groups, layer.family):
        found += logic(family, 0, lanes * acc)
    if layer.folds > 1:
        row = bits_for(layer.folds)
        found += logic(family, layer.row_lanes * acc * choice(layer.folds) + 3, 4 * row, row)
    address, group = bits_for(s.n_in * layer.groups), bits_for(layer.groups)
    latency = AccumulateEngine.latency(s)
    step = 0
    if layer.groups > 1:
        # The event's first word is its address times the groups.
        step = address + adder(address, family) * (2 if layer.groups & (layer.groups - 1) else 1)
    held = address + group + 5 * latency + s.payload_width * (latency - 1)
    word = lanes * s.weight_width
    return found + logic(family, 8 + step + 2 * group, held + word, address + group if step else 0)


def _product(s: SynapseParams, family: str) -> Resources:
    """Weight times value: the terms of the value's digits, and a tree of additions."""
    bits, width = s.payload_width, s.term_width - s.payload_width
    if not bits:
        return Resources()
    digits = booth_digits(bits)
    if digits == 1:
        return logic(family, width)
    # A bit of a term is a function of two bits of the weight and of the value's bits around its
    # digit: two bits of the lowest digit, three (two tables) of those between, one or two of the
    # highest.
    tables = width + 1 + 2 * width * (digits - 2) + (width + 1 if bits % 2 else width - 1)
    registers, alone = 0, 0
    terms, span = digits, width + 3
    while terms > 1:
        pairs, single = terms // 2, terms % 2
        tables += pairs * adder(span, family)
        registers += pairs * span
        alone += single * (width + 1)
        terms, span = pairs + single, min(span + 4, s.term_width)
    return logic(family, tables, registers + alone, registers)


def _replay(layer: LayerParams, family: str) -> Resources:
    """The sums of a frame, which go round."""
    if not layer.replay:
        return Resources()
    width = layer.row_lanes * layer.synapse.acc_width
    count = bits_for(layer.rows) + bits_for(layer.replay + 1) + 4
    # What comes in, or what goes out.
    turn = width if layer.rows > 1 else 0
    return estimate_store(width, layer.rows, layer, family) + logic(
        family, turn + 8 + count, count, count + turn
    )


def _groups(depth: int, family: str) -> Resources:
    """Room for the groups of a pass."""
    level = bits_for(depth + 1)
    return logic(family, 2 * level + 4, level, level)


def _spikes(layer: LayerParams, family: str, shared: SharedParams | None = None) -> Resources:
    """The serialiser of spikes."""
    n, counts = layer.row_lanes, layer.neuron.count_width
    address, group = bits_for(layer.neuron.n), bits_for(layer.rows)
    chunks = -(-n // CHUNK)
    part = min(n, CHUNK) * counts
    entry = n * counts + group + 2 + chunks
    depth = queue_depth(layer.rows) if shared is None else shared.queue_depth
    # Which of the chunks hold spikes is not asked of one alone; a memory keeps it.
    unused = chunks == 1 and depth <= REGISTERS_MAX
    found = _groups(depth, family) + estimate_queue(entry - unused, depth, family)
    if shared is not None:
        # Which rows end a phase, and which of their lanes are padding.
        found += logic(family, len(shared.phases) * group // 3 + n * counts)
    found += logic(family, 2 * group, group, group)
    # The group's first address is its number times its lanes.
    base = address - (3 if n % CHUNK == 0 else 0)
    found += logic(family, adder(address, family) if layer.rows > 1 and n & (n - 1) else 0)
    if SpikeSerialiser.latency(n):
        held = n * counts + chunks + 3
        found += logic(family, n * counts // 3 + chunks, held, chunks)
        # A choice of one in `chunks` by a bit each.
        chosen = part * -(-(2 * chunks - 1) // 3)
        found += logic(family, chosen + 4 * chunks + 8, entry + 2 * chunks + 1, 2 * chunks)
        found += estimate_queue(part + base + 2, CHUNKS_DEPTH, family)
    tables = (34 if n >= CHUNK else 4 * n) * (1 + counts) // 2 + 6 + address
    if layer.rows > 1 and n % CHUNK:
        tables += adder(address, family)
    return found + logic(family, tables, part + base + address + 6, part + address)


def _membranes(layer: LayerParams, family: str) -> Resources:
    """The serialiser of membranes."""
    n, width, address = layer.row_lanes, layer.neuron.membrane_width, bits_for(layer.neuron.n)
    held = width + 2 * address + bits_for(n + 1) + 3
    tables = width * -(-(2 * n - 1) // 3) + n + adder(address + 1, family) + address + 12
    return (
        _groups(queue_depth(layer.rows), family)
        + estimate_queue(n * width + 2, queue_depth(layer.rows), family)
        + logic(family, tables, held, held)
    )
