// AD7476A: four zeros, then 12 bits, at falling edges. The input is given as a code, signed, from the middle of the
// range; it is taken two clocks after the select has fallen.

module backpulse_ad7476a (
    input clk,
    input cs_n,
    input sclk,
    input [15:0] sense,
    output sdo
);
    reg [11:0] held = 0;
    reg [4:0] place = 0;
    reg [1:0] selected = 0;

    always @(posedge clk) begin
        selected <= {selected[0], !cs_n};
        if (selected == 2'b01) held <= sense[15:4] ^ 12'h800;
    end

    always @(negedge sclk or posedge cs_n)
        if (cs_n) place <= 0;
        else if (place != 16) place <= place + 1;

    wire [15:0] bits = {4'd0, held};
    assign sdo = cs_n || place == 16 || bits[15-place[3:0]];
endmodule
