// DAC81416: frames of 24 bits, or 32 with a CRC, executed when the select rises. Channels are given as codes,
// signed, of the range RANGE; one with another range shows the most negative code. ALMOUT stays low until a reset.

module backpulse_dac81416 #(
    parameter [3:0] RANGE = 4'b1001
) (
    input cs_n,
    input sclk,
    input sdi,
    input ldac_n,
    input clr_n,
    input reset_n,
    input toggle,
    output reg alarm_n = 1,
    output [255:0] drive
);
    reg [31:0] shift = 0;
    reg [5:0] count = 0;
    reg [15:0] spi_config = 16'h0aa4, gen_config = 16'h7f00, broadcast = 16'hffff, sync = 0, power_down = 16'hffff;
    reg [31:0] toggling = 0;
    reg [63:0] ranges = 0;
    reg [15:0] buffer[16];
    reg [15:0] a[16];
    reg [15:0] b[16];

    wire with_crc = spi_config[4];
    wire [23:0] frame = with_crc ? shift[31:8] : shift[23:0];

    function [7:0] crc(input [23:0] bits);
        crc = 0;
        for (int i = 23; i >= 0; i--) crc = {crc[6:0], 1'b0} ^ ((crc[7] ^ bits[i]) ? 8'h07 : 8'h00);
    endfunction

    always @(negedge sclk or posedge cs_n)
        if (cs_n) count <= 0;
        else begin
            shift <= {shift[30:0], sdi};
            if (count != 63) count <= count + 1;
        end

    wire whole = count == (with_crc ? 32 : 24);
    wire right = !with_crc || crc(frame) == shift[7:0];
    wire [5:0] address = frame[21:16];
    wire [15:0] value = frame[15:0];

    always @(posedge cs_n or negedge reset_n)
        if (!reset_n) begin
            spi_config <= 16'h0aa4;
            gen_config <= 16'h7f00;
            broadcast <= 16'hffff;
            sync <= 0;
            power_down <= 16'hffff;
            toggling <= 0;
            ranges <= 0;
            alarm_n <= 1;
        end else if (whole && right && !frame[23]) begin
            case (address)
                6'h03: spi_config <= value;
                6'h04: gen_config <= value;
                6'h05: broadcast <= value;
                6'h06: sync <= value;
                6'h07: toggling[15:0] <= value;
                6'h08: toggling[31:16] <= value;
                6'h09: power_down <= value;
                6'h0a: ranges[15:0] <= value;
                6'h0b: ranges[31:16] <= value;
                6'h0c: ranges[47:32] <= value;
                6'h0d: ranges[63:48] <= value;
                default: ;
            endcase
        end else if (count != 0 && spi_config[9]) alarm_n <= 0;

    always @(posedge cs_n or negedge clr_n or negedge reset_n)
        if (!reset_n) for (int i = 0; i < 16; i++) buffer[i] <= 0;
        else if (!clr_n) for (int i = 0; i < 16; i++) buffer[i] <= 16'h8000;
        else if (whole && right && !frame[23]) begin
            if (address == 6'h0f) for (int i = 0; i < 16; i++) if (broadcast[i]) buffer[i] <= value;
            if (address[5:4] == 2'b01) buffer[address[3:0]] <= value;
        end

    always @(negedge ldac_n or negedge clr_n or negedge reset_n)
        for (int i = 0; i < 16; i++)
            if (!reset_n) begin
                a[i] <= 0;
                b[i] <= 0;
            end else if (!clr_n) begin
                a[i] <= 16'h8000;
                b[i] <= 16'h8000;
            end else if (sync[i]) begin
                if (toggling[2*i+:2] == 0) a[i] <= buffer[i];
                else b[i] <= buffer[i];
            end

    // Powered down, or without a reference: clamped to ground.
    for (genvar i = 0; i < 16; i++)
        assign drive[16*i+:16] = !reset_n || !clr_n || spi_config[5] || gen_config[14] || power_down[i] ? 16'd0
            : ranges[4*i+:4] != RANGE ? 16'h8000
            : 16'h8000 ^ (toggle && toggling[2*i+:2] == 2'b01 ? b[i] : a[i]);
endmodule
