# SPDX-License-Identifier: Apache-2.0
"""The benches themselves: one wrong bit is found wherever it is, and an empty run never passes.

A fault is put around the exported Verilog: the unit is renamed and a module of its name, with its
ports, passes everything through but for the fault.
"""

import numpy as np
import pytest
from conftest import need
from hif8.hdl.configs import UNITS
from hif8.sim import verify
from hif8.sim.lanes import lane_dtype
from hif8.toolchain.program import ToolError
from hif8.toolchain.simulators import SIMULATORS
from planted import faulty

pytestmark = pytest.mark.slow
PLANTED = {1: 0, 6: 0, 8: 0x5A, 16: 0x3C00, 32: 0x3F800000, 96: 1 << 44}
"""A word of each width that every bench must run: no flag, no scale, a code, and one."""
LANED = [
    unit
    for unit in UNITS.values()
    if not unit.core
    and not unit.latency
    and all(unit.ports[name].width in PLANTED for name in unit.data_inputs)
]
ONE_PER_BENCH = list({unit.bench: unit for unit in reversed(LANED)}.values())
STREAM = UNITS["to_fp32_s1"]


@pytest.fixture
def root(builds):
    return builds / "faults"


def every_output_bit(unit) -> tuple[str, int]:
    """Return Verilog in which bit k of all outputs is wrong where the first input is k."""
    bits = sum(unit.ports[name].width for name in unit.outputs)
    first = unit.data_inputs[0]
    body = (
        f"wire [{bits - 1}:0] wrong = {first} < {bits} ? {bits}'d1 << {first} : {bits}'d0;\n"
        f"assign {{{', '.join(unit.outputs)}}} = "
        f"{{{', '.join(f'inner_{name}' for name in unit.outputs)}}} ^ wrong;"
    )
    return faulty(unit, body, *unit.outputs), bits


def check_every_output_bit(unit, simulator, root):
    text, bits = every_output_bit(unit)
    cases = {}
    for name in unit.data_inputs:
        dtype = lane_dtype(unit.ports[name])
        words = range(bits + 7) if name == unit.data_inputs[0] else [0] * (bits + 7)
        raw = b"".join(word.to_bytes(dtype.itemsize, "little") for word in words)
        cases[name] = np.frombuffer(raw, dtype)
    options = dict.fromkeys(unit.options, 0)
    verdict, _ = verify.run(unit, simulator, root=root, text=text, tensors=cases, options=options)
    assert (verdict.status, verdict.cases, verdict.mismatches) == ("fail", bits + 7, bits)
    assert verdict.note == f"{bits} of {bits + 7} cases differ from golden"


def test_every_kind_of_bench_is_tested():
    laned = {"decoder", "encoder", "converter", "multiplier", "readout"}
    assert {unit.bench for unit in LANED} >= laned
    assert {unit.bench for unit in ONE_PER_BENCH} == {unit.bench for unit in LANED}


@pytest.mark.parametrize("unit", ONE_PER_BENCH, ids=lambda unit: unit.name)
def test_every_output_bit_is_compared(unit, root):
    need("icarus")
    check_every_output_bit(unit, "icarus", root)


def test_every_output_bit_is_compared_under_verilator_too(root):
    need("verilator")
    check_every_output_bit(UNITS["decoder"], "verilator", root)


@pytest.mark.parametrize("unit", ONE_PER_BENCH, ids=lambda unit: unit.name)
def test_one_wrong_bit_of_one_case_is_found_and_explained(unit, root):
    need("icarus")
    words = {name: PLANTED[unit.ports[name].width] for name in unit.data_inputs}
    here = " & ".join(f"({n} == {unit.ports[n].width}'d{word})" for n, word in words.items())
    last = unit.outputs[-1]
    text = faulty(unit, f"assign {last} = inner_{last} ^ ({here});", last)
    options = dict.fromkeys(unit.options, 0)
    every = {"effort": "soak", "random_cases": 0}  # all directed cases
    verdict, _ = verify.run(unit, "icarus", root=root, text=text, options=options, **every)
    assert verdict.status == "fail"
    assert 1 <= verdict.mismatches <= 2  # an encoder's bench runs `one` twice, as a value too
    assert verdict.first["inputs"] == words
    assert verdict.first["options"] == options
    assert verdict.first["expected"][last] ^ verdict.first["got"][last] == 1
    rows = verify.explain(unit, verdict.first)
    assert [row[0] for row in rows] == [*words, *options, *unit.outputs]
    inputs = rows[: len(words)]
    for name, shown, got in inputs:
        word = f"0x{words[name]:02X} = " if unit.ports[name].carries else str(words[name])
        assert shown.startswith(word)
        assert got == ""
    differing = [name for name, expected, got in rows if got not in ("", expected)]
    assert differing == [last]


