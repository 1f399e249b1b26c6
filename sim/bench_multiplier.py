# SPDX-License-Identifier: Apache-2.0
"""Bench of the multiplier: every pair of codes, every output.

Imports `golden` and `sim.bench`.
"""

from collections.abc import Iterator

import cocotb
import numpy as np

from ..golden.arithmetic import multiply_fields
from ..hdl.configs import Unit
from .bench import Arrays, Job, check


def count(job: Job) -> int:
    """Return how many cases the bench must run for each setting of the options."""
    return 256 * 256


def cases(job: Job) -> Iterator[Arrays]:
    """Yield every pair of codes."""
    yield {"a": np.repeat(np.arange(256), 256), "b": np.tile(np.arange(256), 256)}


def expect(unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    """Return the fields of golden's exact products."""
    return multiply_fields(inputs["a"], inputs["b"])._asdict()


@cocotb.test()
async def multiplies_every_pair(dut: object) -> None:
    """Compare every output with golden for all 65,536 pairs."""
    await check(dut, cases, expect)
