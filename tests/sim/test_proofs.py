# SPDX-License-Identifier: Apache-2.0
"""The proofs: that all hold, that all could fail, and that no answer is never a pass."""

import dataclasses
import json
import os
import random
import re
import sys
from itertools import pairwise

import paper
import pytest
from hif8 import cli
from hif8.golden.format import BF16, FP16, FP32
from hif8.hdl.configs import UNITS
from hif8.sim import proofs, verify
from hif8.sim.proofs import conversions, numbers, prover
from hif8.toolchain import yosys
from hif8.toolchain.program import Program, ToolError

pytestmark = pytest.mark.usefixtures("prover")
PROPERTIES = {wanted.name: wanted for wanted in conversions.PROPERTIES}
CLAIMS = [
    (unit.name, wanted.name)
    for unit in proofs.select()
    for wanted in proofs.properties(unit)
    if wanted.name in PROPERTIES
]
SOURCES = (FP32, FP16, BF16)


def word_format(unit):
    return unit.parameters.get("source") or unit.parameters.get("target")


def oracle(unit, inputs, options) -> dict[str, int]:
    """Return what the paper's equations say of a unit's outputs."""
    if unit.bench == "converter":
        return {"x": paper.ieee_word(paper.value(inputs["code"]), word_format(unit).dtype.name)}
    word, name = inputs["x"], word_format(unit).dtype.name
    options = dict(options)
    if options.pop("hybrid", 0):
        keep_exact = unit.parameters.get("keep_exact", False)
        return {"code": paper.encode_hybrid(word, name, keep_exact=keep_exact, **options)}
    return {"code": paper.encode(paper.ieee_value(word, name), **options)}


def test_every_conversion_has_claims():
    conversions = {n for n, u in UNITS.items() if u.bench in ("encoder", "converter", "decoder")}
    assert {unit for unit, _ in CLAIMS} == conversions
    assert {name for _, name in CLAIMS} == set(PROPERTIES)
    assert len(conversions) == 11
    assert len(CLAIMS) == 66


def test_all_inputs_and_settings_of_an_encoder_are_in_claims_that_give_its_code():
    for unit in proofs.select():
        if unit.bench != "encoder":
            continue
        claims = {wanted.name: wanted for wanted in proofs.properties(unit)}
        assert claims["nearest"].fixed == {"hybrid": 0}
        assert claims["special"].fixed == {}
        assert ("hybrid" in claims) == ("hybrid" in unit.options)
    assert PROPERTIES["hybrid"].fixed == {"hybrid": 1}


@pytest.mark.parametrize(("name", "wanted"), CLAIMS)
def test_every_property_of_every_unit_is_proved_and_its_wrong_variant_refuted(
    name, wanted, record_property
):
    unit = UNITS[name]
    [proof] = proofs.prove_all([(unit, PROPERTIES[wanted])])
    record_property("proved", proof.claim.proved)
    record_property("refuted", not proof.variant.proved)
    assert (proof.unit, proof.property) == (name, wanted)
    assert proof.claim == proofs.Answer(PROPERTIES[wanted].statement, True)
    assert proof.passed
    bits = 8 if "code" in PROPERTIES[wanted].words else word_format(unit).width
    assert proof.bits == bits * max(1, len(PROPERTIES[wanted].words))
    assert proof.settings == 2 ** len(set(unit.options) - set(PROPERTIES[wanted].fixed))
    check_counterexample(unit, wanted, proof.variant)


def check_counterexample(unit, wanted, variant):
    """The wrong variant is refuted by an input where the unit is right, by the paper."""
    assert not variant.proved
    assert variant.statement == PROPERTIES[wanted].wrong[2]
    found = variant.counterexample
    assert set(found["options"]) == set(unit.options)
    assert found["got"] != found["expected"]
    if unit.bench == "decoder":
        code, got = found["inputs"]["code"], found["got"]
        assert (code, got["nan"], got["zero"], got["inf"]) == (paper.NAN, 1, 0, 0)
        return
    assert found["got"] == oracle(unit, found["inputs"], found["options"])
    if "code" in found["inputs"] and "x" in found["inputs"]:
        decoded = paper.ieee_word(
            paper.value(found["inputs"]["code"]), word_format(unit).dtype.name
        )
        assert found["inputs"]["x"] == decoded
    if "y" in found["inputs"]:
        other = {"x": found["inputs"]["y"]}
        assert found["expected"] == oracle(unit, other, found["options"])


