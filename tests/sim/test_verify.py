# SPDX-License-Identifier: Apache-2.0
"""Every unit against golden under every simulator; and whether a wrong circuit is noticed."""

import math
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import paper
import pytest
from conftest import need
from hif8.analysis import digits
from hif8.golden.format import FP32
from hif8.hdl.configs import SMALL, UNITS
from hif8.hdl.export import entry
from hif8.sim import bench_encoder, bench_readout, lanes, programs, verify
from hif8.sim.bench import Job
from hif8.toolchain.program import ToolError
from hif8.toolchain.simulators import SIMULATORS

pytestmark = pytest.mark.slow
RANDOM = {"verilator": 1 << 18, "icarus": 1 << 9}
"""Random cases that a bench draws at least: words of a setting of an encoder's options."""
SHARE = {"verilator": Fraction(1), "icarus": Fraction(1, 64)}
"""How many of the directed vectors, tiles and sums to read out are run: all, or some of a kind."""

DIRECTED_TA = 4 * 8192 + 2 * (7 * (126 + 127) + 19 + 23)
DIRECTED_HR = DIRECTED_TA + 2 * 32 * 96 * 3
READOUT = 95 * 96 // 2 + 6 * 94 + 2 * 71 + 6 * 70 + 134 + 12 * (126 + 127) + 64 * 26 + 4 * 35
EXPECTED = {
    "decoder": 256,
    "to_fp32": 256,
    "to_fp16": 256,
    "to_bf16": 256,
    "multiplier": 65_536,
    "axi_mac_exact": 6 * (8 * 4 + 100),
    "axi_dot4_fp32": 6 * (8 * 4 + 100),
    "axi_matrix4x4_exact_to_hif8": 6 * 8 * 3 * 4,
    "encoder_fp16": 8 * 65_536,
    "encoder_bf16": 8 * 65_536,
    "encoder_fp16_ta": 4 * 65_536,
    "encoder_bf16_ta": 4 * 65_536,
}
RANDOM_PRODUCTS = {"verilator": 1 << 20, "icarus": 1 << 11}
"""Random products that a sum's bench draws at least, in each of its units."""


def expected_vectors(lengths, short: int, products: int) -> int:
    """Random vectors of five kinds of traffic: of the first equally many products a length."""
    share = products / len(lengths)
    return sum(max(short, math.ceil(share / beats)) + 4 * short for beats in lengths)


def expected_sums(unit, simulator: str) -> int:
    lanes = 8 // unit.products or 1
    columns = lanes * unit.parameters.get("interleave", 1)
    kinds = [75**2] * 2 + [600] * 2 + [1] * 6 + [9**4]
    if unit.parameters["accumulator"] == "exact":
        kinds += [2 * 2775] + 6 * [64]
    else:
        kinds += [81 * 36 * 8, 9504, 4 * 31]
        kinds += [9610 + 204 + 1426 + 74, 5550] if unit.products >= 4 else []
    share = SHARE[simulator]
    rows = sum(math.ceil(math.ceil(kind * share) / columns) for kind in kinds)
    products = RANDOM_PRODUCTS[simulator] / columns / unit.products
    short = math.ceil(12 * share)
    return columns * (rows + expected_vectors((1, 2, 3, 5, 8, 16, 33, 64), short, products))


def expected_rows(unit, simulator: str) -> int:
    rows, cols = (unit.parameters[name] for name in ("rows", "cols"))
    share = SHARE[simulator]
    tiles = math.ceil(64 * (8 if unit.parameters["output"] == "hif8" else 1) * share)
    for kinds, vectors in ((8, 38), (1, 81), (2, 64), (6, 1)):
        crossed = math.ceil(vectors / rows) * math.ceil(vectors / cols)
        tiles += kinds * math.ceil(crossed * share)
    products = RANDOM_PRODUCTS[simulator] / unit.products
    short = math.ceil(6 * share)
    return rows * (tiles + expected_vectors((1, 3, 4, 5, 8, 9, 33, 64), short, products))


