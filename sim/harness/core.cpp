// SPDX-License-Identifier: Apache-2.0
//
// Drives the two streams of a core, one item a clock edge at most, and notes the edges.
//
// The model is `spikefab_bench`: the core with 64-bit data ports. An item is the port's payload:
// bit 0 token, bit 1 last, then the address, then the payload. See docs/simulation.md.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif
#ifdef MONITOR_WORDS
#include "Vtop__Dpi.h"
#include "svdpi.h"
#endif

namespace {

constexpr uint64_t kMagic = 0x31307369736b7073;  // "spksis01"
constexpr uint64_t kToken = 1;
constexpr uint64_t kLast = 2;
constexpr uint64_t kResetCycles = 4;
constexpr uint64_t kQuietCycles = 64;

enum Exit { kGood = 0, kUsage = 2, kHang = 3, kProtocol = 4 };

struct Random {  // splitmix64
    uint64_t state;
    uint64_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    bool chance(double p) { return static_cast<double>(next() >> 11) * 0x1p-53 < p; }
};

template <typename T>
std::vector<T> read_all(FILE* file, uint64_t count) {
    std::vector<T> data(count);
    if (std::fread(data.data(), sizeof(T), count, file) != count) {
        std::fprintf(stderr, "the stimulus file is too short\n");
        std::exit(kUsage);
    }
    return data;
}

FILE* monitor_file = nullptr;

}  // namespace

#ifdef MONITOR_WORDS
// One group of neurons' membranes or spikes; called by the bench at the clock edge that makes them.
void spikefab_monitor(int source, const svBitVecVal* values) {
    if (!monitor_file) return;
    const uint32_t head = static_cast<uint32_t>(source);
    std::fwrite(&head, 4, 1, monitor_file);
    std::fwrite(values, 4, MONITOR_WORDS, monitor_file);
}
#endif

int main(int argc, char** argv) {
    std::string mode = "alone", stimulus, response, fst, monitor, load;
    double pause = 0;
    uint64_t seed = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string key = argv[i];
        const char* const value = argv[i + 1];
        if (key == "--mode") mode = value;
        else if (key == "--stimulus") stimulus = value;
        else if (key == "--response") response = value;
        else if (key == "--fst") fst = value;
        else if (key == "--monitor") monitor = value;
        else if (key == "--load") load = value;
        else if (key == "--pause") pause = std::atof(value);
        else if (key == "--seed") seed = std::strtoull(value, nullptr, 0);
        else return kUsage;
    }
    FILE* file = std::fopen(stimulus.c_str(), "rb");
    if (!file) return std::perror(stimulus.c_str()), kUsage;
    const auto head = read_all<uint64_t>(file, 5);
    if (head[0] != kMagic) return std::fprintf(stderr, "not a stimulus file\n"), kUsage;
    const uint64_t samples = head[1], steps = head[2], hang = head[3];
    const bool stops = head[4];  // a sample may end before its last step
    const auto start = read_all<uint64_t>(file, samples + 1);
    const auto items = read_all<uint64_t>(file, start[samples]);
    std::fclose(file);
    if (!monitor.empty() && !(monitor_file = std::fopen(monitor.c_str(), "wb")))
        return std::perror(monitor.c_str()), kUsage;

    VerilatedContext context;
    context.commandArgs(1, argv);
    const auto top = std::make_unique<Vtop>(&context);
#if VM_TRACE
    std::unique_ptr<VerilatedFstC> trace;
    if (!fst.empty()) {
        context.traceEverOn(true);
        trace = std::make_unique<VerilatedFstC>();
        top->trace(trace.get(), 99);
        trace->open(fst.c_str());
    }
