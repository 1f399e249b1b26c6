# SPDX-License-Identifier: Apache-2.0
"""Bench of the conversions from HiF8: every code, every bit of the word.

Imports `golden` and `sim.bench`.
"""

from collections.abc import Iterator

import cocotb
import numpy as np

from ..golden.decode import decode
from ..hdl.configs import Unit
from .bench import Arrays, Job, check


def count(job: Job) -> int:
    """Return how many cases the bench must run for each setting of the options."""
    return 256


def cases(job: Job) -> Iterator[Arrays]:
    """Yield every code."""
    yield {"code": np.arange(256)}


def expect(unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    """Return the words of the values that golden decodes."""
    target = unit.parameters["target"]
    return {"x": decode(inputs["code"], target.dtype).view(target.word)}


@cocotb.test()
async def converts_every_code(dut: object) -> None:
    """Compare the word with golden for all 256 codes, NaN's payload included."""
    await check(dut, cases, expect)
