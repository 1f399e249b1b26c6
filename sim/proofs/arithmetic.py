# SPDX-License-Identifier: Apache-2.0
"""What is claimed of the multiplier and of the sums of products.

Imports `golden.format`, `hdl` and the other modules of `sim.proofs`. A sum is claimed in two parts:
what a pair of codes becomes in the registers before the adder, the addend; and what the adder makes
of any sum and any addend that the first part allows.
"""

from fractions import Fraction

from amaranth.hdl import signed
from amaranth.lib.wiring import In, Out

from ...golden.format import FP32, MAX
from ...hdl.configs import Unit
from ...hdl.layouts import SUM_FLAGS, Port
from ...hdl.mac import Mac
from .. import verify
from .modules import MODULES
from .numbers import ORDER, VALUES, exponent
from .prover import Property
from .registers import everted, unrolled, widths, wrapper

_SMALLEST, _LARGEST = (VALUES[code] ** 2 for code in (ORDER[1], MAX))
"""The magnitudes of the smallest and the largest finite product that is not zero."""
_UNIT = exponent(_SMALLEST)
"""All products are multiples of 2^this."""

NEAR = range(-43, 10)
"""How far the last bit of an FP32 sum may be above that of an addend of 8 bits, and the other still
change the result: below, the sum is less than a quarter of the addend's ulp; above, the addend is
less than a quarter of the sum's."""
PARTS = {"low": NEAR[:21], "middle": NEAR[21:33], "high": NEAR[33:43], "top": NEAR[43:]}
"""A proof for each is several times quicker than one for all."""


_ADDEND_FLAGS = {name: f"addend_{name}" for name in SUM_FLAGS}
"""Those of the addend, by the names that those of the sum have."""


class _OfProduct(Property):
    """What a product must be."""

    modules = MODULES


def _kind(unit: Unit) -> str:
    """Return how a MAC accumulates, if it is one whose steps are claimed."""
    parameters = unit.parameters
    plain = parameters.get("unit") is Mac and not {"interleave", "segments"} & set(parameters)
    return parameters["accumulator"] if plain else ""


def _is_exact(unit: Unit) -> bool:
    return _kind(unit) == "exact"


def _is_fp32(unit: Unit) -> bool:
    return _kind(unit) == "fp32"


def _before_adder(unit: Unit) -> dict[str, Port]:
    """Return what the last registers before the adder hold, by name without their number."""
    suffix = f"_{unit.latency - 1}"
    held = {}
    for register, width in widths(verify.exported(unit)).items():
        name = register.removesuffix(suffix)
        if name == register:
            continue
        port = unit.ports.get(name, Port(Out(signed(width) if name == "slot" else width), ""))
        held[name] = port._replace(member=Out(port.member.shape))
    return held


class _Addend(_OfProduct):
    """What is in the registers before the adder when a pair of codes has come so far."""

    def ports(self, unit: Unit) -> dict[str, Port]:
        """Return the codes, and those registers but for what passes by and the handshake."""
        held = _before_adder(unit)
        codes = {name: unit.ports[name] for name in ("a", "b")}
        passed = {f"{name}_in": unit.ports[name] for name in held if name in unit.data_inputs}
        return codes | passed | held

    def circuit(self, unit: Unit, text: str) -> tuple[str, str]:
        """Return as many cycles as there are registers."""
        ports, cycles = self.ports(unit), unit.latency - 1
        given = {(0, "a"): "a", (0, "b"): "b", (0, "i_valid"): "1'b1"}
        given |= {(0, n.removesuffix("_in")): n for n in ports if n.endswith("_in")}
        body = unrolled(unit, text, cycles, given)
        for name, port in ports.items():
            if port.member.flow == Out:
                body += f"  assign {name} = {name}_{cycles}_in_{cycles};\n"
        return "addend", everted(text) + wrapper("addend", ports, body)

    def preamble(self, unit: Unit) -> str:
        """Return the limits of an addend."""
        return _limits(unit)


