# SPDX-License-Identifier: Apache-2.0
"""What units make of special values: zero, NaN, infinity, what is too large and what too small.

Imports `golden` and `hdl.configs`. Every cell is computed by the golden model; where overflow and
underflow begin is searched for, too.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..golden import format as f
from ..golden.accumulate import SCALES, UNIT_EXPONENT, ExactSum, exact_sum, readout
from ..golden.arithmetic import multiply, multiply_fields
from ..golden.decode import decode, unpack
from ..golden.encode import encode
from ..golden.matmul import dot
from ..golden.rounding import Rounding
from ..hdl.configs import Unit


class Table(NamedTuple):
    """A table of special values.

    Attributes
    ----------
    inputs, outputs : list of str
        Heads of the columns: what goes in, and what comes out, under which setting.
    rows : list of (str, list of str)
        What the row is about, and its cells: inputs, then outputs.
    """

    inputs: list[str]
    outputs: list[str]
    rows: list[tuple[str, list[str]]]


def compute(unit: Unit) -> Table:
    """Return the table of a unit; one with streams or AXI ports has that of what is inside."""
    return _TABLES[(unit.core or unit).bench](unit)


def _code(value: float) -> int:
    """Return the code of a value."""
    return int(encode(np.float64(value)))


_ONE, _MINUS_ONE, _LEAST = _code(1), _code(-1), _code(2.0**f.MIN_EXPONENT)
_MINUS_INF = f.SIGN_BIT | f.INF
_CODES = {
    "zero": f.ZERO,
    "one": _ONE,
    "smallest": _LEAST,
    "largest": f.MAX,
    "plus infinity": f.INF,
    "minus infinity": _MINUS_INF,
    "NaN": f.NAN,
}
_PRODUCTS = {
    "zero product": (f.ZERO, _ONE),
    "zero product of a negative number": (_MINUS_ONE, f.ZERO),
    "smallest product": (_LEAST, _LEAST),
    "largest product": (f.MAX, f.MAX),
    "infinity times a number": (f.INF, _ONE),
    "infinity times a negative number": (f.INF, _MINUS_ONE),
    "infinity times infinity": (_MINUS_INF, _MINUS_INF),
    "infinity times zero": (f.INF, f.ZERO),
    "NaN times anything": (f.NAN, f.ZERO),
}
_SUMS = {name: [pair] for name, pair in _PRODUCTS.items()} | {
    "products that cancel": [(_ONE, _ONE), (_MINUS_ONE, _ONE)],
    "infinity and a number": [(f.INF, _ONE), (f.MAX, f.MAX)],
    "infinities of one sign": [(f.INF, _ONE), (f.INF, f.MAX)],
    "infinities of both signs": [(f.INF, _ONE), (_MINUS_INF, _ONE)],
    "NaN after an infinity": [(f.INF, _ONE), (f.NAN, _ONE)],
}

_FLAGS = ExactSum._fields[2:]


def _hex(bits: int, width: int) -> str:
    """Return bits as hexadecimal digits."""
    return f"0x{bits & (1 << width) - 1:0{-(-width // 4)}X}"


def _shown(code: int) -> str:
    """Return a code and its value."""
    return f"{_hex(code, f.WIDTH)} = {float(decode(np.uint8(code))):.5g}"


def _word(bits: int, source: f.FloatFormat) -> str:
    """Return a word of an IEEE format and its value."""
    with np.errstate(invalid="ignore"):  # a signalling NaN
        value = np.array(bits, source.word).view(source.dtype).astype(np.float64)
    return f"{_hex(bits, source.width)} = {float(value):.9g}"


def _result(made: np.ndarray) -> str:
    """Return a code, or an FP32 word, and its value."""
    if made.dtype == np.uint8:
        return _shown(int(made))
    return _word(int(made.view(f.FP32.word)), f.FP32)


def _pairs(pairs: list[tuple[int, int]]) -> str:
    """Return the codes of a sum of products."""
    products = ([_hex(code, f.WIDTH) for code in pair] for pair in pairs)
    return " + ".join(" \N{MIDDLE DOT} ".join(codes) for codes in products)


def _wide(number: int, width: int) -> str:
    """Return an integer's bits as Verilog writes them, without leading zeros."""
    return f"{width}'h{number & (1 << width) - 1:X}"


