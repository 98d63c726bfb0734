// An example of a top around the controller that `backpulse export` writes: pins, reset and two lights. Copy it and change it.
//
// `clk` must have the frequency that the export was told (--clk-hz), the host then speaks at its --baud.

`default_nettype none

module example_top (
    input  wire clk,
    input  wire reset_n,      // a button, or 1
    input  wire uart_rx,
    output wire uart_tx,
    output wire led_busy,     // lit while there is work
    output wire led_fault     // lit after a fault or an abort, until the next start
);
    // Pins change at any time: two flip-flops bring them to the clock.
    reg [1:0] rx_sync, reset_sync;
    initial begin
        rx_sync = 2'b11;
        reset_sync = 2'b11;
    end
    always @(posedge clk) begin
        rx_sync <= {rx_sync[0], uart_rx};
        reset_sync <= {reset_sync[0], ~reset_n};
    end

    wire [1:0] state;         // 0 idle, 1 training, 2 paused, 3 fault

    backpulse controller (
        .clk(clk),
        .rst(reset_sync[1]),  // synchronous, active high
        .rx(rx_sync[1]),
        .tx(uart_tx),
        .busy(led_busy),
        .state(state)
    );

    assign led_fault = state == 2'd3;
endmodule

`default_nettype wire
