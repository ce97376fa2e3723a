# SPDX-License-Identifier: Apache-2.0
"""Convolutions and poolings of a TOML config: their tables, and the shapes that they make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spikefab.gen.config_table import TableReader

__all__ = ["Shape", "Window", "read_conv", "read_pool"]

Shape = tuple[int, ...]

CONV_KEYS = ("channels", "kernel", "stride", "padding", "dilation", "groups")
POOL_KEYS = ("kind", "size", "stride", "padding")
POOLS = {"sum": "SumPool2d", "mean": "AvgPool2d"}
MAX_SIZE = 65536


@dataclass(frozen=True)
class Window:
    """A convolution or a pooling as the node of a NIR graph."""

    kind: str
    values: dict[str, Any]
    """All but weight and bias."""
    out_shape: Shape
    """(channels, rows, columns)."""
    weight_shape: Shape = ()
    """Of a convolution: (channels, channels in / groups, kernel rows, kernel columns)."""


def read_conv(reader: TableReader, where: str, value: Any, shape: Shape | None) -> Window | None:
    """`conv = { channels, kernel, stride, padding, dilation, groups }` on an image of `shape`
    (None: unknown, after another problem); None where something is wrong."""
    table = _table(reader, where, value, shape, CONV_KEYS, "{ channels = 8, kernel = 3 }")
    if table is None:
        return None
    before = len(reader.problems)
    for key in ("channels", "kernel"):
        if key not in table:
            what = "the maps that it makes" if key == "channels" else "a number, or [rows, columns]"
            reader.fail(f"{where}.{key}", f"is missing; give {what}")
    channels, groups = (
        reader.number(table, where, key, f"a whole number from 1 to {MAX_SIZE}",
                      lambda v: isinstance(v, int) and 1 <= v <= MAX_SIZE, 1)
        for key in ("channels", "groups")
    )  # fmt: skip
    kernel = _pair(reader, table, where, "kernel", 1, 1)
    stride = _pair(reader, table, where, "stride", 1, 1)
    dilation = _pair(reader, table, where, "dilation", 1, 1)
    padding = _padding(reader, table, where, stride)
    if len(reader.problems) > before or shape is None:
        return None
    if shape[0] % groups or channels % groups:
        reader.fail(f"{where}.groups", f"must divide the {shape[0]} channels that come and the "
                    f"{channels} that it makes", groups)  # fmt: skip
        return None
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if isinstance(padding, str):
        image: list[int] | None = list(shape[1:])  # the same
    else:
        image = _image(reader, where, "kernel", shape, reach, stride, padding)
    if image is None:
        return None
    return Window(
        kind="Conv2d",
        values={"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
        out_shape=(channels, *image),
        weight_shape=(channels, shape[0] // groups, *kernel),
    )


def read_pool(reader: TableReader, where: str, value: Any, shape: Shape | None) -> Window | None:
    """`pool = { kind, size, stride, padding }`; as `read_conv`."""
    table = _table(reader, where, value, shape, POOL_KEYS, "{ size = 2 }")
    if table is None:
        return None
    before = len(reader.problems)
    kind = table.get("kind", "sum")
    if kind not in POOLS:
        reader.fail(f"{where}.kind", f"must be one of {', '.join(POOLS)}", kind)
    if "size" not in table:
        reader.fail(f"{where}.size", "is missing; give a number, or [rows, columns]")
    size = _pair(reader, table, where, "size", 1, 1)
    stride = _pair(reader, table, where, "stride", 1, size)
    padding = _pair(reader, table, where, "padding", 0, 0)
    if len(reader.problems) > before or shape is None:
        return None
    image = _image(reader, where, "size", shape, size, stride, padding)
    if image is None:
        return None
    values = {"kernel_size": size, "stride": stride, "padding": padding}
    return Window(kind=POOLS[kind], values=values, out_shape=(shape[0], *image))


def _table(
    reader: TableReader, where: str, value: Any, shape: Shape | None, keys: Sequence[str], how: str
) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        reader.fail(where, f"must be a table, as {how}", value)
        return None
    reader.check_keys(where, value, tuple(keys))
    if shape is not None and len(shape) != 3:
        reader.fail(where, f"takes (channels, rows, columns), but gets shape {shape}; give the "
                    "input such a shape, or put the layer before dense ones")  # fmt: skip
        return None
    return value


def _pair(
    reader: TableReader,
    table: dict[str, Any],
    where: str,
    key: str,
    low: int,
    default: int | list[int],
) -> list[int]:
    """(rows, columns); one number stands for both."""
    value = table.get(key, default)
    pair = value if isinstance(value, list) else [value] * 2
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= low for n in pair)
    if len(pair) != 2 or not whole:
        reader.fail(f"{where}.{key}", f"must be a whole number >= {low}, or two, [rows, columns]",
                    value)  # fmt: skip
        return [1, 1]
    return list(pair)


def _padding(
    reader: TableReader, table: dict[str, Any], where: str, stride: list[int]
) -> list[int] | str:
    value = table.get("padding", 0)
    if not isinstance(value, str):
        return _pair(reader, table, where, "padding", 0, 0)
    if value == "valid":
        return [0, 0]
    if value != "same":
        reader.fail(f"{where}.padding", 'must be "same", "valid", a whole number, or two', value)
    elif stride != [1, 1]:
        reader.fail(f"{where}.padding", "needs stride 1; give the padding in numbers", value)
    return "same"


def _image(
    reader: TableReader,
    where: str,
    key: str,
    shape: Shape,
    size: list[int],
    stride: list[int],
    padding: list[int],
) -> list[int] | None:
    """Rows and columns that windows of `size` make."""
    padded = [n + 2 * p for n, p in zip(shape[1:], padding, strict=True)]
    if any(k > n for k, n in zip(size, padded, strict=True)):
        reader.fail(f"{where}.{key}", f"spans {size}, more than the padded image {padded}; make it "
                    "smaller, or pad more")  # fmt: skip
        return None
    image = [(n - k) // s + 1 for n, k, s in zip(padded, size, stride, strict=True)]
    if math.prod(image) > MAX_SIZE:
        reader.fail(where, f"makes maps of {image[0]} x {image[1]}; at most {MAX_SIZE} neurons")
        return None
    return image
