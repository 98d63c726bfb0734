// A tile's streams and host port around the array model: what array_tile.v calls each clock cycle. All it answers comes a cycle later.

#include <deque>
#include <unistd.h>

#include "svdpi.h"

namespace {

class Tile {
public:
    array_model::Model model;

    Tile() { std::copy(std::begin(kFixedWords), std::end(kFixedWords), std::begin(model.parameters)); }

    void tick(unsigned given, uint64_t cmd, int drive, const svBitVecVal* counts, int window, unsigned addr, unsigned w_data) {
        auto has = [&](int bit) { return given >> bit & 1; };
        const bool aborts = has(5);
        ack = error = false;
        if (state_ == kIdle) {
            if (has(0) && cmd_ready && !aborts) accept(cmd);
        } else if (state_ == kDone) {
            if (has(4) && completion_valid) state_ = kIdle;
        } else if (aborts) {
            end(kAborted);
        } else if (state_ == kDriving && has(1) && drive_ready) {
            line_.push_back(drive);
            if (int(line_.size()) == (op_ == kOpRead ? rows_ : cols_)) read();
        } else if (state_ == kPulsing && has(2) && counts_ready) {
            pulse(counts);
        } else if (state_ == kSensing && has(3) && sense_valid) {
            words_.pop_front();
            if (words_.empty()) end(kOk);
        }
        if (has(6) && !acked_) host(window, addr, has(7), w_data);
        acked_ = ack;
        cmd_ready = state_ == kIdle;
        drive_ready = state_ == kDriving;
        counts_ready = state_ == kPulsing;
        sense_valid = state_ == kSensing;
        completion_valid = state_ == kDone;
        idle = state_ == kIdle;
    }

    bool cmd_ready = false, drive_ready = false, counts_ready = false, sense_valid = false, completion_valid = false, ack = false;
    bool error = false, idle = true;
    int tag = 0, pulses = 0, status = 0, r_data = 0;
    bool over() const { return !words_.empty() && words_.front().over; }
    bool last() const { return words_.size() == 1; }
    int sense() const { return words_.empty() ? 0 : words_.front().value; }

private:
    enum State { kIdle, kDriving, kSensing, kPulsing, kDone };
    struct Word {
        int value;
        bool over;
    };

    void accept(uint64_t cmd) {
        auto take = [&](int bits) {
            const int value = int(cmd & ((uint64_t(1) << bits) - 1));
            cmd >>= bits;
            return value;
        };
        // The fields of the command in order; their widths are those of its layout.
        const int* bits = kCommandBits;
        op_ = take(*bits++), tile_ = take(*bits++), row0_ = take(*bits++), rows_ = take(*bits++), col0_ = take(*bits++), cols_ = take(*bits++);
        const int profile = take(*bits++);
        bank_ = take(*bits++), tag = take(*bits++);
        pulses = 0, row_ = 0;
        line_.clear();
        if (profile >= kProfiles) end(kRefused);
        else if (op_ == kOpRead || op_ == kOpReadT) state_ = kDriving;
        else if (op_ == kOpPulse) state_ = kPulsing;
        else end(kRefused);
    }

    void end(int how) {
        if (state_ == kPulsing) model.settle(tile_, row0_, row_);
        words_.clear();
        status = how;
        state_ = kDone;
    }

    void read() {
        const int n = op_ == kOpRead ? cols_ : rows_;
        std::vector<int> found(n);
        std::vector<char> over(n);
        model.read(op_ == kOpRead ? kRead : kReadT, tile_, row0_, rows_, col0_, cols_, bank_, line_.data(), found.data(),
                   reinterpret_cast<bool*>(over.data()));
        for (int k = 0; k < n; ++k) words_.push_back({found[k], bool(over[k])});
        state_ = kSensing;
    }

    void pulse(const svBitVecVal* counts) {
        int row[kTileCols];
        for (int c = 0; c < kTileCols; ++c) {
            unsigned value = 0;
            for (int b = 0; b < kCountBits; ++b) {
                const int at = c * kCountBits + b;
                value |= (counts[at / 32] >> (at % 32) & 1u) << b;
            }
            row[c] = int(value << (32 - kCountBits)) >> (32 - kCountBits);
            pulses += std::abs(row[c]);
        }
        model.pulse(tile_, row0_ + row_, row);
        if (++row_ == rows_) end(kOk);
    }

