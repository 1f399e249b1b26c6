# SPDX-License-Identifier: Apache-2.0
"""Products against the paper's equations: all pairs of codes, fields and values.

Imports hif8, paper and NumPy.
"""

import math
from fractions import Fraction

import hif8
import numpy as np
import paper
import pytest

A, B = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
PAIRS = [(a, b) for a in range(256) for b in range(256)]


@pytest.fixture(scope="module")
def products() -> list[paper.Value]:
    """Every product by the paper's arithmetic, in the order of PAIRS."""
    return [paper.product(a, b) for a, b in PAIRS]


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_multiply_all_65536_pairs(name: str, products: list[paper.Value]) -> None:
    expected = [paper.ieee_word(product, name) for product in products]
    got = hif8.multiply(A, B, name)
    assert got.dtype == np.dtype(name)
    assert got.size == len(expected) == 65_536
    np.testing.assert_array_equal(got.ravel().view(f"u{got.dtype.itemsize}"), expected)


def test_multiply_fields_of_all_65536_pairs_make_the_product(products: list[paper.Value]) -> None:
    fields = hif8.multiply_fields(A, B)
    columns = [column.ravel().tolist() for column in fields]
    compared = 0
    for sign, exponent, significand, inf, nan, product in zip(*columns, products, strict=True):
        assert nan == math.isnan(product)
        assert inf == math.isinf(product)
        if not nan:
            assert sign == (product < 0)
        if not (nan or inf):
            made = (-1) ** sign * significand * Fraction(2) ** (exponent - 6)
            assert made == product
        compared += 1
    assert compared == 65_536


def test_multiply_fields_are_sums_and_products_of_the_operands() -> None:
    fields = hif8.multiply_fields(A, B)
    exponents, significands = [], []
    for code in range(256):
        pattern, _, exponent, mantissa, n = paper.fields(code)
        denormal = 8 if mantissa else 0
        exponents.append(exponent)
        significands.append(
            denormal if pattern == paper.DENORMAL else 2 ** (3 - n) * (2**n + mantissa)
        )
    np.testing.assert_array_equal(fields.exponent, np.add.outer(exponents, exponents))
    np.testing.assert_array_equal(fields.significand, np.multiply.outer(significands, significands))
    assert fields.exponent.size == fields.significand.size == 65_536
    assert (fields.exponent.min(), fields.exponent.max()) == (-46, 30)
    assert [column.dtype.name for column in fields] == ["uint8", "int8", "uint8", "bool", "bool"]


def test_multiply_fields_of_zero_and_nan_products_have_no_sign(
    products: list[paper.Value],
) -> None:
    sign = hif8.multiply_fields(A, B).sign.ravel()
    signless = np.array([product == 0 or math.isnan(product) for product in products])
    # Zero with 253 finite codes, either way round; NaN with all codes, and zero with infinities.
    assert signless.sum() == (2 * 253 - 1) + (2 * 256 - 1) + 4
    assert np.all(sign[signless] == 0)


def test_product_values_are_those_of_multiply() -> None:
    for name in ("float32", "float64"):
        got = hif8.product_values(hif8.multiply_fields(A, B), name)
        np.testing.assert_array_equal(got, hif8.multiply(A, B, name))
        assert got.dtype == np.dtype(name)
        assert got.size == 65_536


def test_multiply_of_special_values() -> None:
    zero, one, minus_one, inf, minus_inf, nan = 0x00, 0x08, 0x88, 0x6F, 0xEF, 0x80
    for a, b, word in [
        (zero, zero, 0x00000000),
        (zero, minus_one, 0x00000000),
        (inf, one, 0x7F800000),
        (inf, minus_one, 0xFF800000),
        (minus_inf, minus_inf, 0x7F800000),
        (minus_inf, inf, 0xFF800000),
        (inf, zero, 0x7FC00000),
        (minus_inf, zero, 0x7FC00000),
        (nan, zero, 0x7FC00000),
        (nan, one, 0x7FC00000),
        (nan, minus_inf, 0x7FC00000),
        (nan, nan, 0x7FC00000),
    ]:
        got = hif8.multiply(np.array([a, b]), np.array([b, a]))
        assert got.view(np.uint32).tolist() == [word, word]


def test_multiply_limits_are_exact() -> None:
    assert hif8.multiply(0x01, 0x01) == 2.0**-44
    assert hif8.multiply(0x6E, 0xEE) == -(2.0**30)
    assert hif8.multiply(0x0F, 0x0F) == 1.875**2


def test_multiply_gives_float32_unless_told() -> None:
    assert hif8.multiply(A, B).dtype == np.float32
    assert hif8.product_values(hif8.multiply_fields(A, B)).dtype == np.float32


@pytest.mark.parametrize(
    ("a", "b", "shape"),
    [
        (0x0C, 0x10, ()),
        (np.array(0x0C), [0x10], (1,)),
        (np.full((3, 1), 0x0C), np.full(5, 0x10, np.uint8), (3, 5)),
        (np.full((2, 3, 4), 0x0C).T, 0x10, (4, 3, 2)),
        (np.full((4, 6), 0x0C)[::-2, ::3], np.full((2, 2), 0x10, order="F"), (2, 2)),
        ([], 0x10, (0,)),
        (np.zeros((0, 1), np.uint8), [0x10, 0x10], (0, 2)),
    ],
)
def test_multiply_broadcasts(a: object, b: object, shape: tuple[int, ...]) -> None:
    expected = paper.value(0x0C) * paper.value(0x10)
    got = hif8.multiply(a, b)
    assert np.shape(got) == shape
    assert got.dtype == np.float32
    assert np.all(got == float(expected))
    assert all(np.shape(column) == shape for column in hif8.multiply_fields(a, b))


def test_multiply_refuses_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        hif8.multiply([1, 2], [1, 2, 3])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64", "uint8", "complex64", object])
def test_multiply_refuses_types_that_do_not_hold_every_product(dtype: object) -> None:
    name = np.dtype(dtype).name
    with pytest.raises(TypeError, match=f"^dtype must be float32 or float64, not '{name}'$"):
        hif8.multiply(A, B, dtype)


@pytest.mark.parametrize("function", [hif8.multiply, hif8.multiply_fields])
@pytest.mark.parametrize("bad", [1.0, [1.5], np.ones(2, np.float32), True, None, "a"])
def test_multiply_refuses_operands_that_are_no_integers(bad: object, function: object) -> None:
    for operands in ((bad, 1), (1, bad)):
        with pytest.raises(TypeError, match=r"must be integers of dtype uint8, not '\w+'$"):
            function(*operands)


@pytest.mark.parametrize("function", [hif8.multiply, hif8.multiply_fields])
@pytest.mark.parametrize("bad", [-1, 256, [0, 256], np.int8(-128)])
def test_multiply_refuses_operands_outside_0_to_255(bad: object, function: object) -> None:
    for operands in ((bad, 1), (1, bad)):
        with pytest.raises(ValueError, match=r"must be in 0\.\.255, not -?\d+$"):
            function(*operands)