def expected_readouts(unit, simulator: str) -> int:
    random_cases = RANDOM[simulator]
    hybrid = 32 * 12 * 3 if unit.options else 0
    return math.ceil((READOUT + hybrid) * SHARE[simulator]) * 2 ** len(unit.options) + random_cases


def expected_words(unit, simulator: str) -> int:
    if "hybrid" in unit.options:
        return 8 * (DIRECTED_HR + RANDOM[simulator])
    return 4 * (DIRECTED_TA + RANDOM[simulator])


COUNTS = {
    "sum": expected_sums,
    "matrix": expected_rows,
    "readout": expected_readouts,
    "encoder": expected_words,
}


def expected_cases(unit, simulator: str) -> int:
    if unit.name in EXPECTED:
        return EXPECTED[unit.name]
    if unit.core:
        return 6000 if unit.name.startswith("axi") else 5000
    return COUNTS[unit.bench](unit, simulator)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", SMALL)
def test_rtl_equals_golden_bit_for_bit(name, simulator, builds, record_property):
    need(simulator)
    unit = UNITS[name]
    verdict, _ = verify.run(unit, simulator, root=builds)
    record_property("cases", verdict.cases)
    record_property("mismatches", verdict.mismatches)
    assert verdict.note == ""
    assert verdict.mismatches == 0
    assert verdict.cases == verdict.expected > 0
    assert verdict.cases == expected_cases(unit, simulator)
    assert verdict.status == "pass"
    stated = entry(unit, "")
    if unit.streams:
        assert (verdict.latency, verdict.interval) == (
            stated["latency"],
            stated["initiation_interval"],
        )
    else:
        assert stated["initiation_interval"] is None
    if unit.bench in ("sum", "matrix"):
        assert verdict.random_products >= RANDOM_PRODUCTS[simulator]
    if unit.bench == "encoder":
        assert verdict.coverage["hit"] == verdict.coverage["bins"] > 1000
    else:
        assert verdict.coverage is None


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_real_tensors_are_encoded_as_golden_under_every_option(simulator, builds):
    need(simulator)
    unit = UNITS["encoder_fp32_ta"]
    real = np.concatenate([t.ravel() for t in digits.tensors(digits.train()).values()])
    words = {"x": real.view(np.uint32)}
    verdict, outputs = verify.run(unit, simulator, root=builds, tensors=words)
    assert verdict.status == "pass"
    assert verdict.cases == verdict.expected == 4 * 40_480
    assert outputs["code"].size == 4 * 40_480


FAULTS = [
    ("decoder", r"code\[6:0\] == 7'h6f", "code[6:0] == 7'h6e"),
    ("decoder", r"code\[6:5\] == 2'h2", "code[6:5] == 2'h3"),
    ("encoder_fp32_ta", r"\| x\[22:0\]", "| x[22:1]"),
    ("encoder_fp32_ta", r"& x\[29:28\]", "| x[29:28]"),
    ("encoder_fp32", r"up = (.*) >= ", r"up = \1 > "),
    ("to_fp32", r"below_two = (\w+) \|", r"below_two = \1 &"),
    ("multiplier", r"(half_5_5_\w+ = .*) \^", r"\1 &"),
    ("to_fp16_s2", r"assign i_ready = ", "assign i_ready = 1'h1 | "),
]


def faulty(name: str, pattern: str, fault: str) -> str:
    text, count = re.subn(pattern, fault, verify.exported(UNITS[name]))
    assert count, f"{pattern} is not in the Verilog of {name}"
    return text


@pytest.mark.parametrize(("name", "pattern", "fault"), FAULTS)
def test_a_fault_in_the_verilog_is_found_and_explained(name, pattern, fault, tmp_path):
    unit = UNITS[name]
    text = faulty(name, pattern, fault)
    need("icarus")
    verdict, _ = verify.run(unit, "icarus", root=tmp_path, text=text, random_cases=0)
    assert verdict.status == "fail"
    assert verdict.note
    if verdict.mismatches:
        rows = verify.explain(unit, verdict.first)
        assert any(got not in ("", expected) for _, expected, got in rows)
        named = {port for port, _, _ in rows}
        assert named == set((unit.core or unit).ports)


