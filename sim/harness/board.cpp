// SPDX-License-Identifier: Apache-2.0
//
// A board on a pseudo-terminal: the whole top at its pins, with a UART at the pins' level.
//
// Prints `port PATH`, then serves until SIGTERM or until its parent is gone; prints `cycles N`.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

namespace {

// Clock cycles from power-up to an open port: longer than any board holds its reset.
constexpr uint64_t kBoot = 1 << 14;
// Clock cycles between looks at the terminal while no byte is under way.
constexpr uint64_t kLook = 256;
// Without a byte either way for so many cycles, the fabric runs in short bursts between waits.
constexpr uint64_t kIdle = 1 << 18;
constexpr uint64_t kBurst = 1 << 11;
constexpr int kWaitMs = 20;
constexpr uint64_t kParent = 1 << 16;

volatile sig_atomic_t stopped = 0;
void stop(int) { stopped = 1; }

// Bytes from the terminal to the fabric's receive pin: start bit, eight bits, stop bit.
class Sender {
public:
    explicit Sender(uint64_t divisor) : m_divisor(divisor) {}
    bool busy() const { return m_bits != 0; }
    void send(uint8_t byte) {
        m_frame = 0x200u | static_cast<unsigned>(byte) << 1;
        m_bits = 10;
        m_left = m_divisor;
    }
    bool level() const { return !m_bits || (m_frame & 1); }
    void tick() {
        if (!m_bits || --m_left) return;
        m_frame >>= 1;
        --m_bits;
        m_left = m_divisor;
    }

private:
    const uint64_t m_divisor;
    uint64_t m_left = 0;
    unsigned m_frame = 0, m_bits = 0;
};

// Bytes from the fabric's transmit pin, sampled in the middle of each bit.
class Receiver {
public:
    explicit Receiver(uint64_t divisor) : m_divisor(divisor) {}
    bool busy() const { return m_bits >= 0; }
    // True when a byte has come in.
    bool tick(bool level, uint8_t& byte) {
        if (m_bits < 0) {
            if (m_before && !level) m_bits = 0, m_left = m_divisor / 2, m_frame = 0;
            m_before = level;
            return false;
        }
        if (m_left--) return false;
        m_left = m_divisor - 1;
        m_frame |= static_cast<unsigned>(level) << m_bits;
        if (m_bits == 0 && level) m_bits = -1, m_before = level;  // a glitch, not a start bit
        else if (++m_bits == 10) {
            m_bits = -1;
            m_before = level;
            byte = static_cast<uint8_t>(m_frame >> 1);
            if (level) return true;
            std::fprintf(stderr, "the fabric sent a byte without a stop bit\n");
        }
        return false;
    }

private:
    const uint64_t m_divisor;
    uint64_t m_left = 0;
    unsigned m_frame = 0;
    int m_bits = -1;
    bool m_before = false;
};

int open_terminal() {
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return -1;
    // Held open, so that the terminal outlives each of its users; raw, so that bytes are bytes.
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    termios mode{};
    if (slave < 0 || tcgetattr(slave, &mode)) return -1;
    cfmakeraw(&mode);
    if (tcsetattr(slave, TCSANOW, &mode)) return -1;
    fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK);
    return master;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    const uint64_t divisor = std::strtoull(argv[1], nullptr, 10);
    struct sigaction action {};
    action.sa_handler = stop;
    sigaction(SIGTERM, &action, nullptr);
    const pid_t parent = getppid();
    const int terminal = open_terminal();
    if (terminal < 0) return std::perror("pseudo-terminal"), 1;

    VerilatedContext context;
    const auto top = std::make_unique<Vtop>(&context);
#if VM_TRACE
    std::unique_ptr<VerilatedFstC> trace;
    if (argc > 2) {
        context.traceEverOn(true);
        trace = std::make_unique<VerilatedFstC>();
        top->trace(trace.get(), 99);
        trace->open(argv[2]);
    }
#endif
    Sender sender(divisor);
    Receiver receiver(divisor);
    uint8_t queue[512];
    size_t queued = 0, taken = 0;
    uint64_t cycle = 0, moved = kBoot, look = kBoot, ask = kParent;
    while (!stopped) {
        // Nobody may talk to a board that is still in reset: its port opens when it is up.
        if (cycle == kBoot) {
            std::printf("port %s\n", ptsname(terminal));
            std::fflush(stdout);
        }
        if (cycle >= kBoot && !sender.busy() && (taken < queued || cycle >= look)) {
            if (taken == queued) {
                if (!receiver.busy() && cycle > moved + kIdle) {
                    pollfd wait{terminal, POLLIN, 0};
                    poll(&wait, 1, kWaitMs);
                    look = cycle + kBurst;
                } else {
                    look = cycle + kLook;
                }
                const ssize_t got = read(terminal, queue, sizeof queue);
                taken = 0;
                queued = got > 0 ? static_cast<size_t>(got) : 0;
            }
            if (taken < queued) {
                sender.send(queue[taken++]);
                moved = cycle;
                look = cycle;
            }
        }
        if (cycle >= ask) {
            if (getppid() != parent) break;
            ask = cycle + (cycle > moved + kIdle ? kBurst : kParent);
        }
        top->rx = sender.level();
        top->clk = 0;
        top->eval();
#if VM_TRACE
        if (trace) trace->dump(2 * cycle);
#endif
        top->clk = 1;
        top->eval();
#if VM_TRACE
        if (trace) trace->dump(2 * cycle + 1);
#endif
        sender.tick();
        uint8_t byte = 0;
        if (receiver.tick(top->tx, byte)) {
            moved = cycle;
            // A full terminal stalls the board, as a full cable buffer would lose bytes.
            while (write(terminal, &byte, 1) < 0 && !stopped) {
                if (errno != EAGAIN && errno != EINTR) break;
                pollfd wait{terminal, POLLOUT, 0};
                poll(&wait, 1, kWaitMs);
                if (getppid() != parent) stopped = 1;
            }
        }
        ++cycle;
    }
#if VM_TRACE
    if (trace) trace->close();
#endif
    std::printf("cycles %" PRIu64 "\n", cycle);
    return 0;
}
