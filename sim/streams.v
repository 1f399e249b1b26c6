// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a simulated unit's streams: a sender, a receiver, and a monitor of the handshakes.
//
// A segment is a number of beats. The sender reads them from stimulus.bin, pauses now and then, and
// holds every beat until it is accepted; idle inputs are unknown. The receiver pauses too, and
// writes what comes out to responses.bin. Of every cycle marks.bin has two bits: whether a beat was
// accepted, and whether one was taken. Pauses come of a generator that is the same in every
// simulator. Registers change at the rising edge, and everything is read before it.
//
// A beat is a record of bytes, the last one first in the file: a count of repeats, 32 bits, and
// above it the inputs.
module streams #(
    parameter IN = 8,            // bits of a beat's inputs
    parameter OUT = 32,          // bits of a beat's outputs, a multiple of 32
    parameter LANES = 1,         // copies of the unit, which go in step
    parameter STAGES = 0,        // register stages, each of which moves on as soon as it can; 0: unknown
    parameter IDLE_UNKNOWN = 1,  // whether idle inputs are unknown
    parameter PATIENCE = 1000    // cycles in a row without any progress, after which to give up
) (
    input  wire             clk,
    // Of a segment: its number, from 1 on; to be changed while the clock stands.
    input  wire [31:0]      segment,
    input  wire [31:0]      beats,    // records to read
    input  wire [31:0]      results,  // results to wait for
    input  wire [31:0]      limit,    // cycles to run at the most; 0: any number
    input  wire [31:0]      resets,   // cycles of a reset before
    input  wire             cut,      // reset the unit at the end
    input  wire [31:0]      linger,   // cycles afterwards in which nothing more may come out
    input  wire [31:0]      seed,     // of the pauses, not 0
    input  wire [16:0]      gap,      // how often the sender pauses, of 65,536 cycles
    input  wire [16:0]      stall,    // how often the receiver is not ready, of 65,536 cycles
    output reg  [31:0]      finished, // the segment that has ended
    output reg  [31:0]      cycles,   // which it took, without resets and afterwards
    output wire [191:0]     broken,   // for each rule the cycle in which it was first broken, from 1 on
    // The unit.
    output reg              rst,
    output reg              i_valid,
    input  wire [LANES-1:0] i_ready,
    output wire [IN-1:0]    inputs,
    input  wire             emits,    // whether the beat before the unit comes out again
    input  wire [LANES-1:0] o_valid,
    output reg              o_ready,
    input  wire [OUT-1:0]   outputs
);
  localparam [2:0] REST = 0, RESET = 1, RUN = 2, CUT = 3, LINGER = 4, CLOSE = 5;
  localparam STABLE = 0, HELD = 1, READY = 2, VALID = 3, STEP = 4, KNOWN = 5;
  localparam LAST = STAGES > 0 ? STAGES - 1 : 0;

  reg [2:0] phase;
  reg [31:0] count, sent, received, idle, repeats, random;
  reg [IN+31:0] next, beat;
  reg [31:0] marks;
  reg [4:0] marked;
  reg waiting;
  reg [OUT-1:0] shown;
  reg [LAST:0] full, emitting;
  reg [31:0] rules [0:5];
  integer stimulus, responses, trace, read, k, stage;

  assign inputs = i_valid || !IDLE_UNKNOWN ? beat[IN+31:32] : {IN{1'bx}};
  assign broken = {rules[5], rules[4], rules[3], rules[2], rules[1], rules[0]};

  // What is unknown is no progress.
  wire accepted = i_valid && &i_ready === 1'b1, valid = &o_valid === 1'b1;
  wire taken = valid && o_ready;
  wire free = o_ready || !(&full);
  wire [31:0] shift1 = random ^ random << 13, shift2 = shift1 ^ shift1 >> 17;
  wire [31:0] draw = shift2 ^ shift2 << 5;
  wire pause = {1'b0, draw[15:0]} < gap, wait_for_it = {1'b0, draw[31:16]} < stall;
  wire more = repeats != 0 || sent != beats;
  wire done = received + taken >= results || idle >= PATIENCE || cycles + 1 == limit;
  wire [31:0] marks_now = {taken, accepted, marks[31:2]};

  // Which stages move: the last one if it is empty or its beat is taken, another if the next one
  // moves or it is empty itself.
  reg [STAGES:0] moves;
  always @* begin
    moves[STAGES] = o_ready;
    for (stage = STAGES - 1; stage >= 0; stage = stage - 1)
      moves[stage] = moves[stage+1] || !full[stage];
  end

  task check(input integer rule, input good);
    if (good !== 1'b1 && rules[rule] == 0) rules[rule] <= cycles + 1;
  endtask

  task offer;
    if (more && !pause) begin
      i_valid <= 1;
      if (repeats == 0) begin
        read = $fread(next, stimulus);
        beat <= next;
        repeats <= next[31:0] - 1;
        sent <= sent + 1;
      end else repeats <= repeats - 1;
    end else i_valid <= 0;
  endtask

  initial begin
    phase = REST;
    finished = 0;
    cycles = 0;
    rst = 0;
    i_valid = 0;
    o_ready = 0;
    waiting = 0;
    full = 0;
    emitting = 0;
    random = 1;
    for (k = 0; k < 6; k = k + 1) rules[k] = 0;
  end

  always @(posedge clk) begin
    random <= draw;

    if (rst) full <= 0;
    else begin
      for (k = 0; k < STAGES; k = k + 1)
        if (moves[k]) begin
          full[k] <= (k == 0 ? accepted : full[k == 0 ? 0 : k-1])
            && (k != LAST || (k == 0 ? emits : emitting[k == 0 ? 0 : k-1]));
          emitting[k] <= k == 0 ? emits : emitting[k == 0 ? 0 : k-1];
        end
    end
    waiting <= !rst && valid && !o_ready;
    shown <= outputs;

    if (phase == RUN || phase == LINGER) begin
      if (waiting) begin
        check(HELD, valid);
        if (valid) check(STABLE, outputs === shown);
      end
      if (STAGES > 0) begin
        check(READY, &i_ready === free);
        check(VALID, valid === full[LAST]);
      end
      if (LANES > 1) check(STEP, |i_ready === &i_ready && |o_valid === &o_valid);
      check(KNOWN, ^{i_ready, o_valid, valid ? ^outputs : 1'b0} !== 1'bx);
      cycles <= cycles + (phase == RUN);
      marks <= marks_now;
      marked <= marked + 1;
      if (marked[3:0] == 15) $fwrite(trace, "%u", marks_now);
      if (taken) begin
        $fwrite(responses, "%u", outputs);
        received <= received + 1;
      end
    end

    case (phase)
      REST:
        if (segment != finished) begin
          stimulus = $fopen("stimulus.bin", "rb");
          responses = $fopen("responses.bin", "wb");
          trace = $fopen("marks.bin", "wb");
          random <= seed;
          cycles <= 0;
          sent <= 0;
          received <= 0;
          idle <= 0;
          repeats <= 0;
          marked <= 0;
          count <= 1;
          for (k = 0; k < 6; k = k + 1) rules[k] <= 0;
          rst <= resets != 0;
          phase <= RESET;
        end
      RESET:
        if (count < resets) count <= count + 1;
        else begin
          rst <= 0;
          offer;
          o_ready <= !wait_for_it;
          phase <= RUN;
        end
      RUN: begin
        idle <= accepted || taken ? 0 : idle + 1;
        if (done) begin
          i_valid <= 0;
          rst <= cut;
          o_ready <= !cut;
          count <= 1;
          phase <= cut ? CUT : linger != 0 ? LINGER : CLOSE;
          if (!cut && linger == 0) o_ready <= 0;
        end else begin
          if (!i_valid || accepted) offer;
          o_ready <= !wait_for_it;
        end
      end
      CUT: begin
        rst <= 0;
        o_ready <= 1;
        phase <= LINGER;
      end
      LINGER:
        if (count < linger) count <= count + 1;
        else begin
          o_ready <= 0;
          phase <= CLOSE;
        end
      default: begin
        if (marked[3:0] != 0) $fwrite(trace, "%u", marks >> 2 * (16 - marked[3:0]));
        $fclose(stimulus);
        $fclose(responses);
        $fclose(trace);
        finished <= segment;
        phase <= REST;
      end
    endcase
  end
endmodule