class _Step(Property):
    """What the adder makes of the sum there is, and of an addend."""

    def ports(self, unit: Unit) -> dict[str, Port]:
        """Return the registers before the adder, the sum there is and the next."""
        held = {
            _ADDEND_FLAGS.get(name, name): port._replace(member=In(port.member.shape))
            for name, port in _before_adder(unit).items()
            if name not in ("valid", "last")
        }
        after = {name: unit.ports[name] for name in unit.outputs}
        before = {
            f"before_{name}": port._replace(member=In(port.member.shape))
            for name, port in after.items()
        }
        count = {}
        if unit.max_products:
            width = unit.max_products.bit_length()
            count = {"products": Port(In(width), "how many products the sum has so far")}
        return held | before | count | after

    def circuit(self, unit: Unit, text: str) -> tuple[str, str]:
        """Return the cycle of the addition, and one more to see the sum."""
        ports, stage = self.ports(unit), unit.latency - 1
        given = {(0, f"valid_{stage}"): "1'b1"}
        given |= {(0, name): f"before_{name}" for name in unit.outputs}
        for name in _before_adder(unit):
            port = _ADDEND_FLAGS.get(name, name)
            if port in ports:
                given[0, f"{name}_{stage}"] = port
        body = unrolled(unit, text, 2, given)
        for name in unit.outputs:
            body += f"  assign {name} = {name}_in_1;\n"
        return "add", everted(text) + wrapper("add", ports, body)

    def preamble(self, unit: Unit) -> str:
        """Return the limits of a sum and of its addend."""
        return _limits(unit) + ("" if unit.max_products else _WORDS)


def _limits(unit: Unit) -> str:
    """Return what the addend has been proved to be within, and is then taken to be."""
    if not unit.max_products:
        low, high = (exponent(value) + FP32.bias for value in (_SMALLEST, _LARGEST))
        return f"  localparam LOW = {low}, HIGH = {high};\n"
    width = unit.ports["sum"].width + 2
    largest = int(_LARGEST / Fraction(2) ** _UNIT)
    return (
        f"  localparam W = {width}, PRODUCTS = {unit.max_products};\n"
        f"  localparam signed [W-1:0] LARGEST = {width}'d{largest};\n"
    )


_PRODUCT = """
  wire sign_a, inf_a, nan_a, sign_b, inf_b, nan_b;
  wire [3:0] odd_a, odd_b;
  wire [5:0] power_a, power_b;
  number of_a (a, {sign_a, odd_a, power_a, inf_a, nan_a});
  number of_b (b, {sign_b, odd_b, power_b, inf_b, nan_b});
  wire zero_a = odd_a == 0 && !inf_a && !nan_a, zero_b = odd_b == 0 && !inf_b && !nan_b;
  wire is_nan = nan_a || nan_b || zero_a && inf_b || inf_a && zero_b;
  wire is_inf = !is_nan && (inf_a || inf_b);
  wire is_finite = !is_nan && !is_inf;
  wire negative = (sign_a ^ sign_b) && !is_nan && !zero_a && !zero_b;
  // If finite, its magnitude is this odd number, or zero, times 2^(power - 44).
  wire [7:0] odd = is_finite ? odd_a * odd_b : 0;
  wire [6:0] power = power_a + power_b;
"""


def _framed(prefix: str) -> str:
    """Return what a frame stands for: `placed`, BELOW bits below the unit of the sum.

    Frame and slots are 16 and 8 bits; slot k begins with the bit of 2^(8k-6), and turned by an odd
    number of slots a frame has its halves exchanged.
    """
    return f"""
  localparam BELOW = 10;
  wire [15:0] upright = {prefix}frame ^ {{16{{{prefix}negative}}}};
  wire [15:0] straight = {prefix}slot[0] ? {{upright[7:0], upright[15:8]}} : upright;
  wire [3:0] moved = {prefix}slot + 6;
  wire [91:0] placed = straight << {{moved, 3'b0}};
"""


_WORDS = """
  wire [31:0] x = first ? acc : before_sum;
  wire x_finite = x[30:23] != 255, x_nan = !x_finite && x[22:0] != 0;
  wire x_inf = !x_finite && x[22:0] == 0;
  wire [23:0] x_significand = {x[30:23] != 0, x[22:0]};
  wire signed [9:0] x_exponent = x[30:23] == 0 ? 1 : x[30:23];
  // What a sum may be, unless it is the one to start from: any word but -0 and all NaN but one.
  wire sum_possible = first || x != 32'h80000000 && (!x_nan || x == 32'h7FC00000);
  // What an addend may be: a number with its leading one first, zero, or special.
  wire addend_nan = special && significand == 8'hC0 && !sign;
  wire addend_inf = special && significand == 8'h80;
  wire addend_plus_inf = addend_inf && !sign, addend_minus_inf = addend_inf && sign;
  wire addend_zero = !special && significand == 0 && !sign;
  wire addend_number = !special && significand[7] && LOW <= exponent && exponent <= HIGH;
  wire addend_possible = addend_zero || addend_number
    || (addend_nan || addend_inf) && exponent == 255;
  // The last bit of x above that of the addend: x_significand * 2^(x_exponent - 150), significand
  // * 2^(exponent - 134).
  wire signed [9:0] above = x_exponent - $signed({1'b0, exponent}) - 16;
"""

