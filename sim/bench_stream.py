# SPDX-License-Identifier: Apache-2.0
"""Bench of the streamed units: nothing lost, repeated or reordered, latency, rate, room as stated.

Imports `sim.bench`, `sim.streams` and the bench of the unit inside, whose cases and whose golden
function it takes. Every item has its own setting of the run-time options.
"""

import importlib
import time
from pathlib import Path

import cocotb
import numpy as np

from ..hdl.configs import UNITS, Unit
from .bench import Arrays, Job, Tally
from .lanes import lane_dtype
from .streams import TRAFFIC, Streams, Traffic, cut_short

ITEMS = 1000


def count(job: Job) -> int:
    """Return how many items the bench must send."""
    return 5 * 1000


def _items(job: Job, core: Unit, rng: np.random.Generator) -> Arrays:
    """Draw items from the first cases of the core's bench and its corners, with random options."""
    inner = importlib.import_module(f"{__package__}.bench_{core.bench}")
    groups = [next(iter(inner.cases(job.for_unit(core.name))))]
    groups += inner.corners(core, rng) if hasattr(inner, "corners") else []
    drawn = [_drawn(group, rng) for group in groups]
    which = rng.integers(0, len(groups), ITEMS)
    items = {name: np.choose(which, [group[name] for group in drawn]) for name in groups[0]}
    items |= {name: rng.integers(0, 2, ITEMS) for name in core.options}
    return {name: column.astype(lane_dtype(core.ports[name])) for name, column in items.items()}


def _drawn(columns: Arrays, rng: np.random.Generator) -> Arrays:
    """Draw as many cases as there are items."""
    chosen = rng.integers(0, len(next(iter(columns.values()))), ITEMS)
    return {name: column[chosen] for name, column in columns.items()}


def _expect(core: Unit, items: Arrays) -> Arrays:
    """Return what golden says of every item under its own options."""
    inner = importlib.import_module(f"{__package__}.bench_{core.bench}")
    dtypes = {name: lane_dtype(port) for name, port in core.ports.items()}
    expected = {name: np.zeros(ITEMS, dtypes[name]) for name in core.outputs}
    settings = np.array([items[name] for name in core.options]).T.reshape(ITEMS, -1)
    for setting in np.unique(settings, axis=0):
        mask = (settings == setting).all(axis=1)
        inputs = {n: np.ascontiguousarray(items[n][mask], dtypes[n]) for n in core.data_inputs}
        options = dict(zip(core.options, setting.tolist(), strict=True))
        for name, column in inner.expect(core, inputs, options).items():
            expected[name][mask] = column
    return expected


def _broken(unit: Unit, name: str, traffic: Traffic) -> list[str]:
    """Return in what the traffic was not as a stream of that latency must be."""
    broken = [f"{name}: {text}" for text in traffic.broken]
    if len(traffic.accepted) != ITEMS or len(traffic.emitted) != ITEMS:
        return [*broken, f"{name}: {len(traffic.accepted)} in, {len(traffic.emitted)} out"]
    delays = traffic.emitted - traffic.accepted
    gap, stall = TRAFFIC[name]
    if stall == 0 and not (delays == unit.latency).all():
        broken.append(f"{name}: latency {delays.min()} to {delays.max()}, not {unit.latency}")
    if delays.min() < unit.latency:
        broken.append(f"{name}: an item came out after {delays.min()} cycles")
    cycles = traffic.emitted[-1] - traffic.emitted[0] + 1
    if gap == stall == 0 and cycles != ITEMS:
        broken.append(f"{name}: {cycles} cycles for {ITEMS} items")
    return broken


@cocotb.test()
async def streams_as_golden(dut: object) -> None:
    """Send items under every kind of traffic and compare each that comes out, in order."""
    job = Job.load()
    unit = UNITS[job.unit]
    rng = np.random.default_rng(job.seed)
    streams = Streams(dut, unit, job.lanes, Path(job.folder))
    tally = Tally()
    begin = time.perf_counter()
    for name, (gap, stall) in TRAFFIC.items():
        items = _items(job, unit.core, rng)
        how = {"gap": gap, "stall": stall, "rng": rng, "reset": True}
        if "reset" in name:  # what is inside then must not come out
            before = await streams.transact(items, 9, **how)
        traffic = await streams.transact(items, ITEMS, linger=2 * unit.latency, **how)
        if "reset" in name:
            tally.broken += cut_short(before, traffic)
        tally.broken += _broken(unit, name, traffic)
        if name == "steady" and not tally.broken:
            latency = int((traffic.emitted - traffic.accepted).min())
            tally.measured(latency, traffic.interval)
        done = min(ITEMS, len(traffic.emitted))
        got = {port: column[:done] for port, column in traffic.outputs.items()}
        expected = {port: column[:done] for port, column in _expect(unit.core, items).items()}
        inputs = {port: column[:done] for port, column in items.items()}
        tally.compare(inputs, {}, expected, got)
        tally.report(job, begin)
    tally.save(job)
