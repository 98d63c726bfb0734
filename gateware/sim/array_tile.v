// The streams of a tile whose inside is in C++ (array_tile.cpp), called once a clock cycle.

module backpulse_array_tile #(
    parameter COUNTS_BITS = 1
) (
    input clk,
    input cmd_valid,
    input [63:0] cmd,
    input drive_valid,
    input signed [31:0] drive,
    input counts_valid,
    input [COUNTS_BITS-1:0] counts,
    input sense_ready,
    input completion_ready,
    input abort,
    input request,
    input [31:0] window,
    input [31:0] addr,
    input write,
    input [31:0] w_data,
    output reg idle = 1,
    output reg cmd_ready = 0,
    output reg drive_ready = 0,
    output reg counts_ready = 0,
    output reg sense_valid = 0,
    output reg [31:0] sense = 0,
    output reg sense_over = 0,
    output reg sense_last = 0,
    output reg completion_valid = 0,
    output reg [31:0] tag = 0,
    output reg [31:0] pulses = 0,
    output reg [31:0] status = 0,
    output reg ack = 0,
    output reg [31:0] r_data = 0,
    output reg error = 0
);
    import "DPI-C" function void backpulse_array_tick(
        input bit [31:0] given, input longint cmd, input int drive, input bit [COUNTS_BITS-1:0] counts, input int window,
        input int addr, input int w_data, output bit [31:0] flags, output int sense, output int tag, output int pulses,
        output int status, output int r_data);

    reg [31:0] flags;
    int next_sense, next_tag, next_pulses, next_status, next_data;

    always @(posedge clk) begin
        backpulse_array_tick(
            {24'd0, write, request, abort, completion_ready, sense_ready, counts_valid, drive_valid, cmd_valid}, cmd, drive, counts,
            window, addr, w_data, flags, next_sense, next_tag, next_pulses, next_status, next_data);
        {idle, error, ack, completion_valid, sense_last, sense_over, sense_valid, counts_ready, drive_ready, cmd_ready} <= flags[9:0];
        sense <= next_sense;
        tag <= next_tag;
        pulses <= next_pulses;
        status <= next_status;
        r_data <= next_data;
    end
endmodule