_NEAREST_SUM = """
  localparam S = 54;
  wire near = x_finite && addend_number && FROM <= above && above <= TO;
  // Exact, in units of the lower last bit.
  wire [S-1:0] larger = above >= 0 ? x_significand << above : x_significand;
  wire [S-1:0] smaller = above >= 0 ? significand : significand << -above;
  wire signed [S:0] exact = (x[31] ? -$signed({1'b0, larger}) : $signed({1'b0, larger}))
    + (sign ? -$signed({1'b0, smaller}) : $signed({1'b0, smaller}));
  // The result in the same units: its significand times 2^places.
  wire [23:0] kept = {got_sum[30:23] != 0, got_sum[22:0]};
  wire signed [9:0] got_exponent = got_sum[30:23] == 0 ? 1 : got_sum[30:23];
  wire signed [9:0] places = got_exponent - x_exponent + (above >= 0 ? above : 0);
  wire [9:0] down = -places;
  wire fits = places < 0 ? kept >> down << down == kept : places <= S - 24;
  wire [S-1:0] magnitude = places < 0 ? kept >> down : kept << places;
  wire signed [S:0] result = got_sum[31] ? -$signed({1'b0, magnitude}) : $signed({1'b0, magnitude});
  wire signed [S:0] error = exact - result;
  wire [S:0] twice = 2 * (error < 0 ? -error : error);
  wire [S:0] ulp = places < 0 ? 0 : 1 << places;
  wire is_nearest = places < 0 ? error == 0 : twice < ulp || twice == ulp && !kept[0];
  // Below a power of two the next word is but half as far away.
  wire below = error != 0 && error < 0 != got_sum[31] && kept == 24'h800000;
  wire is_nearest_below = !below || twice <= ulp >> 1;
  assign ok = !near || fits && got_sum[30:23] != 255 && is_nearest && is_nearest_below
    && (exact != 0 || got_sum == 0) && got_sum != 32'h80000000;
"""


_WRONG_SUMS = {
    "low": ("twice < ulp ||", "error == 0 ||", "a sum that is no tie is exact"),
    "middle": ("exact != 0 || got_sum == 0", "exact != 0 || got_sum[31]", "x - x is -0"),
    "high": ("&& !kept[0]", "&& kept[0]", "ties go to the odd word"),
    "top": (
        "twice <= ulp >> 1",
        "twice <= ulp >> 2",
        "below a power of two the error is at most an eighth of an ulp",
    ),
}


def _nearest_sum(part: str, places: range) -> Property:
    """Return the claim for those places of the sum above the addend."""
    first, last = (f"-{-p}" if p < 0 else str(p) for p in (places[0], places[-1]))
    return _Step(
        f"nearest_sum_{part}",
        "sum plus product is rounded to nearest even, and zero is +0, where the last bit of the "
        f"sum is that of the 8-bit product times 2^{places[0]} to 2^{places[-1]}",
        "sum",
        _NEAREST_SUM.replace("FROM", f"({first})").replace("TO", f"({last})"),
        _WRONG_SUMS[part],
        holds_for=_is_fp32,
        expects=False,
    )


