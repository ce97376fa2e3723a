// SPDX-License-Identifier: Apache-2.0
//
// Offers all items to a core, one a clock edge at most, and counts at each layer's engine the
// events and the cycles in which events wait. The output is always ready.
//
// The model is `spikefab_lanes`: the core, and four bits a layer of what its engine does. See
// docs/simulation.md.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr uint64_t kResetCycles = 4;

struct Engine {
    bool active = false, token = false;  // its issue stage holds an item; that item is a token
    uint64_t events = 0, cycles = 0;

    void edge(bool valid, bool ready, bool is_token, bool free) {
        const bool waits = valid && !is_token, works = active && !token;
        cycles += waits || works;
        events += waits && ready;
        if (valid && ready) active = true, token = is_token;
        else if (free) active = false;
    }
};

}  // namespace

// Arguments: the file of items, the samples in it, cycles without an output token that mean a hang.
int main(int argc, char** argv) {
    if (argc != 4) return 2;
    FILE* file = std::fopen(argv[1], "rb");
    if (!file) return std::perror(argv[1]), 2;
    std::vector<uint64_t> items;
    for (uint64_t item; std::fread(&item, 8, 1, file) == 1;) items.push_back(item);
    std::fclose(file);
    const uint64_t samples = std::strtoull(argv[2], nullptr, 0);
    const uint64_t hang = std::strtoull(argv[3], nullptr, 0);

    VerilatedContext context;
    const auto top = std::make_unique<Vtop>(&context);
    std::vector<Engine> engines(LAYERS);
    const auto half = [&](int level) {
        top->clk = level;
        top->eval();
    };
    top->rst = 1;
    top->in_valid = 0;
    top->out_ready = 1;
    for (uint64_t i = 0; i < kResetCycles; ++i) half(0), half(1);
    top->rst = 0;
    uint64_t at = 0, done = 0, quiet = 0;
    for (; done < samples || at < items.size(); ++quiet) {
        if (quiet > hang) {
            std::fprintf(stderr, "hangs in sample %" PRIu64 " of %" PRIu64 ", item %" PRIu64
                         " of %zu\n", done, samples, at, items.size());
            return 3;
        }
        top->in_valid = at < items.size();
        top->in_data = at < items.size() ? items[at] : 0;
        half(0);
        const bool moves = top->in_valid && top->in_ready;
        // Bits 0 and 1 of an output item: token, last.
        if (top->out_valid && (top->out_data & 3) == 3) ++done, quiet = 0;
        for (int k = 0; k < LAYERS; ++k) {
            const auto bit = [&](int i) { return top->engines >> (4 * k + i) & 1; };
            engines[k].edge(bit(0), bit(1), bit(2), bit(3));
        }
        half(1);
        if (moves) ++at, quiet = 0;
    }
    for (const Engine& engine : engines)
        std::printf("%" PRIu64 " %" PRIu64 "\n", engine.events, engine.cycles);
    top->final();
    return 0;
}
