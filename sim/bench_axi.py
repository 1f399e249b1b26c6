# SPDX-License-Identifier: Apache-2.0
"""Bench of the units with AXI4-Stream ports: packets in, packets out, every bit of every beat.

Imports `sim.bench`, `sim.lanes`, `sim.streams` and the bench of the unit inside, whose cases, whose
golden function and whose rules of traffic it takes. After every kind of traffic by `sim.streams`
comes one between source and sink of cocotbext-axi, apart from this project. Options are each beat's
own, and random at the beats that do not read them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from ..hdl.configs import UNITS, Unit
from . import bench_matrix, bench_stream, bench_sum, programs
from .bench import Arrays, Job, Tally
from .lanes import lane_dtype
from .streams import TRAFFIC, Streams, Traffic, cut_short

LONGEST = 9
"""Beats of the longest packet of conversions."""
VECTORS, TILES = 4, 3
"""How many of each length that the core's bench takes."""
SPECIALS = 100
"""Sums of two special products in every traffic."""
OUTSIDE = (0.25, 0.25)
"""How often cocotbext-axi's source and sink pause."""


@dataclass(frozen=True)
class Program:
    """What goes through a unit in one kind of traffic.

    Attributes
    ----------
    items : dict of numpy.ndarray
        What every input of the core is at every beat: a row of bytes, or a word.
    last : numpy.ndarray of uint8
        Whether a beat ends a packet.
    expected : dict of numpy.ndarray
        What golden says of every output of the core, beat by beat.
    ends : numpy.ndarray of uint8
        Whether the beat out ends a packet.
    causes : numpy.ndarray of int
        The last beat in that a beat out depends on.
    broken : callable
        Given a traffic's name and what it was: in what it was not as the core's must be.
    interval : callable
        Given the steady traffic, the initiation interval as the core's bench measures it.
    """

    items: Arrays
    last: np.ndarray
    expected: Arrays
    ends: np.ndarray
    causes: np.ndarray
    broken: Callable[[str, Traffic], list[str]]
    interval: Callable[[Traffic], int] = lambda traffic: traffic.interval


def _conversions(unit: Unit, job: Job, rng: np.random.Generator) -> Program:
    """Return items in packets of any length, which are handed on as they are."""
    items = bench_stream._items(job, unit.core, rng)
    beats = np.arange(bench_stream.ITEMS)
    last = rng.integers(0, LONGEST, len(beats)) == 0
    last[-1] = True
    return Program(
        items=items,
        last=last.astype(np.uint8),
        expected=bench_stream._expect(unit.core, items),
        ends=last.astype(np.uint8),
        causes=beats,
        broken=lambda name, traffic: bench_stream._broken(unit, name, traffic),
    )


def _sums(unit: Unit, job: Job, rng: np.random.Generator) -> Program:
    """Return vectors that are a packet each; every sum is one by itself."""
    core = unit.core
    batches = [bench_sum._random(core, 1, beats, VECTORS, rng) for beats in bench_sum.LENGTHS]
    [pair] = programs.specials()
    some = rng.integers(0, len(pair[0]), SPECIALS)
    words = np.zeros(SPECIALS, np.uint32)
    batches.append(bench_sum._spread(core, 1, (pair[0][some], pair[1][some]), rng, words))
    batches = [replace(batch, acc=np.zeros_like(batch.acc)) for batch in batches]
    items = bench_sum.stimulus(core, batches, rng)
    causes = np.flatnonzero(items["last"])
    return Program(
        items=items,
        last=items["last"].ravel(),
        expected=bench_sum.concatenated(bench_sum.expect(core, batch) for batch in batches),
        ends=np.ones(len(causes), np.uint8),
        causes=causes,
        broken=lambda name, traffic: bench_sum._broken(
            unit, name, traffic, items["last"], len(causes)
        ),
    )


def _tiles(unit: Unit, job: Job, rng: np.random.Generator) -> Program:
    """Return tiles that are a packet each, in and out."""
    lengths = bench_matrix.LENGTHS
    batches = [bench_matrix._random(unit.core, TILES, beats, rng) for beats in lengths]
    items = bench_matrix.stimulus(unit.core, batches, rng)
    rows, _ = bench_matrix.tile_size(unit)
    expected = bench_sum.concatenated(bench_matrix.expect(unit.core, tiles) for tiles in batches)
    return Program(
        items=items,
        last=items["last"].ravel(),
        expected=expected,
        ends=expected["last_row"],
        causes=np.repeat(np.flatnonzero(items["last"]), rows),
        broken=lambda name, traffic: bench_matrix._broken(
            unit, name, batches, traffic, items["last"]
        ),
        interval=lambda traffic: bench_matrix._measured(unit, batches, traffic, items["last"])[1],
    )


