// The physical array behind a front end's analog pins: what array_world.v calls when something happens there.

#include <unistd.h>

#include "svdpi.h"

namespace {

array_model::World world;
bool awake = false;

}  // namespace

// The tables of the array, from a file that is open.
bool load_array(int descriptor) {
    std::string bytes;
    char part[1 << 16];
    for (ssize_t n; (n = read(descriptor, part, sizeof part)) > 0;) bytes.append(part, n);
    close(descriptor);
    return world.load(bytes.data(), bytes.size()) && world.lines() == kLines;
}

// What the array sees goes into a file that is open: a line `drive` for each time that lines were away from rest, with its first clock
// cycle, its cycles, and how many cells it pulsed up and down; in the end a line `cells`, where all of them stand.
void log_array(int descriptor) { world.log = fdopen(descriptor, "w"); }

bool array_awake() { return awake; }
void end_array() { world.report(); }

extern "C" void backpulse_world_drive(long long cycle, const svBitVecVal* codes, const svBitVecVal* connected) {
    int of_line[kLines];
    bool closed[kLines];
    for (int k = 0; k < kLines; ++k) {
        of_line[k] = int16_t(codes[k / 2] >> (16 * (k % 2)));
        closed[k] = connected[k / 32] >> (k % 32) & 1;
    }
    world.drive(cycle, of_line, closed);
}

extern "C" void backpulse_world_convert(svBitVecVal* samples) {
    int of_line[kLines];
    world.convert(of_line);
    for (int k = 0; k < kLines; k += 2) samples[k / 2] = svBitVecVal(uint16_t(of_line[k])) | svBitVecVal(uint16_t(of_line[k + 1])) << 16;
}

extern "C" void backpulse_world_awake(svBit now) { awake = now; }