def _settings(unit: Unit) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the settings under which a code may be rounded to, by name, as golden takes them."""
    modes = [Rounding.TA, *([Rounding.HR] if "hybrid" in unit.ports else [])]
    keep_exact = bool(unit.parameters.get("keep_exact", False))
    for mode in modes:
        for option in (None, "saturate", "nan_to_zero"):
            name = ", ".join(filter(None, (mode.name, option)))
            chosen = {option: True} if option else {}
            yield name, {"rounding": mode, "keep_exact": keep_exact, **chosen}


def _decoder(unit: Unit) -> Table:
    rows = []
    for name, code in _CODES.items():
        fields = unpack(np.uint8(code))
        rows.append((name, [_shown(code), *(str(int(field)) for field in fields)]))
    return Table(["code"], list(unit.outputs), rows)


def _converter(unit: Unit) -> Table:
    target = unit.parameters["target"]
    words = {
        name: int(decode(np.uint8(code), target.dtype).view(target.word))
        for name, code in _CODES.items()
    }
    rows = [(name, [_shown(_CODES[name]), _word(word, target)]) for name, word in words.items()]
    return Table(["code"], ["x"], rows)


def _first(source: f.FloatFormat, holds: Callable[[np.uint8], bool]) -> int:
    """Return the first positive word whose code under TA is such; from there on all are."""
    words = range(source.inf_bits + 1)
    return bisect_left(
        words, True, key=lambda bits: holds(encode(np.array(bits, source.word).view(source.dtype)))
    )


def _words(source: f.FloatFormat) -> dict[str, int]:
    """Return the words of an IEEE format that are special, or that become so."""
    least = _first(source, lambda code: code != f.ZERO)
    infinite = _first(source, lambda code: code == f.INF)
    sign = 1 << source.width - 1
    # HR compares bits that an exact value does not have.
    exact = int(np.array(2.0**f.HYBRID_FROM).astype(source.dtype).view(source.word))
    return {
        "zero": 0,
        "minus zero": sign,
        "smallest subnormal": 1,
        "largest that TA rounds to zero": least - 1,
        "smallest that TA does not": least,
        f"exact value, E = {f.HYBRID_FROM}": exact,
        "largest that TA keeps finite": infinite - 1,
        "smallest that TA makes infinite": infinite,
        "largest finite": source.inf_bits - 1,
        "plus infinity": source.inf_bits,
        "minus infinity": sign | source.inf_bits,
        "NaN": source.nan_bits,
        "NaN, negative and signalling": sign | source.inf_bits | 1,
    }


def _encoder(unit: Unit) -> Table:
    source = unit.parameters["source"]
    settings = dict(_settings(unit))
    rows = []
    for name, bits in _words(source).items():
        x = np.array(bits, source.word).view(source.dtype)
        codes = [_shown(int(encode(x, **how))) for how in settings.values()]
        rows.append((name, [_word(bits, source), *codes]))
    return Table(["x"], list(settings), rows)


def _multiplier(unit: Unit) -> Table:
    rows = []
    for name, pair in _PRODUCTS.items():
        fields = [str(int(field)) for field in multiply_fields(*map(np.uint8, pair))]
        value = f"{float(multiply(*map(np.uint8, pair))):.7g}"
        rows.append((name, [*map(_shown, pair), *fields, value]))
    return Table(["a", "b"], [*unit.outputs, "that is"], rows)


def _columns(pairs: list[tuple[int, int]]) -> list[np.ndarray]:
    """Return products as two vectors."""
    return list(np.array(pairs, np.uint8).T)


def _exact(unit: Unit) -> Table:
    width = (unit.core or unit).ports["sum"].width
    rows = []
    for name, pairs in _SUMS.items():
        total = exact_sum(*_columns(pairs))
        bits = _wide(int(total.integers), width)
        flags = [str(int(flag)) for flag in total[2:]]
        rows.append((name, [_pairs(pairs), bits, *flags, _result(readout(total))]))
    outputs = [*_FLAGS, "read out, times 1"]
    return Table(["products"], ["sum", *outputs], rows)


def _starts() -> dict[str, tuple[int, list[tuple[int, int]]]]:
    """Return what an FP32 sum may begin at that is special, and the products added to it."""
    source, sign = f.FP32, 1 << f.FP32.width - 1
    nothing = [_PRODUCTS["zero product"]]
    return {
        "acc minus zero": (sign, nothing),
        "acc the smallest subnormal": (1, nothing),
        "acc the largest finite": (source.inf_bits - 1, [(f.MAX, f.MAX)]),
        "acc infinite": (source.inf_bits, [(f.MAX, _MINUS_ONE)]),
        "acc infinite, a product too": (source.inf_bits, [(_MINUS_INF, _ONE)]),
        "acc NaN": (source.nan_bits, nothing),
    }


def _fp32(unit: Unit) -> Table:
    zero = {name: (0, pairs) for name, pairs in _SUMS.items()}
    starts = _starts() if "acc" in unit.ports else {}
    rows = []
    for name, (acc, pairs) in (zero | starts).items():
        initial = np.array(acc, f.FP32.word).view(np.float32)
        made = dot(*_columns(pairs), accumulator="fused", lanes=unit.products, initial=initial)
        rows.append((name, [_pairs(pairs), _word(acc, f.FP32), _result(made)]))
    return Table(["products", "acc"], ["sum"], rows)


def _sum(unit: Unit) -> Table:
    return _exact(unit) if unit.parameters["accumulator"] == "exact" else _fp32(unit)


def _rounded(unit: Unit) -> dict[str, dict[str, object]]:
    """Return how a unit's sums are read out, by what heads the column."""
    return dict(_settings(unit)) if unit.parameters["output"] == "hif8" else {"FP32": {}}


