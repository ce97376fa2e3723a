# SPDX-License-Identifier: Apache-2.0
"""One neuron in plain Python, read off `docs/numeric-contract.md`."""

from __future__ import annotations

from spikefab.hdl.params import CurrentParams, NeuronParams

__all__ = ["ScalarNeuron"]


class ScalarNeuron:
    """`docs/numeric-contract.md`, line by line, in unbounded integers."""

    leak_num: int
    threshold: int
    bias: int
    bias_late: int
    v_init: int
    v_reset: int
    v_min: int | None

    def __init__(self, params: NeuronParams, index: int):
        self.p = params
        for name in ("leak_num", "threshold", "bias", "bias_late", "v_init", "v_reset",
                     "v_min"):  # fmt: skip
            values = getattr(params, name)
            setattr(self, name, None if values is None else values[index % len(values)])
        self.v = self.v_init
        self.i, self.t = 0, 0
        if params.current is not None:
            self.i_leak = params.current.leak_num[index % len(params.current.leak_num)]
            self.i_bias = params.current.bias[index % len(params.current.bias)]

    def cmp(self, a: int, b: int) -> bool:
        return a > b if self.p.compare == "gt" else a >= b

    @staticmethod
    def leak(p: NeuronParams | CurrentParams, num: int, v: int) -> int:
        product, scale = v * num, 2**p.leak_shift
        if p.leak_rounding == "floor":
            return product // scale
        if p.leak_rounding == "nearest":
            return (2 * product + scale) // (2 * scale) if scale > 1 else product
        return product // scale if product >= 0 else -(-product // scale)

    def current(self, x: int) -> int:
        """What a step's input becomes before it acts on the membrane."""
        c = self.p.current
        if c is None:
            return x
        x += self.i_bias
        if c.order == "decay-add-use":
            self.i = used = self.leak(c, self.i_leak, self.i) + x
        elif c.order == "add-use-decay":
            used = self.i + x
            self.i = self.leak(c, self.i_leak, used)
        else:
            self.i = used = self.leak(c, self.i_leak, self.i + x)
        half = 2 ** (c.width - 1)
        assert -half <= self.i < half, "the current's bound does not hold"
        return used

    def reset(self, x: int, k: int) -> int:
        if self.p.reset == "subtract":
            return x - k * self.threshold
        if k == 0 or self.p.reset == "none":
            return x
        return 0 if self.p.reset == "zero" else self.v_reset

    def step(self, total: int) -> int:
        """One step from a sum of weights; gives the output."""
        p, th = self.p, self.threshold
        r = int(p.spiking and self.cmp(self.v, th))
        v1 = self.reset(self.v, r) if p.reset_time == "next-before-leak" else self.v
        leaked = self.leak(p, self.leak_num, v1)
        if p.reset_time == "next-after-leak":
            leaked = self.reset(leaked, r)
        x = total * 2**p.fraction_bits + (self.bias_late if self.t else 0)
        self.t += 1
        u = leaked + self.current(x) + self.bias
        if p.reset_time == "next-discard":
            u = self.reset(u, r)
        k = 0
        while p.spiking and k < p.max_count and self.cmp(u - k * th, th):
            k += 1
        w = self.reset(u, k) if p.reset_time == "same" else u
        if p.reset_correction and p.reset == "subtract":
            w = w - (k - r) * th
        if p.reset_correction and p.reset == "zero":
            w = w - (k - r) * w
        if self.v_min is not None:
            w = max(w, self.v_min)
        half = 2 ** (p.membrane_width - 1)
        if p.saturate:
            w = max(-half, min(half - 1, w))
        assert -half <= w < half, "the stated bound does not hold"
        self.v = w
        return r if p.output_lag else k
