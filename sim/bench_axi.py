# SPDX-License-Identifier: Apache-2.0
"""Bench of the units with AXI4-Stream ports: packets in, packets out, every bit of every beat.

Imports `sim.bench`, `sim.lanes`, `sim.streams` and the bench of the unit inside, whose cases, whose
golden function and whose rules of traffic it takes. The ends of the streams are those of
cocotbext-axi, apart from this project; a monitor of our own watches both handshakes in every cycle.
Options are each beat's own, and random at the beats that do not read them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from ..hdl.configs import UNITS, Unit
from . import bench_matrix, bench_stream, bench_sum, programs
from .bench import Arrays, Job, Tally
from .lanes import lane_dtype
from .streams import TRAFFIC, Stages, Traffic

LONGEST = 9
"""Beats of the longest packet of conversions."""
VECTORS, TILES = 4, 3
"""How many of each length that the core's bench takes."""
SPECIALS = 100
"""Sums of two special products in every traffic."""


@dataclass(frozen=True)
class Program:
    """What goes through a unit in one kind of traffic.

    Attributes
    ----------
    items : dict of list of int
        What every input of the core is at every beat.
    last : list of int
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

    items: dict[str, list[int]]
    last: list[int]
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
        items={key: values.tolist() for key, values in items.items()},
        last=last.astype(int).tolist(),
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
    items = bench_sum._items(core, 1, batches, rng)
    causes = np.flatnonzero(items["last"])
    return Program(
        items=items,
        last=items["last"],
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
    items = bench_matrix._items(unit.core, batches, rng)
    rows, _ = bench_matrix.tile_size(unit)
    expected = bench_sum.concatenated(bench_matrix.expect(unit.core, tiles) for tiles in batches)
    return Program(
        items=items,
        last=items["last"],
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

    In each of five traffics 1000 conversions; four vectors of each of eight lengths and a hundred
    of specials; or three tiles, row by row, of each of eight lengths.
    """
    unit = UNITS[job.unit]
    beats = {"sum": 8 * 4 + 100, "matrix": 8 * 3 * unit.parameters.get("rows", 1)}
    return len(TRAFFIC) * beats.get(unit.core.bench, 1000)


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


def _words_in(unit: Unit, program: Program) -> list[int]:
    """Return `tdata` at every beat in."""
    words = [0] * len(program.last)
    start = 0
    for name in _fields(unit):
        for beat, value in enumerate(program.items[name]):
            words[beat] |= value << start
        start += 8 * _bytes(unit, name)
    return words


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


