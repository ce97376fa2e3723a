# SPDX-License-Identifier: Apache-2.0
"""A queue that is simple to reason about, and the proof that the real one behaves like it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from amaranth.hdl import Module, Shape, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from proofs.harness import Harness

from spikefab.hdl.queue import REGISTERS_MAX, Queue

__all__ = ["ShiftQueue", "model_harness", "model_queues"]


class ShiftQueue(wiring.Component):
    """Items move up as the first one leaves, so that the n-th is always in the n-th register.

    Takes the place of a `Queue` of registers in the proof of a component that contains one.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: data.StructLayout | Shape, depth: int):
        assert depth <= REGISTERS_MAX
        self.shape, self.depth = shape, depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        slots = [Signal(Shape.cast(self.shape), name=f"slot{k}") for k in range(self.depth)]
        level = Signal(range(self.depth + 1))
        put, take = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(level != self.depth),
            self.o.valid.eq(level != 0),
            Value.cast(self.o.payload).eq(slots[0]),
            put.eq(self.i.valid & self.i.ready),
            take.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += level.eq(level + put - take)
        for k, slot in enumerate(slots):
            with m.If(put & (level == (take + k if k else take))):
                m.d.sync += slot.eq(Value.cast(self.i.payload))
            if k + 1 < self.depth:
                with m.Elif(take):
                    m.d.sync += slot.eq(slots[k + 1])
        return m


def model_harness(depth: int, width: int = 2) -> Harness:
    """Queue and model answer the same in every cycle, for the same inputs."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = Queue(unsigned(width), depth)
    m.submodules.model = model = ShiftQueue(unsigned(width), depth)
    item, offer, take = h.input(width, "item"), h.input(1, "offer"), h.input(1, "take")
    for queue in (dut, model):
        m.d.comb += [
            queue.i.payload.eq(item),
            queue.i.valid.eq(offer),
            queue.o.ready.eq(take),
        ]
    h.check("same_ready", dut.i.ready == model.i.ready)
    h.check("same_valid", dut.o.valid == model.o.valid)
    h.check("same_item", ~dut.o.valid | (dut.o.payload == model.o.payload))
    h.cover("full", dut.o.valid & ~dut.i.ready & (dut.o.payload == 1))
    return h


@contextmanager
def model_queues() -> Iterator[None]:
    """A serialiser is built with `ShiftQueue`s."""
    with mock.patch("spikefab.hdl.serialise.Queue", ShiftQueue):
        yield
