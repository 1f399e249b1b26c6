# SPDX-License-Identifier: Apache-2.0
"""The exported Verilog: its contract, its bytes, what linters say of it."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import grimp
import pytest
from hif8.hdl import export
from hif8.hdl.configs import SMALL, UNITS, select
from hif8.toolchain import yosys
from hif8.toolchain.lock import alone
from hif8.toolchain.program import ToolError, folder_of
from hif8.toolchain.simulators import SIMULATORS

CONTRACT = {
    "hif8_decoder": "code:8> sign:1 exponent:6s significand:4 zero:1 inf:1 nan:1",
    "hif8_encoder_fp32_ta": "x:32> saturate:1> nan_to_zero:1> code:8",
    "hif8_encoder_fp32": "x:32> hybrid:1> saturate:1> nan_to_zero:1> code:8",
    "hif8_encoder_fp16": "x:16> hybrid:1> saturate:1> nan_to_zero:1> code:8",
    "hif8_encoder_bf16": "x:16> hybrid:1> saturate:1> nan_to_zero:1> code:8",
    "hif8_to_fp32": "code:8> x:32",
    "hif8_to_fp16": "code:8> x:16",
    "hif8_to_bf16": "code:8> x:16",
    "hif8_multiplier": "a:8> b:8> sign:1 exponent:7s significand:8 inf:1 nan:1",
    "hif8_encoder_fp32_s1": "clk:1> rst:1> i_valid:1> i_ready:1 x:32> hybrid:1> saturate:1> "
    "nan_to_zero:1> o_valid:1 o_ready:1> code:8",
}


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """All exported files; processes that share the tests share these, too."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "verilog"
    with alone(out.with_suffix(".lock")):
        if not out.exists():
            export.export(select(), out)
    return out


@pytest.fixture(scope="session")
def manifest(exported) -> dict:
    return json.loads((exported / "manifest.json").read_text())


def shorthand(port: dict) -> str:
    mark = "s" * port["signed"] + ">" * (port["direction"] == "input")
    return f"{port['name']}:{port['width']}{mark}"


@pytest.mark.parametrize("module", CONTRACT)
def test_ports_are_the_contract(manifest, module):
    entry = next(entry for entry in manifest["modules"] if entry["module"] == module)
    assert " ".join(map(shorthand, entry["ports"])) == CONTRACT[module]


@pytest.mark.parametrize("name", UNITS)
def test_module_lists_its_ports_in_the_manifest_order(exported, manifest, name):
    text = (exported / f"hif8_{name}.v").read_text()
    entry = next(entry for entry in manifest["modules"] if entry["unit"] == name)
    names = ", ".join(port["name"] for port in entry["ports"])
    assert f"\nmodule hif8_{name}({names});" in text
    header = text.split("\nmodule")[0]
    assert all(f" {port['name']}" in header for port in entry["ports"])
    assert text.startswith("// SPDX-License-Identifier: Apache-2.0")
    parts = [part["module"] for part in entry["parts"]]
    assert re.findall(r"(?m)^module (\w+)", text) == [f"hif8_{name}", *parts]
    assert "\\" not in text  # no escaped name


def test_manifest_tells_the_files(exported, manifest):
    assert [entry["unit"] for entry in manifest["modules"]] == list(UNITS)
    for entry in manifest["modules"]:
        content = (exported / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        unit = UNITS[entry["unit"]]
        for key in ("latency", "initiation_interval", "max_products"):
            assert entry[key] == getattr(unit, key)
    assert {path.name for path in exported.iterdir()} == {
        "manifest.json",
        *(entry["file"] for entry in manifest["modules"]),
    }


def test_manifest_and_header_state_latency_interval_and_products(exported, manifest):
    for entry in manifest["modules"]:
        header = (exported / entry["file"]).read_text().split("\nmodule")[0]
        assert f"\n// Latency     {entry['latency']} cycles" in header
        interval = "1 cycle" if entry["latency"] else None
        assert (f"\n// Interval    {interval}" in header) == bool(interval)
        assert entry["initiation_interval"] == (1 if interval else None)
        kind = entry["parameters"].get("accumulator")
        most = {"exact": f"up to {2**20}", "fp32": "any number", None: None}[kind]
        assert (f"\n// Products    {most} in a sum\n" in header) == bool(kind)
        assert entry["max_products"] == (2**20 if kind == "exact" else None)


def test_no_file_holds_a_path(exported):
    for path in exported.iterdir():
        assert not any(root in path.read_text() for root in ("/work/", "/root/", "/home/", "/tmp/"))


def test_two_exports_elsewhere_are_byte_identical(exported, tmp_path):
    units = ["decoder", "encoder_fp32", "to_fp16_s2"]
    out = tmp_path / "far" / "away"
    code = f"from hif8.cli import main; import sys; sys.argv = {['hif8', 'verilog', '--out']!r}"
    code += f" + [{str(out)!r}] + {units!r}; sys.exit(main())"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)
    for name in units:
        file = f"hif8_{name}.v"
        assert (out / file).read_bytes() == (exported / file).read_bytes()


