# SPDX-License-Identifier: Apache-2.0
"""Bench of the comparison's combinational units: every code, every pair; of FP32 what may matter.

Imports `golden`, `hdl.baselines` and `sim.bench`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cocotb
import numpy as np

from ..golden import others
from ..golden.format import FP32
from ..hdl.baselines import FP8, ROWS
from ..hdl.baselines.encoder import Encode
from ..hdl.baselines.integer import IntegerMultiply
from ..hdl.baselines.units import Decode, Multiply
from ..hdl.configs import Unit
from .bench import BATCH, Arrays, Job, check

_NEIGHBOURS = np.arange(-3, 4)
_LOW = 18
"""Bits of an FP32 word below a leading part, of sign, exponent and the fraction's first five."""
_FORMATS = list(FP8["fp8"])


def format_of(unit: Unit, options: dict[str, int]) -> str:
    """Return the name of the format that a unit's codes have under a setting of the options."""
    if "select" in options:
        return _FORMATS[options["select"]].name
    return unit.name.removesuffix("_plain").rpartition("_")[2]


def words(random_cases: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield FP32 words: directed ones, whatever the format, then random ones.

    All of the leading 14 bits, over low bits that are zero, one, a half and beside, ones, and
    random; every value and every midpoint of either format with three neighbours either side; NaNs
    and subnormals with one bit of fraction.
    """
    low = 1 << _LOW
    leading = np.arange(1 << 32 - _LOW, dtype=np.uint32) << _LOW
    fills = (0, 1, low // 2 - 1, low // 2, low // 2 + 1, low - 1)
    yield (leading[:, None] | np.array(fills, np.uint32)).ravel()
    yield leading | rng.integers(0, low, leading.size, np.uint32)
    exact = []
    for one in _FORMATS:
        values = others.VALUES[one.name]
        finite = np.unique(values[np.isfinite(values) & (values >= 0)])
        steps = np.append(finite, 2 * finite[-1] - finite[-2])  # what would follow the largest
        exact += [finite[1:], (steps[1:] + steps[:-1]) / 2]
    near = np.concatenate(exact).astype(np.float32).view(np.uint32)
    bits = 1 << np.arange(FP32.fraction_width, dtype=np.uint32)
    near = (near[:, None] + _NEIGHBOURS).astype(np.uint32).ravel()
    positive = np.concatenate([near, bits, FP32.inf_bits | bits]).astype(np.uint32)
    yield np.concatenate([positive, positive | np.uint32(1 << 31)])
    for start in range(0, random_cases, BATCH):
        yield rng.integers(0, 1 << 32, min(BATCH, random_cases - start), np.uint32)


class Kind(NamedTuple):
    """What is run of a component.

    Attributes
    ----------
    count : callable
        How many cases there must be for each setting of the options.
    cases : callable
        Yields them.
    expect : callable
        What golden says of them: format, unit, inputs and options to outputs.
    """

    count: Callable[[Job], int]
    cases: Callable[[Job], Iterator[Arrays]]
    expect: Callable[[str, Unit, Arrays, dict[str, int]], Arrays]


def _codes(job: Job) -> Iterator[Arrays]:
    yield {"code": np.arange(256)}


def _pairs(job: Job) -> Iterator[Arrays]:
    yield {"a": np.repeat(np.arange(256), 256), "b": np.tile(np.arange(256), 256)}


def _words(job: Job) -> Iterator[Arrays]:
    for part in words(job.random_cases, np.random.default_rng(job.seed)):
        yield {"x": part}


def _decoded(name: str, unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    made = others.fields(name, unit.parameters["operand"].significand_width)
    return {key: column[inputs["code"]] for key, column in made.items()}


def _multiplied(name: str, unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    width = unit.parameters["operand"].significand_width
    return others.multiply_fields(name, width, inputs["a"], inputs["b"])


def _integers(name: str, unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    a, b = (others.VALUES[name][inputs[key]] for key in ("a", "b"))
    return {"product": (a * b).astype(np.int64)}


def _encoded(name: str, unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    how = {key: bool(options[key]) for key in ("saturate", "nan_to_zero")}
    return {"code": others.encode(inputs["x"].view(np.float32), name, **how)}


# Of the words: seven times all leading parts; on either side of zero 126 values and 127 midpoints
# of E4M3, 123 and 124 of E5M2, with their neighbours, and twice 23 single bits; the random ones.
KINDS = {
    Decode: Kind(lambda job: 256, _codes, _decoded),
    Multiply: Kind(lambda job: 1 << 16, _pairs, _multiplied),
    IntegerMultiply: Kind(lambda job: 1 << 16, _pairs, _integers),
    Encode: Kind(
        lambda job: 7 * (1 << 14) + 2 * (7 * (126 + 127 + 123 + 124) + 2 * 23) + job.random_cases,
        _words,
        _encoded,
    ),
}


def count(job: Job) -> int:
    """Return how many cases the bench must run for each setting of the options."""
    return KINDS[ROWS[job.unit].component].count(job)


def cases(job: Job) -> Iterator[Arrays]:
    """Yield the cases."""
    return KINDS[ROWS[job.unit].component].cases(job)


def expect(unit: Unit, inputs: Arrays, options: dict[str, int]) -> Arrays:
    """Return what golden says."""
    return KINDS[unit.component].expect(format_of(unit, options), unit, inputs, options)


@cocotb.test()
async def does_as_golden(dut: object) -> None:
    """Compare every output with golden, under every setting of the options."""
    await check(dut, cases, expect)
