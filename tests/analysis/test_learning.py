# SPDX-License-Identifier: Apache-2.0
"""What is kept of training is whole, and follows from the runs; what is said of it is in it.

Imports hif8.analysis; the means, errors and rules are worked out anew from the runs.
"""

import csv
import math
import re
from collections import defaultdict
from statistics import fmean, stdev

import pytest
from hif8.analysis import (
    learning,
    learning_curves,
    learning_figure,
    learning_tradeoff,
    learning_unscaled,
)

SEVEN = ("fp32", "fp16", "hif8_ta", "hif8_hr", "e4m3", "e5m2", "hybrid")
SEEDS = range(8)


@pytest.fixture(scope="module")
def measured():
    return learning.read()


@pytest.fixture(scope="module")
def runs():
    """Return the metrics of all runs, by workload, scaling and format, then metric, then seed."""
    found = defaultdict(lambda: defaultdict(dict))
    with learning.RUNS.open(newline="") as lines:
        for row in csv.DictReader(lines):
            key = row["workload"], row["scaling"], row["format"]
            found[key][row["metric"]][int(row["seed"])] = float(row["value"])
    return found


def test_the_table_is_of_nine_systems_seven_formats_and_eight_seeds(measured, runs):
    assert len(measured.systems) == 9
    asked = {
        (workload, scaling, name)
        for workload in measured.systems
        for scaling in ("recipe", "none")
        for name in SEVEN
    }
    assert asked <= set(runs)
    for key in asked:
        for metric, values in runs[key].items():
            assert sorted(values) == list(SEEDS), (key, metric)
    assert measured.runs == sum(len(metrics["flushed"]) for metrics in runs.values()) >= 1008
    assert measured.commands[0] == "hif8 workloads"
    assert {"torch", "numpy", "Python"} <= set(measured.versions)


def test_rows_follow_from_the_runs(measured, runs):
    compared = 0
    for row in measured.rows:
        if not row.seeds:
            continue
        values = runs[row.workload, row.scaling, row.format][row.metric]
        assert row.mean == pytest.approx(fmean(values.values()), rel=1e-9, abs=1e-12, nan_ok=True)
        reference = runs[row.workload, row.scaling, "fp32"].get(row.metric)
        if reference and not math.isnan(row.difference):
            pairs = [values[seed] - reference[seed] for seed in SEEDS]
            assert row.difference == pytest.approx(fmean(pairs), rel=1e-9, abs=1e-12)
            assert row.standard_error == pytest.approx(stdev(pairs) / 8**0.5, rel=1e-9, abs=1e-12)
            compared += 1
    assert compared >= 9 * 7 * 2 * 3


def test_verdicts_follow_from_the_runs(measured, runs):
    """Those of the two rules that most criteria have."""
    accuracy = re.compile(r"mean\((\w+) - FP32's\) >= -max\(([\d.]+), 2 standard errors\)")
    judged = 0
    for verdict in measured.verdicts:
        own = runs[verdict[:3]]
        if match := accuracy.fullmatch(verdict.rule):
            metric, points = match.groups()
            reference = runs[(*verdict[:2], "fp32")][metric]
            pairs = [own[metric][seed] - reference[seed] for seed in SEEDS]
            bound = -max(float(points), 2 * stdev(pairs) / 8**0.5)
            assert verdict.met == (fmean(pairs) >= bound), verdict
        elif match := re.fullmatch(r"flushed gradients < ([\d.]+) %", verdict.rule):
            mean = fmean(own["flushed"].values())
            assert verdict.met == (mean < float(match[1])), verdict
        else:
            continue
        judged += 1
    assert judged >= 9 * 2 * 6 * 2


def test_every_rule_is_judged_for_every_format(measured):
    for system in measured.systems.values():
        for scaling in ("recipe", "none"):
            for name in SEVEN[1:]:
                own = [v.rule for v in measured.verdicts if v[:3] == (system.name, scaling, name)]
                assert own == system.rules
                assert measured.met(system.name, scaling, name) == (
                    not measured.unmet(system.name, scaling, name)
                )


def test_fp32_is_the_same_with_any_scale(measured, runs):
    """Powers of two change nothing in FP32: every metric of every seed is the same number."""
    for workload in measured.systems:
        scaled, plain, tensors = (
            runs[workload, scaling, "fp32"] for scaling in ("recipe", "none", "pts")
        )
        assert scaled == plain == tensors
        assert len(plain["flushed"]) == 8


