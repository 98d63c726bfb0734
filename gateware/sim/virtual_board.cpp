// The virtual board: the compiled gateware with real UART bits on its pins, and bytes on a file descriptor behind them.
//
//     board --fd N [--exit-on-close]    N: a connected socket or the master of a pty
//     board --listen N                  N: a listening socket; one client at a time, the next ones wait
//     --array N                         N: an open file with the tables of the array model, where there is one
//     --log N                           N: an open file for what a physical array sees (array_world.cpp)
//     --waves FILE FIRST LAST BANK      where it is built for that: the waves of these samples (waves.h)
//
// It ends when its standard input ends, so it never outlives the program that started it. A peer that goes away is a
// pulled cable: the machine runs on. When the machine has nothing to do and the lines are quiet, the clock stands still.

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include "Vtop.h"
#include "verilated.h"
#ifdef WAVES
#include WAVES
#endif

namespace {

constexpr unsigned kChunkCycles = 256;                      // between two looks at the descriptors: a fraction of a millisecond
constexpr unsigned kQuietCycles = 4 * 10 * CLOCKS_PER_BIT;  // a byte may still be on its way from the pin to `busy`
constexpr size_t kBufferBytes = 1 << 16;

// Host to machine: bytes to the level of the rx pin.
class Sender {
public:
    std::string queue;

    bool active() const { return next_ < queue.size() || bits_ || wait_; }

    bool tick() {
        if (wait_ == 0) {
            if (bits_ == 0) {
                if (next_ == queue.size()) return true;
                shift_ = 0x200u | static_cast<uint8_t>(queue[next_++]) << 1;
                bits_ = 10;
                if (next_ == queue.size()) {
                    queue.clear();
                    next_ = 0;
                }
            }
            level_ = shift_ & 1;
            shift_ >>= 1;
            --bits_;
            wait_ = CLOCKS_PER_BIT;
        }
        --wait_;
        return level_;
    }

private:
    size_t next_ = 0;
    unsigned shift_ = 0, bits_ = 0, wait_ = 0;
    bool level_ = true;
};

// Machine to host: levels of the tx pin to bytes, sampled in the middle of a bit. A byte without its stop bit is dropped.
class Receiver {
public:
    std::string queue;

    void tick(bool level) {
        if (bits_ == 0) {
            if (!level) {
                bits_ = 9;
                wait_ = CLOCKS_PER_BIT + CLOCKS_PER_BIT / 2 - 1;
            }
        } else if (wait_ != 0) {
            --wait_;
        } else {
            wait_ = CLOCKS_PER_BIT - 1;
            if (--bits_ != 0) {
                byte_ = byte_ >> 1 | (level ? 0x80 : 0);
            } else if (level && queue.size() < kBufferBytes) {
                queue.push_back(static_cast<char>(byte_));
            }
        }
    }

private:
    unsigned bits_ = 0, wait_ = 0;
    uint8_t byte_ = 0;
};

class Board {
public:
    Board(int peer, int listener, bool exit_on_close) : peer_(peer), listener_(listener), exit_on_close_(exit_on_close) {
        if (peer_ >= 0) fcntl(peer_, F_SETFL, O_NONBLOCK);
    }

    void run() {
        while (exchange(quiet_ >= kQuietCycles)) {
            for (unsigned i = 0; i < kChunkCycles; ++i) {
                clock(sender_.tick());
                receiver_.tick(top_.tx);
                quiet_ = top_.busy || !top_.tx || sender_.active() || awake() ? 0 : quiet_ + 1;
            }
        }
        top_.final();
#ifdef WAVES
        waves_.close();
#endif
    }

#ifdef WAVES
    void record(const char* file, long first, long last, bool bank) { waves_.record(top_, file, first, last, bank); }
#endif

    uint64_t cycles() const { return cycles_; }

private:
    static bool awake() {
#ifdef WORLD
        return array_awake();
#else
        return false;
#endif
    }

