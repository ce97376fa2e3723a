# SPDX-License-Identifier: Apache-2.0
"""The host link: a UART's two pins on one side, the core's event streams on the other."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spikefab.hdl.cobs import COBSDecoder, COBSEncoder
from spikefab.hdl.control import LinkControl
from spikefab.hdl.crc import CRCAppender
from spikefab.hdl.event import event_stream, membrane_payload
from spikefab.hdl.frames import MAX_PAYLOAD, FrameReceiver, FrameSender
from spikefab.hdl.link_buffer import FREED_UNIT, TRAILER, FrameBuffer
from spikefab.hdl.link_loader import Loader, load_stream
from spikefab.hdl.link_replies import COUNTERS, IDENTITY_BYTES, Replies
from spikefab.hdl.link_source import EventSource
from spikefab.hdl.readout import Readout, ReadoutParams, SampleMeter
from spikefab.hdl.uart import UARTReceiver, UARTTransmitter, check_divisor

__all__ = ["MAGIC", "PROTOCOL_VERSION", "HostLink", "LinkParams"]

MAGIC = b"SPKF"
PROTOCOL_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class LinkParams:
    """Shape of the link, and what it says of the design."""

    n_inputs: int
    """Input addresses, 1 to 65,536."""
    n_outputs: int
    """Output addresses, 1 to 65,536."""
    input_width: int = 0
    """Bits of an input event's value, 0 to 8; 0: spikes."""
    output_width: int
    """Bits of an output event's signed payload, 0 to 40; 0: spikes."""
    counted: tuple[tuple[int, int], ...] = ()
    """As `ReadoutParams.counted`."""
    n_classes: int | None = None
    """As `ReadoutParams.n_classes`."""
    load_words: int = 0
    """16-bit words that the core's memories need before they can be used, 0 to 2**23; 0: none."""
    design_hash: bytes
    """16 bytes, as in the manifest."""
    divisor: int
    """Clock cycles a bit on the line, 4 to 65,535."""
    max_payload: int = MAX_PAYLOAD
    """Payload bytes of the longest frame that the host may send, 16 to 249."""
    buffer: int = 1024
    """Bytes of the receive buffer's memory, a power of two, 512 to 32,768."""

    def __post_init__(self) -> None:
        if not 1 <= self.n_inputs <= 1 << 16:
            raise ValueError(f"LinkParams.n_inputs = {self.n_inputs!r}: must be 1 to 65536")
        if not 0 <= self.input_width <= 8:
            raise ValueError(f"LinkParams.input_width = {self.input_width!r}: must be 0 to 8")
        if not 0 <= self.load_words <= 1 << 23:
            raise ValueError(f"LinkParams.load_words = {self.load_words!r}: must be 0 to {1 << 23}")
        if len(self.design_hash) != 16:
            raise ValueError(f"LinkParams.design_hash: {len(self.design_hash)} bytes, must be 16")
        if not 16 <= self.max_payload <= MAX_PAYLOAD:
            raise ValueError(
                f"LinkParams.max_payload = {self.max_payload!r}: must be 16 to {MAX_PAYLOAD}"
            )
        if self.buffer not in (1 << n for n in range(9, 16)):
            raise ValueError(f"LinkParams.buffer = {self.buffer!r}: must be a power of two, "
                             f"512 to 32768")  # fmt: skip
        check_divisor(self.divisor)
        _ = self.readout

    @property
    def readout(self) -> ReadoutParams:
        return ReadoutParams(
            n_outputs=self.n_outputs,
            output_width=self.output_width,
            counted=self.counted,
            n_classes=self.n_classes,
        )

    @property
    def capacity(self) -> int:
        """Payload bytes that the host may have in the buffer."""
        return self.buffer - FREED_UNIT - TRAILER

    @property
    def identity(self) -> bytes:
        """Payload of IDENT between nonce and state."""
        return b"".join(
            (
                MAGIC,
                bytes((PROTOCOL_VERSION,)),
                self.design_hash,
                self.n_inputs.to_bytes(3, "little"),
                self.n_outputs.to_bytes(3, "little"),
                bytes((self.output_width, self.input_width, self.max_payload)),
                self.buffer.to_bytes(2, "little"),
                self.load_words.to_bytes(3, "little"),
            )
        ).ljust(IDENTITY_BYTES, b"\0")