def test_what_hif8_misses_is_said(measured):
    text = learning_figure.finding(learning_figure.compute())
    for name in learning.HIF8S:
        for workload, system in measured.systems.items():
            for verdict in measured.unmet(workload, "recipe", name):
                other = measured.unmet(workload, "recipe", "fp16")
                also = ", as does FP16" if verdict.rule in {v.rule for v in other} else ""
                assert f"{system.title} in {learning.LABELS[name]} ({verdict.text}{also})" in text
    count = sum(measured.met(workload, "recipe", "hif8_ta") for workload in measured.systems)
    assert f"HiF8 TA {count}, HiF8 HR" in text


def test_what_is_behind_by_more_than_chance_is_said(measured, runs):
    text = learning_figure.behind(learning_figure.compute())
    counted = 0
    for name in SEVEN[1:]:
        own = text.partition(f"{learning.LABELS[name]} in ")[2].partition("; ")[0]
        for workload, system in measured.systems.items():
            values, reference = (
                runs[workload, "recipe", one][system.main] for one in (name, "fp32")
            )
            pairs = [values[seed] - reference[seed] for seed in SEEDS]
            behind = fmean(pairs) < -2 * stdev(pairs) / 8**0.5
            assert (system.title in own) == behind, (name, workload)
            counted += behind
    assert 0 < counted < 6 * 9


def test_tables_have_a_line_a_system(measured):
    for module in (learning_figure, learning_unscaled):
        lines = module.table(module.compute())
        for line, system in zip(lines, measured.systems.values(), strict=True):
            assert line["system, first metric"].startswith(f"{system.title}: ")
            assert len(line) == 2 + 6 + 3 + 2
    assert learning_figure.markdown(learning_figure.compute()).count("\n") == 2 + 9


def test_curves_are_of_all_runs(measured):
    rows = learning_curves.compute()
    keys = {row[:3] for row in rows}
    assert len(keys) == 9 * 2 * 7
    for workload in measured.systems:
        steps = [row.step for row in rows if row[:3] == (workload, "recipe", "fp32")]
        assert steps == sorted(steps)
        assert 50 <= len(steps) <= 200
    ends = learning_curves.ends(rows, "recipe", "hif8_ta")
    assert set(ends) == set(measured.systems)
    own, reference = (
        [row for row in rows if row[:3] == ("acmix", "recipe", name)] for name in ("e5m2", "fp32")
    )
    last = [
        fmean(r.loss for r in part if r.step >= 0.9 * part[-1].step) for part in (own, reference)
    ]
    found = learning_curves.ends(rows, "recipe", "e5m2")["acmix"]
    assert found == pytest.approx(100 * (last[0] / last[1] - 1))


def test_curves_of_systems_are_pairs_of_their_metrics(measured):
    rows = learning_tradeoff.compute()
    assert {row.workload for row in rows} == {s.name for s in measured.systems.values() if s.curve}
    assert all(0 < row.x <= 100 and 0 < row.y <= 100 for row in rows)


def test_the_page_has_every_system_with_its_rules(measured):
    page = learning.page(measured)
    assert len(page["columns"]) == 4
    for system, own in zip(page["systems"], measured.systems.values(), strict=True):
        assert [rule["rule"] for rule in system["rules"]] == own.rules
        for rule in system["rules"]:
            assert [cell.format for cell in rule["cells"]] == [*learning.HIF8S] * 2
            assert [cell.scaling for cell in rule["cells"]] == ["recipe"] * 2 + ["none"] * 2


def test_numbers_are_written_for_people():
    assert learning_figure.signed(-1.234) == "\N{MINUS SIGN}1.23"
    assert learning_figure.signed(0.5, 1) == "+0.5"
    assert learning_figure.percent(27.31) == "27\N{NO-BREAK SPACE}%"
    assert learning_figure.percent(1e-6) == "<0.0001\N{NO-BREAK SPACE}%"
    assert learning_figure.percent(99.96) == "100\N{NO-BREAK SPACE}%"
    assert learning_figure.percent(0.0) == "0\N{NO-BREAK SPACE}%"
