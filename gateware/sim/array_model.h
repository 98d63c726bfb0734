// The array with wires in C++: line relaxation, converters and weakened pulses, as firmware_py/relaxation.py and array_tile.py
// have them. The tables and all constants come from there (array_tile.py writes the header of them).

#pragma once

#include <cstring>
#include <iterator>
#include <limits>

#include "line_relaxation.h"

namespace array_model {

// Half away from zero.
inline int64_t rshift(int64_t value, int bits) {
    int64_t magnitude = (std::llabs(value) + ((int64_t(1) << bits) >> 1)) >> bits;
    return value < 0 ? -magnitude : magnitude;
}

class Model {
public:
    std::vector<int16_t> cells = std::vector<int16_t>(kRows * kTileCols);
    std::vector<uint8_t> spread = std::vector<uint8_t>(kRows * kTileCols);
    std::vector<uint32_t> writes = std::vector<uint32_t>(kTileCols, 1);
    uint32_t reads[2] = {1, 1};
    int64_t parameters[kTileWords] = {};
    Doubles row_current, col_current;

    // The tables of firmware_py.wired.Wired in order, behind the numbers of physical rows and columns; of real devices what is inside, too.
    bool load(const char* bytes, size_t size) {
        const char* at = bytes;
        int64_t lines[2];
        if (size < sizeof lines) return false;
        std::memcpy(lines, at, sizeof lines);
        at += sizeof lines;
        rows_ = lines[0], cols_ = lines[1];
        const size_t n = size_t(rows_) * cols_, t = kTiles;
        sizes_.resize(kSizes);
        std::vector<Part> parts = {
            {sizes_.data(), 8 * kSizes},
            grow(numbers_, kNumbers), grow(row_line_, t * rows_ * kLineFields), grow(col_line_, t * cols_ * kLineFields),
            grow(fixed_, t * n), grow(row_wire_, t * n), grow(col_wire_, t * n),
            grow(zero_rows_, t * (rows_ + 1) * cols_), grow(zero_cols_, t * (cols_ + 1) * rows_),
        };
        if (kReal) {
            const Part inside[] = {
                {cells.data(), 2 * cells.size()}, {spread.data(), spread.size()}, {writes.data(), 4 * writes.size()},
                {reads, sizeof reads}, {parameters, sizeof parameters},
            };
            parts.insert(parts.end(), std::begin(inside), std::end(inside));
        }
        for (const Part& part : parts) {
            if (at + part.bytes > bytes + size) return false;
            std::memcpy(part.data, at, part.bytes);
            at += part.bytes;
        }
        for (Doubles* one : {&g_, &gt_, &u_, &v_, &col_m_, &col_far_, &row_m_, &row_far_, &moves_}) one->assign(n, 0.0);
        for (Doubles* one : {&row_drive_, &row_current}) one->assign(rows_, 0.0);
        for (Doubles* one : {&col_drive_, &col_current, &source_, &share_, &voltage_}) one->assign(cols_, 0.0);
        asked_.assign(kTileRows * kTileCols, 0);
        words_.assign(kTileRows * kTileCols, 0);
        return at == bytes + size;
    }

    void changed() { fresh_ = -1; }
    bool wired_write() const { return sizes_[kWiredWrite]; }
    int rows() const { return rows_; }
    int cols() const { return cols_; }

    // READ or READT of a region: sense words in `out`, whether each is over range in `over`.
    void read(int way, int tile, int row0, int rows, int col0, int cols, int bank, const int* line, int* out, bool* over) {
        const bool forward = way == kRead;
        const int first_driven = forward ? row0 : col0, driven = forward ? rows : cols;
        const int first = forward ? col0 : row0, count = forward ? cols : rows;
        const double total = drive(way, tile, first_driven, driven, line);
        solve(way, tile);
        std::vector<double> extra(count, 0.0);
        if (kReadNoise) {
            for (int k = 0; k < count; ++k) {
                reads[bank] = xorshift(reads[bank]);
                extra[k] = double(gauss(reads[bank]) * parameters[kReadSigma]) / double(int64_t(1) << kSenseShift);
            }
        }
        words(way, tile, first_driven, driven, total, first, count, extra, bank, out, over);
    }

