# SPDX-License-Identifier: Apache-2.0
"""Other formats of 8 bits through the same generators, against `ml_dtypes` and exact fractions."""

import math
from fractions import Fraction
from typing import NamedTuple

import ml_dtypes
import numpy as np
import paper
import pytest
from amaranth.hdl import Cat, Const, Module
from amaranth.lib import data
from amaranth.lib.wiring import Out
from depth import depth
from hif8.golden.format import FP32
from hif8.hdl.dot import DotProduct
from hif8.hdl.layouts import UNPACKED, Operand, Port, signature
from hif8.hdl.mac import Mac
from hif8.hdl.matrix import MatrixEngine
from hif8.hdl.multiplier import multiply
from hif8.hdl.shifts import normalise
from hif8.hdl.unit import Combinational
from simulated import combinational, packed, stream, vector


class Minifloat(NamedTuple):
    """A format of 8 bits with an exponent, a fraction and subnormals.

    `finite` formats have no infinity, and as NaN the word of ones alone.
    """

    dtype: type
    exponent_width: int
    fraction_width: int
    finite: bool = False

    @property
    def bias(self):
        return (1 << self.exponent_width - 1) - 1

    def decode(self, m, code, name):
        """Add a decoder: what `Operand.decode` must be."""
        fields = data.View(
            data.StructLayout(
                {"fraction": self.fraction_width, "exponent": self.exponent_width, "sign": 1}
            ),
            code,
        )
        ports = dict(UNPACKED)
        ports["significand"] = Port(Out(self.fraction_width + 1), "")
        value = signature(ports).create(path=(name,))
        normal = fields.exponent.any()
        significand, zeros = normalise(m, Cat(fields.fraction, normal), name)
        top = fields.exponent.all()
        nan = top & (fields.fraction.all() if self.finite else fields.fraction.any())
        m.d.comb += [
            value.sign.eq(fields.sign),
            value.exponent.eq(fields.exponent + ~normal - self.bias - zeros),
            value.significand.eq(significand & ~nan.replicate(len(significand))),
            value.zero.eq(~normal & ~fields.fraction.any()),
            value.inf.eq(Const(0, 1) if self.finite else top & ~fields.fraction.any()),
            value.nan.eq(nan),
        ]
        return value

    @property
    def values(self):
        """What every code stands for."""
        return np.arange(256, dtype=np.uint8).view(self.dtype).astype(np.float64)

    @property
    def operand(self):
        finite = np.abs(self.values[np.isfinite(self.values)])
        fraction, exponent = math.frexp(finite.max())
        return Operand(
            name=np.dtype(self.dtype).name,
            width=8,
            significand_width=self.fraction_width + 1,
            min_exponent=math.frexp(finite[finite > 0].min())[1] - 1,
            max_exponent=exponent - 1,
            max_significand=int(fraction * 2 ** (self.fraction_width + 1)),
            decode=self.decode,
        )


E4M3 = Minifloat(ml_dtypes.float8_e4m3fn, 4, 3, finite=True)
E5M2 = Minifloat(ml_dtypes.float8_e5m2, 5, 2)
E3M4 = Minifloat(ml_dtypes.float8_e3m4, 3, 4)
FORMATS = {"E4M3": E4M3, "E5M2": E5M2, "E3M4": E3M4}


def name_of(kind):
    return np.dtype(kind.dtype).name


class Products(Combinational):
    """One code times `count` others."""

    def __init__(self, operand, count):
        self.operand = operand
        self.count = count
        fields = {
            f"{name}_{k}": port for k in range(count) for name, port in operand.product().items()
        }
        super().__init__({"a": operand.port(), "b": operand.port(count)}, fields)

    def logic(self, m: Module, inputs, stage):
        a = self.operand.decode(m, inputs["a"], "a")
        made = {}
        for k, code in enumerate(self.operand.codes(inputs["b"])):
            product = multiply(
                m, a, self.operand.decode(m, code, f"b_{k}"), self.operand, f"product_{k}"
            )
            made |= {f"{name}_{k}": getattr(product, name) for name in self.operand.product()}
        return stage(made)


@pytest.mark.parametrize(
    "kind",
    [FORMATS[n] for n in depth("formats that the multiplier is run in for all pairs") or FORMATS],
    ids=name_of,
)
def test_multiply_of_another_format_is_exact_for_all_65536_pairs(kind):
    operand, values, count = kind.operand, kind.values, 16
    component = Products(operand, count)
    rows = [
        {"a": a, "b": int.from_bytes(bytes(range(b, b + count)), "little")}
        for a in range(256)
        for b in range(0, 256, count)
    ]
    got = np.array(combinational(component, rows, component.outputs))
    sign, exponent, significand, inf, nan = got.reshape(256, 256, 5).transpose(2, 0, 1)
    with np.errstate(invalid="ignore"):
        exact = np.multiply.outer(values, values)  # a double holds every product
    assert np.array_equal(nan.astype(bool), np.isnan(exact))
    assert np.array_equal(inf.astype(bool), np.isinf(exact))
    number = np.isfinite(exact)
    made = np.ldexp(np.where(sign, -1.0, 1.0) * significand, exponent - operand.product_point)
    assert np.array_equal(made[number], exact[number])
    assert not sign[number & (exact == 0)].any(), "a zero product is +0"
    assert np.array_equal(sign[np.isinf(exact)], exact[np.isinf(exact)] < 0)
    assert exact.size == 65_536