STREAM_FAULTS = {
    "the data of one item": (
        "assign {data} = inner_{data} ^ (inner_{data} == {one});",
        ["{data}"],
        {},
    ),
    "an item lost": (
        "reg lost = 0; wire hit = inner_o_valid & (inner_{data} == {one}) & ~lost;\n"
        "always @(posedge clk) if (hit) lost <= 1;\n"
        "assign o_valid = inner_o_valid & ~hit; assign {data} = inner_{data};",
        ["o_valid", "{data}"],
        {"o_ready": "o_ready | hit"},
    ),
    "an item repeated": (
        "reg again = 0; wire hit = inner_o_valid & (inner_{data} == {one}) & ~again;\n"
        "always @(posedge clk) if (o_valid & o_ready) again <= hit;\n"
        "assign o_valid = inner_o_valid; assign {data} = inner_{data};",
        ["o_valid", "{data}"],
        {"o_ready": "o_ready & ~hit"},
    ),
    "a bubble every other cycle": (
        "reg odd = 0; always @(posedge clk) odd <= ~odd; assign i_ready = inner_i_ready & odd;",
        ["i_ready"],
        {"i_valid": "i_valid & odd"},
    ),
    "a free register left empty while the receiver waits": (
        "assign i_ready = inner_i_ready & o_ready;",
        ["i_ready"],
        {"i_valid": "i_valid & o_ready"},
    ),
    "one register more than stated": (
        "reg full = 0; reg [{top}:0] held; wire moves = ~full | o_ready;\n"
        "always @(posedge clk) if (rst) full <= 0; else if (moves) full <= inner_o_valid;\n"
        "always @(posedge clk) if (moves) held <= inner_{data};\n"
        "assign o_valid = full; assign {data} = held;",
        ["o_valid", "{data}"],
        {"o_ready": "moves"},
    ),
    "valid withdrawn while it waits": (
        "reg waited = 0; always @(posedge clk) waited <= o_valid & ~o_ready;\n"
        "assign o_valid = inner_o_valid & ~waited;",
        ["o_valid"],
        {"o_ready": "o_ready & ~waited"},
    ),
    "data changed while it waits": (
        "reg waited = 0; always @(posedge clk) waited <= o_valid & ~o_ready;\n"
        "assign {data} = inner_{data} ^ waited;",
        ["{data}"],
        {},
    ),
    "a reset that leaves what is inside": (
        "reg used = 0; always @(posedge clk) if (~rst) used <= 1;",
        [],
        {"rst": "rst & ~used"},
    ),
}


def stream_fault(name: str) -> str:
    body, tapped, pins = STREAM_FAULTS[name]
    data = STREAM.core.outputs[0]
    width = STREAM.ports[data].width
    words = {
        "{data}": data,
        "{top}": str(width - 1),
        "{one}": {8: "8'h08", 16: "16'h3C00", 32: "32'h3F800000"}[width],
    }

    def fill(text: str) -> str:
        for key, value in words.items():
            text = text.replace(key, value)
        return text

    return faulty(STREAM, fill(body), *map(fill, tapped), **pins)


@pytest.mark.parametrize("unit", [STREAM, UNITS["axi_mac_exact"]], ids=lambda unit: unit.name)
def test_the_shell_of_a_fault_alone_changes_nothing(unit, root):
    need("icarus")
    verdict, _ = verify.run(unit, "icarus", root=root, text=faulty(unit, ""))
    assert (verdict.status, verdict.note) == ("pass", "")


@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_a_fault_in_a_stream_is_found(fault, root):
    need("icarus")
    verdict, _ = verify.run(STREAM, "icarus", root=root, text=stream_fault(fault))
    assert verdict.status == "fail"
    assert verdict.note


AXI_FAULTS = {
    "the end of a packet a beat late": (
        "axi_encoder_fp32",
        "reg late = 0; assign m_axis_tlast = late;\n"
        "always @(posedge clk) if (m_axis_tvalid & m_axis_tready) late <= inner_m_axis_tlast;",
        ["m_axis_tlast"],
        {},
    ),
    "an option of the cycle before": (
        "axi_encoder_fp32",
        "reg old = 0; always @(posedge clk) old <= saturate;",
        [],
        {"saturate": "old"},
    ),
    "an option at any beat but the last": (
        "axi_matrix4x4_exact_to_hif8",
        "reg kept = 0; always @(posedge clk) if (s_axis_tvalid & s_axis_tready) kept <= saturate;",
        [],
        {"saturate": "kept"},
    ),
    "every row a packet": (
        "axi_matrix4x4_exact_to_hif8",
        "assign m_axis_tlast = 1;",
        ["m_axis_tlast"],
        {},
    ),
    "a packet that never ends": (
        "axi_mac_exact",
        "assign m_axis_tlast = 0;",
        ["m_axis_tlast"],
        {},
    ),
    "a bit beside a flag": (
        "axi_mac_exact",
        "assign m_axis_tdata = inner_m_axis_tdata | inner_m_axis_tdata[96] << 97;",
        ["m_axis_tdata"],
        {},
    ),
    "a sum that goes on after a reset": (
        "axi_mac_exact",
        "reg used = 0; always @(posedge clk) if (s_axis_tvalid) used <= 1;",
        [],
        {"rst": "rst & ~used"},
    ),
    "valid withdrawn while it waits": (
        "axi_mac_exact",
        "reg waited = 0; always @(posedge clk) waited <= m_axis_tvalid & ~m_axis_tready;\n"
        "assign m_axis_tvalid = inner_m_axis_tvalid & ~waited;",
        ["m_axis_tvalid"],
        {"m_axis_tready": "m_axis_tready & ~waited"},
    ),
    "a beat changed while it waits": (
        "axi_matrix4x4_exact_to_hif8",
        "reg waited = 0;\n"
        "always @(posedge clk) waited <= m_axis_tvalid & ~m_axis_tready & ~waited;\n"
        "assign m_axis_tdata = inner_m_axis_tdata ^ (waited & ~m_axis_tready);",
        ["m_axis_tdata"],
        {},
    ),
}


