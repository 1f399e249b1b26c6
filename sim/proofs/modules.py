# SPDX-License-Identifier: Apache-2.0
"""Verilog modules that claims may use: tables of the format, and other copies of a unit.

Imports `golden.format`, `hdl`, `sim.verify` and the other modules of `sim.proofs`.
"""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from ...golden.format import (
    DENORMAL_BIAS,
    HYBRID_FROM,
    INF,
    NAN,
    SIGN_BIT,
    SIGNIFICAND_WIDTH,
    ZERO,
    FloatFormat,
)
from ...hdl.configs import UNITS, Unit
from ...toolchain.program import ToolError
from .. import verify
from .numbers import ORDER, VALUES, exponent, first_word, hybrid_steps, nearest_rows, word_value
from .registers import wrapper


def _table(name: str, widths: tuple[int, ...], rows: dict[int, tuple[int, ...]]) -> str:
    """Return a module with the given rows, fields packed from the left; other rows are zero."""
    body = "\n".join(
        f"    8'd{index}: row = {{"
        + ", ".join(f"{w}'d{value % (1 << w)}" for w, value in zip(widths, row, strict=True))
        + "};"
        for index, row in rows.items()
    )
    return (
        f"module {name}(input [7:0] index, output reg [{sum(widths) - 1}:0] row);\n"
        f"  always @* case (index)\n{body}\n    default: row = 0;\n  endcase\nendmodule\n"
    )


def float_format(unit: Unit) -> FloatFormat | None:
    """Return the IEEE format at the other end of a conversion."""
    return next((p for p in unit.parameters.values() if isinstance(p, FloatFormat)), None)


def _nearest(unit: Unit) -> str:
    source = float_format(unit)
    rows = dict(enumerate(nearest_rows(source)))
    return _table("nearest", (source.width - 1, source.width - 1, 7), rows)


def _step(unit: Unit) -> str:
    source = float_format(unit)
    bits = source.width - 1
    rows = {
        index: (s.low, s.high, s.below, s.above, s.hybrid, s.middle, s.first, s.shift)
        for index, s in enumerate(hybrid_steps(source))
    }
    return _table("step", (bits, bits, 7, 7, 1, bits, source.hybrid_width, 5), rows)


def _rank(unit: Unit) -> str:
    """Return the table of signed places in the order of the values."""
    place = {magnitude: index for index, magnitude in enumerate(ORDER)}
    rows = {m: (place[m],) for m in ORDER} | {m | SIGN_BIT: (-place[m],) for m in ORDER}
    return _table("rank", (9,), rows)


def _moved(unit: Unit) -> str:
    """Return the table of what becomes of exact values where F = T = 0 rounds up."""
    rows = {code: (code,) for code in (ZERO, NAN, INF, SIGN_BIT | INF)}
    for below, above in pairwise(ORDER[1:]):
        moves = abs(exponent(VALUES[below])) >= HYBRID_FROM
        for sign in (0, SIGN_BIT):
            rows[below | sign] = ((above if moves else below) | sign,)
    return _table("moved", (8,), rows)


def _word(unit: Unit) -> str:
    target = float_format(unit)
    rows = {}
    for magnitude in ORDER:
        word = first_word(VALUES[magnitude], target)
        if word_value(word, target) != VALUES[magnitude]:
            raise ToolError(f"{VALUES[magnitude]} is not exact in {target.name}")
        for sign in (0, 1):
            rows[magnitude | sign * SIGN_BIT] = (word | sign << target.width - 1,)
    for sign in (0, 1):
        rows[INF | sign * SIGN_BIT] = (target.inf_bits | sign << target.width - 1,)
    rows[NAN] = (target.nan_bits,)
    return _table("word", (target.width,), rows)


