# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategy: convolutions with a pooling in front, over all of their parameters."""

from __future__ import annotations

from hypothesis import strategies as st

from spikefab.hdl.conv_params import ConvParams

__all__ = ["convs"]


@st.composite
def convs(draw: st.DrawFn) -> ConvParams:
    """Any small convolution: every parameter of each axis on its own."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    c, o = (groups * draw(st.integers(1, 4)) for _ in range(2))
    axes = []
    for _ in range(2):
        size = draw(st.integers(1, 9))
        window = draw(st.sampled_from([1, 1, 2, 3]))
        stride = max(window, draw(st.sampled_from([1, 2, 3]))) if window > 1 else 1
        pads = draw(st.tuples(st.integers(0, 1), st.integers(0, 1))) if window > 1 else (0, 0)
        pooled = (size + sum(pads) - window) // stride + 1
        if pooled < 1:
            window, stride, pads, pooled = 1, 1, (0, 0), size
        kernel, dilation = draw(st.integers(1, 4)), draw(st.sampled_from([1, 1, 2, 3]))
        pad = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
        if dilation * (kernel - 1) + 1 > pooled + sum(pad):
            kernel = dilation = 1
        step = draw(st.sampled_from([1, 1, 2, 3, 4]))
        axes.append((size, window, stride, pads, kernel, dilation, pad, step))
    sizes, pools, strides, pool_pads, kernels, dilations, paddings, steps = zip(*axes, strict=True)
    return ConvParams(
        in_shape=(c, *sizes), out_channels=o, kernel=kernels, stride=steps, padding=paddings,
        dilation=dilations, groups=groups, pool_kernel=pools, pool_stride=strides,
        pool_padding=pool_pads,
    )  # fmt: skip