def draw(kind, vectors, beats, lanes, special=0.003):
    """Draw the codes of vectors, a few of them infinite or NaN."""
    rng = np.random.default_rng(kind.exponent_width)
    finite = np.isfinite(kind.values)
    ordinary, others = (
        rng.choice(np.flatnonzero(x), (2, vectors, beats, lanes)) for x in (finite, ~finite)
    )
    return np.where(rng.random(ordinary.shape) < special, others, ordinary)


def exact_sum(kind, a, b):
    """Return the sum of the finite products, and that of all."""
    with np.errstate(invalid="ignore"):
        products = (kind.values[a] * kind.values[b]).ravel().tolist()
    special = [x for x in products if not math.isfinite(x)]
    return sum(Fraction(x) for x in products if math.isfinite(x)), sum(special)


def sums_of(unit, a, b, acc=None):
    """Return what comes out of a unit for each of many vectors."""
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    items = [item for x, y in pairs for item in vector(x, y, acc)]
    return stream(unit, items, len(a), gap=0.2, stall=0.3).outputs


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("kind", FORMATS.values(), ids=name_of)
def test_exact_sums_of_another_format_are_the_fractions(kind, lanes):
    how = {"accumulator": "exact", "operand": kind.operand, "max_products": 64}
    unit = Mac(**how) if lanes == 1 else DotProduct(lanes=lanes, **how)
    a, b = draw(kind, 40, 64 // lanes, lanes)
    a[0], b[0] = (np.argmax(np.where(np.isfinite(kind.values), kind.values, 0)),) * 2
    specials = 0
    for x, y, got in zip(a, b, sums_of(unit, a, b), strict=True):
        finite, special = exact_sum(kind, x, y)
        assert got == {
            "sum": finite / Fraction(2) ** kind.operand.product_unit,
            "nan": math.isnan(special),
            "plus_inf": special == math.inf,
            "minus_inf": special == -math.inf,
        }
        specials += bool(special)
    assert 0 < specials < 40


@pytest.mark.parametrize("kind", FORMATS.values(), ids=name_of)
def test_fp32_sums_of_another_format_are_those_of_numpy(kind):
    a, b = draw(kind, 40, 20, 1)
    values = kind.values.astype(np.float32)
    got = sums_of(Mac(accumulator="fp32", operand=kind.operand), a, b, acc=0)
    for x, y, word in zip(a, b, got, strict=True):
        acc = np.float32(0)
        with np.errstate(invalid="ignore"):
            for product in (values[x] * values[y]).ravel():
                acc = acc + product
        assert word["sum"] == (FP32.nan_bits if np.isnan(acc) else acc.view(np.uint32))


@pytest.mark.parametrize("kind", FORMATS.values(), ids=name_of)
def test_fused_fp32_sums_of_another_format_round_once_a_beat(kind):
    lanes, start = 4, 0x4B000001  # 2^23 + 1
    unit = DotProduct(lanes=lanes, accumulator="fp32", operand=kind.operand)
    a, b = draw(kind, 20, 8, lanes, special=0)
    for x, y, word in zip(a, b, sums_of(unit, a, b, acc=start), strict=True):
        acc = start
        for beat in zip(x, y, strict=True):
            total = paper.ieee_value(acc, "float32") + exact_sum(kind, *beat)[0]
            acc = paper.nearest_float32(total)
        assert word["sum"] == acc


@pytest.mark.parametrize("accumulator", ["exact", "fp32"])
def test_an_engine_of_another_format_multiplies_matrices(accumulator):
    kind, rows, cols, beats = E4M3, 2, 3, 6
    unit = MatrixEngine(
        rows=rows, cols=cols, accumulator=accumulator, output="fp32", operand=kind.operand
    )
    a = draw(kind, 12, beats, rows)[0]
    b = draw(kind, 12, beats, cols)[1]
    items = [
        {"a": packed(x), "b": packed(y), "last": k == beats - 1, "scale": 0}
        for tile in zip(a.tolist(), b.tolist(), strict=True)
        for k, (x, y) in enumerate(zip(*tile, strict=True))
    ]
    got = stream(unit, items, 12 * rows, stall=0.3).outputs
    values = kind.values.astype(np.float32)
    for place, word in enumerate(got):
        tile, row = divmod(place, rows)
        assert word["last_row"] == (row == rows - 1)
        for col in range(cols):
            x, y = a[tile, :, row], b[tile, :, col]
            finite, special = exact_sum(kind, x, y)
            bits = paper.nearest_float32(special or finite)
            if accumulator == "fp32" and not special:
                acc = np.float32(0)
                for product in values[x] * values[y]:
                    acc = acc + product
                bits = int(acc.view(np.uint32))
            assert word["c"] >> 32 * col & 0xFFFFFFFF == bits