def _fields(unit: Unit) -> str:
    """Return the table of unpacked codes; zero, NaN and infinities as the unit documents them."""
    hidden = 1 << SIGNIFICAND_WIDTH - 1
    rows = {}
    for code in range(2 * SIGN_BIT):
        magnitude, sign = code % SIGN_BIT, code // SIGN_BIT
        power, significand = -DENORMAL_BIAS, Fraction(0)
        if magnitude:
            power = exponent(VALUES[magnitude])
            significand = VALUES[magnitude] / Fraction(2) ** power * hidden
        flags = (code == ZERO, magnitude == INF, code == NAN)
        rows[code] = (sign, power, int(significand), *flags)
    return _table("fields", (1, 6, 4, 1, 1, 1), rows)


def _number(unit: Unit) -> str:
    """Return the table of values as odd numbers times powers of two, above the smallest value."""
    unit_of_values = VALUES[ORDER[1]]
    rows = {NAN: (0, 0, 0, 0, 1)}
    for magnitude in ORDER:
        count = VALUES[magnitude] / unit_of_values
        if count.denominator != 1:
            raise ToolError(f"{VALUES[magnitude]} is no multiple of the smallest value")
        power = (count.numerator & -count.numerator).bit_length() - 1 if count else 0
        fields = (0, 0, 1, 0) if magnitude == INF else (count.numerator >> power, power, 0, 0)
        for sign in (0, 1) if magnitude else (0,):
            rows[magnitude | sign * SIGN_BIT] = (sign, *fields)
    return _table("number", (1, 4, 6, 1, 1), rows)


def _interval(unit: Unit) -> str:
    """Return where the nearest value, with ties away, of a scaled sum is which, in order, no gaps.

    In units of a sum's last bit at the smallest scale.
    """
    width = unit.ports["sum"].width + 63
    unit_of_sums = VALUES[ORDER[1]] ** 2 / 2**32
    starts = [Fraction(0)]
    starts += [(VALUES[a] + VALUES[b]) / 2 / unit_of_sums for a, b in pairwise(ORDER)]
    if any(start.denominator != 1 for start in starts):
        raise ToolError("a middle of two values is no multiple of the smallest scaled sum")
    ends = [*starts[1:], Fraction(2) ** width - 1]
    rows = {
        n: (int(a), int(b), m) for n, (a, b, m) in enumerate(zip(starts, ends, ORDER, strict=True))
    }
    return _table("interval", (width, width, 7), rows)


def _read_word(unit: Unit) -> str:
    """Return the read-out of the same sum as FP32."""
    other = UNITS[unit.name.replace("hif8", "fp32")]
    return f"{verify.exported(other)}\n" + _copy("read_word", other)


def _encode_word(unit: Unit) -> str:
    """Return the encoder of FP32 words."""
    other = UNITS["encoder_fp32"]
    return f"{verify.exported(other)}\n" + _copy("encode_word", other)


def _copy(name: str, unit: Unit) -> str:
    """Return a module that is a unit by another name, with its ports in their order."""
    return wrapper(
        name,
        unit.ports,
        f"  {unit.module} copy ({', '.join(f'.{port}({port})' for port in unit.ports)});\n",
    )


def _encode(unit: Unit) -> str:
    """Return another copy of the unit, with all options whether it has them or not."""
    options = ", ".join(f".{name}({name})" for name in unit.options)
    return (
        f"module encode(input [{float_format(unit).width - 1}:0] x, "
        "input hybrid, saturate, nan_to_zero, output [7:0] code);\n"
        f"  {unit.module} copy (.x(x), {options}, .code(code));\nendmodule\n"
    )


def _decode(unit: Unit) -> str:
    """Return the conversion from HiF8 to the unit's source format."""
    back = UNITS[f"to_{float_format(unit).name}"]
    return (
        f"{verify.exported(back)}\n"
        f"module decode(input [7:0] code, output [{float_format(unit).width - 1}:0] x);\n"
        f"  {back.module} copy (.code(code), .x(x));\nendmodule\n"
    )


MODULES: dict[str, Callable[[Unit], str]] = {
    "nearest": _nearest,
    "step": _step,
    "rank": _rank,
    "moved": _moved,
    "word": _word,
    "fields": _fields,
    "number": _number,
    "interval": _interval,
    "read_word": _read_word,
    "encode_word": _encode_word,
    "encode": _encode,
    "decode": _decode,
}
"""The modules that a claim may use, by the name under which it does."""
