# SPDX-License-Identifier: Apache-2.0
"""The conformance vectors: their bytes, what they say, and that the readers of them find faults.

Imports hif8, paper, NumPy and typer. The readers are those of golden/examples, as a user runs them.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paper
import pytest
from conftest import skip_if
from hif8.golden import vectors
from hif8.hdl.configs import select
from hif8.hdl.export import export

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "golden" / "examples"
ROWS = {"decode": 256, "encode_fp16": 65_536, "encode_bf16": 65_536, "encode_fp32": 26_904}
NAMES = {"encode_fp16": "float16", "encode_bf16": "bfloat16", "encode_fp32": "float32"}
FIELDS = ["sign", "exponent", "significand", "zero", "inf", "nan"]
DECODE_COLUMNS = ["code", *FIELDS, "fp32", "fp16", "bf16"]
ENCODE_COLUMNS = ["x", "ta", "hr", "hr_keep_exact"]
OPTIONS = [{"saturate": bool(k & 2), "nan_to_zero": bool(k & 1)} for k in range(4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `hif8 vectors` fills."""
    out = tmp_path_factory.mktemp("vectors") / "new"
    hif8 = Path(sys.executable).with_name("hif8")
    run = subprocess.run([hif8, "vectors", out], capture_output=True, text=True, check=True)
    names = [f"{name}.hex" for name in ROWS] + ["vectors.sha256"]
    assert [Path(line).name for line in run.stdout.split()] == names
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    return out


def rows_of(folder: Path, name: str) -> list[list[int]]:
    """Read a file's rows without any of the readers."""
    lines = (folder / f"{name}.hex").read_text().splitlines()
    return [[int(c, 16) for c in line.split("_")] for line in lines if not line.startswith("//")]


def test_digests_are_those_in_the_repository(folder: Path) -> None:
    made = (folder / "vectors.sha256").read_text()
    kept = (ROOT / "golden" / "vectors.sha256").read_text()
    assert len(kept.splitlines()) == 4
    assert made == kept, (
        "golden gives other vectors: if they are right, renew golden/vectors.sha256"
    )


def test_digests_are_those_of_the_files(folder: Path) -> None:
    run = subprocess.run(
        ["sha256sum", "--check", "vectors.sha256"], cwd=folder, capture_output=True, check=False
    )
    assert run.returncode == 0
    assert run.stdout.decode().count(": OK\n") == 4


def test_bytes_are_the_same_every_time(folder: Path) -> None:
    texts = vectors.texts()
    assert len(texts) == 5
    for name, text in texts.items():
        assert (folder / name).read_bytes() == text.encode()