    // As rtl/tile/host.py: what is not there, and everything while a command executes, is an error.
    void host(int window, unsigned addr, bool write, unsigned w_data) {
        ack = true;
        error = state_ != kIdle || !access(window, addr, write, w_data);
    }

    bool access(int window, unsigned addr, bool write, unsigned w_data) {
        if (kReal) return false;
        const unsigned row = addr >> kCellRowShift, col = addr & ((1u << kCellRowShift) - 1);
        const bool cell = row < unsigned(kRows) && col < unsigned(kTileCols);
        const size_t at = size_t(row) * kTileCols + col;
        if (window == kCells) {
            if (!cell) return false;
            if (write) {
                model.cells[at] = int16_t(field(w_data, -kCellBits));
                model.changed();
            }
            r_data = model.cells[at];
            return true;
        }
        if (window == kSpreadWords) {
            if (!cell || !kSpread) return false;
            if (write) model.spread[at] = uint8_t(w_data);
            r_data = model.spread[at];
            return true;
        }
        if (window == kRandom) {
            const unsigned stream = addr >> kStreamShift, member = addr & ((1u << kStreamShift) - 1);
            uint32_t* state = nullptr;
            if (stream == kStreamRead && member < 2 && kReadNoise) state = &model.reads[member];
            if (stream == kStreamWrite && member < unsigned(kTileCols) && kWriteStream) state = &model.writes[member];
            if (!state) return false;
            if (write) *state = w_data;
            r_data = int(*state);
            return true;
        }
        if (window != kTileWindow || addr >= unsigned(kTileWords) || kParameterBits[addr] == kNoParameter) return false;
        if (write && kParameterBits[addr]) {
            model.parameters[addr] = field(w_data, kParameterBits[addr]);
            if (kTwin[addr]) model.parameters[kTwin[addr]] = model.parameters[addr];
        }
        r_data = kParameterBits[addr] ? int(model.parameters[addr]) : 0;
        return true;
    }

    // A word's low bits, signed if negative.
    static int64_t field(unsigned word, int bits) {
        const int width = std::abs(bits);
        const int64_t low = word & ((int64_t(1) << width) - 1), sign = int64_t(1) << (width - 1);
        return bits > 0 ? low : (low ^ sign) - sign;
    }

    State state_ = kIdle;
    int op_ = 0, tile_ = 0, row0_ = 0, rows_ = 0, col0_ = 0, cols_ = 0, bank_ = 0, row_ = 0;
    bool acked_ = false;
    std::vector<int> line_;
    std::deque<Word> words_;
};

Tile tile;

}  // namespace

// The tables of the array, from a file that is open.
bool load_array(int descriptor) {
    std::string bytes;
    char part[1 << 16];
    for (ssize_t n; (n = read(descriptor, part, sizeof part)) > 0;) bytes.append(part, n);
    close(descriptor);
    return tile.model.load(bytes.data(), bytes.size());
}

extern "C" void backpulse_array_tick(const svBitVecVal* given, long long cmd, int drive, const svBitVecVal* counts, int window, int addr,
                                     int w_data, svBitVecVal* flags, int* sense, int* tag, int* pulses, int* status, int* r_data) {
    tile.tick(*given, uint64_t(cmd), drive, counts, window, unsigned(addr), unsigned(w_data));
    *flags = svBitVecVal(tile.cmd_ready) | svBitVecVal(tile.drive_ready) << 1 | svBitVecVal(tile.counts_ready) << 2 |
             svBitVecVal(tile.sense_valid) << 3 | svBitVecVal(tile.over()) << 4 | svBitVecVal(tile.last()) << 5 |
             svBitVecVal(tile.completion_valid) << 6 | svBitVecVal(tile.ack) << 7 | svBitVecVal(tile.error) << 8 | svBitVecVal(tile.idle) << 9;
    *sense = tile.sense();
    *tag = tile.tag;
    *pulses = tile.pulses;
    *status = tile.status;
    *r_data = tile.r_data;
}
