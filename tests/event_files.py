# SPDX-License-Identifier: Apache-2.0
"""Event recordings, written from the formats' specifications: nothing here reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

EVENTS = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])
"""As tonic orders them."""


def random_events(
    n: int, width: int, height: int, seed: int = 0, last: int = 300_000
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENTS)
    events["x"], events["y"] = rng.integers(0, width, n), rng.integers(0, height, n)
    events["p"] = rng.integers(0, 2, n)
    events["t"] = np.sort(rng.integers(0, last, n))
    return events


def write_nmnist(path: Path, events: np.ndarray) -> None:
    """x, y, a bit of polarity and 23 of time, big-endian; y = 240 adds 2^13 to what follows."""
    out = bytearray()
    overflows = 0
    for e in events:
        while int(e["t"]) - overflows * 2**13 >= 2**23:
            out += bytes([0, 240, 0, 0, 0])
            overflows += 1
        t = int(e["t"]) - overflows * 2**13
        out += bytes([e["x"], e["y"]]) + (int(e["p"]) << 23 | t).to_bytes(3, "big")
    path.write_bytes(out)


def write_aedat2(path: Path, events: np.ndarray, chip: str = "", extra: bytes = b"") -> None:
    """DVS128, or a DAVIS where `chip` names one; `extra`: bytes behind the last event."""
    out = bytearray(b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n")
    if chip:
        out += f"# AEChip: eu.seebetter.ini.chips.davis.{chip}\r\n".encode()
    for e in events:
        x, y, p = int(e["x"]), int(e["y"]), int(e["p"])
        address = y << 22 | x << 12 | p << 11 if chip else y << 8 | x << 1 | p
        out += struct.pack(">II", address, int(e["t"]))
    path.write_bytes(out + extra)


def aedat3_packet(kind: int, body: bytes, size: int, overflows: int = 0, unused: int = 0) -> bytes:
    """`unused`: events at its end that it has room for and does not hold."""
    capacity = len(body) // size
    n = capacity - unused
    return struct.pack("<HHIIIIII", kind, 1, size, 4, overflows, capacity, n, n) + body


def write_aedat3(path: Path, events: np.ndarray, source: str = "DVS128") -> None:
    """Packets of 100 polarity events; between them special events and an IMU's, which are none."""
    out = bytearray(b"#!AER-DAT3.1\r\n#Format: RAW\r\n")
    out += f"#Source 1: {source}\r\n".encode() + b"#Start-Time: 2026-01-01 00:00:00 (TZ+0000)\r\n"
    out += b"#!END-HEADER\r\n"
    for start in range(0, len(events), 100):
        part = events[start : start + 100]
        overflow = int(part["t"][0]) >> 31
        part = part[part["t"] >> 31 == overflow]
        body = b"".join(
            struct.pack(
                "<II",
                int(e["x"]) << 17 | int(e["y"]) << 2 | int(e["p"]) << 1 | 1,
                int(e["t"]) & 0x7FFFFFFF,
            )
            for e in part
        )
        invalid = struct.pack("<II", 5 << 17 | 5 << 2, int(part["t"][-1]) & 0x7FFFFFFF)
        out += aedat3_packet(0, struct.pack("<II", 3, 0) * 2, 8)
        unused = struct.pack("<II", 6 << 17 | 6 << 2 | 1, 0)
        out += aedat3_packet(1, body + invalid + unused, 8, overflow, unused=1)
        out += aedat3_packet(3, bytes(36), 36)
    path.write_bytes(out)


def _table(identifier: bytes, fields: bytes, offsets: list[int], rest: bytes) -> bytes:
    """A flatbuffer of one table, behind its size: root offset, identifier, vtable, fields, rest."""
    vtable = struct.pack(f"<{2 + len(offsets)}H", 4 + 2 * len(offsets), 4 + len(fields), *offsets)
    pad = -len(vtable) % 4
    root = 8 + pad + len(vtable)
    body = struct.pack("<I", root) + identifier + bytes(pad) + vtable
    body += struct.pack("<i", len(vtable)) + fields + rest
    return struct.pack("<I", len(body)) + body


def write_aedat4(path: Path, events: np.ndarray, width: int, height: int) -> None:
    """Without compression, 64 events a packet; a second stream holds others."""
    streams = "".join(
        f"""<node name="{k}" path="/mainloop/Recorder/outInfo/{k}/">
<attr key="compression" type="string">NONE</attr>
<attr key="originalOutputName" type="string">events</attr>
<attr key="typeIdentifier" type="string">EVTS</attr>
<node name="info" path="/mainloop/Recorder/outInfo/{k}/info/">
<attr key="sizeX" type="int">{width + k}</attr><attr key="sizeY" type="int">{height}</attr>
<attr key="source" type="string">test</attr></node></node>"""
        for k in (0, 1)
    )
    description = (
        '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">'
        f"{streams}</node></dv>"
    ).encode()
    # Fields of the header: compression 0 (left out), position of the file table (-1), description.
    fields = struct.pack("<Iq", 12, -1)
    text = struct.pack("<I", len(description)) + description + b"\0"
    out = bytearray(b"#!AER-DAT4.0\r\n" + _table(b"IOHE", fields, [0, 8, 4], text))
    for start in range(0, len(events), 64):
        part = events[start : start + 64]
        body = b"".join(
            struct.pack("<qhh?3x", int(e["t"]), int(e["x"]), int(e["y"]), bool(e["p"]))
            for e in part
        )
        # The field is the distance to the vector; structs of 16 bytes stand at multiples of 8.
        vector = struct.pack("<I", len(part)) + body
        packet = _table(b"EVTS", struct.pack("<I", 4), [4], vector)
        out += struct.pack("<II", 0, len(packet)) + packet
        out += struct.pack("<II", 1, len(packet)) + packet
    path.write_bytes(out)