@pytest.mark.parametrize("name", ROWS)
def test_file_is_comments_and_rows_of_fixed_width(folder: Path, name: str) -> None:
    content = (folder / f"{name}.hex").read_bytes()
    assert content.endswith(b"\n")
    assert b"\r" not in content
    lines = content.decode("ascii").splitlines()
    comments = [line for line in lines if line.startswith("// ")]
    rows = [line for line in lines if not line.startswith("//")]
    assert comments[0] == "// SPDX-License-Identifier: Apache-2.0"
    assert len(rows) == ROWS[name]
    assert len({re.sub("[0-9A-F]", "h", row) for row in rows}) == 1
    bits = 4 * len(rows[0].replace("_", ""))
    assert f"// {ROWS[name]} rows of {bits} bits;" in comments[2]
    columns = re.findall(r"^//   (\w+)\[(\d+):0\]  ", "\n".join(comments), re.MULTILINE)
    assert [c for c, _ in columns] == (DECODE_COLUMNS if name == "decode" else ENCODE_COLUMNS)
    assert [(int(top) + 1) // 4 for _, top in columns] == [len(c) for c in rows[0].split("_")]
    sections = [int(n) for n in re.findall(r"^// .*: (\d+) rows$", "\n".join(comments), re.M)]
    assert sum(sections) == ROWS[name]


def test_decode_vectors_are_the_paper_s(folder: Path) -> None:
    rows = rows_of(folder, "decode")
    for code, row in enumerate(rows):
        pattern, sign, exponent, mantissa, n = paper.fields(code)
        empty = code in (paper.ZERO, paper.NAN)
        significand = 8 if pattern == paper.DENORMAL else (2**n + mantissa) * 2 ** (3 - n)
        flags = [code == paper.ZERO, code & 0x7F == paper.INF, code == paper.NAN]
        words = [
            paper.ieee_word(paper.value(code), name) for name in ("float32", "float16", "bfloat16")
        ]
        assert row == [code, sign, exponent % 256, 0 if empty else significand, *flags, *words]
    assert len(rows) == 256


@pytest.mark.parametrize(
    ("name", "every", "compared"),
    [("encode_fp16", 16, 4_096), ("encode_bf16", 16, 4_096), ("encode_fp32", 8, 3_363)],
)
def test_encode_vectors_are_the_paper_s(folder: Path, name: str, every: int, compared: int) -> None:
    source = NAMES[name]
    # Another row of each block, so that low bits differ too.
    rows = [
        row for k, row in enumerate(rows_of(folder, name)) if k % every == k // every * 7 % every
    ]
    for x, *columns in rows:
        value = paper.ieee_value(x, source)
        for option, chosen in enumerate(OPTIONS):
            codes = [column >> 8 * option & 0xFF for column in columns]
            assert codes == [
                paper.encode(value, **chosen),
                paper.encode_hybrid(x, source, **chosen),
                paper.encode_hybrid(x, source, keep_exact=True, **chosen),
            ]
    assert len(rows) == compared


@pytest.mark.parametrize("name", ["encode_fp16", "encode_bf16"])
def test_vectors_of_16_bits_have_every_word_in_order(folder: Path, name: str) -> None:
    assert [row[0] for row in rows_of(folder, name)] == list(range(1 << 16))


def test_fp32_vectors_meet_every_code_boundary_and_comparison(folder: Path) -> None:
    rows = np.array(rows_of(folder, "encode_fp32"))
    words = rows[:, 0]
    for column in rows[:, 1:].T:
        assert np.unique(column & 0xFF).size == 256
    present = set(words.tolist())
    for number in [*paper.BOUNDARIES, *(value for value, _ in paper.POSITIVE)]:
        word = paper.ieee_word(number, "float32")
        for near in range(word - 3, word + 4):
            assert near in present
            assert near | 1 << 31 in present
    assert np.unique(words >> 19).size == 1 << 13
    # F - T in every binade that HR compares them in, either sign.
    for exponent in [E for E in range(-23, 16) if abs(E) >= 4]:
        shift = 10 if exponent == -23 else 9 if exponent < -15 else 8 if abs(exponent) > 7 else 7
        for sign in (0, 1):
            here = words[words >> 23 == sign << 8 | exponent + 127]
            difference = ((here % 2**23 | 2**23) >> shift) % 2**14 - here % 2**14
            counts = [np.count_nonzero(difference == d) for d in (-1, 0, 1)]
            assert min(counts) >= 6, (exponent, counts)
    # The overflow that HR shares with TA: F < T from 1.25 * 2^15 on, and F >= T below it.
    top = words[words >> 21 == (15 + 127) << 2 | 1]
    assert np.any((top >> 8) % 2**14 < top % 2**14)


def test_every_option_changes_something(folder: Path) -> None:
    for name in NAMES:
        rows = np.array(rows_of(folder, name))
        plain, no_nan, saturated, both = (rows[:, 1] >> 8 * k & 0xFF for k in range(4))
        assert np.any(plain != no_nan)
        assert np.any(plain != saturated)
        assert np.any(both != no_nan)
        assert np.any(both != saturated)
        assert np.any(rows[:, 1] != rows[:, 2])
        assert np.any(rows[:, 2] != rows[:, 3]) == (name == "encode_fp32")


def test_write_leaves_no_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, target: Path) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        vectors.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_write_into_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    hif8 = Path(sys.executable).with_name("hif8")
    run = subprocess.run(
        [hif8, "vectors", tmp_path / "file"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1


def changed(folder: Path, target: Path, name: str, lines: list[str]) -> Path:
    """Make a folder of the vectors with one file's lines replaced."""
    other = target / "changed"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).symlink_to(path)
    path = other / f"{name}.hex"
    path.unlink()
    path.write_text("\n".join(lines) + "\n")
    return other


def flipped(folder: Path, target: Path, name: str, column: int, bit: int = 0) -> Path:
    """Make a folder of the vectors with one bit flipped, in a row two thirds down a file."""
    lines = (folder / f"{name}.hex").read_text().splitlines()
    row = len(lines) * 2 // 3
    columns = lines[row].split("_")
    width = len(columns[column])
    columns[column] = f"{int(columns[column], 16) ^ 1 << bit:0{width}X}"
    lines[row] = "_".join(columns)
    return changed(folder, target, name, lines)


def shortened(folder: Path, target: Path, name: str) -> Path:
    """Make a folder of the vectors with the last row of a file left out."""
    return changed(folder, target, name, (folder / f"{name}.hex").read_text().splitlines()[:-1])


FLIPS = [("decode", column, 0) for column in range(10)] + [
    (name, column, 8 * (column - 1) + k) for k, name in enumerate(NAMES) for column in range(1, 4)
]
FLIP_IDS = [f"{name}-{column}-{bit}" for name, column, bit in FLIPS]


def compiled(folder: Path, *compiler: str) -> Path:
    """Return the C program, compiled without a warning."""
    program = folder / "check_vectors"
    warnings = ["-Wall", "-Wextra", "-Werror", "-O1"]
    source = EXAMPLES / "check_vectors.c"
    subprocess.run([*compiler, *warnings, "-o", program, source], check=True)
    return program


@pytest.fixture(scope="module")
def c_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("c"), "g++", "-x", "c++")


