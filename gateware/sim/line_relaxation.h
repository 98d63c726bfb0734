// Line relaxation in C++, as firmware_py/relaxation.py has it, and the machine's random numbers: what the models of arrays share.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace array_model {

using Doubles = std::vector<double>;

inline uint32_t xorshift(uint32_t state) {
    state ^= state << kXorshiftA;
    state ^= state >> kXorshiftB;
    return state ^ (state << kXorshiftC);
}

inline int gauss(uint32_t word) {
    return int(word & 255) + int(word >> 8 & 255) + int(word >> 16 & 255) + int(word >> 24) - kGaussMean;
}

// The lines of which node k is at [k, i], from their far ends on; `far` is the share of a node's voltage that comes from the one before.
inline void eliminate(int nodes, int lines, const Doubles& g, const double* wire, Doubles& m, Doubles& far) {
    for (int i = 0; i < lines; ++i) m[(nodes - 1) * lines + i] = g[(nodes - 1) * lines + i] + kLeak;
    for (int k = nodes - 1; k > 0; --k) {
        for (int i = 0; i < lines; ++i) {
            const double y = m[k * lines + i], piece = wire[k * lines + i], inverse = 1.0 / (piece + y);
            m[k * lines + i] = inverse;
            far[k * lines + i] = piece * inverse;
            m[(k - 1) * lines + i] = g[(k - 1) * lines + i] + kLeak + piece * y * inverse;
        }
    }
}

// The voltages `out` of all lines' nodes, given those of the lines across, at [i, k]; ends are `stride` apart.
inline void sweep(int nodes, int lines, const Doubles& g, const Doubles& others, const Doubles& m, const Doubles& far, const double* end,
                  int stride, const Doubles& drive, Doubles& out) {
    for (int i = 0; i < lines; ++i) out[(nodes - 1) * lines + i] = g[(nodes - 1) * lines + i] * others[i * nodes + nodes - 1];
    for (int k = nodes - 2; k >= 0; --k) {
        for (int i = 0; i < lines; ++i)
            out[k * lines + i] = g[k * lines + i] * others[i * nodes + k] + far[(k + 1) * lines + i] * out[(k + 1) * lines + i];
    }
    for (int i = 0; i < lines; ++i) out[i] = (out[i] + end[i * stride] * drive[i]) / (end[i * stride] + m[i]);
    for (int k = 1; k < nodes; ++k) {
        for (int i = 0; i < lines; ++i)
            out[k * lines + i] = out[k * lines + i] * m[k * lines + i] + far[k * lines + i] * out[(k - 1) * lines + i];
    }
}

}  // namespace array_model
