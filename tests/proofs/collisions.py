# SPDX-License-Identifier: Apache-2.0
"""Memories of which nothing is known where a word is read in the cycle in which it is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from amaranth.asserts import AnySeq
from amaranth.hdl import Elaboratable, Module, Mux, Shape, Signal
from amaranth.lib.memory import Memory

__all__ = ["CollidingMemory", "colliding_memories"]


class CollidingMemory(Elaboratable):
    """Takes the place of a `Memory` with one read port and at most one write port. A read that
    meets a write of the same word gives any value, which a proof may choose: the old word, the new
    one, or neither, as memories do from which synthesis has been told not to save such a read."""

    def __init__(self, **options: Any):
        self.inner: Any = Memory(**options)
        self.shape = Shape.cast(options["shape"])
        self.writer: Any = None

    def write_port(self) -> Any:
        self.writer = self.inner.write_port()
        return self.writer

    def read_port(self) -> Any:
        self.reader = self.inner.read_port()
        self.port = SimpleNamespace(
            addr=self.reader.addr, en=self.reader.en, data=Signal(self.shape, name="read_data")
        )
        return self.port

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = self.inner
        reader, writer = self.reader, self.writer
        if writer is None:
            m.d.comb += self.port.data.eq(reader.data)
            return m
        collided = Signal()
        with m.If(reader.en):
            m.d.sync += collided.eq(writer.en & (writer.addr == reader.addr))
        m.d.comb += self.port.data.eq(Mux(collided, AnySeq(len(self.port.data)), reader.data))
        return m


@contextmanager
def colliding_memories() -> Iterator[None]:
    """Stores and queues are built with `CollidingMemory`, those of more than a few words."""
    with (
        mock.patch("spikefab.hdl.store.Memory", CollidingMemory),
        mock.patch("spikefab.hdl.queue.Memory", CollidingMemory),
    ):
        yield
