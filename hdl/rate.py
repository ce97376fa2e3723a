# SPDX-License-Identifier: Apache-2.0
"""Rate coding: a random number for each input and step, compared with the input's value."""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikefab.hdl.params import InputParams

__all__ = ["RateDecision"]

SBOX = (12, 5, 6, 11, 9, 0, 10, 13, 3, 14, 15, 8, 4, 7, 1, 2)
TAPS = 0xA3000000
"""x^32 + x^30 + x^26 + x^25 + 1, primitive, for a state that shifts right."""
MULTIPLIER = 0x9E3779B1


def mixed(m: Module, x: Value, rounds: int, name: str) -> Value:
    """Rounds of SmallPRESENT-[4]: four S-boxes, a look-up table a bit, and crossed wires."""
    tables = [Const(sum((SBOX[v] >> b & 1) << v for v in range(16)), 16) for b in range(4)]
    for index in range(rounds):
        bits = [table.bit_select(x[k : k + 4], 1) for k in range(0, 16, 4) for table in tables]
        # A signal a round: as one expression the rounds would multiply.
        x = Signal(16, name=f"{name}{index}")
        for k, bit in enumerate(bits):
            m.d.comb += x[k if k == 15 else 4 * k % 15].eq(bit)
    return x


class RateDecision(wiring.Component):
    """Says of each entry whether it spikes in the current step: with probability value / largest.

    The random number is 16 bits, a permutation of the address keyed by a 32-bit shift register
    that moves once a step: it depends on address and step alone, whatever the order of entries,
    and every sample repeats it. See `docs/input-coding.md`.

    Members
    -------
    enable : in
        The pipeline moves.
    address, value : in
        The entry's, while `token` is 0.
    token, last : in
        The step ends; the sample's last one.
    spike : out
        What became of the entry, `LATENCY` moves later, from a register.
    """

    LATENCY = 4

    enable: Signal
    address: Signal
    value: Signal
    token: Signal
    last: Signal
    spike: Signal

    def __init__(self, params: InputParams, n_inputs: int):
        self.params = params
        super().__init__(
            {
                "enable": In(1),
                "address": In(range(max(2, n_inputs))),
                "value": In(params.payload_width),
                "token": In(1),
                "last": In(1),
                "spike": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start = self.params.seed * MULTIPLIER & 0xFFFFFFFF
        state = Signal(32, init=start)
        key = Signal(16)  # of the entry behind the first register
        drawn = [Signal(16, name=f"drawn{k}") for k in range(3)]
        values = [Signal.like(self.value, name=f"value{k}") for k in range(3)]
        repeated = Cat(*[values[2]] * 16)[-16:]
        with m.If(self.enable):
            with m.If(self.token):
                following = (state >> 1) ^ Mux(state[0], TAPS, 0)
                m.d.sync += state.eq(Mux(self.last, start, following))
            m.d.sync += [
                key.eq(state[16:]),
                # Memories are slow to their pins: little stands before this register.
                drawn[0].eq(self.address ^ state[:16]),
                drawn[1].eq(mixed(m, drawn[0], 3, "first") ^ key),
                drawn[2].eq(mixed(m, drawn[1], 4, "second")),
                *(b.eq(a) for a, b in pairwise([self.value, *values])),
                # The value's bits, repeated, are value / largest as a binary fraction.
                self.spike.eq(drawn[2] <= repeated),
            ]
        return m
