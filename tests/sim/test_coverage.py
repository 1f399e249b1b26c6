# SPDX-License-Identifier: Apache-2.0
"""Coverage: that exactly the bins called reachable can be hit, and that a weak bench fails.

Bins are worked out here again, a word at a time, from the paper's equations.
"""

import math
from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import product

import numpy as np
import paper
import pytest
from conftest import need
from hif8 import encode
from hif8.golden.format import BF16, FP16, FP32
from hif8.hdl.configs import UNITS
from hif8.sim import coverage, verify
from hif8.sim.coverage import Coverage

OPTIONS = ("hybrid", "saturate", "nan_to_zero")
SETTINGS = [dict(zip(OPTIONS, bits, strict=True)) for bits in product((0, 1), repeat=3)]
OVERFLOW = Fraction(5, 4) * 2**15

every_setting = pytest.mark.parametrize(
    "options", SETTINGS, ids=["-".join(o for o in OPTIONS if s[o]) or "none" for s in SETTINGS]
)


@cache
def plain_code(word: int, name: str, hybrid: int, keep_exact: bool) -> int:
    if hybrid:
        return paper.encode_hybrid(word, name, keep_exact=keep_exact)
    return paper.encode(paper.ieee_value(word, name))


def paper_code(word: int, name: str, options: dict[str, int], keep_exact: bool) -> int:
    code = plain_code(word, name, options["hybrid"], keep_exact)
    if code == paper.NAN and options["nan_to_zero"]:
        return paper.ZERO
    if code & 0x7F == paper.INF and options["saturate"]:
        return code - paper.INF + paper.MAX
    return code


@cache
def source_of(word: int, name: str) -> tuple[str, paper.Value, paper.Value]:
    """Return the place of a word, its magnitude, and where its binade ends, by exact arithmetic."""
    form = paper.FORMATS[name]
    x = abs(paper.ieee_value(word, name))
    end = math.inf
    if math.isnan(x):
        place = "NaN"
    elif x == 0:
        place = "zero"
    elif x == math.inf:
        place = "infinity"
    elif x >= 2**16:
        place = "E > 15"
    elif x >= OVERFLOW:
        place = "from 1.25 \u00b7 2^15"
    elif x < Fraction(1, 2**23):
        normal = word >> form.fraction_width & 2**form.exponent_width - 1
        place = "E < -23" if normal else "subnormal"
    else:
        E = next(e for e in range(-23, 16) if x < Fraction(2) ** (e + 1))
        place, end = f"E = {E}", Fraction(2) ** (E + 1)
    return place, x, end


@cache
def bin_of(word: int, code: int, name: str) -> tuple[str, str, bool]:
    """Return place, outcome and sign of a word that became a code."""
    place, x, end = source_of(word, name)
    y = abs(paper.value(code))
    negative = bool(word >> paper.FORMATS[name].width - 1)
    if math.isnan(x) or y == x:
        return place, "exact", negative
    if y < x:
        return place, "down", negative
    return place, "carry" if y >= end else "up", negative


def named(table: np.ndarray) -> dict[tuple[str, str, bool], int]:
    """Return the entries that are not zero of an array over places, outcomes and signs."""
    return {
        (coverage.PLACES[place], coverage.OUTCOMES[outcome], bool(sign)): int(
            table[place, outcome, sign]
        )
        for place, outcome, sign in np.argwhere(table)
    }


def reachable(source, options: dict[str, int], keep_exact: bool = False) -> set:
    table = coverage.reachable(source, options, keep_exact=keep_exact)
    return set(named(np.stack([table, table], axis=-1)))


@every_setting
@pytest.mark.parametrize("source", [FP16, BF16], ids=lambda source: source.name)
def test_all_words_of_16_bits_hit_the_reachable_bins_and_no_other(source, options):
    name = source.dtype.name
    words = np.arange(1 << 16, dtype=np.uint16)
    codes = [paper_code(word, name, options, False) for word in range(1 << 16)]
    expected = Counter(bin_of(word, code, name) for word, code in enumerate(codes))
    assert sum(expected.values()) == 65_536
    assert set(expected) == reachable(source, options)
    counter = Coverage(source, [options])
    counter.count({"x": words}, options, {"code": np.uint8(codes)})
    assert named(counter.counts[0]) == expected
    result = counter.result()
    assert (result["unhit"], result["unexpected"]) == ([], [])
    assert result["hit"] == result["bins"] == len(expected)
    [table] = result["tables"].values()
    assert sum(cell or 0 for row in table.values() for cell in row) == 65_536
    assert result["least"][1] == min(expected.values())


