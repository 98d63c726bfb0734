// ADGS1414D: eight switches, in a chain after the frame 0x2500. Without RESET/VL all are open.

module backpulse_adgs1414d (
    input cs_n,
    input sclk,
    input sdi,
    input vl,
    output reg sdo = 0,
    output reg [7:0] closed = 0
);
    reg [15:0] shift = 0;
    reg [4:0] count = 0;
    reg chained = 0;

    always @(posedge sclk or posedge cs_n)
        if (cs_n) count <= 0;
        else begin
            shift <= {shift[14:0], sdi};
            if (count != 31) count <= count + 1;
        end

    wire [15:0] alignment = 16'h2500;
    always @(negedge sclk or negedge cs_n) sdo <= chained ? shift[7] : count < 16 && alignment[15-count[3:0]];

    always @(posedge cs_n or negedge vl)
        if (!vl) begin
            closed <= 0;
            chained <= 0;
        end else if (chained) closed <= shift[7:0];
        else if (count == 16) begin
            if (shift == 16'h2500) chained <= 1;
            if (shift[15:8] == 8'h01) closed <= shift[7:0];
        end
endmodule