def _matrix(unit: Unit) -> Table:
    columns = _rounded(unit)
    kind = {"exact": "exact", "fp32": "fused"}[unit.parameters["accumulator"]]
    rows = []
    for name, pairs in _SUMS.items():
        a, b = _columns(pairs)
        made = [_result(dot(a, b, accumulator=kind, **how)) for how in columns.values()]
        rows.append((name, [_pairs(pairs), *made]))
    return Table(["products"], list(columns), rows)


def _readout(unit: Unit) -> Table:
    columns = _rounded(unit)
    one = 1 << -UNIT_EXPONENT
    least, largest = 1 << f.MIN_EXPONENT - UNIT_EXPONENT, 1 << f.MAX_EXPONENT - UNIT_EXPONENT
    top = (1 << unit.ports["sum"].width - 1) - 1
    sums = {
        "zero": (0, 0, ""),
        "one": (one, 0, ""),
        "minus one": (-one, 0, ""),
        "smallest sum": (1, 0, ""),
        "smallest HiF8 value": (least, 0, ""),
        "half of it": (least, -1, ""),
        "less than half of it": (least - 1, -1, ""),
        "largest HiF8 value": (largest, 0, ""),
        "twice that": (largest, 1, ""),
        "largest sum, largest scale": (top, SCALES[-1], ""),
        "lowest sum, largest scale": (~top, SCALES[-1], ""),
        **{f"{flag} set": (one, 0, flag) for flag in _FLAGS},
    }
    rows = []
    for name, (number, scale, flag) in sums.items():
        high, low = np.int64(number >> 64), np.uint64(number & (1 << 64) - 1)
        total = ExactSum(high, low, *(np.bool_(flag == each) for each in _FLAGS))
        made = [_result(readout(total, scale=scale, **how)) for how in columns.values()]
        rows.append((name, [_wide(number, unit.ports["sum"].width), str(scale), *made]))
    return Table(["sum", "scale"], list(columns), rows)


_TABLES: dict[str, Callable[[Unit], Table]] = {
    "decoder": _decoder,
    "encoder": _encoder,
    "converter": _converter,
    "multiplier": _multiplier,
    "sum": _sum,
    "matrix": _matrix,
    "readout": _readout,
}
"""By the bench of what is inside."""
