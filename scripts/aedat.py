# SPDX-License-Identifier: Apache-2.0
"""AEDAT 2.0 (jAER) and 3.1 (cAER, the DVS128 Gesture data), as iniVation's pages specify them.

Read here, unlike AEDAT 4 and N-MNIST: tonic 1.7.0 cannot. Four of its five readers unpack two
values of a function that returns three (neuromorphs/tonic, number 302), and its packets of AEDAT
3.1 are taken for polarity events whatever they hold, with 31-bit time.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

from spikefab.gen.errors import InputError

__all__ = ["read_aedat"]

SENSORS = {"DVS128": (128, 128), "DAVIS128": (128, 128), "DAVIS208": (192, 208),
           "DAVIS240": (180, 240), "DAVIS346": (260, 346), "DAVIS640": (480, 640)}  # fmt: skip
"""(height, width) of the cameras that headers name."""

PACKET = struct.Struct("<HHiiiiii")
"""Type, source, event size, offset of the time, its overflows, capacity, number, valid ones."""

POLARITY = 1
"""Type of a packet of polarity events."""

Columns = dict[str, np.ndarray]


def read_aedat(path: Path) -> tuple[Columns, tuple[int, int] | None]:
    """Columns t (microseconds), x, y and p, and the sensor's (height, width) where it is told."""
    data = path.read_bytes()
    version = re.match(rb"#!AER-DAT(\d+\.\d+)\r?\n", data)
    if not version:
        raise InputError(f"{path}: does not begin with #!AER-DAT and a version")
    number = version[1].decode()
    if number == "2.0":
        return _version_2(data, path)
    if number == "3.1":
        return _version_3(data, path)
    raise InputError(
        f"{path}: AEDAT {number}; known are 2.0, 3.1 and 4: convert it with DV or jAER"
    )


def _version_2(data: bytes, path: Path) -> tuple[Columns, tuple[int, int] | None]:
    """Pairs of address and time, big-endian; what an address means is the chip's."""
    start, chip = 0, ""
    while data[start : start + 1] == b"#":
        end = data.find(b"\n", start)
        if end < 0:
            raise InputError(f"{path}: nothing behind the header")
        line = data[start:end].decode("latin-1")
        if "AEChip:" in line:
            chip = line.split(":", 1)[1].strip().split(".")[-1]
        start = end + 1
    if (len(data) - start) % 8:
        raise InputError(
            f"{path}: {len(data) - start} bytes of events; AEDAT 2.0 has 8 an event: it is cut"
        )
    words = np.frombuffer(data, ">u4", offset=start).reshape(-1, 2).astype(np.int64)
    address, t = words[:, 0], words[:, 1]
    davis = chip.upper().startswith("DAVIS") if chip else (address >> 16).any()
    if davis:
        # Bit 31: a frame's or the IMU's word; bit 10: a pin's.
        keep = (address >> 31 == 0) & (address >> 10 & 1 == 0)
        address, t = address[keep], t[keep]
        columns = {"x": address >> 12 & 0x3FF, "y": address >> 22 & 0x1FF, "p": address >> 11 & 1}
    elif not chip or chip.upper() == "DVS128":
        keep = address >> 15 == 0  # bit 15: a pin's
        address, t = address[keep], t[keep]
        columns = {"x": address >> 1 & 0x7F, "y": address >> 8 & 0x7F, "p": address & 1}
    else:
        raise InputError(f"{path}: chip {chip}; known in AEDAT 2.0 are DVS128 and the DAVIS family")
    sensor = _sensor(chip) if chip else None if davis else SENSORS["DVS128"]
    return {"t": t, **columns}, sensor


def _version_3(data: bytes, path: Path) -> tuple[Columns, tuple[int, int] | None]:
    """Packets of one type of events each; those of polarity events that are valid."""
    end = data.find(b"#!END-HEADER\r\n")
    if end < 0:
        raise InputError(f"{path}: no line #!END-HEADER; it is cut, or no AEDAT 3.1")
    header = data[:end].decode("latin-1")
    kind = re.search(r"#Format: (\S+)", header)
    if kind and kind[1] != "RAW":
        raise InputError(f"{path}: format {kind[1]}; only RAW is read: convert it with DV")
    source = re.search(r"#Source \d+: (\S+)", header)
    at = end + len(b"#!END-HEADER\r\n")
    parts: list[np.ndarray] = []
    times: list[np.ndarray] = []
    while at < len(data):
        if at + PACKET.size > len(data):
            raise InputError(f"{path}: ends inside a packet's header; it is cut")
        type_, _, size, _, overflows, capacity, n, _ = PACKET.unpack_from(data, at)
        at += PACKET.size
        if size < 0 or not 0 <= n <= capacity or at + size * capacity > len(data):
            raise InputError(f"{path}: ends inside a packet, at byte {at}; it is cut")
        if type_ == POLARITY and n:
            if size != 8:
                raise InputError(f"{path}: polarity events of {size} bytes; they have 8")
            words = np.frombuffer(data, "<u4", count=2 * n, offset=at).reshape(-1, 2)
            valid = words[:, 0] & 1 == 1
            parts.append(words[valid, 0].astype(np.int64))
            times.append(words[valid, 1].astype(np.int64) + (overflows << 31))
        at += size * capacity
    if not parts:
        raise InputError(f"{path}: no polarity events in it")
    word = np.concatenate(parts)
    columns = {"x": word >> 17, "y": word >> 2 & 0x7FFF, "p": word >> 1 & 1}
    return {"t": np.concatenate(times), **columns}, _sensor(source[1]) if source else None


def _sensor(name: str) -> tuple[int, int] | None:
    """Of a camera's name such as DVS128 or Davis346cBSI."""
    sizes = [size for camera, size in SENSORS.items() if name.upper().startswith(camera)]
    return sizes[0] if sizes else None