_KINDS = {"sum": _sums, "matrix": _tiles}
"""By the core's bench what makes a program; of all others, conversions, `_conversions` does."""


def count(job: Job) -> int:
    """Return how many beats out the bench must compare.

    In each of six traffics 1000 conversions; four vectors of each of eight lengths and a hundred
    of specials; or three tiles, row by row, of each of eight lengths.
    """
    unit = UNITS[job.unit]
    beats = {"sum": 8 * 4 + 100, "matrix": 8 * 3 * unit.parameters.get("rows", 1)}
    return (len(TRAFFIC) + 1) * beats.get(unit.core.bench, 1000)


def _options(unit: Unit) -> tuple[str, ...]:
    """Return the run-time options that are ports of their own."""
    return unit.parameters.get("options", ())


def _fields(unit: Unit) -> list[str]:
    """Return the core's inputs that are in `tdata`, the first lowest."""
    apart = {*_options(unit), *unit.parameters.get("fixed", ()), "first", "last"}
    return [name for name in unit.core.data_inputs if name not in apart]


def _bytes(unit: Unit, name: str) -> int:
    """Return how many bytes of `tdata` a port of the core takes."""
    return -(-unit.core.ports[name].width // 8)


def _inputs(unit: Unit, program: Program) -> Arrays:
    """Return what the ports are at every beat in."""
    beats = len(program.last)
    data = np.zeros((beats, lane_dtype(unit.ports["s_axis_tdata"]).itemsize), np.uint8)
    start = 0
    for name in _fields(unit):
        column = np.ascontiguousarray(program.items[name]).reshape(beats, -1).view(np.uint8)
        size = _bytes(unit, name)
        data[:, start : start + size] = column[:, :size]
        start += size
    options = {name: program.items[name] for name in _options(unit)}
    return {"s_axis_tdata": data, "s_axis_tlast": program.last, **options}


def _words_out(unit: Unit, program: Program) -> np.ndarray:
    """Return what `tdata` must be at every beat out."""
    dtype = lane_dtype(unit.ports["m_axis_tdata"])
    raw = np.zeros((len(program.ends), dtype.itemsize), np.uint8)
    start = 0
    for name in (name for name in unit.core.outputs if name != "last_row"):
        column = np.ascontiguousarray(program.expected[name], lane_dtype(unit.core.ports[name]))
        size = _bytes(unit, name)
        raw[:, start : start + size] = column.view(np.uint8).reshape(len(raw), -1)[:, :size]
        start += size
    return raw.view(dtype)[:, 0]


class Cocotbext:
    """A simulated unit between a source and a sink of cocotbext-axi.

    Parameters
    ----------
    dut : cocotb handle
        The simulated top, whose AXI4-Stream ports are the unit's.
    unit : Unit
        What it is.
    rng : numpy.random.Generator
        Decides about pauses.
    """

    def __init__(self, dut: object, unit: Unit, rng: np.random.Generator) -> None:
        self._dut, self._unit, self._rng = dut, unit, rng
        dut.outside.value = 1
        dut.rst.value = 1
        self._ends = [
            end(AxiStreamBus.from_prefix(dut, prefix), dut.clk, dut.rst, byte_lanes=1)
            for end, prefix in ((AxiStreamSource, "s_axis"), (AxiStreamSink, "m_axis"))
        ]
        for end in self._ends:
            end.log.setLevel("ERROR")
        Clock(dut.clk, 2, "ns").start()

    async def transact(self, program: Program, gap: float, stall: float) -> Traffic:
        """Send a program's packets until all have come out; see whether more do.

        Returns
        -------
        Traffic
            What went in and out, and when; its outputs are those in packets that have ended.
        """
        dut, beats = self._dut, len(program.last)
        source, sink = self._ends
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 2)
        inputs = _inputs(self._unit, program)
        words = [int.from_bytes(row.tobytes(), "little") for row in inputs["s_axis_tdata"]]
        options = {
            name: (getattr(dut, name), inputs[name].ravel().tolist())
            for name in _options(self._unit)
        }
        start = 0
        for end in np.flatnonzero(program.last).tolist():
            source.send_nowait(AxiStreamFrame(words[start : end + 1]))
            start = end + 1
        for end, share in zip(self._ends, (gap, stall), strict=True):
            end.set_pause_generator(
                iter(lambda share=share: bool(self._rng.random() < share), None)
            )
        accepted, emitted = [], []
        patience = 100 + int(20 * beats / (1 - gap) / (1 - stall))
        more = 2 * self._unit.latency
        edge = RisingEdge(dut.clk)
        for cycle in range(patience):
            for name, (port, values) in options.items():
                mask = (1 << self._unit.ports[name].width) - 1
                port.value = values[min(len(accepted), beats - 1)] & mask
            await edge
            if dut.s_axis_tvalid.value == 1 and dut.s_axis_tready.value == 1:
                accepted.append(cycle)
            if dut.m_axis_tvalid.value == 1 and dut.m_axis_tready.value == 1:
                emitted.append(cycle)
            more -= len(emitted) >= len(program.ends)
            if not more:
                break
        await edge  # by then the sink has seen the last of them
        raw, ends = [], []
        while not sink.empty():
            packet = sink.recv_nowait(compact=False).tdata
            raw += packet
            ends += [0] * (len(packet) - 1) + [1]
        dtype = lane_dtype(self._unit.ports["m_axis_tdata"])
        data = b"".join(value.to_bytes(dtype.itemsize, "little") for value in raw)
        outputs = {
            "m_axis_tdata": np.frombuffer(data, dtype),
            "m_axis_tlast": np.array(ends, np.uint8),
        }
        return Traffic(np.array(accepted), np.array(emitted), outputs)


