# SPDX-License-Identifier: Apache-2.0
"""What is claimed of the conversions: encoders, converters and the decoder.

Imports `golden.format`, `hdl` and the other modules of `sim.proofs`.
"""

from ...golden.format import FP16, FP32
from ...hdl.configs import Unit
from .modules import MODULES, float_format
from .prover import Property

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


class _OfConversion(Property):
    """What a conversion must have."""

    modules = MODULES


class _OfEncoder(_OfConversion):
    """What an encoder must have."""

    def preamble(self, unit: Unit) -> str:
        """Return constants of the source format, and what an input word is."""
        word = float_format(unit)
        text = _CONSTANTS.format(
            width=word.width,
            fraction=word.fraction_width,
            compared=word.hybrid_width,
            inf=word.inf_bits,
            keep_exact=int(unit.parameters.get("keep_exact", False)),
        )
        for name in ("hybrid", "saturate", "nan_to_zero"):
            if name not in unit.options:
                text += f"  wire {name} = 0;\n"
        if "code" in self.words:
            text += "  wire [WIDTH-1:0] x;\n"
        return text + _MEANING


_TA, _HR = {"hybrid": 0}, {"hybrid": 1}
_PLAIN = {"saturate": 0, "nan_to_zero": 0}


def _has_hybrid(unit: Unit) -> bool:
    return "hybrid" in unit.options


def _idempotent(unit: Unit) -> bool:
    """Whether HR keeps exact values: by option, or for its threshold is never 0."""
    return _has_hybrid(unit) and not _moves(unit)


def _moves(unit: Unit) -> bool:
    keeps = unit.parameters.get("keep_exact", False)
    return _has_hybrid(unit) and float_format(unit) is FP32 and not keeps


PROPERTIES = (
    _OfEncoder(
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
    _OfEncoder(
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
    _OfEncoder(
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
    _OfEncoder(
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
    _OfEncoder(
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
    _OfEncoder(
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
    _OfEncoder(
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
    _OfEncoder(
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
    _OfEncoder(
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
    _OfEncoder(
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
    _OfEncoder(
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
        holds_for=lambda unit: float_format(unit) is not FP16,
    ),
    _OfConversion(
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
    _OfConversion(
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
