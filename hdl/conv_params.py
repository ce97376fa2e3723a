# SPDX-License-Identifier: Apache-2.0
"""Convolution as plain data: shapes, address fields, and what each row and column of inputs hits.

Everything here is an integer, immutable and checked, as in `hdl.params`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod

from spikefab.hdl.param_error import require

__all__ = ["AxisEntry", "ConvJoin", "ConvParams", "GridParams", "Pads", "Pair"]

Pair = tuple[int, int]
"""A number for rows and one for columns."""

Pads = tuple[Pair, Pair]
"""Zeros around a map: ((top, bottom), (left, right))."""

MAX_ADDRESSES = 1 << 16
NO_PADS: Pads = ((0, 0), (0, 0))


@dataclass(frozen=True, kw_only=True)
class GridParams:
    """A population, or an input, of `channels` maps of `height` x `width`.

    An address is bit fields, the channel lowest: ``{y, x, c}``, each as wide as its largest value.

    Neurons are laid out position by position: a position's channels take `groups(lanes)` words of
    `lanes` neurons; channel c is lane ``c % lanes`` of word ``(y * width + x) * groups + c //
    lanes``. The last word of a position may be padded: a neuron there never spikes.
    """

    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for field in ("channels", "height", "width"):
            value = getattr(self, field)
            require(value >= 1, f"GridParams.{field}", value, ">= 1")
        require(
            self.n_addresses <= MAX_ADDRESSES, "GridParams: addresses", self.n_addresses,
            f"at most {MAX_ADDRESSES}: bits of channel, column and row together at most 16",
            "use fewer channels or smaller maps",
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def n(self) -> int:
        """Neurons, without padding."""
        return self.channels * self.height * self.width

    @property
    def c_bits(self) -> int:
        return (self.channels - 1).bit_length()

    @property
    def x_bits(self) -> int:
        return (self.width - 1).bit_length()

    @property
    def y_bits(self) -> int:
        return (self.height - 1).bit_length()

    @property
    def n_addresses(self) -> int:
        """One more than the largest address; some below it may belong to no neuron."""
        return self.address(self.channels - 1, self.height - 1, self.width - 1) + 1

    def address(self, c: int, y: int, x: int) -> int:
        return (y << self.x_bits | x) << self.c_bits | c

    @cached_property
    def addresses(self) -> tuple[int, ...]:
        """The address of each neuron, in C order of (channel, row, column)."""
        return tuple(
            self.address(c, y, x)
            for c in range(self.channels)
            for y in range(self.height)
            for x in range(self.width)
        )

    def groups(self, lanes: int) -> int:
        """Words of a position."""
        return -(-self.channels // lanes)

    def words(self, lanes: int) -> int:
        """Words of all positions."""
        return self.height * self.width * self.groups(lanes)

    def neurons(self, lanes: int) -> list[int | None]:
        """For each place of the layout the neuron that is there, by its number in C order of
        (channel, row, column); None: padding."""
        size = self.groups(lanes) * lanes
        positions = self.height * self.width
        return [
            c * positions + position if c < self.channels else None
            for position in range(positions)
            for c in range(size)
        ]


@dataclass(frozen=True, kw_only=True)
class AxisEntry:
    """What an input row, or column, hits: `count` pairs of (output, kernel index), the first one
    here; from one to the next the indices change by `ConvParams.steps`."""

    output: int
    kernel: int
    count: int


@dataclass(frozen=True, kw_only=True)
class ConvParams:
    """A convolution, with a pooling in front of it that adds up, or none.

    Cross-correlation, as every framework has it: output (o, oy, ox) adds up weight (o, c, ky, kx)
    times input (c, oy * stride + ky * dilation - padding, …). A convolution along one axis is one
    of height 1.
    """

    in_shape: tuple[int, int, int]
    """(channels, height, width) of the events, in front of the pooling."""
    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pads = NO_PADS
    dilation: Pair = (1, 1)
    groups: int = 1
    """Output channels see the input channels of their own group only: so many equal groups."""
    pool_kernel: Pair = (1, 1)
    pool_stride: Pair = (1, 1)
    """At least `pool_kernel`: windows that do not overlap."""
    pool_padding: Pads = NO_PADS

    def __post_init__(self) -> None:
        require(len(self.in_shape) == 3 and min(self.in_shape) >= 1, "ConvParams.in_shape",
                self.in_shape, "(channels, height, width), each >= 1")  # fmt: skip
        for field in ("kernel", "stride", "dilation", "pool_kernel", "pool_stride"):
            value = getattr(self, field)
            require(len(value) == 2 and min(value) >= 1, f"ConvParams.{field}", value,
                    "two numbers >= 1, for rows and for columns")  # fmt: skip
        for field in ("padding", "pool_padding"):
            value = getattr(self, field)
            require(len(value) == 2 and all(len(v) == 2 and min(v) >= 0 for v in value),
                    f"ConvParams.{field}", value,
                    "((top, bottom), (left, right)), each >= 0")  # fmt: skip
        require(self.out_channels >= 1, "ConvParams.out_channels", self.out_channels, ">= 1")
        require(self.groups >= 1 and self.in_shape[0] % self.groups == 0
                and self.out_channels % self.groups == 0, "ConvParams.groups", self.groups,
                f"a divisor of the input channels, {self.in_shape[0]}, and of the output channels, "
                f"{self.out_channels}")  # fmt: skip
        for axis, name in enumerate(("rows", "columns")):
            require(self.pool_kernel[axis] <= self.pool_stride[axis], "ConvParams.pool_kernel",
                    self.pool_kernel, f"at most pool_stride = {self.pool_stride}: windows that "
                    "overlap are not pooled in front of a convolution",
                    "compose the pooling into the kernel")  # fmt: skip
            for size, what in ((self.pooled[axis], "pooling"), (self.out_size[axis], "kernel")):
                require(size >= 1, f"ConvParams.in_shape: {name} behind the {what}", size,
                        ">= 1", "pad more, or use a smaller kernel")  # fmt: skip
        self.in_grid, self.out_grid  # noqa: B018  checked too

    @property
    def pooled(self) -> Pair:
        """Rows and columns behind the pooling: whole windows only."""
        return self._windows(self.in_shape[1:], self.pool_padding, self.pool_kernel,
                             self.pool_stride)  # fmt: skip

    @property
    def out_size(self) -> Pair:
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        return self._windows(self.pooled, self.padding, reach, self.stride)

    @staticmethod
    def _windows(
        sizes: tuple[int, ...], pads: Pads, reach: tuple[int, ...] | list[int], strides: Pair
    ) -> Pair:
        rows, columns = (
            (size + pad[0] + pad[1] - r) // stride + 1
            for size, pad, r, stride in zip(sizes, pads, reach, strides, strict=True)
        )
        return rows, columns

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (self.out_channels, *self.out_size)

    @cached_property
    def in_grid(self) -> GridParams:
        c, y, x = self.in_shape
        return GridParams(channels=c, height=y, width=x)

    @cached_property
    def out_grid(self) -> GridParams:
        c, y, x = self.out_shape
        return GridParams(channels=c, height=y, width=x)

    @property
    def pool_size(self) -> int:
        """Inputs of a pooling window."""
        return prod(self.pool_kernel)

    @property
    def steps(self) -> tuple[Pair, Pair]:
        """For rows and for columns: by how much (output, kernel) index change from one pair that
        an input hits to the next."""
        (s_y, s_x), (d_y, d_x) = self.stride, self.dilation
        g_y, g_x = gcd(s_y, d_y), gcd(s_x, d_x)
        return (d_y // g_y, -s_y // g_y), (d_x // g_x, -s_x // g_x)

    @cached_property
    def axes(self) -> tuple[tuple[AxisEntry, ...], tuple[AxisEntry, ...]]:
        """For each input row, and for each input column, what it hits."""
        return self._axis(0), self._axis(1)

    def _axis(self, axis: int) -> tuple[AxisEntry, ...]:
        kernel, stride, dilation = self.kernel[axis], self.stride[axis], self.dilation[axis]
        before, outputs = self.padding[axis][0], self.out_size[axis]
        entries = []
        for position in range(self.in_shape[1 + axis]):
            window, rest = divmod(position + self.pool_padding[axis][0], self.pool_stride[axis])
            pairs = []
            if rest < self.pool_kernel[axis] and window < self.pooled[axis]:
                at = window + before  # = output * stride + kernel index * dilation
                pairs = [
                    (output, (at - output * stride) // dilation)
                    for output in range(max(0, -(-(at - (kernel - 1) * dilation) // stride)),
                                        min(outputs - 1, at // stride) + 1)
                    if (at - output * stride) % dilation == 0
                ]  # fmt: skip
            first = pairs[0] if pairs else (0, 0)
            entries.append(AxisEntry(output=first[0], kernel=first[1], count=len(pairs)))
        return tuple(entries)

    def hits(self, y: int, x: int) -> int:
        """Kernel positions that exist for an input."""
        return self.axes[0][y].count * self.axes[1][x].count

    def span(self, lanes: int) -> int:
        """Words that hold the output channels of one input channel, at one position."""
        return -(-(self.out_channels // self.groups) // lanes)

    def weight_words(self, lanes: int) -> int:
        """Words of weights: of each input channel and kernel position."""
        return self.in_shape[0] * prod(self.kernel) * self.span(lanes)

    def first_word(self, c: int, lanes: int) -> int:
        """The first of these words, of a position's."""
        own = c // (self.in_shape[0] // self.groups)
        return own * (self.out_channels // self.groups) // lanes

    def shares_words(self, lanes: int) -> bool:
        """A word holds output channels of several groups; an event has weights for its own."""
        return self.groups > 1 and lanes > self.out_channels // self.groups

    def check_lanes(self, lanes: int) -> None:
        """Raises `ParamError` where the convolution cannot be laid out on `lanes` lanes."""
        require(1 <= lanes <= self.out_channels, "lanes of a convolution", lanes,
                f"1 to the output channels, {self.out_channels}")  # fmt: skip
        own = self.out_channels // self.groups
        require(self.groups == 1 or own % lanes == 0 or lanes % own == 0,
                "lanes of a grouped convolution", lanes,
                f"a divisor or a multiple of a group's output channels, {own}")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ConvJoin:
    """Convolutions of several sources into one population, whose sums they share; or one alone.

    The address space of source k is `offset(k)` and up: its number above its own bit fields.
    """

    convs: tuple[ConvParams, ...]

    def __post_init__(self) -> None:
        require(len(self.convs) >= 1, "ConvJoin.convs", self.convs, "at least one")
        shapes = {conv.out_shape for conv in self.convs}
        require(len(shapes) == 1, "ConvJoin.convs: out_shape", sorted(shapes), "the same of all")
        require(self.n_in <= MAX_ADDRESSES, "ConvJoin: addresses", self.n_in,
                f"at most {MAX_ADDRESSES}", "join fewer or smaller sources")  # fmt: skip

    @property
    def out_grid(self) -> GridParams:
        return self.convs[0].out_grid

    @property
    def address_bits(self) -> int:
        """Bits of the widest source's address."""
        return max((conv.in_grid.n_addresses - 1).bit_length() for conv in self.convs)

    def offset(self, k: int) -> int:
        """The first address of source k."""
        return k << self.address_bits

    @property
    def n_in(self) -> int:
        """One more than the largest address; some below it may belong to no source."""
        return self.offset(len(self.convs) - 1) + self.convs[-1].in_grid.n_addresses

    @property
    def places(self) -> list[tuple[int, int]]:
        """The first address and the number of addresses of each source."""
        sizes = [conv.in_grid.n_addresses for conv in self.convs]
        return [(self.offset(k), size) for k, size in enumerate(sizes)]

    def first_weights(self, lanes: int) -> list[int]:
        """The first word of weights of each source, and the number of all."""
        found = [0]
        for conv in self.convs:
            found.append(found[-1] + conv.weight_words(lanes))
        return found

    def shares_words(self, lanes: int) -> bool:
        """A word holds output channels of several groups of one of them."""
        return any(conv.shares_words(lanes) for conv in self.convs)

    def check_lanes(self, lanes: int) -> None:
        """Raises `ParamError` where it cannot be laid out on `lanes` lanes."""
        for conv in self.convs:
            conv.check_lanes(lanes)
        words = self.first_weights(lanes)[-1]
        require(words <= MAX_ADDRESSES, "words of a convolution's weights", words,
                f"at most {MAX_ADDRESSES}", "use more lanes")  # fmt: skip
