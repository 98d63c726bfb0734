// The analog pins of a front end, with a physical array in C++ behind them (array_world.cpp).

module backpulse_array_world #(
    parameter LINES = 16
) (
    input clk,
    // Voltages of the lines, rows first, in codes, and which switches are closed.
    input [16*LINES-1:0] codes,
    input [LINES-1:0] connected,
    // All lines are sampled in this cycle, and the samples are there in the next one.
    input convert,
    // The tile works for itself: the clock must run.
    input awake,
    output reg [16*LINES-1:0] samples = 0
);
    import "DPI-C" function void backpulse_world_drive(
        input longint cycle, input bit [16*LINES-1:0] codes, input bit [LINES-1:0] connected);
    import "DPI-C" function void backpulse_world_convert(output bit [16*LINES-1:0] samples);
    import "DPI-C" function void backpulse_world_awake(input bit awake);

    longint cycle = 0;
    reg [16*LINES-1:0] last_codes = 0;
    reg [LINES-1:0] last_connected = 0;
    reg last_awake = 0;
    bit [16*LINES-1:0] next_samples;

    always @(posedge clk) begin
        cycle <= cycle + 1;
        if (codes != last_codes || connected != last_connected) backpulse_world_drive(cycle, codes, connected);
        if (awake != last_awake) backpulse_world_awake(awake);
        if (convert) begin
            backpulse_world_convert(next_samples);
            samples <= next_samples;
        end
        last_codes <= codes;
        last_connected <= connected;
        last_awake <= awake;
    end
endmodule
