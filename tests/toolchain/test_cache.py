# SPDX-License-Identifier: Apache-2.0
"""What is kept: made once by however many, whole or not at all, anew if anything differs."""

import json
import subprocess
import sys

import pytest
from hif8.toolchain.cache import digest, kept, kept_folder

TWO = """
import sys, time
from pathlib import Path
from hif8.toolchain.cache import kept, kept_folder

folder = Path(sys.argv[1])

def count():
    with (folder / "made").open("a") as made:
        made.write("x")
    time.sleep(0.5)

def make():
    count()
    return {"n": 1}

def fill(own):
    count()
    (own / "model").write_text("built")

row = kept(folder, "row", ["of"], make)
built = kept_folder(folder, "b", ["of"], fill)
print(row["n"], (built / "model").read_text())
"""


def test_a_digest_knows_where_a_part_ends():
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest("ab") == digest(b"ab")


def test_two_processes_make_it_once(tmp_path):
    command = [sys.executable, "-c", TWO, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [child.communicate(timeout=60)[0] for child in both] == ["1 built\n"] * 2
    assert (tmp_path / "made").read_text() == "xx"  # the row, and the folder


def test_what_it_is_made_of_makes_it_another(tmp_path):
    made = [kept(tmp_path, "row", parts, lambda n=n: n) for n, parts in enumerate((["a"], ["b"]))]
    assert made == [0, 1]
    assert kept(tmp_path, "row", ["a"], lambda: pytest.fail("made again")) == 0
    assert {json.loads(path.read_text()) for path in tmp_path.glob("row-*.json")} == {0, 1}


def test_a_failure_leaves_nothing_to_be_taken_for_a_result(tmp_path):
    def fail(*_):
        raise InterruptedError

    def half(folder):
        (folder / "half").write_text("")
        raise InterruptedError

    for keep, make in ((kept, fail), (kept_folder, half)):
        with pytest.raises(InterruptedError):
            keep(tmp_path, "a", [], make)
    assert not list(tmp_path.glob("*.json"))
    folder = kept_folder(tmp_path, "a", [], lambda own: (own / "whole").write_text(""))
    assert sorted(path.name for path in folder.iterdir()) == ["built", "whole"]
