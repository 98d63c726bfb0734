// Plays the host's side of a conversation with the controller, and writes down what it answers, a byte a line.

`timescale 1ns / 1ns

module conversation;
    parameter CLOCKS = 4;         // of a bit
    parameter PATIENCE = 100000;  // cycles of waiting for an answer that end the bench

    reg clk = 0;
    reg rx = 1;
    wire tx, busy;
    wire [1:0] state;
    always #5 clk = ~clk;

    backpulse dut (.clk(clk), .rst(1'b0), .rx(rx), .tx(tx), .busy(busy), .state(state));

    reg [31:0] sizes [0:65535];   // bytes sent and bytes answered of each exchange; zero behind the last
    reg [7:0] bytes [0:1048575];
    integer out, exchange, sent, answered, expected, i, left, quiet;

    // The receiver.
    integer wait_for, bit_number;
    reg [7:0] shifted;
    initial begin
        answered = 0;
        out = $fopen("answers.txt", "w");
        forever begin
            @(negedge tx);
            repeat (CLOCKS / 2) @(posedge clk);
            for (bit_number = 0; bit_number < 8; bit_number = bit_number + 1) begin
                repeat (CLOCKS) @(posedge clk);
                shifted[bit_number] = tx;
            end
            repeat (CLOCKS) @(posedge clk);
            $fwrite(out, "%02x\n", shifted);
            answered = answered + 1;
        end
    end

    task send(input [7:0] data);
        begin
            rx = 0;
            repeat (CLOCKS) @(negedge clk);
            for (i = 0; i < 8; i = i + 1) begin
                rx = data[i];
                repeat (CLOCKS) @(negedge clk);
            end
            rx = 1;
            repeat (CLOCKS) @(negedge clk);
        end
    endtask

    initial begin
        $readmemh("sizes.txt", sizes);
        $readmemh("bytes.txt", bytes);
        sent = 0;
        expected = 0;
        repeat (100) @(negedge clk);
        for (exchange = 0; sizes[2 * exchange] != 0; exchange = exchange + 1) begin
            for (left = sizes[2 * exchange]; left > 0; left = left - 1) begin
                send(bytes[sent]);
                sent = sent + 1;
            end
            expected = expected + sizes[2 * exchange + 1];
            quiet = 0;
            for (left = PATIENCE; left > 0 && quiet < 100; left = left - 1) begin
                @(negedge clk);
                quiet = (answered >= expected && !busy) ? quiet + 1 : 0;
            end
            if (quiet < 100) begin
                $display("%0d of %0d bytes", answered, expected);
                $finish;
            end
        end
        $fclose(out);
        $finish;
    end
endmodule
