// ADS8686S: bursts over the sequence of pairs in its registers. Inputs are given as codes, signed, of the range
// RANGE, 0 to 7 those of A; they are taken two clocks after CONVST rose, and BUSY is high for CONVERSION clocks a pair.

module backpulse_ads8686s #(
    parameter [1:0] RANGE = 2'b10,
    parameter CONVERSION = 4
) (
    input clk,
    input cs_n,
    input sclk,
    input sdi,
    input convst,
    input reset_n,
    input [255:0] sense,
    output sdo_a,
    output sdo_b,
    output reg busy = 0
);
    reg [15:0] shift = 0;
    reg [8:0] count = 0;
    reg [8:0] place = 0;
    reg [7:0] range[4];
    reg [8:0] pairs[32];
    reg [7:0] config_ = 0;
    reg [143:0] out_a = 0, out_b = 0;
    reg started = 0, sampling = 0;
    int left = 0;

    always @(negedge sclk or posedge cs_n)
        if (cs_n) count <= 0;
        else begin
            shift <= {shift[14:0], sdi};
            count <= count + 1;
        end

    always @(posedge sclk or posedge cs_n)
        if (cs_n) place <= 0;
        else place <= place + 1;

    assign sdo_a = !cs_n && place < 144 && out_a[143-place];
    assign sdo_b = !cs_n && place < 144 && out_b[143-place];

    always @(posedge cs_n or negedge reset_n)
        if (!reset_n) begin
            for (int i = 0; i < 4; i++) range[i] <= 0;
            for (int i = 0; i < 32; i++) pairs[i] <= 0;
            config_ <= 0;
        end else if (count == 16 && shift[15]) begin
            if (shift[14:9] == 6'h02) config_ <= shift[7:0];
            if (shift[14:11] == 4'b0001) range[shift[10:9]] <= shift[7:0];
            if (shift[14]) pairs[shift[13:9]] <= shift[8:0];
        end

    function [15:0] result(input [2:0] n, input of_b);
        result = range[{of_b, n[2]}][2*n[1:0]+:2] == RANGE ? sense[16*{of_b, n}+:16] : 16'h8000;
    endfunction

    function [7:0] crc(input [7:0] start, input [15:0] bits);
        crc = start;
        for (int i = 15; i >= 0; i--) crc = {crc[6:0], 1'b0} ^ ((crc[7] ^ bits[i]) ? 8'h07 : 8'h00);
    endfunction

    // A word of zeros, which names no input, follows where the sequence is not loaded, or the CRC is off.
    always @(posedge clk) begin
        started <= convst;
        sampling <= convst && !started && !busy && reset_n;
        if (!reset_n) begin
            busy <= 0;
        end else if (convst && !started && !busy) begin
            busy <= 1;
            left <= 0;
        end
        if (sampling) begin
            automatic logic [143:0] a = 0, b = 0;
            automatic logic [7:0] sum = 0;
            automatic int words = 0;
            if (config_[6] && config_[5])
                for (int i = 0; i < 8; i++)
                    if (words == i) begin
                        a[16*(8-i)+:16] = result(pairs[i][2:0], 0);
                        b[16*(8-i)+:16] = result(pairs[i][6:4], 1);
                        sum = crc(crc(sum, a[16*(8-i)+:16]), b[16*(8-i)+:16]);
                        if (!pairs[i][8]) words = i + 1;
                        else if (config_[0]) begin
                            a[16*(7-i)+:16] = {1'b0, pairs[i][2:0], 1'b0, pairs[i][6:4], sum};
                            b[16*(7-i)+:16] = a[16*(7-i)+:16];
                        end
                    end
            out_a <= a;
            out_b <= b;
            left <= 8 * CONVERSION;
        end else if (busy && left != 0) begin
            left <= left - 1;
            if (left == 1) busy <= 0;
        end
    end
endmodule
