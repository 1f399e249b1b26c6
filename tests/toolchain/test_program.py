# SPDX-License-Identifier: Apache-2.0
"""Programs: what is said of one that is missing or fails, and that nothing of one is left."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import skip_if
from hif8.toolchain import abc, program, sta, yosys
from hif8.toolchain.program import OutOfTimeError, Program, ToolError, folder_of, telling_line
from tasks import DEADLINE, alive, wait_until

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child", "w").write(str(child.pid))
time.sleep(600)
"""
"""A program that starts another, as Yosys does ABC."""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a program that is some Python."""

    def make(text: str) -> Program:
        script = tmp_path / "stand-in"
        script.write_text(
            f"#!{sys.executable}\nimport sys\nif '-V' in sys.argv: sys.exit(print('v 1.2'))\n{text}"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return Program("stand-in", "install it", ("-V",))

    return make


def child_of(folder: Path) -> int:
    path = folder / "child"
    wait_until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def test_it_says_its_version_and_what_it_prints(stand_in, tmp_path):
    tool = stand_in("print(sys.argv[1:]); print('more', file=sys.stderr)")
    assert (tool.version(), tool.missing) == ("1.2", "")
    assert sorted(tool.run(tmp_path, "a", "b").splitlines()) == ["['a', 'b']", "more"]


@pytest.mark.parametrize("tool", [yosys.DEBIAN, abc.ABC, sta.STA])
def test_a_missing_program_says_how_to_have_it(tool, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = f"{tool.name} is not installed: {tool.install}"
    assert tool.missing == line
    for ask in (tool.version, lambda: tool.run(tmp_path)):
        with pytest.raises(ToolError) as error:
            ask()
        assert str(error.value) == line


def test_a_missing_package_says_how_to_have_it(tmp_path):
    tool = Program("no-such-package", "make setup")
    with pytest.raises(ToolError, match=r"^no-such-package is not installed: make setup$"):
        tool.run(tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("print('ERROR: of its own\\nlast'); sys.exit(1)", "ERROR: of its own"),
        ("sys.exit('no memory')", "no memory"),
        ("sys.exit(3)", "exit status 3"),
    ],
)
def test_a_failure_is_one_line(stand_in, tmp_path, text, line):
    with pytest.raises(ToolError) as error:
        stand_in(text).run(tmp_path)
    assert str(error.value) == f"stand-in failed: {line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("begin\n%Error: a.v:1: syntax error\n%Error: Exiting due to 1 error(s)", 1),
        ("0 errors\nERROR: no such cell\nend", 1),
        ("one error here\nlast", 0),
        ("first\n last \n\n", 1),
    ],
)
def test_the_telling_line_is_the_first_error_or_the_last_of_all(text, line):
    assert telling_line(text) == text.splitlines()[line].strip()
    assert telling_line(" \n") == ""


def test_a_timeout_kills_all_of_the_group(stand_in, tmp_path):
    begin = time.monotonic()
    with pytest.raises(OutOfTimeError, match=r"^stand-in gave no answer within 1 s$"):
        stand_in(FAMILY).run(tmp_path, timeout=1)
    assert time.monotonic() - begin < DEADLINE
    child = child_of(tmp_path)
    wait_until(lambda: not alive(child))


def test_a_stopped_task_kills_all_of_the_group(stand_in, tmp_path):
    tool, stop, errors = stand_in(FAMILY), threading.Event(), []

    def task() -> None:
        with program.stopped_by(stop):
            try:
                tool.run(tmp_path)
            except ToolError as error:
                errors.append(str(error))

    thread = threading.Thread(target=task)
    thread.start()
    child = child_of(tmp_path)
    assert alive(child)
    stop.set()
    thread.join(DEADLINE)
    assert errors == ["stopped"]
    wait_until(lambda: not alive(child))


def test_ctrl_c_kills_all_of_the_group(stand_in, tmp_path):
    stand_in(FAMILY)
    script = "from pathlib import Path; from hif8.toolchain.program import Program\n"
    script += "Program('stand-in', '', ('-V',)).run(Path())"
    asking = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    child = child_of(tmp_path)
    asking.send_signal(signal.SIGINT)
    assert asking.wait(DEADLINE) != 0
    wait_until(lambda: not alive(child))


def test_what_a_program_leaves_behind_ends_with_it(stand_in, tmp_path):
    stand_in(FAMILY.replace("time.sleep(600)\n", "")).run(tmp_path)
    child = child_of(tmp_path)
    wait_until(lambda: not alive(child))


@pytest.mark.parametrize("tool", [yosys.DEBIAN, yosys.PYPI, yosys.AMARANTH])
def test_each_yosys_runs_a_script_to_its_end(tool):
    il = "module \\a\n  wire input 1 \\x\n  wire output 2 \\y\n  connect \\y \\x\nend\n"
    with folder_of({"a.il": il}) as folder:
        yosys.run(tool, folder, "read_rtlil a.il\nwrite_verilog a.v")
        assert "assign y = x;" in (folder / "a.v").read_text()
        with pytest.raises(ToolError, match=rf"^{tool.name} failed: .*[Nn]o such command"):
            yosys.run(tool, folder, "nonsense")


def test_a_yosys_that_ends_early_with_status_0_is_an_error(stand_in, tmp_path):
    with pytest.raises(ToolError, match=r"^stand-in ended before its script$"):
        yosys.run(stand_in("pass"), tmp_path, "anything")


def test_abc_compares():
    skip_if(abc.ABC.missing)
    both = ".model m\n.inputs x y\n.outputs z\n.names x y z\n11 1\n.end\n"
    either = both.replace("11 1", "1- 1\n-1 1")
    with folder_of({"both.blif": both, "same.blif": both, "either.blif": either}) as folder:
        assert "Networks are equivalent" in abc.run(folder, "cec both.blif same.blif")
        assert "NOT EQUIVALENT" in abc.run(folder, "cec both.blif either.blif")