    // Set the voltages of the lines' ends, which `solve` takes.
    double drive(int way, int tile, int first, int count, const int* line) {
        std::fill(row_drive_.begin(), row_drive_.end(), 0.0);
        std::fill(col_drive_.begin(), col_drive_.end(), 0.0);
        const double step = numbers_[kDriveStep], one = numbers_[kDriveOne];
        const int pieces = sizes_[kPieces];
        double total = 0.0;
        for (int k = 0; k < count; ++k) {
            const double voltage = std::rint(line[k] / step) * step * one;
            total += line[k] * one;
            if (way == kRead) {
                row_drive_[first + k] = voltage * row_line(tile, first + k)[kDrive];
            } else {
                const int j = pieces * (first + k);
                col_drive_[j] = voltage * col_line(tile, j)[kDrive];
                if (sizes_[kScheme] == kPairs) col_drive_[j + 1] = -voltage * col_line(tile, j + 1)[kDrive];
            }
        }
        return total;
    }

    int solve(int way, int tile) {
        if (fresh_ != tile) {
            fill(tile);
            for (int i = 0; i < rows_; ++i)
                for (int j = 0; j < cols_; ++j) gt_[j * rows_ + i] = g_[i * cols_ + j];
            eliminate(rows_, cols_, g_, &col_wire_[place(tile)], col_m_, col_far_);
            eliminate(cols_, rows_, gt_, &row_wire_[place(tile)], row_m_, row_far_);
            fresh_ = tile;
        }
        const int row_end = way == kReadT ? kSensor : kDriver, col_end = way == kRead ? kSensor : kDriver;
        for (int i = 0; i < rows_; ++i) std::copy(col_drive_.begin(), col_drive_.end(), u_.begin() + i * cols_);
        std::fill(row_current.begin(), row_current.end(), 0.0);
        std::fill(col_current.begin(), col_current.end(), 0.0);
        double earlier = 0.0;
        for (int sweep = 0; sweep < kSweeps; ++sweep) {
            array_model::sweep(cols_, rows_, gt_, u_, row_m_, row_far_, row_line(tile, 0) + row_end, kLineFields, row_drive_, v_);
            array_model::sweep(rows_, cols_, g_, v_, col_m_, col_far_, col_line(tile, 0) + col_end, kLineFields, col_drive_, u_);
            double change = 0.0;
            for (int i = 0; i < rows_; ++i) {
                const double current = row_line(tile, i)[row_end] * (v_[i] - row_drive_[i]);
                if (way == kReadT) change = std::max(change, std::fabs(current - row_current[i]));
                row_current[i] = current;
            }
            for (int j = 0; j < cols_; ++j) {
                const double current = col_line(tile, j)[col_end] * (u_[j] - col_drive_[j]);
                if (way == kRead) change = std::max(change, std::fabs(current - col_current[j]));
                col_current[j] = current;
            }
            const double share = sweep > 1 ? std::min(change / earlier, 0.9999) : 0.9;
            if (change * share <= numbers_[kTolerance] * (1.0 - share)) return sweep + 1;
            earlier = change;
        }
        return kSweeps;
    }

    // One row of a PULSE, its lanes' write streams first. Without wires in writes the pulses are given at once.
    void pulse(int tile, int row, const int* counts) {
        changed();
        for (int c = 0; c < kTileCols; ++c) {
            if (kWriteStream) writes[c] = xorshift(writes[c]);
            if (!counts[c]) continue;
            const size_t at = size_t(row) * kTileCols + c, cell = size_t(tile) * kTileRows * kTileCols + at;
            if (wired_write()) {
                asked_[at] = counts[c];
                words_[at] = writes[c];
                continue;
            }
            const int n = std::abs(counts[c]);
            const int64_t noise = kWriteStream ? gauss(writes[c]) * parameters[kRoot + n] : 0;
            const int codes = kSpread ? spread[cell] : 0;
            const int64_t wanted = cells[cell] + rshift(counts[c] * weight(cells[cell], counts[c] > 0, codes) + noise, kUpdateFrac);
            cells[cell] = bounded(cells[cell], wanted, codes);
        }
    }

