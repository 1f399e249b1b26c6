# SPDX-License-Identifier: Apache-2.0
"""The command `hif8`: what it answers, and that bad input ends in one line and a status."""

import importlib.util
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from conftest import need
from hif8 import cli, decode, encode, matmul
from hif8.golden.gemms import Gemm
from hif8.golden.gemms import save as save_gemms
from hif8.sim import verify
from hif8.toolchain.simulators import SIMULATORS


def run(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["hif8", *map(str, arguments)])
    status = cli.main()
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def hif8(monkeypatch, capsys):
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_show_explains_codes_and_values(hif8):
    status, out, err = hif8("show", "0x6E", "1.7", "-3e-5", "nan")
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines() if "0x" in line]
    assert [line[1] for line in lines] == ["0x6E", "0x0E", "0xFE", "0x80"]
    assert "0 11 0111 0" in out
    assert "32768" in out


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_files_are_encoded_and_decoded_as_golden(hif8, here, dtype):
    x = np.random.default_rng(3).standard_normal((7, 9)).astype(dtype)
    np.save("x.npy", x)
    assert hif8("encode", "x.npy", "codes.npy")[0] == 0
    assert np.array_equal(np.load("codes.npy"), encode(x))
    assert hif8("decode", "codes.npy", "y.npy", "--dtype", "float64")[0] == 0
    assert np.array_equal(np.load("y.npy"), decode(encode(x), np.float64))


def test_options_of_encode_are_those_of_golden(hif8, here):
    x = np.float32([np.inf, np.nan, -1e9, 16.0])
    np.save("x.npy", x)
    status, _, _ = hif8(
        "encode", "x.npy", "c.npy", "--rounding", "hr", "--saturate", "--nan-to-zero"
    )
    assert status == 0
    assert np.load("c.npy").tolist() == [0x6E, 0x00, 0xEE, encode(np.float32(20.0))]


def test_keep_exact_leaves_what_hybrid_rounding_moves(hif8, here):
    np.save("x.npy", np.float32([16.0, 32768.0, 17.0]))
    results = []
    for option in ("--no-keep-exact", "--keep-exact"):
        assert hif8("encode", "x.npy", "c.npy", "--rounding", "hr", option)[0] == 0
        results.append(decode(np.load("c.npy")).tolist())
    assert results == [[20.0, np.inf, 20.0], [16.0, 32768.0, 20.0]]


def test_stochastic_rounding_is_that_of_its_seed(hif8, here):
    x = np.random.default_rng(3).standard_normal(1000).astype(np.float32)
    np.save("x.npy", x)
    codes = {}
    for seed in (5, 6):
        line = ("encode", "x.npy", "c.npy", "--rounding", "sr", "--seed", seed)
        assert hif8(*line)[0] == 0
        codes[seed] = np.load("c.npy")
        assert np.array_equal(codes[seed], encode(x, "sr", rng=np.random.default_rng(seed)))
    assert not np.array_equal(codes[5], codes[6])


