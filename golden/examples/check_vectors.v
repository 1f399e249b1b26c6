// SPDX-License-Identifier: Apache-2.0
// Checks hif8_decoder and hif8_encoder_fp32_ta against the conformance vectors. In their folder:
//   iverilog -g2005 -o bench check_vectors.v hif8_decoder.v hif8_encoder_fp32_ta.v && vvp -n bench
module check_vectors;
    localparam DECODE_ROWS = 256, ENCODE_ROWS = 26904;  // as the files' comments say

    reg [99:0] decode_rows[0:DECODE_ROWS-1];
    reg [127:0] encode_rows[0:ENCODE_ROWS-1];
    integer row, option, checked, wrong;

    // decode.hex: code, sign, exponent, significand, zero, inf, nan, fp32, fp16, bf16
    reg [99:0] d;
    wire sign, zero, inf, nan;
    wire [5:0] exponent;
    wire [3:0] significand;
    wire [35:0] got = {
        3'b0, sign, {2{exponent[5]}}, exponent, significand, 3'b0, zero, 3'b0, inf, 3'b0, nan
    };
    hif8_decoder decoder (
        .code(d[99:92]),
        .sign(sign),
        .exponent(exponent),
        .significand(significand),
        .zero(zero),
        .inf(inf),
        .nan(nan)
    );

    // encode_fp32.hex: x, ta, hr, hr_keep_exact
    reg [127:0] e;
    wire [31:0] ta = e[95:64];
    wire [7:0] code;
    hif8_encoder_fp32_ta encoder (
        .x(e[127:96]),
        .nan_to_zero(option[0]),
        .saturate(option[1]),
        .code(code)
    );

    initial begin
        $readmemh("decode.hex", decode_rows);
        $readmemh("encode_fp32.hex", encode_rows);
        checked = 0;
        wrong = 0;
        for (row = 0; row < DECODE_ROWS; row = row + 1) begin
            d = decode_rows[row];
            #1 checked = checked + 1;
            if (d[99:92] !== row || got !== d[91:64]) begin
                wrong = wrong + 1;
                $display("decode row %0d: %h, expected %h", row, got, d[91:64]);
            end
        end
        for (row = 0; row < ENCODE_ROWS; row = row + 1) begin
            e = encode_rows[row];
            for (option = 0; option < 4; option = option + 1) begin
                #1 checked = checked + 1;
                if (code !== ta[8*option+:8]) begin
                    wrong = wrong + 1;
                    $display("encode row %0d, x %h, option %0d: %h, expected %h", row, e[127:96],
                             option, code, ta[8*option+:8]);
                end
            end
        end
        $display("%s: %0d checked, %0d wrong", wrong ? "FAIL" : "PASS", checked, wrong);
        $finish;
    end
endmodule
