# SPDX-License-Identifier: Apache-2.0
"""Asynchronous serial line, 8 data bits, no parity, one stop bit: bytes to bits and back."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["MIN_DIVISOR", "UARTReceiver", "UARTTransmitter", "check_divisor"]

MIN_DIVISOR = 4
"""Fewest clock cycles a bit: below, the middle of a bit is not where the receiver looks."""

MAX_DIVISOR = 65535


def check_divisor(divisor: int) -> None:
    """Raises `ValueError` where `divisor` is not a legal number of clock cycles a bit."""
    if not MIN_DIVISOR <= divisor <= MAX_DIVISOR:
        raise ValueError(f"divisor = {divisor!r}: must be {MIN_DIVISOR} to {MAX_DIVISOR} clock "
                         f"cycles a bit; choose another baud rate or clock")  # fmt: skip


class UARTReceiver(wiring.Component):
    """Bits to bytes. A byte is offered for one cycle, in the middle of its stop bit.

    Members
    -------
    rx : in
        The pin, asynchronous; idle high.
    o : stream of 8 bits, always ready
        Received bytes with a valid stop bit.
    error : out
        One cycle for each byte without a stop bit (noise, a break, another baud rate).
    """

    rx: Signal
    o: stream.Interface
    error: Signal

    def __init__(self, divisor: int):
        check_divisor(divisor)
        self._divisor = divisor
        super().__init__(
            {"rx": In(1), "o": Out(stream.Signature(8, always_ready=True)), "error": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rx = Signal(init=1)
        before = Signal(init=1)
        busy = Signal()
        timer = Signal(range(self._divisor))
        starts = Signal()  # the start bit's middle has not come yet
        shift = Signal(9)  # a one comes out at the end when all bits are in
        m.submodules.synchroniser = FFSynchronizer(self.rx, rx, init=1)
        m.d.sync += [before.eq(rx), timer.eq(timer - 1), self.o.valid.eq(0), self.error.eq(0)]
        m.d.comb += self.o.payload.eq(shift[1:])
        # An edge, not a level: a line held low is one bad byte, not an endless row of them.
        with m.If(~busy & before & ~rx):
            m.d.sync += [busy.eq(1), starts.eq(1), timer.eq(self._divisor // 2 - 1)]
        with m.Elif(busy & (timer == 0)):
            m.d.sync += [timer.eq(self._divisor - 1), starts.eq(0)]
            with m.If(starts):
                m.d.sync += [busy.eq(~rx), shift.eq(1 << 8)]  # shorter than half a bit: a glitch
            with m.Elif(shift[0]):
                m.d.sync += [busy.eq(0), self.o.valid.eq(rx), self.error.eq(~rx)]
            with m.Else():
                m.d.sync += shift.eq(Cat(shift[1:], rx))
        return m


class UARTTransmitter(wiring.Component):
    """Bytes to bits: ten bit times a byte, no gap while bytes wait.

    Members
    -------
    i : stream of 8 bits
        Bytes to send.
    tx : out
        The pin, from a register; idle high.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, divisor: int):
        check_divisor(divisor)
        self._divisor = divisor
        super().__init__(
            {"i": In(stream.Signature(8)), "tx": Out(1, init=1)}  # type: ignore[call-arg]
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self._divisor))
        bits = Signal(9)  # what follows the bit on the line; empty when all ones were shifted out
        n_bits = Signal(range(11))
        tick = Signal()
        m.d.comb += tick.eq(timer == 0)
        m.d.comb += self.i.ready.eq((n_bits == 0) & tick)
        with m.If(~tick):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(n_bits != 0):
            m.d.sync += [
                timer.eq(self._divisor - 1),
                n_bits.eq(n_bits - 1),
                self.tx.eq(bits[0]),
                bits.eq(Cat(bits[1:], 1)),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += [
                timer.eq(self._divisor - 1),
                n_bits.eq(9),
                self.tx.eq(0),
                bits.eq(Cat(self.i.payload, 1)),
            ]
        return m
