# SPDX-License-Identifier: Apache-2.0
"""Bench of the encoders: every word that could be special, then random ones.

Imports `golden` and `sim.bench`. TA depends on the 13 leading bits of an FP32 word and on whether
it is NaN: all of those are run, and what lies near every boundary between two codes.
"""

from collections.abc import Iterator

import cocotb
import numpy as np

from ..golden.decode import VALUES
from ..golden.encode import encode
from ..golden.format import FloatFormat
from ..hdl.configs import UNITS, Unit
from .bench import BATCH, Arrays, Job, check

_NEIGHBOURS = np.arange(-3, 4)
_LEADING = 13
"""Sign, eight exponent bits and four fraction bits of an FP32 word."""


def _boundaries(source: FloatFormat) -> np.ndarray:
    """Return the words of every value and every midpoint between two, with 3 ulp either side.

    The last midpoint is that of 2^15 and the 1.5 * 2^15 in whose place infinity stands.
    """
    values = np.sort(VALUES[np.isfinite(VALUES) & (VALUES >= 0)])
    slots = np.append(values, 1.5 * values[-1])
    near = np.concatenate([values[1:], (slots[1:] + slots[:-1]) / 2])
    words = near.astype(source.dtype).view(source.word)
    return np.add.outer(words, _NEIGHBOURS.astype(source.word)).ravel()


def _directed(source: FloatFormat, rng: np.random.Generator) -> np.ndarray:
    """Return the words that are run whatever the effort."""
    low = source.width - _LEADING
    leading = np.arange(1 << _LEADING, dtype=source.word) << low
    fills = (0, 1, (1 << low) - 1, rng.integers(0, 1 << low, leading.size, source.word))
    payloads = source.inf_bits | 1 << np.arange(low, dtype=source.word)
    subnormals = 1 << np.arange(source.fraction_width, dtype=source.word)
    positive = np.concatenate([_boundaries(source), payloads, subnormals])
    sign = source.word.type(1 << source.width - 1)
    return np.concatenate([*(leading | fill for fill in fills), positive, positive | sign])


def count(job: Job) -> int:
    """Return how many cases the bench must run for each setting of the options.

    All leading bits four times; on either side of zero 126 values and 127 midpoints with three
    neighbours either side, 19 NaNs with one bit of payload, 23 subnormals of one bit; and the
    random words.
    """
    return 4 * 8192 + 2 * (7 * (126 + 127) + 19 + 23) + job.random_cases


def cases(job: Job) -> Iterator[Arrays]:
    """Yield the directed words, then random ones."""
    source = UNITS[job.unit].parameters["source"]
    rng = np.random.default_rng(job.seed)
    yield {"x": _directed(source, rng)}
    for start in range(0, job.random_cases, BATCH):
        size = min(BATCH, job.random_cases - start)
        yield {"x": rng.integers(0, 1 << source.width, size, source.word)}


def expect(unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    """Return the codes that golden encodes to."""
    values = inputs["x"].view(unit.parameters["source"].dtype)
    return {"code": encode(values, **{name: bool(value) for name, value in options.items()})}


@cocotb.test()
async def encodes_as_golden(dut: object) -> None:
    """Compare the code with golden for every word, under every setting of the options."""
    await check(dut, cases, expect)