    // The end of a PULSE of some rows: what was kept goes through the wires.
    void settle(int tile, int row0, int rows) {
        if (!wired_write()) return;
        spread_pulses(tile, row0, rows);
        for (int i = 0; i < kTileRows; ++i) {
            for (int c = 0; c < kTileCols; ++c) {
                const size_t at = size_t(i) * kTileCols + c, cell = size_t(tile) * kTileRows * kTileCols + at;
                const double* moves = &moves_[i * cols_ + sizes_[kPieces] * c];
                const double pulses = sizes_[kScheme] == kPairs ? (moves[0] - moves[1]) / 2.0 : moves[0];
                if (pulses == 0.0) continue;
                reads[0] = xorshift(reads[0]);
                double noise = 0.0;
                if (kWriteStream && asked_[at]) noise = gauss(words_[at]) * double(parameters[kRoot + 1]) * std::sqrt(std::fabs(pulses));
                const int codes = kSpread ? spread[cell] : 0;
                const double moved = pulses * double(weight(cells[cell], pulses > 0.0, codes)) + noise;
                const int64_t wanted = cells[cell] + int64_t(std::floor(moved / double(1 << kUpdateFrac) + reads[0] / 4294967296.0));
                cells[cell] = bounded(cells[cell], wanted, codes);
            }
        }
        std::fill(asked_.begin(), asked_.end(), 0);
        changed();
    }

private:
    struct Part {
        void* data;
        size_t bytes;
    };

    static Part grow(Doubles& to, size_t count) {
        to.resize(count);
        return {to.data(), 8 * count};
    }

    size_t place(int tile) const { return size_t(tile) * rows_ * cols_; }
    const double* row_line(int tile, int i) const { return &row_line_[(size_t(tile) * rows_ + i) * kLineFields]; }
    const double* col_line(int tile, int j) const { return &col_line_[(size_t(tile) * cols_ + j) * kLineFields]; }

    void fill(int tile) {
        const int pieces = sizes_[kPieces];
        const bool pairs = sizes_[kScheme] == kPairs;
        const double mid = numbers_[kMid], one = numbers_[kPerWord];
        for (int i = 0; i < kTileRows; ++i) {
            for (int c = 0; c < kTileCols; ++c) {
                const double part = cells[(size_t(tile) * kTileRows + i) * kTileCols + c] * one;
                g_[i * cols_ + pieces * c] = std::max(mid + part, 0.0);
                if (pairs) g_[i * cols_ + pieces * c + 1] = std::max(mid - part, 0.0);
            }
        }
        const double* fixed = &fixed_[place(tile)];
        for (size_t k = 0; k < g_.size(); ++k)
            if (fixed[k] >= 0.0) g_[k] = fixed[k];
    }

    double convert(double current, const double* line, uint32_t& state, bool& over) const {
        const double x = current * numbers_[kSenseOne] * line[kGain];
        const double rail = numbers_[kRail], step = numbers_[kAdcStep], noise = numbers_[kNoise] / kGaussSigma;
        const int phases = sizes_[kPhases], averages = sizes_[kAverages];
        double total = 0.0;
        for (int phase = 0; phase < phases; ++phase) {
            const double sign = 1.0 - 2.0 * phase;
            for (int k = 0; k < averages; ++k) {
                state = xorshift(state);
                double raw = sign * x + line[kOffset] + gauss(state) * noise;
                if (step > 0.0) raw = std::rint(raw / step) * step;
                if (std::fabs(raw) >= rail) {
                    over = true;
                    raw = std::min(std::max(raw, -rail), rail);
                }
                total += sign * raw;
            }
        }
        return total / (phases * averages) + line[kResidue];
    }

