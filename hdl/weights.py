# SPDX-License-Identifier: Apache-2.0
"""The weight memory: one word of weights a cycle, a weight a lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.load import LoadPort, load_columns
from spikefab.hdl.memories import LATENCY, BlockMemory, LogicMemory, LutMemory, Spram
from spikefab.hdl.params import LayerParams, SynapseParams
from spikefab.hdl.trits import pack_trits, unpack_trits

__all__ = ["WeightMemory", "pack_weights"]


def pack_weights(params: LayerParams, weights: Sequence[Sequence[int]]) -> list[int]:
    """The weight memory's words, of `params.word_width` bits: word ``a * groups + g`` holds the
    weights from source a to the neurons of group g, lane 0 in the lowest bits.

    `weights`: n_out rows of n_in signed integers. Binary weights are stored as their sign bit. Of
    the last group, lanes without a neuron hold 0, which binary weights do not have: there +1.
    """
    synapse, lanes, groups = params.synapse, params.lanes, params.groups
    width = synapse.weight_width
    mask = (1 << width) - 1
    rows = [list(map(int, row)) for row in weights]
    rows += [[0] * synapse.n_in] * (groups * lanes - synapse.n_out)
    words = []
    for source in range(synapse.n_in):
        for group in range(groups):
            word = [row[source] for row in rows[group * lanes : (group + 1) * lanes]]
            if synapse.trits:
                words.append(pack_trits(word))
            elif width == 1:
                words.append(sum((weight < 0) << k for k, weight in enumerate(word)))
            else:
                words.append(sum((weight & mask) << k * width for k, weight in enumerate(word)))
    return words


class WeightMemory(wiring.Component):
    """The weights of a layer, in what `params.storage` says.

    Members
    -------
    address : in
    word : out, lanes x signed(operand_width)
        The weights at `address`, `latency` cycles later, from a register.
    load : in, LoadPort
        Only where `params.loaded`: writes a word.
    """

    address: Signal
    word: Signal
    load: Any

    def __init__(self, params: LayerParams, weights: Sequence[Sequence[int]]):
        self.params = params
        self.words = pack_weights(params, weights)
        ports: dict[str, Any] = {
            "address": In(range(len(self.words))),
            "word": Out(params.lanes * params.synapse.operand_width),
        }
        if params.loaded:
            ports["load"] = In(LoadPort(load_columns(params), len(self.words)))
        super().__init__(ports)

    @staticmethod
    def latency(synapse: SynapseParams) -> int:
        """Cycles from an address to its weights: packed ones take one more to unpack."""
        return LATENCY + synapse.trits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, width = self.params, self.params.word_width
        memory: BlockMemory | LogicMemory | LutMemory | Spram
        if p.storage == "block":
            memory = BlockMemory(self.words, width, p.family)
        elif p.storage == "logic":
            memory = LogicMemory(self.words, width)
        elif p.storage == "lutram":
            memory = LutMemory(self.words, width)
        else:
            memory = Spram(len(self.words), width)
        m.submodules.memory = memory
        m.d.comb += memory.address.eq(self.address)
        if isinstance(memory, LutMemory | Spram):
            wiring.connect(m, wiring.flipped(self.load), memory.load)
        if p.synapse.trits:
            m.d.sync += self.word.eq(Cat(*unpack_trits(memory.word, p.lanes)))
        elif p.synapse.weight_width == 1:
            # +1 is 0b01 and -1 is 0b11: the stored sign, and a one below it.
            m.d.comb += self.word.eq(Cat(Cat(Const(1, 1), sign) for sign in memory.word))
        else:
            m.d.comb += self.word.eq(memory.word)
        return m
