// SPDX-License-Identifier: Apache-2.0
// Checks modules of HiF8 against vectors that its golden model made. In the release's folder:
//   iverilog -g2005 -o hif8_tb tb/hif8_tb.v verilog/*.v && vvp -N hif8_tb
// It prints what was checked, then PASS; or FAIL, and ends by $stop, of which vvp -N makes an exit
// status of 1.

// Bits that look random, the same in every simulator; another seed, other bits.
module hif8_tb_noise #(
    parameter SEED = 16'h1
) (
    input wire clk,
    output reg [15:0] noise
);
    initial noise = SEED;
    always @(posedge clk) noise <= {noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]};
endmodule

// Hands out the numbers of rows, one at a time, over valid and ready; now and then pauses if asked.
module hif8_tb_sender #(
    parameter ROWS = 1
) (
    input wire clk,
    input wire rst,
    input wire pauses,
    input wire ready,
    output reg valid,
    output reg [31:0] row
);
    wire [15:0] noise;
    hif8_tb_noise #(
        .SEED(16'hACE1)
    ) source (
        .clk(clk),
        .noise(noise)
    );
    wire [31:0] next = row + {31'd0, valid & ready};

    always @(posedge clk)
        if (rst) begin
            valid <= 0;
            row <= 0;
        end else if (!valid || ready) begin
            valid <= next < ROWS && !(pauses && noise[1:0] == 0);
            row <= next;
        end
endmodule

module hif8_tb;
    // As the comments of the files say.
    localparam DECODE_ROWS = 256, ENCODE_ROWS = 26904, MULTIPLY_ROWS = 65536, MAC_ROWS = 7778;
    localparam TRAFFICS = 4;  // steady, with pauses, with stalls, with both
    localparam SHOWN = 10;  // mismatches

    reg [99:0] decode_rows[0:DECODE_ROWS-1];
    reg [127:0] encode_rows[0:ENCODE_ROWS-1];
    reg [43:0] multiply_rows[0:MULTIPLY_ROWS-1];
    reg [183:0] mac_rows[0:MAC_ROWS-1];
    integer row, option, checked, wrong, total, total_wrong;

    task judge(input right, input [8*20-1:0] name, input integer where);
        begin
            checked = checked + 1;
            if (right !== 1'b1) begin
                wrong = wrong + 1;
                if (wrong <= SHOWN) $display("%0s: wrong in row %0d", name, where);
            end
        end
    endtask

    task report(input [8*20-1:0] name, input [8*8-1:0] things);
        begin
            $display("%0s: %0d %0s checked, %0d wrong", name, checked, things, wrong);
            total = total + checked;
            total_wrong = total_wrong + wrong;
            checked = 0;
            wrong = 0;
        end
    endtask

    // decode.hex: code, sign, exponent, significand, zero, inf, nan, fp32, fp16, bf16
    reg [99:0] d;
    wire d_sign, d_zero, d_inf, d_nan;
    wire [5:0] d_exponent;
    wire [3:0] d_significand;
    wire [31:0] fp32;
    wire [15:0] fp16, bf16;
    wire [27:0] d_fields = {
        {3'b0, d_sign}, {2{d_exponent[5]}}, d_exponent, d_significand,
        {3'b0, d_zero}, {3'b0, d_inf}, {3'b0, d_nan}
    };
    hif8_decoder decoder (
        .code(d[99:92]),
        .sign(d_sign),
        .exponent(d_exponent),
        .significand(d_significand),
        .zero(d_zero),
        .inf(d_inf),
        .nan(d_nan)
    );
    hif8_to_fp32 to_fp32 (.code(d[99:92]), .x(fp32));
    hif8_to_fp16 to_fp16 (.code(d[99:92]), .x(fp16));
    hif8_to_bf16 to_bf16 (.code(d[99:92]), .x(bf16));

    // encode_fp32.hex: x, ta, hr, hr_keep_exact; each four codes, of nan_to_zero and saturate
    reg [127:0] e;
    reg hybrid;
    wire [31:0] ta = e[95:64], hr = e[63:32], kept = e[31:0], both = hybrid ? hr : ta;
    wire [7:0] code_ta, code, code_kept;
    hif8_encoder_fp32_ta encoder_ta (
        .x(e[127:96]),
        .nan_to_zero(option[0]),
        .saturate(option[1]),
        .code(code_ta)
    );
    hif8_encoder_fp32 encoder (
        .x(e[127:96]),
        .hybrid(hybrid),
        .nan_to_zero(option[0]),
        .saturate(option[1]),
        .code(code)
    );
    hif8_encoder_fp32_keep_exact encoder_kept (
        .x(e[127:96]),
        .hybrid(1'b1),
        .nan_to_zero(option[0]),
        .saturate(option[1]),
        .code(code_kept)
    );

    // multiply.hex: a, b, sign, exponent, significand, inf, nan
    reg [43:0] m;
    wire m_sign, m_inf, m_nan;
    wire [6:0] m_exponent;
    wire [7:0] m_significand;
    wire [27:0] m_fields = {
        3'b0, m_sign, m_exponent[6], m_exponent, m_significand, 3'b0, m_inf, 3'b0, m_nan
    };
    hif8_multiplier multiplier (
        .a(m[43:36]),
        .b(m[35:28]),
        .sign(m_sign),
        .exponent(m_exponent),
        .significand(m_significand),
        .inf(m_inf),
        .nan(m_nan)
    );

    // mac.hex: a, b, marks, acc, fp32, exact, flags
    reg clk, rst, pauses, stalls;
    wire exact_valid, exact_ready, exact_done, fp32_valid, fp32_ready, fp32_done;
    wire [31:0] exact_row, fp32_row, fp32_sum;
    wire [95:0] exact_sum;
    wire exact_nan, exact_plus, exact_minus;
    reg exact_takes, fp32_takes;
    wire [183:0] exact_beat = mac_rows[exact_row], fp32_beat = mac_rows[fp32_row];
    hif8_tb_sender #(
        .ROWS(MAC_ROWS)
    ) exact_sender (
        .clk(clk),
        .rst(rst),
        .pauses(pauses),
        .ready(exact_ready),
        .valid(exact_valid),
        .row(exact_row)
    );
    hif8_mac_exact mac_exact (
        .clk(clk),
        .rst(rst),
        .i_valid(exact_valid),
        .i_ready(exact_ready),
        .a(exact_beat[183:176]),
        .b(exact_beat[175:168]),
        .first(exact_beat[164]),
        .last(exact_beat[165]),
        .o_valid(exact_done),
        .o_ready(exact_takes),
        .sum(exact_sum),
        .nan(exact_nan),
        .plus_inf(exact_plus),
        .minus_inf(exact_minus)
    );
    hif8_tb_sender #(
        .ROWS(MAC_ROWS)
    ) fp32_sender (
        .clk(clk),
        .rst(rst),
        .pauses(pauses),
        .ready(fp32_ready),
        .valid(fp32_valid),
        .row(fp32_row)
    );
    hif8_mac_fp32 mac_fp32 (
        .clk(clk),
        .rst(rst),
        .i_valid(fp32_valid),
        .i_ready(fp32_ready),
        .a(fp32_beat[183:176]),
        .b(fp32_beat[175:168]),
        .first(fp32_beat[164]),
        .last(fp32_beat[165]),
        .acc(fp32_beat[163:132]),
        .o_valid(fp32_done),
        .o_ready(fp32_takes),
        .sum(fp32_sum)
    );

    wire [15:0] noise;
    hif8_tb_noise #(
        .SEED(16'hBEEF)
    ) source (
        .clk(clk),
        .noise(noise)
    );

    // The rows with sums, and the one of them that comes next.
    integer ends[0:MAC_ROWS-1];
    integer sums;
    reg [183:0] due;

    // A run of all vectors under one kind of traffic, through one of the MACs.
    task stream(input exact, input [1:0] traffic);
        integer cycle, limit, seen;
        begin
            rst = 1;
            pauses = traffic[0];
            stalls = traffic[1];
            exact_takes = 0;
            fp32_takes = 0;
            seen = 0;
            limit = 8 * MAC_ROWS;
            @(negedge clk) rst = 0;
            for (cycle = 0; cycle < limit; cycle = cycle + 1) begin
                exact_takes = exact & !(stalls & noise[0]);
                fp32_takes = !exact & !(stalls & noise[0]);
                #1;
                if (exact ? exact_done & exact_takes : fp32_done & fp32_takes) begin
                    due = mac_rows[ends[seen]];
                    if (exact)
                        judge(seen < sums && due[99:0] ===
                              {exact_sum, 1'b0, exact_minus, exact_plus, exact_nan},
                              "mac_exact", ends[seen]);
                    else judge(seen < sums && due[131:100] === fp32_sum, "mac_fp32", ends[seen]);
                    seen = seen + 1;
                    if (seen == sums) limit = cycle + 64;  // is there one too many?
                end
                @(negedge clk);
            end
            if (seen !== sums) judge(0, "sums missing", seen);
        end
    endtask

    initial clk = 0;
    always #5 clk = !clk;

    initial begin
        $readmemh("vectors/decode.hex", decode_rows);
        $readmemh("vectors/encode_fp32.hex", encode_rows);
        $readmemh("vectors/multiply.hex", multiply_rows);
        $readmemh("vectors/mac.hex", mac_rows);
        checked = 0;
        wrong = 0;
        total = 0;
        total_wrong = 0;
        rst = 1;

        for (row = 0; row < DECODE_ROWS; row = row + 1) begin
            d = decode_rows[row];
            #1 judge(d[99:92] === row[7:0] && d_fields === d[91:64], "decoder", row);
        end
        report("decoder", "codes");
        for (row = 0; row < DECODE_ROWS; row = row + 1) begin
            d = decode_rows[row];
            #1 judge(d[99:92] === row[7:0] && {fp32, fp16, bf16} === d[63:0], "to_fp32, 16, bf16", row);
        end
        report("to_*", "codes");

        judge(|encode_rows[ENCODE_ROWS-1] === 1'b1, "rows missing", ENCODE_ROWS - 1);
        checked = 0;
        for (row = 0; row < ENCODE_ROWS; row = row + 1) begin
            e = encode_rows[row];
            for (option = 0; option < 4; option = option + 1) begin
                hybrid = 0;
                #1 judge(code === ta[8*option+:8], "encoder_fp32", row);
                judge(code_ta === ta[8*option+:8], "encoder_fp32_ta", row);
                hybrid = 1;
                #1 judge(code === hr[8*option+:8], "encoder_fp32, HR", row);
                judge(code_kept === kept[8*option+:8], "keep_exact", row);
            end
        end
        report("encoder_fp32*", "codes");

        for (row = 0; row < MULTIPLY_ROWS; row = row + 1) begin
            m = multiply_rows[row];
            #1 judge(m[43:28] === row[15:0] && m_fields === m[27:0], "multiplier", row);
        end
        report("multiplier", "products");

        sums = 0;
        for (row = 0; row < MAC_ROWS; row = row + 1)
            if (mac_rows[row][165]) begin
                ends[sums] = row;
                sums = sums + 1;
            end
        judge(mac_rows[MAC_ROWS-1][165] === 1'b1, "rows missing", MAC_ROWS - 1);
        checked = 0;
        for (row = 0; row < TRAFFICS; row = row + 1) stream(1, row[1:0]);
        report("mac_exact", "sums");
        for (row = 0; row < TRAFFICS; row = row + 1) stream(0, row[1:0]);
        report("mac_fp32", "sums");

        $display("%0s: %0d checked, %0d wrong", total_wrong != 0 ? "FAIL" : "PASS", total,
                 total_wrong);
        if (total_wrong != 0) $stop;
        else $finish;
    end
endmodule
