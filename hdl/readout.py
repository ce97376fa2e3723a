# SPDX-License-Identifier: Apache-2.0
"""The readout: spike counts or membranes of a sample, its class, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.event import event_stream, membrane_payload
from spikefab.hdl.frames import FrameItem, FromBoard
from spikefab.hdl.link_source import word_bytes

__all__ = ["RESULT_BYTES", "Readout", "ReadoutParams", "SampleMeter"]

RESULT_BYTES = 14
"""class 2, steps 2, cycles 4, input events 3, output events 3."""


@dataclass(frozen=True, kw_only=True)
class ReadoutParams:
    """Shape of the readout."""

    n_outputs: int
    """Output neurons, 1 to 65,536."""
    output_width: int
    """Bits of an output event's payload; 0: spikes are counted."""
    count_width: int = 16
    """Bits of a spike count, 1 to 16; it stays at the largest value."""

    def __post_init__(self) -> None:
        if not 1 <= self.n_outputs <= 1 << 16:
            raise ValueError(f"ReadoutParams.n_outputs = {self.n_outputs!r}: must be 1 to 65536")
        if not 0 <= self.output_width <= 40:
            raise ValueError(f"ReadoutParams.output_width = {self.output_width!r}: must be 0 to 40")
        if not 1 <= self.count_width <= 16:
            raise ValueError(f"ReadoutParams.count_width = {self.count_width!r}: must be 1 to 16")

    @property
    def payload_bytes(self) -> int:
        """Bytes of an integrator's membrane, as an event's payload and as a score."""
        return 0 if self.output_width == 0 else 4 if self.output_width <= 32 else 5

    @property
    def score_bytes(self) -> int:
        return self.payload_bytes or 2

    @property
    def word_bytes(self) -> int:
        """Bytes of an output event's word, without payload."""
        return word_bytes(self.n_outputs)


