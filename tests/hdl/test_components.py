# SPDX-License-Identifier: Apache-2.0
"""Components under Amaranth's own simulator against the paper's equations.

Neither Verilog nor cocotb nor the golden model takes part: what these tests find wrong is wrong in
the circuit.
"""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import paper
import pytest
from hif8.golden.format import BF16, FP16, FP32
from hif8.hdl.converter import ToFloat
from hif8.hdl.decoder import Decoder
from hif8.hdl.encoder import Encoder
from hif8.hdl.multiplier import Multiplier
from simulated import combinational as simulate

WORDS = (FP32, FP16, BF16)


def near_boundaries(source):
    """Return words of a format: boundaries and HiF8 values with neighbours, specials, random."""
    name, top = source.dtype.name, 1 << source.width - 1
    exact = [*paper.BOUNDARIES, *(value for value, _ in paper.POSITIVE)]
    words = {paper.ieee_word(x, name) + step for x in exact for step in (-1, 0, 1)}
    infinity = int(source.inf_bits)
    words |= {0, 1, 2, infinity - 1, infinity, infinity + 1, top - 1, infinity | top // 4}
    words |= {1 << bit for bit in range(source.width - 1)}
    rng = np.random.default_rng(2409)
    words |= set(rng.integers(0, top, 300).tolist())
    return sorted(words | {word | top for word in words})


@pytest.mark.parametrize("source", WORDS, ids=lambda word: word.name)
def test_encoder_rounds_by_ta_as_the_paper_under_every_option(source):
    rows = [
        {"x": word, "saturate": saturate, "nan_to_zero": nan_to_zero}
        for word in near_boundaries(source)
        for saturate, nan_to_zero in product((0, 1), repeat=2)
    ]
    got = simulate(Encoder(source=source), rows, ["code"])
    for row, (code,) in zip(rows, got, strict=True):
        options = {name: bool(row[name]) for name in ("saturate", "nan_to_zero")}
        value = paper.ieee_value(row["x"], source.dtype.name)
        assert code == paper.encode(value, **options), row


@pytest.mark.parametrize("keep_exact", [False, True], ids=["literal", "keep_exact"])
@pytest.mark.parametrize("source", WORDS, ids=lambda word: word.name)
def test_encoder_rounds_by_hr_as_the_paper(source, keep_exact):
    rows = [
        {"x": word, "hybrid": 1, "saturate": place & 1, "nan_to_zero": place >> 1 & 1}
        for place, word in enumerate(near_boundaries(source))
    ]
    encoder = Encoder(source=source, hybrid=True, keep_exact=keep_exact)
    got = simulate(encoder, rows, ["code"])
    for row, (code,) in zip(rows, got, strict=True):
        options = {name: bool(row[name]) for name in ("saturate", "nan_to_zero")}
        expected = paper.encode_hybrid(
            row["x"], source.dtype.name, keep_exact=keep_exact, **options
        )
        assert code == expected, row


@pytest.mark.parametrize("source", WORDS, ids=lambda word: word.name)
def test_encoder_with_hr_switched_off_rounds_by_ta(source):
    rows = [{"x": word, "hybrid": 0} for word in near_boundaries(source)]
    got = simulate(Encoder(source=source, hybrid=True), rows, ["code"])
    for row, (code,) in zip(rows, got, strict=True):
        assert code == paper.encode(paper.ieee_value(row["x"], source.dtype.name)), row


@pytest.mark.parametrize("target", WORDS, ids=lambda word: word.name)
def test_converter_gives_the_word_of_every_code(target):
    got = simulate(ToFloat(target=target), [{"code": code} for code in range(256)], ["x"])
    name = target.dtype.name
    assert [x for (x,) in got] == [paper.ieee_word(paper.value(c), name) for c in range(256)]


def test_decoder_flags_are_those_of_the_table_for_every_code():
    got = simulate(Decoder(), [{"code": code} for code in range(256)], ["zero", "inf", "nan"])
    for code, flags in enumerate(got):
        assert flags == (code == 0x00, code in (0x6F, 0xEF), code == 0x80), hex(code)


def test_decoder_fields_are_defined_for_every_code():
    rows = [{"code": code} for code in range(256)]
    for code, got in enumerate(simulate(Decoder(), rows, ["sign", "exponent", "significand"])):
        sign, exponent, significand = got
        fields = paper.fields(code)
        assert (sign, exponent) == (fields.sign, fields.exponent), hex(code)
        if code in (0x00, 0x80):
            assert significand == 0
        elif fields.pattern == paper.DENORMAL:
            assert significand == 8
        else:
            assert significand == 8 + fields.mantissa * 2 ** (3 - fields.mantissa_width)


def test_multiplier_gives_the_exact_product_of_every_kind_of_code():
    kinds = [0x00, 0x80, 0x6F, 0xEF, 0x6E, 0xEE, 0x01, 0x81, 0x07, 0x7E, 0x7F, 0x08, 0x8F]
    kinds += [0x10, 0x1F, 0x2B, 0xB4, 0x43, 0xDD, 0x61]
    rng = np.random.default_rng(5)
    pairs = list(product(kinds, repeat=2)) + rng.integers(0, 256, (400, 2)).tolist()
    rows = [{"a": a, "b": b} for a, b in pairs]
    outputs = ["sign", "exponent", "significand", "inf", "nan"]
    for (a, b), got in zip(pairs, simulate(Multiplier(), rows, outputs), strict=True):
        sign, exponent, significand, inf, nan = got
        exact = paper.product(a, b)
        assert nan == math.isnan(exact)
        assert inf == math.isinf(exact)
        if inf:
            assert sign == (exact < 0)
        elif not nan:
            made = (-1) ** sign * significand * Fraction(2) ** (exponent - 6)
            assert made == exact, (a, b)
            assert not (exact == 0 and sign), "a zero product is +0"
