# SPDX-License-Identifier: Apache-2.0
"""What the stages of a neuron array share: the pass's control bits and per-neuron constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import Memory

from spikefab.hdl.params import LayerParams
from spikefab.hdl.shiftadd import leak_of

__all__ = ["GroupConstants", "PassControl"]


class PassControl:
    """The pass's control bits, delayed along the pipeline on demand."""

    def __init__(self, m: Module, valid: Value, end: Value, last: Value):
        self.m = m
        self.firsts: dict[int, Signal] = {}
        self.bits = [Signal(3, name="control0")]
        m.d.comb += self.bits[0].eq(Cat(valid, end & valid, last & valid))

    def at(self, stage: int) -> Signal:
        while len(self.bits) <= stage:
            bit = Signal(3, name=f"control{len(self.bits)}")
            self.m.d.sync += bit.eq(self.bits[-1])
            self.bits.append(bit)
        return self.bits[stage]

    def valid(self, stage: int) -> Value:
        return self.at(stage)[0]

    def end(self, stage: int) -> Value:
        return self.at(stage)[1]

    def first(self, stage: int) -> Signal:
        """The pass is a sample's first: the first of all, or the one after a sample's last."""
        if stage not in self.firsts:
            self.firsts[stage] = first = Signal(init=1, name=f"first{stage}")
            with self.m.If(self.end(stage)):
                self.m.d.sync += first.eq(self.last(stage))
        return self.firsts[stage]

    def last(self, stage: int) -> Value:
        return self.at(stage)[2]


class GroupConstants:
    """Per-neuron constants: wired where a lane has one value, else a small table per group."""

    def __init__(self, m: Module, params: LayerParams, control: PassControl):
        self.m, self.params, self.control = m, params, control
        self.n_tables = 0
        self.next_groups: dict[int, Signal] = {}
        self.cache: dict[tuple[str, int], list[Value]] = {}

    def values(self, field: str) -> list[list[int]]:
        """values[group][lane], padding 0."""
        p = self.params
        flat = self.derived(field)
        if len(flat) == 1:
            return [list(flat) * p.lanes] * p.groups
        padded = list(flat) + [flat[-1]] * (p.lanes * p.groups - len(flat))
        return [padded[g * p.lanes : (g + 1) * p.lanes] for g in range(p.groups)]

    def derived(self, field: str) -> tuple[int, ...]:
        """One value, or one a neuron: of a field of the population or of its current, or made of
        several."""
        n = self.params.neuron
        if field == "leaked_reset":
            pairs = _pairs(n.v_reset, n.leak_num, n.n)
            return tuple(leak_of(v, k, n) for v, k in pairs)
        if field == "v_init_above":
            pairs = _pairs(n.v_init, n.threshold, 1)
            return tuple(int(v > th if n.compare == "gt" else v >= th) for v, th in pairs)
        if field == "bias_reset":
            # With a reset by subtraction.
            return tuple(b - th for b, th in _pairs(n.bias, n.threshold, 1))
        if field == "input_bias":
            return n.bias if n.current is None else n.current.bias
        if field == "input_bias_late":
            # In every step but a sample's first.
            return tuple(a + b for a, b in _pairs(self.derived("input_bias"), n.bias_late, 1))
        if field == "current_leak_num":
            assert n.current is not None
            return n.current.leak_num
        values: tuple[int, ...] = getattr(n, field)
        return values

    def words(self, field: str, width: int) -> list[int]:
        """One word a group, lane 0 lowest."""
        mask = (1 << width) - 1
        return [
            sum((v & mask) << (lane * width) for lane, v in enumerate(row))
            for row in self.values(field)
        ]

    def word(self, field: str, stage: int, width: int) -> Value:
        """The current group's word at a stage."""
        words = self.words(field, width)
        total = width * self.params.lanes
        if len(set(words)) == 1:
            return Const(words[0], total)
        return self._table(words, total, stage)

    def lanes(self, field: str, stage: int) -> list[Value]:
        """The constant of every lane's current neuron at a stage."""
        key = (field, stage)
        if key not in self.cache:
            self.cache[key] = self._lanes(field, stage)
        return self.cache[key]

    def _lanes(self, field: str, stage: int) -> list[Value]:
        rows = self.values(field)
        flat = [v for row in rows for v in row]
        width = max(max(v.bit_length(), (~v).bit_length()) for v in flat) + 1
        columns = list(zip(*rows, strict=True))
        varying = [lane for lane, column in enumerate(columns) if len(set(column)) > 1]
        out: list[Value] = [Const(column[0], signed(width)) for column in columns]
        if varying:
            mask = (1 << width) - 1
            words = [
                sum((row[lane] & mask) << (k * width) for k, lane in enumerate(varying))
                for row in rows
            ]
            word = self._table(words, width * len(varying), stage)
            for k, lane in enumerate(varying):
                out[lane] = word.word_select(k, width).as_signed()
        return out

    def _table(self, words: list[int], width: int, stage: int) -> Value:
        self.n_tables += 1
        memory: Any = Memory(shape=width, depth=len(words), init=words)
        self.m.submodules[f"constants{self.n_tables}"] = memory
        port = memory.read_port()
        self.m.d.comb += port.addr.eq(self._next_group(stage))
        return port.data

    def _next_group(self, stage: int) -> Signal:
        """The group that the stage works on in the next cycle: a table's address."""
        if stage not in self.next_groups:
            m = self.m
            group = Signal(range(self.params.groups), name=f"group{stage}")
            following = Signal.like(group, name=f"next_group{stage}")
            step = Mux(self.control.end(stage), 0, group + 1)
            m.d.comb += following.eq(Mux(self.control.valid(stage), step, group))
            m.d.sync += group.eq(following)
            self.next_groups[stage] = following
        return self.next_groups[stage]


def _pairs(a: tuple[int, ...], b: tuple[int, ...], least: int) -> Iterator[tuple[int, int]]:
    """The values that belong together, as many as the longer has, `least` at least."""
    size = max(len(a), len(b), least)
    return zip(a * (size // len(a)), b * (size // len(b)), strict=True)