    void clock(bool rx) {
        top_.rx = rx;
        top_.clk = 0;
        top_.eval();
#ifdef WAVES
        waves_.look(top_);
        waves_.write(2 * cycles_);
#endif
        top_.clk = 1;
        top_.eval();
#ifdef WAVES
        waves_.write(2 * cycles_ + 1);
#endif
        ++cycles_;
    }

    // Moves bytes between queues and peer, waiting for something to happen if `wait`; false when the board is to end.
    bool exchange(bool wait) {
        if (peer_ >= 0 && !receiver_.queue.empty()) {
            ssize_t n = write(peer_, receiver_.queue.data(), receiver_.queue.size());
            if (n > 0) receiver_.queue.erase(0, n);
            if (n < 0 && errno != EAGAIN && errno != EINTR && !hang_up()) return false;
        }
        if (peer_ < 0) receiver_.queue.clear();

        short wanted = (sender_.queue.size() < kBufferBytes ? POLLIN : 0) | (receiver_.queue.empty() ? 0 : POLLOUT);
        pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {peer_, wanted, 0}, {peer_ < 0 ? listener_ : -1, POLLIN, 0}};
        if (poll(fds, 3, wait ? -1 : 0) <= 0) return true;

        char bytes[4096];
        if (fds[0].revents && read(STDIN_FILENO, bytes, sizeof bytes) <= 0) return false;
        if (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = read(peer_, bytes, sizeof bytes);
            if (n > 0) {
                sender_.queue.append(bytes, n);
                quiet_ = 0;
            }
            if ((n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) && !hang_up()) return false;
        }
        if (fds[2].revents & POLLIN) {
            peer_ = accept(listener_, nullptr, nullptr);
            if (peer_ >= 0) {
                int on = 1;
                setsockopt(peer_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                fcntl(peer_, F_SETFL, O_NONBLOCK);
            }
        }
        return true;
    }

    // The peer is gone; false when the board is to end with it.
    bool hang_up() {
        close(peer_);
        peer_ = -1;
        return !exit_on_close_;
    }

    Vtop top_;
#ifdef WAVES
    Waves waves_;
#endif
    Sender sender_;
    Receiver receiver_;
    int peer_, listener_;
    bool exit_on_close_;
    unsigned quiet_ = 0;
    uint64_t cycles_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    int peer = -1, listener = -1;
    bool exit_on_close = false;
#ifdef ARRAY
    bool has_array = false;
#endif
#ifdef WAVES
    char** waves = nullptr;
    Verilated::traceEverOn(true);
#endif
    for (int i = 1; i < argc; ++i) {
        if (!std::strcmp(argv[i], "--fd") && i + 1 < argc) peer = std::atoi(argv[++i]);
        else if (!std::strcmp(argv[i], "--listen") && i + 1 < argc) listener = std::atoi(argv[++i]);
#ifdef ARRAY
        else if (!std::strcmp(argv[i], "--array") && i + 1 < argc) has_array = load_array(std::atoi(argv[++i]));
#endif
#ifdef WORLD
        else if (!std::strcmp(argv[i], "--log") && i + 1 < argc) log_array(std::atoi(argv[++i]));
#endif
#ifdef WAVES
        else if (!std::strcmp(argv[i], "--waves") && i + 4 < argc) waves = argv + i + 1, i += 4;
#endif
        else if (!std::strcmp(argv[i], "--exit-on-close")) exit_on_close = true;
    }
#ifdef ARRAY
    if (!has_array) {
        std::fprintf(stderr, "the tables of the array do not fit this board\n");
        return 2;
    }
#endif
    if ((peer < 0) == (listener < 0)) {
        std::fprintf(stderr, "usage: board --fd N [--exit-on-close] | --listen N\n");
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    auto begin = std::chrono::steady_clock::now();
    Board board(peer, listener, exit_on_close);
#ifdef WAVES
    if (waves) board.record(waves[0], std::atol(waves[1]), std::atol(waves[2]), std::atoi(waves[3]));
#endif
    board.run();
#ifdef WORLD
    end_array();
#endif
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    std::fprintf(stderr, "%llu cycles in %.3f s\n", static_cast<unsigned long long>(board.cycles()), seconds.count());
    return 0;
}
