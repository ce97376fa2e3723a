// SPDX-License-Identifier: Apache-2.0
//
// The two LZ4 functions that Verilator's waveform writer calls, so that a waveform needs no library
// beyond the compiler. A greedy compressor with one hash table, writing plain LZ4 blocks.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    constexpr int kHashBits = 14;
    const uint8_t* const in = reinterpret_cast<const uint8_t*>(source);
    uint8_t* const out = reinterpret_cast<uint8_t*>(target);
    if (capacity < LZ4_compressBound(size)) return 0;
    std::vector<int> table(1 << kHashBits, -1);
    int at = 0, anchor = 0, o = 0;
    const auto load = [&](int i) {
        uint32_t v;
        std::memcpy(&v, in + i, 4);
        return v;
    };
    const auto length = [&](int rest) {
        for (; rest >= 255; rest -= 255) out[o++] = 255;
        out[o++] = static_cast<uint8_t>(rest);
    };
    const auto literals = [&](int end, int match) {
        const int count = end - anchor;
        out[o++] = static_cast<uint8_t>(((count < 15 ? count : 15) << 4) | (match < 15 ? match : 15));
        if (count >= 15) length(count - 15);
        std::memcpy(out + o, in + anchor, count);
        o += count;
    };
    // The format ends with five literals, and starts no match in the last twelve bytes.
    while (at + 12 < size) {
        const uint32_t word = load(at);
        const uint32_t hash = (word * 2654435761U) >> (32 - kHashBits);
        const int from = table[hash];
        table[hash] = at;
        if (from < 0 || at - from > 65535 || load(from) != word) {
            ++at;
            continue;
        }
        int end = at + 4;
        while (end < size - 5 && in[end] == in[from + (end - at)]) ++end;
        const int extra = end - at - 4;
        literals(at, extra);
        out[o++] = static_cast<uint8_t>((at - from) & 255);
        out[o++] = static_cast<uint8_t>((at - from) >> 8);
        if (extra >= 15) length(extra - 15);
        at = anchor = end;
    }
    literals(size, 0);
    return o;
}
