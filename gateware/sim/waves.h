// Writes the waves of the samples that are named, and of no others: from the cycle that takes a sample as long as the
// machine trains. Samples are counted from 0, those of training or those of evaluation. Cycle n begins at time 2 n.

#ifdef WAVES_FST
#include "verilated_fst_c.h"
using Writer = VerilatedFstC;
#else
#include "verilated_vcd_c.h"
using Writer = VerilatedVcdC;
#endif

class Waves {
public:
    void record(Vtop& top, const char* file, long first, long last, bool bank) {
        file_ = file;
        first_ = first;
        last_ = last;
        bank_ = bank;
        writer_.set_time_unit("1ns");
        writer_.set_time_resolution("1ns");
        top.trace(&writer_, 99);
    }

    // At the end of a cycle, when all of it is settled.
    void look(const Vtop& top) {
        if (top.take && static_cast<bool>(top.bank) == bank_ && ++sample_ == first_ && file_) writer_.open(file_);
        if (sample_ > last_) close();
        on_ = writer_.isOpen() && top.state == TRAINING && static_cast<bool>(top.bank) == bank_;
    }

    void write(uint64_t time) {
        if (on_) writer_.dump(time);
    }

    void close() {
        if (writer_.isOpen()) writer_.close();
    }

private:
    Writer writer_;
    const char* file_ = nullptr;
    long first_ = 0, last_ = 0, sample_ = -1;
    bool bank_ = false, on_ = false;
};
