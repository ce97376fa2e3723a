# SPDX-License-Identifier: Apache-2.0
"""The readout: spike counts or membranes of a sample, its class, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.collision import NO_COLLISION
from spikefab.hdl.event import event_stream, membrane_payload
from spikefab.hdl.frames import FrameItem, FromBoard
from spikefab.hdl.link_source import word_bytes

__all__ = ["RESULT_BYTES", "Readout", "ReadoutParams", "SampleMeter"]

RESULT_BYTES = 9
"""steps 2, class 2, cycles 4, input events 1."""

STEPS_WIDTH = 16


@dataclass(frozen=True, kw_only=True)
class ReadoutParams:
    """Shape of the readout."""

    n_outputs: int
    """Output neurons, 1 to 65,536."""
    output_width: int
    """Bits of an output event's payload; 0: spikes are counted."""
    count_width: int = 16
    """Bits of a spike count, 1 to 16; it stays at the largest value."""
    counted: tuple[tuple[int, int], ...] = ()
    """With a payload: addresses, from one and below another, whose events are spikes that are
    counted all the same."""
    n_classes: int | None = None
    """Outputs, from address 0, among which the class is; None: all."""

    def __post_init__(self) -> None:
        if not 1 <= self.n_outputs <= 1 << 16:
            raise ValueError(f"ReadoutParams.n_outputs = {self.n_outputs!r}: must be 1 to 65536")
        if not 0 <= self.output_width <= 40:
            raise ValueError(f"ReadoutParams.output_width = {self.output_width!r}: must be 0 to 40")
        if not 1 <= self.count_width <= 16:
            raise ValueError(f"ReadoutParams.count_width = {self.count_width!r}: must be 1 to 16")
        for a, b in self.counted:
            if not 0 <= a < b <= self.n_outputs or not self.output_width:
                raise ValueError(f"ReadoutParams.counted = {self.counted!r}: must be ranges of "
                                 f"{self.n_outputs} outputs with a payload")  # fmt: skip
        if not 1 <= (self.n_classes or self.n_outputs) <= self.n_outputs:
            raise ValueError(
                f"ReadoutParams.n_classes = {self.n_classes!r}: must be 1 to {self.n_outputs}"
            )

    @property
    def payload_bytes(self) -> int:
        """Bytes of an integrator's membrane, as an event's payload and as a score."""
        return 0 if self.output_width == 0 else 4 if self.output_width <= 32 else 5

    @property
    def score_bytes(self) -> int:
        return self.payload_bytes or 2

    @property
    def score_width(self) -> int:
        """Bits of a score where events have a payload: it is signed, counts are not."""
        return max(self.output_width, self.count_width + 1) if self.counted else self.output_width

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
        Events from `first` to `stop`, modulo 256; holds as well.
    """

    first: Signal
    event: Signal
    stop: Signal
    cycles: Signal
    n_events: Signal

    def __init__(self) -> None:
        super().__init__(
            {"first": In(1), "event": In(1), "stop": In(1), "cycles": Out(32), "n_events": Out(8)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        running = Signal()
        with m.If(running):
            m.d.sync += self.cycles.eq(self.cycles + 1)
            m.d.sync += self.n_events.eq(self.n_events + self.event)
        with m.If(self.first):
            m.d.sync += [running.eq(1), self.cycles.eq(0), self.n_events.eq(self.event)]
        with m.Elif(self.stop):
            m.d.sync += running.eq(0)
        return m


class Readout(wiring.Component):
    """Takes the core's output; gives the words of EVENTS, SCORES and RESULT frames.

    A spike adds 1 to its output's score, which saturates; an integrator's event sets it. At the
    sample's last token the scores go out in order of address and return to 0; the class is the
    address of the highest one among the first `n_classes`, the lowest address where several are.
    The result follows.

    The number of steps is kept behind the scores, as if the tokens were spikes of an output more.
    An item stays at the input while its word is sent, so that no copy of it is needed.

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
        The last token has come.
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
                "n_events": In(8),
                "stop": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._params
        i, o = self.i, self.o
        width = max(STEPS_WIDTH, p.score_width)
        memory: Memory[Any, Any] = Memory(
            shape=unsigned(width), depth=p.n_outputs + 1, init=[], attrs=NO_COLLISION
        )
        m.submodules.memory = memory
        w = memory.write_port()
        r = memory.read_port()

        at_steps = p.n_outputs
        address = Signal(range(p.n_outputs + 1))  # of the sweep over the scores
        sweeping = Signal()
        score: Value = r.data[: p.score_width].as_signed() if p.output_width else r.data
        lowest = -(1 << (p.score_width - 1)) if p.output_width else 0
        best = Signal(score.shape(), init=lowest)
        best_address = Signal(range(p.n_outputs))
        # All bytes that may be sent, in one table: the result with the steps, which are read as a
        # spike count is, a membrane, a word.
        at_word = 24 if p.output_width else 12
        at_score = 16 if p.output_width else 0
        winner = Cat(best_address, Const(0, 16 - len(best_address)))
        result = Cat(r.data[:STEPS_WIDTH], winner, self.cycles, self.n_events)
        code = Cat(i.p.last, Const((1 << (8 * p.word_bytes - 2)) - 1, 8 * p.word_bytes - 1))
        word = Signal(8 * p.word_bytes)
        m.d.comb += word.eq(Mux(i.p.token, code, i.p.address))
        payload = _bytes(i.p.payload, p.payload_bytes) if p.output_width else []
        table: dict[int, Value] = {
            **dict(enumerate(_bytes(result, RESULT_BYTES))),
            **dict(enumerate(_bytes(score, p.score_bytes), at_score)),
            **dict(enumerate([*_bytes(word, p.word_bytes), *payload], at_word)),
        }
        place = Signal(5 if p.output_width else 4)
        # A register between the multiplexers and the CRC, which would be a long path together.
        byte = Signal(8)
        loaded = Signal()
        ends = Signal()  # the byte is a word's last one
        moved = Signal()
        here = Mux(i.p.token, at_steps, i.p.address)
        m.d.comb += [
            r.addr.eq(Mux(sweeping, address, here)),
            w.addr.eq(r.addr),
            moved.eq(o.valid & o.ready),
            o.valid.eq(loaded),
            o.p.data.eq(byte),
            o.p.boundary.eq(ends),
        ]
        m.d.sync += [byte.eq(_pick(table, place)), loaded.eq(0)]
        with m.If(moved):
            m.d.sync += place.eq(place + 1)

        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.stop.eq(i.valid & i.p.token & i.p.last)
                m.d.sync += [best.eq(best.init), best_address.eq(0), address.eq(0)]
                m.d.sync += place.eq(at_word)
                with m.If(i.valid):
                    m.next = "UPDATE"
            with m.State("UPDATE"):
                m.d.comb += w.data.eq(r.data + 1)
                if p.output_width:
                    m.d.comb += w.en.eq(1)
                    with m.If(~i.p.token):
                        m.d.comb += w.data.eq(i.p.payload)
                    for first, end in p.counted:
                        with m.If(~i.p.token & (i.p.address >= first) & (i.p.address < end)):
                            m.d.comb += w.data.eq(r.data + 1)
                            m.d.comb += w.en.eq(~r.data[: p.count_width].all())
                else:
                    m.d.comb += w.en.eq(i.p.token | ~r.data[: p.count_width].all())
                with m.If(self.events):
                    m.next = "WORD"
                with m.Else():
                    m.d.comb += i.ready.eq(1)
                    m.next = "TAKE"
                    with m.If(i.p.token & i.p.last):
                        m.next = "READ"
            with m.State("WORD"):
                end = at_word + p.word_bytes - 1
                if p.output_width:
                    m.d.comb += ends.eq(place == Mux(i.p.token, end, end + p.payload_bytes))
                else:
                    m.d.comb += ends.eq(place == end)
                m.d.sync += loaded.eq(~moved)
                m.d.comb += o.p.kind.eq(FromBoard.EVENTS & 7)
                with m.If(moved & ends):
                    m.next = "GIVE"
            with m.State("GIVE"):
                # A cycle of its own: the core does not hang on the link's logic.
                m.d.comb += i.ready.eq(1)
                m.next = "TAKE"
                with m.If(i.p.token & i.p.last):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += sweeping.eq(1)
                m.d.sync += place.eq(at_score)
                m.next = "SCORE"
                with m.If(address == at_steps):
                    m.d.sync += place.eq(0)
                    m.next = "RESULT"
            with m.State("SCORE"):
                m.d.comb += [
                    sweeping.eq(1),
                    ends.eq(place == at_score + p.score_bytes - 1),
                    o.p.kind.eq(FromBoard.SCORES & 7),
                ]
                m.d.sync += loaded.eq(self.scores & ~moved)
                with m.If(~self.scores | (moved & ends)):
                    m.d.comb += w.en.eq(1)  # back to 0
                    m.d.sync += address.eq(address + 1)
                    wins = score > best
                    if p.n_classes not in (None, p.n_outputs):
                        wins = wins & (address < p.n_classes)
                    with m.If(wins):
                        m.d.sync += [best.eq(score), best_address.eq(address)]
                    m.next = "READ"
            with m.State("RESULT"):
                m.d.comb += [
                    sweeping.eq(1),
                    ends.eq(place == RESULT_BYTES - 1),
                    o.p.kind.eq(FromBoard.RESULT & 7),
                    self.done.eq(moved & ends),
                    w.en.eq(self.done),  # the steps back to 0
                ]
                m.d.sync += loaded.eq(~moved)
                with m.If(self.done):
                    m.next = "TAKE"
        return m


def _bytes(value: Value, n: int) -> list[Value]:
    """`value` as n bytes, low byte first, its sign or zeros on top."""
    signed = value.shape().signed
    fill = value[-1].replicate(8 * n - len(value)) if signed else Const(0, 8 * n - len(value))
    extended = Cat(value, fill)
    return [extended[8 * k : 8 * k + 8] for k in range(n)]


def _pick(table: dict[int, Value], index: Value) -> Value:
    """The entry at `index`, any where the table has none."""
    if len(index) == 0:
        return table[0]
    half = 1 << (len(index) - 1)
    low = {k: value for k, value in table.items() if k < half}
    high = {k - half: value for k, value in table.items() if k >= half}
    if low and high:
        return Mux(index[-1], _pick(high, index[:-1]), _pick(low, index[:-1]))
    return _pick(low or high, index[:-1])