class SampleMeter(wiring.Component):
    """Counts what a sample costs.

    Members
    -------
    first, event : in
        The core accepts a sample's first item; it accepts an event.
    stop : in
        The core's output gives the sample's last token.
    cycles : out
        Cycles from `first` to `stop`, modulo 2**32; holds until the next `first`.
    n_events : out
        Events since `first`, modulo 2**24.
    """

    first: Signal
    event: Signal
    stop: Signal
    cycles: Signal
    n_events: Signal

    def __init__(self) -> None:
        super().__init__(
            {"first": In(1), "event": In(1), "stop": In(1), "cycles": Out(32), "n_events": Out(24)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        running = Signal()
        with m.If(running):
            m.d.sync += self.cycles.eq(self.cycles + 1)
        with m.If(self.first):
            m.d.sync += [running.eq(1), self.cycles.eq(0), self.n_events.eq(self.event)]
        with m.Else():
            m.d.sync += self.n_events.eq(self.n_events + self.event)
            with m.If(self.stop):
                m.d.sync += running.eq(0)
        return m


class Readout(wiring.Component):
    """Takes the core's output; gives the words of EVENTS, SCORES and RESULT frames.

    A spike adds 1 to its output's score, which saturates; an integrator's event sets it. At the
    sample's last token the scores go out in order of address and return to 0; the class is the
    address of the highest one, the lowest address where several are. The result follows.

    Members
    -------
    i : event stream
        From the core: an item every second cycle while no word of it is sent.
    o : stream of `FrameItem`
    events, scores : in
        Send words for output events; send scores. May change between samples only.
    cycles, n_events : in
        The `SampleMeter`'s counts, held from the last token on.
    stop : out
        The last token is being accepted.
    done : out
        The result's last byte is being taken.
    """

    i: stream.Interface
    o: stream.Interface
    events: Signal
    scores: Signal
    cycles: Signal
    n_events: Signal
    stop: Signal
    done: Signal

    def __init__(self, params: ReadoutParams):
        self._params = params
        super().__init__(
            {
                "i": In(event_stream(params.n_outputs, membrane_payload(params.output_width))),
                "o": Out(stream.Signature(FrameItem())),
                "events": In(1),
                "scores": In(1),
                "cycles": In(32),
                "n_events": In(24),
                "stop": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._params
        i, o = self.i, self.o
        score_shape = signed(p.output_width) if p.output_width else unsigned(p.count_width)
        memory: Memory[Any, Any] = Memory(shape=score_shape, depth=p.n_outputs, init=[])
        m.submodules.memory = memory
        w = memory.write_port()
        r = memory.read_port()

        address = Signal.like(i.p.address)  # of the event, then of the sweep over the scores
        token = Signal()
        last = Signal()
        # The word or score that is being sent, low byte first; the sign follows.
        shift = Signal(signed(8 * max(p.word_bytes + p.payload_bytes, p.score_bytes)))
        place = Signal(range(max(RESULT_BYTES, 8)))
        best = Signal(score_shape)
        best_address = Signal.like(address)
        # A register between the result's multiplexer and the CRC: a long path together.
        byte = Signal(8)
        loaded = Signal()
        steps = Signal(16)
        n_out = Signal(24)

        m.d.comb += [
            r.addr.eq(Mux(i.ready, i.p.address, address)),
            w.addr.eq(address),
            self.stop.eq(i.valid & i.ready & i.p.token & i.p.last),
            o.p.data.eq(shift[:8]),
        ]
        moved = o.valid & o.ready
        m.d.sync += loaded.eq(0)
        with m.If(moved):
            m.d.sync += [shift.eq(shift >> 8), place.eq(place + 1)]

        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += i.ready.eq(1)
                m.d.sync += place.eq(0)
                m.d.sync += [address.eq(i.p.address), token.eq(i.p.token), last.eq(i.p.last)]
                word = Cat(i.p.address, Const(0, 8 * p.word_bytes - len(i.p.address)))
                code = Cat(i.p.last, Const((1 << (8 * p.word_bytes - 2)) - 1, 8 * p.word_bytes - 1))
                coded = Mux(i.p.token, code, word)
                m.d.sync += shift.eq(Cat(coded, i.p.payload) if p.output_width else coded)
                if p.output_width:
                    filled = 8 * p.word_bytes + p.output_width
                    m.d.sync += shift[filled:].eq(i.p.payload[-1].replicate(len(shift) - filled))
                with m.If(i.valid):
                    m.next = "UPDATE"
            with m.State("UPDATE"):
                if p.output_width:
                    # The sweep sends the score from `shift`, so it need not be read here.
                    payload = shift[8 * p.word_bytes : 8 * p.word_bytes + p.output_width]
                    m.d.comb += [w.data.eq(payload), w.en.eq(~token)]
                else:
                    m.d.comb += [w.data.eq(r.data + 1), w.en.eq(~token & ~r.data.all())]
                m.d.sync += [steps.eq(steps + token), n_out.eq(n_out + ~token)]
                with m.If(self.events):
                    m.next = "WORD"
                with m.Elif(last):
                    m.d.sync += address.eq(0)
                    m.next = "READ"
                with m.Else():
                    m.next = "TAKE"
            with m.State("WORD"):
                ends = place == p.word_bytes + p.payload_bytes - 1
                if p.payload_bytes:
                    ends |= token & (place == p.word_bytes - 1)
                m.d.comb += [
                    o.valid.eq(1),
                    o.p.kind.eq(FromBoard.EVENTS & 7),
                    o.p.boundary.eq(ends),
                ]
                with m.If(moved & ends):
                    m.next = "TAKE"
                    with m.If(last):
                        m.d.sync += address.eq(0)
                        m.next = "READ"
            with m.State("READ"):
                m.d.sync += place.eq(0)
                m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.comb += w.en.eq(1)  # back to 0
                m.d.sync += shift.eq(r.data)
                with m.If((address == 0) | (r.data > best)):
                    m.d.sync += [best.eq(r.data), best_address.eq(address)]
                m.next = "SCORE"
            with m.State("SCORE"):
                ends = place == p.score_bytes - 1
                m.d.comb += [
                    o.valid.eq(self.scores),
                    o.p.kind.eq(FromBoard.SCORES & 7),
                    o.p.boundary.eq(ends),
                ]
                with m.If(~self.scores | (moved & ends)):
                    m.d.sync += [address.eq(address + 1), place.eq(0)]
                    m.next = "READ"
                    with m.If(address == p.n_outputs - 1):
                        m.next = "RESULT"
            with m.State("RESULT"):
                result = Cat(
                    best_address, Const(0, 16 - len(best_address)),
                    steps, self.cycles, self.n_events, n_out,
                )  # fmt: skip
                ends = place == RESULT_BYTES - 1
                m.d.sync += [byte.eq(result.word_select(place, 8)), loaded.eq(~moved)]
                m.d.comb += [
                    o.valid.eq(loaded),
                    o.p.data.eq(byte),
                    o.p.kind.eq(FromBoard.RESULT & 7),
                    o.p.boundary.eq(ends),
                    self.done.eq(moved & ends),
                ]
                with m.If(self.done):
                    m.d.sync += [steps.eq(0), n_out.eq(0)]
                    m.next = "TAKE"
        return m