def constructed() -> list[int]:
    """Return FP32 words for every bin: all leading fraction bits with some below them."""
    exponents = [0, 1, 100, *range(127 - 26, 127 + 19), 254, 255]
    fractions = [
        leading << 19 | low
        for leading in range(16)
        for low in (0, 1, 2**13, 2**14 - 1, 2**18 + 1, 2**19 - 1)
    ]
    positive = [e << 23 | fraction for e in exponents for fraction in fractions]
    return [*positive, *(1 << 31 | word for word in positive)]


@every_setting
@pytest.mark.parametrize("keep_exact", [False, True], ids=["move", "keep_exact"])
def test_constructed_fp32_words_hit_the_reachable_bins_and_no_other(options, keep_exact):
    words = constructed()
    expected = Counter(
        bin_of(word, paper_code(word, "float32", options, keep_exact), "float32") for word in words
    )
    assert set(expected) == reachable(FP32, options, keep_exact)
    column = np.array(words, np.uint32)
    codes = encode(
        column.view(np.float32),
        "hr" if options["hybrid"] else "ta",
        saturate=bool(options["saturate"]),
        nan_to_zero=bool(options["nan_to_zero"]),
        keep_exact=keep_exact,
    )
    counter = Coverage(FP32, [options], keep_exact=keep_exact)
    counter.count({"x": column}, options, {"code": codes})
    assert named(counter.counts[0]) == expected


def test_settings_are_counted_apart_and_their_tables_by_rounding_mode():
    counter = Coverage(FP32, SETTINGS)
    one = {"x": np.float32([1.0, 32767.0]).view(np.uint32)}
    for options in SETTINGS[3:]:
        counter.count(one, options, {"code": np.uint8([0x08, 0x6E])})
    assert counter.counts.sum(axis=(1, 2, 3)).tolist() == [0, 0, 0, 2, 2, 2, 2, 2]
    tables = counter.result()["tables"]
    column = coverage.COLUMNS.index
    assert tables["TA"]["D0"][column("exact")] == 1
    assert tables["HR"]["D0"][column("exact")] == 4
    assert tables["HR"]["D4"][column("up, next binade")] == 4
    assert tables["HR"]["D4"][column("exact")] is None  # they move


def test_what_is_missing_or_impossible_is_named():
    options = dict.fromkeys(OPTIONS[1:], 0)
    counter = Coverage(FP32, [options])
    assert counter.result()["hit"] == 0
    zero = {"x": np.zeros(1, np.uint32)}
    counter.count(zero, options, {"code": np.zeros(1, np.uint8)})
    result = counter.result()
    assert result["hit"] == 1
    assert result["least"] == ["E = -23 carry, positive", 0]
    left = result["bins"] - 1
    assert coverage.fault(result) == (
        f"{left} bins of coverage not hit: E = -23 carry, positive; E = -23 carry, negative; "
        f"E = -22 exact, positive; and {left - 3} more"
    )
    counter.counts += counter.reachable[..., np.newaxis]
    assert coverage.fault(counter.result()) == ""
    counter.count(zero, options, {"code": np.ones(1, np.uint8)})
    assert coverage.fault(counter.result()) == (
        "1 bin of coverage hit that must not be: zero, positive"
    )


WEAK = """
import cocotb
from hif8.sim import bench_encoder
from hif8.sim.bench import check

def count(job):
    return 32768

def cases(job):
    for columns in bench_encoder.cases(job):
        yield {"x": columns["x"][:32768]}

@cocotb.test()
async def bench(dut):
    await check(dut, cases, bench_encoder.expect, bench_encoder.cover)
"""


def test_a_bench_that_leaves_bins_unhit_fails(monkeypatch, tmp_path, builds):
    need("icarus")
    (tmp_path / "bench_weak.py").write_text(WEAK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(verify, "bench_module", lambda unit: "bench_weak")
    verdict, _ = verify.run(UNITS["encoder_bf16_ta"], "icarus", root=builds / "faults")
    assert (verdict.cases, verdict.mismatches) == (4 * 32_768, 0)
    assert verdict.status == "fail"
    found = verdict.coverage
    assert found["hit"] * 2 == found["bins"]  # words without sign alone were run
    assert all("negative" in name for name in found["unhit"])
    assert verdict.note == (
        f"{found['hit']} bins of coverage not hit: E = -23 carry, negative; "
        f"E = -22 exact, negative; E = -22 down, negative; and {found['hit'] - 3} more"
    )


def test_words_of_ones_own_need_not_hit_any_bin(builds):
    need("icarus")
    words = {"x": np.ones(4, np.float32).view(np.uint32)}
    verdict, _ = verify.run(UNITS["encoder_fp32_ta"], "icarus", root=builds, tensors=words)
    assert (verdict.status, verdict.coverage) == ("pass", None)
