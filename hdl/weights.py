# SPDX-License-Identifier: Apache-2.0
"""The weight memory: one word of weights a cycle, a weight a lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["WeightMemory", "pack_weights"]


def pack_weights(weights: Sequence[Sequence[int]], lanes: int, weight_width: int) -> list[int]:
    """The weight memory's words: word ``a * groups + g`` holds the weights from source a to the
    neurons of group g, lane 0 in the lowest bits.

    `weights`: n_out rows of n_in signed integers.
    """
    n_out, n_in = len(weights), len(weights[0])
    groups = -(-n_out // lanes)
    mask = (1 << weight_width) - 1
    words = [0] * (n_in * groups)
    for neuron, row in enumerate(weights):
        group, lane = divmod(neuron, lanes)
        shift = lane * weight_width
        for source, weight in enumerate(row):
            words[source * groups + group] |= (int(weight) & mask) << shift
    return words


class WeightMemory(wiring.Component):
    """Constant words, read one a cycle.

    Members
    -------
    address : in
    word : out, `width` bits
        The word at `address`, `LATENCY` cycles later, from a register.
    """

    LATENCY = 2

    address: Signal
    word: Signal

    def __init__(self, words: Sequence[int], width: int):
        self.words, self.width = list(words), width
        super().__init__({"address": In(range(len(self.words))), "word": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Any = Memory(shape=self.width, depth=len(self.words), init=self.words)
        m.submodules.memory = memory
        port = memory.read_port()
        m.d.comb += port.addr.eq(self.address)
        # Block RAM is slow to its pins: a register of its own behind it.
        m.d.sync += self.word.eq(port.data)
        return m
