// The virtual board, and what says from its inside which sample it works on: for the build that writes waves.
module waves (
    input clk,
    input rx,
    output tx,
    output busy,
    output take,
    output bank,
    output [1:0] state
);
    board board (.clk(clk), .rx(rx), .tx(tx), .busy(busy));
    assign take = board.top.machine.core.sequencer.sample_take;
    assign bank = board.top.machine.core.sequencer.bank;
    assign state = board.top.machine.core.sequencer.state;
endmodule
