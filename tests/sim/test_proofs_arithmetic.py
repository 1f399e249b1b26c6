# SPDX-License-Identifier: Apache-2.0
"""The proofs of the arithmetic: what is claimed, that it holds, and that it could fail."""

import math
import re
from fractions import Fraction
from itertools import chain

import paper
import pytest
from hif8.hdl.configs import UNITS
from hif8.sim import proofs, verify
from hif8.sim.proofs import arithmetic, readouts, registers
from hif8.toolchain.program import ToolError

pytestmark = pytest.mark.usefixtures("prover")
CLAIMED = {
    "multiplier": ["product"],
    "mac_exact": ["exact_addend", "exact_sum", "exact_flags"],
    "mac_fp32": [
        "fp32_addend",
        "nearest_sum_low",
        "nearest_sum_middle",
        "nearest_sum_high",
        "nearest_sum_top",
        "rest_of_sums",
    ],
    "readout_fp32": ["nearest_word", "special_word"],
    "readout_hif8": ["nearest_code", "special_code", "hybrid_code"],
}
PROPERTIES = {wanted.name: wanted for wanted in (*arithmetic.PROPERTIES, *readouts.PROPERTIES)}
CLAIMS = [(unit, name) for unit in CLAIMED if unit in UNITS for name in CLAIMED[unit]]
SPECIAL = {"nan": float("nan"), "plus_inf": float("inf"), "minus_inf": -float("inf")}
SMALLEST = paper.value(0x01) ** 2
LARGEST = paper.value(paper.MAX) ** 2


def test_the_arithmetic_has_its_claims():
    benches = {"multiplier", "sum", "readout"}
    claimed = {
        unit.name: [wanted.name for wanted in proofs.properties(unit)]
        for unit in proofs.select()
        if unit.bench in benches
    }
    assert claimed == {unit: names for unit, names in CLAIMED.items() if unit in UNITS}
    assert {name for names in CLAIMED.values() for name in names} == set(PROPERTIES)


def test_the_parts_of_the_nearest_sum_leave_no_place_out():
    assert list(chain(*arithmetic.PARTS.values())) == list(arithmetic.NEAR)
    # Beyond, what is added is less than half of the least distance to a neighbouring word.
    below, above = arithmetic.NEAR[0] - 1, arithmetic.NEAR[-1] + 1
    assert 2**24 * Fraction(2) ** below <= Fraction(2**7, 2**24) / 2
    assert Fraction(2) ** above / 4 >= 2**8


def test_products_have_the_papers_limits():
    assert Fraction(2) ** arithmetic._UNIT == SMALLEST == arithmetic._SMALLEST
    assert arithmetic._LARGEST == LARGEST
    assert arithmetic._UNIT == -44  # as the claims are written
    products = [paper.product(a, b) for a in range(1, 0x80) for b in range(1, 0x80)]
    assert all((p / SMALLEST).denominator == 1 for p in products if isinstance(p, Fraction))


def value_of_sum(inputs, prefix):
    """Return what an exact sum is: a flag, or so many of the smallest product."""
    for name, special in SPECIAL.items():
        if inputs[prefix + name]:
            return special
    return inputs[f"{prefix}sum"] * SMALLEST


def value_of_addend(inputs):
    """Return what an addend of an FP32 sum is: marked as special, infinite or NaN as in FP32."""
    if inputs["special"]:
        return SPECIAL[
            "nan" if inputs["significand"] & 0x40 else "minus_inf" if inputs["sign"] else "plus_inf"
        ]
    magnitude = inputs["significand"] * Fraction(2) ** (inputs["exponent"] - 134)
    return -magnitude if inputs["sign"] else magnitude


def check_multiplier(inputs, got, options):
    right = paper.product(inputs["a"], inputs["b"])
    flags = (got["nan"], got["inf"])
    if isinstance(right, Fraction):
        size = got["significand"] * Fraction(2) ** (got["exponent"] - 6)
        assert (flags, -size if got["sign"] else size) == ((0, 0), right)
    else:
        assert flags == (math.isnan(right), math.isinf(right))


def value_of_frame(values):
    """Return the number that a frame of 16 bits stands for: in an odd slot its halves change."""
    if not values["finite"]:
        return 0
    upright = values["frame"] ^ (0xFFFF if values["negative"] else 0)
    low, high = upright & 0xFF, upright >> 8
    size = high | low << 8 if values["slot"] % 2 else upright
    number = size * Fraction(2) ** (8 * values["slot"] - 6)
    return -number if values["negative"] else number


def check_exact_addend(inputs, got, options):
    right = paper.product(inputs["a"], inputs["b"])
    [flag] = [special for name, special in SPECIAL.items() if got[name]] or [None]
    assert (value_of_frame(got) if flag is None else flag) == right
    assert got["finite"] == (got["plus_inf"] == got["minus_inf"] == 0)


def check_fp32_addend(inputs, got, options):
    right = paper.product(inputs["a"], inputs["b"])
    assert value_of_addend(got) == right
    assert (right, got["sign"]) == (0, 0)


def check_exact_sum(inputs, got, options):
    """The counterexample to room for twice as many products is a sum that wraps around."""
    start = 0 if inputs["first"] else inputs["before_sum"]
    right = start + value_of_frame(inputs) / SMALLEST
    unit = UNITS["mac_exact"]
    assert (got["sum"] - right) % 2 ** unit.ports["sum"].width == 0
    assert inputs["first"] == 0
    assert inputs["products"] >= unit.max_products
    assert got["sum"] != right


