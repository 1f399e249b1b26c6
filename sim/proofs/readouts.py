# SPDX-License-Identifier: Apache-2.0
"""What is claimed of the read-outs of exact sums.

Imports `hdl` and the other modules of `sim.proofs`. All sums of the unit's width and all scales are
claimed of, whether a sum of products comes so far or not.
"""

from ...hdl.configs import Unit
from .modules import MODULES
from .prover import Property


class _Readout(Property):
    """What a read-out must be."""

    modules = MODULES

    def preamble(self, unit: Unit) -> str:
        """Return the sum without its sign, and whether it is a number."""
        return (
            f"  localparam W = {unit.ports['sum'].width};"
            + """
  wire finite = !nan && !plus_inf && !minus_inf;
  wire one_flag = nan + plus_inf + minus_inf <= 1;
  wire [W-1:0] magnitude = sum[W-1] ? -sum : sum;
"""
        )


def _to_word(unit: Unit) -> bool:
    return unit.parameters["output"] == "fp32"


def _to_code(unit: Unit) -> bool:
    return unit.parameters["output"] == "hif8"


_NEAREST_WORD = """
  // In units of the sum's last bit the word is its significand times 2^places.
  wire [23:0] kept = {1'b1, got_x[22:0]};
  wire signed [9:0] places = $signed({2'b0, got_x[30:23]}) - 150 - ($signed(scale) - 44);
  wire [9:0] down = -places;
  wire fits = places < 0 ? kept >> down << down == kept : places <= W - 24;
  wire [W:0] result = places < 0 ? kept >> down : kept << places;
  wire signed [W+1:0] error = $signed({1'b0, magnitude}) - $signed({1'b0, result});
  wire [W+1:0] twice = 2 * (error < 0 ? -error : error);
  wire [W+1:0] ulp = places < 0 ? 0 : 1 << places;
  wire is_nearest = places < 0 ? error == 0 : twice < ulp || twice == ulp && !kept[0];
  // Below a power of two the next word is but half as far away.
  wire is_nearest_below = error >= 0 || kept != 24'h800000 || twice <= ulp >> 1;
  wire normal = got_x[30:23] != 0 && got_x[30:23] != 255 && got_x[31] == sum[W-1];
  assign ok = !finite || (sum == 0 ? got_x == 0
    : normal && fits && is_nearest && is_nearest_below);
"""

_NEAREST_CODE = """
  // All in units of 2^-76, the last bit of a sum at the smallest scale.
  wire [W+62:0] scaled = magnitude << ($signed(scale) + 32);
  wire [W+62:0] low, high;
  wire [6:0] value;
  interval around (index, {low, high, value});
  wire inside = finite && low <= scaled && scaled < high;
  wire clip = saturate && value == 7'h6F;
  assign expected_code = value == 0 ? 8'h00 : {sum[W-1], clip ? 7'h6E : value};
  assign ok = !inside || got_code == expected_code;
"""


PROPERTIES = (
    _Readout(
        "nearest_word",
        "the sum times 2^(scale - 44) is rounded to nearest even, to a normal number; zero is +0",
        "readout",
        _NEAREST_WORD,
        ("&& !kept[0]", "&& kept[0]", "ties go to the odd word"),
        holds_for=_to_word,
        expects=False,
    ),
    _Readout(
        "special_word",
        "NaN is 0x7FC00000, infinities are infinities, whatever the sum and the scale",
        "readout",
        """
  assign expected_x = nan ? 32'h7FC00000 : {minus_inf, 31'h7F800000};
  assign ok = finite || !one_flag || got_x == expected_x;
""",
        ("{minus_inf,", "{sum[W-1],", "an infinity has the sign of the sum"),
        holds_for=_to_word,
    ),
    _Readout(
        "nearest_code",
        "TA gives the value nearest to the exact sum times 2^(scale - 44), of two the one further"
        " from zero",
        "readout",
        _NEAREST_CODE,
        (
            "low <= scaled && scaled < high",
            "low < scaled && scaled <= high",
            "of two nearest values TA gives the one nearer to zero",
        ),
        index=True,
        fixed={"hybrid": 0},
        holds_for=_to_code,
    ),
    _Readout(
        "special_code",
        "NaN gives 0x80, or 0x00 with nan_to_zero; infinities give infinities, or the largest"
        " finite codes with saturate",
        "readout",
        """
  assign expected_code = nan ? (nan_to_zero ? 8'h00 : 8'h80)
    : {minus_inf, saturate ? 7'h6E : 7'h6F};
  assign ok = finite || !one_flag || got_code == expected_code;
""",
        ("saturate ? 7'h6E : 7'h6F", "7'h6F", "saturate leaves infinities infinite"),
        holds_for=_to_code,
    ),
    _Readout(
        "hybrid_code",
        "HR gives the code that HR gives of the FP32 word: of a sum read out as FP32, encoded",
        "readout",
        """
  wire [31:0] word;
  read_word first (sum, nan, plus_inf, minus_inf, scale, word);
  encode_word then (word, 1'b1, saturate, nan_to_zero, expected_code);
  assign ok = !one_flag || got_code == expected_code;
""",
        ("(word, 1'b1,", "(word & ~32'd1, 1'b1,", "HR does not depend on the last bit of the word"),
        fixed={"hybrid": 1},
        holds_for=_to_code,
    ),
)