def _compare(tally: Tally, unit: Unit, program: Program, traffic: Traffic) -> None:
    """Compare the beats that came out with golden's."""
    expected = {"m_axis_tdata": _words_out(unit, program), "m_axis_tlast": program.ends}
    done = min(len(program.ends), len(traffic.outputs["m_axis_tlast"]))
    shown = {
        name: np.ascontiguousarray(column[program.causes[:done]])
        .view(lane_dtype(unit.ports[name]))
        .ravel()
        for name, column in _inputs(unit, program).items()
        if name != "s_axis_tlast"
    }
    parts = (expected, traffic.outputs)
    tally.compare(shown, {}, *({n: v[:done] for n, v in part.items()} for part in parts))


def _broken(program: Program, name: str, traffic: Traffic) -> list[str]:
    """Return in what the traffic was not as that of the unit must be."""
    results, ended = len(program.ends), len(traffic.outputs["m_axis_tlast"])
    if len(traffic.emitted) == ended == results:
        return program.broken(name, traffic)
    beats = f"{name}: {len(traffic.emitted)} beats, {ended} in packets, not {results}"
    return [*traffic.broken, beats]


@cocotb.test()
async def packets_as_golden(dut: object) -> None:
    """Send packets under every kind of traffic and compare each beat that comes out, in order."""
    job = Job.load()
    unit = UNITS[job.unit]
    rng = np.random.default_rng(job.seed)
    tally = Tally()
    dut.outside.value = 0
    streams = Streams(dut, unit, 1, Path(job.folder))
    make = partial(_KINDS.get(unit.core.bench, _conversions), unit, job, rng)
    depth = unit.latency + unit.parameters.get("rows", 0)
    begin = time.perf_counter()
    for name, (gap, stall) in (*TRAFFIC.items(), ("gaps and stalls", OUTSIDE)):
        program = make()
        results = len(program.ends)
        if (gap, stall) == OUTSIDE:
            traffic = await Cocotbext(dut, unit, rng).transact(program, gap, stall)
        else:
            inputs = _inputs(unit, program)
            how = {"gap": gap, "stall": stall, "rng": rng, "reset": True}
            if "reset" in name:  # what is inside then must not come out, nor stay in a sum
                before = await streams.transact(inputs, results - 9, **how)
            traffic = await streams.transact(inputs, results, linger=2 * depth, **how)
            if "reset" in name:
                tally.broken += cut_short(before, traffic)
        tally.broken += _broken(program, name, traffic)
        if name == "steady" and not tally.broken:
            latency = int((traffic.emitted - traffic.accepted[program.causes]).min())
            tally.measured(latency, program.interval(traffic))
        _compare(tally, unit, program, traffic)
        tally.report(job, begin)
    tally.save(job)
