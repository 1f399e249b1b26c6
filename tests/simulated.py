# SPDX-License-Identifier: Apache-2.0
"""Components under Amaranth's own simulator: no Verilog, no cocotb, no golden model."""

from typing import NamedTuple

import numpy as np
from amaranth.sim import Simulator


def combinational(component, rows, outputs):
    """Return the outputs of a combinational component for each row of inputs."""
    got = []

    async def bench(context):
        for row in rows:
            for name, value in row.items():
                context.set(getattr(component, name), value)
            got.append(tuple(context.get(getattr(component, name)) for name in outputs))

    simulator = Simulator(component)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(got) == len(rows) > 0
    return got


class Traffic(NamedTuple):
    """What came out of a stream, and the clock cycles in which items went in and came out."""

    outputs: list[dict[str, int]]
    accepted: list[int]
    emitted: list[int]


def stream(unit, items, results, *, gap=0.0, stall=0.0, seed=1):
    """Send items, each a dict of fields, into a `StreamUnit` until so many have come out of it."""
    traffic = Traffic([], [], [])
    rng = np.random.default_rng(seed)

    async def bench(context):
        offered = False
        for cycle in range(100 + 20 * len(items)):
            sent = len(traffic.accepted)
            if not offered and sent < len(items) and rng.random() >= gap:
                offered = True
                context.set(unit.i.payload, items[sent])
            context.set(unit.i.valid, offered)
            taking = rng.random() >= stall
            context.set(unit.o.ready, taking)
            if offered and context.get(unit.i.ready):
                traffic.accepted.append(cycle)
                offered = False
            if taking and context.get(unit.o.valid):
                traffic.emitted.append(cycle)
                word = {name: context.get(unit.o.payload[name]) for name in unit.outputs}
                traffic.outputs.append(word)
            if len(traffic.emitted) == results:
                break
            await context.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert (len(traffic.accepted), len(traffic.emitted)) == (len(items), results)
    assert results > 0
    return traffic


def packed(codes):
    """Return codes side by side, the first lowest."""
    return int.from_bytes(bytes(codes), "little")


def vector(a, b, acc=None):
    """Return the items of a vector, rows of codes a beat; and the word that an FP32 sum begins."""
    last = len(a) - 1
    start = {} if acc is None else {"acc": acc}
    return [
        {"a": packed(x), "b": packed(y), "first": k == 0, "last": k == last, **start}
        for k, (x, y) in enumerate(zip(a, b, strict=True))
    ]