PROPERTIES = (
    _OfProduct(
        "product",
        "significand * 2^(exponent - 6) is the product of the two values; a zero product is +0; NaN"
        " if an operand is or for zero times infinity, else infinite if an operand is",
        "multiplier",
        _PRODUCT
        + """
  wire signed [8:0] shift = $signed({2'b0, power}) - 44 - ($signed(got_exponent) - 6);
  wire [15:0] shifted = odd << shift;
  wire is_value = odd == 0 ? got_significand == 0
    : got_significand >= 64 && 0 <= shift && shift < 8 && got_significand == shifted;
  assign ok = got_nan == is_nan && got_inf == is_inf && got_sign == negative
    && (!is_finite || is_value);
""",
        ("zero_a && inf_b || inf_a && zero_b", "1'b0", "zero times infinity is infinite"),
        expects=False,
    ),
    _Addend(
        "exact_addend",
        "what comes to the adder stands for the product, nothing if it is infinite, and its flags:"
        " for every pair of codes",
        "sum",
        _PRODUCT
        + _framed("got_")
        + """
  // In a frame all bits are inverted if the product is negative.
  wire is_value = got_finite == !is_inf
    && (!got_finite || placed == {54'b0, odd} << power << BELOW && got_negative == negative
      && -6 <= $signed(got_slot) && $signed(got_slot) <= 3);
  assign ok = is_value && got_nan == is_nan && got_valid
    && got_plus_inf == (is_inf && !negative) && got_minus_inf == (is_inf && negative)
    && got_first == first_in && got_last == last_in;
""",
        ("sign_a ^ sign_b", "sign_a | sign_b", "minus times minus is minus"),
        holds_for=_is_exact,
        expects=False,
    ),
    _Step(
        "exact_sum",
        "sum plus product, as integers in units of 2^-44, without overflow: n products are at most"
        " n times 2^74, for every n up to the unit's limit",
        "sum",
        _framed("")
        + """
  // Of what the first part allows: a multiple of the unit, in a slot that there is.
  wire possible = !finite || placed[BELOW-1:0] == 0 && magnitude <= LARGEST
    && -6 <= $signed(slot) && $signed(slot) <= 3;
  wire signed [W-1:0] magnitude = placed >> BELOW;
  wire signed [W-1:0] product = !finite ? 0 : negative ? -magnitude : magnitude;
  wire signed [W-1:0] x = first ? 0 : $signed(before_sum);
  wire [W-1:0] so_far = first ? 0 : products;
  wire signed [W-1:0] bound = so_far * LARGEST, next_bound = (so_far + 1) * LARGEST;
  wire reached = so_far < PRODUCTS && -bound <= x && x <= bound;
  wire signed [W-1:0] next = x + product;
  wire signed [W-1:0] got = $signed(got_sum);
  assign ok = !possible || !reached || got == next && -next_bound <= next && next <= next_bound;
""",
        (
            "so_far < PRODUCTS",
            "so_far < 2 * PRODUCTS",
            "there is room for twice as many products",
        ),
        holds_for=_is_exact,
        expects=False,
    ),
    _Step(
        "exact_flags",
        "NaN stays, as does an infinity until one of the other sign makes it NaN; never two flags",
        "sum",
        """
  wire [2:0] was = first ? 0 : {before_nan, before_plus_inf, before_minus_inf};
  wire one_each = was[2] + was[1] + was[0] <= 1
    && addend_nan + addend_plus_inf + addend_minus_inf <= 1;
  wire plus = was[1] || addend_plus_inf, minus = was[0] || addend_minus_inf;
  assign expected_nan = was[2] || addend_nan || plus && minus;
  assign expected_plus_inf = plus && !expected_nan;
  assign expected_minus_inf = minus && !expected_nan;
  assign expected_sum = got_sum;
  assign ok = !one_each || {got_nan, got_plus_inf, got_minus_inf}
    == {expected_nan, expected_plus_inf, expected_minus_inf};
""",
        ("|| plus && minus", "", "plus and minus infinity are both there"),
        holds_for=_is_exact,
    ),
    _Addend(
        "fp32_addend",
        "what comes to the adder is the product, significand * 2^(exponent - 134) with its leading"
        " one first, or zero, or marked as special and as FP32 has it: for every pair of codes",
        "sum",
        _PRODUCT
        + """
  wire signed [9:0] shift = $signed({3'b0, power}) - 44 - ($signed({2'b0, got_exponent}) - 134);
  wire [15:0] shifted = odd << shift;
  wire is_value = odd == 0 ? got_significand == 0
    : got_significand[7] && 0 <= shift && shift < 8 && got_significand == shifted
    && LOW <= got_exponent && got_exponent <= HIGH;
  wire is_special = got_exponent == 255 && got_significand == (is_nan ? 8'hC0 : 8'h80);
  assign ok = (is_finite ? is_value : is_special) && got_special == !is_finite
    && got_sign == negative && got_valid
    && got_first == first_in && got_last == last_in && got_acc == acc_in;
""",
        ("&& !zero_a && !zero_b;", ";", "a zero product has the sign of its operands"),
        holds_for=_is_fp32,
        expects=False,
    ),
    *(_nearest_sum(part, places) for part, places in PARTS.items()),
    _Step(
        "rest_of_sums",
        "where neither counts for the other the sum is the one of larger magnitude; it stays if the"
        " product is zero, but for -0; NaN, and infinity plus minus infinity, is 0x7FC00000",
        "sum",
        """
  wire far = x_finite && addend_number && (above < NEAR_FROM || above > NEAR_TO);
  wire some_plus = addend_plus_inf || x_inf && !x[31];
  wire some_minus = addend_minus_inf || x_inf && x[31];
  wire some_nan = addend_nan || x_nan || some_plus && some_minus;
  assign expected_sum = some_nan ? 32'h7FC00000
    : some_plus || some_minus ? {some_minus, 31'h7F800000}
    : addend_zero ? (x[30:0] == 0 ? 0 : x)
    : above > NEAR_TO ? x : {sign, exponent, significand[6:0], 16'b0};
  wire here = sum_possible && addend_possible && (far || !x_finite || !addend_number);
  assign ok = !here || got_sum == expected_sum;
""".replace("NEAR_FROM", f"(-{-NEAR[0]})").replace("NEAR_TO", f"{NEAR[-1]}"),
        ("(x[30:0] == 0 ? 0 : x)", "x", "-0 plus 0 is -0"),
        holds_for=_is_fp32,
    ),
)
