# SPDX-License-Identifier: Apache-2.0
"""The scatter engine: accumulates where each event hits some of the sums only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikefab.hdl.accumulate import GroupSums
from spikefab.hdl.address import ConvAddresses
from spikefab.hdl.collision import NO_COLLISION
from spikefab.hdl.conv_params import ConvJoin, ConvParams
from spikefab.hdl.event import event_stream
from spikefab.hdl.load import LoadPort, load_columns
from spikefab.hdl.params import LayerParams, NeuronParams
from spikefab.hdl.products import product_stages, products
from spikefab.hdl.queue import Queue
from spikefab.hdl.shared_params import Phase
from spikefab.hdl.sparse import SparseAddresses
from spikefab.hdl.weights import WeightMemory

__all__ = ["ScatterEngine", "kernel_words", "stored_params"]


def stored_params(params: LayerParams, n_words: int) -> LayerParams:
    """The weight memory of a layer, of `n_words` words, as that of a dense one: a source a word."""
    return replace(
        params,
        synapse=replace(params.synapse, n_in=n_words, n_out=params.lanes),
        neuron=NeuronParams(n=params.lanes, fraction_bits=0, membrane_width=2),
        structure=None,
        grid=None,
        folds=1,
        replay=0,
        graded=False,
    )


def kernel_words(conv: ConvParams, weights: Sequence[Sequence[int]], lanes: int) -> list[list[int]]:
    """The words of a convolution's weights, a row each of `lanes` weights: word ``((c * KH + ky) *
    KW + kx) * span + g`` holds the weights from input channel c to the g-th `lanes` output channels
    of its group. Those of a join follow each other.

    `weights`: a row an output channel, of its group's input channels x kernel rows x kernel
    columns.
    """
    size = conv.kernel[0] * conv.kernel[1]
    channels, outputs = conv.in_shape[0] // conv.groups, conv.out_channels // conv.groups
    rows = [list(map(int, row)) for row in weights]
    words = []
    for c in range(conv.in_shape[0]):
        group, own = divmod(c, channels)
        mine = range(group * outputs, (group + 1) * outputs)
        first = conv.first_word(c, lanes) * lanes
        for position in range(own * size, (own + 1) * size):
            for start in range(first, first + conv.span(lanes) * lanes, lanes):
                word = [rows[o][position] if o in mine else 0 for o in range(start, start + lanes)]
                words.append(word)
    return words


class ScatterEngine(wiring.Component):
    """Adds the weights of every event to the sums that it hits; at the end of the step hands the
    sums on.

    To its neighbours it is an `AccumulateEngine`. Which weights go to which sums, and how many
    cycles an item takes, an address generator says: one word of weights and one of sums a cycle.

    Sums are in a memory. One is read in the cycle after its address, added to two cycles after it,
    and written back at once, so that the visits one and two cycles later find an old word. They
    are given the new one, on its way to the adder and from behind it: any order of visits is
    right, and costs nothing. A visit by a token hands a word over, and leaves zero behind.

    Where synapses have delays, the memory is a ring of slots, a step's sums each. An event adds to
    the slot of the step in which it acts; a token hands over the slot of its own step, and the next
    one's becomes the first. A sample's last token clears all slots.

    With `phases` several layers have their words of sums here: a token hands over those of its own
    one, and `end` is with the last row of the last phase.

    Members
    -------
    i : in stream, EventLayout(n_in, unsigned(payload_width))
    start : out stream, 1 bit
        Offered with a token that could start; it does in the cycle behind that in which `start` is
        accepted. The payload is the token's `last`.
    o : out stream without back-pressure, GroupSums
        `rows` consecutive items a token; the first `latency` cycles after `start`.
    load : in, LoadPort
        Only where the weights can be loaded.
    clearing : out, only where synapses have delays
        What a sample that has ended would have brought to later steps is cleared.
    """

    QUEUE = 2
    """Items that wait in front of the address generator."""
    ASKS = 1
    """Cycles from the acceptance of `start` to the token's beginning."""

    i: stream.Interface
    start: stream.Interface
    o: stream.Interface
    load: Any
    clearing: Signal

    def __init__(
        self, params: LayerParams, words: Sequence[Sequence[int]], phases: Sequence[Phase] = ()
    ):
        """`words`: a row a word of the weight memory, a weight a lane, as `kernel_words` and
        `compress` give them. `phases`: of a `SharedParams`."""
        self.params = params
        self.addresses: ConvAddresses | SparseAddresses
        if isinstance(params.structure, ConvJoin):
            self.addresses = ConvAddresses(params, params.structure)
        else:
            assert params.structure is not None
            self.addresses = SparseAddresses(params, params.structure, phases)
        stored = stored_params(params, self.addresses.n_weights)
        self.memory = WeightMemory(stored, [list(lane) for lane in zip(*words, strict=True)])
        self.sums = GroupSums(params.row_lanes, params.synapse.acc_width)
        payload = unsigned(params.synapse.payload_width)
        ports: dict[str, Any] = {
            "i": In(event_stream(self.addresses.n_in, payload)),
            "start": Out(stream.Signature(unsigned(1))),
            "o": Out(stream.Signature(self.sums, always_ready=True)),
        }
        if params.slots > 1:
            ports["clearing"] = Out(1)
        if params.loaded:
            ports["load"] = In(LoadPort(load_columns(stored), len(self.memory.words)))
        super().__init__(ports)

    @staticmethod
    def latency(params: LayerParams) -> int:
        """Cycles from the start of a token to its first group of sums."""
        stages = product_stages(params.synapse)
        addresses = ConvAddresses if isinstance(params.structure, ConvJoin) else SparseAddresses
        visit = ScatterEngine.ASKS + addresses.LATENCY + (params.slots > 1)
        return visit + WeightMemory.latency(params.synapse) + stages

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.params
        m.submodules.addresses = addresses = self.addresses
        m.submodules.weights = weights = self.memory
        # Whether the generator takes an item hangs on all that it counts, and on `start`: a queue,
        # so that the source of the items does not hang on that too.
        m.submodules.queue = queue = Queue(self.i.payload.shape(), self.QUEUE)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, addresses.i)
        self._ask(m, addresses.start)
        if p.loaded:
            wiring.connect(m, wiring.flipped(self.load), weights.load)
        visit: Any = addresses.o.payload
        valid: Value = addresses.o.valid
        if p.slots > 1:
            assert isinstance(addresses, SparseAddresses)
            visit, valid = self._turned(m, visit, valid)
            m.d.comb += self.clearing.eq(addresses.clearing)
        m.d.comb += weights.address.eq(visit.weights)
        terms = self._terms(m, weights.word, visit)

        # The visit goes along with its weights; its sums are read two cycles before these come.
        kept = [name for name, _ in visit.shape() if name not in ("weights", "value")]
        slot = data.StructLayout({"valid": 1, **{name: visit[name].shape() for name in kept}})
        now: Any = Signal(slot, name="visit0")
        m.d.comb += now.valid.eq(valid)
        m.d.comb += [now[name].eq(visit[name]) for name in kept]
        lag = WeightMemory.latency(p.synapse) + product_stages(p.synapse)
        slots = [now]
        for k in range(lag):
            slots.append(Signal(slot, name=f"visit{k + 1}"))
            m.d.sync += slots[-1].eq(slots[-2])
        reading, arriving, adding = slots[-3:]

        width = p.lanes * p.synapse.acc_width
        n_words = self.addresses.n_words * p.slots
        # A word that is read while it is written is not used.
        memory: Any = Memory(shape=width, depth=n_words, init=[], attrs=NO_COLLISION)
        m.submodules.sums = memory
        read, write = memory.read_port(), memory.write_port()
        written = Signal(width)
        old, total = Signal(width), Signal(width)
        two_ago, one_ago = Signal(), Signal()
        writes = adding.valid & adding.turn
        m.d.sync += [
            two_ago.eq(writes & (reading.word == adding.word)),
            one_ago.eq(writes & (arriving.word == adding.word)),
            # A block RAM is slow to its pins: a register of its own behind it.
            old.eq(Mux(two_ago, written, read.data)),
            written.eq(write.data),
        ]
        current = Signal(width)
        m.d.comb += [
            read.addr.eq(reading.word),
            current.eq(Mux(one_ago, written, old)),
            total.eq(self._add(current, terms)),
            write.addr.eq(adding.word),
            write.data.eq(Mux(adding.token, 0, total)),
            write.en.eq(writes),
        ]

        # A register of its own: it leads to the enables of every membrane.
        handing = Signal()
        hands = arriving.token & ~arriving.clear if p.slots > 1 else arriving.token
        m.d.sync += handing.eq(arriving.valid & hands)
        size = p.row_lanes * p.synapse.acc_width
        m.d.comb += [
            self.o.valid.eq(handing),
            self.o.payload.end.eq(adding.end),
            self.o.payload.last.eq(adding.last),
            Value.cast(self.o.payload.sums).eq(
                Array(current[k : k + size] for k in range(0, width, size))[adding.row]
            ),
        ]
        return m

    def _ask(self, m: Module, start: stream.Interface) -> None:
        """A token begins in the cycle behind that in which `start` was accepted: a register between
        what lets it and what that sets in motion."""
        granted = Signal()
        m.d.comb += [
            self.start.valid.eq(start.valid & ~granted),
            self.start.payload.eq(start.payload),
            start.ready.eq(granted),
        ]
        m.d.sync += granted.eq(self.start.valid & self.start.ready)

    def _turned(self, m: Module, visit: Any, valid: Value) -> tuple[Any, Value]:
        """The visits, a cycle later, with their words in the ring for words from its first slot."""
        words = self.addresses.n_words
        top = words * self.params.slots
        first = Signal(range(top), name="first_word")
        there = Signal(name="turned_valid")
        turned: Any = Signal(visit.shape(), name="turned")
        straight, around = Signal(range(2 * top)), Signal(range(2 * top))
        m.d.comb += [straight.eq(first + visit.word), around.eq(straight - top)]
        m.d.sync += [
            there.eq(valid),
            turned.eq(visit),
            turned.word.eq(Mux(straight >= top, around, straight)),
        ]
        with m.If(valid & visit.token & visit.end & ~visit.last):
            m.d.sync += first.eq(Mux(first == top - words, 0, first + words))
        return turned, there

    def _add(self, sums: Value, terms: Sequence[Value]) -> Value:
        width = self.params.synapse.acc_width
        parts = [sums.word_select(k, width).as_signed() for k in range(self.params.lanes)]
        return Cat((part + term)[:width] for part, term in zip(parts, terms, strict=True))

    def _terms(self, m: Module, word: Value, visit: Any) -> list[Value]:
        """What is added a lane: the weight, times the value of its event."""
        synapse = self.params.synapse
        width = synapse.operand_width
        weights = [word.word_select(k, width).as_signed() for k in range(self.params.lanes)]
        if not synapse.payload_width:
            return weights
        return products(m, synapse, weights, visit.value, WeightMemory.latency(synapse))
