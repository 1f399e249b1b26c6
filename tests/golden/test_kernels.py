# SPDX-License-Identifier: Apache-2.0
"""The loops in NumPy and the compiled ones give the same, bit for bit, and are chosen by size.

Imports hif8, paper, NumPy and numba.
"""

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from itertools import product

import hif8
import numba
import numpy as np
import paper
import pytest
from hif8.golden import encode as e
from hif8.golden import format as f
from hif8.golden import kernels

SOURCES = {source.dtype.name: source for source in f.FLOAT_FORMATS}
MODES = {name: ["ta", "hr"] if source.hybrid_width else ["ta"] for name, source in SOURCES.items()}
PAIRS = [(name, mode) for name, modes in MODES.items() for mode in modes]
OPTIONS = [
    dict(zip(("saturate", "nan_to_zero", "keep_exact"), on, strict=True))
    for on in product((False, True), repeat=3)
]


@pytest.fixture(params=["NumPy", "compiled"])
def loops(request: pytest.FixtureRequest) -> Iterator[kernels.Loops]:
    """Force one way or the other for one test."""
    chosen = kernels.NUMPY if request.param == "NumPy" else kernels.compiled()
    assert chosen is not None
    with kernels.using(chosen):
        yield chosen


def patterns(name: str) -> np.ndarray:
    """Return words: all leading-bit patterns, low bits three ways; random ones; every NaN bit."""
    source = SOURCES[name]
    if source.width == 16:
        return np.arange(1 << 16, dtype=np.uint16)
    low = source.fraction_width - 4
    rng = np.random.default_rng(2409)
    high = np.arange(1 << source.width - low, dtype=np.uint64) << np.uint64(low)
    below = [0, 1, 2**low - 1, rng.integers(0, 2**low, high.size, np.uint64)]
    parts = [high | np.asarray(bits, np.uint64) for bits in below]
    parts.append(rng.integers(0, 2**source.width, 100_000, np.uint64, endpoint=False))
    nan = source.inf_bits + (1 << np.arange(source.fraction_width, dtype=np.uint64))
    parts += [nan, nan | np.uint64(1 << source.width - 1)]
    return np.concatenate(parts).astype(source.word)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "".join(str(int(v)) for v in o.values()))
@pytest.mark.parametrize(("name", "mode"), PAIRS)
def test_loops_give_the_codes_of_the_definition(
    name: str, mode: str, options: dict, loops: kernels.Loops
) -> None:
    words = patterns(name)
    expected = e.encode_words(
        words, SOURCES[name], hif8.Rounding(mode), keep_exact=options["keep_exact"]
    )
    if options["nan_to_zero"]:
        expected[expected == paper.NAN] = paper.ZERO
    if options["saturate"]:
        expected[expected & 0x7F == paper.INF] -= 1
    got = hif8.encode(words.view(np.dtype(name)), mode, **options)
    assert got.size >= 65_536
    np.testing.assert_array_equal(got, expected)


def test_loops_agree_on_ten_million_float32_words() -> None:
    rng = np.random.default_rng(16626)
    compared = 0
    for _ in range(10):
        x = rng.integers(0, 1 << 32, 1 << 20, np.uint32).view(np.float32)
        for mode, keep_exact in [("ta", False), ("hr", False), ("hr", True)]:
            with kernels.using(kernels.NUMPY):
                expected = hif8.encode(x, mode, keep_exact=keep_exact)
            with kernels.using(kernels.compiled()):
                got = hif8.encode(x, mode, keep_exact=keep_exact)
            np.testing.assert_array_equal(got, expected)
        compared += x.size
    assert compared > 10_000_000


@pytest.mark.parametrize("name", SOURCES)
def test_loops_decode_every_code_bit_for_bit(name: str, loops: kernels.Loops) -> None:
    codes = np.resize(np.arange(256, dtype=np.uint8), 200_000)
    expected = [paper.ieee_word(paper.value(code), name) for code in range(256)]
    got = hif8.decode(codes, name)
    assert got.dtype == np.dtype(name)
    np.testing.assert_array_equal(got.view(SOURCES[name].word), np.resize(expected, 200_000))