#endif
    uint64_t time = 0;
    const auto half = [&](int level) {
        top->clk = level;
        top->eval();
#if VM_TRACE
        if (trace) trace->dump(time);
#endif
        ++time;
    };

    top->rst = 1;
    top->in_valid = 0;
    top->in_data = 0;
    top->out_ready = 0;
    for (uint64_t i = 0; i < kResetCycles; ++i) half(0), half(1);
    top->rst = 0;

    // Memories that hold nothing from the start are loaded first; no cycle of it counts.
    top->load_valid = 0;
    if (!load.empty()) {
        if (!(file = std::fopen(load.c_str(), "r"))) return std::perror(load.c_str()), kUsage;
        unsigned word;
        for (uint64_t address = 0; std::fscanf(file, "%x", &word) == 1; ++address) {
            top->load_valid = 1;
            top->load_address = address;
            top->load_data = word;
            bool moved = false;
            for (uint64_t i = 0; !moved; ++i) {
                if (i > hang) return std::fprintf(stderr, "does not take word %" PRIu64
                                                  " of its memories\n", address), kHang;
                half(0);
                moved = top->load_ready;
                half(1);
            }
        }
        top->load_valid = 0;
        for (bool taken = false; !taken; half(1)) half(0), taken = top->load_ready;
        std::fclose(file);
    }

    const bool alone = mode == "alone";
    const bool pauses = mode == "pause";
    Random random{seed};
    // first[s]: edge that accepts sample s's first item; first[samples]: of sample 0, offered again
    // behind the last one. done[s]: edge that accepts the sample's last output token.
    std::vector<uint64_t> first(samples + 1, 0), done(samples, 0), output;
    uint64_t edge = 0, moved = 0;
    uint64_t in_sample = 0, in_item = start[0], out_sample = 0, out_step = 0;
    bool offered = false, held = false;
    uint64_t held_data = 0, reported = 0;
    int status = kGood;

    // The output may have all of the last sample while a layer that only feeds back has yet to take
    // its last token. Streaming goes on until the sample behind the last one has begun.
    while (out_sample < samples || in_sample < samples ||
           (!alone && !pauses && in_sample <= samples && !first[samples])) {
        const bool repeat = in_sample >= samples;
        const uint64_t source = repeat ? 0 : in_sample;
        bool valid = !(repeat && (alone || pauses)) && in_sample <= samples;
        // A sample that was stopped is alone until all of it has left.
        if (alone && in_item == start[source] && (in_sample > out_sample || top->decided))
            valid = false;
        // What is offered stays offered until it is taken.
        if (pauses && valid && !offered) valid = !random.chance(pause);
        const bool ready = !pauses || !random.chance(pause);
        top->in_valid = valid;
        top->in_data = valid ? items[in_item] : random.next() * pauses;
        top->out_ready = ready;
        half(0);
        const bool in_moves = valid && top->in_ready;
        const bool out_valid = top->out_valid;
        const uint64_t data = top->out_data;
        if (held && (!out_valid || data != held_data)) {
            std::fprintf(stderr, "the output changed an item that it had offered: sample %" PRIu64
                         ", step %" PRIu64 ", clock edge %" PRIu64 "\n", out_sample, out_step, edge);
            status = kProtocol;
            break;
        }
        held = out_valid && !ready;
        held_data = data;
        offered = valid && !in_moves;
        half(1);
        if (in_moves) {
            if (in_item == start[source]) first[in_sample] = edge;
            if (++in_item == start[source + 1]) {
                ++in_sample;
                in_item = in_sample < samples ? start[in_sample] : start[0];
            }
        }
        if (out_valid && ready && out_sample < samples) {
            output.push_back(data);
            if (data & kToken) {
                const bool last = (data & kLast) != 0, end = out_step + 1 == steps;
                if (stops ? end && !last : last != end) {
                    std::fprintf(stderr, "an output token carries last=%d: sample %" PRIu64
                                 ", step %" PRIu64 " of %" PRIu64 "\n", last, out_sample,
                                 out_step, steps);
                    status = kProtocol;
                    break;
                }
                ++out_step;
                if (last) {
                    done[out_sample++] = edge;
                    out_step = 0;
                    if (out_sample * 100 / samples > reported) {
                        reported = out_sample * 100 / samples;
                        std::printf("%" PRIu64 "\n", out_sample);
                        std::fflush(stdout);
                    }
                }
            }
        }
        if (in_moves || (out_valid && ready)) moved = edge;
        else if (edge - moved > hang) {
            std::fprintf(stderr, "hangs at clock edge %" PRIu64 ", no item moved for %" PRIu64
                         " cycles: the output is in sample %" PRIu64 ", step %" PRIu64
                         "; the input in sample %" PRIu64 ", item %" PRIu64
                         ", valid=%d ready=%d\n", edge, hang, out_sample, out_step, in_sample,
                         in_item - start[source], valid, static_cast<int>(top->in_ready));
            status = kHang;
            break;
        }
        ++edge;
    }
    if (status == kGood && (alone || pauses || monitor_file)) {
        top->in_valid = 0;
        top->out_ready = 1;
        // A layer that only feeds back may still be at the last step when the output has all of it.
        for (uint64_t quiet = 0, i = 0; quiet < kQuietCycles && i < hang; ++i) {
            half(0);
            if (top->out_valid && (alone || pauses)) {
                std::fprintf(stderr, "the output goes on after the last sample's last token\n");
                status = kProtocol;
                break;
            }
            quiet = top->decided && !stops ? 0 : quiet + 1;
            half(1);
        }
    }
#if VM_TRACE
    if (trace) trace->close();
#endif
    if (monitor_file) std::fclose(monitor_file);
    if (status != kGood) return status;
    file = std::fopen(response.c_str(), "wb");
    if (!file) return std::perror(response.c_str()), kUsage;
    const uint64_t count[4] = {kMagic, samples, output.size(), edge};
    bool good = std::fwrite(count, 8, 4, file) == 4;
    good &= std::fwrite(first.data(), 8, samples + 1, file) == samples + 1;
    good &= std::fwrite(done.data(), 8, samples, file) == samples;
    good &= std::fwrite(output.data(), 8, output.size(), file) == output.size();
    good &= std::fclose(file) == 0;
    if (!good) return std::perror(response.c_str()), kUsage;
    top->final();
    return kGood;
}