def test_values_are_those_of_the_paper():
    assert {c: v for c, v in numbers.VALUES.items() if c != paper.INF} == {
        code: paper.value(code) for code in range(0x80) if code != paper.INF
    }
    assert numbers.ORDER == paper.CODES
    assert paper.BOUNDARIES[-1] == numbers.OVERFLOW


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_intervals_of_the_nearest_value_have_no_gap_and_the_papers_ends(source):
    rows = numbers.nearest_rows(source)
    assert (rows[0][0], rows[-1][1]) == (0, source.inf_bits)
    assert all(a[1] == b[0] for a, b in pairwise(rows))
    assert all(low < high for low, high, _ in rows)
    assert [code for *_, code in rows] == paper.CODES
    ends = [paper.ieee_word(boundary, source.dtype.name) for boundary in paper.BOUNDARIES]
    assert [low for low, *_ in rows[1:]] == ends


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_steps_of_hybrid_rounding_have_no_gap_and_the_papers_neighbours(source):
    steps = numbers.hybrid_steps(source)
    assert (steps[0].low, steps[-1].high) == (0, source.inf_bits)
    assert all(a.high == b.low for a, b in pairwise(steps))
    compared = [step for step in steps if step.hybrid]
    assert len(compared) == 70 + 1  # from 70 values upwards, and from 2^-23
    draw = random.Random(2409)
    for step in steps:
        inner = [draw.randrange(step.low, step.high) for _ in range(50)]
        for word in (step.low, step.high - 1, *inner):
            code = paper.encode_hybrid(word, source.dtype.name)
            assert code in (step.below, step.above)
            if step.hybrid:
                f = step.first + (word - step.low >> step.shift)
                assert 0 <= f < 2**source.hybrid_width
                t = word % 2**14 if source is FP32 else word % 2 * 2 + 1
                assert (code == step.above) == (f >= t)
            elif step.below != step.above:
                assert (code == step.above) == (word >= step.middle)


FAULTS = [
    ("encoder_fp32", "nearest", r"(assign away = .*) x\[19\];", r"\1 x[18];"),
    ("encoder_fp32", "hybrid", r"(assign up = .*) >= ", r"\1 > "),
    ("encoder_fp32", "hybrid", r"(assign coarse = denormal \?) \{ 1'h1", r"\1 { 1'h0"),
    ("encoder_fp32_ta", "special", r"(assign nan = \w+) & \w+", r"\1"),
    ("encoder_fp32_ta", "round_trip", r"(assign huge = x\[30\]) & \w+", r"\1"),
    ("encoder_bf16", "nan_to_zero", r"~ nan_to_zero", "nan_to_zero"),
    ("to_fp16", "exact", r"4'h0, inf_code", "4'h0, 1'h0"),
]


@pytest.mark.parametrize(("name", "wanted", "pattern", "fault"), FAULTS)
def test_a_fault_in_the_verilog_is_found_where_the_paper_says_otherwise(
    name, wanted, pattern, fault
):
    unit = UNITS[name]
    text, count = re.subn(pattern, fault, verify.exported(unit))
    assert count, f"{pattern} is not in the Verilog of {name}"
    proof = proofs.prove(unit, PROPERTIES[wanted], text=text)
    assert not proof.claim.proved
    assert not proof.passed
    found = proof.claim.counterexample
    right = oracle(unit, found["inputs"], found["options"])
    assert found["got"] != right
    if wanted != "nan_to_zero":  # there the other output is of the faulty circuit, too
        assert found["expected"] == right
    rows = proofs.explain(proof, found)
    assert any(got not in ("", expected) for _, expected, got in rows)


def test_an_undefined_bit_is_not_taken_for_the_right_one():
    text = verify.exported(UNITS["encoder_fp32"])
    text, count = re.subn(r"(code\[6:0\] = \w+ \?) 7'h00", r"\1 7'hxx", text)
    assert count == 1
    for wanted in ("nearest", "saturate"):
        assert not proofs.prove(UNITS["encoder_fp32"], PROPERTIES[wanted], text=text).claim.proved


def test_a_variant_that_is_not_wrong_is_a_failure():
    equal = dataclasses.replace(PROPERTIES["fields"], wrong=("of (code,", "of (code,", "the same"))
    proof = proofs.prove(UNITS["decoder"], equal)
    assert proof.claim.proved
    assert proof.variant.proved
    assert not proof.passed
    assert proofs.summary(proof) == "PROVED"


def test_a_variant_replaces_one_place():
    none = dataclasses.replace(PROPERTIES["fields"], wrong=("no such", "text", "nothing"))
    with pytest.raises(ToolError, match="the wrong variant of fields must replace one"):
        proofs.prove(UNITS["decoder"], none)


def test_nothing_to_prove_is_an_error():
    with pytest.raises(ToolError, match="nothing to prove"):
        next(proofs.prove_all([]))


