# SPDX-License-Identifier: Apache-2.0
"""The figures of the multiply-accumulate units say what the units are and do.

Imports hif8.analysis and hif8.hdl.
"""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from amaranth.back import rtlil
from hif8.analysis import mac_blocks, mac_timing
from hif8.hdl.configs import UNITS


@pytest.fixture(scope="module")
def trace() -> list[mac_timing.Row]:
    return mac_timing.compute()


def test_every_beat_goes_in_once_and_every_sum_comes_out(trace: list[mac_timing.Row]) -> None:
    beats = [(row.a, row.b, row.first, row.last) for row in trace if row.accepted]
    assert beats == [
        (*pair, int(k == 0), int(k == len(vector) - 1))
        for vector in mac_timing.VECTORS
        for k, pair in enumerate(vector)
    ]
    exact = [sum(Fraction(a) * Fraction(b) for a, b in vector) for vector in mac_timing.VECTORS]
    assert [row.sum for row in trace if row.taken] == exact


def test_the_first_sum_stands_after_the_latency_and_waits_out_the_stall(
    trace: list[mac_timing.Row],
) -> None:
    end, shown, taken = mac_timing.arrivals(trace)[0]
    assert shown - end == mac_timing.UNIT.latency
    assert [row.cycle for row in trace if not row.o_ready] == list(mac_timing.STALLS)
    assert list(range(shown, taken)) == list(mac_timing.STALLS)
    assert len({row.sum for row in trace[shown : taken + 1]}) == 1
    assert not any(row.i_valid for row in trace if row.cycle in mac_timing.PAUSES)


def test_the_sender_waits_while_the_pipeline_is_full(trace: list[mac_timing.Row]) -> None:
    waiting = [(row, after) for row, after in pairwise(trace) if row.i_valid and not row.i_ready]
    assert waiting
    for row, after in waiting:
        assert (row.a, row.b, row.first, row.last) == (after.a, after.b, after.first, after.last)
        assert after.i_valid


def levels(lane: dict[str, object]) -> list[str]:
    """Return what a lane shows in every cycle, as WaveDrom reads it."""
    shown: list[str] = []
    data = iter(lane.get("data", ()))
    for mark in lane["wave"]:
        shown.append(shown[-1] if mark == "." else next(data) if mark == "=" else mark)
    assert not list(data)
    return shown


@pytest.mark.parametrize("valid", ["i_valid", "o_valid"])
def test_the_diagram_shows_what_the_ports_were(trace: list[mac_timing.Row], valid: str) -> None:
    drawn = mac_timing.source(trace)
    lanes = {lane["name"]: levels(lane) for lane in drawn["signal"]}
    assert set(lanes) == {"clk", *mac_timing.Row._fields[1:]}
    names = ("a", "b", "first", "last") if valid == "i_valid" else ("sum",)
    assert [int(mark) for mark in lanes[valid]] == [getattr(row, valid) for row in trace]
    ready = valid.replace("valid", "ready")
    assert [int(mark) for mark in lanes[ready]] == [getattr(row, ready) for row in trace]
    for name in names:
        for row, mark in zip(trace, lanes[name], strict=True):
            if getattr(row, valid):
                assert float(mark) == getattr(row, name)
            else:
                assert mark == "x"


def test_the_arrow_spans_the_latency(trace: list[mac_timing.Row]) -> None:
    drawn = mac_timing.source(trace)
    nodes = {lane["name"]: len(lane["node"]) - 1 for lane in drawn["signal"] if "node" in lane}
    assert nodes["o_valid"] - nodes["last"] == mac_timing.UNIT.latency
    assert drawn["edge"] == [f"L~>S {mac_timing.UNIT.latency} clock edges"]


def test_the_picture_has_paper_of_its_own(trace: list[mac_timing.Row], tmp_path: Path) -> None:
    mac_timing.draw(trace, tmp_path / "t.svg")
    svg = (tmp_path / "t.svg").read_text()
    assert svg.index('fill="white"') < svg.index('id="waves_0"')
    assert "#aaa" not in svg


@pytest.mark.parametrize("name", mac_blocks.MACS)
def test_every_register_of_the_netlist_is_counted_at_its_place(name: str) -> None:
    unit = UNITS[name]
    rows = [row for row in mac_blocks.compute() if row.unit == name]
    netlist = rtlil.convert(unit.build(), emit_src=False)
    assert len(rows) == len({row.register for row in rows}) == netlist.count("dff $")
    assert {row.place for row in rows} == set(range(1, unit.latency + 1))
    valid = {row.place for row in rows if "valid" in row.register}
    assert valid == set(range(1, unit.latency + 1))
    last = mac_blocks.widths(rows)[name][-1]
    outputs = sum(unit.ports[port].width for port in unit.outputs)
    assert last == outputs + 1  # besides, whether they are valid