KINDS = [
    ("", {}),
    ("--accumulator fp32 --scale -9", {"accumulator": "fp32", "scale": -9}),
    ("--output hif8 --scale 31", {"rounding": "ta", "scale": 31}),
    ("--output hif8 --rounding hr --saturate", {"rounding": "hr", "saturate": True}),
    ("--output hif8 --nan-to-zero", {"rounding": "ta", "nan_to_zero": True}),
]


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Save float16 values as a.npy and codes as b.npy, specials among them; return their codes."""
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((9, 14)).astype(np.float16), encode(rng.standard_normal((14, 5)))
    a[0, :3] = np.inf, np.nan, 1e-7
    b[3, 1], b[5, 2] = encode([np.inf, np.nan])
    np.save("a.npy", a)
    np.save("b.npy", b)
    return encode(a), b


@pytest.mark.parametrize(("options", "how"), KINDS)
def test_matrices_in_files_are_multiplied_as_by_golden(hif8, here, options, how):
    a, b = operands()
    status, out, err = hif8("matmul", "a.npy", "b.npy", "--out", "c.npy", *options.split())
    assert (status, err) == (0, "")
    expected, c = matmul(a, b, **how), np.load("c.npy")
    assert c.dtype == expected.dtype
    assert c.tobytes() == expected.tobytes()
    values = decode(c) if c.dtype == np.uint8 else c
    specials = f"{np.isnan(values).sum()} NaN, {np.isinf(values).sum()} infinite, in c.npy"
    assert specials in " ".join(out.split())


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float32, np.float64])
def test_values_of_every_type_are_multiplied(hif8, here, dtype):
    x = np.random.default_rng(5).standard_normal((6, 6)).astype(dtype)
    np.save("x.npy", x)
    status, out, _ = hif8("matmul", "x.npy", "x.npy", "--out", "c.npy")
    assert status == 0
    assert out.count(f"x.npy is {np.dtype(dtype).name}: 36 values encoded by TA") == 2
    assert np.array_equal(np.load("c.npy"), matmul(encode(x), encode(x)))


def test_matmul_says_what_encoding_lost(hif8, here):
    x = np.float32([[1e-9, -1e-9, 0, 1e9], [np.inf, np.nan, -(2.0**15), 1]])
    np.save("x.npy", x)
    np.save("y.npy", encode(np.ones((4, 1))))
    _, out, _ = hif8("matmul", "x.npy", "y.npy")
    lost = "8 values encoded by TA, of which 2 not zero became zero and 1 finite became infinite"
    assert f"x.npy is float32: {lost}" in " ".join(out.split())
    assert "y.npy" not in out


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_tensors_in_a_file_are_analyzed(hif8, here, suffix):
    x = np.float32([[1, 1.0625, 2.0**-24], [2.0**16, np.nan, 0]])
    if suffix == ".npy":
        np.save("x.npy", x)
    else:
        np.savez("x.npz", x=x, ids=np.arange(3))
    status, out, err = hif8("analyze", f"x{suffix}", "--out", "results")
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    assert out.count("1 NaN and 0 infinite values, which no ratio takes in") == 1
    assert out.count("ids left out, int64") == (suffix == ".npz")
    lines = (here / "results" / "ratios.csv").read_text().splitlines()
    assert len(lines) == 1 + 5
    assert all(line.split(",")[2:6] == ["6", "1", "0", "1"] for line in lines[1:])
    assert (here / "results" / "ratios.png").stat().st_size > 1000


def test_names_of_tensors_are_shown_and_drawn_as_they_are(hif8, here):
    names = ["a[bold]b", "c[/d]", "e$f_$", "g^$"]
    np.savez("x.npz", **{name: np.float32([1, 2.5]) for name in names}, **{"[i]": np.arange(2)})
    status, out, err = hif8("analyze", "x.npz", "--out", "results")
    assert (status, err) == (0, "")
    for name in names:
        assert out.count(f" {name} ") == 2
    assert "x.npz: [i] left out, int64" in out


@pytest.mark.parametrize("name", SIMULATORS)
def test_matrices_in_files_are_multiplied_on_a_simulated_engine(hif8, here, builds, name):
    need(name)
    a, b = operands()
    options = "--out c.npy --output hif8 --rounding hr --scale 3 --saturate --rtl --sim"
    arguments = ("matmul", "a.npy", "b.npy", *options.split(), name, "--build", builds.parent)
    status, out, err = hif8(*arguments)
    assert (status, err) == (0, "")
    text = " ".join(out.split())
    assert "matrix4x4_exact_to_hif8 under" in text
    assert f"{9 * 14 * 5} products, {3 * 2} tiles, " in text
    assert ", bit-exact against golden" in text
    cycles = int(re.search(r"(\d+) cycles", text)[1])
    assert cycles > 3 * 2 * 14
    assert np.array_equal(np.load("c.npy"), matmul(a, b, rounding="hr", scale=3, saturate=True))


def test_a_faulty_engine_fails_and_writes_nothing(hif8, here, builds, monkeypatch):
    need("icarus")
    right = verify.exported

    def wrong(unit):
        text, product = right(unit), "half_5_5_product = a[9] ^ b[9]"
        assert text.count(product) == 1
        return text.replace(product, product.replace("^", "&"))

    monkeypatch.setattr(verify, "exported", wrong)
    np.save("a.npy", encode(np.full((1, 2), 3.0)))
    np.save("b.npy", encode(np.full((2, 2), 2.0)))
    options = ["--out", "c.npy", "--output", "hif8", "--rtl", "--sim", "icarus", "--build"]
    status, out, err = hif8("matmul", "a.npy", "b.npy", *options, builds.parent)
    assert (status, err) == (1, "")
    text = " ".join(out.split())
    assert "NOT bit-exact against golden" in text
    # (1 + 1/2) * 1 is 1 without the half: 2 * 2 * 2 for 2 * 3 * 2.
    assert "2 of 2 elements differ, first that of row 0, column 0: expected 0x2C = 12" in text
    assert text.endswith("got 0x28 = 8")
    assert not (here / "c.npy").exists()


@pytest.mark.parametrize(("options", "limit"), [("", 1 << 24), ("--rtl --sim icarus", 1 << 20)])
def test_more_products_than_a_sum_has_room_for_are_one_line(hif8, here, options, limit):
    need("icarus")
    np.save("a.npy", np.zeros((1, limit + 1), np.uint8))
    np.save("b.npy", np.zeros((limit + 1, 1), np.uint8))
    status, _, err = hif8("matmul", "a.npy", "b.npy", "--out", "c.npy", *options.split())
    assert status == 1
    assert re.fullmatch(rf"hif8: a must have 1 to {limit} .*, not {limit + 1}\n", err)
    assert sorted(path.name for path in here.iterdir()) == ["a.npy", "b.npy"]


def test_verilog_is_written_where_told(hif8, here):
    status, out, _ = hif8("verilog", "--out", "rtl", "decoder")
    assert status == 0
    assert sorted(path.name for path in (here / "rtl").iterdir()) == [
        "hif8_decoder.v",
        "manifest.json",
    ]
    assert "hif8_decoder.v" in out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tensor_of_ones_own_is_verified(hif8, here, builds, dtype):
    need("icarus")
    np.save("w.npy", np.random.default_rng(1).standard_normal((30, 10)).astype(dtype))
    arguments = ("verify", "encoder_fp32_ta", "--tensor", "w.npy", "--sim", "icarus")
    status, out, err = hif8(*arguments, "--build", builds.parent)
    assert (status, err) == (0, "")
    assert "1,200" in out  # 300 values under four settings
    assert "bit-exact" in out
    assert ("converted to float32" in out) == (dtype is np.float64)


def test_verify_says_in_a_line_how_many_bins_of_coverage_were_hit(hif8, builds):
    need("icarus")
    arguments = ("verify", "decoder", "encoder_fp32_ta", "--sim", "icarus", "--random", 0)
    status, out, _ = hif8(*arguments, "--build", builds.parent)
    [line] = [line for line in out.splitlines() if "coverage" in line]
    hit, bins = re.fullmatch(r"coverage: ([0-9,]+) of ([0-9,]+) bins", line).groups()
    assert (status, hit) == (0, bins)
    assert int(bins.replace(",", "")) > 1000


def test_captured_products_are_verified(hif8, here, builds):
    need("icarus")
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 256, shape).astype(np.uint8) for shape in ((3, 9), (9, 5)))
    save_gemms(Path("g.npz"), [Gemm("hidden", "forward", a, b), Gemm("hidden", "backward", a, b)])
    arguments = ("verify", "mac_exact", "--gemms", "g.npz", "--sim", "icarus")
    status, out, err = hif8(*arguments, "--build", builds.parent)
    assert (status, err) == (0, "")
    assert "g.npz: 1 forward and 1 backward GEMMs, 30 of their dot products, 270 products" in out
    assert "bit-exact" in out


def test_workloads_without_torch_say_so_in_a_line(hif8, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    status, out, err = hif8("workloads", "--quick")
    assert (status, out, err) == (1, "", "hif8: torch is not installed: make training\n")


def make_files() -> None:
    np.save("ints.npy", np.arange(4))
    np.save("bools.npy", np.array([True]))
    np.save("floats.npy", np.ones(4, np.float32))
    np.save("doubles.npy", np.ones(4))
    np.save("five.npy", np.zeros(5, np.uint8))
    np.save("codes.npy", np.zeros(4, np.uint8))
    np.save("big.npy", np.array([300]))
    np.save("square.npy", np.zeros((2, 2), np.uint8))
    np.save("row.npy", np.ones((1, 2), np.float32))
    np.save("whole.npy", np.ones((2, 2), int))
    np.save("complex.npy", np.ones((2, 2), np.complex64))
    np.save("nothing.npy", np.zeros(0, np.float32))
    np.save("objects.npy", np.array([None, "a"], object), allow_pickle=True)
    np.savez("several.npz", a=np.zeros(2))
    Path("empty.npy").write_bytes(b"")
    Path("text.npy").write_text("hello")
    Path("weights.pt").write_text("hello")
    np.save("torn.npy", np.zeros(9, np.float32))
    Path("torn.npy").write_bytes(Path("torn.npy").read_bytes()[:-1])
    np.savez("codes.npz", a=np.uint8([1]), b=np.arange(3))
    np.savez_compressed("broken.npz", a=np.random.default_rng(1).standard_normal(99))
    content = bytearray(Path("broken.npz").read_bytes())
    content[len(content) // 2] ^= 1
    Path("broken.npz").write_bytes(content)


BAD = [
    ("encode missing.npy out.npy", "missing.npy: No such file"),
    ("encode empty.npy out.npy", "empty.npy is empty"),
    ("encode text.npy out.npy", "text.npy is damaged or no .npy file"),
    ("encode objects.npy out.npy", "objects.npy holds objects"),
    ("encode several.npz out.npy", "holds several arrays"),
    ("encode nothing.npy out.npy", "holds no element"),
    ("encode ints.npy out.npy", "must be float16, bfloat16, float32 or float64, not 'int64'"),
    ("encode bools.npy out.npy", "not 'bool'"),
    ("encode floats.npy out.npy --rounding up", "--rounding"),
    ("encode doubles.npy out.npy --rounding hr", "bfloat16 or float32 for HR, not float64"),
    ("encode floats.npy out.npy --rounding sr", "--rounding sr needs --seed"),
    ("verify decoder --effort much", "effort must be one of quick, full, soak, not 'much'"),
    ("bench decoder", "units need --rtl"),
    ("bench decoder --rtl", "unit must be one of mac_exact, "),
    ("soak nothing", "unit must be one of decoder, "),
    ("encode floats.npy out.npy --rounding sr --seed -1", "--seed"),
    ("encode floats.npy out.npy --rounding hr --seed 1", "--seed needs --rounding sr"),
    ("encode floats.npy out.npy --keep-exact", "--keep-exact needs --rounding hr, not ta"),
    ("encode floats.npy floats.npy/out.npy", "floats.npy"),
    ("decode floats.npy out.npy", "must be integers of dtype uint8, not 'float32'"),
    ("decode big.npy out.npy", "must be in 0..255, not 300"),
    ("decode codes.npy out.npy --dtype int8", "--dtype must be one of"),
    ("matmul missing.npy square.npy", "missing.npy: No such file"),
    ("matmul empty.npy square.npy", "empty.npy is empty"),
    ("matmul square.npy text.npy", "text.npy is damaged or no .npy file"),
    ("matmul square.npy nothing.npy", "holds no element"),
    ("matmul codes.npy square.npy", "codes.npy must be a matrix, with two axes, not of shape (4,)"),
    ("matmul square.npy row.npy", "row.npy must have 2 rows, as many as square.npy has columns"),
    ("matmul square.npy whole.npy", "whole.npy must be uint8 codes or float16, bfloat16, float32"),
    ("matmul complex.npy square.npy", "not 'complex64'"),
    ("matmul square.npy", "Missing argument"),
    ("matmul square.npy square.npy --accumulator fused", "--accumulator"),
    ("matmul square.npy square.npy --output bf16", "--output"),
    ("matmul square.npy square.npy --output hif8 --rounding sr", "--rounding"),
    ("matmul square.npy square.npy --scale 32", "--scale"),
    ("matmul square.npy square.npy --rounding ta", "need --output hif8"),
    ("matmul square.npy square.npy --nan-to-zero", "need --output hif8"),
    ("matmul square.npy square.npy --sim icarus", "--unit and --sim need --rtl"),
    ("matmul square.npy square.npy --rtl --sim questa", "simulator must be one of verilator"),
    ("matmul square.npy square.npy --rtl --unit adder", "unit must be matrix8x8_exact_to_fp32, "),
    (
        "matmul square.npy square.npy --rtl --output hif8 --unit matrix8x8_exact_to_fp32",
        "unit must be matrix4x4_exact_to_hif8 for exact to hif8, not 'matrix8x8_exact_to_fp32'",
    ),
    ("matmul square.npy square.npy --out floats.npy/c.npy", "floats.npy"),
    ("analyze missing.npy", "missing.npy: No such file"),
    ("analyze empty.npy", "empty.npy is empty"),
    ("analyze text.npy", "text.npy is damaged or no .npy file"),
    ("analyze objects.npy", "objects.npy must hold values of float16, bfloat16, float32, float64"),
    ("analyze ints.npy", "it holds int64"),
    ("analyze complex.npy", "it holds complex64"),
    ("analyze nothing.npy", "it holds no element"),
    ("analyze torn.npy", "torn.npy is damaged or no .npy file: float32 of shape (9,) cannot be"),
    ("analyze broken.npz", "broken.npz is damaged or no .npz file"),
    ("analyze codes.npz", "it holds uint8, int64"),
    ("analyze weights.pt", "weights.pt must be a .npy, .npz, .safetensors file, not '.pt'"),
    ("analyze floats.npy --out floats.npy/results", "floats.npy"),
    ("show zero", "'zero' must be a code like 0x6E"),
    ("show 0x100", "must be in 0..255, not 256"),
    ("verify adder", "unit must be one of decoder"),
    ("verify decoder --sim questa", "simulator must be one of verilator, icarus, not 'questa'"),
    ("verify encoder_fp32_ta --tensor missing.npy", "missing.npy: No such file"),
    ("verify encoder_fp32_ta --tensor ints.npy", "not 'int64'"),
    ("verify encoder_fp32_ta --tensor objects.npy", "holds objects"),
    ("verify encoder_fp32_ta --tensor empty.npy", "is empty"),
    ("verify decoder --tensor floats.npy", "must be integers of dtype uint8"),
    ("verify multiplier --tensor codes.npy", "takes --tensor A.npy --tensor B.npy"),
    ("verify multiplier --tensor codes.npy --tensor five.npy", "must be of one size"),
    ("verify --tensor floats.npy", "--tensor takes one unit"),
    ("verify to_fp32_s1 --tensor codes.npy", "of codes or words, not to_fp32_s1"),
    ("verify readout_fp32 --tensor codes.npy", "of codes or words, not readout_fp32"),
    ("verify mac_exact --gemms missing.npz", "missing.npz: No such file"),
    ("verify mac_exact --gemms several.npz", "several.npz is damaged or no file of GEMMs"),
    ("verify mac_exact --gemms empty.npy", "empty.npy is damaged or no file of GEMMs"),
    ("verify decoder --gemms several.npz", "--gemms takes a MAC or a dot product of HiF8 codes"),
    ("verify --gemms several.npz", "--gemms takes one unit"),
    ("verify multiplier --gemms several.npz --tensor codes.npy", "takes one unit and no other"),
    ("verilog --out floats.npy/rtl", "floats.npy"),
    ("sweep adder", "unit to sweep must be one of encoder_fp32, "),
    ("sweep decoder", "unit to sweep must be one of encoder_fp32, "),
    ("sweep encoder_fp32_s1", "not 'encoder_fp32_s1'"),
    ("sweep", "Missing argument"),
    ("sweep encoder_fp32 --first one", "'one' must be a word like 0x3F000000"),
    ("sweep encoder_fp32 --first 0x10", "first must be a multiple of 0x1000000"),
    ("sweep encoder_fp32 --last 0x1000000", "last one less than a multiple"),
    ("sweep encoder_fp32 --last 0x1FFFFFFFF", "must be in 0..0xffffffff"),
    ("sweep encoder_fp32 --first 0x2000000 --last 0xFFFFFF", "not 0x2000000 to 0xffffff"),
    ("sweep encoder_fp16 --last 0xFF", "first must be a multiple of 0x10000"),
    ("sweep encoder_fp32 --jobs 0", "--jobs"),
    ("sweep encoder_fp32 --jobs 2 --scheduler 127.0.0.1:1", "--jobs is for this machine"),
    ("sweep encoder_fp32 --scheduler here", "must be an address like tcp://HOST:PORT"),
    ("sweep encoder_fp16 --build floats.npy", "floats.npy"),
    ("figures --out floats.npy/pictures", "floats.npy"),
    ("verilog adder", "unit must be one of"),
    ("mutate matrix4x4_fp32_to_fp32", "unit must be one of decoder"),
    ("mutate to_bf16 --scheduler here", "must be an address like tcp://HOST:PORT"),
    ("cost adder", "unit must be one of decoder"),
    ("cost decoder --liberty none.lib", "none.lib is no file: it must be a liberty file"),
    ("cost decoder --liberty floats.npy", "has no library(...): it must be a liberty file"),
    ("frobnicate", "No such command"),
    ("encode floats.npy", "Missing argument"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_input_ends_in_one_line_and_leaves_nothing(hif8, here, line, message):
    make_files()
    before = sorted(path.name for path in here.iterdir())
    status, _, err = hif8(*line.split())
    assert status != 0
    assert err.startswith("hif8: ")
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert sorted(path.name for path in here.iterdir()) == before


@pytest.mark.parametrize("command", ["verify decoder", "matmul square.npy square.npy --rtl"])
def test_a_missing_simulator_is_one_line(hif8, here, monkeypatch, command):
    make_files()
    monkeypatch.setenv("PATH", str(here))
    status, _, err = hif8(*command.split(), "--sim", "icarus")
    assert status == 1
    assert err == "hif8: icarus is not installed: apt-get install iverilog\n"


@pytest.mark.parametrize(("ci", "expected"), [("", 0), ("true", 1)])
def test_not_run_is_said_loudly_and_fails_in_ci(hif8, here, monkeypatch, ci, expected):
    monkeypatch.setenv("PATH", str(here))
    monkeypatch.setenv("CI", ci)
    status, out, _ = hif8("verify", "decoder")
    assert status == expected
    assert out.count("NOT RUN") == 4


def test_ctrl_c_ends_in_one_line_and_leaves_no_simulation(here, builds):
    need("icarus")
    command = [sys.executable, "-c", "import sys; from hif8.cli import main; sys.exit(main())"]
    arguments = ["verify", "encoder_fp32", "--sim", "icarus", "--random", "9999999"]
    child = subprocess.Popen(
        [*command, *arguments, "--build", str(here / "build")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=here,
    )
    runs = here / "build" / "sim" / "runs"
    deadline = time.monotonic() + 120
    while not [*runs.glob("encoder_fp32-icarus-*/progress")] and time.monotonic() < deadline:
        time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "hif8: interrupted\n")
    assert not (here / "build" / "verify").exists()
    left = subprocess.run(["pgrep", "-f", str(here)], capture_output=True, check=False)
    assert left.stdout == b""


def test_help_names_every_command(hif8):
    status, out, _ = hif8()
    assert status == 0
    for command in (
        "show",
        "encode",
        "matmul",
        "analyze",
        "verilog",
        "verify",
        "sweep",
        "figures",
        "demo",
    ):
        assert f"\n  {command}" in out


def test_the_command_is_installed():
    run = subprocess.run(
        [Path(sys.executable).with_name("hif8"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("hif8 ")
