# SPDX-License-Identifier: Apache-2.0
"""The exhaustive sweep: right codes and counts, faults found, nothing lost whoever is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import paper
import pytest
from cluster import scheduler_in, worker
from hif8 import cli, encode
from hif8.hdl.configs import UNITS
from hif8.sim import sweep, verify
from hif8.toolchain import pool
from hif8.toolchain.program import ToolError
from tasks import DEADLINE, alive, wait_until

SIZE = 1 << 22
"""Words of a range of the sweeps that are killed here: a quarter of those of other sweeps."""
LAST = 32 * SIZE - 1
PROGRAM = f"""
import sys
from hif8.cli import main
from hif8.sim import sweep

sweep.SIZE = {SIZE}
sys.exit(main())
"""
COMMAND = [sys.executable, "-c", PROGRAM]
TA = (("hybrid", 0), ("saturate", 0), ("nan_to_zero", 0))
HR = (("hybrid", 1), ("saturate", 0), ("nan_to_zero", 0))


@pytest.fixture
def build(tmp_path, builds) -> Path:
    """A folder for everything made, but for the libraries: those are kept between tests."""
    folder = tmp_path / "build"
    folder.mkdir()
    builds.mkdir(parents=True, exist_ok=True)
    (folder / "sim").symlink_to(builds)
    return folder


@pytest.fixture
def hif8(monkeypatch, capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hif8", *map(str, arguments)])
        return cli.main(), *capsys.readouterr()

    return run


def start(*arguments: object, **how) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "sweep", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


def files_of(build: Path) -> list[Path]:
    return sorted(build.glob("sweep/*/*.json"))


def records_of(build: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in files_of(build)]


def pid_of(record: dict) -> int:
    return int(record["worker"].rsplit(":", 1)[1])


def assert_all_of(build: Path, words: int) -> None:
    """The records are those of each word from 0 on, once in either mode, all bit-exact."""
    records = records_of(build)
    for label in ("TA", "HR"):
        own = sorted((r for r in records if r["label"] == label), key=lambda r: r["first"])
        assert [r["first"] for r in own] == list(range(0, words, SIZE))
        assert sum(r["cases"] for r in own) == words
    assert sum(r["cases"] for r in records) == 2 * words
    assert {r["mismatches"] for r in records} == {0}


def test_a_plan_has_every_word_once_in_both_modes(tmp_path):
    ranges = sweep.plan("encoder_fp32", tmp_path).ranges
    assert len(ranges) == 512
    for label in ("TA", "HR"):
        ends = [(part.first, part.first + part.count) for part in ranges if part.label == label]
        assert ends[0][0] == 0
        assert ends[-1][1] == 1 << 32
        assert all(end == first for (_, end), (first, _) in pairwise(ends))
    every = sweep.plan("encoder_fp32", tmp_path, every_setting=True).ranges
    cases = Counter()
    for part in every:
        cases[part.setting] += part.count
    assert list(cases.values()) == [1 << 32] * 8
    assert len({part.file for part in every}) == len({part.label for part in every}) * 256 == 2048


def test_a_plan_of_a_part_is_that_part(tmp_path):
    asked = sweep.plan("encoder_fp32_ta", tmp_path, first=0x3F000000, last=0x40FFFFFF)
    assert [(r.label, r.first, r.count) for r in asked.ranges] == [
        ("TA", 0x3F000000, 1 << 24),
        ("TA", 0x40000000, 1 << 24),
    ]
    assert [r.count for r in sweep.plan("encoder_fp16", tmp_path).ranges] == [1 << 16] * 2


SPECIAL = [
    0,
    1,
    0x007FFFFF,  # the largest subnormal
    0x337FFFFF,  # below 2^-24
    0x34000000,  # 2^-23, the smallest that is not zero
    0x3F800000,
    0x41800000,  # 16, exact, which HR moves
    0x41800001,
    0x46FFFFFF,
    0x47000000,  # 2^15
    0x47200000,  # 1.25 * 2^15, infinite
    0x7F800000,
    0x7F800001,
    0x7FC00000,
    0x7FFFFFFF,
]


@pytest.mark.parametrize("hybrid", [0, 1])
def test_the_library_encodes_as_the_paper_around_special_words(hybrid, builds):
    unit = UNITS["encoder_fp32"]
    run = sweep.load(sweep.library(unit, verify.exported(unit), builds))
    compared = 0
    for word in (magnitude | sign for magnitude in SPECIAL for sign in (0, 1 << 31)):
        first = word // 16 * 16
        for step in (-16, 0, 16):
            if not 0 <= first + step < 1 << 32:
                continue
            codes = np.full(16, 0xA5, np.uint8)
            assert run(first + step, 16, hybrid, codes.ctypes.data) == 16
            words = range(first + step, first + step + 16)
            if hybrid:
                expected = [paper.encode_hybrid(w, "float32") for w in words]
            else:
                expected = [paper.encode(paper.ieee_value(w, "float32")) for w in words]
            assert codes.tolist() == expected
            compared += 16
    # Zero and one have no step before them, and all ones no step after.
    assert compared == 16 * (30 * 3 - 2 - 1)


@pytest.mark.parametrize("setting", [TA, HR], ids=["TA", "HR"])
@pytest.mark.parametrize("first", [0x00000000, 0x41600000, 0x47000000, 0x7F600000, 0xFFC00000])
def test_a_range_is_compared_word_by_word(first, setting, builds):
    unit = UNITS["encoder_fp32"]
    text = verify.exported(unit)
    part = sweep.Range(setting, first, SIZE)
    record = sweep.run_range(unit.name, text, builds, part)
    assert (record.label, record.first, record.cases) == (part.label, first, SIZE)
    assert record.mismatches == 0
    words = np.arange(SIZE, dtype=np.uint32) + np.uint32(first)
    assert record.crc32 == zlib.crc32(encode(words.view(np.float32), part.label.lower()))


def test_every_setting_of_a_short_source_is_swept(hif8, build):
    status, out, err = hif8("sweep", "encoder_bf16", "--every-setting", "--build", build)
    assert (status, err) == (0, "")
    assert out.count("0 of 65,536 words done") == 8
    assert out.count("bit-exact") == 8
    assert "524,288 words in" in out
    assert Counter(r["label"] for r in records_of(build)) == dict.fromkeys(
        (
            mode + saturate + nan
            for mode in ("TA", "HR")
            for saturate in ("", " saturate")
            for nan in ("", " nan_to_zero")
        ),
        1,
    )
    words = np.arange(1 << 16, dtype=np.uint16)
    expected = [paper.encode_hybrid(int(word), "bfloat16", saturate=True) for word in words]
    [record] = [r for r in records_of(build) if r["label"] == "HR saturate"]
    assert record["crc32"] == zlib.crc32(bytes(expected))


def test_a_fault_in_the_verilog_is_found_and_explained(hif8, build, monkeypatch):
    unit = UNITS["encoder_bf16"]
    text = verify.exported(unit)
    wrong, count = re.subn(r"up = (.*) >= ", r"up = \1 > ", text)
    assert count == 1
    monkeypatch.setattr(verify, "exported", lambda unit: wrong)
    status, out, err = hif8("sweep", unit.name, "--build", build)
    assert (status, err) == (1, "")
    assert out.count("bit-exact") == out.count("FAIL") == 1
    assert "first mismatch: encoder_bf16 under HR" in out
    assert out.count("<--") == 1
    by_label = {record["label"]: record for record in records_of(build)}
    assert by_label["TA"]["mismatches"] == 0
    example = by_label["HR"]["example"]
    word = example["inputs"]["x"]
    assert example["options"] == {"hybrid": 1, "saturate": 0, "nan_to_zero": 0}
    assert example["expected"] == {"code": paper.encode_hybrid(word, "bfloat16")}
    assert example["got"] != example["expected"]
    # Nothing of this is taken for a result of the right Verilog.
    monkeypatch.undo()
    assert not sweep.finished(sweep.plan(unit.name, build / "sweep"))


def test_a_killed_sweep_goes_on_where_it_stopped(build):
    child = start("encoder_fp32", "--build", build)
    wait_until(lambda: len(files_of(build)) >= 3 or child.poll() is not None)
    child.kill()
    child.communicate()
    before = {path: path.stat().st_mtime_ns for path in files_of(build)}
    assert 3 <= len(before) < 2 * (1 << 32) // SIZE
    workers = {pid_of(record) for record in records_of(build)}
    wait_until(lambda: not any(map(alive, workers)))  # they do not outlive their parent

    old = [r for r in records_of(build) if r["first"] <= LAST]
    rest = start("encoder_fp32", "--last", hex(LAST), "--build", build)
    out, err = rest.communicate(timeout=DEADLINE)
    assert (rest.returncode, err) == (0, "")
    done = sum(record["cases"] for record in old if record["label"] == "TA")
    assert done > 0
    assert f"TA: {done:,} of {LAST + 1:,} words done" in out
    assert f"this run: {2 * (LAST + 1) - sum(r['cases'] for r in old):,} words" in out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for path in before:  # those beyond what was asked for now
        if json.loads(path.read_text())["first"] > LAST:
            path.unlink()
    assert_all_of(build, LAST + 1)


def test_a_killed_worker_process_loses_nothing(build):
    child = start("encoder_fp32", "--last", hex(LAST), "--jobs", 2, "--build", build)
    wait_until(lambda: files_of(build) or child.poll() is not None)
    os.kill(pid_of(records_of(build)[0]), signal.SIGKILL)
    assert len(files_of(build)) < 2 * 32
    _, err = child.communicate(timeout=DEADLINE)
    assert (child.returncode, err) == (0, "")
    assert_all_of(build, LAST + 1)


def test_ctrl_c_ends_in_one_line_and_keeps_what_is_done(build):
    child = start("encoder_fp32", "--build", build, start_new_session=True)
    wait_until(lambda: len(files_of(build)) >= 2 or child.poll() is not None)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does it: to the workers, too
    _, err = child.communicate(timeout=DEADLINE)
    assert (child.returncode, err) == (130, "hif8: interrupted\n")
    assert len(records_of(build)) >= 2
    assert not any(alive(pid_of(record)) for record in records_of(build))


@pytest.fixture
def scheduler(tmp_path):
    with scheduler_in(tmp_path) as address:
        yield address


def test_a_lost_worker_of_a_cluster_loses_nothing(scheduler, build, tmp_path):
    with worker(1, scheduler, tmp_path) as one, worker(2, scheduler, tmp_path) as other:
        arguments = ("--last", hex(LAST), "--build", build, "--scheduler", scheduler)
        child = start("encoder_fp32", *arguments)
        wait_until(lambda: files_of(build) or child.poll() is not None)
        quick = pid_of(records_of(build)[0])
        lost, left = (one, other) if quick == one.pid else (other, one)
        lost.kill()
        assert lost.pid == quick
        assert len(files_of(build)) < 2 * 32
        _, err = child.communicate(timeout=DEADLINE)
        assert (child.returncode, err) == (0, "")
        assert left.poll() is None
    assert_all_of(build, LAST + 1)
    assert {pid_of(record) for record in records_of(build)} == {lost.pid, left.pid}


def test_a_cluster_without_workers_or_scheduler_is_one_line(hif8, scheduler, build, monkeypatch):
    nowhere = "tcp://127.0.0.1:1"
    idle, unheard = (
        start("encoder_bf16", "--build", build / name, "--scheduler", at)
        for name, at in (("idle", scheduler), ("unheard", nowhere))
    )
    _, err = idle.communicate(timeout=DEADLINE)
    assert idle.returncode == 1
    assert err == f"hif8: the Dask scheduler at {scheduler} has no worker\n"
    _, err = unheard.communicate(timeout=DEADLINE)
    assert unheard.returncode == 1
    assert err.startswith(f"hif8: no Dask scheduler answers at {nowhere}: ")
    assert err.count("\n") == 1

    monkeypatch.setattr(pool, "find_spec", lambda name: None)
    status, _, err = hif8("sweep", "encoder_bf16", "--scheduler", scheduler)
    assert (status, err) == (
        1,
        "hif8: --scheduler needs Dask, run: pip install hif8[cluster]\n",
    )
    assert not files_of(build)


def test_what_is_damaged_or_forgotten_is_run_again(hif8, build):
    arguments = ("sweep", "encoder_bf16", "--build", build)
    assert hif8(*arguments)[0] == 0
    status, out, _ = hif8(*arguments)
    assert status == 0
    assert out.count("65,536 of 65,536 words done") == 2
    assert "this run: 0 words" in out
    files_of(build)[0].write_text("{")
    status, out, _ = hif8(*arguments)
    assert status == 0
    assert out.count("65,536 of 65,536 words done") == 1
    assert "this run: 65,536 words" in out
    assert "this run: 131,072 words" in hif8(*arguments, "--fresh")[1]


def test_two_sweeps_in_one_folder_are_one_line(hif8, build):
    asked = sweep.plan("encoder_bf16", build / "sweep")
    with sweep.alone(asked.folder):
        status, _, err = hif8("sweep", "encoder_bf16", "--build", build)
    assert status == 1
    assert err.startswith("hif8: another sweep is running in ")
    assert err.count("\n") == 1


def test_a_sweep_that_misses_a_range_is_an_error(build, monkeypatch):
    asked = sweep.plan("encoder_bf16", build / "sweep")

    def one(function, parts, **_):
        yield 0, function(parts[0])

    monkeypatch.setattr(pool, "spread", one)
    with pytest.raises(ToolError, match="not those asked for"):
        sweep.run(asked, {}, root=build / "sim")