def run(*command: object, cwd: Path | None = None) -> tuple[int, str]:
    """Run a command; return its status and the last line that it printed."""
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.returncode, ran.stdout.splitlines()[-1]


def test_c_reader_passes(c_reader: Path, folder: Path) -> None:
    assert run(c_reader, folder) == (0, "PASS: 158232 rows, 0 wrong")


def test_c_reader_passes_as_c99(folder: Path, tmp_path: Path) -> None:
    skip_if("cc is not installed" if not shutil.which("cc") else None)
    assert run(compiled(tmp_path, "cc", "-std=c99"), folder)[0] == 0


@pytest.mark.parametrize(("name", "column", "bit"), FLIPS, ids=FLIP_IDS)
def test_c_reader_finds_one_flipped_bit(
    c_reader: Path, folder: Path, tmp_path: Path, name: str, column: int, bit: int
) -> None:
    wrong = flipped(folder, tmp_path, name, column, bit)
    assert run(c_reader, wrong) == (1, "FAIL: 158232 rows, 1 wrong")


@pytest.mark.parametrize("name", ROWS)
def test_c_reader_misses_a_row_that_is_not_there(
    c_reader: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    assert run(c_reader, shortened(folder, tmp_path, name)) == (1, "FAIL: 158231 rows, 1 wrong")


def test_numpy_reader_passes(folder: Path) -> None:
    reader = EXAMPLES / "check_vectors.py"
    assert run(sys.executable, reader, folder) == (0, "PASS: 158232 rows, 0 wrong")


@pytest.mark.parametrize(("name", "column", "bit"), FLIPS[3::6], ids=FLIP_IDS[3::6])
def test_numpy_reader_finds_one_flipped_bit(
    folder: Path, tmp_path: Path, name: str, column: int, bit: int
) -> None:
    wrong = flipped(folder, tmp_path, name, column, bit)
    reader = EXAMPLES / "check_vectors.py"
    assert run(sys.executable, reader, wrong) == (1, "FAIL: 158232 rows, 1 wrong")


def test_numpy_reader_misses_a_row_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    short = shortened(folder, tmp_path, "decode")
    ran = subprocess.run(
        [sys.executable, EXAMPLES / "check_vectors.py", short],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("FAIL: ")
    assert ran.stderr.endswith("has 255 rows of 256\n")


@pytest.fixture(scope="module")
def verilog_bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Verilog bench, compiled with the exported modules."""
    made = tmp_path_factory.mktemp("verilog")
    modules = [p for p in export(select(["decoder", "encoder_fp32_ta"]), made) if p.suffix == ".v"]
    bench = made / "bench"
    command = ["iverilog", "-Wall", "-g2005", "-o", bench, EXAMPLES / "check_vectors.v", *modules]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
    return bench


VERILOG_CASES = 256 + 4 * ROWS["encode_fp32"]


@pytest.mark.usefixtures("icarus")
def test_verilog_reader_passes(request: pytest.FixtureRequest, folder: Path) -> None:
    bench = request.getfixturevalue("verilog_bench")
    status, said = run("vvp", "-n", bench, cwd=folder)
    assert (status, said) == (0, f"PASS: {VERILOG_CASES} checked, 0 wrong")


@pytest.mark.usefixtures("icarus")
@pytest.mark.parametrize(
    ("name", "column", "bit"),
    [("decode", column, 0) for column in (0, 1, 2, 6)] + [("encode_fp32", 1, b) for b in (0, 31)],
)
def test_verilog_reader_finds_one_flipped_bit(
    request: pytest.FixtureRequest, folder: Path, tmp_path: Path, name: str, column: int, bit: int
) -> None:
    bench = request.getfixturevalue("verilog_bench")
    wrong = flipped(folder, tmp_path, name, column, bit)
    _, said = run("vvp", "-n", bench, cwd=wrong)
    assert said == f"FAIL: {VERILOG_CASES} checked, 1 wrong"
