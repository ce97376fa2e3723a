# SPDX-License-Identifier: Apache-2.0
"""What a layer takes on a device, before synthesis."""

from __future__ import annotations

from dataclasses import dataclass

from spikefab.hdl.memory_layout import SHAPES, SPRAM_DEPTH, plan_blocks
from spikefab.hdl.params import CoreParams, Family, LayerParams
from spikefab.hdl.serialise import CHUNK, queue_depth
from spikefab.hdl.shiftadd import signed_digits
from spikefab.hdl.store import RotatingStore

__all__ = ["Budget", "Resources", "estimate_layer", "estimate_stop", "weight_memory"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Cells: look-up tables (COMB, LC), flip-flops, block RAMs, multipliers, single-port RAMs."""

    lut: int = 0
    ff: int = 0
    ram: int = 0
    dsp: int = 0
    spram: int = 0

    def cells(self, family: str) -> int:
        """Cells of logic: look-up tables, and on iCE40 the flip-flops that share none of them.

        An iCE40 logic cell is a table with a flip-flop behind it. Few of the pipeline's registers
        follow a table of their own alone: six in seven take a cell, measured on placed designs.
        """
        return self.lut + (self.ff * 6 // 7 if family == "ice40" else 0)

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            lut=self.lut + other.lut,
            ff=self.ff + other.ff,
            ram=self.ram + other.ram,
            dsp=self.dsp + other.dsp,
            spram=self.spram + other.spram,
        )


@dataclass(frozen=True, kw_only=True)
class Budget(Resources):
    """What a device has."""

    family: Family
    """`ecp5` or `ice40`."""

    def exceeded(self, need: Resources) -> str:
        """The first resource of which `need` takes more, in words; empty where it fits."""
        if need.cells(self.family) > self.lut:
            return "logic"
        if need.ff > self.ff:
            return "flip-flops"
        if need.ram > self.ram:
            return "block RAM"
        if need.spram > self.spram:
            return "SPRAM"
        return ""


def blocks(width: int, depth: int, family: str) -> int:
    """Block RAMs of a memory that synthesis splits: the best grid of one shape."""
    return min(-(-width // w) * -(-depth // d) for d, w in SHAPES[family])


def weight_memory(layer: LayerParams, family: str) -> Resources:
    """What the layer's weights take, where they are kept, without the register behind them."""
    width, depth = layer.word_width, layer.synapse.n_in * layer.groups
    tables = -(-depth // 16)  # of one bit
    unpack = -(-layer.lanes // 5) * 24 if layer.synapse.trits else 0
    packed = width if layer.synapse.trits else 0
    if layer.storage == "block":
        tile = plan_blocks(depth, width, family)
        return Resources(lut=unpack + tile.choices // 2, ff=packed, ram=tile.n_blocks)
    if layer.storage == "spram":
        banks = -(-depth // SPRAM_DEPTH)
        return Resources(
            lut=unpack + 60 + width * (banks - 1), ff=packed + 45, spram=-(-width // 16) * banks
        )
    if layer.storage == "lutram":
        cells = -(-width // 4) * 6 * tables
        return Resources(lut=unpack + 60 + cells + width * (tables - 1) // 2, ff=packed + 45)
    # Tables of 16 words, and choices between them: of their own on iCE40, wired in on ECP5.
    return Resources(lut=unpack + width * (tables if family == "ecp5" else 2 * tables - 1))


def estimate_layer(layer: LayerParams, family: str) -> Resources:
    """Look-up tables, flip-flops, block RAMs and multipliers of one layer."""
    p, s, lanes, groups = layer.neuron, layer.synapse, layer.lanes, layer.groups
    rows, row_lanes = layer.rows, layer.row_lanes
    v, acc = p.membrane_width, s.acc_width
    current = acc + p.fraction_bits
    wide = max(v, current) + 1
    adders = max((len(signed_digits(k)) for k in p.leak_num), default=1) - 1
    late = p.spiking and (p.reset_time != "same" or p.output_lag)
    product = v + p.leak_shift

    # A carry chain takes one table a bit; so does a two-way choice. First the lanes: what is done
    # for every event.
    lut = acc + acc // 2  # accumulate, and clear
    ff = s.weight_width
    terms = s.payload_width // 2 + 1
    if s.payload_width:
        lut += terms * (s.weight_width + 1) + (terms - 1) * s.term_width
        ff += (terms - 1) * s.term_width
    ring = RotatingStore.is_ring(groups)
    ff += groups * acc if ring else acc
    lut += 0 if ring else _memory_tables(acc, groups, family)
    ram = 0
    if not ring and not _in_tables(groups, family):
        ram += blocks(lanes * acc, groups, family)
    lane = Resources(lut=lut * lanes, ff=ff * lanes, ram=ram)

    # Then the neuron datapaths: what is done once a step.
    lut = acc * (layer.folds - 1) // 2  # choose a row's sums
    lut += adders * product + wide  # leak, and input
    lut += (current if any(p.bias) else 0) + (2 * v if late else 0)
    lut += p.count_width * 3 * wide if p.spiking else 0  # compare, subtract, choose
    lut += 2 * v * (p.v_min is not None) + 3 * v * p.saturate
    ff = product + current + 2 * wide + p.count_width
    ram = 0
    stored = v + (acc if layer.replay else 0)
    if RotatingStore.is_ring(rows):
        ff += rows * stored
        lut += v // 4
    else:
        ff += stored
        lut += _memory_tables(stored, rows, family)
        if not _in_tables(rows, family):
            ram += blocks(row_lanes * stored, rows, family)
    value = p.count_width if p.spiking else v
    depth = queue_depth(rows)
    if depth <= 4:
        ff += depth * value
        lut += depth * value
    else:
        lut += _memory_tables(value, depth, family)
        if not _in_tables(depth, family):
            ram += blocks(row_lanes * value + 12, depth, family)
    multipliers = len(set(p.leak_num)) > 1 and rows > 1
    row = Resources(
        lut=lut * row_lanes, ff=ff * row_lanes, ram=ram, dsp=row_lanes if multipliers else 0
    )

    fixed = 120 + 14 * -(-row_lanes // CHUNK)
    return lane + row + weight_memory(layer, family) + Resources(lut=fixed, ff=fixed)


def _in_tables(depth: int, family: str) -> bool:
    """Whether a memory lives in look-up tables."""
    return family == "ecp5" and depth <= 64


def _memory_tables(width: int, depth: int, family: str) -> int:
    """Look-up tables of a memory in them: four bits by sixteen words take six."""
    return -(-width // 4) * 6 * -(-depth // 16) if _in_tables(depth, family) else 0


def estimate_stop(core: CoreParams, family: str) -> Resources:
    """The same of a core's early stop; nothing where it has none."""
    if core.stop is None:
        return Resources()
    width, n, ecp5 = core.score_width, core.n_outputs, family == "ecp5"
    if core.output_width:
        # Two comparisons, a difference, and the margin's comparison.
        return Resources(lut=55 + (20 * width // 3 if ecp5 else 6 * width), ff=25 + 5 * width)
    # Of each output a bit that is looked up; counts in a memory.
    counts = n * width
    ram = int(n > 64) if ecp5 else int(counts > 64)
    return Resources(
        lut=60 + (14 if ecp5 else 10) * width + 9 * n // 4,
        ff=30 + 4 * width + n + (0 if ram or ecp5 else counts),
        ram=ram,
    )
