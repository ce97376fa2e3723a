// SPDX-License-Identifier: Apache-2.0
//
// The two zlib functions that Verilator's waveform writer calls, so that a waveform needs no library
// beyond the compiler. Data is stored, not compressed: the writer keeps only its small tables here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

using uLong = unsigned long;
using uLongf = unsigned long;
using Bytef = unsigned char;
constexpr int Z_OK = 0;
constexpr int Z_BUF_ERROR = -5;

inline uLong compressBound(uLong size) { return size + 5 * (size / 65535 + 1) + 6; }

inline int compress2(Bytef* target, uLongf* room, const Bytef* source, uLong size, int) {
    if (*room < compressBound(size)) return Z_BUF_ERROR;
    Bytef* out = target;
    *out++ = 0x78;
    *out++ = 0x01;
    uint32_t a = 1, b = 0;
    for (uLong i = 0; i < size; ++i) {
        a = (a + source[i]) % 65521;
        b = (b + a) % 65521;
    }
    uLong at = 0;
    do {
        const uLong part = size - at < 65535 ? size - at : 65535;
        *out++ = at + part == size;
        *out++ = part & 255;
        *out++ = part >> 8;
        *out++ = ~part & 255;
        *out++ = (~part >> 8) & 255;
        std::memcpy(out, source + at, part);
        out += part;
        at += part;
    } while (at < size);
    for (const uint32_t half : {b, a}) {
        *out++ = half >> 8;
        *out++ = half & 255;
    }
    *room = static_cast<uLongf>(out - target);
    return Z_OK;
}