def check_exact_flags(inputs, got, options):
    flags = {name: name in ("plus_inf", "minus_inf") for name in SPECIAL}
    sides = [inputs[f"addend_{n}"] + inputs[f"before_{n}"] for n, there in flags.items() if there]
    assert sides == [1, 1]
    assert (got["nan"], got["plus_inf"], got["minus_inf"]) == (1, 0, 0)


def check_fp32_sum(inputs, got, options):
    start = inputs["acc"] if inputs["first"] else inputs["before_sum"]
    right = paper.ieee_value(start, "float32") + value_of_addend(inputs)
    assert got["sum"] == paper.nearest_float32(right)


def check_word(inputs, got, options):
    total = value_of_sum(inputs, "") * Fraction(2) ** inputs["scale"]
    assert got["x"] == paper.nearest_float32(total)


def check_code(inputs, got, options):
    total = value_of_sum(inputs, "") * Fraction(2) ** inputs["scale"]
    options = dict(options)
    if options.pop("hybrid"):
        right = paper.encode_hybrid(paper.nearest_float32(total), "float32", **options)
    else:
        right = paper.encode(total, **options)
    assert got["code"] == right


CHECKS = {
    "product": check_multiplier,
    "exact_addend": check_exact_addend,
    "exact_sum": check_exact_sum,
    "exact_flags": check_exact_flags,
    "fp32_addend": check_fp32_addend,
    "rest_of_sums": check_fp32_sum,
    **{f"nearest_sum_{part}": check_fp32_sum for part in arithmetic.PARTS},
    "nearest_word": check_word,
    "special_word": check_word,
    "nearest_code": check_code,
    "special_code": check_code,
    "hybrid_code": check_code,
}


@pytest.mark.parametrize(("name", "wanted"), CLAIMS)
def test_every_property_is_proved_and_its_wrong_variant_refuted_where_the_unit_is_right(
    name, wanted, record_property
):
    unit, claim = UNITS[name], PROPERTIES[wanted]
    [proof] = proofs.prove_all([(unit, claim)])
    record_property("proved", proof.claim.proved)
    record_property("refuted", not proof.variant.proved)
    assert proof.claim == proofs.Answer(claim.statement, True)
    assert proof.passed
    assert proof.bits == sum(port.width for port in claim.inputs(unit).values())
    found = proof.variant.counterexample
    assert set(found["inputs"]) == set(claim.inputs(unit))
    assert bool(found["expected"]) == claim.expects
    assert found["got"] != found["expected"]
    CHECKS[wanted](found["inputs"], found["got"], found["options"])
    assert proofs.summary(proof).startswith("refuted: ")


FAULTS = [
    ("multiplier", "product", r"(sum_6_3_product), (sum_5_3_product)", r"\2, \1"),
    ("mac_exact", "exact_addend", r"(sign_0_1 <= .*);", r"sign_0_1 <= 1'b0;"),
    ("mac_exact", "exact_sum", r"(_total\[74:0\]), \w+ \};", r"\1, 1'b0 };"),
    ("mac_exact", "exact_sum", r"begins = first_2", "begins = ~first_2"),
    ("mac_fp32", "nearest_sum_low", r"\| aligned_after_1\[1:0\]", "| aligned_after_1[0]"),
    ("mac_fp32", "nearest_sum_middle", r"(assign more = \w+) \+ 1'h1", r"\1"),
    ("mac_fp32", "nearest_sum_high", r"added_low\[5\] \| _", "_"),
    ("mac_fp32", "nearest_sum_top", r"sum_before\[31\] \^ sign_2", "sign_2"),
    ("mac_fp32", "rest_of_sums", r"(assign both_special =) .*;", r"\1 1'b0;"),
]


@pytest.mark.parametrize(("name", "wanted", "pattern", "fault"), FAULTS)
def test_a_fault_in_the_verilog_is_found(name, wanted, pattern, fault):
    unit = UNITS[name]
    text, count = re.subn(pattern, fault, verify.exported(unit))
    assert count, f"{pattern} is not in the Verilog of {name}"
    proof = proofs.prove(unit, PROPERTIES[wanted], text=text)
    assert not proof.claim.proved
    assert not proof.passed
    found = proof.claim.counterexample
    assert proofs.explain(proof, found)
    with pytest.raises(AssertionError):
        CHECKS[wanted](found["inputs"], found["got"], found["options"])


def test_registers_that_are_written_otherwise_are_refused():
    text = verify.exported(UNITS["mac_exact"])
    assert set(registers.widths(text)) >= {"sum", "nan", "plus_inf", "minus_inf", "frame_2"}
    assert "posedge" not in registers.everted(text)
    otherwise = text.replace("always @(posedge clk)", "always @(posedge clk) begin", 1)
    with pytest.raises(ToolError, match="not written as they are exported"):
        registers.everted(otherwise)


@pytest.mark.parametrize("name", ["o_ready", "rst"])
def test_what_is_not_given_is_free(name, monkeypatch):
    """With a stall or a reset the addend does not come through, so the claim fails."""
    monkeypatch.delitem(registers._ALWAYS, name)
    unit, wanted = UNITS["mac_fp32"], PROPERTIES["fp32_addend"]
    assert not proofs.prove(unit, wanted).claim.proved
