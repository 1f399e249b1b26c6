// SPDX-License-Identifier: Apache-2.0
//
// Runs consecutive words through the lanes of a compiled model. Its top takes the word of the first
// lane and gives the codes of all lanes side by side, the first lowest: as they lie in memory.
#include <cstdint>
#include <cstring>

#include "model.h"
#include "verilated.h"

extern "C" uint64_t sweep(uint64_t first, uint64_t count, uint32_t options, uint8_t *codes) {
  VerilatedContext context;
  model top{&context};
  const uint64_t lanes = sizeof top.code;
  uint64_t done = 0;
  top.options = options;
  for (; done + lanes <= count; done += lanes) {
    top.first = first + done;
    top.eval();
    std::memcpy(codes + done, &top.code, lanes);
  }
  return done;
}
