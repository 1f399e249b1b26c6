// SPDX-License-Identifier: Apache-2.0
//
// Runs beats through one copy of a compiled unit as fast as it goes: the measure of a bench's speed.
// `ports.h` copies a record of bytes to the inputs, and the outputs to a record.
#include <cstdint>
#include <cstring>

#include "model.h"
#include "ports.h"
#include "verilated.h"

// Returns how many clock cycles it took until all results were out, or the most that it may take.
extern "C" uint64_t run(const uint8_t *beats, uint64_t count, uint8_t *results, uint64_t expected,
                        uint64_t most) {
  VerilatedContext context;
  model top{&context};
  uint64_t sent = 0, received = 0, cycle = 0;
  top.rst = 1;
  top.clk = 0;
  top.eval();
  top.clk = 1;
  top.eval();
  top.rst = 0;
  top.o_ready = 1;
  for (; received < expected && cycle < most; cycle++) {
    top.i_valid = sent < count;
    if (top.i_valid) load(top, beats + sent * BEAT);
    top.clk = 0;
    top.eval();
    if (top.o_valid) store(top, results + received++ * RESULT);
    sent += top.i_valid && top.i_ready;
    top.clk = 1;
    top.eval();
  }
  return cycle;
}
