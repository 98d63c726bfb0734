// AD5628: a frame is executed at its 32nd falling edge. Channels are given as codes, signed, from their middle.

module backpulse_ad5628 (
    input cs_n,
    input sclk,
    input sdi,
    output [127:0] drive
);
    reg [30:0] shift = 0;
    reg [5:0] count = 0;
    reg [11:0] inputs[8];
    reg [11:0] outputs[8];
    reg reference = 0;

    wire [31:0] frame = {shift, sdi};
    wire [3:0] command = frame[27:24];
    wire [3:0] channel = frame[23:20];

    always @(negedge sclk or posedge cs_n)
        if (cs_n) count <= 0;
        else begin
            shift <= frame[30:0];
            if (count != 63) count <= count + 1;
            if (count == 31) begin
                for (int i = 0; i < 8; i++) begin
                    if (command <= 3 && command != 1 && (channel == i || channel == 15)) inputs[i] <= frame[19:8];
                    if (command == 2) outputs[i] <= channel == i || channel == 15 ? frame[19:8] : inputs[i];
                    if (command == 3 && (channel == i || channel == 15)) outputs[i] <= frame[19:8];
                    if (command == 7) begin
                        inputs[i] <= 0;
                        outputs[i] <= 0;
                    end
                end
                if (command == 7) reference <= 0;
                if (command == 8) reference <= frame[0];
            end
        end

    for (genvar i = 0; i < 8; i++) assign drive[16*i+:16] = {reference ? outputs[i] ^ 12'h800 : 12'h800, 4'd0};
endmodule