LAYOUTS = {
    "every third": lambda a: a[::3],
    "backwards": lambda a: a[::-1],
    "transposed": lambda a: a.reshape(512, -1).T,
    "columns": lambda a: a.reshape(-1, 512)[:, ::-5],
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "other byte order, backwards": lambda a: a.astype(a.dtype.newbyteorder(">"))[::-2],
    "unaligned": lambda a: np.frombuffer(b"?" + a.tobytes(), a.dtype, offset=1),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype),
    "broadcast": lambda a: np.broadcast_to(a[:100], (70_000, 100)),
    "nothing": lambda a: a[:0],
    "one": lambda a: a[:1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "mode"), PAIRS)
def test_loops_take_every_layout(layout: str, name: str, mode: str, loops: kernels.Loops) -> None:
    dense = np.resize(patterns(name), 1 << 17)
    words = LAYOUTS[layout](dense)
    index = LAYOUTS[layout](np.arange(dense.size, dtype=np.uint32))
    expected = e.encode_words(dense, SOURCES[name], hif8.Rounding(mode))
    values = LAYOUTS[layout](dense.view(np.dtype(name)))
    got = hif8.encode(values, mode)
    assert got.shape == words.shape
    np.testing.assert_array_equal(got, expected[index])


def test_loops_decode_every_layout(loops: kernels.Loops) -> None:
    dense = np.resize(np.arange(256, dtype=np.uint8), 1 << 17)
    table = [paper.ieee_word(paper.value(code), "float32") for code in range(256)]
    for name, layout in LAYOUTS.items():
        codes = layout(dense)
        got = hif8.decode(codes)
        assert got.shape == codes.shape, name
        np.testing.assert_array_equal(got.view(np.uint32), np.array(table, np.uint32)[codes])


@pytest.mark.parametrize("options", [{}, {"keep_exact": True, "saturate": True}], ids=str)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_hybrid_of_ten_million_needs_no_memory_beside_its_output(
    name: str, order: str, options: dict, loops: kernels.Loops
) -> None:
    some = hif8.decode(np.arange(256, dtype=np.uint8), name)
    x = np.resize(some.astype(some.dtype.newbyteorder(order)), 10_000_000)
    hif8.encode(x[:1], "hr", **options)  # compiles
    tracemalloc.start()
    try:
        result = hif8.encode(x, "hr", **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.size == 10_000_000
    assert 0 <= peak - result.nbytes < 3_000_000


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start counting elements anew, and forget what is compiled, before the test and after it."""
    monkeypatch.setattr(kernels, "_STATE", type(kernels._STATE)())
    compiled = kernels.compiled
    compiled.cache_clear()
    yield
    compiled.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_loops_are_compiled_once_enough_elements_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "PAYS_FROM", 1_000)
    x = np.ones(400, np.float32)
    ways = []
    monkeypatch.setattr(kernels, "compiled", lambda: ways.append(x.size) or kernels.NUMPY)
    for expected in ([], [], [400], [400, 400]):
        hif8.encode(x)
        assert ways == expected
    hif8.decode(np.zeros(10, np.uint8))
    assert len(ways) == 3


@pytest.mark.usefixtures("fresh")
def test_loops_of_a_large_array_are_compiled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.choose(kernels.PAYS_FROM - 1) is kernels.NUMPY
    assert kernels.choose(1) is kernels.compiled()
    assert kernels.choose(1) is kernels.compiled()
    assert kernels.compiled() is not kernels.NUMPY


@pytest.mark.usefixtures("fresh")
def test_without_numba_the_loops_are_those_in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert kernels.compiled() is None
    assert kernels.choose(kernels.PAYS_FROM) is kernels.NUMPY
    assert hif8.encode(np.float32([16]), "hr").tolist() == [0x41]


@pytest.mark.usefixtures("fresh")
def test_loops_are_compiled_where_no_folder_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit
    calls = []

    def without_folder(**options: object) -> object:
        calls.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", without_folder)
    with kernels.using(kernels.compiled()):
        assert hif8.encode(np.float32([16, 1.5]), "hr").tolist() == [0x41, 0x0C]
    assert len(calls) == 4


def test_using_ends_with_its_block_whatever_happens() -> None:
    with pytest.raises(KeyError), kernels.using(kernels.compiled()):
        assert kernels.choose(0) is kernels.compiled()
        raise KeyError
    assert kernels.choose(0) is kernels.NUMPY


def test_import_and_small_arrays_do_not_load_numba() -> None:
    script = """
import sys, numpy as np, hif8
x = np.ones(1_000_000, np.float32)
hif8.decode(hif8.encode(x, "hr"))
hif8.quantize(x)
sys.exit("numba" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