class HostLink(wiring.Component):
    """A UART link that applies each event exactly once; `docs/protocol.md` is its contract.

    Members
    -------
    rx : in
        Pin, asynchronous.
    tx : out
        Pin.
    events : event stream
        To the core.
    results : event stream
        From the core.
    load : stream of `LoadLayout`, only with `load_words`
        To the core's memories, in order of address, while no sample is in the core.
    busy : out
        A sample is in the core.
    error : out
        A received frame was damaged or refused, since the last SYNC.
    """

    rx: Signal
    tx: Signal
    events: stream.Interface
    results: stream.Interface
    load: stream.Interface
    busy: Signal
    error: Signal

    def __init__(self, params: LinkParams):
        self._params = params
        super().__init__(
            {
                "rx": In(1),
                "tx": Out(1, init=1),  # type: ignore[call-arg]
                "events": Out(event_stream(params.n_inputs, unsigned(params.input_width))),
                "results": In(
                    event_stream(params.n_outputs, membrane_payload(params.output_width))
                ),
                "busy": Out(1),
                "error": Out(1),
                **({"load": Out(load_stream(params.load_words))} if params.load_words else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self._params
        m.submodules.control = control = LinkControl(p.buffer // FREED_UNIT)
        m.submodules.source = source = EventSource(p.n_inputs, p.input_width)
        m.submodules.meter = meter = SampleMeter()
        m.submodules.readout = readout = Readout(p.readout)
        m.submodules.replies = replies = Replies(p.identity)
        m.submodules.buffer = buffer = FrameBuffer(p.buffer)
        self._receive(m, control, buffer)
        self._send(m, control, readout, replies)
        self._consume(m, control, buffer, source, replies)

        connect(m, source.o, flipped(self.events))
        connect(m, flipped(self.results), readout.i)
        accepted = source.o.valid & source.o.ready
        m.d.comb += [
            source.flush.eq(control.flush),
            source.done.eq(readout.done),
            control.bad_word.eq(source.bad),
            source.hold.eq(replies.counting[COUNTERS.index("dropped")] | control.header.valid),
            meter.first.eq(source.first),
            meter.event.eq(accepted & ~source.o.p.token),
            meter.stop.eq(readout.stop),
            readout.cycles.eq(meter.cycles),
            readout.n_events.eq(meter.n_events),
            readout.events.eq(control.events),
            readout.scores.eq(control.scores),
            self.busy.eq(~source.idle),
        ]
        with m.If(control.nak):
            m.d.sync += self.error.eq(1)
        with m.Elif(control.ident):
            m.d.sync += self.error.eq(0)
        return m

    def _receive(self, m: Module, control: LinkControl, buffer: FrameBuffer) -> None:
        m.submodules.uart_rx = uart = UARTReceiver(self._params.divisor)
        m.submodules.decoder = decoder = COBSDecoder()
        m.submodules.receiver = receiver = FrameReceiver()
        connect(m, uart.o, decoder.i)
        connect(m, decoder.o, receiver.i)
        connect(m, receiver.header, control.header)
        connect(m, receiver.payload, buffer.i)
        m.d.comb += [
            uart.rx.eq(self.rx),
            decoder.error.eq(uart.error),
            receiver.n_expected.eq(control.n_expected),
            control.payload.payload.eq(receiver.payload.payload),
            control.payload.valid.eq(receiver.payload.valid),
            control.index.eq(receiver.index),
            buffer.keep.eq(control.keep),
            buffer.end.eq(receiver.header.valid),
            control.overflow.eq(buffer.overflow),
            control.freed.eq(buffer.freed),
        ]

    def _consume(
        self,
        m: Module,
        control: LinkControl,
        buffer: FrameBuffer,
        source: EventSource,
        replies: Replies,
    ) -> None:
        """What is in the buffer are event words, or with `load` the contents of the memories."""
        if not self._params.load_words:
            connect(m, buffer.o, source.i)
            m.d.comb += [
                buffer.clear.eq(control.flush),
                control.loaded.eq(1),
                control.quiet.eq(source.idle),
            ]
            return
        m.submodules.loader = loader = Loader(self._params.load_words)
        connect(m, loader.o, flipped(self.load))
        m.d.comb += [
            source.i.payload.eq(buffer.o.payload),
            loader.i.payload.eq(buffer.o.payload),
            source.i.valid.eq(buffer.o.valid & ~control.load),
            loader.i.valid.eq(buffer.o.valid & control.load),
            buffer.o.ready.eq(Mux(control.load, loader.i.ready, source.i.ready)),
            loader.flush.eq(control.flush),
            buffer.clear.eq(control.flush & ~loader.busy),
            loader.restart.eq(control.restart),
            control.quiet.eq(source.idle & ~loader.busy),
            control.loaded.eq(loader.loaded),
            replies.total.eq(loader.total),
        ]

    def _send(self, m: Module, control: LinkControl, readout: Readout, replies: Replies) -> None:
        m.submodules.sender = sender = FrameSender()
        m.submodules.appender = appender = CRCAppender()
        m.submodules.encoder = encoder = COBSEncoder()
        m.submodules.uart_tx = uart = UARTTransmitter(self._params.divisor)
        connect(m, control.nonce, replies.nonce)
        connect(m, replies.o, sender.control)
        connect(m, sender.o, appender.i)
        connect(m, appender.o, encoder.i)
        connect(m, encoder.o, uart.i)
        m.d.comb += [
            self.tx.eq(uart.tx),
            # While a flush drains the core, what it puts out is taken and forgotten.
            sender.data.payload.eq(readout.o.payload),
            sender.data.valid.eq(readout.o.valid & ~control.flush),
            readout.o.ready.eq(sender.data.ready | control.flush),
            sender.cut.eq(control.flush),
            sender.idle.eq(encoder.idle),
            sender.nearly_full.eq(encoder.nearly_full),
            replies.nonce_high.eq(control.nonce_high),
            replies.ident.eq(control.ident),
            replies.ack.eq(control.ack),
            replies.counters.eq(control.counters),
            replies.nak.eq(control.nak),
            replies.poll.eq(control.poll),
            replies.count.eq(control.count),
            replies.expected.eq(control.n_expected),
            replies.freed.eq(control.freed),
            replies.synced.eq(control.synced),
            replies.loaded.eq(control.loaded),
        ]
