# SPDX-License-Identifier: Apache-2.0
"""Reads what became of a stream's faults, after the unit's own bench has run in the same top.

Imports `sim.bench`. Copies of the unit with a fault each run in the shadow of one without: they get
what it gets, and the top notes in which clock cycle one first differed (`sim.mutants`). The bench
compares what comes out in every traffic, and handshakes in every cycle; only in the short ones that
fill a unit for a reset it does not look at values, where a difference is noted all the same.
"""

import json

import cocotb
import numpy as np
from cocotb.triggers import Timer

from .bench import Job


@cocotb.test()
async def reads_the_shadows(dut: object) -> None:
    """Write down in which cycle each fault showed first; 0 if it never did."""
    await Timer(1, "ns")
    raw = dut.shown.value.to_unsigned().to_bytes(len(dut.shown) // 8, "little")
    Job.load().file("shown.json").write_text(json.dumps(np.frombuffer(raw, "<u4").tolist()))