    void words(int way, int tile, int first_driven, int driven, double total, int first, int count, const Doubles& extra, int bank,
               int* out, bool* over) {
        const int scheme = sizes_[kScheme], pieces = sizes_[kPieces];
        const bool forward = way == kRead;
        const Doubles& currents = forward ? col_current : row_current;
        uint32_t& state = reads[bank];
        double shared = 0.0;
        bool shared_over = false;
        auto line = [&](int k) { return forward ? col_line(tile, k) : row_line(tile, k); };
        if (scheme == kLine) shared = convert(currents.back(), line(int(currents.size()) - 1), state, shared_over);
        for (int k = 0; k < count; ++k) {
            over[k] = shared_over;
            const int at = forward ? pieces * (first + k) : first + k;
            double value = convert(currents[at], line(at), state, over[k]);
            if (forward && scheme == kPairs) value -= convert(currents[at + 1], line(at + 1), state, over[k]);
            if (scheme == kMidpoint) {
                const int lines = forward ? cols_ : rows_;
                const double* zero = forward ? &zero_rows_[size_t(tile) * (rows_ + 1) * cols_] : &zero_cols_[size_t(tile) * (cols_ + 1) * rows_];
                const double sum = zero[(first_driven + driven) * lines + at] - zero[first_driven * lines + at];
                value -= sum / driven * total * numbers_[kSenseOne];
            }
            value += extra[k] - shared;
            double size = std::floor(std::fabs(value) + 0.5);
            over[k] = over[k] || size > kSenseMax;
            size = std::min(size, double(kSenseMax));
            out[k] = int(value >= 0.0 ? size : -size);
        }
    }

    int64_t weight(int64_t g, bool up, int codes) const {
        const int step_code = ((codes & 15) ^ 8) - 8;
        const int64_t base = parameters[up ? kBaseUp : kBaseDown], slope = parameters[up ? kSlopeUp : kSlopeDown];
        return ((1 << kFactorFrac) + step_code * parameters[kStepUnit]) * std::max<int64_t>(base - ((slope * g) >> kSlopeShift), 0);
    }

    int16_t bounded(int64_t g, int64_t wanted, int codes) const {
        const int bound_code = ((codes >> 4) ^ 8) - 8;
        if (bound_code == kStuck) return int16_t(g);
        const int64_t high = parameters[kBoundUp] + bound_code * parameters[kBoundUnit];
        const int64_t low = parameters[kBoundDown] - bound_code * parameters[kBoundUnit];
        const int64_t moved = wanted > high ? high : std::max(wanted, low), sign = int64_t(1) << (kCellBits - 1);
        return int16_t(((moved & (2 * sign - 1)) ^ sign) - sign);
    }

    double part_of_pulse(double voltage) const {
        const double k = numbers_[kSteepness];
        return std::sinh(k * voltage) / std::sinh(k);
    }

    void spread_pulses(int tile, int first, int rows) {
        const int pieces = sizes_[kPieces], used = pieces * kTileCols;
        const bool pairs = sizes_[kScheme] == kPairs;
        const double bias = numbers_[kBias];
        fill(tile);
        pulsed_columns(tile);
        for (Doubles* one : {&moves_, &col_current, &row_current}) std::fill(one->begin(), one->end(), 0.0);
        double slots_of_all = 0.0;
        for (int i = first; i < first + rows; ++i) {
            const int* asked = &asked_[size_t(i) * kTileCols];
            for (int sign : {1, -1}) {
                for (int level = 0;;) {
                    int following = 0;
                    for (int c = 0; c < kTileCols; ++c) {
                        const int count = sign * asked[c], size = pairs ? std::abs(count) : count;
                        if (size > level && (!following || size < following)) following = size;
                    }
                    if (!following) break;
                    const double slots = sign * (following - level);
                    for (int c = 0; c < kTileCols; ++c) {
                        const int count = sign * asked[c];
                        col_drive_[pieces * c] = count > level;
                        if (pairs) col_drive_[pieces * c + 1] = -count > level;
                    }
                    pulse_row(tile, i);
                    for (int j = 0; j < used; ++j) {
                        moves_[i * cols_ + j] += slots * part_of_pulse(voltage_[j]);
                        col_current[j] += slots * col_drive_[j];
                    }
                    row_current[i] += slots;
                    level = following;
                }
            }
            slots_of_all += row_current[i];
        }
        const double aside = part_of_pulse(-2.0 * bias);
        for (int k = 0; k < kTileRows; ++k) {
            for (int j = 0; j < used; ++j) {
                const size_t at = size_t(k) * cols_ + j;
                const double others = col_current[j] - asked_[size_t(k) * kTileCols + j / pieces] * (1 - 2 * (j % pieces));
                if (others != 0.0) {
                    const double there = (col_far_[at] * col_m_[at] - bias * g_[at]) / (col_m_[at] + g_[at]);
                    moves_[at] += others * part_of_pulse(-bias - there);
                }
                if (bias > 0.0) moves_[at] += (slots_of_all - row_current[k] - others) * aside;
            }
        }
    }

