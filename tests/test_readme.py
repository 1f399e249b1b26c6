# SPDX-License-Identifier: Apache-2.0
"""What the README says is so: its table of sums, its code, its pictures, links and commands."""

import fnmatch
import re
import shutil
import struct
import subprocess
from pathlib import Path

import typer
from conftest import ROOT, need
from hif8 import cli
from hif8.analysis.figures import FIGURES
from hif8.hdl.configs import UNITS
from hif8.hdl.export import verilog
from hif8.sim.effort import EFFORTS

README = (ROOT / "README.md").read_text()
SUMS = ("sum", "matrix")
"""The benches of units that have a largest K."""

TESTBENCH = """
module testbench;
  reg clk = 0, rst = 1, valid = 0, first = 0, last = 0;
  reg [7:0] a = 0, b = 0;
  wire ready, done;
  wire [31:0] sum;
  dot_product dut (.clk(clk), .rst(rst), .valid(valid), .ready(ready), .a(a), .b(b),
                   .first(first), .last(last), .done(done), .sum(sum));
  always #1 clk = !clk;
  always @(posedge clk) if (done) $display("%h", sum);
  task beat(input [7:0] x, input [7:0] y, input f, input l);
    begin
      valid = 1; a = x; b = y; first = f; last = l;
      @(negedge clk);
    end
  endtask
  initial begin
    @(negedge clk) rst = 0;
    beat(8'h08, 8'h10, 1, 0);  // 1 x 2
    beat(8'h0C, 8'h20, 0, 0);  // 1.5 x 4
    beat(8'h98, 8'h14, 0, 1);  // -0.5 x 3
    beat(8'h08, 8'h08, 1, 1);  // 1 x 1
    valid = 0;
    repeat (9) @(negedge clk);
    $finish;
  end
endmodule
"""


IVERILOG = ("iverilog", "-Wall", "-g2005", "-o", "sim")


def run(folder: Path, *command: str) -> str:
    """Run a tool and return all that it says."""
    done = subprocess.run(
        [shutil.which(command[0]), *command[1:]],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def blocks(language: str) -> list[str]:
    found = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", README)
    assert found
    return found


def number(cell: str) -> int | None:
    """Return the largest K that a cell of the table states."""
    return None if cell == "any" else 1 << int(re.fullmatch(r"2\^(\d+)", cell)[1])


def table(header: str) -> list[list[str]]:
    """Return the cells of the table whose header line begins so."""
    [lines] = re.findall(rf"(?m)^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", README)
    return [line.strip("| ").split(" | ") for line in lines.splitlines()]


def test_the_table_of_modules_names_every_module():
    modules = {unit.module for unit in UNITS.values()}
    named = set()
    for cell, *_ in table("module"):
        pattern = ""
        for name in re.findall(r"`(.*?)`", cell):
            # A name that is only an ending takes the place of as much of the one before.
            pattern = name if name[0] != "_" else pattern.rsplit("_", name.count("_"))[0] + name
            found = fnmatch.filter(modules, pattern)
            assert found, pattern
            named |= set(found)
    assert named == modules


def test_the_table_of_sums_is_that_of_the_units():
    rows = table("unit \\| products a beat \\| latency \\| interval")
    stated = {name.strip("`"): (int(n), int(cycles), number(k)) for name, n, cycles, _, k in rows}
    units = [unit for unit in UNITS.values() if unit.bench in SUMS]
    assert stated == {unit.name: (unit.products, unit.latency, unit.max_products) for unit in units}
    for name, _, _, interval, _ in rows:
        assert int(re.match(r"\d+", interval)[0]) == UNITS[name.strip("`")].initiation_interval
        size = UNITS[name.strip("`")].parameters.get("rows")
        assert size is None or interval.endswith(f"a tile of K < {size} takes {size}")


def test_the_verilog_is_silent_under_icarus_and_adds(tmp_path: Path):
    need("icarus")
    [snippet] = blocks("verilog")
    (tmp_path / "top.v").write_text(snippet)
    (tmp_path / "mac.v").write_text(verilog(UNITS["mac_fp32"]))
    (tmp_path / "testbench.v").write_text(TESTBENCH)
    top = run(tmp_path, *IVERILOG, "-s", "dot_product", "top.v", "mac.v")
    assert top == ""
    run(tmp_path, *IVERILOG, "testbench.v", "top.v", "mac.v")
    printed = run(tmp_path, "vvp", "sim")
    words = [struct.pack(">f", value).hex() for value in (2 + 6 - 1.5, 1)]
    assert [line for line in printed.splitlines() if "finish" not in line] == words


def test_the_python_runs():
    snippet, _ = blocks("python")  # the other needs torch
    values = {}
    exec(compile(snippet, "README.md", "exec"), values)
    assert [f"0x{code:02X}" for code in values["codes"]] == ["0x0E", "0xFE", "0x6F"]


def test_pictures_and_links_are_there():
    targets = re.findall(r"\]\((?!https:)(.*?)\)", README)
    assert len(targets) > 8
    headings = re.findall(r"(?m)^#+ (.*)$", README)
    anchors = {"#" + re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}
    for target in targets:
        assert target in anchors if target.startswith("#") else (ROOT / target).exists(), target


def test_commands_and_options_are_those_of_the_command_line():
    known = typer.main.get_command(cli.app).commands
    lines = re.findall(r"(?m)^hif8 ([\w-]+)(.*)$", "".join(blocks("sh")))
    assert len(lines) > 10
    options = 0
    for command, rest in lines:
        assert command in known
        takes = {option for param in known[command].params for option in param.opts}
        used = set(re.findall(r"--[a-z][\w-]+", rest))
        assert used <= takes, command
        options += len(used)
    assert options > 5


def test_the_table_of_figures_names_each_of_them_once():
    names = [name for row in table("figure") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(names) == sorted(FIGURES)


def test_the_table_of_efforts_has_their_floors():
    rows = table("effort \\| for")
    assert [row[0].strip("`") for row in rows] == list(EFFORTS)
    for name, _, *cells in rows:
        for simulator, cell in zip(("verilator", "icarus"), cells, strict=True):
            floor = EFFORTS[name.strip("`")][simulator]
            share, cases = cell.replace(" of the directed cases", "").split(";")[0].split(", ")[:2]
            assert share == ("all" if floor.share == 1 else str(floor.share))
            assert int(cases.removesuffix(" random cases").replace(",", "")) == floor.random_cases
            assert ("1 s" in cell) == (floor.seconds == 1)