class Bench:
    """A simulated unit between a source and a sink of cocotbext-axi.

    Parameters
    ----------
    dut : cocotb handle
        The simulated unit.
    unit : Unit
        What it is.
    rng : numpy.random.Generator
        Decides about pauses.
    """

    def __init__(self, dut: object, unit: Unit, rng: np.random.Generator) -> None:
        self.dut, self.unit, self.rng = dut, unit, rng
        self.broken: list[str] = []
        dut.rst.value = 1
        self._ends = [
            end(AxiStreamBus.from_prefix(dut, prefix), dut.clk, dut.rst, byte_lanes=1)
            for end, prefix in ((AxiStreamSource, "s_axis"), (AxiStreamSink, "m_axis"))
        ]
        self.source, self.sink = self._ends
        for end in self._ends:
            end.log.setLevel("ERROR")  # or a packet cut off by a reset would be shown in full
        Clock(dut.clk, 2, "ns").start()

    async def reset(self) -> None:
        """Empty everything."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        for end in self._ends:
            end.clear()
        if self.dut.m_axis_tvalid.value != 0:
            self.broken.append("m_axis_tvalid is not low in a reset")
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    def _pause(self, gap: float, stall: float) -> None:
        """Let source and sink pause so often."""
        for end, share in zip(self._ends, (gap, stall), strict=True):
            draws = iter(lambda share=share: bool(self.rng.random() < share), None)
            end.set_pause_generator(draws if share else None)
            end.pause = False

    async def transact(self, program: Program, results: int, gap: float, stall: float) -> Traffic:
        """Send a program's packets until so many beats have come out; see whether more do.

        Returns
        -------
        Traffic
            What went in and out, and when; its outputs are those in packets that have ended.
        """
        dut, beats = self.dut, len(program.last)
        traffic = Traffic(outputs={"m_axis_tdata": [], "m_axis_tlast": []})
        options = [(getattr(dut, name), program.items[name]) for name in _options(self.unit)]
        masks = [(1 << len(port)) - 1 for port, _ in options]
        words, start = _words_in(self.unit, program), 0
        self._pause(gap, stall)
        for end in np.flatnonzero(program.last).tolist():
            self.source.send_nowait(AxiStreamFrame(words[start : end + 1]))
            start = end + 1
        stages = Stages(self.unit.latency) if self.unit.core.bench != "matrix" else None
        emits = program.last if self.unit.core.bench == "sum" else [1] * beats
        patience = 100 + int(20 * beats / (1 - gap) / (1 - stall))
        more = 2 * self.unit.latency if results == len(program.ends) else 0
        sent, cycle = 0, 0
        waiting: tuple[int, ...] | None = None
        edge = RisingEdge(dut.clk)
        while cycle < patience and (len(traffic.emitted) < results or more):
            more -= len(traffic.emitted) >= results
            for (port, values), mask in zip(options, masks, strict=True):
                port.value = values[min(sent, beats - 1)] & mask
            await edge
            offered, accepted, valid, taking = (
                bool(port.value)
                for port in (
                    *(dut.s_axis_tvalid, dut.s_axis_tready),
                    *(dut.m_axis_tvalid, dut.m_axis_tready),
                )
            )
            goes = offered and accepted
            if stages:
                stages.check(accepted, valid, taking, traffic, cycle)
                stages.step(bool(emits[sent]) if goes else None, taking)
            if goes:
                traffic.accepted.append(cycle)
                sent += 1
            seen = (int(dut.m_axis_tdata.value), int(dut.m_axis_tlast.value)) if valid else None
            if waiting not in (None, seen):
                what = "m_axis_tvalid fell" if seen is None else "a beat changed"
                traffic.broken.append(f"cycle {cycle}: {what} before m_axis_tready")
            waiting = None if taking else seen
            if valid and taking:
                traffic.emitted.append(cycle)
            cycle += 1
        await edge  # by then the sink has seen the last of them
        while not self.sink.empty():
            packet = self.sink.recv_nowait(compact=False).tdata
            traffic.outputs["m_axis_tdata"] += packet
            traffic.outputs["m_axis_tlast"] += [0] * (len(packet) - 1) + [1]
        return traffic


def _compare(tally: Tally, unit: Unit, program: Program, traffic: Traffic) -> None:
    """Compare the beats that came out in packets with golden's."""
    got = {}
    for name, values in traffic.outputs.items():
        dtype = lane_dtype(unit.ports[name])
        got[name] = np.frombuffer(
            b"".join(value.to_bytes(dtype.itemsize, "little") for value in values), dtype
        )
    expected = {"m_axis_tdata": _words_out(unit, program), "m_axis_tlast": program.ends}
    done = min(len(program.ends), len(got["m_axis_tlast"]))
    words, causes = _words_in(unit, program), program.causes[:done].tolist()
    shown = {name: np.array([program.items[name][k] for k in causes]) for name in _options(unit)}
    dtype = lane_dtype(unit.ports["s_axis_tdata"])
    raw = b"".join(words[k].to_bytes(dtype.itemsize, "little") for k in causes)
    shown["s_axis_tdata"] = np.frombuffer(raw, dtype)
    tally.compare(shown, {}, *({n: v[:done] for n, v in part.items()} for part in (expected, got)))


@cocotb.test()
async def packets_as_golden(dut: object) -> None:
    """Send packets under every kind of traffic and compare each beat that comes out, in order."""
    job = Job.load()
    unit = UNITS[job.unit]
    rng = np.random.default_rng(job.seed)
    tally = Tally()
    bench = Bench(dut, unit, rng)
    begin = time.perf_counter()
    for name, how in TRAFFIC.items():
        await bench.reset()
        program = _KINDS.get(unit.core.bench, _conversions)(unit, job, rng)
        results = len(program.ends)
        if "reset" in name:  # what is inside then must not come out, nor stay in a sum
            bench.broken += (await bench.transact(program, results - 9, *how)).broken
            await bench.reset()
        traffic = await bench.transact(program, results, *how)
        beats, ended = len(traffic.emitted), len(traffic.outputs["m_axis_tlast"])
        if beats == ended == results:
            bench.broken += program.broken(name, traffic)
            if name == "steady":
                began = np.array(traffic.accepted)[program.causes]
                tally.latency = int((np.array(traffic.emitted) - began).min())
                tally.interval = program.interval(traffic)
        else:
            bench.broken += traffic.broken
            bench.broken.append(f"{name}: {beats} beats, {ended} in packets, not {results}")
        _compare(tally, unit, program, traffic)
        tally.seconds = time.perf_counter() - begin
        job.file("progress").write_text(str(tally.cases))
    tally.save(job)
    assert not bench.broken, bench.broken[0]
