# SPDX-License-Identifier: Apache-2.0
"""What HiF8's cost is compared with: other formats of 8 bits through the same datapath, by row.

Imports `golden.format`, `hdl.configs` and the rest of the datapath. These rows exist for the
comparison alone: they are verified and costed like `configs.UNITS`, but never exported to users.
"""

from collections.abc import Iterator
from dataclasses import replace

from ..configs import UNITS, Unit
from ..decoder import HIF8
from ..layouts import Operand
from ..unit import Core
from .encoder import Encode
from .integer import IntegerMultiply, IntegerSums
from .minifloat import E4M3, E5M2, operand
from .posit import POSIT8
from .units import Decode, Multiply, Sums

FP8 = {"e4m3": (E4M3,), "e5m2": (E5M2,), "fp8": (E4M3, E5M2)}
"""FP8's formats, and both with an input that selects one: what HiF8 stands in for."""
OPERANDS = [*(operand(name, *formats) for name, formats in FP8.items()), POSIT8]
TITLES = {
    "e4m3": "FP8-E4M3",
    "e5m2": "FP8-E5M2",
    "fp8": "FP8, E4M3 or E5M2 by a select",
    "posit8": "posit(8,2)",
    "int8": "INT8",
    "hif8": "HiF8",
}


def _row(
    kind: str, name: str, summary: str, component: type, *, core: bool = False, **parameters: object
) -> Unit:
    """Return a row: a component, or the core of a stream, of the format of that name."""
    return Unit(
        f"{kind}_{name}",
        f"{TITLES[name.removesuffix('_plain')]} {summary}",
        Core if core else component,
        bench="core" if core else "baseline",
        parameters={"unit": component, **parameters} if core else parameters,
        options=("select",) * (name == "fp8"),
        prefix="baseline",
        format=f"{TITLES[name.removesuffix('_plain')]}; for comparison alone",
    )


def _sums(one: Operand) -> Iterator[Unit]:
    """Yield the cores that add up products of an operand: the sum is their only register."""
    for accumulator, into in (("exact", "an exact sum"), ("fp32", "an FP32 sum")):
        how = {"operand": one, "accumulator": accumulator, "latency": 1}
        for kind, lanes, what in (("mac", 1, "multiply-accumulate"), ("dot16", 16, "dot product")):
            summary = f"{what} into {into}"
            name = f"{kind}_{accumulator}"
            yield _row(name, one.name, summary, Sums, core=True, lanes=lanes, **how)


def _integers(name: str, *, plain: bool) -> Iterator[Unit]:
    """Yield what multiplies and adds integers; plainly, as peers' figures have it."""
    yield _row("multiplier", name, "times INT8, exact product", IntegerMultiply, plain=plain)
    for kind, lanes, what in (("mac", 1, "multiply-accumulate"), ("dot16", 16, "dot product")):
        summary = f"{what} into a 32-bit sum"
        yield _row(kind, name, summary, IntegerSums, core=True, lanes=lanes, plain=plain)


def _rows() -> Iterator[Unit]:
    """Yield all rows; of HiF8 those that are not exported."""
    for one in OPERANDS:
        summary = "code to sign, exponent, significand and flags"
        yield _row("decoder", one.name, summary, Decode, operand=one)
    for name, formats in FP8.items():
        row = _row(
            "encoder_fp32", name, "from FP32, rounding half to even", Encode, formats=formats
        )
        yield replace(row, options=(*row.options, "saturate", "nan_to_zero"))
    for one in OPERANDS:
        yield _row("multiplier", one.name, "times the same, exact product", Multiply, operand=one)
    for one in (HIF8, *OPERANDS):
        yield from _sums(one)
    yield from _integers("int8", plain=False)
    yield from _integers("int8_plain", plain=True)


BASELINES = {unit.name: unit for unit in _rows()}
ROWS = UNITS | BASELINES
"""All that can be verified and costed."""