def lint(*arguments: object) -> str:
    environment = os.environ | SIMULATORS["verilator"].environment()
    run = subprocess.run(
        ["verilator", "--lint-only", "-Wall", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if run.returncode == 0 else run.stdout + run.stderr


@pytest.mark.parametrize("name", UNITS)
def test_verilator_lint_is_clean_with_the_waivers(exported, manifest, name):
    entry = next(entry for entry in manifest["modules"] if entry["unit"] == name)
    parts = [part["module"] for part in entry["parts"]]
    # Verilator looks at each of a thousand cells: of a large unit every part is linted by itself.
    for top in parts if UNITS[name].large else [entry["module"]]:
        assert lint("--top-module", top, export.WAIVERS, exported / entry["file"]) == ""


def test_verilator_lint_catches_a_planted_error(exported, tmp_path):
    text = (exported / "hif8_decoder.v").read_text()
    planted = tmp_path / "hif8_decoder.v"
    planted.write_text(text.replace("input [7:0] code;", "input [6:0] code;"))
    assert "code" in lint(export.WAIVERS, planted)


def test_every_waiver_has_a_reason_and_is_needed(exported, tmp_path):
    lines = export.WAIVERS.read_text().splitlines()
    rules = [line for line in lines if line.startswith("lint_off")]
    assert 0 < len(rules) <= 3
    files = [exported / f"hif8_{name}.v" for name in SMALL]
    for rule in rules:
        assert lines[lines.index(rule) - 1].startswith("//")
        less = tmp_path / "less.vlt"
        less.write_text("\n".join(line for line in lines if line != rule) + "\n")
        assert any(rule.split()[-1] in lint(less, file) for file in files)


@pytest.mark.parametrize("name", UNITS)
def test_icarus_is_silent(exported, name, icarus):
    run = subprocess.run(
        ["iverilog", "-Wall", "-g2005", "-t", "null", exported / f"hif8_{name}.v"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def at_rest(entry: dict) -> str:
    """Return a bench in which every input but the clock and the reset is a constant throughout."""
    ports, outputs = [], []
    for port in entry["ports"]:
        name, width = port["name"], port["width"]
        if port["direction"] == "output":
            outputs.append(f"  wire [{width - 1}:0] {name};")
            ports.append(f".{name}({name})")
        elif name in ("clk", "rst"):
            ports.append(f".{name}({name})")
        else:
            one = name in ("o_ready", "i_valid", "first", "last") or name.startswith(("m_", "s_"))
            ports.append(f".{name}({width}'d{int(one)})")
    seen = ", ".join(p["name"] for p in entry["ports"] if p["direction"] == "output")
    lines = "\n".join(outputs)
    return f"""
module bench;
  reg clk, rst;
{lines}
  {entry["module"]} dut({", ".join(ports)});
  integer cycle;
  initial begin
    clk = 0;
    rst = 1;
    for (cycle = 0; cycle < 400; cycle = cycle + 1) begin
      #1 clk = 1;
      #1 clk = 0;
      rst = 0;
    end
    if (^{{{seen}}} === 1'bx) $display("unknown: %b", {{{seen}}});
    else $display("known");
  end
endmodule
"""


@pytest.mark.parametrize("language", ["2005", "2012"])
@pytest.mark.parametrize("name", SMALL)
def test_outputs_are_known_though_no_input_ever_changes(
    exported, manifest, tmp_path, name, language, icarus
):
    entry = next(entry for entry in manifest["modules"] if entry["unit"] == name)
    bench, run = tmp_path / "bench.v", tmp_path / "bench.vvp"
    bench.write_text(at_rest(entry))
    sources = [bench, exported / entry["file"]]
    subprocess.run(["iverilog", f"-g{language}", "-o", run, *sources], check=True)
    said = subprocess.run(["vvp", "-n", run], capture_output=True, text=True, check=True)
    assert said.stdout == "known\n"


def instances(entry: dict) -> dict[str, int]:
    """Return how many copies there are of every module of a unit."""
    counts = {entry["module"]: 1}
    left = list(entry["parts"])
    while left:
        part = next(p for p in left if p["instances"].keys() <= counts.keys())
        counts[part["module"]] = sum(counts[w] * n for w, n in part["instances"].items())
        left.remove(part)
    return counts


@pytest.mark.parametrize(
    ("name", "copies"),
    [
        ("mac_exact", {}),
        ("dot4_fp32", {"decoder": 8, "multiplier": 4, "term": 4}),
        ("dot32_exact", {"decoder": 64, "multiplier": 32, "term": 32, "group": 4}),
        ("axi_matrix4x4_exact_to_hif8", {"operand": 8, "row": 4, "cell": 16, "readout": 4}),
        ("matrix32x32_exact_to_fp32", {"operand": 64, "row": 32, "cell": 1024, "readout": 32}),
    ],
)
def test_manifest_and_comments_tell_the_parts(exported, manifest, name, copies):
    entry = next(entry for entry in manifest["modules"] if entry["unit"] == name)
    expected = {f"hif8_{name}__{kind}": count for kind, count in copies.items()}
    assert instances(entry) == {f"hif8_{name}": 1, **expected}
    text = (exported / entry["file"]).read_text()
    for part in entry["parts"]:
        assert f"\n// {part['module']}: {part['summary']}\nmodule {part['module']}(" in text


@pytest.mark.parametrize(
    ("name", "lines"), [("matrix8x8_exact_to_fp32", 4000), ("matrix32x32_exact_to_fp32", 6000)]
)
def test_a_file_grows_with_the_kinds_of_parts(exported, name, lines):
    assert (exported / f"hif8_{name}.v").read_text().count("\n") < lines


def test_all_files_elaborate_together_under_icarus(exported, icarus):
    files = [exported / f"hif8_{name}.v" for name in UNITS]
    run = subprocess.run(
        ["iverilog", "-Wall", "-g2005", "-t", "null", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def together(names: Iterable[str]) -> str:
    """Return a module with an instance of each unit, its ports left open."""
    places = "".join(f"  hif8_{name} of_{name} ();\n" for name in names)
    return f"module together;\n{places}endmodule\n"


def test_all_files_elaborate_together_under_verilator(exported, tmp_path):
    (tmp_path / "together.v").write_text(together(SMALL))
    files = [exported / f"hif8_{name}.v" for name in UNITS]
    top = ("--top-module", "together", tmp_path / "together.v")
    assert lint("-Wno-PINMISSING", export.WAIVERS, *top, *files) == ""


def test_all_files_elaborate_together_under_yosys(exported):
    files = {f"hif8_{name}.v": (exported / f"hif8_{name}.v").read_text() for name in UNITS}
    with folder_of(files) as folder:
        script = f"read_verilog {' '.join(files)}\nhierarchy -check\ncheck -assert\n"
        yosys.run(yosys.PYPI, folder, script)
        with pytest.raises(ToolError, match="hif8_decoder"):
            yosys.run(yosys.PYPI, folder, "read_verilog hif8_decoder.v hif8_decoder.v\n")


def test_what_was_generated_before_is_read_until_a_source_changes(tmp_path, monkeypatch):
    unit = UNITS["to_bf16"]
    text = export.kept_verilog(unit, tmp_path)
    assert text == export.verilog(unit)
    monkeypatch.setattr(export, "verilog", lambda unit: "new")
    assert export.kept_verilog(unit, tmp_path) == text
    assert export.kept_verilog(replace(unit, summary="another"), tmp_path) == "new"
    monkeypatch.setattr(export, "_sources", lambda: "changed")
    assert export.kept_verilog(unit, tmp_path) == "new"


def test_all_that_an_export_is_made_of_counts():
    hdl = {Path("hdl", path.name) for path in Path(export.__file__).parent.glob("*.py")}
    graph = grimp.build_graph("hif8", cache_dir=None)
    used = {name.split(".", 1)[1] for name in graph.find_upstream_modules("hif8.hdl.export")}
    files = {Path(*name.split(".")).with_suffix(".py") for name in used}
    apart = {Path("files.py"), Path("hdl.py"), Path("golden.py")}  # write files, or hold nothing
    tools = {path for path in files if path.parts[0].startswith("toolchain")}  # told by versions
    assert files - hdl - apart - tools == {Path("golden", "format.py")}


def test_a_failed_conversion_leaves_the_old_files(tmp_path, monkeypatch):
    (tmp_path / "hif8_decoder.v").write_text("old")
    monkeypatch.setattr(export, "_SCRIPT", "no such command\n")
    with pytest.raises(ToolError, match="Yosys could not write hif8_decoder"):
        export.export(select(["decoder"]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["hif8_decoder.v"]
    assert (tmp_path / "hif8_decoder.v").read_text() == "old"