@pytest.mark.parametrize("fault", AXI_FAULTS)
def test_a_fault_in_an_axi_stream_is_found(fault, root):
    need("icarus")
    name, body, tapped, pins = AXI_FAULTS[fault]
    text = faulty(UNITS[name], body, *tapped, **pins)
    verdict, _ = verify.run(UNITS[name], "icarus", root=root, text=text)
    assert verdict.status == "fail"
    assert verdict.note


BENCH = """
import cocotb
import numpy as np
from hif8.golden.decode import unpack
from hif8.sim.bench import check

def count(job):
    return {count}

def cases(job):
    {cases}

def expect(unit, inputs, options):
    return unpack(inputs["code"])._asdict()

{test}
async def bench(dut):
    await check(dut, cases, expect)
"""
NONE = "return iter(())"
ALL = 'yield {"code": np.arange(256)}'
LESS = 'yield {"code": np.arange(255)}'
NO_COLUMN = 'yield {"code": np.arange(0)}'
RAISES = "raise RuntimeError('out of cases')"


def run_bench(monkeypatch, folder, root, name, *, test="@cocotb.test()", **parts):
    """Run the decoder under a bench of the test's own."""
    (folder / f"{name}.py").write_text(BENCH.format(test=test, **parts))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(verify, "bench_module", lambda unit: name)
    return verify.run(UNITS["decoder"], "icarus", root=root)[0]


def test_a_bench_of_ones_own_passes(monkeypatch, tmp_path, root):
    need("icarus")
    verdict = run_bench(monkeypatch, tmp_path, root, "bench_all", count=256, cases=ALL)
    assert (verdict.status, verdict.cases, verdict.expected) == ("pass", 256, 256)


@pytest.mark.parametrize("count", [256, 0])
@pytest.mark.parametrize(("label", "cases"), [("none", NONE), ("no_column", NO_COLUMN)])
def test_a_bench_without_a_case_fails(monkeypatch, tmp_path, root, label, cases, count):
    need("icarus")
    name = f"bench_{label}_{count}"
    verdict = run_bench(monkeypatch, tmp_path, root, name, count=count, cases=cases)
    assert (verdict.status, verdict.cases, verdict.expected) == ("fail", 0, count)
    assert verdict.note


@pytest.mark.parametrize(("cases", "count"), [(LESS, 256), (ALL, 255)])
def test_a_bench_with_other_than_the_counted_cases_fails(monkeypatch, tmp_path, root, cases, count):
    need("icarus")
    name = f"bench_other_{count}"
    verdict = run_bench(monkeypatch, tmp_path, root, name, count=count, cases=cases)
    ran = 511 - count
    assert (verdict.status, verdict.mismatches) == ("fail", 0)
    assert verdict.note == f"{ran} cases were compared where {count} must be"


@pytest.mark.parametrize(
    ("label", "parts"), [("raises", {"cases": RAISES}), ("untested", {"cases": ALL, "test": ""})]
)
def test_a_bench_that_ends_early_is_an_error_of_one_line(monkeypatch, tmp_path, root, label, parts):
    need("icarus")
    with pytest.raises(ToolError, match=r"^icarus did not finish decoder: ") as error:
        run_bench(monkeypatch, tmp_path, root, f"bench_{label}", count=256, **parts)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_broken_verilog_is_an_error_of_one_line(simulator, tmp_path):
    need(simulator)
    with pytest.raises(ToolError, match=r"^the build failed: .* \(log: .*\)$") as error:
        verify.build(UNITS["decoder"], simulator, root=tmp_path, text="module hif8_decoder(;")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("hif8_decoder-*/built")), (
        "what was not built must not be taken for built"
    )


def test_a_failed_build_is_tried_again(tmp_path):
    need("icarus")
    unit = UNITS["decoder"]
    calls = []

    def stop():
        calls.append(True)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        verify.build(unit, "icarus", root=tmp_path, look=stop)
    folder = verify.build(unit, "icarus", root=tmp_path)
    assert (folder / "built").exists()
    assert calls == [True]
    assert verify.build(unit, "icarus", root=tmp_path, look=stop) == folder