    // `col_m_` becomes a conductance and `col_far_` the voltage behind it, that a pulsed column is to each of its nodes' cells.
    void pulsed_columns(int tile) {
        const double bias = numbers_[kBias];
        const double* wire = &col_wire_[place(tile)];
        for (int j = 0; j < cols_; ++j) {
            u_[(rows_ - 1) * cols_ + j] = kLeak;
            for (int k = rows_ - 1; k > 0; --k) {
                const double y = u_[k * cols_ + j] + g_[k * cols_ + j], piece = wire[k * cols_ + j];
                u_[(k - 1) * cols_ + j] = kLeak + piece * y / (piece + y);
            }
            double near = col_line(tile, j)[kDriver], there = -0.5;
            for (int k = 0; k < rows_; ++k) {
                if (k) {
                    const double above = g_[(k - 1) * cols_ + j] + kLeak, y = near + above, piece = wire[k * cols_ + j];
                    there = (there * near - bias * above) / y;
                    near = piece * y / (piece + y);
                }
                const double far = u_[k * cols_ + j];
                col_m_[k * cols_ + j] = near + far;
                col_far_[k * cols_ + j] = (there * near - bias * far) / (near + far);
            }
        }
    }

    void pulse_row(int tile, int i) {
        const double bias = numbers_[kBias];
        double outward = 0.0, inward = 0.0;
        for (int j = cols_ - 1; j >= 0; --j) {
            const size_t at = size_t(i) * cols_ + j;
            double g = g_[at], there = bias;
            if (col_drive_[j] > 0.0) g = g * col_m_[at] / (g + col_m_[at]), there = col_far_[at];
            const double y = outward + g + kLeak, source = inward + g * there;
            const double piece = j ? row_wire_[place(tile) + size_t(j) * rows_ + i] : row_line(tile, i)[kDriver];
            const double share = 1.0 / (piece + y);
            source_[j] = source * share, share_[j] = piece * share;
            outward = piece * y * share, inward = piece * source * share;
        }
        double voltage = 0.5;
        for (int j = 0; j < cols_; ++j) {
            const size_t at = size_t(i) * cols_ + j;
            voltage = source_[j] + share_[j] * voltage;
            voltage_[j] = col_drive_[j] > 0.0 ? (voltage - col_far_[at]) * col_m_[at] / (col_m_[at] + g_[at]) : voltage - bias;
        }
    }

    int rows_ = 0, cols_ = 0, fresh_ = -1;
    std::vector<int64_t> sizes_;
    Doubles numbers_, row_line_, col_line_, fixed_, row_wire_, col_wire_, zero_rows_, zero_cols_;
    Doubles g_, gt_, u_, v_, col_m_, col_far_, row_m_, row_far_, moves_, row_drive_, col_drive_, source_, share_, voltage_;
    std::vector<int> asked_;
    std::vector<uint32_t> words_;
};

}  // namespace array_model
