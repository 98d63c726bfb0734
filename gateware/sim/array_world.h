// A physical array behind the analog pins of a front end: lines at voltages of their own, amplifiers, and cells that pulses move.
// The tables come from firmware_py/physical.py, which says what they mean.

#pragma once

#include <cstdio>
#include <cstring>
#include <limits>

#include "line_relaxation.h"

namespace array_model {

class World {
public:
    std::FILE* log = nullptr;
    Doubles row_current, col_current, cells;

    bool load(const char* bytes, size_t size) {
        const char* at = bytes;
        int64_t sizes[kWorldSizes];
        const auto take = [&](void* to, size_t count) {
            if (size_t(bytes + size - at) < count) return false;
            std::memcpy(to, at, count);
            at += count;
            return true;
        };
        if (!take(sizes, sizeof sizes) || !take(numbers_, sizeof numbers_) || !take(parameters_, sizeof parameters_)) return false;
        rows_ = sizes[kRowCount], cols_ = sizes[kColCount], bits_ = sizes[kAdcBits], random_ = uint32_t(sizes[kSeed]);
        const size_t n = size_t(rows_) * cols_, lines = rows_ + cols_;
        for (Doubles* one : {&row_drive_, &row_current, &row_end_, &row_own_}) one->assign(rows_, 0.0);
        for (Doubles* one : {&col_drive_, &col_current, &col_end_, &col_own_}) one->assign(cols_, 0.0);
        for (Doubles* one : {&offset_, &feedback_}) one->assign(lines, 0.0);
        for (Doubles* one : {&row_wire_, &col_wire_, &fixed_, &cells, &spread_, &g_, &gt_, &u_, &v_, &col_m_, &col_far_, &row_m_, &row_far_})
            one->assign(n, 0.0);
        codes_.assign(lines, 0);
        connected_.assign(lines, false);
        for (Doubles* one : {&row_own_, &col_own_, &offset_, &feedback_, &row_wire_, &col_wire_, &fixed_, &cells, &spread_})
            if (!take(one->data(), 8 * one->size())) return false;
        return at == bytes + size;
    }

    int lines() const { return rows_ + cols_; }
    bool at_rest() const {
        for (int k = 0; k < lines(); ++k)
            if (codes_[k] && connected_[k]) return false;
        return true;
    }

    // From this cycle on lines are at these codes, rows first, or not connected. What the cells saw until then has moved them.
    void drive(int64_t cycle, const int* codes, const bool* connected) {
        if (!at_rest()) end(cycle);
        since_ = cycle;
        std::copy(codes, codes + lines(), codes_.begin());
        std::copy(connected, connected + lines(), connected_.begin());
        for (int k = 0; k < lines(); ++k) {
            const double volts = codes_[k] * numbers_[kVoltsOfCode] + offset_[k];
            if (k < rows_) row_drive_[k] = volts, row_end_[k] = connected_[k] ? row_own_[k] : 0.0;
            else col_drive_[k - rows_] = volts, col_end_[k - rows_] = connected_[k] ? col_own_[k - rows_] : 0.0;
        }
        solved_ = false;
    }

    // What the converters read at the amplifiers' outputs, one word a line. An amplifier without a line follows its code.
    void convert(int* samples) {
        solve();
        const double most = double(int64_t(1) << (bits_ - 1));
        for (int k = 0; k < lines(); ++k) {
            const bool row = k < rows_;
            const double current = row ? row_current[k] : col_current[k - rows_];
            random_ = xorshift(random_);
            const double noise = gauss(random_) * numbers_[kNoiseVolts] / kGaussSigma;
            const double output = (row ? row_drive_[k] : col_drive_[k - rows_]) - current * feedback_[k];
            const double volts = output + numbers_[kRestVolts] + noise;
            const double sample = std::rint(volts / numbers_[kVoltsOfSample] * most / kSampleOne);
            samples[k] = int(std::min(std::max(sample, -most), most - 1)) * int(kSampleOne / most);
        }
    }

    // The currents out of all lines' ends into their amplifiers, and the voltages of all nodes.
    int solve() {
        if (solved_) return 0;
        if (!factored_) factor();
        for (int i = 0; i < rows_; ++i) std::copy(col_drive_.begin(), col_drive_.end(), u_.begin() + i * cols_);
        std::fill(row_current.begin(), row_current.end(), 0.0);
        std::fill(col_current.begin(), col_current.end(), 0.0);
        double earlier = 0.0;
        solved_ = true;
        for (int sweeps = 1; sweeps <= kSweeps; ++sweeps) {
            sweep(cols_, rows_, gt_, u_, row_m_, row_far_, row_end_.data(), 1, row_drive_, v_);
            sweep(rows_, cols_, g_, v_, col_m_, col_far_, col_end_.data(), 1, col_drive_, u_);
            const double change = std::max(changed(row_end_, v_, row_drive_, row_current), changed(col_end_, u_, col_drive_, col_current));
            const double share = sweeps > 2 ? std::min(change / earlier, 0.9999) : 0.9;
            if (change * share <= numbers_[kTolerance] * (1.0 - share)) return sweeps;
            earlier = change;
        }
        return kSweeps;
    }