def test_an_explanation_gives_bits_and_values():
    first = {
        "inputs": {"x": 0x3FD9999A},
        "options": {"saturate": 0, "nan_to_zero": 1},
        "expected": {"code": 0x0E},
        "got": {"code": 0x80},
    }
    assert verify.explain(UNITS["encoder_fp32_ta"], first) == [
        ("x", "0x3FD9999A = 1.70000005", ""),
        ("saturate", "0", ""),
        ("nan_to_zero", "1", ""),
        ("code", "0x0E = 0 0001 110 (D0) = 1.75", "0x80 = 1 0000 000 (DML) = nan"),
    ]


def test_no_case_is_a_failure(builds):
    need("icarus")
    none = {"code": np.zeros(0, np.uint8)}
    with pytest.raises((ToolError, AssertionError, ValueError)):
        verify.run(UNITS["decoder"], "icarus", root=builds, tensors=none)


def test_two_at_once_share_a_build_and_no_folder(tmp_path, monkeypatch):
    need("icarus")
    unit, start = UNITS["decoder"], verify.start
    started = []

    def counted(name, **how):
        started.append(how)
        return start(name, **how)

    monkeypatch.setattr(verify, "start", counted)
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(lambda _: verify.run(unit, "icarus", root=tmp_path)[0], range(2)))
    assert [verdict.status for verdict in verdicts] == ["pass", "pass"]
    assert ["sources" in how for how in started] == [True, False, False]
    assert len({how.get("folder") for how in started}) == 3
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_missing_simulator_is_not_run_and_says_what_to_install(simulator, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    unit = UNITS["decoder"]
    [verdict] = verify.run_all([(unit, simulator)], root=tmp_path)
    assert (verdict.status, verdict.cases) == ("not run", 0)
    assert "apt-get install" in verdict.note
    with pytest.raises(ToolError, match="apt-get install"):
        verify.build(unit, simulator, root=tmp_path)


def test_a_stopped_run_leaves_no_process(tmp_path):
    need("icarus")
    unit = UNITS["encoder_fp32_ta"]
    started = []

    def stop(done, total):
        if total:
            started.append(True)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        verify.run(unit, "icarus", root=tmp_path, progress=stop)
    left = subprocess.run(
        ["pgrep", "-f", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert started
    assert left.stdout == ""


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_waves_leave_a_waveform(simulator, builds):
    need(simulator)
    unit = UNITS["decoder"]
    verdict, _ = verify.run(unit, simulator, root=builds, waves=True)
    waveform = verify.waveform(unit, simulator, builds)
    assert verdict.status == "pass"
    assert waveform is not None
    assert waveform.stat().st_size > 1000


def directed(name: str) -> set[int]:
    job = Job(unit=name, folder="", lanes=1, seed=1)
    return set(np.concatenate([columns["x"] for columns in bench_encoder.cases(job)]).tolist())


def test_the_encoder_bench_runs_every_boundary_and_its_neighbours():
    words = directed("encoder_fp32_ta")
    near = [*paper.BOUNDARIES, *(value for value, _ in paper.POSITIVE)]
    checked = 0
    for value in near:
        word = int(np.float32(float(value)).view(np.uint32))
        assert float(value) == float(np.uint32(word).view(np.float32))  # exact in FP32
        for offset in range(-3, 4):
            assert {word + offset, (word + offset) | 1 << 31} <= words
            checked += 2
    assert checked == 14 * (127 + 126)
    overflow = 0x47200000  # 1.25 * 2^15
    assert {overflow - 1, overflow, overflow + 1} <= words


def test_the_encoder_bench_runs_all_leading_bits_and_special_words():
    words = directed("encoder_fp32_ta")
    for leading in range(8192):
        base = leading << 19
        assert {base, base + 1, base + (1 << 19) - 1} <= words
    payloads = {sign | 0x7F800000 | 1 << bit for bit in range(19) for sign in (0, 1 << 31)}
    subnormals = {sign | 1 << bit for bit in range(23) for sign in (0, 1 << 31)}
    assert payloads | subnormals | {0, 1 << 31, 0x7F800000, 0xFF800000} <= words


def test_the_hybrid_bench_runs_equal_and_adjacent_thresholds_for_every_exponent():
    words = directed("encoder_fp32")
    found = set()
    for word in words:
        exponent = (word >> 23 & 0xFF) - FP32.bias
        if not (-23 <= exponent <= 15 and abs(exponent) >= 4):
            continue
        n = 2 if abs(exponent) < 8 else 1 if abs(exponent) < 16 else 0 if exponent > -23 else -1
        significand = format(word & 0x7FFFFF | 1 << 23, "024b")
        difference = int(significand[1 + n : 15 + n], 2) - (word & 0x3FFF)
        found.add((exponent, word >> 31, difference))
    exponents = [e for e in range(-23, 16) if abs(e) >= 4]
    wanted = {(e, sign, d) for e in exponents for sign in (0, 1) for d in (-1, 0, 1)}
    assert len(wanted) == 192
    assert wanted <= found


@pytest.mark.parametrize("size", [9, 12, 16])
def test_long_words_hold_their_integers(size):
    ends = [0, 1, -1, (1 << 8 * size - 1) - 1, -1 << 8 * size - 1, 0x0123456789ABCDEF << 8]
    raw = b"".join(end.to_bytes(size, "little", signed=True) for end in ends)
    words = np.frombuffer(raw, f"V{size}")
    high, low = programs.unpacked(words)
    assert [int(h) << 64 | int(x) for h, x in zip(high, low, strict=True)] == ends
    assert programs.packed(high, low, words.dtype).tobytes() == raw


def test_the_readout_bench_runs_every_bit_below_every_leading_bit_and_every_tie():
    job = Job(unit="readout_fp32", folder="", lanes=1, seed=1)
    [columns] = bench_readout.cases(job)
    size = columns["sum"].dtype.itemsize
    raw = columns["sum"].tobytes()
    parts = (raw[start : start + size] for start in range(0, len(raw), size))
    magnitudes = {abs(int.from_bytes(part, "little", signed=True)) for part in parts}
    for lead in range(95):
        assert 1 << lead in magnitudes
        for low in range(lead):
            guard = 1 << lead - 24 if low < lead - 24 else 0
            assert 1 << lead | 1 << low | guard in magnitudes
        if lead >= 24:
            for odd in (0, 1 << lead - 23):
                assert 1 << lead | odd | 1 << lead - 24 in magnitudes
    assert {2 * ((1 << 94) - 1) + 1, 1 << 95} <= magnitudes
    assert set(columns["scale"].tolist()) == set(range(-32, 32))


def test_a_wrapper_pads_every_lane_to_whole_bytes():
    text = lanes.wrapper(UNITS["decoder"], 3)
    assert "output wire [23:0] exponent" in text
    assert "assign exponent[k * 8 +: 8] = {{2{lane_exponent[5]}}, lane_exponent};" in text
    assert "assign zero[k * 8 +: 8] = {{7{1'b0}}, lane_zero};" in text
    shared = lanes.wrapper(UNITS["encoder_fp32_ta"], 2)
    assert "input wire [63:0] x" in shared
    assert "input wire saturate," in shared


def test_a_large_engine_is_right_in_a_few_tiles(builds):
    need("verilator")
    unit = UNITS["matrix16x16_exact_to_fp32"]
    verdict, _ = verify.run(unit, "verilator", root=builds, effort="quick")
    assert (verdict.status, verdict.note) == ("pass", "")
    tiles = 1 + 8 + 1 + 2 + 6 + 9 + 4 * 8  # a directed one of every kind, then random ones
    assert verdict.cases == verdict.expected == 16 * tiles
