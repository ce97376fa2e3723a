# SPDX-License-Identifier: Apache-2.0
"""What the neuron array takes, stage by stage as `hdl.lane` builds it."""

from __future__ import annotations

from functools import partial

from spikefab.gen.cells import Resources, adder, bits_for, compare, logic, memory, rom
from spikefab.hdl.lane import sum_width, update_width
from spikefab.hdl.params import CurrentParams, LayerParams, NeuronParams
from spikefab.hdl.shiftadd import signed_digits, trailing_zeros
from spikefab.hdl.store import RotatingStore
from spikefab.hdl.timing import NeuronTiming

__all__ = ["estimate_neurons", "estimate_store"]


def estimate_store(
    width: int, depth: int, layer: LayerParams, family: str, *, uniform: bool = True
) -> Resources:
    """A `RotatingStore`. What its first word comes from is not in it, nor what it is cleared with
    where words go to a memory."""
    if RotatingStore.is_ring(depth, layer.family):
        # A register is cleared by its own input for that.
        return logic(family, 1 + (0 if uniform else width), width * depth + 1)
    address = bits_for(depth)
    turns = logic(family, 2 * adder(address, family) + 4, 2 * address + 1, 2 * address)
    return memory(width, depth, family) + turns


def estimate_neurons(layer: LayerParams, family: str) -> Resources:
    """The neuron array: `row_lanes` datapaths, their stores, and constants that differ a neuron."""
    p, n = layer.neuron, layer.row_lanes
    timing = NeuronTiming(p, layer.rows, layer.family)
    found = _datapath(layer, timing, family) * n
    if any(p.leak_num):
        uniform = len(set(p.v_init)) == 1
        found += estimate_store(n * p.membrane_width, layer.rows, layer, family, uniform=uniform)
        if not RotatingStore.is_ring(layer.rows, layer.family):
            found += logic(family, n * p.membrane_width)
    if p.current is not None:
        found += estimate_store(n * p.current.width, layer.rows, layer, family)
        if not RotatingStore.is_ring(layer.rows, layer.family):
            found += logic(family, n * p.current.width)
    if timing.remembers:
        found += estimate_store(n, layer.rows, layer, family) + logic(family, n)
    found += _constants(layer, timing, family)
    # The pass's control bits go along; passes are spaced.
    return found + logic(family, 10, 5 * timing.output // 2 + bits_for(timing.spacing), 3)


def _constants(layer: LayerParams, timing: NeuronTiming, family: str) -> Resources:
    """Tables of constants, one a field and a stage that uses it, for neurons that share a lane."""
    p, found = layer.neuron, Resources()
    if layer.rows == 1:
        return found
    fields = [
        (field, getattr(p, field))
        for field in ("leak_num", "threshold", "bias", "bias_late", "v_init", "v_reset", "v_min")
    ]
    if p.current is not None:
        fields += [("current", p.current.leak_num), ("current", p.current.bias)]
    for field, values in fields:
        if values is None or len(set(values)) == 1:
            continue
        width = max(max(v.bit_length(), (~v).bit_length()) for v in values) + 1
        times = p.count_width if field == "threshold" else 1
        found += rom(width * layer.row_lanes, layer.rows, family) * times
    return found


def _datapath(layer: LayerParams, timing: NeuronTiming, family: str) -> Resources:
    """One of `NeuronLane`'s datapaths, from the sum and the membrane to what is stored."""
    p, acc = layer.neuron, layer.synapse.acc_width
    v, u = p.membrane_width, update_width(layer, timing)
    cells = partial(logic, family)
    ring = RotatingStore.is_ring(layer.rows, layer.family)
    many = len(set(p.threshold)) > 1 and layer.rows > 1
    top = max(p.threshold).bit_length() + 1

    def reach(width: int) -> int:
        """Tables of the comparison with the threshold."""
        if many:
            return adder(width, family) + (width if family == "ice40" else 0)
        return compare(width, max(p.threshold) + (p.compare == "gt"))

    def less(width: int) -> int:
        """Tables that subtract the threshold, or nothing."""
        return adder(width, family) + (top if many else 0)

    if not any(p.leak_num) and p.current is None:
        # Nothing is left of the membrane: the sum and the bias are compared, and that is all.
        return cells(reach(acc + p.fraction_bits), 2 * acc + p.count_width)
    found = cells(0, (v + acc) * timing.fetch)
    # The step's input: its lowest bits are 0.
    zeros, current = p.fraction_bits, acc
    given = p.bias if p.current is None else p.current.bias
    if any(given) or any(p.bias_late):
        zeros = min(trailing_zeros(b, zeros) for b in (*given, *p.bias_late))
        most = max(abs(b).bit_length() for b in given) + any(p.bias_late)
        most = max(most, *(1 + abs(b).bit_length() for b in p.bias_late))
        current = 1 - zeros + max(acc + p.fraction_bits, 1 + most)
        found += cells(adder(current, family), current + any(p.bias_late), current)
    else:
        found += cells(0, current)
    # A reset of the step before.
    if timing.remembers:
        found += cells(0, 1 + timing.fetch)
    elif timing.late:
        found += cells(reach(v), 1, 1)
    if timing.early_subtract:
        found += cells(less(v + 1), v + 1 + acc, v + 1)
        found += cells(0 if timing.remembers else v, 0 if timing.remembers else v)
    found += _leak(layer, p, v, family)
    if p.current is not None:
        zeros = 0
        found += _current(layer, timing, current, family)
    if timing.late and p.reset_time == "next-discard":
        found += cells(0 if p.reset == "zero" else u // 2, timing.update - timing.fetch - 2)
    elif timing.late and p.reset_time != "same":
        found += cells(0, timing.product - timing.fetch - 1)
        if timing.late_subtract and p.current is None:
            zeros = min(trailing_zeros(t, zeros) for t in p.threshold)
            current = max(acc + p.fraction_bits, top) + 1 - zeros
            found += cells(less(current), v + current, current)
        elif p.reset in ("zero", "value"):
            found += cells(v - zeros)
    found += cells(adder(u - zeros, family), u, u - zeros)
    # The spikes, and this step's reset; `stored`: bits that go to the store from a table.
    stored = 0
    # A last choice shares its tables with the clearing of a memory.
    chosen = v if ring else 0
    if timing.by_difference:
        found += cells(adder(u + 1, family) + u // 3 + chosen, 2 * u + 2, u + 2)
        stored = v
    elif p.spiking:
        resets = p.reset_time == "same" or p.reset_correction
        for k in range(p.count_width):
            found += cells(reach(u), k + 1 + (u if resets else 0), 1 + stored)
            if (p.reset, p.reset_time) == ("subtract", "same"):
                low = min(trailing_zeros(t, u) for t in p.threshold) + p.count_width - 1 - k
                found += cells(less(u - low))
                stored = u - low
        if p.reset_time == "same" and p.reset != "subtract":
            found += cells(chosen)
            stored = v
        if p.reset_correction:
            found += cells(adder(u, family) + top if p.reset == "subtract" else 2 * u, 2)
            stored = v
        if p.output_lag:
            found += cells(0, timing.spike - timing.fetch - 1)
    if timing.clamped:
        found += cells(0, u, stored)
        stored = v if p.v_min is not None or u > v else 0
        if p.v_min is not None:
            found += cells(u + (compare(u, 1) if len(set(p.v_min)) == 1 else u))
        if p.saturate and u > v:
            found += cells(1 + (u - v) // 3 + chosen)
    if ring:
        found += cells(0, 0, min(stored, v))
    return found


def _current(layer: LayerParams, timing: NeuronTiming, taken: int, family: str) -> Resources:
    """What a synaptic current adds to a datapath, whose input has `taken` bits."""
    p, c = layer.neuron, layer.neuron.current
    assert c is not None
    cells = partial(logic, family)
    v, w, total = p.membrane_width, c.width, sum_width(layer)
    found = cells(0, w * (timing.fetch + timing.early_subtract))
    # Its leak, and its sum with the input; in an order that adds first it is kept a stage longer.
    found += _leak(layer, c, w if c.order == "decay-add-use" else total, family)
    found += cells(0, 0 if c.order == "decay-add-use" else w)
    found += cells(adder(max(taken, total - p.fraction_bits), family), total, total)
    # The membrane's part waits for it.
    biased = any(p.bias) or timing.late_subtract
    found += cells(adder(v + 1, family) if biased else 0, v + biased, v if biased else 0)
    return found + cells(0, (v + biased) * (timing.current_used - timing.product - 1))


def _leak(layer: LayerParams, p: NeuronParams | CurrentParams, v: int, family: str) -> Resources:
    """`hdl.shiftadd.leak` of `v` bits and the register behind it."""
    shift = p.leak_shift
    cells = partial(logic, family)
    if len(set(p.leak_num)) > 1 and layer.rows > 1:
        width = max(p.leak_num).bit_length() + 1
        if family == "ice40":
            return cells(v * width, v, v)
        # Of 18 bits either way; what is wider is cut into 17 bits and a sign.
        n_dsp = [1 if bits <= 18 else -(-bits // 17) for bits in (v, width)]
        return cells(0, v) + Resources(dsp=n_dsp[0] * n_dsp[1])
    # Lanes of their own may differ.
    all_digits = sorted((signed_digits(k) for k in p.leak_num), key=len)
    digits = all_digits[len(all_digits) // 2]
    if not digits:
        return Resources()
    low = shift - digits[-1][0]
    inverted = 0 if family == "ecp5" else v
    if len(digits) == 1 and low < v:
        if low <= 0 or p.leak_rounding == "floor":
            return cells(0, v - max(0, low))
        return cells(adder(v - low, family) + low // 4, v - low, v - low)
    if len(digits) == 2 and digits[0] == (shift, 1) and low < v:
        return cells(adder(v, family) + compare(low, 1) + inverted, v, v)
    # Yosys adds three and more terms by full adders, two to three tables a bit, and then a chain.
    tables = adder(v + digits[0][0] - digits[-1][0], family) + 9 * v * max(0, len(digits) - 2) // 4
    tables += inverted * (len(digits) == 2 and digits[1][1] < 0)
    return cells(tables + 5 * (p.leak_rounding == "toward-zero"), v, v)