@pytest.mark.parametrize("name", ["mac_fp32_i3", "encoder_fp32_s1", "decodr"])
def test_a_unit_without_claims_is_refused(name):
    with pytest.raises(ValueError, match=rf"unit must be one of decoder, .*, not '{name}'"):
        proofs.select([name])


@pytest.fixture
def fresh_tool():
    proofs.tool.cache_clear()
    yield
    proofs.tool.cache_clear()


@pytest.fixture
def other_prover(tmp_path, monkeypatch):
    """Put a Python program in the prover's place."""

    def put(text: str) -> None:
        script = tmp_path / "other-prover"
        says = "import sys\nif '-V' in sys.argv: sys.exit(print('Yosys 1.0'))\n"
        script.write_text(f"#!{sys.executable}\n{says}{text}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setattr(yosys, "PYPI", Program(script.name, "make setup", ("-V",)))

    return put


def test_a_missing_prover_is_an_error(fresh_tool, monkeypatch):
    monkeypatch.setattr(yosys, "PYPI", Program("no-such-prover", "make setup"))
    with pytest.raises(ToolError, match="no-such-prover is not installed: make setup"):
        proofs.prove(UNITS["decoder"], PROPERTIES["fields"])


@pytest.mark.parametrize("program", ["sys.exit('out of memory error')", "pass"])
def test_a_prover_that_does_not_run_is_an_error(fresh_tool, program, other_prover):
    other_prover(program)
    with pytest.raises(ToolError, match=r"failed: out of memory error|ended before its script"):
        proofs.prove(UNITS["decoder"], PROPERTIES["fields"])


@pytest.mark.parametrize(
    "program",
    [
        "pass",
        "sys.exit('ERROR: of its own')",
        "open('claim.log', 'w').write('Interrupted SAT solver: TIMEOUT!')",
        f"[open(f'{{m}}.log', 'w').write({prover._REFUTED!r}) for m in ('claim', 'variant')]",
        f"open('claim.log', 'w').write({prover._PROVED!r})",
    ],
)
def test_no_answer_is_an_error(program, other_prover):
    proofs.tool()
    other_prover(f"open('finished.txt', 'w')\n{program}")
    with pytest.raises(ToolError, match=r"neither proved nor refuted fields of decoder: ."):
        proofs.prove(UNITS["decoder"], PROPERTIES["fields"])


def test_a_prover_that_takes_too_long_is_an_error():
    with pytest.raises(ToolError, match=r"no answer within 0\.01 s"):
        proofs.prove(UNITS["decoder"], PROPERTIES["fields"], timeout=0.01)


@pytest.mark.parametrize("text", ["module hif8_decoder(;", "module hif8_decoder(); endmodule"])
def test_verilog_that_does_not_fit_is_an_error_in_one_line(text):
    with pytest.raises(ToolError, match=r"neither proved nor refuted .*ERROR") as error:
        proofs.prove(UNITS["decoder"], PROPERTIES["fields"], text=text)
    assert "\n" not in str(error.value)


def prove(monkeypatch, folder, *names: str) -> int:
    monkeypatch.setattr(sys, "argv", ["hif8", "prove", *names, "--build", str(folder)])
    return cli.main()


def test_the_command_prints_and_saves_what_it_proved(tmp_path, monkeypatch, capsys):
    assert prove(monkeypatch, tmp_path, "decoder", "to_bf16") == 0
    out = capsys.readouterr().out
    assert "2^8 x 1" in out
    assert "2 of 2 properties proved, 2 of 2 wrong variants refuted" in out
    assert "0x7FC0" in out
    [saved] = json.loads((tmp_path / "prove" / "to_bf16.json").read_text())
    assert (saved["property"], saved["claim"]["proved"]) == ("exact", True)
    assert saved["variant"]["counterexample"]["inputs"] == {"code": 0x80}


def test_the_command_fails_and_explains_if_a_property_does_not_hold(tmp_path, monkeypatch, capsys):
    right = verify.exported(UNITS["to_bf16"])
    wrong, count = re.subn(r"below_two = (\w+) \|", r"below_two = \1 &", right)
    assert count == 1
    monkeypatch.setattr(proofs.verify, "exported", lambda unit: wrong)
    assert prove(monkeypatch, tmp_path, "to_bf16") == 1
    out = capsys.readouterr().out
    assert "REFUTED" in out
    assert "0 of 1 properties proved" in out
    assert "to_bf16: not exact" in out
    assert (tmp_path / "prove" / "to_bf16.json").exists()


def test_the_command_ends_in_one_line_without_a_prover(fresh_tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(yosys, "PYPI", Program("no-such-prover", "make setup"))
    assert prove(monkeypatch, tmp_path, "decoder") == 1
    assert capsys.readouterr().err == ("hif8: no-such-prover is not installed: make setup\n")
