# SPDX-License-Identifier: Apache-2.0
"""Bench of the decoder: every code, every output.

Imports `golden` and `sim.bench`.
"""

from collections.abc import Iterator

import cocotb
import numpy as np

from ..golden.decode import unpack
from ..hdl.configs import Unit
from .bench import Arrays, Job, check


def count(job: Job) -> int:
    """Return how many cases the bench must run for each setting of the options."""
    return 256


def cases(job: Job) -> Iterator[Arrays]:
    """Yield every code."""
    yield {"code": np.arange(256)}


def expect(unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    """Return the fields that golden unpacks."""
    return unpack(inputs["code"])._asdict()


@cocotb.test()
async def decodes_every_code(dut: object) -> None:
    """Compare every output with golden for all 256 codes."""
    await check(dut, cases, expect)
