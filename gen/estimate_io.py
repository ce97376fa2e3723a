# SPDX-License-Identifier: Apache-2.0
"""What stands around the layers: input coder, early stop, load decoder, a board's link."""

from __future__ import annotations

from spikefab.gen.cells import Resources, adder, bits_for, logic, memory, rom
from spikefab.hdl.load import load_columns, load_words
from spikefab.hdl.params import CoreParams
from spikefab.hdl.shared_params import engine_layers

__all__ = ["estimate_coder", "estimate_link", "estimate_loads", "estimate_stop"]


def estimate_coder(core: CoreParams, family: str) -> Resources:
    """The input coder, without its memories a sum over the bits of an address, a value and a step:
    fitted to cores of 16 to 784 inputs, of 2 to 8 bits."""
    i, n = core.input, core.n_inputs
    if not i.spiking:
        return Resources()
    a, value, step = bits_for(n), i.payload_width, bits_for(max(2, i.steps))
    if i.coding == "rate":
        entries = memory(a + value, 2 * n, family, safe=False)
        registers = 137 + 12 * a + 3 * value + step
        return entries + logic(family, 330 + 5 * a, registers, registers // 2)
    if i.coding == "latency":
        link = a + 2
        found = memory(a + link, 2 * n, family, safe=False)
        found += memory(2 * link, max(2, i.steps), family, safe=False) * 2
        found += rom(step, 1 << value, family)
        registers = 36 + 13 * a
        return found + logic(family, 100 + 10 * a, registers, registers // 2)
    registers = 30 + 12 * a + (a + 6 if i.off else 0)
    tables = 25 + 6 * a + 9 * value // 2 + (9 if i.off else 0)
    return memory(value, 2 * n, family, safe=False) + logic(
        family, tables, registers, registers // 2
    )


def estimate_stop(core: CoreParams, family: str) -> Resources:
    """The early stop; nothing where a core has none."""
    if core.stop is None:
        return Resources()
    width, n, ecp5 = core.score_width, core.n_outputs, family == "ecp5"
    if core.output_width:
        # Two comparisons, a difference, and the margin's comparison.
        registers = 25 + 5 * width
        return logic(
            family, 55 + (20 * width // 3 if ecp5 else 6 * width), registers, registers // 2
        )
    # Of each output a bit that is looked up; counts in a memory.
    counts = memory(width, n, family, safe=False, forwards=True)
    registers = 30 + 4 * width + n
    return counts + logic(
        family, 60 + (14 if ecp5 else 10) * width + 9 * n // 4, registers, registers // 2
    )


def estimate_loads(core: CoreParams, family: str) -> Resources:
    """The decoder of words for memories that are loaded."""
    layers = engine_layers(core)
    words = load_words(layers)
    if not words:
        return Resources()
    address, columns = bits_for(words), sum(load_columns(layer) for layer in layers)
    registers = 1 + address + 16 + bits_for(columns)
    return logic(family, 3 * adder(address, family) + 2 * columns + 4, registers, registers)


LINK = {"ecp5": Resources(lut=845, ff=382, ram=3), "ice40": Resources(lut=860, ff=410, ram=4)}
"""A board's link, clock and lights, without the memory of scores: as placed."""


def estimate_link(family: str, core: CoreParams | None = None) -> Resources:
    """What a board's top adds to a core; None: to one of few outputs that spike."""
    if core is None:
        return LINK[family] + memory(16, 11, family)
    scores = memory(max(16, core.output_width), core.n_outputs + 1, family)
    loads = Resources(lut=64, ff=40) if load_words(engine_layers(core)) else Resources()
    return LINK[family] + scores + loads