    // The voltage across a cell, the row's node less the column's.
    double across(int i, int j) const { return v_[j * rows_ + i] - u_[i * cols_ + j]; }

    void report() {
        if (!log) return;
        std::fprintf(log, "cells");
        for (double cell : cells) std::fprintf(log, " %.17g", cell);
        std::fprintf(log, "\n");
        std::fflush(log);
    }

private:
    void factor() {
        for (int k = 0; k < rows_ * cols_; ++k)
            g_[k] = fixed_[k] >= 0.0 ? fixed_[k] : std::max(numbers_[kZero] + cells[k] * numbers_[kPerLsb], 0.0);
        for (int i = 0; i < rows_; ++i)
            for (int j = 0; j < cols_; ++j) gt_[j * rows_ + i] = g_[i * cols_ + j];
        eliminate(rows_, cols_, g_, col_wire_.data(), col_m_, col_far_);
        eliminate(cols_, rows_, gt_, row_wire_.data(), row_m_, row_far_);
        factored_ = true;
    }

    static double changed(const Doubles& end, const Doubles& nodes, const Doubles& drive, Doubles& current) {
        double most = 0.0;
        for (size_t k = 0; k < end.size(); ++k) {
            const double found = end[k] * (nodes[k] - drive[k]);
            most = std::max(most, std::fabs(found - current[k]));
            current[k] = found;
        }
        return most;
    }

    // Part of a pulse that a cell takes in a pulse's time at a voltage.
    double part(double volts) const {
        const double share = volts / numbers_[kPulseVolts], k = numbers_[kLaw];
        if (k == 0.0) return std::fabs(share) < kWholePulse ? 0.0 : share > 0.0 ? 1.0 : -1.0;
        return std::sinh(std::min(std::max(k * share, -kLargestSinh), kLargestSinh)) / std::sinh(k);
    }

    void end(int64_t cycle) {
        const double pulses = double(cycle - since_) / numbers_[kPulseCycles];
        int up = 0, down = 0;
        double most = 0.0;
        for (int i = 0; i < rows_; ++i) {
            for (int j = 0; j < cols_; ++j) {
                if (!connected_[i] || !connected_[rows_ + j]) continue;
                const double volts = (codes_[i] - codes_[rows_ + j]) * numbers_[kVoltsOfCode];
                up += volts >= kWholePulse * numbers_[kPulseVolts];
                down += volts <= -kWholePulse * numbers_[kPulseVolts];
                most = std::max(most, std::fabs(row_drive_[i] - col_drive_[j]));
            }
        }
        if (log) {
            std::fprintf(log, "drive %lld %lld %d %d\n", (long long)since_, (long long)(cycle - since_), up, down);
            std::fflush(log);
        }
        if (part(most) * pulses < kLeastPulse) return;
        solve();
        for (int i = 0; i < rows_; ++i)
            for (int j = 0; j < cols_; ++j) move(i * cols_ + j, part(across(i, j)) * pulses);
        factored_ = false;
    }

    // As `take` in firmware_py/device.py, but that nothing is rounded; many pulses go step by step.
    void move(size_t at, double pulses) {
        if (pulses == 0.0 || fixed_[at] >= 0.0) return;
        const int codes = int(spread_[at]), step_code = ((codes & 15) ^ 8) - 8, bound_code = ((codes >> 4) ^ 8) - 8;
        if (bound_code == kStuck) return;
        const double high = parameters_[kBoundUp] + bound_code * parameters_[kBoundUnit];
        const double low = parameters_[kBoundDown] - bound_code * parameters_[kBoundUnit];
        const bool up = pulses > 0.0;
        const double base = parameters_[up ? kBaseUp : kBaseDown], slope = parameters_[up ? kSlopeUp : kSlopeDown] / double(1 << kSlopeShift);
        const double factor = (1 << kFactorFrac) + step_code * parameters_[kStepUnit];
        const int steps = int(std::min(std::ceil(std::fabs(pulses)), kMostSteps));
        random_ = xorshift(random_);
        double moved = gauss(random_) * parameters_[kRoot + 1] * std::sqrt(std::fabs(pulses)) / double(1 << kUpdateFrac);
        double cell = cells[at];
        for (int k = 0; k < steps; ++k) {
            moved += pulses / steps * factor * std::max(base - slope * cell, 0.0) / double(1 << kUpdateFrac);
            cell = std::min(std::max(cells[at] + moved, low), high);
        }
        cells[at] = cell;
    }

    static constexpr double kLargestSinh = 700.0, kMostSteps = 1000.0;

    int rows_ = 0, cols_ = 0, bits_ = 0;
    uint32_t random_ = 1;
    int64_t since_ = 0;
    bool factored_ = false, solved_ = false;
    double numbers_[kWorldNumbers], parameters_[kTileWords];
    std::vector<int> codes_;
    std::vector<char> connected_;
    Doubles row_own_, col_own_, row_end_, col_end_, offset_, feedback_, row_wire_, col_wire_, fixed_, spread_;
    Doubles g_, gt_, u_, v_, col_m_, col_far_, row_m_, row_far_, row_drive_, col_drive_;
};

}  // namespace array_model
